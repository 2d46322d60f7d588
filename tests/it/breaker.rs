//! The circuit breaker: a provider that cannot be reached is left alone, by every run of the process, and then tried once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use owf::core::event::Event;
use owf::core::outcome::{CallError, ErrorClass, Usage};
use owf::core::run::RunStatus;
use owf::engine::params::RunParams;
use owf::providers::{AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Reply, ReplyAnswer, ReplyError};
use serde_json::json;

use crate::dialect_lab::{Lab, Outfit};

/// Cannot be reached for its first `down` invocations.
struct Shaky {
    name: &'static str,
    down: u64,
    asked: AtomicU64,
}

impl Provider for Shaky {
    fn name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Http
    }

    fn default_concurrency(&self) -> u32 {
        8
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        false
    }

    fn call<'a>(&'a self, _: &'a AttemptRequest, _: &'a CallContext) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            let n = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            if n <= self.down {
                return Err(CallError::new(ErrorClass::Transport, "connection refused").into());
            }
            let usage = Usage { input_tokens: 1, output_tokens: 1, ..Usage::default() };
            Ok(Reply { usage, ..Reply::new(ReplyAnswer::Text(format!("answer {n}"))) })
        })
    }
}

fn shaky(name: &'static str, down: u64) -> Arc<Shaky> {
    Arc::new(Shaky { name, down, asked: AtomicU64::new(0) })
}

/// Fails five times without a retry.
const FIVE: &str = "const out = []
    for (let i = 0; i < 5; i++) out.push((await owf.agent('n' + i, { provider: 'shaky', retry: { maxAttempts: 1 } })).status)
    return out";

fn lab(providers: &[&Arc<Shaky>], open_ms: &'static str) -> Lab {
    let providers = providers.iter().map(|provider| Arc::clone(provider) as Arc<dyn Provider>).collect();
    Lab::with(Outfit { providers, env: vec![("OWF_BREAKER_OPEN_MS", open_ms)], ..Outfit::default() })
}

#[test]
fn accept_093_after_five_failures_attempts_fail_at_once_in_every_run() {
    let (provider, other) = (shaky("shaky", 5), shaky("steady", 0));
    let lab = lab(&[&provider, &other], "60000");
    assert_eq!(lab.value(FIVE), json!(vec!["provider_failed"; 5]));
    assert_eq!(provider.asked.load(Ordering::SeqCst), 5, "none of them was refused");
    // Another run of the same process: not asked, not paid, never ok; other providers go on.
    let ended = lab.body(
        "const r = await owf.agent('now', { provider: 'shaky', retry: { maxAttempts: 1 } })
         return [r.ok, r.status, r.error.class, r.error.retryAfterMs > 0 && r.error.retryAfterMs <= 60000, r.costUsd, r.usage.outputTokens,
            await agent('other', { provider: 'steady' })]",
    );
    assert_eq!(ended.value(), json!([false, "provider_failed", "overloaded", true, 0, 0, "answer 1"]));
    // A task that it refuses has failed, and what comes after it does not run.
    let text = "name: x
agents: {s: {provider: shaky}, t: {provider: steady}}
tasks:
  a: {agent: s, prompt: d, retry: {max_attempts: 1, on: [transport]}}
  b: {after: a, agent: t, prompt: b}
";
    let ended = lab.run(&RunParams { script: Some(text.to_owned()), ..RunParams::default() });
    assert_eq!(
        (ended.outcome.status, ended.statuses().join(" ")),
        (RunStatus::Failed, "provider_failed cancelled".to_owned())
    );
    assert_eq!((provider.asked.load(Ordering::SeqCst), other.asked.load(Ordering::SeqCst)), (5, 1));
}

#[test]
fn accept_093_an_answer_between_two_failures_counts_anew_and_four_in_a_row_open_nothing() {
    let provider = shaky("shaky", 4);
    let lab = lab(&[&provider], "60000");
    let body = FIVE.replace("i < 5", "i < 6");
    let said = ["provider_failed", "provider_failed", "provider_failed", "provider_failed", "done", "done"];
    assert_eq!(lab.value(&body), json!(said));
    provider.asked.store(0, Ordering::SeqCst);
    assert_eq!(lab.value(&body.replace("'n'", "'m'")), json!(said), "asked anew, all six");
}

#[test]
fn accept_093_when_the_time_is_over_one_probe_goes_through_and_a_call_with_retries_waits_for_it() {
    let provider = shaky("shaky", 5);
    let lab = lab(&[&provider], "300");
    assert_eq!(lab.value(FIVE), json!(vec!["provider_failed"; 5]));
    let ended = lab.body("const r = await owf.agent('wait', { provider: 'shaky' }); return [r.text, r.attempts]");
    let failed: Vec<(ErrorClass, Usage)> = ended
        .events
        .iter()
        .filter_map(|record| match &record.event {
            Event::AttemptFailed { error, usage, retry_in_ms, .. } => {
                assert!(error.message.contains("left alone for"), "{error:?}");
                assert_eq!(error.retry_after_ms, *retry_in_ms);
                Some((error.class, *usage))
            }
            _ => None,
        })
        .collect();
    // On a slow day the time is over before the call comes.
    let refused = failed.len();
    assert_eq!(failed, vec![(ErrorClass::Overloaded, Usage::default()); refused.min(1)]);
    assert_eq!(ended.value(), json!(["answer 6", refused + 1]));
    assert_eq!(lab.value("return await agent('again', { provider: 'shaky' })"), json!("answer 7"));
}

#[test]
fn generated_answers_and_failures_that_were_answers_open_nothing() {
    let lab = Lab::with(Outfit { env: vec![("OWF_BREAKER_FAILURES", "2")], ..Outfit::default() });
    let fixtures = lab.file(
        "answers.yaml",
        "owf_fixtures: 1\nrules:\n  - match: { occurrence: \"1-\" , label: bad }\n    error: { class: transport, message: no }\n  - text: fine\n",
    );
    let mut params = crate::dialect_lab::inline(
        "for (let i = 0; i < 4; i++) await agent('x' + i, { label: 'bad', retry: { maxAttempts: 1 } })
         return await agent('y', { label: 'good' })",
    );
    params.fixtures = Some(fixtures);
    assert_eq!(lab.run(&params).value(), json!("fine"));
}
