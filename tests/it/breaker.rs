//! The circuit breaker: a provider that cannot be reached is left alone, by every run of the process, and then tried once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use owf::core::event::Event;
use owf::core::outcome::{CallError, ErrorClass, Usage};
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

#[test]
fn accept_093_after_five_failures_attempts_fail_at_once_in_every_run_until_one_probe_gets_through() {
    let (provider, other) = (shaky("shaky", 5), shaky("steady", 0));
    let lab = Lab::with(Outfit {
        providers: vec![Arc::clone(&provider) as Arc<dyn Provider>, Arc::clone(&other) as Arc<dyn Provider>],
        env: vec![("OWF_BREAKER_OPEN_MS", "1500")],
        ..Outfit::default()
    });
    assert_eq!(lab.value(FIVE), json!(vec!["provider_failed"; 5]));
    // Another run of the same process: not asked, not paid, never ok; other providers go on.
    let ended = lab.body(
        "const r = await owf.agent('now', { provider: 'shaky', retry: { maxAttempts: 1 } })
         return [r.ok, r.status, r.error.class, r.error.retryAfterMs > 0 && r.error.retryAfterMs <= 1500, r.costUsd, r.usage.outputTokens,
            await agent('other', { provider: 'steady' })]",
    );
    assert_eq!(ended.value(), json!([false, "provider_failed", "overloaded", true, 0, 0, "answer 1"]));
    assert_eq!(provider.asked.load(Ordering::SeqCst), 5);
    // With retries the call waits for the rest of the time, and gets through.
    let ended = lab.body("const r = await owf.agent('wait', { provider: 'shaky' }); return [r.text, r.attempts]");
    assert_eq!(ended.value(), json!(["answer 6", 2]));
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
    assert_eq!(failed, [(ErrorClass::Overloaded, Usage::default())]);
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
