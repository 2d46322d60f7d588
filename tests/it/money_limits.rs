//! What budgets let calls do while they run: how long an answer may be, what an agent program is told, what is set aside for
//! further requests.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use owf::core::event::Event;
use owf::store::{OpenMode, RunFilter, Store};
use serde_json::{Value, json};

use crate::cli_support::Stub;
use crate::http_tools::{calls, owf, text, workflow};
use crate::money::{answer, run, script};
use crate::support::cli::Place;
use crate::support::http_mock::{Answer, Mock, Seen};

/// A service whose answer has so many tokens, cut where the request says it may have no more; every request takes `input`.
fn wordy(input: u64, output: u64) -> Mock {
    Mock::new(wordy_answer(input, output))
}

fn wordy_answer(input: u64, output: u64) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
    move |seen: &Seen| {
        let bound = seen.body["max_completion_tokens"].as_u64().unwrap_or(u64::MAX);
        let mut body = answer("gpt-5.4-mini", input, output.min(bound));
        if bound < output {
            body["choices"][0]["finish_reason"] = json!("length");
        }
        Answer::json(200, &body)
    }
}

fn bounds(mock: &Mock) -> Vec<Option<u64>> {
    mock.seen().iter().map(|seen| seen.body["max_completion_tokens"].as_u64()).collect()
}

#[test]
fn an_answer_is_no_longer_than_a_cost_budget_has_set_aside_and_asked_for_again_where_it_has_room() {
    let place = Place::new();
    place.file("many.js", &script(1));
    // Without a budget nothing bounds it.
    let mock = wordy(200, 5_000);
    let free = run(&place, &mock, &["--model", "gpt-5.4-mini"]);
    assert_eq!((&free["output"], bounds(&mock)), (&json!(["done"]), vec![None]));
    // 1,800 tokens are set aside: 5,000 would pass the budget, and after the first request there is no room for more.
    let mock = wordy(200, 5_000);
    let tight =
        run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "0.02", "--cache-policy", "refresh"]);
    assert_eq!((&tight["output"], bounds(&mock)), (&json!(["budget_exhausted"]), vec![Some(1_800)]), "{tight}");
    let message = tight["gaps"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("the answer was cut at 1800 tokens, all that was set aside for it"), "{message}");
    assert_eq!(tight["usage"]["output_tokens"], json!(1_800));
    assert!(tight["budget"]["cost_usd"]["spent"].as_f64().unwrap() <= 0.02, "{tight}");
    // With room it is asked for again, longer, and both requests count.
    let mock = wordy(200, 5_000);
    let room =
        run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "0.1", "--cache-policy", "refresh"]);
    assert_eq!((&room["output"], bounds(&mock)), (&json!(["done"]), vec![Some(1_800), Some(7_200)]), "{room}");
    assert_eq!(room["usage"]["output_tokens"], json!(6_800));
    // With plenty of it it is given room at once.
    let mock = wordy(200, 5_000);
    let plenty =
        run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "5", "--cache-policy", "refresh"]);
    assert_eq!((&plenty["output"], bounds(&mock)), (&json!(["done"]), vec![Some(7_200)]), "{plenty}");
}

#[test]
fn a_bound_that_follows_from_a_budget_is_no_part_of_the_key_and_what_it_cut_is_not_stored() {
    let place = Place::new();
    place.file("many.js", &script(1));
    let mock = wordy(200, 2_500);
    let cut = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "0.015"]);
    assert_eq!((&cut["output"], mock.seen().len()), (&json!(["budget_exhausted"]), 1), "{cut}");
    let whole = run(&place, &mock, &["--model", "gpt-5.4-mini"]);
    assert_eq!((&whole["output"], mock.seen().len()), (&json!(["done"]), 2), "{whole}");
    // The answer that was given without a bound is the answer under one.
    let again = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "0.015"]);
    assert_eq!((&again["output"], mock.seen().len()), (&json!(["done"]), 2), "{again}");
    assert_eq!(again["counts"]["hit"], json!(1), "{again}");
}

#[test]
fn claude_is_told_to_stop_at_what_a_cost_budget_leaves_it() {
    let place = Place::new();
    let result = json!({"type": "result", "subtype": "success", "is_error": false, "result": "fine", "stop_reason": "end_turn",
        "total_cost_usd": 0.25, "usage": {"input_tokens": 10, "output_tokens": 5},
        "modelUsage": {"claude-sonnet-4-6": {"costUSD": 0.25}}});
    let stub = Stub::printing("claude", "2.1.329 (Claude Code)", &[result], 0);
    place.file(
        "two.js",
        "export const meta = { name: 'two', description: 'd' }\n\
         return [await agent('First', { tools: [] }), await agent('Second', { tools: [] })]\n",
    );
    let args = ["run", "two.js", "--provider", "claude", "--model", "claude-sonnet-4-6", "--json"];
    let told = || {
        let argv = stub.argv();
        let at = argv.iter().position(|arg| arg == "--max-budget-usd");
        at.map(|at| argv[at + 1].clone())
    };
    stub.json(&place, &args);
    assert_eq!(told(), None, "without a budget there is no stop");
    let view = stub.json(&place, &[&args[..], &["--budget-cost-usd", "1", "--cache-policy", "refresh"]].concat());
    assert_eq!((&view["status"], told().as_deref()), (&json!("done"), Some("0.75")), "{view}");
    // The stop is no part of any key.
    let again = stub.json(&place, &[&args[..], &["--budget-cost-usd", "2"]].concat());
    assert_eq!(again["counts"]["hit"], json!(2), "{again}");
}

#[test]
fn claude_calls_at_once_are_told_to_stop_at_their_shares_of_what_a_cost_budget_leaves() {
    let result = json!({"type": "result", "subtype": "success", "is_error": false, "result": "fine", "stop_reason": "end_turn",
        "total_cost_usd": 0.25, "usage": {"input_tokens": 10, "output_tokens": 5},
        "modelUsage": {"claude-sonnet-4-6": {"costUSD": 0.25}}});
    // Each waits until two have been told, 30 s at most.
    let together = "while [ $# -gt 0 ]; do [ \"$1\" = --max-budget-usd ] && echo \"$2\" >>\"$dir/told\"; shift; done\n\
        n=0; until [ \"$(wc -l <\"$dir/told\")\" -ge 2 ] || [ $n -ge 3000 ]; do sleep 0.01; n=$((n + 1)); done\n\
        cat \"$dir/events\"";
    // Two at once have half of it each, and leave a third that waits for its turn as much as they have.
    for (calls, told_first) in [(2, "0.5"), (3, "0.333333")] {
        let mut stub = Stub::doing("claude", "2.1.329 (Claude Code)", together);
        stub.vars.push(("OWF_PROVIDER_CLAUDE_CONCURRENCY".to_owned(), "2".to_owned()));
        stub.events(std::slice::from_ref(&result));
        let place = Place::new();
        place.file(
            "some.js",
            &format!(
                "export const meta = {{ name: 'some', description: 'd' }}\n\
                 return await parallel(['a', 'b', 'c'].slice(0, {calls}).map(p => () => agent(p, {{ tools: [] }})))\n"
            ),
        );
        let args = ["run", "some.js", "--provider", "claude", "--model", "claude-sonnet-4-6", "--json"];
        let view = stub.json(&place, &[&args[..], &["--budget-cost-usd", "1"]].concat());
        assert_eq!(view["output"], json!(vec!["fine"; calls]), "{view}");
        let told = std::fs::read_to_string(stub.path().join("told")).unwrap();
        assert_eq!(told.lines().take(2).collect::<Vec<_>>(), [told_first; 2], "{told}");
        assert_eq!(told.lines().count(), calls);
    }
}

#[test]
fn what_a_further_request_of_a_loop_may_cost_is_on_record_before_it_is_made() {
    const TURNS: usize = 12;
    let place = Place::new();
    workflow(&place, "{ readScope: '.' }");
    let home = place.home();
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&recorded);
    let mock = Mock::new(move |seen: &Seen| {
        let store = Store::open(&home, OpenMode::ReadOnly).unwrap();
        let newest = store.runs(&RunFilter::default()).unwrap().rows.remove(0);
        let events = store.events(&newest.run_id, 0, 1_000).unwrap();
        let raised = events.iter().filter_map(|record| match record.event {
            Event::AttemptRaised { reserve_nanos, .. } => Some(reserve_nanos),
            _ => None,
        });
        told.lock().unwrap().push(raised.collect::<Vec<u64>>());
        // Every request takes 10,000 tokens, which are 0.0075 dollars.
        let mut answer = if seen.number + 1 < TURNS { calls(&[("list_files", json!({}))]) } else { text("done") };
        let mut body: Value = serde_json::from_slice(&answer.parts[0].1).unwrap();
        body["usage"] = json!({"prompt_tokens": 10_000, "completion_tokens": 0});
        answer.parts[0].1 = body.to_string().into_bytes();
        answer
    });
    let args = ["run", "w.js", "--provider", "openai", "--model", "gpt-5.4-mini", "--budget-cost-usd", "1", "--json"];
    let view = owf(&place, &mock, &args).json();
    assert_eq!(view["output"], "done", "{view}");
    let events = owf(&place, &mock, &["events", "latest"]).out;
    let mut events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let started = events.find(|event| event["type"] == "attempt_started").unwrap();
    let aside = started["data"]["reserve_nanos"].as_u64().unwrap();
    // A single request is recorded with its start. Each further one sends again what the last one took and what a tool gave,
    // and has its own estimate beside what was used before.
    let recorded = recorded.lock().unwrap();
    assert_eq!(recorded.len(), TURNS);
    for (turn, raised) in recorded.iter().enumerate() {
        assert_eq!(raised.len(), turn, "before request {}: {raised:?}", turn + 1);
        for (n, nanos) in (2..).zip(raised) {
            let least = n * 7_500_000 + aside;
            assert!((least..least + 100_000).contains(nanos), "{raised:?} {least}");
        }
    }
}
