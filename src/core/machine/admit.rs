//! From a held call to a running attempt: refusals, lost attempts, the shell's plan, the permit, the budget gate.

use crate::core::budget::{Charge, Ledger};
use crate::core::call::{ApprovalAsk, CallKind, OnLost};
use crate::core::event::{ApprovalKind, Event};
use crate::core::history::RecordedCall;
use crate::core::ids::CallId;
use crate::core::outcome::{CacheNote, CacheStatus, CallError, CallRef, CallStatus, ErrorClass, Outcome, ReasonCode};

use super::api::{Effect, Plan};
use super::state::{CallState, Course, RunMachine};

/// A call in flight at this many deaths of its owner is given up.
const MAX_LOST: u32 = 3;

impl RunMachine {
    pub(super) fn release(&mut self, call_id: CallId, ledger: &mut Ledger) {
        let Some(call) = self.call(call_id) else { return };
        if call.state != CallState::Held {
            return;
        }
        let spec = std::sync::Arc::clone(&call.spec);
        if let Some(message) = self.history.cancelled_calls.get(&call_id).cloned() {
            return self.cancel_call(call_id, &message, ledger);
        }
        if let Some(known) = &spec.known {
            let cache =
                CacheNote { status: CacheStatus::Bypassed, reason: Some(ReasonCode::Policy), ..CacheNote::default() };
            let outcome = Outcome { call_id, cache, ..Outcome::clone(known) };
            return self.settle(call_id, outcome, None, ledger);
        }
        if call.over_cap {
            let most = ledger.max_calls;
            let calls = if most == 1 { "call" } else { "calls" };
            let message = format!("the run may make {most} agent {calls}, this would be one more");
            let error = CallError::new(ErrorClass::Budget, message).throwing("WorkflowAgentCapError");
            return self.settle_error(call_id, error, ledger);
        }
        if let Some(error) = &spec.refused {
            return self.settle_refused(call_id, error.clone(), ledger);
        }
        match spec.kind {
            CallKind::Approval => self.ask(call_id, ledger),
            CallKind::Timer => self.start_timer(call_id, spec.ask.timer_ms.unwrap_or(0)),
            CallKind::Agent
            | CallKind::Tool
            | CallKind::Command
            | CallKind::Expr
            | CallKind::Workflow
            | CallKind::Turn => self.release_work(call_id, &spec, ledger),
        }
    }

    fn settle_refused(&mut self, call_id: CallId, error: CallError, ledger: &mut Ledger) {
        let outcome = Outcome { error: Some(error), ..Outcome::new(call_id, CallStatus::Failed) };
        self.settle(call_id, outcome, None, ledger);
    }

    fn release_work(&mut self, call_id: CallId, spec: &crate::core::call::CallSpec, ledger: &mut Ledger) {
        let recorded = self.history.call(call_id);
        let lost = recorded.map_or(0, |r| r.lost + u32::from(r.open));
        let lost_earlier = recorded.is_none_or(|r| r.started_at.is_none())
            && self.identity(call_id).is_some_and(|id| self.reuse.lost.contains(&id));
        let lost_last = lost_earlier || recorded.is_some_and(|r| r.lost_last || r.open);
        if lost >= MAX_LOST && lost_last && !spec.starts_run() {
            let message = format!("lost {lost} times: the owning process ended each time while it ran");
            return self.settle_error(call_id, CallError::new(ErrorClass::Crashed, message), ledger);
        }
        if let Some((note, _)) = recorded.and_then(|r| r.approval.clone())
            && note.kind == ApprovalKind::Tool
            && spec.kind == CallKind::Agent
            && self.call(call_id).is_some_and(|call| call.decision.is_none())
        {
            // Its last attempt left with this question, and nothing has been begun since.
            return self.ask_of_tool(call_id, ApprovalAsk::from(&note), ledger);
        }
        let agreed = self.call(call_id).is_some_and(|c| c.repeat_agreed);
        if lost_last && spec.is_mutating() && !agreed {
            match spec.on_lost {
                OnLost::Ask => return self.ask(call_id, ledger),
                OnLost::Fail => {
                    let message = "lost: the owning process ended while the call was changing files";
                    return self.settle_error(call_id, CallError::new(ErrorClass::Crashed, message), ledger);
                }
                OnLost::Rerun => self.warn_of_repetition(call_id),
            }
        }
        self.prepare(call_id);
    }

    /// What is changed a second time is said, also where nobody is asked.
    fn warn_of_repetition(&mut self, call_id: CallId) {
        let Some(changed) = self.history.call(call_id).and_then(RecordedCall::changed) else { return };
        let label = self.call(call_id).map(|call| call.spec.label.clone()).unwrap_or_default();
        let message = format!(
            "`{label}` ({call_id}) runs again, as its onLost says: it had changed {changed} when the process that ran it ended"
        );
        if self.warned.insert(("repeated".to_owned(), message.clone())) {
            self.emit(Event::Warning { code: "repeated".to_owned(), message });
        }
    }

    pub(super) fn prepare(&mut self, call_id: CallId) {
        if let Some(call) = self.call_mut(call_id) {
            call.state = CallState::Preparing;
            self.effect(Effect::Prepare { call_id });
        }
    }

    /// Notes whom a call waits for that has to be the only one at work for its idempotency key.
    pub(super) fn key_busy(&mut self, call_id: CallId, by: &CallRef, ours: bool) {
        let Some(call) = self.call_mut(call_id).filter(|call| call.state == CallState::Preparing) else { return };
        call.key_waits = ours;
        if ours {
            return;
        }
        let label = &call.spec.label;
        let message = format!("`{label}` ({call_id}) waits for {by}, which is at work for the same idempotency key");
        if self.warned.insert(("waits_for_key".to_owned(), message.clone())) {
            self.emit(Event::Warning { code: "waits_for_key".to_owned(), message });
        }
    }

    fn start_timer(&mut self, call_id: CallId, ms: u64) {
        let now = self.now;
        let recorded = self.history.call(call_id).and_then(|r| r.due_at);
        let due_at = recorded.unwrap_or_else(|| now.plus(ms));
        if let Some(call) = self.call_mut(call_id) {
            call.state = CallState::Ticking;
            call.started_at.get_or_insert(now);
        }
        if recorded.is_none() {
            self.emit(Event::AttemptStarted {
                call_id,
                attempt: 1,
                provider: None,
                model: None,
                cache: None,
                due_at: Some(due_at),
                child_run: None,
                reserve_nanos: 0,
                reserve_tokens: 0,
            });
        }
        self.effect(Effect::StartTimer { call_id, after_ms: due_at.since(now) });
    }

    pub(super) fn timer_fired(&mut self, call_id: CallId, ledger: &mut Ledger) {
        if self.call(call_id).is_some_and(|c| c.state == CallState::Ticking) {
            self.settle(call_id, Outcome::done(call_id, None), None, ledger);
        }
    }

    pub(super) fn prepared(&mut self, call_id: CallId, plan: Plan, ledger: &mut Ledger) {
        let pausing = self.course != Course::Going;
        let Some(call) = self.call_mut(call_id) else { return };
        if call.state != CallState::Preparing {
            return;
        }
        call.key_waits = false;
        if pausing {
            call.state = CallState::Held;
            self.held.insert(call_id.0);
            return;
        }
        match plan {
            // No attempt was made, so a bad schema is a failed call, not an answer that broke it.
            Plan::Refuse(error) if error.class == ErrorClass::Schema => self.settle_refused(call_id, error, ledger),
            Plan::Refuse(error) => self.settle_error(call_id, error, ledger),
            Plan::Ask(question) => {
                call.question = Some((ApprovalKind::Tool, question));
                self.ask(call_id, ledger);
            }
            Plan::AskToRepeat(question) => {
                call.question = Some((ApprovalKind::Repeat, question));
                self.ask(call_id, ledger);
            }
            Plan::Hit(outcome) => self.settle(call_id, *outcome, None, ledger),
            Plan::Run { provider, model, real, note, record, child_run, pin, permit, schema_attempts } => {
                call.provider = provider;
                call.model = model;
                call.real = real;
                call.schema_attempts = schema_attempts;
                call.note = note;
                call.record = record;
                call.child_run = child_run;
                call.state = CallState::WaitingForPermit;
                if let Some(pin) = pin {
                    self.pin(pin.kind, pin.name, pin.hash, pin.path);
                }
                if permit {
                    self.effect(Effect::Acquire { call_id });
                } else {
                    self.start(call_id, None);
                }
            }
        }
    }

    pub(super) fn permitted(&mut self, call_id: CallId, reserve: Charge, ledger: &mut Ledger) {
        let pausing = self.course != Course::Going;
        let Some(call) = self.call_mut(call_id) else { return };
        if call.state != CallState::WaitingForPermit {
            // It was cancelled while it waited: the permit goes back.
            return self.effect(Effect::Release { call_id });
        }
        if pausing {
            call.state = CallState::Held;
            self.held.insert(call_id.0);
            return self.effect(Effect::Release { call_id });
        }
        call.permit = true;
        match ledger.reserve(reserve) {
            Ok(()) => self.start(call_id, Some(reserve)),
            Err(refusal) => {
                let error =
                    CallError::new(ErrorClass::Budget, refusal.message()).throwing("WorkflowBudgetExceededError");
                self.settle_error(call_id, error, ledger);
            }
        }
    }

    /// Sets aside what a running attempt has `used` and what its `next` request may need, in place of what was, so that a budget
    /// holds for one of many requests, too. Returns what the attempt
    /// counts for from now on when its owner dies, where that is more than is on record.
    ///
    /// # Errors
    /// Class `budget`: so much is not left. Class `cancelled`: the attempt is over.
    pub fn raise(
        &mut self,
        call_id: CallId,
        attempt: u32,
        used: Charge,
        next: Charge,
        ledger: &mut Ledger,
    ) -> Result<Option<u64>, CallError> {
        if !self.is_running(call_id, attempt) {
            return Err(CallError::new(ErrorClass::Cancelled, "the attempt is over"));
        }
        let Some(call) = self.call_mut(call_id) else { return Ok(None) };
        // What earlier attempts of the call used is settled.
        let Some(held) = &mut call.reserved else { return Ok(None) };
        let more = Charge {
            tokens: used.tokens.saturating_add(next.tokens).saturating_sub(held.tokens),
            cost_nanos: used.cost_nanos.saturating_add(next.cost_nanos).saturating_sub(held.cost_nanos),
            calls: 0,
        };
        ledger.raise(more, used).map_err(|refusal| {
            CallError::new(ErrorClass::Budget, refusal.message()).throwing("WorkflowBudgetExceededError")
        })?;
        *held += more;
        let is_more = call.real && more.cost_nanos > 0;
        Ok(is_more.then(|| used.cost_nanos.saturating_add(next.cost_nanos)))
    }

    fn start(&mut self, call_id: CallId, reserved: Option<Charge>) {
        if let Some(call) = self.call_mut(call_id) {
            call.reserved = reserved;
            call.reserved_first = reserved.unwrap_or_default();
        }
        self.start_attempt(call_id, 0);
    }

    /// Records the next attempt and asks for it.
    pub(super) fn start_attempt(&mut self, call_id: CallId, delay_ms: u64) {
        let now = self.now;
        let Some(call) = self.call_mut(call_id) else { return };
        call.state = CallState::Running;
        call.attempt += 1;
        call.tries += 1;
        if call.tries == 1 {
            // The time in which a run had no owner is nobody's duration.
            call.started_at = Some(now);
        }
        let barrier = call.spec.is_mutating();
        let attempt = call.attempt;
        self.history.forget_question(call_id);
        let Some(call) = self.call(call_id) else { return };
        let aside = call.reserved.filter(|_| call.real).unwrap_or_default();
        let event = Event::AttemptStarted {
            call_id,
            attempt,
            provider: call.provider.clone(),
            model: call.model.clone(),
            cache: call.record.clone(),
            due_at: None,
            child_run: call.child_run.clone(),
            reserve_nanos: aside.cost_nanos,
            reserve_tokens: aside.tokens,
        };
        self.emit(event);
        self.effect(Effect::Start { call_id, attempt, delay_ms, barrier });
    }
}
