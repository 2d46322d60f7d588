//! How a call is to be executed: provider, model, schema, cache key and lookup, child source.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::core::budget::Charge;
use crate::core::call::{CachePolicy, CallKind, CallSpec};
use crate::core::event::CacheRecord;
use crate::core::ids::{CallId, Hash};
use crate::core::machine::Plan;
use crate::core::outcome::{CacheNote, CacheStatus, CallError, CallRef, CallStatus, ErrorClass, Outcome, ReasonCode};
use crate::core::run::EngineLimits;
use crate::providers::schema::CompiledSchema;
use crate::providers::{AttemptRequest, CallContext, Feedback, Provider, ProviderKind};
use crate::store::KeyClaim;

use super::cache_key;
use super::commands;
use super::message::Message;
use super::run_loop::RunLoop;
use super::workspace::{Seen, excluded, keep, look};

/// How often a waiter looks whether the process it waits for has answered.
const CLAIM_POLL: Duration = Duration::from_millis(20);

/// Claims that are made at once.
static CLAIMING: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(64);

/// What the loop keeps of a planned call until it is delivered.
pub(crate) struct Prepared {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) provider_name: String,
    pub(super) concurrency: u32,
    pub(super) request: AttemptRequest,
    pub(super) schema: Option<Arc<CompiledSchema>>,
    pub(super) workspace: Option<Seen>,
    /// The tools of the configuration that its agent may use, as they are.
    pub(super) tools: Option<Value>,
    /// Mutating attempts begun when the call was planned.
    pub(super) mutations: u64,
    /// Set when a fresh answer goes into the cache.
    pub(super) store_as: Option<CacheRecord>,
    /// What was wrong with the last answer, for the next attempt.
    pub(super) feedback: Option<Feedback>,
    /// Held while the attempt runs, against other processes asking the same.
    pub(super) claim: Option<KeyClaim>,
}

impl Prepared {
    /// The most the call may charge.
    pub(super) fn reserve(&self) -> Charge {
        self.provider.reserve(&self.request)
    }

    pub(super) fn context(run_dir: &std::path::Path, call_id: CallId, limits: EngineLimits) -> CallContext {
        let folders = limits.call_folders;
        let retry_ceiling = Some(Duration::from_millis(limits.retry_ceiling_ms));
        let transcript =
            (call_id.0 <= folders).then(|| run_dir.join("calls").join(call_id.to_string()).join("transcript.jsonl"));
        CallContext { transcript, retry_ceiling, ..CallContext::default() }
    }
}

impl RunLoop {
    /// The plan of a call, or none when it comes later as a message: another process is answering the same request.
    pub(super) fn plan(&mut self, call_id: CallId) -> Option<Plan> {
        let spec = Arc::clone(self.machine.spec(call_id)?);
        match spec.kind {
            CallKind::Workflow => Some(self.plan_child(call_id, &spec)),
            CallKind::Agent => self.plan_agent(call_id, &spec),
            CallKind::Command => Some(self.plan_command(call_id, &spec)),
            CallKind::Tool => self.plan_tool(call_id, &spec),
            CallKind::Expr | CallKind::Approval | CallKind::Timer | CallKind::Turn => {
                let message = format!("calls of kind {} cannot be executed yet", spec.kind.as_str());
                Some(Plan::Refuse(CallError::new(ErrorClass::Other, message)))
            }
        }
    }

    fn plan_agent(&mut self, call_id: CallId, spec: &Arc<CallSpec>) -> Option<Plan> {
        let asked = spec.ask.provider.as_deref();
        let wanted = asked.unwrap_or(&self.tree.settings.provider).to_owned();
        let Some(provider) = self.tree.providers.get(&wanted) else {
            let known = self.tree.providers.known_names().join(", ");
            let mut error = CallError::new(ErrorClass::NotInstalled, format!("there is no provider \"{wanted}\""));
            error.hint = Some(format!("known providers: {known}"));
            return Some(Plan::Refuse(error));
        };
        let available = provider.availability();
        // A service without a key says so when it is asked: that pauses the run, and a resume finds the key.
        if !available.available && provider.kind() != ProviderKind::Http {
            let message = available.message.unwrap_or_else(|| format!("provider \"{wanted}\" cannot be used here"));
            return Some(Plan::Refuse(CallError::new(ErrorClass::NotInstalled, message)));
        }
        if let Err(error) = commands::reaches_a_program(spec, provider.as_ref()).and_then(|()| self.admissible(spec)) {
            return Some(Plan::Refuse(error));
        }
        let schema = match spec.ask.schema.as_ref().map(|schema| self.tree.schema(schema)) {
            None => None,
            Some(Ok(schema)) => Some(schema),
            Some(Err(error)) => return Some(Plan::Refuse(error)),
        };
        let request = self.attempt_request(call_id, spec, provider.as_ref(), asked.is_none());
        if let Err(error) = self.priced(provider.as_ref(), request.model.as_deref()) {
            return Some(Plan::Refuse(error));
        }
        let real = provider.kind() != ProviderKind::Fake;
        let name = provider.name().to_owned();
        let concurrency = self.tree.concurrency(&name);
        let workspace = if provider.reads_workspace(&request) && !spec.is_mutating() {
            self.tree.workspace(&request.cwd, spec.ask.read_scope.as_deref(), &self.excluded())
        } else {
            None
        };
        if let Some(seen) = &workspace
            && let Err(error) = keep(&self.tree.store, seen)
        {
            tracing::warn!(%error, "a state of the workspace is not kept");
        }
        let model = request.model.clone();
        let limits = self.tree.settings.engine;
        // Runs of earlier versions recorded only the number.
        let configured =
            limits.schema_attempts_set || limits.schema_attempts != EngineLimits::default().schema_attempts;
        let schema_attempts = if configured { None } else { provider.schema_attempts() };
        let mut prepared = Prepared {
            provider_name: name.clone(),
            concurrency,
            schema,
            workspace,
            tools: self.lent(call_id).map(|lent| lent.identity()),
            mutations: self.tree.mutations().0,
            store_as: None,
            feedback: None,
            claim: None,
            provider,
            request,
        };
        let run = |note: CacheNote, record: Option<CacheRecord>| Plan::Run {
            provider: Some(name.clone()),
            model: model.clone(),
            real,
            note,
            record,
            child_run: None,
            pin: None,
            permit: true,
            schema_attempts,
        };
        let policy = self.tree.settings.cache_policy.and(spec.cache.unwrap_or(CachePolicy::Auto));
        let note = |status, reason| CacheNote { status, reason: Some(reason), ..CacheNote::default() };
        let blind = prepared.provider.reads_workspace(&prepared.request) && prepared.workspace.is_none();
        let plan = if spec.ask.once.is_some() {
            run(note(CacheStatus::Bypassed, ReasonCode::IdempotencyKey), None)
        } else if spec.is_mutating() {
            run(note(CacheStatus::Bypassed, ReasonCode::Mutating), None)
        } else if spec.ask.outputs.is_some() {
            // An answer of another run made its files then, not now.
            run(note(CacheStatus::Bypassed, ReasonCode::Policy), None)
        } else if policy == CachePolicy::Disabled {
            run(note(CacheStatus::Disabled, ReasonCode::Policy), None)
        } else if blind {
            run(note(CacheStatus::Bypassed, ReasonCode::Policy), None)
        } else {
            let parts = cache_key::parts(spec, &prepared);
            let key = cache_key::key(spec.kind, &parts);
            let occurrence = self.cache_occurrence(call_id, key);
            let record = CacheRecord {
                key,
                occurrence,
                parts: cache_key::short(&parts),
                workspace: prepared.workspace.as_ref().map(Seen::id),
            };
            if policy.reads()
                && let Some(hit) = self.lookup(call_id, &record)
            {
                return Some(hit);
            }
            // Under a budget the order in which calls start decides which are refused: there they are planned one by one.
            let any_order = real && !self.tree.settings.limits.any();
            if policy.reads() && prepared.provider.wants_claim(&prepared.request) && any_order {
                // A claim is on disk before it is one. Many at once are one write, as long as this thread waits for none.
                let plan = run(CacheNote::default(), Some(record.clone()));
                prepared.store_as = policy.writes().then(|| record.clone());
                self.wait_for_leader(call_id, record, plan, Duration::ZERO);
                self.prepared.insert(call_id, prepared);
                return None;
            }
            if policy.reads() && prepared.provider.wants_claim(&prepared.request) {
                match self.tree.store.claim_key(&key, occurrence, &self.run, super::journal::now()) {
                    Ok(Some(claim)) => {
                        // The one who held it before may have answered since the first look.
                        if let Some(hit) = self.lookup(call_id, &record) {
                            return Some(hit);
                        }
                        prepared.claim = Some(claim);
                    }
                    Ok(None) => {
                        let plan = run(CacheNote::default(), Some(record.clone()));
                        prepared.store_as = policy.writes().then(|| record.clone());
                        self.wait_for_leader(call_id, record, plan, CLAIM_POLL);
                        self.prepared.insert(call_id, prepared);
                        return None;
                    }
                    Err(error) => tracing::warn!(%error, "no claim on a cache key"),
                }
            }
            if policy.writes() {
                prepared.store_as = Some(record.clone());
            }
            let why = if policy == CachePolicy::Refresh {
                CacheNote { reason: Some(ReasonCode::Refresh), ..CacheNote::default() }
            } else {
                CacheNote::default()
            };
            run(why, Some(record))
        };
        self.prepared.insert(call_id, prepared);
        Some(plan)
    }

    /// The occurrence a call is looked up by: the one it had before, so that a call that runs again asks for its own answer and
    /// never for that of a sibling; else the next of the tree.
    fn cache_occurrence(&self, call_id: CallId, key: Hash) -> u32 {
        let before = self.machine.identity(call_id).and_then(|id| self.lookups.get(&id));
        match before {
            Some((earlier, occurrence)) if *earlier == key => *occurrence,
            Some(_) | None => self.tree.next_occurrence(key),
        }
    }

    fn lookup(&self, call_id: CallId, record: &CacheRecord) -> Option<Plan> {
        match self.tree.store.cache_get(&record.key, record.occurrence) {
            Ok(hit) => hit.map(|hit| hit_plan(call_id, record, hit.from, hit.outcome)),
            Err(error) => {
                tracing::warn!(%error, "cache not read");
                None
            }
        }
    }

    /// Waits, off this thread, until the answer another process is working on is there, or its claim is free. Looks for the
    /// first time after `first`.
    fn wait_for_leader(&self, call_id: CallId, record: CacheRecord, otherwise: Plan, first: Duration) {
        let store = self.tree.store.clone();
        let run = self.run.clone();
        let to = self.to_self.clone();
        self.tree.services.runtime.spawn(async move {
            let mut wait = first;
            let (plan, claim) = loop {
                tokio::time::sleep(wait).await;
                wait = CLAIM_POLL;
                if let Ok(Some(hit)) = store.cache_get(&record.key, record.occurrence) {
                    break (hit_plan(call_id, &record, hit.from, hit.outcome), None);
                }
                let claimed = {
                    // As many as one write takes well, and no thread for each of a thousand calls.
                    let _turn = CLAIMING.acquire().await;
                    let (store, record, run) = (store.clone(), record.clone(), run.clone());
                    let claim = move || store.claim_key(&record.key, record.occurrence, &run, super::journal::now());
                    tokio::task::spawn_blocking(claim).await
                };
                match claimed {
                    Ok(Ok(None)) => {}
                    Ok(Ok(Some(claim))) => {
                        if let Ok(Some(hit)) = store.cache_get(&record.key, record.occurrence) {
                            break (hit_plan(call_id, &record, hit.from, hit.outcome), None);
                        }
                        break (otherwise, Some(claim));
                    }
                    // Without claims two processes may ask the same; that costs, but it is right.
                    Ok(Err(_)) | Err(_) => break (otherwise, None),
                }
            };
            // A loop that has ended no longer needs the plan.
            let _ = to.send(Message::Planned { call_id, plan: Box::new(plan), claim });
        });
    }

    pub(super) fn attempt_request(
        &self,
        call_id: CallId,
        spec: &CallSpec,
        provider: &dyn Provider,
        default_provider: bool,
    ) -> AttemptRequest {
        let (request_key, occurrence) = self.machine.identity(call_id).unwrap_or((Hash::of(""), 1));
        let persona = spec.ask.agent_type.as_ref().and_then(|name| self.personas.get(name));
        let model = spec
            .ask
            .model
            .clone()
            .or_else(|| persona.and_then(|p| p.persona.model.clone()))
            .or_else(|| if default_provider { self.tree.settings.model.clone() } else { None })
            .or_else(|| provider.default_model());
        AttemptRequest {
            run_id: self.run.clone(),
            call_id,
            attempt: 1,
            occurrence,
            request_key,
            spec: spec.clone(),
            args: self.spec.args.clone().unwrap_or(Value::Null),
            model,
            persona: persona.map(|p| p.persona.clone()),
            mood: self.tree.settings.mood,
            assume: std::collections::BTreeMap::new(),
            cwd: PathBuf::from(&self.spec.workspace),
            timeout_ms: spec.timeout_ms.unwrap_or(self.tree.settings.engine.call_timeout_ms),
            marker: String::new(),
            feedback: None,
            budget: None,
        }
    }

    /// Whether a fresh answer may be stored: one from a provider that reads the workspace only when the workspace is still as it
    /// was and no mutating attempt overlapped.
    pub(super) fn may_store(&self, prepared: &Prepared) -> bool {
        let Some(before) = &prepared.workspace else { return true };
        let scope = prepared.request.spec.ask.read_scope.as_deref();
        self.tree.mutations() == (prepared.mutations, false)
            && look(&prepared.request.cwd, scope, &self.excluded()).is_some_and(|now| now.state == before.state)
    }

    fn excluded(&self) -> Vec<PathBuf> {
        excluded(&self.tree.store, &self.spec)
    }
}

/// A plan that settles a call with another run's answer.
fn hit_plan(call_id: CallId, record: &CacheRecord, from: CallRef, earlier: Outcome) -> Plan {
    let cache = CacheNote {
        status: CacheStatus::Hit,
        reason: Some(ReasonCode::SameRequest),
        from: Some(from),
        key: Some((record.key, record.occurrence)),
        ..CacheNote::default()
    };
    Plan::Hit(Box::new(taken_over(call_id, earlier, cache)))
}

/// The outcome of a call that gets the answer of another. Nothing was used or charged for it.
pub(super) fn taken_over(call_id: CallId, earlier: Outcome, cache: CacheNote) -> Outcome {
    Outcome {
        value: earlier.value,
        text: earlier.text,
        provider: earlier.provider,
        model: earlier.model,
        simulated: earlier.simulated,
        workspace: earlier.workspace,
        cost_source: earlier.cost_source,
        cost_nanos: earlier.cost_nanos.map(|_| 0),
        cache,
        ..Outcome::new(call_id, CallStatus::Done)
    }
}
