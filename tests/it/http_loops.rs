//! Tool loops and what becomes of them: money of requests nobody knows the price of, waits, effects on record, kills, cancels.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::Stdio;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http_tools::{KEY, call, calls, owf, results, run, text, workflow};
use crate::support::cli::{Place, eventually};
use crate::support::http_mock::{Answer, Mock};

/// What two turns of these tests cost: 10 tokens in and 5 out each, by the shipped prices.
const TWO_TURNS: u64 = 60_000;

/// Holds answers back until it is dropped.
struct Hold(Option<Sender<()>>);

/// A service that answers the first requests with these and holds every other back.
fn holding(first: Vec<Answer>) -> (Mock, Hold) {
    let (hold, held) = channel::<()>();
    let held = Mutex::new(held);
    let mock = Mock::new(move |seen| match first.get(seen.number) {
        Some(answer) => answer.clone(),
        None => {
            // Returns when the test lets go.
            let _ = held.lock().unwrap().recv();
            text("late")
        }
    });
    (mock, Hold(Some(hold)))
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.take();
    }
}

fn write(path: &str) -> Answer {
    calls(&[("write_file", json!({"path": path, "content": "once"}))])
}

/// The events of the latest run of one kind.
fn events(place: &Place, mock: &Mock, kind: &str) -> Vec<Value> {
    let lines = owf(place, mock, &["events", "latest"]).out;
    let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["type"] == kind).collect()
}

fn latest(place: &Place, mock: &Mock) -> String {
    owf(place, mock, &["status", "latest", "--json"]).json()["run_id"].as_str().unwrap().to_owned()
}

fn budgeted(place: &Place, mock: &Mock) -> Value {
    owf(place, mock, &["run", "w.js", "--provider", "openai", "--budget-cost-usd", "1", "--json"]).json()
}

/// What was set aside for an attempt, and what the call was charged in the end.
fn charged(place: &Place, mock: &Mock) -> (u64, u64) {
    let aside = events(place, mock, "attempt_started")[0]["data"]["reserve_nanos"].as_u64().unwrap();
    let outcome = events(place, mock, "call_finished")[0]["data"]["outcome"].clone();
    (aside, outcome["charge"]["cost_nanos"].as_u64().unwrap())
}

/// What was set aside for the second request of a loop, beside what the first had cost.
fn second(place: &Place, mock: &Mock) -> u64 {
    let raised = events(place, mock, "attempt_raised")[0]["data"]["reserve_nanos"].as_u64().unwrap();
    raised - TWO_TURNS / 2
}

#[test]
fn a_loop_with_one_turn_of_unknown_cost_counts_what_is_known_and_what_was_set_aside_for_that_turn() {
    let place = Place::new();
    workflow(&place, "{ readScope: '.' }");
    let list = calls(&[("list_files", json!({}))]);
    let mock = Mock::of(vec![list, Answer::text(200, "{\"half\":"), text("done")]);
    let view = budgeted(&place, &mock);
    assert_eq!(view["output"], "done", "{view}");
    let (_, charged) = charged(&place, &mock);
    assert_eq!(charged, TWO_TURNS + second(&place, &mock));
    let call = call(&place, &mock);
    assert_eq!((call.get("cost_usd"), &call["cost_source"]), (None, &json!("unknown")), "{call}");
    // A reader of the budget sees what the gate counts.
    let spent = view["budget"]["cost_usd"]["spent"].as_f64().unwrap();
    assert!((spent * 1e9 - charged as f64).abs() < 1_000.0, "{view} {charged}");
}

#[test]
fn a_loop_with_one_turn_that_counted_nothing_has_no_cost_that_is_known() {
    let place = Place::new();
    workflow(&place, "{ readScope: '.' }");
    let mut silent = calls(&[("list_files", json!({}))]);
    let mut body: Value = serde_json::from_slice(&silent.parts[0].1).unwrap();
    body.as_object_mut().unwrap().remove("usage");
    silent.parts[0].1 = body.to_string().into_bytes();
    let mock = Mock::of(vec![silent, text("done")]);
    let view = budgeted(&place, &mock);
    assert_eq!(view["output"], "done", "{view}");
    let (aside, charged) = charged(&place, &mock);
    assert_eq!(charged, TWO_TURNS / 2 + aside);
    let call = call(&place, &mock);
    assert_eq!((call.get("cost_usd"), &call["cost_source"]), (None, &json!("unknown")), "{call}");
    assert_eq!(call["usage_unknown"], json!(true), "{call}");
}

#[test]
fn an_attempt_that_timed_out_counts_in_the_journal_with_what_was_set_aside_for_it() {
    let place = Place::new();
    workflow(&place, "{ timeoutMs: 1000 }");
    let mock = Mock::new(|seen| match seen.number {
        0 => text("late").after(Duration::from_mins(2)),
        _ => text("done"),
    });
    let view = budgeted(&place, &mock);
    assert_eq!(view["output"], "done", "{view}");
    let failed = events(&place, &mock, "attempt_failed")[0]["data"].clone();
    let (aside, charged) = charged(&place, &mock);
    assert_eq!((failed.get("cost_nanos"), failed["charge_nanos"].as_u64()), (None, Some(aside)), "{failed}");
    assert_eq!(charged, TWO_TURNS / 2 + aside);
    assert_eq!(call(&place, &mock)["cost_source"], "mixed");
}

#[test]
fn a_request_of_a_loop_is_tried_again_when_the_service_said_and_not_before() {
    let place = Place::new();
    workflow(&place, "{ readScope: '.' }");
    // A broken service paces nobody: the wait is that of the loop, longer than any it would have chosen by itself.
    let broken = Answer::json(500, &json!({"error": {"message": "no"}})).header("retry-after-ms", "1200");
    let list = || calls(&[("list_files", json!({}))]);
    let mock = Mock::of(vec![list(), broken, text("done")]);
    assert_eq!(run(&place, &mock)["output"], "done");
    let seen = mock.seen();
    let waited = seen[2].at - seen[1].at;
    assert!(waited >= Duration::from_millis(1_150), "{waited:?}");

    let mock =
        Mock::of(vec![list(), Answer::json(500, &json!({"error": {"message": "no"}})).header("retry-after", "61")]);
    run(&place, &mock);
    assert_eq!(mock.seen().len(), 2, "a wait that is too long is not sat out");
    let error = call(&place, &mock)["error"].clone();
    assert_eq!(error["class"], "transport", "{error}");
    let at = humantime::parse_rfc3339(error["retry_at"].as_str().unwrap()).unwrap();
    assert!(at > std::time::SystemTime::now() + Duration::from_secs(30), "{error}");
}

#[test]
fn how_long_a_service_is_waited_for_is_a_setting() {
    let place = Place::new();
    workflow(&place, "{}");
    let slow = || Answer::json(500, &json!({"error": {"message": "no"}})).header("retry-after-ms", "300");
    let tries = |name: &str, value: &str| {
        let mock = Mock::of(vec![slow(), text("done")]);
        let mut command =
            place.command(&["run", "w.js", "--provider", "openai", "--json", "--cache-policy", "refresh"]);
        command.env("OPENAI_API_KEY", "k-0123456789").env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
        command.env(name, value).output().unwrap();
        mock.seen().len()
    };
    assert_eq!(tries("OWF_RETRY_CEILING_MS", "299"), 1);
    assert_eq!(tries("OWF_RETRY_CEILING_MS", "300"), 2);
    assert_eq!(tries("OWF_RETRY_TOTAL_MS", "299"), 1);
}

/// Starts a run whose second turn is held back, and ends its process once the service was asked for that turn.
fn killed(place: &Place, mock: &Mock, turns: usize) {
    let mut command = place.command(&["run", "w.js", "--provider", "openai", "--json"]);
    command.env("OPENAI_API_KEY", "sk-canary-0123456789abcdef").env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually(Duration::from_secs(3), "the next turn is asked for", || mock.seen().len() >= turns);
    let recorded = || {
        let events = place.owf(&["events", "latest"]).out;
        let count = |kind: &str| events.matches(&format!("\"type\":\"{kind}\"")).count();
        count("attempt_started") > 0 && count("tool_started") == count("tool_finished")
    };
    eventually(Duration::from_secs(3), "what its tools did is on record", recorded);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A service for the run after the kill.
fn after(answers: Vec<Answer>) -> Mock {
    Mock::of(answers)
}

#[test]
fn a_loop_that_was_killed_after_it_wrote_is_asked_about_with_what_it_wrote() {
    let place = Place::new();
    workflow(&place, "{ writeScope: 'out' }");
    let (mock, _hold) = holding(vec![write("out/a.md")]);
    killed(&place, &mock, 2);
    assert_eq!(std::fs::read_to_string(place.path().join("out/a.md")).unwrap(), "once");
    std::fs::remove_file(place.path().join("out/a.md")).unwrap();

    let next = after(vec![write("out/a.md"), text("done")]);
    let paused = owf(&place, &next, &["resume", "--json"]).json();
    assert_eq!((&paused["status"], &paused["status_reason"]), (&json!("paused"), &json!("repeat")), "{paused}");
    assert_eq!(next.seen().len(), 0, "nobody is asked before a person is");
    assert!(!place.path().join("out/a.md").exists(), "nothing is written a second time unasked");
    let question = paused["approvals"][0]["message"].as_str().unwrap();
    assert!(question.contains("had changed out/a.md: run it again?"), "{question}");
    let lost = call(&place, &next)["attempts_list"][0].clone();
    assert_eq!(lost["effects"], json!(["write_file out/a.md: wrote 4 bytes to out/a.md"]), "{lost}");

    owf(&place, &next, &["approve", &latest(&place, &next), "a1"]);
    eventually(Duration::from_secs(3), "the run goes on", || {
        owf(&place, &next, &["status", "latest", "--json"]).json()["status"] == "done"
    });
    assert_eq!(next.seen().len(), 2);
    assert!(place.path().join("out/a.md").exists());
}

#[test]
fn a_loop_that_was_killed_follows_its_on_lost() {
    for (word, status, asked) in [("rerun", "done", 2), ("fail", "failed", 0)] {
        let place = Place::new();
        workflow(&place, &format!("{{ writeScope: 'out', onLost: '{word}' }}"));
        let (mock, _hold) = holding(vec![write("out/a.md")]);
        killed(&place, &mock, 2);
        let next = after(vec![write("out/a.md"), text("done")]);
        owf(&place, &next, &["resume", "--json"]);
        assert_eq!((&call(&place, &next)["status"], next.seen().len()), (&json!(status), asked), "{word}");
        let warned: Vec<Value> = events(&place, &next, "warning");
        let told = warned.iter().any(|event| event["data"]["code"] == "repeated");
        assert_eq!(told, word == "rerun", "{warned:?}");
    }
}

#[test]
fn a_loop_that_only_read_runs_again_after_a_kill() {
    let place = Place::new();
    workflow(&place, "{ readScope: '.' }");
    let (mock, _hold) = holding(vec![calls(&[("read_file", json!({"path": "w.js"}))])]);
    killed(&place, &mock, 2);
    let next = after(vec![text("done")]);
    let view = owf(&place, &next, &["resume", "--json"]).json();
    assert_eq!((&view["status"], &view["output"]), (&json!("done"), &json!("done")), "{view}");
    let kinds = [events(&place, &next, "tool_started").len(), events(&place, &next, "warning").len()];
    assert_eq!(kinds, [0, 0], "reading is no effect");
}

#[test]
fn each_write_is_on_record_with_its_result_also_where_it_was_refused() {
    let place = Place::new();
    workflow(&place, "{ writeScope: 'out' }");
    let two = calls(&[
        ("write_file", json!({"path": "out/a.md", "content": "once"})),
        ("write_file", json!({"path": "elsewhere.md", "content": "x"})),
    ]);
    let mock = Mock::of(vec![two, text("done")]);
    assert_eq!(run(&place, &mock)["output"], "done");
    let told: Vec<Value> = ["tool_started", "tool_finished"]
        .iter()
        .flat_map(|kind| events(&place, &mock, kind))
        .map(|event| event["data"].clone())
        .collect();
    assert_eq!(
        told,
        [
            json!({"attempt": 1, "number": 1, "tool": "write_file", "target": "out/a.md"}),
            json!({"attempt": 1, "number": 2, "tool": "write_file", "target": "elsewhere.md"}),
            json!({"attempt": 1, "number": 1, "ok": true, "message": "wrote 4 bytes to out/a.md"}),
            json!({"attempt": 1, "number": 2, "ok": false,
                "message": "elsewhere.md is outside of what may be written"}),
        ]
    );
    let text = owf(&place, &mock, &["calls", "latest", "1"]).out;
    assert!(text.contains("did 1: write_file out/a.md: wrote 4 bytes to out/a.md"), "{text}");
    assert_eq!(results(&mock.seen()).len(), 2);
}

#[test]
fn a_loop_that_is_cancelled_counts_what_it_used_and_what_was_under_way() {
    let place = Place::new();
    workflow(&place, "{ readScope: '.' }");
    let (mock, _hold) = holding(vec![calls(&[("list_files", json!({}))])]);
    let mock = Arc::new(mock);
    let mut command = place.command(&["run", "w.js", "--provider", "openai", "--budget-cost-usd", "1", "--json"]);
    command.env("OPENAI_API_KEY", "sk-canary-0123456789abcdef").env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually(Duration::from_secs(3), "the second turn is asked for", || mock.seen().len() == 2);
    let view = owf(&place, &mock, &["cancel", &latest(&place, &mock), "--json"]).json();
    child.wait().unwrap();
    assert_eq!(view["status"], "cancelled", "{view}");
    let call = call(&place, &mock);
    assert_eq!(
        (&call["status"], &call["input_tokens"], &call["output_tokens"]),
        (&json!("cancelled"), &json!(10), &json!(5))
    );
    assert_eq!((call.get("cost_usd"), &call["cost_source"]), (None, &json!("unknown")), "{call}");
    let (_, charged) = charged(&place, &mock);
    assert_eq!(charged, TWO_TURNS / 2 + second(&place, &mock));
    let kinds: Vec<Value> = owf(&place, &mock, &["events", "latest"])
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
        .collect();
    assert_eq!(kinds.last(), Some(&json!("run_finished")));
}

#[test]
fn a_loop_asks_before_each_request_whether_the_budget_bears_it_and_keeps_what_it_used() {
    let place = Place::new();
    workflow(&place, "{ readScope: '.' }");
    // 10,000 tokens in are 0.0075 dollars. The next request sends them again and has 0.0089 set aside for its answer.
    let turn = json!({"model": "gpt-5.4-mini", "choices": [{"index": 0, "finish_reason": "tool_calls", "message":
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "t", "type": "function", "function": {"name": "list_files", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 10_000, "completion_tokens": 0}});
    let mock = Mock::new(move |_| Answer::json(200, &turn));
    let args =
        ["run", "w.js", "--provider", "openai", "--model", "gpt-5.4-mini", "--budget-cost-usd", "0.05", "--json"];
    let view = owf(&place, &mock, &args).json();
    let call = call(&place, &mock);
    assert_eq!((&call["status"], &call["error"]["class"]), (&json!("budget_exhausted"), &json!("budget")), "{call}");
    assert!(call["error"]["message"].as_str().unwrap().starts_with("cost budget 0.05 USD: "), "{call}");
    assert_eq!(mock.seen().len(), 5);
    assert_eq!((&call["cost_usd"], &view["budget"]["cost_usd"]["spent"]), (&json!(0.0375), &json!(0.0375)), "{view}");
}

#[test]
fn a_key_in_what_a_tool_changes_is_taken_out_before_that_is_cut() {
    let place = Place::new();
    workflow(&place, "{ writeScope: '.' }");
    // The first characters of the key stand before the thousandth, the others behind it.
    let path = format!("{}{KEY}", "b/".repeat(497));
    let mock = Mock::of(vec![write(&path), text("done")]);
    assert_eq!(run(&place, &mock)["output"], "done");
    let target = events(&place, &mock, "tool_started")[0]["data"]["target"].clone();
    assert_eq!(target, json!(format!("{}[OPENA", "b/".repeat(497))));
    assert!(!owf(&place, &mock, &["events", "latest"]).out.contains(&KEY[..6]));
}
