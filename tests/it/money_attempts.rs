//! What budgets make of attempts and requests that are repeated, of usage that nobody tells, and of calls side by side.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use owf::core::budget::Charge;
use owf::core::event::Event;
use owf::engine::params::RunParams;
use owf::providers::{AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Reply, ReplyAnswer, ReplyError};
use owf::store::{OpenMode, Store};
use serde_json::{Value, json};

use crate::cli_support::Stub;
use crate::dialect_lab::{Lab, Outfit, inline};
use crate::http_tools::{call, calls, owf, workflow};
use crate::money::{answer, run, script};
use crate::support::cli::{Place, eventually};
use crate::support::http_mock::{Answer, Mock, Seen};

#[test]
fn what_attempts_cost_ends_them_at_the_budget() {
    let place = Place::new();
    place.file(
        "many.js",
        "export const meta = { name: 'many', description: 'd' }\n\
         const one = await owf.agent('Count', { retry: { maxAttempts: 5, delayMs: 0, on: ['schema'] },\n\
           schema: { type: 'object', required: ['n'], properties: { n: { type: 'string' } } } })\n\
         return one.status\n",
    );
    // Every answer breaks the schema and costs 0.00465, and what is set aside for one is 0.0072: there is room for two.
    let wrong = |_: &Seen| {
        let mut body = answer("gpt-5.4-mini", 200, 1_000);
        body["choices"][0]["message"]["content"] = json!("{\"n\": 1}");
        Answer::json(200, &body)
    };
    let mock = Mock::new(wrong);
    let view = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "0.012"]);
    assert_eq!((&view["output"], mock.seen().len()), (&json!("budget_exhausted"), 2), "{view}");
    let message = view["gaps"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("no further attempt: cost budget 0.012 USD: "), "{message}");
    let mock = Mock::new(wrong);
    let view = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "1"]);
    assert_eq!((&view["output"], mock.seen().len()), (&json!("schema_failed"), 5), "{view}");
}

#[test]
fn claude_is_told_less_after_each_attempt_and_not_asked_when_nothing_is_left() {
    let result = json!({"type": "result", "subtype": "success", "is_error": true, "result": "API Error: 529 overloaded",
        "api_error_status": 529, "stop_reason": "", "total_cost_usd": 0.6, "usage": {"input_tokens": 10, "output_tokens": 5},
        "modelUsage": {"claude-sonnet-4-6": {"costUSD": 0.6}}});
    let told = "while [ $# -gt 0 ]; do [ \"$1\" = --max-budget-usd ] && echo \"$2\" >>\"$dir/told\"; shift; done\n\
        cat \"$dir/events\"; exit 1";
    let stub = Stub::doing("claude", "2.1.329 (Claude Code)", told);
    stub.events(std::slice::from_ref(&result));
    let place = Place::new();
    place.file(
        "one.js",
        "export const meta = { name: 'one', description: 'd' }\n\
         return (await owf.agent('a', { tools: [], retry: { maxAttempts: 4, delayMs: 0 } })).status\n",
    );
    let args =
        ["run", "one.js", "--provider", "claude", "--model", "claude-sonnet-4-6", "--budget-cost-usd", "1", "--json"];
    let view = stub.json(&place, &args);
    assert_eq!(view["output"], json!("budget_exhausted"), "{view}");
    let told = std::fs::read_to_string(stub.path().join("told")).unwrap();
    assert_eq!(told, "1\n0.4\n", "{view}");
    assert_eq!(view["budget"]["cost_usd"]["spent"], json!(1.2), "{view}");
}

/// The data of the events of the latest run of one kind.
fn events(place: &Place, mock: &Mock, kind: &str) -> Vec<Value> {
    let lines = owf(place, mock, &["events", "latest"]).out;
    let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
}

#[test]
fn a_token_budget_bounds_no_answer_and_calls_under_way_finish() {
    const AT_ONCE: usize = 10;
    let place = Place::new();
    place.file("many.js", &script(AT_ONCE));
    // Nobody is answered before all are asked.
    let asked = Arc::new(AtomicUsize::new(0));
    let service = |asked: Arc<AtomicUsize>| {
        Mock::new(move |_: &Seen| {
            asked.fetch_add(1, Ordering::SeqCst);
            eventually(Duration::from_mins(1), "all are asked", || asked.load(Ordering::SeqCst) >= AT_ONCE);
            Answer::json(200, &answer("gpt-5.4-mini", 200, 3_000))
        })
    };
    let mock = service(Arc::clone(&asked));
    let mut command = place.command(&["run", "many.js", "--provider", "openai", "--model", "gpt-5.4-mini", "--json"]);
    command.args(["--budget-tokens", "20000"]).env("OPENAI_API_KEY", "sk-canary-0123456789abcdef");
    command.env("OWF_PROVIDER_OPENAI_CONCURRENCY", "10").env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
    let view: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(view["output"], json!(vec!["done"; AT_ONCE]), "{view}");
    assert!(mock.seen().iter().all(|seen| seen.body["max_completion_tokens"].is_null()));
    assert_eq!(view["budget"]["tokens"], json!({"limit": 20_000, "spent": 30_000, "reserved": 0}));
}

#[test]
fn an_answer_that_the_service_cut_by_a_limit_of_its_own_is_not_asked_for_again() {
    let place = Place::new();
    place.file("many.js", &script(1));
    let mock = Mock::new(|_: &Seen| {
        let mut body = answer("gpt-5.4-mini", 200, 1_024);
        body["choices"][0]["finish_reason"] = json!("length");
        Answer::json(200, &body)
    });
    let view = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "0.1"]);
    let bounds: Vec<Value> = mock.seen().iter().map(|seen| seen.body["max_completion_tokens"].clone()).collect();
    assert_eq!((&view["output"], bounds), (&json!(["provider_failed"]), vec![json!(1_800)]), "{view}");
    let message = view["gaps"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("the answer was cut at its length limit, after 1024 tokens"), "{message}");
}

#[test]
fn an_answer_that_was_cut_and_not_counted_is_asked_for_again_at_the_size_of_its_whole_request() {
    let place = Place::new();
    let prompt = "words ".repeat(6_000);
    place.file(
        "many.js",
        &format!(
            "export const meta = {{ name: 'many', description: 'd' }}\nreturn [(await owf.agent('{prompt}')).status]\n"
        ),
    );
    let mock = Mock::new(|seen: &Seen| {
        let mut body = answer("gpt-5.4-mini", 200, 1_000);
        if seen.number == 0 {
            body.as_object_mut().unwrap().remove("usage");
            body["choices"][0]["finish_reason"] = json!("length");
        }
        Answer::json(200, &body)
    });
    let view = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-cost-usd", "0.3"]);
    assert_eq!((&view["output"], mock.seen().len()), (&json!(["done"]), 2), "{view}");
    let aside = events(&place, &mock, "attempt_started")[0]["reserve_nanos"].as_u64().unwrap();
    let raised: Vec<u64> =
        events(&place, &mock, "attempt_raised").iter().map(|event| event["reserve_nanos"].as_u64().unwrap()).collect();
    // The cut request counts with what was set aside, and so does its repetition, with 5,400 tokens of answer more.
    assert_eq!(raised, [2 * aside + 5_400 * 4_500]);
}

#[test]
fn a_request_of_a_loop_that_is_made_again_is_set_aside_each_time_at_its_own_size() {
    // Turn 1 takes 100,000 tokens, which are 0.075 dollars. Turn 2 sends them again, and is answered with half an answer.
    let service = || {
        Mock::new(|seen: &Seen| {
            if seen.number > 0 {
                return Answer::text(200, "{\"half\":");
            }
            let mut answer = calls(&[("list_files", json!({}))]);
            let mut body: Value = serde_json::from_slice(&answer.parts[0].1).unwrap();
            body["usage"] = json!({"prompt_tokens": 100_000, "completion_tokens": 0});
            answer.parts[0].1 = body.to_string().into_bytes();
            answer
        })
    };
    for (budget, requests) in [("0.2", 2), ("0.3", 3)] {
        let place = Place::new();
        workflow(&place, "{ readScope: '.' }");
        let mock = service();
        let args = ["run", "w.js", "--provider", "openai", "--model", "gpt-5.4-mini", "--budget-cost-usd", budget];
        let view = owf(&place, &mock, &[&args[..], &["--json"]].concat()).json();
        let call = call(&place, &mock);
        assert_eq!((&call["status"], mock.seen().len()), (&json!("budget_exhausted"), requests), "{call}");
        // Each of the lost ones counts with all that was set aside for it.
        let raised = events(&place, &mock, "attempt_raised")[0]["reserve_nanos"].as_u64().unwrap();
        let charged = events(&place, &mock, "call_finished")[0]["outcome"]["charge"]["cost_nanos"].as_u64().unwrap();
        assert_eq!(charged, 75_000_000 + (requests as u64 - 1) * (raised - 75_000_000), "{view}");
        assert!(raised > 150_000_000, "{raised}");
    }
}

#[test]
fn a_tool_call_that_is_none_counts_and_is_asked_for_again_only_where_the_budget_has_room() {
    let place = Place::new();
    workflow(&place, "{ readScope: '.' }");
    // 100,000 tokens are 0.03 dollars.
    let mock = Mock::new(|_: &Seen| {
        Answer::json(
            200,
            &json!({"modelVersion": "gemini-2.5-flash", "candidates": [{"content": {"role": "model", "parts": []},
                "finishReason": "MALFORMED_FUNCTION_CALL"}],
                "usageMetadata": {"promptTokenCount": 100_000, "candidatesTokenCount": 1}}),
        )
    });
    let mut command = place.command(&["run", "w.js", "--provider", "gemini", "--model", "gemini-2.5-flash", "--json"]);
    command.args(["--budget-cost-usd", "0.05"]).env("GEMINI_API_KEY", "sk-canary-0123456789abcdef");
    let output = command.env("OWF_PROVIDER_GEMINI_BASE_URL", mock.url("")).output().unwrap();
    let view: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(view["budget"]["cost_usd"]["limit"], json!(0.05), "{view}");
    let spent = view["budget"]["cost_usd"]["spent"].as_f64().unwrap();
    assert_eq!((view["gaps"][0]["status"].as_str(), mock.seen().len()), (Some("budget_exhausted"), 2), "{view}");
    assert!((0.06..0.0601).contains(&spent), "{view}");
}

#[test]
fn answers_that_count_no_tokens_use_up_a_token_budget_with_what_was_set_aside_for_them() {
    let place = Place::new();
    place.file(
        "many.js",
        "export const meta = { name: 'many', description: 'd' }\nconst all = []\n\
         for (const name of ['a', 'b', 'c', 'd']) all.push((await owf.agent(name)).status)\nreturn all\n",
    );
    let mock = Mock::new(|_: &Seen| {
        let mut body = answer("gpt-5.4-mini", 200, 3_000);
        body.as_object_mut().unwrap().remove("usage");
        Answer::json(200, &body)
    });
    let view = run(&place, &mock, &["--model", "gpt-5.4-mini", "--budget-tokens", "2000"]);
    // The second starts because nothing runs beside it and less than the total is used.
    assert_eq!(view["output"], json!(["done", "done", "budget_exhausted", "budget_exhausted"]), "{view}");
    assert_eq!(view["budget"]["tokens"], json!({"limit": 2_000, "spent": 3_600, "reserved": 0}));
    assert_eq!((&view["usage"]["output_tokens"], mock.seen().len()), (&json!(0), 2));
}

#[test]
fn claude_calls_that_start_one_after_another_are_together_told_no_more_than_there_is() {
    let result = json!({"type": "result", "subtype": "success", "is_error": false, "result": "fine", "stop_reason": "end_turn",
        "total_cost_usd": 0.25, "usage": {"input_tokens": 10, "output_tokens": 5},
        "modelUsage": {"claude-sonnet-4-6": {"costUSD": 0.25}}});
    // The first ends when the second was told, 30 s at most: the second is asked for when the first is at work.
    let doing = "while [ $# -gt 0 ]; do [ \"$1\" = --max-budget-usd ] && echo \"$2\" >>\"$dir/told\"; shift; done\n\
        n=0; until [ \"$(wc -l <\"$dir/told\")\" -ge 2 ] || [ $n -ge 3000 ]; do sleep 0.01; n=$((n + 1)); done\n\
        cat \"$dir/events\"";
    let stub = Stub::doing("claude", "2.1.329 (Claude Code)", doing);
    stub.events(std::slice::from_ref(&result));
    let place = Place::new();
    place.file(
        "two.js",
        "export const meta = { name: 'two', description: 'd' }\n\
         const first = agent('a', { tools: [] })\nawait owf.sleep(300)\n\
         return [await agent('b', { tools: [] }), await first]\n",
    );
    let args = ["run", "two.js", "--provider", "claude", "--model", "claude-sonnet-4-6", "--budget-cost-usd", "1"];
    let view = stub.json(&place, &[&args[..], &["--json"]].concat());
    assert_eq!(view["output"], json!(["fine", "fine"]), "{view}");
    let told = std::fs::read_to_string(stub.path().join("told")).unwrap();
    let told: Vec<f64> = told.lines().map(|usd| usd.parse().unwrap()).collect();
    // The one that started later has what was set aside for it, or on a slow machine they started at once, with half of it each.
    assert!(told.iter().all(|usd| *usd > 0.0) && told.iter().sum::<f64>() < 1.1, "{told:?}");
}

#[test]
fn a_reader_of_the_budget_sees_what_is_set_aside_for_calls_under_way() {
    let place = Place::new();
    place.file("many.js", &script(2));
    let (seen, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (asked, looked) = (Arc::clone(&seen), Arc::clone(&told));
    let mock = Mock::new(move |_: &Seen| {
        asked.fetch_add(1, Ordering::SeqCst);
        eventually(Duration::from_mins(1), "somebody has looked", || looked.load(Ordering::SeqCst) > 0);
        Answer::json(200, &answer("gpt-5.4-mini", 200, 100))
    });
    let mut command = place.command(&["run", "many.js", "--provider", "openai", "--model", "gpt-5.4-mini", "--json"]);
    command.args(["--budget-tokens", "50000", "--budget-cost-usd", "0.1"]);
    command.env("OPENAI_API_KEY", "sk-canary-0123456789abcdef").env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually(Duration::from_mins(1), "both are asked", || seen.load(Ordering::SeqCst) == 2);
    let reserved = || {
        let budget = owf(&place, &mock, &["status", "latest", "--json"]).json()["budget"].clone();
        (budget["tokens"]["reserved"].clone(), budget["cost_usd"]["reserved"].as_f64().unwrap())
    };
    eventually(Duration::from_mins(1), "both starts are on record", || reserved().0 == json!(3_600));
    let aside = events(&place, &mock, "attempt_started")[0]["reserve_nanos"].as_f64().unwrap();
    let (_, usd) = reserved();
    assert!((usd - 2.0 * aside / 1e9).abs() < 1e-4, "{usd} {aside}");
    told.store(1, Ordering::SeqCst);
    child.wait().unwrap();
    assert_eq!(reserved(), (json!(0), 0.0));
}

/// Raises what is set aside for it many times, and looks each time whether that is on record.
struct Raising {
    home: PathBuf,
    /// What was granted and not on record.
    missing: Arc<Mutex<Vec<u64>>>,
}

impl Provider for Raising {
    fn name(&self) -> &'static str {
        "raising"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Http
    }

    fn default_concurrency(&self) -> u32 {
        1
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        false
    }

    fn reserve(&self, _: &AttemptRequest) -> Charge {
        Charge { tokens: 0, cost_nanos: 1, calls: 1 }
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            let cost = |cost_nanos| Charge { cost_nanos, ..Charge::default() };
            for nanos in 2..100 {
                context.allowance.as_ref().unwrap().raise(cost(0), cost(nanos)).await?;
                let store = Store::open(&self.home, OpenMode::ReadOnly).unwrap();
                let events = store.events(&request.run_id, 0, 1_000).unwrap();
                let last = events.iter().rev().find_map(|record| match record.event {
                    Event::AttemptRaised { reserve_nanos, .. } => Some(reserve_nanos),
                    _ => None,
                });
                if last != Some(nanos) {
                    self.missing.lock().unwrap().push(nanos);
                }
            }
            Ok(Reply::new(ReplyAnswer::Text("fine".to_owned())))
        })
    }
}

#[test]
fn more_is_granted_to_an_attempt_when_that_is_on_record() {
    let home = tempfile::tempdir().unwrap();
    let missing = Arc::new(Mutex::new(Vec::new()));
    let provider = Raising { home: home.path().join("home"), missing: Arc::clone(&missing) };
    let lab = Lab::at(home, Outfit { providers: vec![Arc::new(provider)], ..Outfit::default() });
    let params = RunParams {
        budget_cost_usd: Some(1.0),
        allow_unpriced: Some(true),
        ..inline("return await agent('p', {provider: 'raising'})")
    };
    let ended = lab.run(&params);
    assert_eq!((ended.value(), ended.count("attempt_raised")), (json!("fine"), 98));
    assert_eq!(*missing.lock().unwrap(), Vec::<u64>::new());
}
