//! Tasks that say how they end, what was said before a prompt, and the end of runs with everything below them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::acca_support::answers;
use crate::document_support::{Paper, found, map};
use crate::policies::Guarded;
use crate::support::cli::{eventually, printed};

const ECHO: &str = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'";

#[test]
fn accept_091_a_task_ends_the_run_as_cancelled_without_an_error_and_keeps_what_there_is() {
    let text = "name: x
tasks:
  a: {prompt: a}
  slow: {prompt: slow}
  b:
    after: a
    prompt: b
    schema: {type: object, properties: {outcome: {type: string}, reason: {type: string}}}
    outcome: output
  c: {after: b, prompt: c}
";
    let rules = "  - match: {label: slow}\n    never: true\n  - match: {label: b}\n    json: {outcome: cancel, reason: nothing to do}\n  - match: {label: '*'}\n    text: '{{ label }}!'";
    let paper = Paper::answered(text, rules);
    let view = paper.run();
    assert_eq!(view["status"], "cancelled", "{view}");
    assert_eq!((view.get("status_reason"), view.get("error")), (Some(&json!("workflow")), None));
    let expected = json!({"a": "a!", "b": {"outcome": "cancel", "reason": "nothing to do"}});
    assert_eq!(paper.output(), expected);
    assert_eq!(paper.states(), map(&[("a", "done"), ("b", "done"), ("c", "cancelled"), ("slow", "cancelled")]));
    assert_eq!(paper.log(), ["b: ends the run: nothing to do"]);
    // The last word of the journal, and what replays it.
    assert_eq!(paper.desk.events(&paper.latest()).last().unwrap()["type"], "run_finished");
}

#[test]
fn accept_091_a_task_that_fails_by_its_outcome_ends_running_siblings_and_leaves_no_process() {
    let text = "name: x
on_failure: fail_fast
tasks:
  sleeper: {run: [sh, -c, 'sleep 60 & echo $! > pids; echo $$ >> pids; touch ready; wait']}
  check:
    run: [sh, -c, 'while [ ! -e ready ]; do sleep 0.01; done; echo bad']
    outcome: \"{'outcome': 'fail', 'reason': 'it is ' ~ output}\"
  later: {after: sleeper, expr: 1}
";
    for (word, status, error) in [
        ("fail", "failed", json!("task `check` failed: it failed by its outcome: it is bad")),
        ("cancel", "cancelled", Value::Null),
    ] {
        let guarded = Guarded::new(&text.replace("'fail'", &format!("'{word}'")), &[]);
        guarded.config("commands = true\n");
        let view = guarded.run();
        assert_eq!(json!([view["status"], view["error"]["message"]]), json!([status, error]), "{view}");
        let pids = std::fs::read_to_string(guarded.place.path().join("pids")).unwrap();
        assert_eq!(pids.lines().count(), 2);
        for pid in pids.lines() {
            assert!(!crate::commands::alive(pid), "{word}: {pid} still runs");
        }
        let calls = guarded.owf(&["calls", "latest", "--json"]).json()["calls"].clone();
        let others: Vec<(&str, &str)> = calls
            .as_array()
            .unwrap()
            .iter()
            .map(|c| (c["label"].as_str().unwrap(), c["status"].as_str().unwrap()))
            .filter(|(label, _)| *label != "check")
            .collect();
        assert_eq!(others, [("sleeper", "cancelled"), ("later", "cancelled")], "{word}");
    }
}

#[test]
fn a_task_that_skips_itself_writes_nothing_and_is_passed_by_or_takes_what_follows_along() {
    let text = "name: x
state: {initial: {n: 1}}
tasks:
  a: {prompt: a, outcome: \"'skip'\", set: {n: 2}}
  b: {after: a, expr: '[tasks.a.status, state.n]'}
  c: {prompt: c, outcome: \"'skip' if output == '<c>' else 'ok'\", skip_dependents: true}
  d: {after: c, prompt: d}
  e: {prompt: e, outcome: none}
result: '{{ tasks.b }}'
";
    let paper = Paper::answered(text, ECHO);
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.output(), json!(["skipped", 1]));
    let ends = [("a", "skipped"), ("b", "done"), ("c", "skipped"), ("d", "skipped"), ("e", "done")];
    assert_eq!(paper.states(), map(&ends));
}

#[test]
fn a_task_that_asks_to_be_done_again_is_with_what_it_said_until_its_tries_are_used_up() {
    let text = |retry: &str| {
        format!(
            "name: x
tasks:
  t:
    prompt: \"write{{{{ ' better: ' ~ loop.feedback if loop.feedback is defined else '' }}}}\"
    schema: {{type: object, properties: {{text: {{type: string}}, again: {{type: string}}}}}}
    outcome: \"{{'outcome': 'retry', 'reason': output.data.again}} if output.data.again else 'ok'\"
    {retry}
result: '{{{{ tasks.t.data.text }}}}'
"
        )
    };
    let rules = "  - match: {prompt: better}\n    json: {text: good, again: ''}\n  - match: {label: '*'}\n    json: {text: bad, again: shorter}";
    let paper = Paper::answered(&text(""), rules);
    let view = paper.run();
    assert_eq!(view["status"], "done", "{view}");
    assert_eq!(paper.output(), "good");
    assert_eq!(paper.prompts(), ["write", "write better: shorter"]);
    let never = "  - match: {label: '*'}\n    json: {text: bad, again: more}";
    for (retry, tries) in [("", 3), ("retry: {max_attempts: 2, on: [timeout]}", 2)] {
        let paper = Paper::answered(&text(retry), never);
        let view = paper.run();
        let message = format!("task `t` failed: it asked to be done again after {tries} times: more");
        assert_eq!((&view["status"], &view["error"]["message"]), (&json!("failed"), &json!(message)));
        assert_eq!(paper.prompts().len(), tries);
    }
}

#[test]
fn a_task_that_asks_to_be_done_again_waits_as_its_retry_says_and_the_wait_is_on_record() {
    let text = |jitter: &str| {
        format!(
            "name: x\ntasks:\n  t: {{prompt: 't {{{{ loop.iteration }}}}', outcome: \"'retry' if loop.iteration < 5 else 'ok'\", retry: {{max_attempts: 5, delay: 2ms, backoff: 3, max_delay: 20ms, jitter: {jitter}, on: [timeout]}}}}\n"
        )
    };
    let waits = |paper: &Paper| -> Vec<u64> {
        let events = paper.desk.events(&paper.latest());
        events.iter().filter_map(|e| e["spec"]["ask"]["timer_ms"].as_u64()).collect()
    };
    let paper = Paper::answered(&text("none"), ECHO);
    let view = paper.run();
    assert_eq!((&view["status"], &view["counts"]["done"]), (&json!("done"), &json!(9)), "{view}");
    assert_eq!(waits(&paper), [2, 6, 18, 20]);
    let events = paper.desk.events(&paper.latest());
    let kinds: Vec<(&str, &str)> =
        events.iter().filter_map(|e| Some((e["spec"]["kind"].as_str()?, e["spec"]["label"].as_str()?))).collect();
    assert_eq!(kinds[..3], [("agent", "t"), ("timer", "t"), ("agent", "t")]);
    let jittered = Paper::answered(&text("full"), ECHO);
    assert_eq!(jittered.run()["status"], "done");
    let first = waits(&jittered);
    assert!(first.iter().zip([2, 6, 18, 20]).all(|(ms, most)| *ms <= most), "{first:?}");
    let again = Paper::answered(&text("full"), ECHO);
    assert_eq!(again.run()["status"], "done");
    assert_eq!(waits(&again), first, "the same run waits the same");
}

#[test]
fn a_wait_before_another_try_ends_with_the_run_and_with_a_document_that_fails_fast() {
    let text = "name: x
on_failure: fail_fast
tasks:
  t: {prompt: t, outcome: \"'retry'\", retry: {max_attempts: 2, delay: 1h, on: [timeout]}}
  bad: {prompt: bad}
  after: {after: t, prompt: after}
";
    let rules = "  - match: {label: bad}\n    delay_ms: 30\n    error: {class: bad_request, message: no}\n  - match: {label: '*'}\n    text: x";
    let paper = Paper::answered(text, rules);
    let view = paper.run();
    assert_eq!((&view["status"], &view["error"]["message"]), (&json!("failed"), &json!("task `bad` failed: no")));
    assert_eq!(paper.states(), map(&[("t", "cancelled"), ("bad", "provider_failed"), ("after", "cancelled")]));
    // A task that ends the run ends the wait of another, too.
    let text =
        text.replace("on_failure: fail_fast\n", "").replace("{prompt: bad}", "{prompt: bad, outcome: \"'cancel'\"}");
    let paper = Paper::answered(
        &text,
        "  - match: {label: bad}\n    delay_ms: 30\n    text: enough\n  - match: {label: '*'}\n    text: x",
    );
    let view = paper.run();
    assert_eq!((&view["status"], &view["status_reason"]), (&json!("cancelled"), &json!("workflow")), "{view}");
    assert_eq!(paper.states(), map(&[("t", "cancelled"), ("bad", "done"), ("after", "cancelled")]));
}

#[test]
fn a_run_that_ended_itself_says_so_and_one_without_agents_is_not_called_fake() {
    let place = crate::support::cli::Place::new();
    place.file("flow.yaml", "name: x\ntasks:\n  a: {run: [echo, hi], outcome: \"{'outcome': 'cancel', 'reason': 'enough'}\"}\n  b: {after: a, expr: 1}\n");
    let ended = place.owf(&["run", "flow.yaml", "--allow-commands", "--no-input"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("the workflow ended itself"), "{ended:?}");
    let view = place.json(&["status", "latest", "--json"]);
    assert_eq!(
        json!([view["status"], view["status_reason"], view["simulated"]]),
        json!(["cancelled", "workflow", false])
    );
    let output = place.owf(&["output", "latest", "--json"]);
    assert_eq!((output.code, &output.json()["output"]), (3, &json!({"a": "hi"})));
    assert!(view["next"].as_str().unwrap().starts_with("The workflow ended itself"), "{view}");
    let listed = place.owf(&["runs"]);
    let columns: Vec<&str> = listed.out.split_whitespace().collect();
    assert_eq!(columns[1..6], ["cancelled", "x", "-", "2", "calls"], "{listed:?}");
    place.file("fake.yaml", "name: f\ntasks:\n  a: {prompt: hi}\n");
    let fake = place.owf(&["run", "fake.yaml", "--no-input"]);
    assert!(fake.code == 0 && fake.err.contains("FAKE answers, good for testing only"), "{fake:?}");
    let listed = place.owf(&["runs"]);
    assert!(listed.out.lines().next().unwrap().contains("FAKE"), "{listed:?}");
}

/// Everything that is told of the latest run of a place, and of one that is started now.
fn told(place: &crate::support::cli::Place, args: &[&str]) -> String {
    let ran = place.owf(&[&["run", "flow.yaml", "--no-input"], args].concat());
    let view = place.json(&["status", "latest", "--json"]);
    let summary = std::path::Path::new(view["run_dir"].as_str().unwrap()).join("summary.md");
    let told = [
        ran.err,
        place.owf(&["status", "latest"]).out,
        place.owf(&["runs", "--limit", "1"]).out,
        std::fs::read_to_string(summary).unwrap_or_default(),
    ];
    told.concat()
}

#[test]
fn fake_is_named_where_it_may_answer_a_call_and_nowhere_else() {
    let place = crate::support::cli::Place::new();
    let says_fake = |text: &str| text.contains("FAKE") || text.contains("fake");
    // No agent at all: ended, and while it waits for a person.
    place.file("flow.yaml", "name: x\ntasks:\n  a: {run: [echo, hi]}\n  b: {after: a, expr: 1}\n");
    let none = told(&place, &["--allow-commands"]);
    assert!(!says_fake(&none) && none.contains("provider: -\n"), "{none}");
    place.file("flow.yaml", "name: x\ntasks:\n  a: {approval: 'Go?'}\n");
    let waits = told(&place, &[]);
    assert!(!says_fake(&waits) && waits.contains("provider: -\n") && waits.contains("paused"), "{waits}");
    // A rule of a fixture file may answer a program.
    place.file("flow.yaml", "name: x\ntasks:\n  a: {run: [echo, hi]}\n");
    place.file("answers.yaml", "owf_fixtures: 1\nrules:\n  - match: {command: '*'}\n    text: invented\n");
    let ruled = told(&place, &["--fixtures", "answers.yaml"]);
    assert!(ruled.contains("note: no provider is configured: FAKE answers") && ruled.contains("simulated:"), "{ruled}");
    // An agent that names it, in a run of another provider; and one that names another, in a run of it.
    let agent = |provider: &str| {
        format!("name: x\nagents: {{w: {{provider: {provider}}}}}\ntasks:\n  a: {{agent: w, prompt: hi}}\n")
    };
    place.file("flow.yaml", &agent("fake"));
    let named = told(&place, &["--provider", "claude", "--no-check-provider"]);
    assert!(named.contains("note: FAKE answers") && named.contains("simulated:"), "{named}");
    assert!(named.contains(" x FAKE\n") && !named.contains("claude"), "{named}");
    place.file("flow.yaml", &agent("claude"));
    let other = told(&place, &["--no-check-provider"]);
    assert!(other.contains(" x claude\n") && !says_fake(&other), "{other}");
}

#[test]
fn an_outcome_that_is_none_fails_the_task_and_a_killed_run_replays_the_others() {
    let paper = Paper::answered("name: x\ntasks:\n  t: {prompt: t, outcome: \"'stop'\"}\n", ECHO);
    let view = paper.run();
    let message = "task `t` failed: `outcome`: must be ok, skip, cancel, fail or retry, not `stop`";
    assert_eq!(view["error"]["message"], message);
    let wrong = found("name: x\ntasks:\n  t: {prompt: t, outcome: 'tasks.u'}\n");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    // Done again, then the process dies: the first pass is not made twice.
    let text = "name: x
steps:
  - {id: t, prompt: t, outcome: \"'retry' if loop.iteration < 2 else 'ok'\"}
  - {id: last, prompt: last}
";
    let guarded = Guarded::new(text, &[]);
    guarded.place.file(
        "answers.yaml",
        &answers("  - match: {label: last, attempt: 1}\n    crash: before_answer\n    text: x\n  - match: {label: '*'}\n    text: ok"),
    );
    guarded.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--no-input"]);
    let view = guarded.owf(&["resume", "latest", "--json"]).json();
    assert_eq!((&view["status"], &view["resumed"]), (&json!("done"), &json!("in_place")), "{view}");
    let labels: Vec<String> = crate::acca_support::labels(&guarded.place);
    assert_eq!(labels, ["t", "t", "last", "last"]);
}

#[test]
fn what_was_said_before_a_prompt_is_a_list_with_templates_or_an_expression_and_part_of_the_request() {
    let text = "name: x
tasks:
  a: {prompt: a}
  b:
    after: a
    messages:
      - {role: user, content: 'Say {{ input.word }}'}
      - {role: assistant, content: '{{ tasks.a }}'}
    prompt: And now?
  c: {after: b, messages: input.history, prompt: 'And {{ tasks.b }}?'}
";
    let paper = Paper::answered(text, ECHO);
    let history = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]);
    assert_eq!(paper.run_args(json!({"word": "x", "history": history}))["status"], "done");
    let events = paper.desk.events(&paper.latest());
    let asked: Vec<Value> =
        events.iter().filter(|e| e["type"] == "call_requested").map(|e| e["spec"]["ask"]["messages"].clone()).collect();
    let said = json!([{"role": "user", "content": "Say x"}, {"role": "assistant", "content": "<a>"}]);
    assert_eq!(asked, [Value::Null, said, history]);
    let view = paper.run_args(json!({"word": "x", "history": [{"role": "system", "content": "no"}]}));
    assert!(
        view["error"]["message"].as_str().unwrap().contains("`messages` must be a list of {role, content}"),
        "{view}"
    );
    for wrong in ["{prompt: p, messages: [{role: system, content: x}]}", "{expr: 1, messages: []}"] {
        let found = found(&format!("name: x\ntasks:\n  a: {wrong}\n"));
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
    }
}

#[test]
fn accept_094_delays_follow_the_declared_sequence_and_every_attempt_has_its_time_limit() {
    let text = "name: x
tasks:
  t: {prompt: t, retry: {max_attempts: 5, delay: 2ms, backoff: 3, max_delay: 20ms, jitter: none, on: [rate_limited]}}
  u: {prompt: u, timeout: 30ms, retry: {max_attempts: 3, on: [timeout]}, after: [t]}
";
    let rules = "  - match: {label: t}\n    fail_first: 4\n    error: {class: rate_limited, message: later}\n    text: ok\n  - match: {label: u}\n    never: true";
    let paper = Paper::answered(text, rules);
    assert_eq!(paper.run()["status"], "failed");
    let events = paper.desk.events(&paper.latest());
    let failed: Vec<(Value, Value)> = events
        .iter()
        .filter(|e| e["type"] == "attempt_failed")
        .map(|e| (e["error"]["class"].clone(), e["retry_in_ms"].clone()))
        .collect();
    let late = |ms: u64| (json!("rate_limited"), json!(ms));
    let out = (json!("timeout"), json!(0));
    assert_eq!(failed, [late(2), late(6), late(18), late(20), out.clone(), out]);
    let last = events.iter().rfind(|e| e["type"] == "call_finished").unwrap();
    assert_eq!((&last["outcome"]["status"], &last["outcome"]["attempts"]), (&json!("timeout"), &json!(3)));
}

#[test]
fn accept_101_a_cancel_ends_the_deepest_child_first_and_the_sixth_level_is_refused() {
    let guarded = Guarded::new("name: top\ntasks:\n  c: {workflow: ./middle.yaml}\n", &[]);
    guarded.place.file("middle.yaml", "name: middle\ntasks:\n  c: {workflow: ./low.yaml}\n  n: {prompt: near}\n");
    guarded.place.file("low.yaml", "name: low\ntasks:\n  n: {prompt: deep}\n");
    guarded.place.file("answers.yaml", &answers("  - match: {label: '*'}\n    never: true"));
    let ends = guarded.place.path().join("ends.jsonl").display().to_string();
    guarded.config(&format!("[events.ends]\nfile = {ends:?}\ntypes = [\"run_finished\"]\n"));
    let nested = |args: &[&str], levels: &str| {
        let mut command = guarded.place.command(args);
        command.env("OWF_CONFIG", guarded.place.path().join("config/config.toml")).env("OWF_NESTING", levels);
        command
    };
    let mut command = nested(&["run", "flow.yaml", "--fixtures", "answers.yaml"], "2");
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually(Duration::from_secs(2), "both levels call", || guarded.invocations() == 2);
    let run = guarded.owf(&["runs", "--json"]).json()["runs"][0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(guarded.owf(&["cancel", &run, "--json"]).json()["status"], "cancelled");
    child.wait().unwrap();
    let lines = guarded.place.log("ends.jsonl");
    let order: Vec<(&str, &str)> = lines
        .iter()
        .map(|l| (l["workflow"].as_str().unwrap(), l["data"]["outcome"]["status"].as_str().unwrap()))
        .collect();
    assert_eq!(order, [("low", "cancelled"), ("middle", "cancelled"), ("top", "cancelled")]);
    guarded.place.file("self.yaml", "name: self\ntasks:\n  c: {workflow: ./self.yaml}\n");
    let view = printed(&nested(&["run", "self.yaml", "--json"], "5").output().unwrap()).json();
    let message = view["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("workflow() may be nested 5 deep; this call would be level 6"), "{message}");
    let refused = printed(&nested(&["run", "self.yaml", "--json"], "6").output().unwrap());
    assert_eq!(refused.code, 2, "a sixth level cannot be configured: {refused:?}");
}

#[test]
fn accept_102_cleanups_run_last_first_whatever_the_end_and_one_that_hangs_holds_up_no_other() {
    let text = "name: x
steps:
  - {id: a, prompt: a, cleanup: note}
  - {id: b, prompt: b, cleanup: [note, hangs, note2]}
  - {id: c, prompt: '{{ input.word }}', cleanup: note}
  - {id: never, prompt: d, cleanup: note}
";
    let notes = |more: &str| {
        format!(
            "read line\necho \"$line\" | sed 's/.*\"label\":\"\\([a-z]*\\)\".*/{more}\\1/' >> notes\necho \"$line\" | sed 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/' >> status\n"
        )
    };
    let (note, note2) = (notes(""), notes("again "));
    let at = "at = \"cleanup\"";
    let quick = format!("{at}\ntimeout_seconds = 0.2");
    let guarded = Guarded::new(text, &[("note", &note, at), ("note2", &note2, at), ("hangs", "sleep 600", &quick)]);
    guarded.place.file(
        "answers.yaml",
        &answers("  - match: {label: c, prompt: slow}\n    delay_ms: 60000\n    text: x\n  - match: {label: '*'}\n    text: ok"),
    );
    let config = guarded.place.path().join("config/config.toml");
    let mut command = guarded.place.command(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--arg", "word=slow"]);
    command.env("OWF_CONFIG", config).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    eventually(Duration::from_secs(2), "the long step runs", || guarded.invocations() == 3);
    let run = guarded.owf(&["runs", "--json"]).json()["runs"][0]["run_id"].as_str().unwrap().to_owned();
    guarded.owf(&["cancel", &run, "--json"]);
    child.wait().unwrap();
    let view = guarded.owf(&["status", &run, "--json"]).json();
    assert_eq!(view["status"], "cancelled", "{view}");
    let read = |name: &str| std::fs::read_to_string(guarded.place.path().join(name)).unwrap();
    assert_eq!(read("notes"), "c\nagain b\nb\na\n");
    assert_eq!(read("status"), "cancelled\n".repeat(4));
    let message = "cleanup `hangs` of `b` (c0002) failed: it took longer than 200 ms";
    let warning = json!({"code": "cleanup_failed", "message": message});
    assert!(view["warnings"].as_array().unwrap().contains(&warning), "{view}");
    std::fs::remove_file(guarded.place.path().join("notes")).unwrap();
    assert_eq!(guarded.run_with(&["--arg", "word=x", "--cache-policy", "disabled"])["status"], "done");
    assert_eq!(read("notes"), "never\nc\nagain b\nb\na\n");
}

#[test]
fn a_cleanup_of_a_task_that_was_begun_twice_runs_once() {
    let text = "name: x\nsteps:\n  - {id: first, prompt: a, cleanup: note}\n  - {id: last, prompt: b, cleanup: note}\n";
    let note = "sed 's/.*\"label\":\"\\([a-z]*\\)\".*/\\1/' >> notes\n";
    let guarded = Guarded::new(text, &[("note", note, "at = \"cleanup\"")]);
    guarded.place.file(
        "answers.yaml",
        &answers("  - match: {label: last, attempt: 1}\n    crash: before_answer\n    text: x\n  - match: {label: '*'}\n    text: ok"),
    );
    let crashed = guarded.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--json"]);
    assert!(!matches!(crashed.code, 0..=3), "{crashed:?}");
    let notes = || std::fs::read_to_string(guarded.place.path().join("notes")).unwrap_or_default();
    assert_eq!(notes(), "", "a run that was interrupted has not ended");
    assert_eq!(guarded.owf(&["resume", "latest", "--json"]).json()["status"], "done");
    assert_eq!(notes(), "last\nfirst\n");
}
