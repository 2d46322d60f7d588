//! Every reply to a model about the worst run: a thousand calls, huge prompts, emoji, quotes, control characters.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::core::call::CallSpec;
use crate::core::event::{Event, LogLevel, Swallowed};
use crate::core::ids::CallId;
use crate::core::outcome::{CallError, ErrorClass, Outcome, SchemaError};
use crate::core::run::{RunSpec, Settings};
use crate::engine::params::{
    ApprovalsParams, ArtifactsParams, CallsParams, Detail, ExplainParams, ListRunsParams, OutputParams,
    ReadArtifactParams,
};
use crate::engine::view::RunView;

use super::bounds::size;
use super::testing::{Book, Run, agent, done, fake, spec};
use super::{Bound, Query, QueryEnv, RunScope};

const NASTY: &str = "😀\"\\\u{1}\n'é";

fn nasty(chars: usize) -> String {
    NASTY.chars().cycle().take(chars).collect()
}

fn worst(book: &mut Book) -> Run {
    let settings = Settings {
        limits: crate::core::budget::Limits { tokens: Some(1), cost_nanos: Some(1), calls: Some(1) },
        ..Settings::default()
    };
    let phases = (0..200).map(|n| format!("{n}{}", nasty(300))).collect();
    let mut run = book.run(&RunSpec { settings, phases, description: nasty(5_000), ..spec(&nasty(2_000)) });
    let mut events = Vec::new();
    for n in 1..=1_000_u32 {
        let prompt = if n <= 4 { nasty(250_000) } else { nasty(300) };
        let phase = Some(format!("{}{}", n % 200, nasty(300)));
        events.push(run.request(CallSpec { phase, ..agent(&prompt, &nasty(2_000), n) }));
        let mut error = CallError::new(ErrorClass::Schema, nasty(if n <= 30 { 20_000 } else { 2_000 }));
        error.hint = Some(nasty(3_000));
        error.schema_errors =
            vec![SchemaError { pointer: nasty(900), message: nasty(900), got: Some(json!([nasty(5_000)])) }; 40];
        if n > 30 {
            error.schema_errors.clear();
        }
        let outcome = match n % 3 {
            0 if n <= 300 => {
                Outcome { call_id: CallId(n), text: Some(nasty(900)), ..Outcome::failed(CallId(n), error) }
            }
            0 => Outcome::failed(CallId(n), CallError::new(ErrorClass::Budget, nasty(2_000))),
            1 => Outcome {
                call_id: CallId(n),
                changed_files: vec![nasty(400); if n <= 30 { 300 } else { 3 }],
                ..fake(Value::String(nasty(900)))
            },
            _ => Outcome { call_id: CallId(n), ..done(json!({"a": nasty(3_000)})) },
        };
        events.push(Event::AttemptStarted {
            call_id: CallId(n),
            attempt: 1,
            provider: Some("claude".into()),
            model: Some(nasty(60)),
            cache: None,
            due_at: None,
            child_run: None,
            reserve_nanos: 0,
            reserve_tokens: 0,
        });
        if n < 980 {
            events.push(Event::CallFinished {
                call_id: CallId(n),
                outcome: Box::new(outcome),
                reused: None,
                rule: None,
            });
        }
        if n > 200 {
            continue;
        }
        events.push(Event::Log { level: LogLevel::Info, message: nasty(900), fields: None });
        events.push(Event::Warning { code: "workspace_changed".into(), message: format!("{n}{}", nasty(900)) });
        let what = Swallowed { place: "parallel[0]".into(), line: None, message: nasty(900), call_id: None };
        events.push(Event::Swallowed { what });
    }
    run.events(events);
    run.question(&nasty(9_000));
    run
}

/// Checks the bound and that the reply is JSON that reads back as itself.
fn fits<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(what: &str, view: &T) {
    let text = serde_json::to_string(view).unwrap();
    let units: usize = text.chars().map(char::len_utf16).sum();
    assert!(units <= 10_000, "{what}: {units}");
    assert!(units > 150, "{what} is empty: {text}");
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), view);
}

#[test]
fn a_run_with_more_questions_than_a_reply_takes_says_that_some_are_left_out() {
    let mut book = Book::new();
    let mut run = book.run(&spec("w"));
    for number in 1..=40 {
        run.question_as(number, &"why? ".repeat(60));
    }
    let env = book.model();
    let query = Query { store: &book.store, env: &env };
    let status = RunScope::Status { limit: None, cursor: None };
    let view = query.run_view(&run.id, &status).unwrap();
    fits("run view", &view);
    assert!(view.truncated && view.approvals.len() < 40, "{}", view.approvals.len());
    let whole = book.query().run_view(&run.id, &status).unwrap();
    assert_eq!((whole.truncated, whole.approvals.len()), (false, 40));
}

#[test]
fn every_reply_about_the_worst_run_fits() {
    let mut book = Book::new();
    let mut run = worst(&mut book);
    let env = QueryEnv { real_providers: vec![nasty(300); 5], ..book.model() };
    let query = Query { store: &book.store, env: &env };
    let wait = |detail| RunScope::Wait { cursor: None, detail };
    let scopes = [
        RunScope::Start { detail: crate::engine::params::Detail::Concise },
        wait(Detail::Concise),
        wait(Detail::Full),
        RunScope::Status { limit: None, cursor: None },
        RunScope::Status { limit: Some(1_000), cursor: None },
    ];
    let views =
        |query: &Query<'_>| -> Vec<RunView> { scopes.iter().map(|s| query.run_view(&run.id, s).unwrap()).collect() };
    for view in views(&query) {
        fits("run view", &view);
        assert_eq!((view.counts.total, view.gaps_total), (1_001, Some(326)));
        assert!(!view.approvals.is_empty(), "a question goes before rows");
    }
    assert!(views(&query).iter().all(|view| !view.gaps.is_empty()), "then come gaps");
    fits("calls", &query.calls(&CallsParams::default()).unwrap());
    for call in ["1", "2", "3", "300", "303", "999", "1000", "1001"] {
        fits(call, &query.call_detail(&CallsParams { call_id: Some(call.into()), ..CallsParams::default() }).unwrap());
    }
    fits("explain", &query.explain(&ExplainParams::default()).unwrap());
    fits("approvals", &query.approvals(&ApprovalsParams::default()).unwrap());
    fits("runs", &query.list_runs(&ListRunsParams::default()).unwrap());
    for n in 0..300 {
        run.file(&format!("calls/c{n:04}/{}.txt", "é".repeat(60)), NASTY.as_bytes());
    }
    run.file("transcript", nasty(90_000).as_bytes());
    fits("artifacts", &query.artifacts(&ArtifactsParams::default()).unwrap());
    fits(
        "artifact",
        &query
            .read_artifact(&ReadArtifactParams { path: "transcript".into(), ..ReadArtifactParams::default() })
            .unwrap(),
    );
    run.returns(Some(json!({nasty(900): nasty(100_000), "list": vec![nasty(10); 1_000]})));
    fits("output", &query.output(&OutputParams::default()).unwrap());
    let scopes = [
        RunScope::Start { detail: crate::engine::params::Detail::Concise },
        RunScope::Status { limit: None, cursor: None },
    ];
    for scope in &scopes {
        fits("ended run", &query.run_view(&run.id, scope).unwrap());
    }
}

#[test]
fn pages_for_a_model_make_up_all_calls_and_the_command_line_gets_them_at_once() {
    let mut book = Book::new();
    let mut run = book.run(&spec("a"));
    let mut events = Vec::new();
    for n in 1..=150_u32 {
        events.push(run.request(agent(&nasty(50), &format!("{n}{}", nasty(60)), n)));
        let outcome = Outcome { call_id: CallId(n), ..done(json!(n)) };
        events.push(Event::CallFinished { call_id: CallId(n), outcome: Box::new(outcome), reused: None, rule: None });
    }
    run.events(events);
    let all = book.query().calls(&CallsParams::default()).unwrap();
    assert_eq!((all.calls.len(), all.truncated, all.next_cursor), (150, false, None));
    let env = book.model();
    assert_eq!(env.bound, Bound::Model);
    let query = Query { store: &book.store, env: &env };
    let mut params = CallsParams::default();
    let mut paged = Vec::new();
    loop {
        let page = query.calls(&params).unwrap();
        assert!(size(&page) <= 10_000 && !page.calls.is_empty());
        paged.extend(page.calls);
        assert_eq!(page.truncated, page.next_cursor.is_some());
        let Some(next) = page.next_cursor else { break };
        params.cursor = Some(next);
    }
    let names = |rows: &[crate::engine::view::CallRow]| rows.iter().map(|r| r.call_id.clone()).collect::<Vec<_>>();
    assert_eq!(names(&paged), names(&all.calls));
}
