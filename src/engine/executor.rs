//! One attempt of one call: barrier, time limit, provider, schema check. Knows nothing of the script.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::budget::Charge;
use crate::core::machine::{Answer, AttemptReport};
use crate::core::outcome::{CallError, CostSource, ErrorClass, Usage};
use crate::providers::schema::CompiledSchema;
use crate::providers::{AttemptRequest, CallContext, Provider, ProviderKind};
use crate::store::Ticket;

use super::answer::checked;

/// Everything an attempt needs.
pub(crate) struct Attempt {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) request: AttemptRequest,
    pub(crate) context: CallContext,
    pub(crate) schema: Option<Arc<CompiledSchema>>,
    /// What must be on disk before the attempt takes effect.
    pub(crate) barrier: Option<Ticket>,
    /// Wait before it.
    pub(crate) delay: Duration,
    /// State of the workspace, for providers that read it.
    pub(crate) workspace: Option<String>,
}

/// Carries an attempt out. Returns nothing when the barrier failed: then the process no longer owns the run and nothing may
/// take effect.
pub(crate) async fn execute(attempt: Attempt) -> Option<AttemptReport> {
    if !attempt.delay.is_zero() {
        tokio::time::sleep(attempt.delay).await;
    }
    if let Some(barrier) = &attempt.barrier {
        barrier.committed().await.ok()?;
    }
    let began = Instant::now();
    let limit = Duration::from_millis(attempt.request.timeout_ms);
    let simulated = attempt.provider.kind() == ProviderKind::Fake;
    let mut report = AttemptReport {
        result: Err(CallError::new(ErrorClass::Other, "no answer")),
        usage: Usage::default(),
        cost_nanos: None,
        cost_source: if simulated { CostSource::Simulated } else { CostSource::Unknown },
        provider: Some(attempt.provider.name().to_owned()),
        model: attempt.request.model.clone(),
        simulated,
        charge: Charge::default(),
        duration_ms: 0,
        rule: None,
    };
    match tokio::time::timeout(limit, attempt.provider.call(&attempt.request, &attempt.context)).await {
        Err(_) => {
            let message = format!("no answer in {}", readable(attempt.request.timeout_ms));
            report.result = Err(CallError::new(ErrorClass::Timeout, message));
        }
        Ok(Err(failure)) => {
            report.usage = failure.usage;
            report.cost_nanos = failure.cost_nanos;
            report.rule = failure.rule;
            report.result = Err(failure.error);
        }
        Ok(Ok(reply)) => {
            report.usage = reply.usage;
            report.cost_nanos = reply.cost_nanos;
            report.cost_source = reply.cost_source;
            report.rule = reply.rule;
            if reply.model.is_some() {
                report.model = reply.model;
            }
            if let (Some(path), Some(transcript)) = (&attempt.context.transcript, &reply.transcript) {
                // A transcript is for readers; an answer is not thrown away because it could not be written.
                if let Err(error) = std::fs::write(path, transcript) {
                    tracing::warn!(%error, "transcript not written");
                }
            }
            report.result = checked(reply.answer, attempt.schema.as_deref()).map(|(value, text)| Answer {
                value: Some(value),
                text,
                changed_files: reply.changed_files,
                workspace: attempt.workspace,
            });
        }
    }
    report.duration_ms = began.elapsed().as_millis() as u64;
    report.charge = Charge { tokens: report.usage.output_tokens, cost_nanos: report.cost_nanos.unwrap_or(0), calls: 0 };
    Some(report)
}

fn readable(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}
