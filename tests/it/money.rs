//! Money with services that bill: prices, budgets, estimates and what was used, against a service on the loopback interface.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use owf::store::{OpenMode, RunFilter, Store};
use serde_json::{Value, json};

use crate::cli_support::Stub;
use crate::support::cli::{Place, Printed, eventually, printed};
use crate::support::http_mock::{Answer, Mock, Seen};

/// A script of `n` calls at once.
pub(crate) fn script(n: usize) -> String {
    format!(
        "export const meta = {{ name: 'many', description: 'd' }}\n\
         const all = await owf.parallel([...Array({n}).keys()].map(i => () => owf.agent('Call ' + i + ' {}', {{ label: 'c' + i }})))\n\
         return all.map(r => r.status)\n",
        "x".repeat(400)
    )
}

/// One with so many tokens in and out, of a model.
pub(crate) fn answer(model: &str, input: u64, output: u64) -> Value {
    json!({"id": "c1", "model": model, "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"},
        "finish_reason": "stop"}], "usage": {"prompt_tokens": input, "completion_tokens": output}})
}

/// A service that bills for the model it is asked for.
fn service(input: u64, output: u64) -> Mock {
    Mock::new(move |seen: &Seen| {
        Answer::json(200, &answer(seen.body["model"].as_str().unwrap_or("none"), input, output))
    })
}

fn owf(place: &Place, mock: &Mock, args: &[&str]) -> Printed {
    let mut command = place.command(args);
    command.env_remove("OWF_CONFIG").env("OPENAI_API_KEY", "canary-0123456789");
    printed(&command.env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1")).output().unwrap())
}

pub(crate) fn run(place: &Place, mock: &Mock, more: &[&str]) -> Value {
    let printed = owf(place, mock, &[&["run", "many.js", "--provider", "openai", "--json"], more].concat());
    printed.json()
}

#[test]
fn accept_048_a_price_override_is_what_calls_cost_and_an_unknown_model_costs_nothing_known() {
    let (place, mock) = (Place::new(), service(1_000, 100));
    place.file("many.js", &script(1));
    let usage = |view: &Value| (view["usage"].get("cost_usd").cloned(), view["usage"]["cost_source"].clone());
    let listed = run(&place, &mock, &["--model", "gpt-5.4-mini"]);
    assert_eq!(usage(&listed), (Some(json!(0.0012)), json!("estimated")));
    let table = r#"{"owf_prices":1,"as_of":"2030-01-02","source":"mine","prices":[
        {"provider":"openai","models":["gpt-5.4-mini"],"rates":{"input":1000000000,"output":10000000000}}]}"#;
    place.file("mine.json", table);
    place.file("older.json", &table.replace("2030", "2029"));
    assert_eq!(owf(&place, &mock, &["prices", "--file", "older.json"]).code, 0);
    // The table before is kept beside the new one.
    let again = owf(&place, &mock, &["prices", "--refresh", "--file", "mine.json", "--json"]).json();
    let kept = std::fs::read_to_string(again["previous_path"].as_str().unwrap()).unwrap();
    assert!(kept.contains("2029-01-02") && !kept.contains("2030-01-02"), "{kept}");
    let mine = run(&place, &mock, &["--model", "gpt-5.4-mini", "--cache-policy", "refresh"]);
    assert_eq!(usage(&mine), (Some(json!(0.002)), json!("estimated")));
    let unknown = run(&place, &mock, &["--model", "gpt-99"]);
    assert_eq!(usage(&unknown), (None, json!("unknown")));
    assert_eq!(unknown["usage"]["unpriced_calls"], json!(1));
    let report = owf(&place, &mock, &["usage", "--by", "model", "--json"]).json();
    let row = |name: &str| report["usage"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(
        row("openai/gpt-5.4-mini"),
        json!({"name": "openai/gpt-5.4-mini", "runs": 2, "calls": 2, "input_tokens": 2000, "output_tokens": 200,
            "cache_read_tokens": 0, "cache_write_tokens": 0, "cost_usd": 0.0032, "cost_source": "estimated",
            "prices_as_of": ["2026-11-27", "2030-01-02"]})
    );
    let odd = row("openai/gpt-99");
    assert_eq!(
        (odd.get("cost_usd"), &odd["cost_source"], &odd["unpriced_calls"]),
        (None, &json!("unknown"), &json!(1))
    );
    assert_eq!((&report["total"]["runs"], &report["total"]["calls"]), (&json!(3), &json!(3)));
    for (by, name) in [("provider", "openai"), ("workflow", "many")] {
        let report = owf(&place, &mock, &["usage", "--by", by, "--json"]).json();
        assert_eq!((&report["usage"][0]["name"], &report["usage"][0]["calls"]), (&json!(name), &json!(3)), "{by}");
    }
    let days = owf(&place, &mock, &["usage", "--by", "day", "--since", "1h", "--json"]).json();
    assert_eq!(days["usage"].as_array().unwrap().len(), 1, "{days}");
    let none = owf(&place, &mock, &["usage", "--since", "2999-01-01", "--json"]).json();
    assert_eq!((&none["usage"], &none["total"]["calls"]), (&json!([]), &json!(0)));
}

#[test]
fn an_estimate_says_which_price_it_was_made_with_and_a_later_table_changes_nothing_about_it() {
    // The first answer breaks the schema: what it cost stands in the event of the failed attempt.
    let bad = Arc::new(AtomicU64::new(1));
    let mock = Mock::new(move |seen: &Seen| {
        let mut body = answer(seen.body["model"].as_str().unwrap_or("none"), 1_000, 100);
        let is_bad = bad.swap(0, Ordering::SeqCst) == 1;
        body["choices"][0]["message"]["content"] = json!(if is_bad { "{\"n\": 1}" } else { "{\"n\": \"one\"}" });
        Answer::json(200, &body)
    });
    let place = Place::new();
    place.file(
        "many.js",
        "export const meta = { name: 'many', description: 'd' }\n\
         return await agent('Count', { schema: { type: 'object', required: ['n'], properties: { n: { type: 'string' } } } })\n",
    );
    let view = run(&place, &mock, &["--model", "gpt-5.4-mini"]);
    assert_eq!(view["output"], json!({"n": "one"}), "{view}");
    let first = view["run_id"].as_str().unwrap().to_owned();
    let embedded = json!({"provider": "openai", "model": "gpt-5.4-mini", "prices_as_of": "2026-11-27",
        "source": "LiteLLM 1.110.2 (MIT)",
        "per_million": [{"input_usd": 0.75, "output_usd": 4.5, "cache_read_usd": 0.075}]});
    let table = r#"{"owf_prices":1,"as_of":"2030-01-02","source":"mine","prices":[
        {"provider":"openai","models":["gpt-5.4-mini"],"rates":{"input":1000000000,"output":10000000000}}]}"#;
    place.file("mine.json", table);
    assert_eq!(owf(&place, &mock, &["prices", "--file", "mine.json"]).code, 0);
    let second = run(&place, &mock, &["--model", "gpt-5.4-mini", "--cache-policy", "refresh"]);
    let second = second["run_id"].as_str().unwrap().to_owned();
    let call = |run: &str| owf(&place, &mock, &["calls", run, "c0001", "--json"]).json()["call"].clone();
    let told = |call: &Value| (call["cost_usd"].clone(), call["prices_as_of"].clone(), call["price"].clone());
    assert_eq!(told(&call(&first)), (json!(0.0024), json!("2026-11-27"), embedded.clone()));
    let mine = json!({"provider": "openai", "model": "gpt-5.4-mini", "prices_as_of": "2030-01-02", "source": "mine",
        "per_million": [{"input_usd": 1, "output_usd": 10}]});
    assert_eq!(told(&call(&second)), (json!(0.002), json!("2030-01-02"), mine));
    let events = owf(&place, &mock, &["events", &first]).out;
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap().clone();
    let row = json!({"provider": "openai", "model": "gpt-5.4-mini", "as_of": "2026-11-27",
        "source": "LiteLLM 1.110.2 (MIT)",
        "rates": {"input": 750_000_000, "output": 4_500_000_000_u64, "cache_read": 75_000_000}});
    assert_eq!(of("attempt_failed")["data"]["price"], row, "{events:?}");
    assert_eq!(of("call_finished")["data"]["outcome"]["provenance"]["price"], row, "{events:?}");
    let text = |args: &[&str]| owf(&place, &mock, args).out;
    let list = text(&["calls", &first]);
    assert!(list.contains("≈$0.0024") && list.ends_with("≈ estimated, prices of 2026-11-27\n"), "{list}");
    let one = text(&["calls", &first, "c0001"]);
    assert!(one.contains("≈$0.0024 (estimated, prices of 2026-11-27)"), "{one}");
    let price = "  price    gpt-5.4-mini of openai: 0.75 in, 4.5 out, 0.075 cached USD per million tokens (LiteLLM";
    assert!(one.contains(price), "{one}");
    let status = text(&["status", &first]);
    assert!(status.contains("(estimated, prices of 2026-11-27)"), "{status}");
    let report = text(&["report", &first, "--stdout"]);
    assert!(report.contains("estimated, prices of 2026-11-27"), "{report}");
    let usage = owf(&place, &mock, &["usage", "--json"]).json();
    assert_eq!(usage["total"]["prices_as_of"], json!(["2026-11-27", "2030-01-02"]));
    assert!(text(&["usage"]).ends_with("≈ estimated, prices of 2026-11-27 to 2030-01-02\n"));
    // A run that takes the answer over pays nothing, so it has no price, and nothing of it is counted.
    let again = run(&place, &mock, &["--model", "gpt-5.4-mini"]);
    let counted = |usage: &Value| json!([usage["total"]["runs"], usage["total"]["calls"], usage["total"]["cost_usd"]]);
    assert_eq!(counted(&owf(&place, &mock, &["usage", "--json"]).json()), counted(&usage));
    let hit = call(again["run_id"].as_str().unwrap());
    assert_eq!((&hit["cost_usd"], hit.get("prices_as_of"), hit.get("price")), (&json!(0), None, None), "{hit}");
}

#[test]
fn what_caches_and_reasoning_had_of_the_tokens_is_shown_apart() {
    let place = Place::new();
    let mock = Mock::new(|_: &Seen| {
        Answer::json(
            200,
            &json!({"type": "message", "model": "claude-sonnet-4-6", "content": [{"type": "text", "text": "fine"}],
                "stop_reason": "end_turn", "usage": {"input_tokens": 1000, "cache_read_input_tokens": 20_000,
                    "cache_creation_input_tokens": 3000, "output_tokens": 200,
                    "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
                    "output_tokens_details": {"thinking_tokens": 150}}}),
        )
    });
    place.file("many.js", &script(1));
    let owf = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("ANTHROPIC_API_KEY", "canary-0123456789");
        printed(&command.env("OWF_PROVIDER_ANTHROPIC_BASE_URL", mock.url("")).output().unwrap())
    };
    let view = owf(&["run", "many.js", "--provider", "anthropic", "--json"]).json();
    // 3 USD a million of prompt, a tenth from the cache, 3.75 for five minutes, 6 for an hour, 15 of answer.
    let usage = json!({"input_tokens": 1000, "output_tokens": 200, "cache_read_tokens": 20_000,
        "cache_write_tokens": 3000, "cache_write_1h_tokens": 2000, "reasoning_tokens": 150, "cost_usd": 0.02775,
        "cost_source": "estimated", "prices_as_of": ["2026-11-27"]});
    assert_eq!(view["usage"], usage);
    let call = owf(&["calls", "latest", "c0001", "--json"]).json()["call"].clone();
    for key in ["cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens"] {
        assert_eq!(call[key], usage[key], "{key}: {call}");
    }
    let total = owf(&["usage", "--json"]).json()["total"].clone();
    assert_eq!((&total["cache_write_1h_tokens"], &total["reasoning_tokens"]), (&json!(2000), &json!(150)));
    let one = owf(&["calls", "latest", "c0001"]).out;
    let parts = "  tokens   beside that 20.0k read from the prompt cache, 3.0k written to it (2.0k of that for an hour); \
                 0.2k of the answer reasoning\n";
    assert!(one.contains(parts), "{one}");
    let text = owf(&["usage"]).out;
    let parts = "in: 1.0k new, 20k read from prompt caches, 3.0k written to them (2.0k of that for an hour)\n\
                 out: 150 of it reasoning\n";
    assert!(text.contains(parts), "{text}");
    let report = owf(&["report", "--stdout"]).out;
    assert!(report.contains("20,000 read, 3,000 written (2,000 of that for an hour)"), "{report}");
    assert!(report.contains("200 (150 of them reasoning)"), "{report}");
}

#[test]
fn what_a_killed_program_used_is_unknown_and_not_nothing() {
    let place = Place::new();
    // The first call is killed in the middle, the second tells what it used.
    let stub = Stub::doing(
        "codex",
        "codex-cli 0.169.0",
        "test -e \"$dir/again\" && cat \"$dir/events\" && exit 0\ntouch \"$dir/again\"\nkill -9 $$",
    );
    stub.events(&[
        json!({"type": "item.completed", "item": {"type": "agent_message", "text": "fine"}}),
        json!({"type": "turn.completed", "usage": {"input_tokens": 100, "output_tokens": 9}}),
    ]);
    place.file(
        "two.js",
        "export const meta = { name: 'two', description: 'd' }\n\
         const first = await owf.agent('First')\nconst second = await owf.agent('Second')\n\
         return [first.status, second.status]\n",
    );
    let view = stub.json(&place, &["run", "two.js", "--provider", "codex", "--model", "gpt-5.4-mini", "--json"]);
    assert_eq!(view["output"], json!(["failed", "done"]), "{view}");
    let sums = json!({"input_tokens": 100, "output_tokens": 9, "cache_read_tokens": 0, "cache_write_tokens": 0,
        "usage_unknown_calls": 1, "cost_usd": 0.000_116, "cost_source": "estimated", "prices_as_of": ["2026-11-27"],
        "unpriced_calls": 1});
    assert_eq!(view["usage"], sums);
    let calls = stub.json(&place, &["calls", "--json"])["calls"].clone();
    let row =
        |i: usize| ["input_tokens", "output_tokens", "usage_unknown", "cost_usd"].map(|key| calls[i].get(key).cloned());
    assert_eq!(row(0), [None, None, Some(json!(true)), None], "{calls}");
    assert_eq!(row(1), [Some(json!(100)), Some(json!(9)), None, Some(json!(0.000_116))], "{calls}");
    let total = stub.json(&place, &["usage", "--json"])["total"].clone();
    assert_eq!((&total["usage_unknown_calls"], &total["unpriced_calls"]), (&json!(1), &json!(1)), "{total}");
    let text = |args: &[&str]| printed(&stub.command(&place, args).output().unwrap()).out;
    let one = text(&["calls", "latest", "c0001"]);
    assert!(one.contains("   tokens unknown  $? (unknown)\n"), "{one}");
    let usage = text(&["usage"]);
    assert!(usage.contains("(without the cost of 1 call, tokens of 1 call unknown)"), "{usage}");
    let status = text(&["status"]);
    assert!(status.contains(", 1 call unpriced, tokens of 1 call unknown)"), "{status}");
    let report = text(&["report", "--stdout"]);
    assert!(report.contains("100, those of 1 call unknown") && report.contains("| unknown | unknown |"), "{report}");
    // What a resume takes over was paid for once.
    stub.json(&place, &["resume", "--retry-failed", "--json"]);
    let total = stub.json(&place, &["usage", "--json"])["total"].clone();
    assert_eq!(
        (&total["runs"], &total["calls"], &total["output_tokens"]),
        (&json!(2), &json!(3), &json!(18)),
        "{total}"
    );
    // Of a run in which nothing is known the cost is not nothing either.
    std::fs::remove_file(stub.path().join("again")).unwrap();
    place.file(
        "one.js",
        "export const meta = { name: 'one', description: 'd' }\nreturn (await owf.agent('Third')).status\n",
    );
    let args = ["run", "one.js", "--provider", "codex", "--model", "gpt-5.4-mini", "--budget-cost-usd", "1", "--json"];
    let view = stub.json(&place, &args);
    // A budget counts what was set aside for it.
    assert!(view["budget"]["cost_usd"]["spent"].as_f64().unwrap() > 0.01, "{view}");
    assert_eq!((view["usage"].get("cost_usd"), &view["usage"]["cost_source"]), (None, &json!("unknown")), "{view}");
}

#[test]
fn a_service_that_counts_nothing_leaves_usage_and_cost_unknown() {
    let (place, mock) = (
        Place::new(),
        Mock::new(|seen: &Seen| {
            let mut body = answer(seen.body["model"].as_str().unwrap_or("none"), 0, 0);
            body.as_object_mut().unwrap().remove("usage");
            Answer::json(200, &body)
        }),
    );
    place.file("many.js", &script(1));
    let view = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "1"]);
    let usage = &view["usage"];
    assert_eq!((usage.get("cost_usd"), &usage["usage_unknown_calls"]), (None, &json!(1)), "{view}");
    // What was set aside for it counts.
    assert!(view["budget"]["cost_usd"]["spent"].as_f64().unwrap() > 0.008, "{view}");
}

#[test]
fn accept_028_a_cost_budget_reserves_before_a_start_and_never_spends_more() {
    let place = Place::new();
    place.file("many.js", &script(20));
    // Nothing is answered before all others are refused: what a start reserves is what is tested, not how fast answers are.
    let refusals = Arc::new(AtomicU64::new(15));
    let (home, wanted) = (place.home(), Arc::clone(&refusals));
    let mock = Mock::new(move |seen: &Seen| {
        let store = Store::open(&home, OpenMode::ReadOnly).unwrap();
        eventually(Duration::from_secs(3), "the other calls are refused", || {
            let newest = store.runs(&RunFilter::default()).unwrap().rows.remove(0);
            store.counts(&newest.run_id).unwrap().failed == wanted.load(Ordering::SeqCst)
        });
        Answer::json(200, &answer(seen.body["model"].as_str().unwrap_or("none"), 200, 1_000))
    });
    let ended = |view: &Value, status: &str| {
        view["output"].as_array().unwrap().iter().filter(|ended| **ended == status).count()
    };
    let view = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "0.05", "--concurrency", "20"]);
    // The high estimate of a call is about 1,030 tokens in and 1,800 out: 0.0089 dollars.
    assert_eq!((ended(&view, "done"), ended(&view, "budget_exhausted")), (5, 15), "{view}");
    assert_eq!(mock.seen().len(), 5);
    let spent = view["budget"]["cost_usd"]["spent"].as_f64().unwrap();
    assert!(spent <= 0.05, "{view}");
    // Of tokens 1,800 are reserved.
    refusals.store(18, Ordering::SeqCst);
    let tokens =
        run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-tokens", "4000", "--cache-policy", "refresh"]);
    assert_eq!((ended(&tokens, "done"), ended(&tokens, "budget_exhausted")), (2, 18), "{tokens}");
    assert_eq!(mock.seen().len(), 7);
}

#[test]
fn a_cost_budget_refuses_models_without_a_price_before_the_run_and_in_it() {
    let (place, mock) = (Place::new(), service(10, 10));
    place.file("many.js", &script(1));
    let before = run(&place, &mock, &["--model", "gpt-99", "--budget-cost-usd", "1"]);
    assert_eq!(before["error"]["code"], json!("unpriced_model"));
    let named = "export const meta = { name: 'many', description: 'd' }\n\
                 const r = await owf.agent('x', { model: 'gpt-99' })\nreturn [r.status, r.error?.message]\n";
    place.file("many.js", named);
    let within = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "1"]);
    assert_eq!(
        within["output"],
        json!([
            "budget_exhausted",
            "no price is known for model \"gpt-99\" of openai, so the cost budget cannot be kept"
        ]),
        "{within}"
    );
    assert_eq!(mock.seen().len(), 0);
    let allowed = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "1", "--allow-unpriced"]);
    assert_eq!(allowed["output"][0], json!("done"), "{allowed}");
}

#[test]
fn an_estimate_learns_how_many_bytes_a_token_of_a_model_is() {
    // Every prompt is about 410 bytes: four bytes and a bit a token.
    let (place, mock) = (Place::new(), service(100, 5));
    place.file("many.js", &script(1));
    let input = || {
        let args = ["dry-run", "many.js", "--provider", "openai", "--model", "gpt-5.4-mini", "--json"];
        owf(&place, &mock, &args).json()["estimate"]["input_tokens"].clone()
    };
    let blind = input();
    run(&place, &mock, &["--model", "gpt-5.4-mini"]);
    let seen = input();
    let span = |band: &Value| band["high"].as_u64().unwrap() - band["low"].as_u64().unwrap();
    assert!(span(&seen) < span(&blind), "{blind} {seen}");
    // What the service counted, and 300 for its own framing.
    assert_eq!(seen["expected"], json!(400), "{blind} {seen}");
}

#[test]
fn a_dry_run_counts_a_tool_loop_as_many_requests_and_knows_what_earlier_ones_took() {
    let place = Place::new();
    let listing = json!({"id": "c1", "model": "gpt-5.4-mini", "choices": [{"index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": null, "tool_calls": [{"id": "t1", "type": "function",
            "function": {"name": "list_files", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 20}});
    // Every attempt asks for the list of files once, then answers.
    let mock = Mock::new(move |seen: &Seen| {
        let heard = seen.body["messages"].as_array().is_some_and(|turns| turns.len() > 1);
        Answer::json(200, &if heard { answer("gpt-5.4-mini", 700, 30) } else { listing.clone() })
    });
    let script = |options: &str| {
        format!(
            "export const meta = {{ name: 'many', description: 'd' }}\nreturn await agent('{}', {options})\n",
            "x".repeat(400)
        )
    };
    place.file("plain.js", &script("{}"));
    place.file("loop.js", &script("{ readScope: ['.'] }"));
    let estimate = |name: &str, provider: &str, model: &str| {
        let args = ["dry-run", name, "--provider", provider, "--model", model, "--json"];
        owf(&place, &mock, &args).json()["estimate"].clone()
    };
    let of = |name: &str| estimate(name, "openai", "gpt-5.4-mini")["input_tokens"].clone();
    let (plain, before) = (of("plain.js"), of("loop.js"));
    assert_eq!(before["low"], plain["low"], "it may answer at once");
    let number = |band: &Value, key: &str| band[key].as_u64().unwrap();
    assert!(number(&before, "expected") > 3 * number(&plain, "expected"), "{plain} {before}");
    assert!(number(&before, "high") > 25 * number(&plain, "high"), "{plain} {before}");
    let ran =
        owf(&place, &mock, &["run", "loop.js", "--provider", "openai", "--model", "gpt-5.4-mini", "--json"]).json();
    assert_eq!((&ran["output"], &ran["usage"]["input_tokens"]), (&json!("fine"), &json!(1_200)), "{ran}");
    // What it took is what the next one is expected to take, to the rounding.
    assert!(number(&of("loop.js"), "expected").abs_diff(1_200) < 3, "{}", of("loop.js"));
    // Of an agent program the profile counts: without tools it sends a short prompt of its own.
    place.file("lean.js", &script("{ tools: [] }"));
    let of = |name: &str| number(&estimate(name, "claude", "claude-sonnet-4-6")["input_tokens"], "expected");
    assert!(of("plain.js") > 10 * of("lean.js"), "{} {}", of("plain.js"), of("lean.js"));
}

#[test]
fn accept_019_a_provider_given_on_resume_answers_what_is_unfinished() {
    let (place, mock) = (
        Place::new(),
        Mock::new(|seen: &Seen| {
            // The first provider is out of quota for the second call; the other one answers.
            let quota =
                json!({"error": {"message": "no money", "code": "insufficient_quota", "type": "insufficient_quota"}});
            if seen.line.contains("/first/") && seen.body.to_string().contains("Second") {
                Answer::json(429, &quota)
            } else {
                Answer::json(200, &answer(if seen.line.contains("/first/") { "gpt-5.4-mini" } else { "m2" }, 10, 5))
            }
        }),
    );
    place.file(
        "two.js",
        "export const meta = { name: 'two', description: 'd' }\nreturn [await agent('First'), await agent('Second')]\n",
    );
    let owf = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("OPENAI_API_KEY", "canary-0123456789").env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/first/v1"));
        command.env("OWF_PROVIDER_OTHER_BASE_URL", mock.url("/other/v1")).env("OWF_PROVIDER_OTHER_MODEL", "m2");
        printed(&command.output().unwrap())
    };
    let paused = owf(&["run", "two.js", "--provider", "openai", "--json"]).json();
    assert_eq!((&paused["status"], &paused["status_reason"]), (&json!("paused"), &json!("provider_quota")), "{paused}");
    let done = owf(&["resume", "--provider", "OTHER", "--json"]).json();
    assert_eq!((&done["status"], &done["output"]), (&json!("done"), &json!(["fine", "fine"])), "{done}");
    let calls = owf(&["calls", "--json"]).json();
    let by: Vec<&Value> = calls["calls"].as_array().unwrap().iter().map(|call| &call["provider"]).collect();
    assert_eq!(by, [&json!("openai"), &json!("other")], "{calls}");
    let first = mock.seen().iter().filter(|seen| seen.body.to_string().contains("First")).count();
    assert_eq!(first, 1, "what was answered is not asked again");
}

#[test]
fn accept_045_configured_names_resolve_in_any_case_and_unknown_ones_list_them() {
    let (place, mock) = (Place::new(), service(10, 5));
    place.file("many.js", &script(1));
    let owf = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("OWF_PROVIDER_MY_LLM_BASE_URL", mock.url("/v1")).env("OWF_PROVIDER_MY_LLM_MODEL", "m");
        printed(&command.output().unwrap())
    };
    for name in ["my_llm", "MY-LLM", "My_LLM"] {
        let view = owf(&["run", "many.js", "--provider", name, "--json"]).json();
        assert_eq!(view["status"], json!("done"), "{name}: {view}");
    }
    let unknown = owf(&["run", "many.js", "--provider", "my-lm", "--json"]).json();
    assert_eq!(unknown["error"]["code"], json!("unknown_provider"));
    assert!(unknown["error"]["allowed"][0].as_str().unwrap().starts_with("my"), "{unknown}");
}

#[test]
fn doctor_asks_services_only_when_it_is_told_to() {
    let (place, mock) = (Place::new(), service(1, 1));
    let reached = |args: &[&str]| {
        let view = owf(&place, &mock, args).json();
        let checks = view["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "reach openai")
    };
    assert_eq!(reached(&["doctor", "--json"]), None);
    assert_eq!(mock.seen().len(), 0);
    let check = reached(&["doctor", "--reach", "--json"]).unwrap();
    assert_eq!(check["health"], json!("ok"), "{check}");
    let seen = mock.seen();
    assert!(seen[0].headers.values().all(|value| !value.contains("canary")), "{seen:?}");
    // As calls do, it goes to this machine past any proxy.
    let mut command = place.command(&["doctor", "--reach", "--json"]);
    command.env("OPENAI_API_KEY", "canary-0123456789").env("http_proxy", "http://127.0.0.1:1");
    let output = command.env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1")).output().unwrap();
    let view = printed(&output).json();
    let past = view["checks"].as_array().unwrap().iter().find(|check| check["name"] == "reach openai").unwrap();
    assert_eq!(past["health"], json!("ok"), "{past}");
    let text = owf(&place, &mock, &["doctor"]).out;
    assert!(text.contains("OPENAI_API_KEY is set") && !text.contains("canary"), "{text}");
}
