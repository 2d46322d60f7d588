//! Acceptance 31 to 34: bounded fan-outs and pipelines, executed by the engine.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::support::cli::Place;

fn run(place: &Place, body: &str, fixtures: &str) -> Value {
    place.file("w.js", &format!("export const meta = {{name: 'w', description: 'd'}};\n{body}"));
    place.file("f.yaml", &format!("owf_fixtures: 1\ninvocation_log: calls.jsonl\n{fixtures}"));
    let printed = place.owf(&["run", "w.js", "--fixtures", "f.yaml", "--json"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    printed.json()
}

/// The events of the latest run, with what is needed to tell what overlapped.
fn events(place: &Place) -> Vec<Value> {
    let printed = place.owf(&["events"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    printed.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// The most attempts that were under way at once, by the journal.
fn most_at_once(events: &[Value]) -> i32 {
    let (mut now, mut most) = (0, 0);
    for event in events {
        match event["type"].as_str().unwrap() {
            "attempt_started" => now += 1,
            "call_finished" => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

#[test]
fn accept_031_never_more_than_three_of_ten_thunks_overlap_and_results_are_in_input_order() {
    let place = Place::new();
    let fixtures = "rules:\n  - match: { prompt: 'p0' }\n    delay_ms: 40\n    text: 'a p0'\n  - delay_ms: 6\n    text: 'a {{ prompt }}'\n";
    let body =
        "const out = await owf.parallel(Array.from({length: 10}, (_, i) => () => agent('p' + i)), {concurrency: 3});
        return out;";
    let view = run(&place, body, fixtures);
    let expected: Vec<String> = (0..10).map(|i| format!("a p{i}")).collect();
    assert_eq!(view["output"], json!(expected), "the slowest came first");
    assert_eq!(most_at_once(&events(&place)), 3);
    assert_eq!(place.log("calls.jsonl").len(), 10);
}

#[test]
fn accept_032_fail_fast_cancels_what_runs_and_what_has_not_started() {
    let place = Place::new();
    let fixtures = "rules:
  - match: { prompt: p1 }
    delay_ms: 20
    error: { class: bad_request, message: no }
  - match: { prompt: p0 }
    never: true
  - match: { prompt: p2 }
    never: true
  - text: ok
";
    let body = "const out = await owf.parallel(Array.from({length: 8}, (_, i) => () => owf.agent('p' + i)), {concurrency: 3, failFast: true});
        return out.map(r => r.status ?? r);";
    let view = run(&place, body, fixtures);
    let mut expected = vec!["cancelled"; 8];
    expected[1] = "provider_failed";
    assert_eq!(view["output"], json!(expected), "{view}");
    assert_eq!(place.log("calls.jsonl").len(), 3, "the five others never started");
    let rows = place.json(&["calls", "--json"]);
    let states: Vec<&Value> = rows["calls"].as_array().unwrap().iter().map(|c| &c["status"]).collect();
    assert_eq!(states, ["cancelled", "provider_failed", "cancelled"], "running calls were ended");
    assert!(view["elapsed_ms"].as_u64().unwrap() < 5_000);
}

#[test]
fn accept_033_a_thunk_that_throws_is_a_failed_result_and_the_others_are_intact() {
    let place = Place::new();
    let body = "const out = await owf.parallel([
            () => owf.agent('a'),
            () => { throw new RangeError('thrown at once') },
            async () => { await agent('b'); throw new Error('thrown later') },
            () => owf.agent('c'),
        ]);
        return out.map(r => [r.ok, r.status, r.error?.message ?? r.text]);";
    let view = run(&place, body, "rules:\n  - text: 'a {{ prompt }}'\n");
    let expected = json!([
        [true, "done", "a a"],
        [false, "failed", "thrown at once"],
        [false, "failed", "thrown later"],
        [true, "done", "a c"]
    ]);
    assert_eq!(view["output"], expected, "{view}");
}

#[test]
fn accept_034_an_item_is_in_stage_two_while_another_is_in_stage_one() {
    let place = Place::new();
    let fixtures = "rules:
  - match: { prompt: 'one i3' }
    delay_ms: 60
    text: 's1 i3'
  - delay_ms: 5
    text: 's {{ prompt }}'
";
    let body = "return await owf.pipeline(['i1', 'i2', 'i3'], x => agent('one ' + x, {label: 'one:' + x}), (y, x, i) => agent('two ' + x + i, {label: 'two:' + x}));";
    let view = run(&place, body, fixtures);
    assert_eq!(view["output"], json!(["s two i10", "s two i21", "s two i32"]), "{view}");
    let events = events(&place);
    let label_of = |id: &Value| {
        let asked = events.iter().find(|e| e["type"] == "call_requested" && e["call_id"] == *id).unwrap();
        asked["data"]["spec"]["label"].as_str().unwrap().to_owned()
    };
    let at = |kind: &str, label: &str| {
        events.iter().position(|e| e["type"] == kind && label_of(&e["call_id"]) == label).unwrap()
    };
    assert!(at("attempt_started", "two:i1") < at("call_finished", "one:i3"), "no barrier between the stages");
}

#[test]
fn accept_034_stop_on_error_cuts_after_the_first_failure() {
    let place = Place::new();
    let fixtures = "rules:
  - match: { prompt: 'one i1' }
    error: { class: bad_request, message: no }
  - match: { prompt: 'one' }
    delay_ms: 30
    text: late
  - text: ok
";
    let body = "const out = await owf.pipeline(['i1', 'i2', 'i3', 'i4'], x => owf.agent('one ' + x), (y, x) => owf.agent('two ' + x), {stopOnError: true, concurrency: 2});
        return out.map(r => r.status);";
    let view = run(&place, body, fixtures);
    assert_eq!(view["output"], json!(["provider_failed", "cancelled", "cancelled", "cancelled"]), "{view}");
    let prompts = place.log("calls.jsonl").len();
    assert_eq!(prompts, 2, "what ran was waited for, nothing else started");
}
