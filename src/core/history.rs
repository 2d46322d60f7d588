//! A journal folded into what a replay needs: recorded outcomes in order, what was requested and started, open questions.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::core::budget::Charge;
use crate::core::call::CallKind;
use crate::core::event::{ApprovalNote, Event};
use crate::core::ids::{ApprovalId, CallId, Hash, RunId};
use crate::core::machine::DecisionInput;
use crate::core::outcome::{CallError, CallRef, Outcome, Usage};
use crate::core::run::{RunOutcome, RunSpec, Settings, is_fake};
use crate::core::time::Millis;

/// What the journal holds of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedCall {
    /// Its id.
    pub call_id: CallId,
    /// Its kind.
    pub kind: CallKind,
    /// Its outcome and the outcome's place among the run's outcomes, from 0.
    pub outcome: Option<(u64, Arc<Outcome>)>,
    /// Where a reused outcome came from.
    pub reused: Option<CallRef>,
    /// Number of the last attempt, over the lineage.
    pub attempts: u32,
    /// Whether an attempt is open: started, without an end.
    pub open: bool,
    /// Owner deaths during an attempt.
    pub lost: u32,
    /// Whether the last attempt was lost with its owner and none has started since.
    pub lost_last: bool,
    /// What failed attempts used while there is no outcome.
    pub usage: Usage,
    /// Whether they, or attempts that were lost with their owner, used tokens whose number nobody knows.
    pub usage_unknown: bool,
    /// What they cost.
    pub cost_nanos: Option<u64>,
    /// What they charged.
    pub charge: Charge,
    /// What was set aside for its last attempt, of a provider that bills.
    pub reserve_nanos: u64,
    /// Output tokens, likewise.
    pub reserve_tokens: u64,
    /// Whether its last attempt asks a provider that counts tokens.
    pub counts_tokens: bool,
    /// What tools of its last attempt have changed, or were about to when its owner died: by the number of the effect.
    pub effects: Vec<(u32, String)>,
    /// Those of them that may have changed something although they failed.
    pub unclear: Vec<u32>,
    /// What was said so far, for its next attempt to go on with.
    pub kept: Option<Arc<Value>>,
    /// When its timer is due.
    pub due_at: Option<Millis>,
    /// The question it asked last and the answer.
    pub approval: Option<(ApprovalNote, Option<DecisionInput>)>,
    /// When it was started first.
    pub started_at: Option<Millis>,
    /// The cache key and occurrence it was looked up by last.
    pub lookup: Option<(Hash, u32)>,
    /// The child run it started, also when it has not ended.
    pub child_run: Option<RunId>,
}

/// A journal, folded. Built event by event; the shell folds the stored journal of a run before it starts the machine.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The run's facts.
    pub spec: Option<Box<RunSpec>>,
    /// The settings in force: those of the last start that changed them.
    pub settings: Option<Box<Settings>>,
    /// Calls by request key and occurrence.
    pub calls: HashMap<(Hash, u32), RecordedCall>,
    /// The keys of calls by id, in request order (index 0 is call 1).
    pub order: Vec<(Hash, u32)>,
    /// Keys in outcome order.
    pub outcomes: Vec<(Hash, u32)>,
    /// Log lines recorded.
    pub logs: usize,
    /// Phase changes recorded.
    pub phases: usize,
    /// Swallowed exceptions recorded.
    pub swallowed: usize,
    /// Warnings recorded, by code and message.
    pub warnings: Vec<(String, String)>,
    /// Pinned content by kind and name.
    pub pins: HashMap<(String, String), Hash>,
    /// Questions asked so far.
    pub approvals: u32,
    /// Recorded requests to cancel one call, by call, with what to tell a reader.
    pub cancelled_calls: HashMap<CallId, String>,
    /// A recorded request to cancel the run.
    pub cancel: Option<(String, Option<String>)>,
    /// How the run ended.
    pub finished: Option<Box<RunOutcome>>,
    /// Starts so far.
    pub epochs: u64,
    /// Cache lookups made, by key and occurrence.
    pub lookups: Vec<(Hash, u32)>,
    /// Fixture rules that answered.
    pub rules: BTreeSet<u32>,
    /// Agent calls that the finished children of `workflow` calls requested; the shell fills it, it stands in their journals.
    pub child_requests: HashMap<(Hash, u32), u64>,
}

impl RecordedCall {
    /// Its last attempt is not heard of any more: it may have been billed, and what it used nobody knows.
    fn lose(&mut self) {
        self.open = false;
        self.charge.cost_nanos = self.charge.cost_nanos.saturating_add(std::mem::take(&mut self.reserve_nanos));
        self.charge.tokens = self.charge.tokens.saturating_add(std::mem::take(&mut self.reserve_tokens));
        self.usage_unknown |= self.counts_tokens;
    }

    /// The outcome of a call that nobody goes on with: what its attempts used and charged is kept.
    pub fn given_up(&self, error: CallError) -> Outcome {
        let mut call = self.clone();
        if call.open {
            call.lose();
        }
        Outcome {
            attempts: call.attempts,
            usage: call.usage,
            usage_unknown: call.usage_unknown,
            cost_nanos: call.cost_nanos,
            charge: call.charge,
            ..Outcome::failed(call.call_id, error)
        }
    }

    /// What its last attempt has changed, in a few words; none when its tools changed nothing.
    pub fn changed(&self) -> Option<String> {
        let mut what: Vec<&str> = Vec::new();
        for (_, target) in &self.effects {
            if !what.contains(&target.as_str()) {
                what.push(target);
            }
        }
        match what.as_slice() {
            [] => None,
            few @ ([_] | [_, _] | [_, _, _]) => Some(few.join(", ")),
            [a, b, c, rest @ ..] => Some(format!("{a}, {b}, {c} and {} more", rest.len())),
        }
    }
}

impl History {
    /// Folds a journal.
    pub fn of<'a>(events: impl IntoIterator<Item = (Millis, &'a Event)>) -> Self {
        let mut history = Self::default();
        for (at, event) in events {
            history.apply(at, event);
        }
        history
    }

    /// The recorded call with `call_id`.
    pub fn call(&self, call_id: CallId) -> Option<&RecordedCall> {
        self.calls.get(self.order.get((call_id.0 as usize).checked_sub(1)?)?)
    }

    /// Forgets the question of a call whose next attempt begins: it has been answered, and the next one is another.
    pub(crate) fn forget_question(&mut self, call_id: CallId) {
        if let Some(call) = self.call_mut(call_id).filter(|call| call.kind != CallKind::Approval) {
            call.approval = None;
        }
    }

    fn call_mut(&mut self, call_id: CallId) -> Option<&mut RecordedCall> {
        let key = self.order.get((call_id.0 as usize).checked_sub(1)?)?;
        self.calls.get_mut(key)
    }

    /// Adds one event.
    pub fn apply(&mut self, at: Millis, event: &Event) {
        match event {
            Event::RunCreated { spec } => {
                self.settings = Some(Box::new(spec.settings.clone()));
                self.spec = Some(spec.clone());
            }
            Event::SettingsChanged { settings } => self.settings = Some(settings.clone()),
            Event::RunStarted { .. } => {
                self.epochs += 1;
                for call in self.calls.values_mut().filter(|c| c.open) {
                    call.lose();
                    call.lost += 1;
                    call.lost_last = true;
                }
            }
            Event::CallRequested { call_id, key, occurrence, spec } => {
                let id = (*key, *occurrence);
                self.order.push(id);
                self.calls.insert(
                    id,
                    RecordedCall {
                        call_id: *call_id,
                        kind: spec.kind,
                        outcome: None,
                        reused: None,
                        attempts: 0,
                        open: false,
                        lost: 0,
                        lost_last: false,
                        usage: Usage::default(),
                        usage_unknown: false,
                        cost_nanos: None,
                        charge: Charge::default(),
                        reserve_nanos: 0,
                        reserve_tokens: 0,
                        counts_tokens: false,
                        effects: Vec::new(),
                        unclear: Vec::new(),
                        kept: None,
                        due_at: None,
                        approval: None,
                        started_at: None,
                        lookup: None,
                        child_run: None,
                    },
                );
            }
            Event::AttemptStarted {
                call_id,
                attempt,
                provider,
                due_at,
                cache,
                child_run,
                reserve_nanos,
                reserve_tokens,
                ..
            } => {
                let lookup = cache.as_ref().map(|record| (record.key, record.occurrence));
                self.lookups.extend(lookup);
                if let Some(call) = self.call_mut(*call_id) {
                    call.lookup = lookup.or(call.lookup);
                    if child_run.is_some() {
                        call.child_run.clone_from(child_run);
                    }
                    call.open = due_at.is_none();
                    call.lost_last = false;
                    call.attempts = *attempt;
                    if call.kind != CallKind::Approval {
                        call.approval = None;
                    }
                    call.due_at = *due_at;
                    call.reserve_nanos = *reserve_nanos;
                    call.reserve_tokens = *reserve_tokens;
                    let asks = matches!(call.kind, CallKind::Agent | CallKind::Turn);
                    call.counts_tokens = asks && provider.as_ref().is_some_and(|name| !is_fake(name));
                    if call.kept.is_none() {
                        call.effects.clear();
                    }
                    // The effects of this attempt are numbered from 1 again.
                    call.effects.iter_mut().for_each(|(number, _)| *number = 0);
                    call.unclear.clear();
                    call.started_at.get_or_insert(at);
                }
            }
            Event::AttemptFailed {
                call_id,
                usage,
                usage_unknown,
                cost_nanos,
                charge_nanos,
                charge_tokens,
                rule,
                kept,
                ..
            } => {
                self.rules.extend(rule);
                if let Some(call) = self.call_mut(*call_id) {
                    call.open = false;
                    if let Some(kept) = kept {
                        call.kept = Some(Arc::new(Value::clone(kept)));
                    }
                    call.usage += *usage;
                    call.usage_unknown |= usage_unknown;
                    call.cost_nanos = add_cost(call.cost_nanos, *cost_nanos);
                    let cost_nanos = charge_nanos.or(*cost_nanos).unwrap_or(0);
                    let tokens = charge_tokens.unwrap_or(usage.output_tokens);
                    call.charge += Charge { tokens, cost_nanos, calls: 0 };
                }
            }
            Event::AttemptRaised { call_id, reserve_nanos, .. } => {
                if let Some(call) = self.call_mut(*call_id) {
                    call.reserve_nanos = *reserve_nanos;
                }
            }
            Event::ToolStarted { call_id, number, tool, target, args, .. } => {
                if let Some(call) = self.call_mut(*call_id) {
                    // A file is written or not; what a program did before it failed nobody knows.
                    call.unclear.extend(args.as_ref().map(|_| *number));
                    call.effects.push((*number, target.as_ref().unwrap_or(tool).clone()));
                }
            }
            Event::ToolFinished { call_id, number, ok: false, .. } => {
                if let Some(call) = self.call_mut(*call_id) {
                    let RecordedCall { effects, unclear, .. } = call;
                    effects.retain(|(effect, _)| effect != number || unclear.contains(number));
                }
            }
            Event::CallFinished { call_id, outcome, reused, rule } => {
                self.rules.extend(rule);
                if reused.is_none() {
                    self.lookups.extend(outcome.cache.key);
                }
                let position = self.outcomes.len() as u64;
                if let Some(key) = (call_id.0 as usize).checked_sub(1).and_then(|i| self.order.get(i)).copied() {
                    self.outcomes.push(key);
                    if let Some(call) = self.calls.get_mut(&key) {
                        call.open = false;
                        call.lost_last = false;
                        call.outcome = Some((position, Arc::new((**outcome).clone())));
                        call.reused.clone_from(reused);
                        if reused.is_none() {
                            call.lookup = outcome.cache.key.or(call.lookup);
                        }
                        call.attempts = call.attempts.max(outcome.attempts);
                    }
                }
            }
            Event::ApprovalAsked { approval } => {
                self.approvals = self.approvals.max(approval.approval_id.0);
                if let Some(call) = self.call_mut(approval.call_id) {
                    call.approval = Some((approval.clone(), None));
                }
            }
            Event::ApprovalDecided { approval_id, decision, expired, by, via, reason } => {
                let input = DecisionInput {
                    approval_id: *approval_id,
                    decision: *decision,
                    expired: *expired,
                    by: by.clone(),
                    via: via.clone(),
                    reason: reason.clone(),
                };
                self.record_decision(input);
            }
            Event::CancelRequested { call_id: None, by, reason } => self.cancel = Some((by.clone(), reason.clone())),
            Event::Log { .. } => self.logs += 1,
            Event::Phase { .. } => self.phases += 1,
            Event::Swallowed { .. } => self.swallowed += 1,
            Event::Warning { code, message } => self.warnings.push((code.clone(), message.clone())),
            Event::Pinned { kind, name, hash, .. } => {
                self.pins.insert((kind.clone(), name.clone()), *hash);
            }
            Event::RunFinished { outcome } => self.finished = Some(outcome.clone()),
            Event::CancelRequested { call_id: Some(call_id), by, reason } => {
                self.record_cancel(*call_id, cancel_message(by, reason.as_deref()));
            }
            Event::RunPaused { .. }
            | Event::AttemptProgress { .. }
            | Event::PolicyDecided { .. }
            | Event::ToolFinished { .. } => {}
        }
    }

    /// Keeps a decision with the question it answers; one for an unknown question is dropped.
    pub fn record_decision(&mut self, input: DecisionInput) {
        let asked: ApprovalId = input.approval_id;
        let mut questions = self.calls.values_mut().filter_map(|c| c.approval.as_mut());
        if let Some((_, decision)) = questions.find(|(note, _)| note.approval_id == asked) {
            *decision = Some(input);
        }
    }

    /// Keeps a request to cancel one recorded call; one for an unknown call is dropped.
    pub fn record_cancel(&mut self, call_id: CallId, message: String) {
        if self.call(call_id).is_some() {
            self.cancelled_calls.insert(call_id, message);
        }
    }

    /// Everything the journal says was charged: recorded outcomes, and failed attempts of calls without one.
    pub fn charged(&self) -> Charge {
        let mut sum = Charge::default();
        for call in self.calls.values() {
            match &call.outcome {
                Some((_, outcome)) => sum += outcome.charge,
                None => sum += call.charge,
            }
        }
        sum
    }
}

/// What the error of a call says that somebody cancelled.
pub(crate) fn cancel_message(by: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| format!("cancelled by {by}"), str::to_owned)
}

/// The sum of two costs of which either may be unknown; unknown only when both are.
pub(crate) fn add_cost(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (one, None) | (None, one) => one,
    }
}
