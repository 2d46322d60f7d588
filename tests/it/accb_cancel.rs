//! Acceptance 54 and 56 by command line: cancel, pause and Ctrl-C from outside, and runs beside one another.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, eventually, printed};

const FIXTURES: &str = "owf_fixtures: 1
invocation_log: calls.jsonl
rules:
  - match: { prompt: never, attempt: 1 }
    never: true
  - match: { prompt: slow }
    delay_ms: 150
    text: ok
  - match: { prompt: long enough }
    delay_ms: 3000
    text: ok
  - text: ok
";

/// The figure of acceptance 54.
const WITHIN: Duration = Duration::from_secs(1);

fn place(body: &str) -> Place {
    let place = Place::new();
    place.file("w.js", &format!("export const meta = {{name: 'w', description: 'd'}};\n{body}"));
    place.file("f.yaml", FIXTURES);
    place
}

/// A foreground run that has reached its `calls`-th invocation, and its id.
fn started(place: &Place, flags: &[&str], calls: usize) -> (Child, String) {
    let mut args = vec!["run", "w.js", "--fixtures", "f.yaml"];
    args.extend(flags);
    let child = place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually(WITHIN, "the calls", || place.log("calls.jsonl").len() >= calls);
    let line = &place.log("calls.jsonl")[0];
    (child, line["run_id"].as_str().unwrap().to_owned())
}

fn ended(child: Child) -> Printed {
    printed(&child.wait_with_output().unwrap())
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

fn status(place: &Place, run: &str) -> Value {
    place.json(&["status", run, "--json"])
}

#[test]
fn accept_054_a_foreground_run_is_cancelled_within_a_second_from_another_process() {
    for body in ["await agent('one'); await agent('never'); return 1;", "await agent('one'); for (;;) {}"] {
        let place = place(body);
        let (child, run) = started(&place, &["--json"], if body.contains("never") { 2 } else { 1 });
        let begun = Instant::now();
        let reply = place.json(&["cancel", &run, "--reason", "enough", "--json"]);
        assert!(begun.elapsed() < 10 * WITHIN);
        assert_eq!(
            (&reply["status"], &reply["status_reason"]),
            (&json!("cancelled"), &json!("user")),
            "{body}: {reply}"
        );
        assert_eq!(reply["cancel_requested"], json!(true));
        let end = ended(child);
        assert_eq!((end.code, &end.json()["status"]), (3, &json!("cancelled")), "{body}: {end:?}");
        assert_eq!(place.owf(&["cancel", &run, "--json"]).code, 0, "a cancelled run answers with its view");
        let again = place.owf(&["cancel", &run, "--reason", "to be sure"]).out;
        assert!(again.ends_with(" kept; the reason: to be sure\n"), "{again}");
        let resumed = place.owf(&["pause", &run, "--json"]);
        assert_eq!((resumed.code, &resumed.json()["error"]["code"]), (2, &json!("run_ended")));
    }
}

#[test]
fn accept_054_a_detached_run_is_cancelled_and_its_process_goes_away() {
    for body in ["await agent('one'); await agent('never'); return 1;", "await agent('one'); for (;;) {}"] {
        let place = place(body);
        let view = place.json(&["run", "w.js", "--fixtures", "f.yaml", "--detach", "--json"]);
        let run = view["run_id"].as_str().unwrap().to_owned();
        assert_eq!(view["status"], "running", "{view}");
        eventually(WITHIN, "a call", || !place.log("calls.jsonl").is_empty());
        let owner = status(&place, &run)["run"]["owner"]["pid"].as_i64().unwrap();
        assert_ne!(owner, i64::from(std::process::id()));
        assert_eq!(place.json(&["cancel", &run, "--json"])["status"], "cancelled", "{body}");
        let pid = Pid::from_raw(i32::try_from(owner).unwrap()).unwrap();
        eventually(WITHIN, "the process is gone", || {
            let alive = rustix::process::test_kill_process(pid).is_ok();
            // Without an init that collects it, it stays as a zombie of ours.
            let stat = std::fs::read_to_string(format!("/proc/{owner}/stat")).unwrap_or_default();
            !alive || stat.contains(") Z ")
        });
        assert_eq!(status(&place, &run)["counts"]["running"], json!(0));
    }
}

#[test]
fn accept_054_one_call_can_be_cancelled_and_the_run_goes_on() {
    let place = place("const r = await owf.agent('never', {label: 'stuck'}); await agent('two'); return r.status;");
    let (child, run) = started(&place, &["--json"], 1);
    let reply = place.json(&["cancel", &run, "--call", "c0001", "--json"]);
    assert_eq!(reply["run_id"], json!(run));
    let end = ended(child);
    assert_eq!((end.code, &end.json()["output"]), (0, &json!("cancelled")), "{end:?}");
    let unknown = place.owf(&["cancel", &run, "--call", "c0099", "--json"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
}

#[test]
fn accept_101_a_cancel_ends_children_that_call_and_children_that_loop() {
    for child_body in ["await agent('never'); return 1", "await agent('one'); for (;;) {}"] {
        let place = place("return await workflow({scriptPath: 'child.js'});");
        place.file("child.js", &format!("export const meta = {{name: 'child', description: 'c'}};\n{child_body}"));
        let mut child = place.spawn(&["run", "w.js", "--fixtures", "f.yaml"]);
        eventually(WITHIN, "the child's call", || place.log("calls.jsonl").len() == 1);
        let run = place.json(&["runs", "--json"])["runs"][0]["run_id"].as_str().unwrap().to_owned();
        let below = place.log("calls.jsonl")[0]["run_id"].as_str().unwrap().to_owned();
        assert_ne!(run, below);
        let refused = place.owf(&["cancel", &below, "--json"]);
        assert_eq!(refused.code, 2, "a child is cancelled through its root: {refused:?}");
        assert!(refused.out.contains(&run), "{refused:?}");
        assert_eq!(place.json(&["cancel", &run, "--json"])["status"], "cancelled");
        assert_eq!(child.wait().unwrap().code(), Some(3));
        assert_eq!(status(&place, &below)["status"], "cancelled", "{child_body}");
    }
}

#[test]
fn a_child_that_nobody_awaited_is_recorded_as_cancelled_when_its_parent_ends() {
    let place = place("workflow({scriptPath: 'child.js'}); await agent('slow'); return 1;");
    place.file("child.js", "export const meta = {name: 'child', description: 'c'};\nawait agent('never');");
    let view = place.json(&["run", "w.js", "--fixtures", "f.yaml", "--json"]);
    assert_eq!((&view["status"], view.get("gaps_total")), (&json!("done"), None), "abandoned is no gap: {view}");
    let runs = place.json(&["runs", "--children", "--json"]);
    let states: Vec<&Value> = runs["runs"].as_array().unwrap().iter().map(|r| &r["status"]).collect();
    assert_eq!(states.len(), 2);
    assert!(states.contains(&&json!("cancelled")), "{runs}");
}

#[test]
fn accept_056_two_runs_started_at_once_both_proceed() {
    let place = place(
        "const out = []; for (let i = 0; i < 5; i++) out.push(await agent('call ' + i + args.n)); return [args.n, out.length];",
    );
    let children: Vec<Child> = (0..4)
        .map(|n| {
            let arg = format!("n={n}");
            let mut command = place.command(&["run", "w.js", "--fixtures", "f.yaml", "--arg", &arg, "--json"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for (n, child) in children.into_iter().enumerate() {
        let end = ended(child);
        assert_eq!(end.code, 0, "{end:?}");
        assert_eq!(end.json()["output"][1], json!(5), "run {n}");
    }
    assert_eq!(place.json(&["runs", "--json"])["total"], json!(4));
    assert_eq!(place.log("calls.jsonl").len(), 20);
    assert_eq!(place.store().integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn accept_111_pause_from_another_process_lets_running_calls_finish_and_resume_goes_on() {
    let place =
        place("const a = await agent('long enough to be paused'); const b = await agent('two'); return [a, b];");
    let (child, run) = started(&place, &["--json"], 1);
    let reply = place.json(&["pause", &run, "--json"]);
    assert_eq!((&reply["status"], &reply["status_reason"]), (&json!("paused"), &json!("user")), "{reply}");
    let end = ended(child);
    assert_eq!((end.code, &end.json()["status"]), (3, &json!("paused")), "{end:?}");
    assert_eq!(place.log("calls.jsonl").len(), 1, "what ran was let finish, nothing else started");
    let twice = place.owf(&["pause", &run]);
    assert_eq!(twice.code, 0, "{twice:?}");
    assert_eq!(status(&place, &run)["status"], "paused");
    let resumed = place.owf(&["resume", &run, "--json"]);
    assert_eq!((resumed.code, &resumed.json()["output"]), (0, &json!(["ok", "ok"])), "{resumed:?}");
    assert_eq!(place.log("calls.jsonl").len(), 2);
    assert_eq!(resumed.json()["resumed"], "in_place");
}

#[test]
fn a_live_run_is_not_resumed_and_its_owner_is_named() {
    let place = place("await agent('never'); return 1;");
    let (mut child, run) = started(&place, &[], 1);
    let refused = place.owf(&["resume", &run, "--json"]);
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (2, &json!("run_is_live")), "{refused:?}");
    assert_eq!(refused.json()["error"]["owner"]["pid"], json!(child.id()));
    let waited = place.owf(&["wait", &run, "--timeout", "0", "--json"]);
    assert_eq!((waited.code, &waited.json()["woke"]), (3, &json!("timeout")), "{waited:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let waited = place.owf(&["wait", &run, "--json"]);
    assert_eq!((waited.code, &waited.json()["status"]), (3, &json!("interrupted")), "{waited:?}");
}

#[test]
fn ctrl_c_leaves_a_run_that_can_be_resumed() {
    let place = place("const a = await agent('one'); const b = await agent('never'); return [a, b];");
    let (child, run) = started(&place, &[], 2);
    // What is stopped is told from the journal.
    eventually(WITHIN, "the attempt on disk", || status(&place, &run)["counts"]["running"] == 1);
    kill_process(pid(&child), Signal::INT).unwrap();
    let end = ended(child);
    let short = run.rsplit('-').next().unwrap();
    assert_eq!(end.code, 3, "{end:?}");
    assert!(end.err.contains("^C stopping 1 agent (up to 8s; Ctrl-C again: at once)\ninterrupted  "), "{}", end.err);
    assert!(
        end.err.ends_with(&format!("2 calls: 1 done and kept, 1 will run again\n  go on: owf resume {short}\n")),
        "{}",
        end.err
    );
    assert_eq!(end.out, format!("run_id: {run}\nstatus: interrupted\nrun_dir: home/runs/{run}\n"));
    let view = status(&place, &run);
    assert_eq!((&view["status"], &view["status_reason"]), (&json!("interrupted"), &json!("owner_gone")));
    let resumed = place.owf(&["resume", "--json"]);
    assert_eq!((resumed.code, &resumed.json()["output"]), (0, &json!(["ok", "ok"])), "{resumed:?}");
    assert_eq!(place.log("calls.jsonl").len(), 3, "only the call in flight ran again");
}

#[test]
fn ctrl_c_ends_a_synchronous_endless_loop_and_prints_one_document() {
    let place = place("await agent('one'); for (;;) {}");
    let (child, run) = started(&place, &["--json"], 1);
    kill_process(pid(&child), Signal::INT).unwrap();
    let end = ended(child);
    assert_eq!((end.code, &end.json()["status"]), (3, &json!("interrupted")), "{end:?}");
    assert_eq!(status(&place, &run)["status"], "interrupted", "the loop did not fail the run");
}

#[test]
fn two_ctrl_c_end_at_once() {
    let place = place("await agent('one'); await agent('never'); return 1;");
    let (child, run) = started(&place, &[], 2);
    kill_process(pid(&child), Signal::INT).unwrap();
    // The process may be gone already: the first one was enough then.
    let _ = kill_process(pid(&child), Signal::INT);
    let begun = Instant::now();
    let end = ended(child);
    assert_eq!(end.code, 3, "{end:?}");
    assert!(begun.elapsed() < 10 * WITHIN);
    assert_eq!(status(&place, &run)["status"], "interrupted");
}

#[test]
fn ctrl_c_on_a_wait_stops_watching_and_not_the_run() {
    let place = place("await agent('never'); return 1;");
    let view = place.json(&["run", "w.js", "--fixtures", "f.yaml", "--detach", "--json"]);
    let run = view["run_id"].as_str().unwrap().to_owned();
    eventually(WITHIN, "the call", || place.log("calls.jsonl").len() == 1);
    let mut waiting = place.command(&["wait", &run]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Only a process that minds SIGINT itself survives it; until then the signal is sent again.
    eventually(WITHIN, "the watcher ends", || {
        let _ = kill_process(pid(&waiting), Signal::INT);
        waiting.try_wait().unwrap().is_some()
    });
    assert_eq!(status(&place, &run)["status"], "running");
    place.json(&["cancel", &run, "--json"]);
}
