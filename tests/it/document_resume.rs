//! Documents that stop and go on: failures, kills, edits, questions, children; and the same scenario as a script.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use owf::engine::Execution;
use owf::engine::params::{ResumeParams, RunParams, SourceChoice};
use serde_json::{Value, json};

use crate::document_support::{Paper, map};
use crate::support::cli::{Place, Printed, eventually};

const ECHO: &str = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'";

#[test]
fn accept_071_a_failure_at_the_last_of_five_is_resumed_with_one_call() {
    let paper = Paper::answered(
        "name: x
tasks:
  a: {prompt: a, schema: {type: object, properties: {k: {type: string}}, required: [k]}}
  b: {after: a, prompt: b}
  c: {after: b, prompt: c}
  d: {after: c, prompt: d}
  e: {after: d, prompt: 'e {{ tasks.a.data.k }}'}
",
        "  - match: {label: a}\n    json: {k: kept}\n  - match: {label: e}\n    fail_first: 1\n    error: {class: refusal, message: no}\n    text: ok\n  - match: {label: '*'}\n    text: ok",
    );
    assert_eq!(paper.run()["status"], "failed");
    assert_eq!(paper.desk.invocations(), 5);
    let view = paper.resume();
    assert_eq!((&view["status"], &view["resumed"]), (&json!("done"), &json!("new_run")));
    assert_eq!(paper.desk.labels(), ["a", "b", "c", "d", "e", "e"]);
    assert_eq!(paper.prompts()[4], "e kept");
}

#[test]
fn accept_072_a_killed_run_goes_on_in_place() {
    let place = Place::new();
    place.file(
        "flow.yaml",
        "name: x\nsteps:\n  - {id: a, prompt: a}\n  - {id: n, expr: '1 + 1'}\n  - {id: b, prompt: 'b {{ tasks.n }}'}\n",
    );
    place.file(
        "answers.yaml",
        "owf_fixtures: 1\ninvocation_log: calls.jsonl\nrules:\n  - match: {label: a}\n    text: ok\n  - match: {label: b, occurrence: 1, attempt: 1}\n    never: true\n  - match: {label: b}\n    text: done\n",
    );
    let mut child = place.spawn(&["run", "flow.yaml", "--fixtures", "answers.yaml"]);
    eventually(Duration::from_secs(2), "b is asked", || place.log("calls.jsonl").len() == 2);
    // An attempt that changes nothing does not wait for the disk; one that is not on record is the first once more.
    eventually(Duration::from_secs(2), "its start is on record", || {
        let calls = place.json(&["calls", "latest", "--json"])["calls"].clone();
        calls.as_array().unwrap().iter().any(|call| call["label"] == "b" && call["attempts"] == 1)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let view = place.json(&["resume", "latest", "--json"]);
    assert_eq!((&view["status"], &view["resumed"]), (&json!("done"), &json!("in_place")), "{view}");
    let labels: Vec<Value> = place.log("calls.jsonl").iter().map(|l| l["label"].clone()).collect();
    assert_eq!(labels, ["a", "b", "b"]);
    assert_eq!(place.json(&["output", "latest", "--json"])["output"], "done");
}

fn current() -> ResumeParams {
    ResumeParams { source: Some(SourceChoice::Current), ..ResumeParams::default() }
}

#[test]
fn accept_077_an_edited_prompt_runs_again_with_what_comes_after_it() {
    let text = "name: x
tasks:
  a: {prompt: a}
  b: {after: a, prompt: 'b {{ tasks.a }}'}
  c: {after: b, prompt: 'c {{ tasks.b }}'}
  d: {after: a, prompt: 'd {{ tasks.a }}'}
defaults: {cache: disabled}
";
    let paper = Paper::answered(text, ECHO);
    paper.run();
    assert_eq!(paper.desk.labels().len(), 4);
    paper.write(&text.replace("'b {{", "'better {{"));
    let view = paper.desk.resume(current());
    assert_eq!(view["status"], "done");
    let mut again = paper.desk.labels()[4..].to_vec();
    again.sort();
    assert_eq!(again, ["b", "c"]);
    assert_eq!(paper.output(), json!({"c": "<c <better <a>>>", "d": "<d <a>>"}));
    // By the journal, as no cache had a part in it.
    let rows = paper.desk.explain("latest")["calls"].clone();
    let mut how: Vec<(&str, &str)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["label"].as_str().unwrap(), row["cache_status"].as_str().unwrap()))
        .collect();
    how.sort_unstable();
    assert_eq!(how, [("a", "replayed"), ("b", "disabled"), ("c", "disabled"), ("d", "replayed")]);
    // A task that comes after what was edited and asks the same as before is not asked again.
    let chain = "name: x\nsteps:\n  - {id: a, prompt: a}\n  - {id: b, prompt: b}\n  - {id: c, prompt: c}\n";
    let paper = Paper::answered(chain, ECHO);
    paper.run();
    paper.write(&chain.replace("prompt: b", "prompt: better"));
    assert_eq!(paper.desk.resume(current())["status"], "done");
    assert_eq!(paper.desk.labels(), ["a", "b", "c", "b"]);
}

#[test]
fn accept_075_a_longer_list_in_another_order_asks_only_for_what_is_new() {
    let paper = Paper::answered("name: x\ntasks:\n  all: {for_each: input.items, prompt: '{{ item }}'}\n", ECHO);
    paper.run_args(json!({"items": ["a", "b"]}));
    let args = json!({"items": ["NEW", "b", "a"]}).as_object().unwrap().clone();
    let view = paper.desk.resume(ResumeParams { args: Some(args), ..ResumeParams::default() });
    assert_eq!(view["status"], "done");
    assert_eq!(paper.output(), json!(["<NEW>", "<b>", "<a>"]));
    assert_eq!(paper.desk.invocations(), 3);
}

const ASK: &str = "name: x
steps:
  - {id: before, prompt: before}
  - id: apply
    approval: {message: 'Apply {{ tasks.before }}?', metadata: {n: 1}}
    prompt: apply
  - {id: after, prompt: after}
";

/// Pending questions of a place, newest run first.
fn pending(place: &Place) -> Value {
    place.json(&["approvals", "--json"])["approvals"].clone()
}

fn asked(text: &str) -> (Place, String) {
    let place = Place::new();
    place.file("flow.yaml", text);
    place.file("answers.yaml", &crate::acca_support::answers(ECHO));
    let printed = place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--json"]);
    assert_eq!(printed.code, 3, "{printed:?}");
    let run = printed.json()["run_id"].as_str().unwrap().to_owned();
    (place, run)
}

fn decide(place: &Place, word: &str, row: &Value, hash: &str) -> crate::support::cli::Printed {
    let (run, id) = (row["run_id"].as_str().unwrap(), row["approval_id"].as_str().unwrap());
    place.owf(&[word, run, id, "--content-hash", hash, "--json"])
}

fn settled(place: &Place, run: &str) -> Value {
    place.owf(&["wait", run, "--json"]);
    place.json(&["status", run, "--json"])
}

#[test]
fn accept_082_083_and_084_a_question_outlives_its_process_and_is_decided_once() {
    let (place, run) = asked(ASK);
    assert!(!place.store().is_live(&run.parse().unwrap()), "no process waits with it");
    assert_eq!(crate::acca_support::labels(&place), ["before"]);
    let rows = pending(&place);
    let row = &rows[0];
    assert_eq!((&row["message"], &row["metadata"]), (&json!("Apply <before>?"), &json!({"n": 1})));
    let hash = row["content_hash"].as_str().unwrap();
    let wrong = decide(&place, "approve", row, "00000000");
    assert_eq!((wrong.code, wrong.json()["error"]["code"].clone()), (2, json!("content_changed")));
    assert_eq!(decide(&place, "approve", row, hash).code, 0);
    let again = decide(&place, "deny", row, hash);
    assert_eq!(again.code, 2, "{again:?}");
    let view = settled(&place, &run);
    assert_eq!(view["status"], "done", "{view}");
    assert_eq!(crate::acca_support::labels(&place), ["before", "apply", "after"]);
    let decided = place.json(&["approvals", "--state", "approved", "--json"])["approvals"][0].clone();
    assert_eq!((&decided["state"], &decided["decided_via"]), (&json!("approved"), &json!("cli")), "{decided}");
    assert!(decided["decided_at"].is_string(), "{decided}");
}

#[test]
fn accept_085_a_decision_read_for_another_step_or_another_version_of_the_document_is_refused() {
    let text = "name: x
tasks:
  one: {approval: 'Go on?', prompt: first}
  two: {approval: 'Go on?', prompt: second}
";
    let (place, run) = asked(text);
    let rows = pending(&place);
    let hash = |row: &Value| row["content_hash"].as_str().unwrap().to_owned();
    let by = |rows: &Value, id: &str| rows.as_array().unwrap().iter().find(|r| r["approval_id"] == id).unwrap().clone();
    let (one, two) = (by(&rows, "a1"), by(&rows, "a2"));
    let code = |printed: crate::support::cli::Printed| (printed.code, printed.json()["error"]["code"].clone());
    let changed = || (2, json!("content_changed"));
    // The same words, asked for two steps.
    assert_ne!(hash(&one), hash(&two));
    assert_eq!(code(decide(&place, "approve", &one, &hash(&two))), changed());
    assert_eq!(code(decide(&place, "deny", &two, &hash(&one))), changed());
    // Another version: what the step does is another matter, though the question reads the same.
    place.file("flow.yaml", &text.replace("prompt: first", "prompt: another"));
    let again = place.owf(&["resume", &run, "--source", "current", "--json"]).json();
    let next = pending(&place);
    assert_eq!(next.as_array().unwrap().len(), 2, "those of the run before are gone: {next}");
    assert!(next.as_array().unwrap().iter().all(|row| row["run_id"] == again["run_id"]), "{next}");
    for id in ["a1", "a2"] {
        let row = by(&next, id);
        assert_eq!(code(decide(&place, "approve", &row, &hash(&by(&rows, id)))), changed(), "{row}");
        assert_eq!(decide(&place, "approve", &row, &hash(&row)).code, 0);
    }
    let id = again["run_id"].as_str().unwrap();
    assert_eq!(settled(&place, id)["status"], "done");
    let mut asked = crate::acca_support::labels(&place);
    asked.sort();
    assert_eq!(asked, ["one", "two"], "nothing ran before it was allowed");
}

/// Nothing was done, as somebody changed what is stored.
fn assert_refused(printed: &Printed, run: &str) {
    let error = printed.json()["error"].clone();
    assert_eq!(
        (printed.code, &error["code"], &error["run_id"]),
        (4, &json!("store_corrupt"), &json!(run)),
        "{printed:?}"
    );
    assert_eq!(error["message"], format!("what is stored of run {run} was changed by something other than owf"));
}

#[test]
fn accept_086_what_waits_is_json_in_the_store_and_changing_the_tables_around_it_changes_nothing() {
    let text = "name: x
state: {initial: {n: 1}}
steps:
  - {id: before, expr: 2, set: {n: '{{ state.n + output }}'}}
  - {id: apply, approval: 'Apply {{ state.n }}?', prompt: 'apply {{ state.n }}'}
  - {id: end, expr: [state.n, tasks.apply]}
";
    let (place, run) = asked(text);
    let database = || rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
    let bodies: Vec<String> = {
        let database = database();
        let mut select = database.prepare("SELECT body FROM event").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert!(bodies.len() > 5);
    for body in &bodies {
        assert!(serde_json::from_str::<Value>(body).unwrap()["type"].is_string(), "{body}");
    }
    // What is derived from the journal may say what it will: nothing is decided by it, and nothing runs.
    for change in [
        "UPDATE call SET status = 'done', label = 'changed', attempts = 7, cost_nanos = 5",
        "UPDATE approval SET note = replace(note, 'Apply 3?', 'Apply nothing?'), state = 'approved', decision = 'approve', decided_at = 1, decided_by = 'mallory'",
    ] {
        assert!(database().execute(change, []).unwrap() > 0, "{change}");
    }
    let resumed = place.owf(&["resume", &run, "--json"]);
    assert_eq!((resumed.code, &resumed.json()["status"]), (3, &json!("paused")), "{resumed:?}");
    assert_eq!(crate::acca_support::labels(&place), Vec::<String>::new());
    // A question that reads other than it was asked takes no answer.
    database().execute("UPDATE approval SET state = 'pending', decision = NULL, decided_at = NULL", []).unwrap();
    let rows = pending(&place);
    assert_eq!(rows[0]["message"], "Apply nothing?");
    let hash = rows[0]["content_hash"].as_str().unwrap();
    assert_refused(&decide(&place, "approve", &rows[0], hash), &run);
    database().execute("UPDATE approval SET note = replace(note, 'Apply nothing?', 'Apply 3?')", []).unwrap();
    // Nor does one of a run whose journal is not as it was written, and that run is not taken up.
    for (from, to) in [("Apply 3?", "Apply 4?"), ("\"value\":2", "\"value\":22222")] {
        let swap = "UPDATE event SET body = replace(body, ?1, ?2) WHERE instr(body, ?1)";
        assert!(database().execute(swap, [from, to]).unwrap() > 0, "{from}");
        assert_refused(&place.owf(&["resume", &run, "--json"]), &run);
        assert_refused(&place.owf(&["resume", &run, "--retry-failed", "--json"]), &run);
        assert_refused(&decide(&place, "approve", &rows[0], hash), &run);
        // Nor by a process that was about to take it up.
        let started = place.owf(&["supervise", &run]);
        assert!(started.code == 4 && started.err.contains("was changed by something other than owf"), "{started:?}");
        let doctor = place.owf(&["doctor", "--json"]);
        assert!(
            doctor.out.contains(&format!("run {run}: its journal was changed by something other than owf")),
            "{doctor:?}"
        );
        assert_eq!(place.json(&["status", &run, "--json"])["status"], "paused", "it can be looked at");
        assert!(database().execute(swap, [to, from]).unwrap() > 0, "{to}");
    }
    // The document is not run when it is no longer what was pinned.
    let change =
        "UPDATE source SET bytes = CAST(replace(CAST(bytes AS TEXT), 'prompt: ''apply', 'prompt: ''hack') AS BLOB)";
    assert!(database().execute(change, []).unwrap() > 0);
    let resumed = place.owf(&["resume", &run, "--json"]);
    assert!(resumed.code == 4 && resumed.out.contains("was changed"), "{resumed:?}");
    assert_eq!(crate::acca_support::labels(&place), Vec::<String>::new());
}

#[test]
fn accept_082_a_denied_task_makes_no_attempt_and_fails_the_run_or_is_routed() {
    let (place, run) = asked(ASK);
    let rows = pending(&place);
    assert_eq!(decide(&place, "deny", &rows[0], rows[0]["content_hash"].as_str().unwrap()).code, 0);
    let view = settled(&place, &run);
    assert_eq!(view["status"], "failed");
    let message = view["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("task `apply` was denied by "), "{message}");
    let calls = place.json(&["calls", &run, "--json"])["calls"].clone();
    let rows: Vec<(String, String)> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["label"].as_str().unwrap().to_owned(), c["status"].as_str().unwrap().to_owned()))
        .collect();
    let row = |label: &str, status: &str| (label.to_owned(), status.to_owned());
    assert_eq!(rows, [row("before", "done"), row("apply", "done"), row("apply", "denied"), row("after", "cancelled")]);
    assert_eq!(crate::acca_support::labels(&place), ["before"]);

    let routed = ASK.replace("    prompt: apply\n", "    prompt: apply\n    routes: {ok: after, deny: END}\n");
    let (place, run) = asked(&routed);
    let rows = pending(&place);
    assert_eq!(decide(&place, "deny", &rows[0], rows[0]["content_hash"].as_str().unwrap()).code, 0);
    assert_eq!(settled(&place, &run)["status"], "done");
    assert_eq!(crate::acca_support::labels(&place), ["before"]);
}

#[test]
fn accept_087_a_second_question_pauses_again_and_an_expiry_counts_as_declared() {
    let (place, run) = asked(
        "name: x
steps:
  - {id: one, approval: 'First?'}
  - id: two
    approval: {message: 'Second?', timeout: 300ms, on_timeout: approve}
  - {id: end, expr: {one: '{{ tasks.one.decision }}', two: '{{ tasks.two.data.by }}'}}
",
    );
    let rows = pending(&place);
    assert_eq!(decide(&place, "approve", &rows[0], rows[0]["content_hash"].as_str().unwrap()).code, 0);
    eventually(Duration::from_secs(3), "the second question expires", || {
        place.owf(&["resume", &run, "--json"]);
        place.json(&["status", &run, "--json"])["status"] == "done"
    });
    assert_eq!(place.json(&["output", &run, "--json"])["output"], json!({"one": "approve", "two": "timeout"}));
}

#[test]
fn accept_088_a_child_that_waits_pauses_its_parent_and_a_childs_failure_can_be_looked_at() {
    let place = Place::new();
    place.file("child.yaml", "name: child\nsteps:\n  - {id: q, approval: 'Child?'}\n  - {id: r, expr: input.n + 1}\n");
    place.file("bad.yaml", "name: bad\nsteps:\n  - {id: r, expr: '1 + []'}\n");
    place.file(
        "flow.yaml",
        "name: x
tasks:
  bad: {workflow: ./bad.yaml, allow_failure: true}
  kid: {workflow: ./child.yaml, args: {n: 4}}
  end: {after: [bad, kid], expr: {kid: '{{ tasks.kid }}', bad: '{{ tasks.bad.error }}'}}
",
    );
    let printed = place.owf(&["run", "flow.yaml", "--json"]);
    assert_eq!(printed.code, 3, "{printed:?}");
    let run = printed.json()["run_id"].as_str().unwrap().to_owned();
    let rows = pending(&place);
    assert_eq!(decide(&place, "approve", &rows[0], rows[0]["content_hash"].as_str().unwrap()).code, 0);
    let view = settled(&place, &run);
    assert_eq!(view["status"], "done", "{view}");
    let output = place.json(&["output", &run, "--json"])["output"].clone();
    assert_eq!(output["kid"], 5);
    assert!(output["bad"].as_str().unwrap().starts_with("task `r` failed: "), "{output}");
}

/// Kind, key, occurrence and status of every call of the latest run, and what it returned.
fn traits(paper: &Paper, run: &str) -> (Vec<Value>, Vec<Value>, Value) {
    let events = paper.desk.events(run);
    let requested = events.iter().filter(|e| e["type"] == "call_requested");
    let asked =
        requested.map(|e| json!([e["call_id"], e["spec"]["kind"], e["key"], e["occurrence"], e["spec"]["label"]]));
    let course = events.iter().filter(|e| e["call_id"].is_number() || e["call_id"].is_string());
    let course = course.map(|e| json!([e["type"], e["call_id"], e["outcome"]["status"], e["outcome"]["value"]]));
    (asked.collect(), course.collect(), paper.output())
}

#[test]
fn accept_115_the_same_scenario_as_script_and_as_document_is_the_same_run() {
    let document = "name: same
agents:
  critic: {system_prompt: Be brief., model: m1}
tasks:
  write: {prompt: 'Write about {{ input.topic }}.'}
  ask: {after: write, approval: {message: 'Go on?', metadata: {text: '{{ tasks.write }}'}, timeout: 1h}}
  each:
    after: ask
    for_each: input.items
    agent: critic
    prompt: 'Judge {{ item.name }} by {{ tasks.write }}'
    schema: {type: object, properties: {score: {type: integer}}, required: [score]}
  again1: {after: each, prompt: again}
  again2: {after: again1, prompt: again}
result:
  scores: '{{ tasks.each }}'
  again: ['{{ tasks.again1 }}', '{{ tasks.again2 }}']
";
    let script = "const write = await agent(`Write about ${args.topic}.`, {label: 'write'});
await owf.approve({message: 'Go on?', metadata: {text: write}, expiresInMs: 3600000});
const schema = {type: 'object', properties: {score: {type: 'integer'}}, required: ['score']};
const each = await parallel(args.items.map((item, i) => () =>
    agent(`Judge ${item.name} by ${write}`, {label: `each[${i}]`, system: 'Be brief.', model: 'm1', schema})));
const again1 = await agent('again', {label: 'again1'});
const again2 = await agent('again', {label: 'again2'});
return {scores: each, again: [again1, again2]};";
    let rules =
        "  - match: {has_schema: true}\n    json: {score: 3}\n  - match: {label: '*'}\n    text: '{{ label }}!'";
    let args = json!({"topic": "x", "items": [{"name": "a"}, {"name": "b"}]});
    let paper = Paper::answered(document, rules);
    paper.desk.workflow("same", script);
    let mut seen = Vec::new();
    for path in ["flow.yaml", "same.js"] {
        let params = RunParams {
            path: Some(path.to_owned()),
            args: args.as_object().cloned(),
            fixtures: Some("answers.yaml".to_owned()),
            cache_policy: Some(owf::core::call::CachePolicy::Disabled),
            ..RunParams::default()
        };
        let started = paper.desk.engine.start(&params, Execution::InProcess { linger_on_approvals: false }).unwrap();
        let view = paper.desk.finish(started);
        assert_eq!(view["status"], "paused", "{view}");
        let run = view["run_id"].as_str().unwrap().to_owned();
        let place = &paper.desk.place;
        let rows = pending(place);
        let mine = rows.as_array().unwrap().iter().find(|r| r["run_id"] == json!(run)).unwrap().clone();
        assert_eq!(decide(place, "approve", &mine, mine["content_hash"].as_str().unwrap()).code, 0);
        assert_eq!(settled(place, &run)["status"], "done");
        seen.push(traits(&paper, &run));
    }
    let labels = |seen: &(Vec<Value>, Vec<Value>, Value)| {
        seen.0.iter().map(|row| json!([row[0], row[1], row[2], row[3]])).collect::<Vec<_>>()
    };
    assert_eq!(labels(&seen[0]), labels(&seen[1]));
    assert_eq!(seen[0].1, seen[1].1);
    assert_eq!(seen[0].2, seen[1].2);
    assert_eq!(paper.states()["again2"], map(&[("again2", "done")])["again2"]);
}
