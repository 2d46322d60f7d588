//! How a run ends: it returns, fails, is cancelled, or pauses.

use serde_json::Value;

use crate::core::budget::Ledger;
use crate::core::call::CallKind;
use crate::core::event::Event;
use crate::core::history::cancel_message;
use crate::core::ids::CallId;
use crate::core::outcome::{CallError, CallStatus, ErrorClass, Outcome};
use crate::core::run::{RunError, RunErrorCode, RunOutcome, RunStatus, StatusReason};

use super::api::Effect;
use super::settle::Tried;
use super::state::{Call, CallState, Course, RunMachine};

impl RunMachine {
    pub(super) fn returned(&mut self, output: Option<Value>, ledger: &mut Ledger) {
        let undelivered = self.settled.iter().filter_map(|id| self.call(*id)?.outcome.as_ref());
        let gaps = self.gaps + undelivered.filter(|o| o.status.is_failing()).count() as u64;
        let error = (self.config.strict && gaps > 0).then(|| {
            let calls = if gaps == 1 { "1 call".to_owned() } else { format!("{gaps} calls") };
            RunError::new(RunErrorCode::Gaps, format!("{calls} failed and the run is strict"))
        });
        let status = if error.is_some() { RunStatus::Failed } else { RunStatus::Done };
        self.finish(RunOutcome { status, reason: None, output, error, superseded_by: None }, ledger);
    }

    /// The workflow ended the run before its time.
    pub(super) fn ended_itself(&mut self, output: Option<Value>, ledger: &mut Ledger) {
        let (status, reason) = (RunStatus::Cancelled, Some(StatusReason::Workflow));
        self.finish(RunOutcome { status, reason, output, error: None, superseded_by: None }, ledger);
    }

    pub(super) fn failed(&mut self, error: RunError, ledger: &mut Ledger) {
        let outcome = RunOutcome {
            status: RunStatus::Failed,
            reason: None,
            output: None,
            error: Some(error),
            superseded_by: None,
        };
        self.finish(outcome, ledger);
    }

    /// Ends what is still going on, then the run. Calls nobody awaited are cancelled as abandoned.
    fn finish(&mut self, outcome: RunOutcome, ledger: &mut Ledger) {
        if self.is_over() {
            return;
        }
        let cancelled = outcome.status == RunStatus::Cancelled;
        for index in 0..self.calls.len() {
            let call_id = CallId(index as u32 + 1);
            let Some(call) = self.call(call_id) else { continue };
            match call.state {
                CallState::Settled | CallState::Over | CallState::Recorded | CallState::Ending => {}
                CallState::Reusable
                | CallState::Held
                | CallState::Preparing
                | CallState::Asking(_)
                | CallState::WaitingForPermit
                | CallState::Running
                | CallState::Ticking => {
                    let message = if cancelled { "the run was cancelled" } else { "the script ended without it" };
                    self.stop_call(call_id, message, !cancelled, ledger);
                }
            }
        }
        self.course = Course::Ending(Box::new(outcome));
        self.close();
    }

    /// Ends the run that has its outcome, once no attempt winds down any more.
    pub(super) fn close(&mut self) {
        if self.calls.iter().any(|call| call.state == CallState::Ending) {
            return;
        }
        let Course::Ending(outcome) = std::mem::replace(&mut self.course, Course::Ended) else { return };
        // Calls of the journal that a run cancelled before its replay never requested again.
        let open: Vec<Outcome> = self.history.order[self.calls.len().min(self.history.order.len())..]
            .iter()
            .filter_map(|key| self.history.calls.get(key))
            .filter(|c| c.outcome.is_none())
            .map(|c| c.given_up(CallError::new(ErrorClass::Cancelled, "the run was cancelled")))
            .collect();
        for outcome in open {
            let call_id = outcome.call_id;
            self.emit(Event::CallFinished { call_id, outcome: Box::new(outcome), reused: None, rule: None });
        }
        self.emit(Event::RunFinished { outcome: outcome.clone() });
        self.effect(Effect::Finished { outcome });
    }

    /// Ends one call before it has an answer. A call that has ended is left alone.
    pub(super) fn cancel_call(&mut self, call_id: CallId, message: &str, ledger: &mut Ledger) {
        let Some(call) = self.call(call_id) else { return };
        match call.state {
            CallState::Recorded | CallState::Reusable | CallState::Settled | CallState::Ending | CallState::Over => {}
            CallState::Held
            | CallState::Preparing
            | CallState::Asking(_)
            | CallState::WaitingForPermit
            | CallState::Running
            | CallState::Ticking => self.stop_call(call_id, message, false, ledger),
        }
    }

    fn stop_call(&mut self, call_id: CallId, message: &str, abandoned: bool, ledger: &mut Ledger) {
        let Some(call) = self.call(call_id) else { return };
        match call.state {
            CallState::Running | CallState::Ticking => self.effect(Effect::Abort { call_id }),
            CallState::WaitingForPermit => self.effect(Effect::Release { call_id }),
            // It may wait for another, which is at work for its key.
            CallState::Preparing if call.spec.ask.once.is_some() => self.effect(Effect::Abort { call_id }),
            CallState::Recorded
            | CallState::Reusable
            | CallState::Held
            | CallState::Preparing
            | CallState::Asking(_)
            | CallState::Ending
            | CallState::Settled
            | CallState::Over => {}
        }
        let Some(call) = self.call_mut(call_id) else { return };
        if call.state == CallState::Running && call.real && call.spec.kind == CallKind::Agent {
            // A real provider bills for what it has done so far: the call ends when its attempt has said what that is.
            call.state = CallState::Ending;
            call.ending = Some((message.to_owned(), abandoned));
            return;
        }
        let outcome = cancelled(call, call_id, message, abandoned);
        self.settle(call_id, outcome, None, ledger);
    }

    /// Ends a call whose attempt has wound down and said what it used.
    pub(super) fn wound_down(&mut self, call_id: CallId, tried: &Tried, rule: Option<u32>, ledger: &mut Ledger) {
        let Some(call) = self.call_mut(call_id) else { return };
        let Some((message, abandoned)) = call.ending.take() else { return };
        let mut outcome = cancelled(call, call_id, &message, abandoned);
        outcome.model = tried.model.clone().or(outcome.model);
        outcome.worktree.clone_from(&tried.worktree);
        outcome.changed_files.clone_from(&tried.changed_files);
        outcome.provenance.clone_from(&tried.provenance);
        self.settle(call_id, outcome, rule, ledger);
    }

    pub(super) fn cancel_asked(&mut self, call_id: CallId, by: String, reason: Option<String>, ledger: &mut Ledger) {
        let message = cancel_message(&by, reason.as_deref());
        self.emit(Event::CancelRequested { call_id: Some(call_id), by, reason });
        self.cancel_call(call_id, &message, ledger);
        // A replay that has not come to the call yet finds this when it does.
        self.history.record_cancel(call_id, message);
    }

    /// Ends the run on request; after this nothing is delivered. `recorded`: the request already stands in the journal.
    pub(super) fn cancel_run(&mut self, by: &str, reason: Option<String>, recorded: bool, ledger: &mut Ledger) {
        if !recorded {
            self.emit(Event::CancelRequested { call_id: None, by: by.to_owned(), reason });
        }
        let outcome = RunOutcome {
            status: RunStatus::Cancelled,
            reason: Some(StatusReason::User),
            output: None,
            error: None,
            superseded_by: None,
        };
        self.finish(outcome, ledger);
    }

    /// From now on nothing starts and nothing is delivered; the run pauses when no attempt runs.
    pub(super) fn pause(&mut self, reason: StatusReason, message: Option<String>) {
        if self.course != Course::Going {
            return;
        }
        self.course = Course::Pausing { reason, message };
        let waiting: Vec<CallId> = (1..=self.calls.len() as u32)
            .map(CallId)
            .filter(|id| self.call(*id).is_some_and(|c| c.state == CallState::WaitingForPermit))
            .collect();
        for call_id in waiting {
            if let Some(call) = self.call_mut(call_id) {
                call.state = CallState::Held;
            }
            self.held.insert(call_id.0);
            self.effect(Effect::Release { call_id });
        }
    }

    pub(super) fn child_paused(
        &mut self,
        call_id: CallId,
        reason: StatusReason,
        message: Option<String>,
        ledger: &mut Ledger,
    ) {
        if self.call(call_id).is_some_and(|c| c.state == CallState::Running) {
            self.hold_again(call_id, ledger);
            self.pause(reason, message);
        }
    }
}

/// The outcome of a call that was ended before it had an answer.
fn cancelled(call: &Call, call_id: CallId, message: &str, abandoned: bool) -> Outcome {
    Outcome {
        status: CallStatus::Cancelled,
        abandoned,
        attempts: call.attempt,
        usage: call.usage,
        usage_unknown: call.usage_unknown,
        cost_nanos: call.cost_nanos,
        cost_source: call.cost_source,
        provider: call.provider.clone(),
        cache: call.note.clone(),
        child_run: call.child_run.clone(),
        ..Outcome::failed(call_id, CallError::new(ErrorClass::Cancelled, message))
    }
}
