//! What an attempt may do besides answering: wind down, say how far it is, hear what was wrong with its last answer.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use owf::core::event::Event;
use owf::core::outcome::{CallError, CostSource, ErrorClass, Usage};
use owf::engine::Execution;
use owf::engine::params::CancelParams;
use owf::providers::{AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Reply, ReplyAnswer, ReplyError};
use serde_json::json;
use tokio::sync::Notify;

use crate::dialect_lab::{Lab, Outfit, Scripted, inline};
use crate::support::cli::eventually;

/// Answers only when it is asked to end, and then says what it used: at once, or when it is let go.
#[derive(Default)]
struct Winding {
    asked: AtomicBool,
    told_to_end: AtomicBool,
    /// What it waits for before it says what it used.
    hold: Option<Notify>,
    wound_down: AtomicBool,
}

/// What [`Winding`] says it used.
const USED: Usage = Usage {
    input_tokens: 3,
    output_tokens: 7,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    cache_write_1h_tokens: 0,
    reasoning_tokens: 0,
};

impl Provider for Winding {
    fn name(&self) -> &'static str {
        "winding"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Cli
    }

    fn default_concurrency(&self) -> u32 {
        2
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        false
    }

    fn wind_down(&self) -> Duration {
        Duration::from_mins(5)
    }

    fn schema_attempts(&self) -> Option<u32> {
        Some(2)
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            if request.spec.ask.schema.is_some() {
                let said = request.feedback.as_ref().map(|f| json!({"answer": f.answer, "message": f.message}));
                return Ok(Reply::new(ReplyAnswer::Json(json!({"n": said}))));
            }
            self.asked.store(true, Ordering::SeqCst);
            for step in 0..5 {
                context.progress.say(format!("step {step}"));
            }
            context.stop.stopped().await;
            self.told_to_end.store(true, Ordering::SeqCst);
            if let Some(hold) = &self.hold {
                hold.notified().await;
            }
            self.wound_down.store(true, Ordering::SeqCst);
            let error = CallError::new(ErrorClass::Cancelled, "told to end");
            Err(ReplyError { usage: USED, cost_nanos: Some(11), cost_source: CostSource::Reported, ..error.into() })
        })
    }
}

fn lab(provider: &Arc<Winding>, env: Vec<(&'static str, &'static str)>) -> Lab {
    Lab::with(Outfit { providers: vec![Arc::clone(provider) as Arc<dyn Provider>], env, ..Outfit::default() })
}

#[test]
fn a_timeout_ends_politely_and_keeps_what_was_used() {
    let provider = Arc::new(Winding::default());
    let ended = lab(&provider, Vec::new()).body("return await agent('p', {provider: 'winding', timeoutMs: 40})");
    assert_eq!(ended.value(), json!(null));
    let outcome = ended.events.iter().find_map(|record| match &record.event {
        Event::CallFinished { outcome, .. } => Some(outcome.clone()),
        _ => None,
    });
    let outcome = outcome.unwrap();
    let error = outcome.error.unwrap();
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Timeout, "no answer in 40 ms"));
    let twice = Usage { input_tokens: 6, output_tokens: 14, ..Usage::default() };
    assert_eq!((outcome.attempts, outcome.usage, outcome.cost_nanos), (2, twice, Some(22)));
    assert_eq!(outcome.cost_source, CostSource::Reported);
}

#[test]
fn a_budget_counts_what_was_set_aside_for_an_attempt_of_unknown_cost() {
    let never = Scripted::new("slow", ProviderKind::Http, |_, _| Ok(ReplyAnswer::Text("late".to_owned())))
        .until(|_| false)
        .costing(500);
    let lab = Lab::with(Outfit { providers: vec![Arc::new(never)], ..Outfit::default() });
    let ended = lab.body("return await agent('p', {provider: 'slow', timeoutMs: 40})");
    let charges: Vec<(u64, Option<u64>)> = ended
        .events
        .iter()
        .filter_map(|record| match &record.event {
            Event::CallFinished { outcome, .. } => Some((outcome.charge.cost_nanos, outcome.cost_nanos)),
            _ => None,
        })
        .collect();
    assert_eq!(charges, [(1000, None)], "two attempts, each as dear as it may have been; what it cost is not known");
}

#[test]
fn a_cancelled_attempt_is_asked_to_end_and_the_run_waits_until_it_has() {
    let provider = Arc::new(Winding { hold: Some(Notify::new()), ..Winding::default() });
    let lab = lab(&provider, Vec::new());
    let params = inline("return await agent('p', {provider: 'winding'})");
    let started = lab.engine.start(&params, Execution::InProcess { linger_on_approvals: false }).unwrap();
    eventually(Duration::from_secs(3), "the provider is asked", || provider.asked.load(Ordering::SeqCst));
    let handle = started.handle.unwrap();
    let cancel = CancelParams { run_id: started.run_id.to_string(), ..CancelParams::default() };
    std::thread::scope(|scope| {
        let cancelled = scope.spawn(|| lab.engine.cancel(&cancel, "test").unwrap());
        let told = || provider.told_to_end.load(Ordering::SeqCst);
        eventually(Duration::from_secs(3), "it is asked to end", told);
        assert!(!handle.wait_ended(Duration::ZERO), "it has yet to say what it used");
        provider.hold.as_ref().unwrap().notify_one();
        cancelled.join().unwrap();
    });
    assert!(handle.wait_ended(Duration::from_mins(1)));
    assert!(provider.wound_down.load(Ordering::SeqCst), "its own end was waited for");
    assert_eq!(lab.view(started.run_id.as_str()).status.as_str(), "cancelled");
}

#[test]
fn words_about_progress_are_journaled_but_not_every_one() {
    let provider = Arc::new(Winding::default());
    let ended = lab(&provider, Vec::new()).body("return await agent('p', {provider: 'winding', timeoutMs: 40})");
    let said: Vec<(u32, &str)> = ended
        .events
        .iter()
        .filter_map(|record| match &record.event {
            Event::AttemptProgress { attempt, message, .. } => Some((*attempt, message.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(said, [(1, "step 0"), (2, "step 0")]);
}

#[test]
fn the_next_attempt_hears_what_was_wrong_with_the_last_answer() {
    let provider = Arc::new(Winding::default());
    let schema = "{type: 'object', properties: {n: {type: 'object', properties: {message: {type: 'string'}}}}}";
    let body = format!("return await agent('p', {{provider: 'winding', schema: {schema}}})");
    let value = lab(&provider, Vec::new()).value(&body);
    assert_eq!(value["n"]["answer"], json!("{\"n\":null}"));
    assert_eq!(value["n"]["message"], json!("/n must be object, got null"));
}

#[test]
fn a_provider_has_its_own_number_of_attempts_at_a_structured_answer_unless_one_is_configured() {
    let body = "try { await agent('p', {provider: 'winding', schema: {type: 'object', required: ['x']}}) } catch (e) { return 'threw' }";
    for (env, attempts) in [(Vec::new(), 2), (vec![("OWF_SCHEMA_ATTEMPTS", "3")], 3)] {
        let ended = lab(&Arc::new(Winding::default()), env).body(body);
        assert_eq!((ended.value(), ended.count("attempt_started")), (json!("threw"), attempts));
    }
}
