//! How calls that no agent answers are to be executed: which of them may, and by what.

use std::path::Path;
use std::sync::Arc;

use crate::core::call::CallSpec;
use crate::core::ids::CallId;
use crate::core::machine::Plan;
use crate::core::outcome::{CacheNote, CacheStatus, CallError, ErrorClass, ReasonCode};
use crate::providers::Provider;

use super::commands::{self, Commands, HOW_TO_ALLOW, allowed, secrets_set};
use super::outputs;
use super::prepare::Prepared;
use super::run_loop::RunLoop;

impl RunLoop {
    pub(super) fn plan_command(&mut self, call_id: CallId, spec: &CallSpec) -> Plan {
        let fake = Arc::clone(&self.tree.fake);
        let request = self.attempt_request(call_id, spec, fake.as_ref(), false);
        if fake.has_rule_for(&request) {
            return self.plan_work(call_id, spec, fake, "fake");
        }
        let services = &self.tree.services;
        if !allowed(services, &self.tree.settings) {
            let mut error = CallError::new(ErrorClass::Policy, "commands are not allowed in this run");
            error.hint = Some(HOW_TO_ALLOW.to_owned());
            return Plan::Refuse(error);
        }
        if let Err(error) = self.admissible(spec) {
            return Plan::Refuse(error);
        }
        let runner = Arc::new(Commands::new(services.env.clone()));
        self.plan_work(call_id, spec, runner, commands::NAME)
    }

    /// What every call must have before anything is asked: its secrets, and outputs that may be made.
    pub(super) fn admissible(&self, spec: &CallSpec) -> Result<(), CallError> {
        secrets_set(spec, &self.tree.services.env)?;
        outputs::check(Path::new(&self.spec.workspace), &spec.ask, &self.tree.services.config.files)
    }

    /// The plan of a call that `provider` carries out: never from the cache, which only answers of agents are kept in.
    pub(super) fn plan_work(
        &mut self,
        call_id: CallId,
        spec: &CallSpec,
        provider: Arc<dyn Provider>,
        name: &str,
    ) -> Plan {
        let schema = match spec.ask.schema.as_ref().map(|schema| self.tree.schema(schema)) {
            None => None,
            Some(Ok(schema)) => Some(schema),
            Some(Err(error)) => return Plan::Refuse(error),
        };
        let concurrency = self.tree.settings.concurrency.unwrap_or_else(|| provider.default_concurrency());
        let prepared = Prepared {
            provider_name: name.to_owned(),
            concurrency,
            request: self.attempt_request(call_id, spec, provider.as_ref(), false),
            schema,
            workspace: None,
            mutations: self.tree.mutations().0,
            store_as: None,
            feedback: None,
            claim: None,
            provider,
        };
        self.prepared.insert(call_id, prepared);
        let reason = Some(if spec.ask.once.is_some() {
            ReasonCode::IdempotencyKey
        } else if spec.is_mutating() {
            ReasonCode::Mutating
        } else {
            ReasonCode::Policy
        });
        Plan::Run {
            provider: Some(name.to_owned()),
            model: None,
            real: false,
            note: CacheNote { status: CacheStatus::Bypassed, reason, ..CacheNote::default() },
            record: None,
            child_run: None,
            pin: None,
            permit: true,
            // What a program prints does not get better by being asked again.
            schema_attempts: Some(1),
        }
    }
}
