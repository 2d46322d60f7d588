//! Going on with runs: what is replayed, what runs again, which source runs, and who may.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use owf::core::call::CachePolicy;
use owf::core::failure::Code;
use owf::engine::params::{ResumeParams, RunParams, SourceChoice};
use serde_json::{Value, json};

use crate::acca_support::{Counting, Desk, LOG, answers, ended, engine_over, labels, script, texts};
use crate::support::cli::{Place, eventually};

/// Five answers to one request, then `more`.
const FIVE: &str = "  - match: { prompt: Same }
    answers: [{ text: one }, { text: two }, { text: three }, { text: four }, { text: five }, { text: more }]";

/// Runs a workflow until the provider was asked `calls` times, then leaves it as a Ctrl-C does.
fn interrupted(desk: &Desk, name: &str, params: RunParams, asked: impl FnMut() -> bool) -> String {
    let handle = desk.start(name, params).unwrap().handle.unwrap();
    eventually(Duration::from_secs(1), "the call in flight", asked);
    handle.interrupt();
    ended(&handle);
    handle.run_id().to_string()
}

fn with_provider(name: &str) -> RunParams {
    RunParams { provider: Some(name.to_owned()), ..RunParams::default() }
}

#[test]
fn accept_012_the_same_prompt_five_times_is_five_calls_replayed_in_order() {
    let desk = Desk::new();
    desk.answers(FIVE);
    desk.workflow("same", "const out = []; for (let i = 0; i < 5; i++) out.push(await agent('Same.')); return out");
    let numbers = json!(["one", "two", "three", "four", "five"]);
    let first = desk.run("same");
    assert_eq!((&first["output"], desk.cache(), desk.invocations()), (&numbers, vec!["miss".to_owned(); 5], 5));
    let resumed = desk.resume(ResumeParams::default());
    assert_eq!((&resumed["output"], desk.invocations()), (&numbers, 5));
    assert_eq!(resumed["reuse"], json!({"replayed": 5, "rerun": 0, "rerun_reasons": {}, "saved_usd": 0}));
    let rows = &desk.explain("latest")["calls"];
    for (row, call) in rows.as_array().unwrap().iter().zip(["c0001", "c0002", "c0003", "c0004", "c0005"]) {
        assert_eq!((&row["call_id"], &row["cache_status"]), (&json!(call), &json!("replayed")));
        assert_eq!(row["from"], json!({"run_id": first["run_id"], "call_id": call}));
    }
    let again = desk.run("same");
    assert_eq!((&again["output"], desk.cache(), desk.invocations()), (&numbers, vec!["hit".to_owned(); 5], 5));
}

#[test]
fn accept_012_a_sixth_occurrence_is_asked_and_says_that_only_five_were_recorded() {
    let desk = Desk::new();
    desk.answers(FIVE);
    let body =
        |n: u32| format!("const out = []; for (let i = 0; i < {n}; i++) out.push(await agent('Same.')); return out");
    desk.workflow("same", &body(5));
    desk.run("same");
    desk.workflow("same", &body(6));
    let resumed = desk.resume(ResumeParams { source: Some(SourceChoice::Current), ..ResumeParams::default() });
    assert_eq!(resumed["output"], json!(["one", "two", "three", "four", "five", "more"]));
    assert_eq!((desk.invocations(), &desk.cache()[4..]), (6, &["replayed".to_owned(), "miss".to_owned()][..]));
    let row = &desk.explain("latest")["calls"][5];
    assert_eq!(
        (&row["reason_code"], &row["reason"]),
        (&json!("occurrence"), &json!("the same request for the 6. time; only 5 answers to it are recorded"))
    );
    // The answer is the sixth in the cache too.
    let again = desk.run("same");
    assert_eq!(
        (&again["output"], desk.cache(), desk.invocations()),
        (&resumed["output"], vec!["hit".to_owned(); 6], 6)
    );
}

#[test]
fn accept_013_five_equal_calls_at_once_keep_their_indexes_and_their_order() {
    let desk = Desk::new();
    // The later an answer was asked for, the sooner it comes.
    desk.answers(
        "  - match: { prompt: Same }
    answers:
      - { text: one, delay_ms: 50 }
      - { text: two, delay_ms: 40 }
      - { text: three, delay_ms: 30 }
      - { text: four, delay_ms: 20 }
      - { text: five, delay_ms: 10 }",
    );
    desk.workflow("same", "return await parallel([1, 2, 3, 4, 5].map(i => () => agent('Same.', { label: 'n' + i })))");
    let numbers = json!(["one", "two", "three", "four", "five"]);
    let first = desk.run("same");
    assert_eq!((&first["output"], desk.invocations()), (&numbers, 5));
    let index = |run: &str| -> Vec<(Value, Value)> {
        let rows = desk.calls(run);
        rows.as_array().unwrap().iter().map(|r| (r["call_index"].clone(), r["label"].clone())).collect()
    };
    let expected: Vec<_> = (1..=5).map(|i| (json!(i), json!(format!("n{i}")))).collect();
    assert_eq!(index("latest"), expected);
    let resumed = desk.resume(ResumeParams::default());
    assert_eq!((&resumed["output"], desk.invocations(), index("latest")), (&numbers, 5, expected));
    assert_eq!(texts(&desk.explain("latest")["calls"], "cache_status"), vec!["replayed"; 5]);
}

const EDITING: &str = "phase('Work');
 const first = await agent('First.', { label: 'first' });
 const [look, patch] = await parallel([
   () => agent('Look.', { label: 'look' }),
   () => agent('Patch.', { label: 'patch', writeScope: ['out'] }),
 ]);
 return { first, look, patch };";

/// A run killed while a read-only and a mutating call are in flight. Answers come at the second attempt.
fn killed() -> (Place, String) {
    let place = Place::new();
    place.file("edit.js", &script("edit", EDITING));
    place.file(
        "answers.yaml",
        &answers(
            "  - match: { label: first }
    text: first
  - match: { attempt: 1 }
    never: true
  - text: '{{ label }} at attempt {{ attempt }}'",
        ),
    );
    let mut child = place.spawn(&["run", "edit.js", "--fixtures", "answers.yaml", "--no-input"]);
    eventually(Duration::from_secs(1), "three invocations", || place.log(LOG).len() == 3);
    // An attempt that is not on disk did not happen, as far as a resume knows: the rule would take the next for the first.
    eventually(Duration::from_secs(1), "three attempts on disk", || {
        let calls = place.json(&["calls", "latest", "--json"])["calls"].clone();
        calls.as_array().unwrap().iter().filter(|call| call["attempts"] == 1).count() == 3
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let run = place.json(&["status", "--json"])["run_id"].as_str().unwrap().to_owned();
    (place, run)
}

#[test]
fn accept_016_a_killed_run_shows_interrupted_everywhere() {
    let (place, run) = killed();
    let status = place.json(&["status", &run, "--json"]);
    assert_eq!((&status["status"], &status["status_reason"]), (&json!("interrupted"), &json!("owner_gone")));
    assert_eq!((&status["counts"]["running"], &status["counts"]["queued"]), (&json!(0), &json!(2)));
    assert_eq!(status["run"]["owner"], Value::Null);
    let list = place.json(&["runs", "--json"]);
    assert_eq!(list["runs"][0]["status"], "interrupted");
    assert_eq!(place.json(&["calls", &run, "--json"])["status"], "interrupted");
    let wait = place.owf(&["wait", &run, "--json"]);
    assert_eq!((wait.code, &wait.json()["status"]), (3, &json!("interrupted")));
}

#[test]
fn accept_015_a_mutating_call_in_flight_is_asked_about_and_runs_again_when_approved() {
    let (place, run) = killed();
    let before = place.json(&["calls", &run, "3", "--json"]);
    assert_eq!(before["call"]["possibly_repeated"], json!(true), "{before}");
    let resumed = place.owf(&["resume", &run, "--no-input", "--json"]);
    let view = resumed.json();
    assert_eq!(
        (resumed.code, &view["status"], &view["status_reason"]),
        (3, &json!("paused"), &json!("repeat")),
        "{view}"
    );
    let question = &view["approvals"][0];
    assert_eq!(
        (&question["kind"], &question["call_id"], &question["approval_id"]),
        (&json!("repeat"), &json!("c0003"), &json!("a1")),
        "{question}"
    );
    assert_eq!(labels(&place), ["first", "look", "patch", "look"], "what only reads ran again, the edit did not");
    let approved = place.json(&["approve", &run, "--reason", "harmless", "--json"]);
    assert_eq!(approved["decision"]["state"], "approved");
    assert_eq!(place.owf(&["wait", &run, "--no-input"]).code, 0);
    assert_eq!(
        place.json(&["output", &run, "--json"])["output"],
        json!({"first": "first", "look": "look at attempt 2", "patch": "patch at attempt 2"})
    );
    assert_eq!(labels(&place), ["first", "look", "patch", "look", "patch"]);
    let call = &place.json(&["calls", &run, "3", "--json"])["call"];
    assert_eq!(
        (&call["possibly_repeated"], &call["status"], &call["attempts"]),
        (&json!(true), &json!("done"), &json!(2))
    );
    assert_eq!(place.json(&["calls", &run, "2", "--json"])["call"]["possibly_repeated"], Value::Null);
}

#[test]
fn accept_015_a_mutating_call_in_flight_that_is_not_to_be_repeated_is_skipped() {
    let (place, run) = killed();
    assert_eq!(place.owf(&["resume", &run, "--no-input"]).code, 3);
    let denied = place.json(&["deny", &run, "--reason", "by hand", "--json"]);
    assert_eq!(denied["decision"]["state"], "denied");
    assert_eq!(place.owf(&["wait", &run, "--no-input"]).code, 0);
    assert_eq!(
        place.json(&["output", &run, "--json"])["output"],
        json!({"first": "first", "look": "look at attempt 2", "patch": null})
    );
    let call = &place.json(&["calls", &run, "3", "--json"])["call"];
    assert_eq!((&call["possibly_repeated"], &call["status"]), (&json!(true), &json!("skipped")));
    assert_eq!(labels(&place), ["first", "look", "patch", "look"]);
}

#[test]
fn accept_015_a_mutating_call_in_flight_is_asked_about_by_a_new_run_too() {
    let (place, run) = killed();
    place.file("edit.js", &script("edit", &format!("log('edited');\n{EDITING}")));
    let resumed = place.owf(&["resume", &run, "--source", "current", "--no-input", "--json"]);
    let view = resumed.json();
    assert_eq!((&view["resumed"], &view["resumed_from"]), (&json!("new_run"), &json!(run)), "{view}");
    assert_eq!((resumed.code, &view["status"], &view["status_reason"]), (3, &json!("paused"), &json!("repeat")));
    assert_eq!((&view["approvals"][0]["kind"], &view["approvals"][0]["call_id"]), (&json!("repeat"), &json!("c0003")));
    assert_eq!(labels(&place), ["first", "look", "patch", "look"]);
    assert_eq!(place.json(&["status", &run, "--json"])["status"], "cancelled");
}

#[test]
fn accept_017_a_run_that_goes_on_in_place_keeps_its_id_and_its_earlier_events() {
    let desk = Desk::new();
    desk.answers("  - match: { label: b, attempt: 1 }\n    never: true\n  - text: '{{ label }}'");
    desk.workflow("two", "return [await agent('A.', { label: 'a' }), await agent('B.', { label: 'b' })]");
    let run = interrupted(&desk, "two", RunParams::default(), || desk.invocations() == 2);
    let before = desk.events(&run);
    assert_eq!(desk.status(&run)["status"], "interrupted");
    let view = desk.resume(ResumeParams::default());
    assert_eq!(
        (&view["run_id"], &view["resumed"], &view["resumed_from"]),
        (&json!(run), &json!("in_place"), &Value::Null)
    );
    assert_eq!((&view["status"], desk.output(), desk.labels().len()), (&json!("done"), json!(["a", "b"]), 3));
    let after = desk.events(&run);
    assert_eq!((&after[..before.len()], after.len() > before.len()), (&before[..], true));
    assert_eq!(desk.cache(), ["replayed", "miss"]);
}

#[test]
fn accept_017_a_finished_run_that_is_resumed_gets_a_new_id_and_is_not_touched() {
    let desk = Desk::new();
    desk.answers("  - match: { label: b }\n    fail_first: 1\n    text: b\n  - text: '{{ label }}'");
    desk.workflow("two", "return [await agent('A.', { label: 'a' }), await agent('B.', { label: 'b' })]");
    let first = desk.run("two");
    let old = first["run_id"].as_str().unwrap();
    assert_eq!(
        (&first["status"], &first["gaps_total"], desk.output()),
        (&json!("done"), &json!(1), json!(["a", null]))
    );
    let (events, calls) = (desk.events(old), desk.calls(old));
    let view = desk.resume(ResumeParams::default());
    assert_eq!((&view["resumed"], &view["resumed_from"]), (&json!("new_run"), &json!(old)));
    assert_ne!(view["run_id"], first["run_id"]);
    assert_eq!(view["run"]["resumed_from"], json!(old));
    assert_eq!((desk.output(), desk.labels()), (json!(["a", "b"]), vec!["a".to_owned(), "b".into(), "b".into()]));
    assert_eq!(
        view["reuse"],
        json!({"replayed": 1, "rerun": 1, "rerun_reasons": {"earlier_failed": 1}, "saved_usd": 0})
    );
    assert_eq!((desk.events(old), desk.calls(old)), (events, calls));
    let list = desk.place.json(&["runs", "--json"]);
    assert_eq!((&list["runs"][0]["resumed_from"], &list["total"]), (&json!(old), &json!(2)));
}

#[test]
fn accept_018_an_edited_script_changes_nothing_unless_it_is_asked_for() {
    let desk = Desk::new();
    desk.answers("  - match: { label: c, attempt: 1 }\n    never: true\n  - text: '{{ prompt }}'");
    let body = |b: &str| {
        format!(
            "const out = [];
             for (const [label, prompt] of [['a', 'A.'], ['b', '{b}'], ['c', 'C.']]) out.push(await agent(prompt, {{ label }}));
             return out"
        )
    };
    desk.workflow("three", &body("B."));
    let run = interrupted(&desk, "three", RunParams::default(), || desk.invocations() == 3);
    desk.workflow("three", &body("Better B."));
    let pinned = desk.resume(ResumeParams::default());
    assert_eq!((&pinned["run_id"], &pinned["resumed"]), (&json!(run), &json!("in_place")));
    assert_eq!((desk.output(), desk.invocations()), (json!(["A.", "B.", "C."]), 4));
    let current = desk.resume(ResumeParams { source: Some(SourceChoice::Current), ..ResumeParams::default() });
    assert_eq!((&current["resumed"], &current["resumed_from"]), (&json!("new_run"), &json!(run)));
    assert_eq!((desk.output(), desk.invocations()), (json!(["A.", "Better B.", "C."]), 5));
    assert_eq!(desk.cache(), ["replayed", "miss", "replayed"], "also what comes after the change");
    let row = &desk.explain("latest")["calls"][1];
    assert_eq!((&row["reason_code"], &row["changed"]), (&json!("changed"), &json!(["prompt"])));
}

#[test]
fn accept_018_an_unfinished_run_whose_edited_source_goes_on_is_superseded() {
    let desk = Desk::new();
    desk.answers("  - match: { prompt_regex: '^B', attempt: 1 }\n    never: true\n  - text: '{{ prompt }}'");
    desk.workflow("two", "return [await agent('A.', { label: 'a' }), await agent('B.', { label: 'b' })]");
    let run = interrupted(&desk, "two", RunParams::default(), || desk.invocations() == 2);
    desk.workflow("two", "return [await agent('A.', { label: 'a' }), await agent('New B.', { label: 'b' })].join()");
    let view = desk.resume(ResumeParams { path: Some("two.js".into()), ..ResumeParams::default() });
    assert_eq!((&view["resumed"], &view["status"]), (&json!("new_run"), &json!("done")), "{view}");
    let old = desk.status(&run);
    assert_eq!((&old["status"], &old["status_reason"]), (&json!("cancelled"), &json!("superseded")));
    assert_eq!((&old["counts"]["queued"], &old["counts"]["cancelled"]), (&json!(0), &json!(1)), "{old}");
    assert_eq!(desk.output(), json!("A.,New B."));
}

#[test]
fn accept_019_unfinished_calls_of_a_resume_use_the_new_provider() {
    let (second, third) = (Counting::new("second"), Counting::new("third"));
    let desk = Desk::with(&[second.clone(), third.clone()]);
    desk.workflow("two", "return [await agent('A.', { label: 'a' }), await agent('B, wait.', { label: 'b' })]");
    let run = interrupted(&desk, "two", with_provider("second"), || second.count() == 2);
    let view = desk.resume(ResumeParams { provider: Some("third".into()), ..ResumeParams::default() });
    assert_eq!((&view["run_id"], &view["resumed"]), (&json!(run), &json!("in_place")), "{view}");
    assert_eq!(desk.output(), json!(["second 1: A.", "third 1: B, wait."]));
    assert_eq!((second.count(), third.prompts()), (2, vec!["B, wait.".to_owned()]));
    assert_eq!(texts(&desk.calls(&run), "provider"), ["second", "third"]);
    assert_eq!(view["run"]["provider"], "third");
}

#[test]
fn accept_019_a_real_provider_for_a_run_with_generated_answers_is_a_new_run_that_asks_everything() {
    let second = Counting::new("second");
    let desk = Desk::with(std::slice::from_ref(&second));
    desk.answers("  - match: { label: b, attempt: 1 }\n    never: true\n  - text: fake");
    desk.workflow("two", "return [await agent('A.', { label: 'a' }), await agent('B.', { label: 'b' })]");
    let run = interrupted(&desk, "two", RunParams::default(), || desk.invocations() == 2);
    let view = desk.resume(ResumeParams { provider: Some("second".into()), ..ResumeParams::default() });
    assert_eq!(
        (&view["resumed"], &view["resumed_from"], &view["simulated"]),
        (&json!("new_run"), &json!(run), &json!(false))
    );
    assert_eq!(desk.output(), json!(["second 1: A.", "second 2: B."]));
    assert_eq!(desk.explain("latest")["calls"][0]["reason_code"], "simulated");
}

#[test]
fn accept_020_a_live_run_is_not_resumed_by_another_process_and_its_owner_is_named() {
    let place = Place::new();
    place.file("one.js", &script("one", "return await agent('A.', { label: 'a' })"));
    place.file("answers.yaml", &answers("  - never: true"));
    let mut child = place.spawn(&["run", "one.js", "--fixtures", "answers.yaml", "--no-input"]);
    eventually(Duration::from_secs(1), "the call", || place.log(LOG).len() == 1);
    let refused = place.owf(&["resume", "latest", "--no-input", "--json"]);
    let error = refused.json()["error"].clone();
    assert_eq!((refused.code, &error["code"]), (2, &json!("run_is_live")), "{refused:?}");
    assert_eq!(error["owner"]["pid"], json!(child.id()));
    assert!(error["owner"]["since"].is_string() && error["owner"]["host"].is_string(), "{error}");
    assert!(error["message"].as_str().unwrap().contains(&child.id().to_string()), "{error}");
    let engine = engine_over(&place, &[]);
    let failure = engine
        .resume(&ResumeParams::default(), owf::engine::Execution::InProcess { linger_on_approvals: false })
        .unwrap_err();
    assert_eq!(failure.code, Code::RunIsLive);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.log(LOG).len(), 1, "the refusal asked nobody");
}

#[test]
fn a_resume_does_not_take_refresh_and_needs_a_run() {
    let desk = Desk::new();
    let nothing = desk.try_resume(ResumeParams::default()).unwrap_err();
    assert_eq!(nothing.code, Code::NotFound);
    desk.workflow("one", "return await agent('A.')");
    desk.run("one");
    let refresh = ResumeParams { cache_policy: Some(CachePolicy::Refresh), ..ResumeParams::default() };
    assert_eq!(desk.try_resume(refresh).unwrap_err().code, Code::InvalidArguments);
}

#[test]
fn accept_018_the_question_of_a_superseded_run_is_asked_by_the_new_one_only() {
    let desk = Desk::new();
    desk.workflow("ask", "return [await agent('A.'), (await owf.approve({ message: 'Go on?' })).decision]");
    let old = desk.run("ask");
    assert_eq!((&old["status"], &old["status_reason"]), (&json!("paused"), &json!("approval")));
    desk.workflow("ask", "return [await agent('A.'), (await owf.approve({ message: 'Go on?' })).decision, 'edited']");
    let new = desk.resume(ResumeParams { source: Some(SourceChoice::Current), ..ResumeParams::default() });
    assert_eq!((&new["status"], &new["resumed_from"]), (&json!("paused"), &old["run_id"]));
    let pending = desk.place.json(&["approvals", "--json"]);
    assert_eq!(texts(&pending["approvals"], "run_id"), [new["run_id"].as_str().unwrap()]);
    let refused = desk.place.owf(&["approve", old["run_id"].as_str().unwrap(), "a1", "--json"]);
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (2, &json!("run_ended")));
}
