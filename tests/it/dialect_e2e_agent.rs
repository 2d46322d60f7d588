//! The script dialect through the whole engine: `agent()`, its failures, caps and budgets.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use owf::core::outcome::{CallError, ErrorClass};
use owf::core::run::{EngineLimits, OnProviderDown, RunErrorCode, RunStatus};
use owf::engine::params::RunParams;
use owf::providers::{ProviderKind, ReplyAnswer};
use serde_json::json;

use crate::dialect_lab::{Lab, Outfit, Scripted, inline};
use crate::support::cli::Place;

fn lab_with(provider: &Arc<Scripted>) -> Lab {
    Lab::with(Outfit { providers: vec![Arc::clone(provider) as _], ..Outfit::default() })
}

/// A start with the provider of the test.
fn asked(body: &str) -> RunParams {
    RunParams { provider: Some("scripted".to_owned()), ..inline(body) }
}

const SCHEMA: &str = "{ type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }";

#[test]
fn dialect_20_an_endless_loop_fails_the_run_and_the_process_lives_on() {
    let limits = EngineLimits { sync_ms: 200, ..EngineLimits::default() };
    let lab = Lab::with(Outfit { limits: Some(limits), ..Outfit::default() });
    let ended = lab.body("await agent('first')\nfor (;;) {}");
    let error = ended.outcome.error.clone().unwrap();
    assert_eq!((ended.outcome.status, error.code), (RunStatus::Failed, RunErrorCode::SyncTimeout), "{error:?}");
    assert_eq!(ended.statuses(), ["done"]);
    // The same engine goes on to serve.
    assert_eq!(lab.value("return typeof await agent('next')"), json!("string"));
}

#[test]
fn dialect_20_a_looping_script_of_the_real_binary_shows_as_running_and_can_be_cancelled() {
    let place = Place::new();
    place.file(
        "loop.js",
        "export const meta = { name: 'loop', description: 'Never ends.' }\nlet n = 0\nwhile (true) { n = [n].map(x => x + 1)[0] }\n",
    );
    // The binary's own limit is 30 s and no flag shortens it; a person need not wait that long.
    let mut child = place.spawn(&["run", "loop.js"]);
    let mut run = String::new();
    crate::support::cli::eventually(Duration::from_secs(1), "the run shows as running", || {
        let printed = place.owf(&["runs", "--json"]);
        let Ok(view) = serde_json::from_str::<serde_json::Value>(&printed.out) else { return false };
        run = view["runs"][0]["run_id"].as_str().unwrap_or_default().to_owned();
        view["runs"][0]["status"] == "running"
    });
    place.owf(&["cancel", &run]);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(3));
    let view = place.json(&["status", &run, "--json"]);
    assert_eq!((view["status"].clone(), view["status_reason"].clone()), (json!("cancelled"), json!("user")));
}

#[test]
fn dialect_26_every_class_of_provider_failure_is_null_with_one_line_and_no_throw() {
    let classes = [
        ErrorClass::Auth,
        ErrorClass::Quota,
        ErrorClass::NotInstalled,
        ErrorClass::BadRequest,
        ErrorClass::ContextTooLong,
        ErrorClass::Refusal,
        ErrorClass::MaxTokens,
        ErrorClass::MaxTurns,
        ErrorClass::ToolDenied,
        ErrorClass::Crashed,
        ErrorClass::Policy,
        ErrorClass::Other,
    ];
    let provider = Arc::new(Scripted::new("scripted", ProviderKind::Http, move |_, request| {
        let n: usize = request.spec.label.parse().unwrap_or(0);
        Err(CallError::new(classes[n], format!("failure {n}")))
    }));
    let lab = lab_with(&provider);
    let body = format!(
        "const out = []\nfor (let i = 0; i < {}; i++) {{\n  out.push(await agent('p' + i, {{ label: String(i) }}))\n  out.push(await agent('q' + i, {{ label: String(i), schema: {SCHEMA} }}))\n}}\nreturn out",
        classes.len()
    );
    let params = RunParams { on_provider_down: Some(OnProviderDown::Fail), ..asked(&body) };
    let ended = lab.run(&params);
    assert_eq!(ended.value(), json!(vec![json!(null); 2 * classes.len()]));
    // A tool that was denied is no failure of the provider: it has no line.
    let lines = ended.logs();
    let expected: Vec<String> = classes
        .iter()
        .enumerate()
        .filter(|(_, class)| **class != ErrorClass::ToolDenied)
        .flat_map(|(n, class)| {
            let line = format!("agent \"{n}\" {}: failure {n}", class.call_status().as_str());
            [line.clone(), line]
        })
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(provider.invoked() as usize, 2 * classes.len());
}

#[test]
fn dialect_26_a_busy_fake_provider_is_asked_again_and_then_null() {
    let lab = Lab::new();
    lab.file(
        "f.yaml",
        "owf_fixtures: 1\ninvocation_log: log.jsonl\nrules:\n  - match: { label: busy }\n    error: { class: overloaded, message: busy }\n",
    );
    let params = RunParams {
        fixtures: Some("f.yaml".to_owned()),
        ..inline("return [await agent('p', { label: 'busy' }), await agent('q', { label: 'fine' }) !== null]")
    };
    let ended = lab.run(&params);
    assert_eq!(ended.value(), json!([null, true]));
    assert_eq!(ended.logs(), ["agent \"busy\" provider_failed: busy"]);
    assert_eq!((lab.invocations("log.jsonl"), ended.count("attempt_failed")), (5, 3));
}

#[test]
fn dialect_27_five_invalid_outputs_throw_with_the_last_error() {
    let provider = Arc::new(Scripted::new("scripted", ProviderKind::Http, |number, _| {
        Ok(ReplyAnswer::Json(json!({ "n": format!("try {number}") })))
    }));
    let lab = lab_with(&provider);
    let body = format!(
        "try {{ await agent('p', {{ schema: {SCHEMA} }}) }} catch (e) {{ return [e instanceof Error, e.name, e.message] }}"
    );
    let ended = lab.run(&asked(&body));
    let value = ended.value();
    assert_eq!((value[0].clone(), value[1].clone()), (json!(true), json!("Error")));
    assert!(value[2].as_str().unwrap_or_default().contains("try 5"), "{value}");
    assert_eq!((provider.invoked(), ended.statuses()), (5, vec!["schema_failed".to_owned()]));
}

#[test]
fn dialect_27_a_fifth_output_that_is_valid_counts() {
    let provider = Arc::new(Scripted::new("scripted", ProviderKind::Http, |number, _| {
        Ok(ReplyAnswer::Json(if number < 5 { json!({}) } else { json!({ "n": number }) }))
    }));
    let lab = lab_with(&provider);
    let ended = lab.run(&asked(&format!("return await agent('p', {{ schema: {SCHEMA} }})")));
    assert_eq!((ended.value(), provider.invoked()), (json!({ "n": 5 }), 5));
}

#[test]
fn dialect_27_a_missing_output_throws_after_one_nudge_and_both_are_null_in_a_fan_out() {
    let provider = Arc::new(Scripted::new("scripted", ProviderKind::Http, |_, request| {
        Ok(match request.spec.label.as_str() {
            "missing" => ReplyAnswer::Missing,
            "prose" => ReplyAnswer::Text("I would rather not say.".to_owned()),
            _ => ReplyAnswer::Json(json!({ "n": "wrong" })),
        })
    }));
    let lab = lab_with(&provider);
    let body = format!(
        "const schema = {SCHEMA}
const seen = []
for (const label of ['missing', 'prose']) {{
  try {{ await agent(label, {{ label, schema }}) }} catch (e) {{ seen.push([label, e.name]) }}
}}
const both = ['missing', 'wrong']
seen.push(await parallel(both.map(label => () => agent('parallel ' + label, {{ label, schema }}))))
seen.push(await pipeline(both, label => agent('pipeline ' + label, {{ label, schema }})))
return seen"
    );
    let ended = lab.run(&asked(&body));
    assert_eq!(ended.value(), json!([["missing", "Error"], ["prose", "Error"], [null, null], [null, null]]));
    // Two for each answer that did not come, five for each that did not fit.
    assert_eq!(provider.invoked(), 2 + 2 + (2 + 5) + (2 + 5));
    let failed = |what: &str| ended.logs().iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((failed("parallel["), failed("pipeline["), ended.logs().len()), (2, 2, 4));
    assert_eq!(ended.count("swallowed"), 4);
}

#[test]
fn dialect_28_an_unusable_schema_throws_before_anything_starts_and_counts_as_a_call() {
    let provider = Arc::new(Scripted::new("scripted", ProviderKind::Http, |_, _| Ok(ReplyAnswer::Text("x".into()))));
    let lab = lab_with(&provider);
    let body = "const seen = []
for (const schema of [
  {}, { type: 'array' }, { type: 'string' }, { anyOf: [{ type: 'object' }] }, { type: 'object', properties: 1 },
  { type: 'object', $ref: 'https://example.org/s.json' }, { type: 'object', $ref: '#/$defs/none' },
  { type: 'object', required: ['a'], additionalProperties: false },
]) {
  try { await agent('p', { schema }); seen.push('ran') } catch (e) { seen.push(e instanceof Error) }
}
return seen";
    let ended = lab.run(&asked(body));
    assert_eq!(ended.value(), json!([true, true, true, true, true, true, true, true]));
    assert_eq!(provider.invoked(), 0);
    assert_eq!((ended.count("call_requested"), ended.count("attempt_started")), (8, 0));
    assert_eq!(ended.statuses(), vec!["failed"; 8]);
}

#[test]
fn dialect_30_a_numeric_string_comes_back_as_a_number() {
    let provider = Arc::new(Scripted::new("scripted", ProviderKind::Http, |_, _| {
        Ok(ReplyAnswer::Json(json!({ "n": "42", "extra": "7" })))
    }));
    let lab = lab_with(&provider);
    let ended = lab.run(&asked(&format!("return await agent('p', {{ schema: {SCHEMA} }})")));
    assert_eq!((ended.value(), provider.invoked()), (json!({ "n": 42, "extra": "7" }), 1));
}

#[test]
fn dialect_31_an_unknown_agent_type_throws_and_lists_what_exists() {
    let provider = Arc::new(Scripted::new("scripted", ProviderKind::Cli, |_, request| {
        Ok(ReplyAnswer::Text(
            request.persona.as_ref().map_or_else(|| "none".to_owned(), |p| p.system.trim().to_owned()),
        ))
    }));
    let lab = lab_with(&provider);
    lab.file(".claude/agents/reader.md", "---\nname: reader\ndescription: Reads.\n---\nYou read with care.\n");
    let body = "const seen = []
for (const agentType of ['raeder', 7]) {
  try { await agent('p', { agentType }) } catch (e) { seen.push(e.message) }
}
seen.push(await agent('p', { agentType: 'reader', isolation: 'docker', effort: 'bananas' }))
seen.push(await agent('p', { isolation: true, effort: 3 }))
try { await agent('p', { isolation: 'remote' }) } catch (e) { seen.push(e.name) }
return seen";
    let ended = lab.run(&asked(body));
    let known = "known: Explore, Plan, general-purpose, reader";
    assert_eq!(
        ended.value(),
        json!([
            format!("agent type \"raeder\" is not known; {known}"),
            format!("agent type \"7\" is not known; {known}"),
            "You read with care.",
            "none",
            "TypeError"
        ])
    );
    assert_eq!(provider.invoked(), 2);
}

#[test]
fn dialect_33_beyond_the_cap_agent_throws_by_name_and_a_slot_is_null() {
    let lab = Lab::new();
    let body = "const slots = await parallel([1, 2, 3, 4].map(n => () => agent('slot ' + n)))
try { await agent('one more') } catch (e) { return [slots.map(s => s === null), e.name, e instanceof Error] }";
    let ended = lab.run(&RunParams { max_calls: Some(3), ..inline(body) });
    assert_eq!(ended.value(), json!([[false, false, false, true], "WorkflowAgentCapError", true]));
    assert_eq!(ended.statuses(), ["budget_exhausted", "done", "done", "done", "budget_exhausted"]);
    // Nobody catches it: the run fails with a code of its own.
    let ended = lab.run(&RunParams { max_calls: Some(1), ..inline("await agent('a'); await agent('b')") });
    let error = ended.outcome.error.unwrap();
    assert_eq!((ended.outcome.status, error.code), (RunStatus::Failed, RunErrorCode::CallCap));
}

#[test]
fn dialect_33_a_thousand_calls_pass_and_the_next_does_not() {
    let lab = Lab::new();
    let body = "const slots = await parallel(Array.from({ length: 1001 }, (_, i) => () => agent('n' + i)))
const first = slots.indexOf(null)
try { await agent('again') } catch (e) { return [first, slots.filter(Boolean).length, e.name] }";
    assert_eq!(lab.value(body), json!([1000, 1000, "WorkflowAgentCapError"]));
}

#[test]
fn dialect_34_at_the_ceiling_agent_throws_by_name_running_agents_finish_and_a_fan_out_says_it_once() {
    let provider = Arc::new(
        Scripted::new("scripted", ProviderKind::Http, |_, _| Ok(ReplyAnswer::Text("fine".into())))
            // Two run side by side: no answer comes before both are there.
            .until(|provider| provider.invoked() >= 2),
    );
    let lab = lab_with(&provider);
    let body = "const slots = await parallel([1, 2, 3, 4, 5].map(n => () => agent('slot ' + n)))
try { await agent('one more') } catch (e) { return [slots, e.name, budget.total, budget.spent(), budget.remaining()] }";
    // Ten tokens each: two run at once and finish, the others are refused.
    let ended = lab.run(&RunParams { budget_tokens: Some(20), ..asked(body) });
    assert_eq!(ended.value(), json!([["fine", "fine", null, null, null], "WorkflowBudgetExceededError", 20, 20, 0]));
    assert_eq!(provider.invoked(), 2);
    let lines = ended.logs();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("parallel: 3 of 5 slots dropped: "), "{lines:?}");
    let uncaught = lab.run(&RunParams { budget_tokens: Some(10), ..asked("await agent('a'); await agent('b')") });
    assert_eq!(uncaught.outcome.error.unwrap().code, RunErrorCode::BudgetExhausted);
}
