//! Cleanups of runs that end in unusual ways: without a process, for another run, in children, with children of their own.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use owf::core::run::{RunStatus, StatusReason};
use serde_json::{Value, json};

use crate::acca_support::answers;
use crate::commands::alive;
use crate::policies::Guarded;
use crate::support::cli::eventually;

const SECOND: Duration = Duration::from_secs(1);

/// Notes for which task of which workflow it runs, and how the run ended.
const NOTE: &str = "read line\nfor part in workflow label status; do echo \"$line\" | sed 's/.*\"'$part'\":\"\\([a-z]*\\)\".*/\\1/'; done | paste -s -d ' ' >> notes\n";

const AT: &str = "at = \"cleanup\"";

fn notes(guarded: &Guarded) -> String {
    std::fs::read_to_string(guarded.place.path().join("notes")).unwrap_or_default()
}

fn status(guarded: &Guarded, run: &str) -> Value {
    guarded.owf(&["status", run, "--json"]).json()["status"].clone()
}

/// Starts the document with answers; its process.
fn spawned(guarded: &Guarded) -> std::process::Child {
    spawned_with(guarded, &["--fixtures", "answers.yaml"])
}

/// Starts the document so; its process.
fn spawned_with(guarded: &Guarded, more: &[&str]) -> std::process::Child {
    let mut command = guarded.place.command(&[&["run", "flow.yaml"], more].concat());
    command.env("OWF_CONFIG", guarded.place.path().join("config/config.toml"));
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
}

/// The latest run.
fn latest(guarded: &Guarded) -> String {
    guarded.owf(&["runs", "--json"]).json()["runs"][0]["run_id"].as_str().unwrap().to_owned()
}

const ASKS: &str = "name: top
steps:
  - {id: a, prompt: a, cleanup: note}
  - {id: c, workflow: ./child.yaml, cleanup: note}
  - {id: never, prompt: never, cleanup: note}
";

const CHILD: &str = "name: child
steps:
  - {id: b, prompt: b, cleanup: [note, broken]}
  - {id: q, approval: 'Go?'}
";

#[test]
fn accept_102_a_paused_run_that_is_cancelled_is_cleaned_up_after_its_children_first() {
    let guarded = Guarded::new(ASKS, &[("note", NOTE, AT), ("broken", "exit 4\n", AT)]);
    guarded.place.file("child.yaml", CHILD);
    let run = guarded.run()["run_id"].as_str().unwrap().to_owned();
    assert_eq!((status(&guarded, &run), notes(&guarded).as_str()), (json!("paused"), ""));
    let view = guarded.owf(&["cancel", &run, "--json"]).json();
    assert_eq!(view["status"], "cancelled", "{view}");
    assert_eq!(notes(&guarded), "child b cancelled\ntop c cancelled\ntop a cancelled\n");
    let below = guarded.owf(&["runs", "--children", "--json"]).json();
    let child = below["runs"].as_array().unwrap().iter().find(|row| row["run_id"] != json!(run)).unwrap().clone();
    let view = guarded.owf(&["status", child["run_id"].as_str().unwrap(), "--json"]).json();
    let warning = json!({"code": "cleanup_failed", "message": "cleanup `broken` of `b` (c0001) failed: it ended with exit code 4"});
    assert!(view["warnings"].as_array().unwrap().contains(&warning), "{view}");
    assert_eq!(guarded.owf(&["cancel", &run, "--json"]).code, 0);
    assert_eq!(notes(&guarded).lines().count(), 3, "once");
}

#[test]
fn accept_102_a_run_whose_process_was_killed_is_cleaned_up_after_when_it_is_cancelled() {
    let guarded = Guarded::new("name: top\nsteps:\n  - {id: a, prompt: a, cleanup: note}\n", &[("note", NOTE, AT)]);
    guarded.place.file("answers.yaml", &answers("  - match: {label: '*'}\n    never: true"));
    let mut child = spawned(&guarded);
    let begun = || guarded.owf(&["status", "latest", "--json"]).json()["counts"]["running"] == 1;
    eventually(5 * SECOND, "that it calls is on record", begun);
    child.kill().unwrap();
    child.wait().unwrap();
    let run = latest(&guarded);
    assert_eq!((status(&guarded, &run), notes(&guarded).as_str()), (json!("interrupted"), ""));
    assert_eq!(guarded.owf(&["cancel", &run, "--json"]).json()["status"], "cancelled");
    assert_eq!(notes(&guarded), "top a cancelled\n");
}

#[test]
fn a_run_whose_place_another_takes_is_cleaned_up_after_and_an_altered_one_is_not() {
    let text = "name: top\nsteps:\n  - {id: a, prompt: a, cleanup: note}\n  - {id: q, approval: 'Go?'}\n";
    let guarded = Guarded::new(text, &[("note", NOTE, AT)]);
    let run = guarded.run()["run_id"].as_str().unwrap().to_owned();
    guarded.place.file("flow.yaml", &text.replace("Go?", "Well?"));
    let resumed = guarded.owf(&["resume", &run, "flow.yaml", "--no-input", "--json"]);
    assert_eq!(resumed.json()["status"], "paused", "{resumed:?}");
    assert_eq!((status(&guarded, &run), notes(&guarded).as_str()), (json!("cancelled"), "top a cancelled\n"));
    let next = guarded.run_with(&["--cache-policy", "disabled"])["run_id"].as_str().unwrap().to_owned();
    let database = rusqlite::Connection::open(guarded.place.home().join("workflow.sqlite")).unwrap();
    let altered = "UPDATE event SET body = replace(body, '\"a\"', '\"b\"') \
        WHERE id = (SELECT no FROM run_key WHERE run_id = ?1) << 32 | 3";
    assert_eq!(database.execute(altered, [&next]).unwrap(), 1);
    drop(database);
    std::fs::remove_file(guarded.place.path().join("notes")).unwrap();
    let view = guarded.owf(&["cancel", &next, "--json"]).json();
    assert_eq!((&view["status"], notes(&guarded).as_str()), (&json!("cancelled"), ""), "{view}");
    let told = |w: &Value| w["message"].as_str().unwrap().starts_with("no cleanup was run: ");
    assert!(view["warnings"].as_array().unwrap().iter().any(told), "{view}");
}

#[test]
fn a_run_whose_place_another_takes_ends_with_its_children_and_the_new_one_has_its_own() {
    let guarded = Guarded::new(ASKS, &[("note", NOTE, AT), ("broken", "exit 4\n", AT)]);
    guarded.place.file("child.yaml", CHILD);
    let run = guarded.run()["run_id"].as_str().unwrap().to_owned();
    guarded.place.file("flow.yaml", &ASKS.replace("prompt: never", "prompt: later"));
    let resumed = guarded.owf(&["resume", &run, "flow.yaml", "--no-input", "--json"]).json();
    assert_eq!(resumed["status"], "paused", "{resumed}");
    assert_eq!(notes(&guarded), "child b cancelled\ntop c cancelled\ntop a cancelled\n");
    let next = resumed["run_id"].as_str().unwrap();
    let store = guarded.place.store();
    let children = |run: &str| store.children(&run.parse().unwrap()).unwrap();
    let ends: Vec<_> = children(&run).into_iter().map(|child| (child.status, child.status_reason)).collect();
    assert_eq!(ends, [(RunStatus::Cancelled, Some(StatusReason::Superseded))]);
    let asked = guarded.owf(&["approvals", "--json"]).json()["approvals"].clone();
    let askers: Vec<&Value> = asked.as_array().unwrap().iter().map(|row| &row["run_id"]).collect();
    assert_eq!(askers, [&json!(children(next)[0].run_id)], "{asked}");
    assert_eq!(guarded.invocations(), 2, "what was done is reused");
}

#[test]
fn what_a_killed_run_left_running_ends_before_another_takes_its_place() {
    let text = "name: top\nsteps:\n  - {id: a, run: [sh, -c, 'echo $$ > pid; exec sleep 300'], cleanup: note}\n";
    let guarded = Guarded::new(text, &[("note", NOTE, AT)]);
    let mut owner = spawned_with(&guarded, &["--allow-commands"]);
    let pid = || std::fs::read_to_string(guarded.place.path().join("pid")).unwrap_or_default();
    eventually(5 * SECOND, "the program runs", || pid().ends_with('\n'));
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(alive(pid().trim()), "it is nobody's, and works");
    let run = latest(&guarded);
    guarded.place.file("flow.yaml", "name: top\nsteps:\n  - {id: a, run: ['true'], cleanup: note}\n");
    let args = ["resume", &run, "flow.yaml", "--allow-commands", "--no-input", "--json"];
    let resumed = guarded.owf(&args).json();
    assert_eq!((&resumed["status"], notes(&guarded).as_str()), (&json!("done"), "top a cancelled\ntop a done\n"));
    assert!(!alive(pid().trim()));
}

#[test]
fn accept_101_a_run_waits_for_children_that_clean_up_however_long_that_may_take() {
    let slow = format!("{NOTE}until test -e go; do sleep 0.01; done\necho cleaned >> notes\n");
    let guarded = Guarded::new(
        "name: top\ntasks:\n  c: {workflow: ./child.yaml, cleanup: note}\n",
        &[("slow", &slow, AT), ("note", NOTE, AT)],
    );
    guarded.place.file("child.yaml", "name: child\ntasks:\n  n: {prompt: n, cleanup: slow}\n");
    guarded.place.file("answers.yaml", &answers("  - match: {label: '*'}\n    never: true"));
    let mut child = spawned(&guarded);
    eventually(5 * SECOND, "the child calls", || guarded.invocations() == 1);
    let run = latest(&guarded);
    let mut cancel = guarded.place.spawn(&["cancel", &run, "--json"]);
    eventually(5 * SECOND, "the child cleans up", || notes(&guarded) == "child n cancelled\n");
    // Longer than a run waits for children that do not end otherwise.
    let waited = guarded.owf(&["wait", &run, "--timeout", "4", "--json"]).json();
    assert_eq!((&waited["status"], &waited["woke"]), (&json!("running"), &json!("timeout")), "{waited}");
    guarded.place.file("go", "");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    cancel.wait().unwrap();
    assert_eq!(notes(&guarded), "child n cancelled\ncleaned\ntop c cancelled\n");
    let rows = guarded.owf(&["runs", "--children", "--json"]).json();
    let states: Vec<&Value> = rows["runs"].as_array().unwrap().iter().map(|row| &row["status"]).collect();
    assert_eq!(states, ["cancelled", "cancelled"], "{rows}");
}

#[test]
fn accept_102_what_a_cleanup_started_ends_with_it_also_when_its_time_is_up() {
    for (script, rest) in
        [("sleep 300 &\necho $! >> pids\n", ""), ("sleep 300 &\necho $! >> pids\nsleep 300\n", "timeout_seconds = 0.5")]
    {
        let text = "name: top\ntasks:\n  a: {prompt: a, cleanup: leaves}\n";
        let guarded = Guarded::new(text, &[("leaves", script, &format!("{AT}\n{rest}"))]);
        assert_eq!(guarded.run()["status"], "done");
        let pids = std::fs::read_to_string(guarded.place.path().join("pids")).unwrap();
        eventually(5 * SECOND, "what it started is gone", || pids.lines().all(|pid| !alive(pid)));
        assert_eq!(pids.lines().count(), 1);
    }
}

#[test]
fn accept_102_a_run_that_fails_is_cleaned_up_after_once_what_it_had_at_work_has_ended() {
    let text = "name: top
on_failure: fail_fast
tasks:
  works: {run: [sh, -c, 'trap \"\" INT; echo $$ > pid.new; mv pid.new pid; until test -e never; do sleep 0.01; done'], cleanup: looks}
  fails: {run: [sh, -c, 'until test -e pid; do sleep 0.01; done; exit 3'], cleanup: note}
";
    let looks = "cat > /dev/null\nkill -0 $(cat pid) 2> /dev/null && ! grep -q '^State:.Z' /proc/$(cat pid)/status && echo works >> notes\necho looked >> notes\n";
    let guarded = Guarded::new(text, &[("note", NOTE, AT), ("looks", looks, AT)]);
    let view = guarded.run_with(&["--allow-commands"]);
    assert_eq!(view["status"], "failed", "{view}");
    let mut noted: Vec<String> = notes(&guarded).lines().map(str::to_owned).collect();
    noted.sort();
    assert_eq!(noted, ["looked", "top fails failed"]);
    // The same of one that is cancelled.
    let alone: Vec<&str> = text.lines().filter(|line| !line.starts_with("  fails")).collect();
    let guarded = Guarded::new(&alone.join("\n"), &[("looks", looks, AT)]);
    let mut child = spawned_with(&guarded, &["--allow-commands"]);
    eventually(5 * SECOND, "it works", || guarded.place.path().join("pid").exists());
    guarded.owf(&["cancel", &latest(&guarded), "--json"]);
    child.wait().unwrap();
    assert_eq!(notes(&guarded), "looked\n");
}

#[test]
fn accept_101_a_call_that_is_cancelled_ends_its_program_or_its_child_while_the_run_goes_on() {
    let text = "name: top
tasks:
  one: {run: [sh, -c, 'echo $$ > pid.new; mv pid.new pid; sleep 300'], allow_failure: true}
  two: {workflow: ./child.yaml, allow_failure: true}
  goes_on: {after: [one, two], prompt: never}
";
    let guarded = Guarded::new(text, &[]);
    guarded.place.file("child.yaml", "name: child\ntasks:\n  n: {prompt: never}\n");
    guarded.place.file("answers.yaml", &answers("  - match: {label: '*'}\n    never: true"));
    let mut child = spawned_with(&guarded, &["--fixtures", "answers.yaml", "--allow-commands"]);
    let pid = || std::fs::read_to_string(guarded.place.path().join("pid")).unwrap_or_default().trim().to_owned();
    eventually(5 * SECOND, "both work", || !pid().is_empty() && guarded.invocations() == 1);
    let run = latest(&guarded);
    for call in ["c0001", "c0002"] {
        guarded.owf(&["cancel", &run, "--call", call, "--json"]);
    }
    eventually(5 * SECOND, "the run goes on", || guarded.invocations() == 2);
    eventually(5 * SECOND, "the program is gone", || !alive(&pid()));
    let below = || guarded.owf(&["runs", "--children", "--json"]).json();
    let states =
        || -> Vec<Value> { below()["runs"].as_array().unwrap().iter().map(|row| row["status"].clone()).collect() };
    eventually(5 * SECOND, "the child has ended", || states().contains(&json!("cancelled")));
    assert_eq!(status(&guarded, &run), "running");
    guarded.owf(&["cancel", &run, "--json"]);
    child.wait().unwrap();
    assert_eq!(states(), ["cancelled", "cancelled"]);
}
