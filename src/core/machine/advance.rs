//! What happens when the driver is quiescent: one delivery, or the start of what is held, or the end.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::core::budget::Ledger;
use crate::core::call::CallKind;
use crate::core::event::{ApprovalKind, Event};
use crate::core::ids::CallId;
use crate::core::outcome::Outcome;
use crate::core::run::{RunError, RunErrorCode, StatusReason};

use super::api::{BudgetView, Effect, Waits};
use super::state::{CallState, Course, RunMachine};

/// Where a run stands that can deliver and start nothing.
enum Standing {
    /// Something is under way.
    Works,
    /// Nothing is, and somebody else has the next word.
    Waits(Waits),
    /// Nothing is, and nothing will be.
    Stuck,
}

impl RunMachine {
    /// Delivers the requested call whose recorded outcome stands earliest; when none is left, starts the held calls in request
    /// order. No live call starts before that, and nothing waits for a recorded delivery.
    pub(super) fn advance(&mut self, ledger: &mut Ledger) {
        loop {
            if self.driver_runs || self.is_over() {
                return;
            }
            if let Course::Pausing { reason, message } = &self.course {
                let (reason, message) = (*reason, message.clone());
                if !self.attempts_run() {
                    self.effect(Effect::Pause { reason, message });
                }
                return;
            }
            if let Some(key) = self.history.outcomes.get(self.replayed).copied() {
                let call_id = self.history.calls.get(&key).map(|c| c.call_id);
                let recorded =
                    call_id.and_then(|id| self.call(id)).filter(|c| c.state == CallState::Recorded).map(|c| c.key);
                return match (call_id, recorded) {
                    (Some(call_id), Some(_)) => {
                        self.replayed += 1;
                        self.deliver(call_id);
                    }
                    (call_id, _) => {
                        let call = call_id.map_or_else(String::new, |c| c.to_string());
                        self.diverge(format!(
                            "the journal goes on with the outcome of {call}, which the script did not request"
                        ));
                    }
                };
            }
            if self.calls.len() < self.history.order.len() {
                // Every request follows from recorded deliveries, so by now the script has made all that the journal holds.
                return self.diverge_before_next();
            }
            if let Some(call_id) = self.settled.pop_front() {
                return self.deliver(call_id);
            }
            if let Some(Reverse((_, _, index))) = self.reusable.pop() {
                return self.take_over(CallId(index), ledger);
            }
            if let Some(index) = self.held.pop_first() {
                self.release(CallId(index), ledger);
                while let Some(index) = self.held.pop_first() {
                    self.release(CallId(index), ledger);
                }
                continue;
            }
            return self.idle(ledger);
        }
    }

    /// Appends an earlier run's outcome to this journal and delivers it.
    fn take_over(&mut self, call_id: CallId, ledger: &mut Ledger) {
        let Some(call) = self.call_mut(call_id) else { return };
        let id = (call.key, call.occurrence);
        let of_child = call.spec.starts_run();
        let Some(earlier) = self.reuse.ok.get(&id) else { return };
        let (outcome, from) = (Arc::clone(&earlier.outcome), earlier.from.clone());
        ledger.record(outcome.charge);
        if of_child {
            ledger.requested += self.reuse.child_requests.get(&id).copied().unwrap_or(outcome.charge.calls);
        }
        if let Some(call) = self.call_mut(call_id) {
            call.outcome = Some(Arc::clone(&outcome));
            call.state = CallState::Settled;
        }
        self.unsettled.remove(&call_id.0);
        self.emit(Event::CallFinished {
            call_id,
            outcome: Box::new(Outcome::clone(&outcome)),
            reused: Some(from),
            rule: None,
        });
        self.deliver(call_id);
    }

    fn deliver(&mut self, call_id: CallId) {
        self.now_waiting(None);
        let Some(call) = self.call_mut(call_id) else { return };
        let Some(outcome) = call.outcome.clone() else { return };
        call.state = CallState::Over;
        self.spent += outcome.charge;
        if outcome.status.is_failing() {
            self.gaps += 1;
        }
        self.driver_runs = true;
        let budget = BudgetView { limits: self.config.limits, spent: self.spent };
        self.effect(Effect::Deliver { call_id, outcome, budget });
    }

    /// Nothing can be delivered or started: the run waits for attempts, for a person, for a key, or for nothing.
    fn idle(&mut self, ledger: &mut Ledger) {
        match self.standing() {
            Standing::Works => self.now_waiting(None),
            Standing::Waits(waits) if self.config.linger => self.now_waiting(Some(waits)),
            Standing::Waits(Waits::Person(reason)) => self.effect(Effect::Pause { reason, message: None }),
            // Who has the key is of this tree, and knows for what it waits itself.
            Standing::Waits(Waits::Key) => self.now_waiting(Some(Waits::Key)),
            Standing::Stuck => {
                let message = "the script waits for a promise that nothing can settle";
                self.failed(RunError::new(RunErrorCode::Deadlock, message), ledger);
            }
        }
    }

    /// What the run waits for when it has nothing else to do; none when it has.
    pub fn waits(&self) -> Option<Waits> {
        match self.standing() {
            Standing::Waits(waits) if !self.driver_runs && !self.is_over() => Some(waits),
            Standing::Waits(_) | Standing::Works | Standing::Stuck => None,
        }
    }

    fn standing(&self) -> Standing {
        let (mut person, mut key) = (None, false);
        for call in self.unsettled.iter().filter_map(|index| self.call(CallId(*index))) {
            match call.state {
                CallState::Asking(_) => {
                    let reason = match call.spec.kind {
                        CallKind::Approval => StatusReason::Approval,
                        _ if matches!(call.question, Some((ApprovalKind::Tool, _))) => StatusReason::Approval,
                        _ => StatusReason::Repeat,
                    };
                    person.get_or_insert(reason);
                }
                CallState::Running if call.child_waits.is_some() => match call.child_waits {
                    Some(Waits::Person(reason)) => person = person.or(Some(reason)),
                    Some(Waits::Key) | None => key = true,
                },
                CallState::Preparing if call.key_waits => key = true,
                CallState::Running
                | CallState::Ending
                | CallState::Preparing
                | CallState::WaitingForPermit
                | CallState::Ticking
                | CallState::Held
                | CallState::Recorded
                | CallState::Reusable
                | CallState::Settled => return Standing::Works,
                CallState::Over => {}
            }
        }
        match person {
            Some(reason) => Standing::Waits(Waits::Person(reason)),
            None if key => Standing::Waits(Waits::Key),
            None => Standing::Stuck,
        }
    }

    fn now_waiting(&mut self, waits: Option<Waits>) {
        if self.waiting != waits {
            self.waiting = waits;
            self.effect(Effect::Waiting { waits });
        }
    }

    pub(super) fn attempts_run(&self) -> bool {
        let mut unsettled = self.unsettled.iter().filter_map(|index| self.call(CallId(*index)));
        unsettled.any(|c| matches!(c.state, CallState::Running | CallState::Ending))
    }

    /// The script has made all its requests, and the journal holds one more.
    pub(super) fn diverge_before_next(&mut self) {
        let next = CallId(self.calls.len() as u32 + 1);
        self.diverge(format!("the journal holds call {next}, which the script did not request"));
    }

    pub(super) fn diverge(&mut self, detail: String) {
        self.course = Course::Ended;
        self.effect(Effect::Diverged { detail });
    }

    /// Whether a question is an approval of its own or the repetition of a lost attempt.
    pub(super) fn question_kind(kind: CallKind) -> ApprovalKind {
        match kind {
            CallKind::Approval => ApprovalKind::Approve,
            _ => ApprovalKind::Repeat,
        }
    }
}
