//! One agent call of a rehearsal: how a real run would send it, and the fake provider's answer to it.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use serde_json::Value;

use crate::core::budget::Charge;
use crate::core::call::{CallKind, CallSpec};
use crate::core::ids::{CallId, Hash};
use crate::core::machine::{Answer, AttemptReport, Plan};
use crate::core::outcome::{CacheNote, CallError, CostSource, ErrorClass};
use crate::core::work::OutputsAsk;
use crate::engine::answer::checked;
use crate::engine::commands;
use crate::providers::schema::CompiledSchema;
use crate::providers::{AttemptRequest, CallContext, Provider as _, ReplyError};

use super::shell::Scene;
use super::stage::Stage;

/// An agent call that is ready to be asked.
pub(super) struct Prepared {
    pub(super) request: AttemptRequest,
    schema: Option<Arc<CompiledSchema>>,
    /// The provider a real run would ask.
    provider: String,
    /// Whether it lets the call use tools of the workspace.
    pub(super) reads: bool,
}

impl Prepared {
    /// Finds provider, model and schema of a call. Unlike in a run, a provider that is known but cannot be used here is no
    /// obstacle: the report tells it.
    ///
    /// # Errors
    /// No such provider, or a schema that cannot be used: the call would fail in a run, too.
    pub(super) fn new(
        stage: &mut Stage,
        scene: &Scene,
        call_id: CallId,
        (request_key, occurrence): (Hash, u32),
        spec: &CallSpec,
    ) -> Result<Self, CallError> {
        let asked = spec.ask.provider.as_deref();
        let wanted = asked.unwrap_or(&stage.settings.provider);
        let Some(provider) = stage.registry.get(wanted) else {
            let mut error = CallError::new(ErrorClass::NotInstalled, format!("there is no provider \"{wanted}\""));
            error.hint = Some(format!("known providers: {}", stage.registry.known_names().join(", ")));
            return Err(error);
        };
        let schema = spec.ask.schema.as_ref().map(|schema| stage.schema(schema)).transpose()?;
        let persona = spec.ask.agent_type.as_ref().and_then(|name| stage.personas.get(name)).map(|(p, _)| p.clone());
        let default_model = || if asked.is_none() { stage.settings.model.clone() } else { None };
        let model = spec
            .ask
            .model
            .clone()
            .or_else(|| persona.as_ref().and_then(|p| p.model.clone()))
            .or_else(default_model)
            .or_else(|| provider.default_model());
        let request = AttemptRequest {
            run_id: scene.run.clone(),
            call_id,
            attempt: 1,
            occurrence,
            request_key,
            spec: spec.clone(),
            args: scene.args.clone().unwrap_or(Value::Null),
            model,
            persona,
            mood: stage.settings.mood,
            assume: stage.assume.clone(),
            cwd: stage.cwd.clone(),
            timeout_ms: spec.timeout_ms.unwrap_or(stage.settings.engine.call_timeout_ms),
            marker: String::new(),
            feedback: None,
            budget: None,
        };
        let reads = provider.reads_workspace(&request);
        let provider = match spec.kind {
            CallKind::Command => commands::NAME.to_owned(),
            CallKind::Tool => "tool".to_owned(),
            _ => provider.name().to_owned(),
        };
        Ok(Self { request, schema, provider, reads })
    }

    /// The plan the machine is told.
    pub(super) fn plan(&self) -> Plan {
        Plan::Run {
            provider: Some(self.provider.clone()),
            model: self.request.model.clone(),
            real: false,
            note: CacheNote::default(),
            record: None,
            child_run: None,
            pin: None,
            permit: true,
            schema_attempts: None,
        }
    }

    /// The most it may charge.
    pub(super) fn reserve(&self, stage: &Stage) -> Charge {
        stage.fake.reserve(&self.request)
    }

    /// Makes one attempt. The fake provider of a dry run waits for nothing, so an answer that is not there at once is a
    /// timeout.
    pub(super) fn ask(&mut self, stage: &Stage, attempt: u32) -> AttemptReport {
        self.request.attempt = attempt;
        let context = CallContext::default();
        let reply = {
            let mut future = pin!(stage.fake.call(&self.request, &context));
            match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(reply) => reply,
                Poll::Pending => {
                    let message = format!("no answer within {} ms", self.request.timeout_ms);
                    Err(ReplyError::from(CallError::new(ErrorClass::Timeout, message)))
                }
            }
        };
        let mut report = AttemptReport {
            cost_source: CostSource::Simulated,
            provider: Some(self.provider.clone()),
            model: self.request.model.clone(),
            simulated: true,
            ..AttemptReport::new(Err(CallError::new(ErrorClass::Other, "no answer")))
        };
        match reply {
            Ok(reply) => {
                (report.usage, report.cost_nanos, report.rule) = (reply.usage, reply.cost_nanos, reply.rule);
                report.result = checked(reply.answer, self.schema.as_deref()).map(|(value, text)| Answer {
                    value: Some(value),
                    text,
                    changed_files: match &self.request.spec.ask.outputs {
                        Some(OutputsAsk::Files(files)) => files.clone(),
                        Some(_) | None => reply.changed_files,
                    },
                    workspace: None,
                });
            }
            Err(failure) => {
                (report.usage, report.cost_nanos, report.rule) = (failure.usage, failure.cost_nanos, failure.rule);
                report.result = Err(failure.error);
            }
        }
        let cost_nanos = report.cost_nanos.unwrap_or(0);
        report.charge = Charge { tokens: report.usage.output_tokens, cost_nanos, calls: 0 };
        report
    }
}
