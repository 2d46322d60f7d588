//! From the end of an attempt to an outcome: retries, provider-down pauses, charges. Every outcome goes through one queue.

use std::sync::Arc;

use serde_json::Value;

use crate::core::budget::{Charge, Ledger, Refusal};
use crate::core::call::{ApprovalAsk, CallKind};
use crate::core::event::Event;
use crate::core::history::add_cost;
use crate::core::ids::CallId;
use crate::core::outcome::{CallError, CallStatus, CostSource, ErrorClass, Outcome};
use crate::core::run::{OnProviderDown, StatusReason};

use super::api::{Answer, AttemptReport, Effect};
use super::state::{Call, CallState, Course, RunMachine};

/// Attempts at a request whose provider was busy or unreachable, when the call does not say.
const TRANSIENT_ATTEMPTS: u32 = 4;
/// The longest wait before the second of them; each further one may be twice as long.
const BACKOFF_MS: u64 = 500;
/// Attempts at a request that timed out.
const TIMEOUT_ATTEMPTS: u32 = 2;
/// Attempts at an answer that did not come: the first and one nudge.
const MISSING_ATTEMPTS: u32 = 2;
/// Longest wait before a retry that nobody asked for.
const MAX_BACKOFF_MS: u64 = 30_000;

impl RunMachine {
    pub(super) fn attempt_ended(&mut self, call_id: CallId, attempt: u32, report: AttemptReport, ledger: &mut Ledger) {
        let ending = self.is_ending(call_id, attempt);
        if !ending && !self.is_running(call_id, attempt) {
            return;
        }
        for (code, message) in &report.notices {
            if self.warned.insert((code.clone(), message.clone())) {
                self.emit(Event::Warning { code: code.clone(), message: message.clone() });
            }
        }
        let Some(call) = self.call_mut(call_id) else { return };
        call.usage += report.usage;
        call.usage_unknown |= report.usage_unknown;
        call.cost_nanos = add_cost(call.cost_nanos, report.cost_nanos);
        call.cost_source = match (call.cost_source, report.cost_source) {
            (CostSource::Unknown, new) => new,
            (old, CostSource::Unknown) => old,
            (old, new) if old == new => old,
            _ => CostSource::Mixed,
        };
        call.unclear |= report.charge.cost_nanos > report.cost_nanos.unwrap_or(0);
        if call.unclear && call.cost_nanos.is_some() {
            // A part of it is known, and a part of it is not.
            call.cost_source = CostSource::Mixed;
        }
        call.charge += report.charge;
        let tried = Tried::of(&report);
        if ending {
            return self.wound_down(call_id, &tried, report.rule, ledger);
        }
        match report.result {
            Err(error) if report.question.is_some() => {
                let question = report.question.map(|question| *question);
                self.left_with(call_id, attempt, error, &tried, question, ledger);
            }
            Ok(answer) => {
                let outcome = done(call, call_id, answer, &tried);
                self.settle(call_id, outcome, report.rule, ledger);
            }
            Err(error) => self.attempt_failed(call_id, attempt, error, report.rule, &tried, ledger),
        }
    }

    fn attempt_failed(
        &mut self,
        call_id: CallId,
        attempt: u32,
        error: CallError,
        rule: Option<u32>,
        tried: &Tried,
        ledger: &mut Ledger,
    ) {
        let Some(call) = self.call(call_id) else { return };
        let down = match error.class {
            ErrorClass::Auth => Some(StatusReason::ProviderAuth),
            ErrorClass::Quota => Some(StatusReason::ProviderQuota),
            _ => None,
        };
        let pauses = down.filter(|_| call.real && self.config.on_provider_down == OnProviderDown::Pause);
        // What its tools did must not be done again.
        let retry = if tried.acted { None } else { self.retry_delay(call, &error) };
        let going = self.course == Course::Going;
        let message = error.message.clone();
        if pauses.is_some() || (retry.is_some() && !going) {
            self.emit(tried.event(call_id, attempt, error, rule, None));
            self.keep(call_id, tried);
            self.hold_again(call_id, ledger);
            if let Some(reason) = pauses {
                self.pause(reason, Some(message));
            }
            return;
        }
        if retry.is_some()
            && let Some(call) = self.call_mut(call_id)
            && let Some(reserved) = &mut call.reserved
        {
            // What its further requests had set aside is not for the next attempt, which begins with the first.
            let mut more = std::mem::replace(reserved, call.reserved_first);
            more -= call.reserved_first;
            ledger.lower(more);
        }
        let refused = retry.and_then(|_| self.no_room(call_id, ledger));
        if let Some(delay_ms) = retry.filter(|_| refused.is_none()) {
            self.emit(tried.event(call_id, attempt, error, rule, Some(delay_ms)));
            if let Some(call) = self.call_mut(call_id) {
                // What it charged is gone, and what is set aside for the call is for the next attempt.
                let charge = std::mem::take(&mut call.charge);
                call.charged_before += charge;
                ledger.record(charge);
            }
            return self.start_attempt(call_id, delay_ms);
        }
        let error = match error.class {
            // In the dialect an answer that never satisfied its schema is an exception, every other failure a null.
            ErrorClass::Schema | ErrorClass::NoOutput if error.throws.is_none() => error.throwing("Error"),
            _ => error,
        };
        if refused.is_some() {
            self.emit(tried.event(call_id, attempt, error.clone(), rule, None));
        }
        let error = refused.map_or(error, |refusal| {
            let message = format!("no further attempt: {}; the last one failed: {message}", refusal.message());
            CallError::new(ErrorClass::Budget, message).throwing("WorkflowBudgetExceededError")
        });
        let mut outcome = Outcome::failed(call_id, error);
        if let Some(call) = self.call_mut(call_id) {
            outcome.status = status_of(call.spec.kind, outcome.status);
            complete(&mut outcome, call, tried.simulated);
            outcome.provider = tried.provider.clone().or_else(|| call.provider.clone());
            outcome.model = tried.model.clone().or_else(|| call.model.clone());
            outcome.worktree.clone_from(&tried.worktree);
            outcome.changed_files.clone_from(&tried.changed_files);
            outcome.provenance.clone_from(&tried.provenance);
        }
        self.settle(call_id, outcome, rule, ledger);
    }

    /// Why a call is not attempted again although its attempt is worth it: with what that charged, no budget has room for another.
    fn no_room(&self, call_id: CallId, ledger: &Ledger) -> Option<Refusal> {
        let call = self.call(call_id)?;
        ledger.again(call.reserved?, call.charge).err()
    }

    /// Ends an attempt of an agent that wants to use a tool about which a person is asked. Another attempt goes on from there.
    fn left_with(
        &mut self,
        call_id: CallId,
        attempt: u32,
        error: CallError,
        tried: &Tried,
        question: Option<ApprovalAsk>,
        ledger: &mut Ledger,
    ) {
        self.emit(tried.event(call_id, attempt, error, None, None));
        self.keep(call_id, tried);
        self.hold_again(call_id, ledger);
        // A run that is about to pause asks nothing more: the next attempt comes to the same place.
        if let Some(question) = question.filter(|_| self.course == Course::Going) {
            self.ask_of_tool(call_id, question, ledger);
        }
    }

    /// Notes what an attempt left for the next one.
    fn keep(&mut self, call_id: CallId, tried: &Tried) {
        if let (Some(kept), Some(call)) = (&tried.kept, self.call_mut(call_id)) {
            call.kept = Some(Arc::new(Value::clone(kept)));
            call.decision = None;
        }
    }

    /// Milliseconds before the next attempt, or none when there is none.
    fn retry_delay(&self, call: &Call, error: &CallError) -> Option<u64> {
        if call.spec.starts_run() {
            return None;
        }
        if let Some(retry) = &call.spec.retry {
            let listed = match &retry.on {
                Some(classes) => classes.iter().any(|c| c == error.class.as_str()),
                None => error.class.is_retryable(),
            };
            let grown = retry.delay_ms as f64 * retry.backoff.max(1.0).powi(call.tries.saturating_sub(1) as i32);
            let most = (grown as u64).min(retry.max_delay_ms.unwrap_or(u64::MAX));
            let delay = error.retry_after_ms.unwrap_or_else(|| if retry.jitter { within(call, most) } else { most });
            return (listed && call.tries < retry.max_attempts && self.is_bearable(error)).then_some(delay);
        }
        if call.spec.is_mutating() {
            return None;
        }
        let (most, waits) = match error.class {
            ErrorClass::Schema if error.throws.is_none() => {
                (call.schema_attempts.unwrap_or(self.config.schema_attempts), false)
            }
            ErrorClass::NoOutput => (call.schema_attempts.unwrap_or(MISSING_ATTEMPTS).min(MISSING_ATTEMPTS), false),
            ErrorClass::RateLimited | ErrorClass::Overloaded | ErrorClass::Transport => (TRANSIENT_ATTEMPTS, true),
            ErrorClass::Timeout => (TIMEOUT_ATTEMPTS, false),
            _ => (1, false),
        };
        let backoff = if waits && call.real { jittered(call) } else { 0 };
        let delay = error.retry_after_ms.unwrap_or(backoff);
        // An answer that is to be put right is asked for at once; what waits does not wait for ever.
        let since = call.started_at.map_or(0, |started| self.now.since(started));
        let in_time = !waits || since.saturating_add(delay) <= self.config.waits.total_ms;
        (call.tries < most && in_time && self.is_bearable(error)).then_some(delay)
    }

    /// Whether a wait that the provider asked for is one to sit out.
    fn is_bearable(&self, error: &CallError) -> bool {
        error.retry_after_ms.is_none_or(|ms| ms <= self.config.waits.ceiling_ms)
    }

    /// Puts a call whose attempt ended without an outcome back among the held ones.
    pub(super) fn hold_again(&mut self, call_id: CallId, ledger: &mut Ledger) {
        let Some(call) = self.call_mut(call_id) else { return };
        call.state = CallState::Held;
        call.child_waits = None;
        call.tries = 0;
        let charge = std::mem::take(&mut call.charge);
        call.charged_before += charge;
        ledger.take_back(call.promised.take());
        let reserved = call.reserved.take();
        let permit = std::mem::take(&mut call.permit);
        match reserved {
            Some(reserved) => ledger.settle(reserved, charge),
            None => ledger.record(charge),
        }
        self.held.insert(call_id.0);
        if permit {
            self.effect(Effect::Release { call_id });
        }
    }

    pub(super) fn settle_error(&mut self, call_id: CallId, error: CallError, ledger: &mut Ledger) {
        let mut outcome = Outcome::failed(call_id, error);
        if let Some(call) = self.call_mut(call_id) {
            outcome.status = status_of(call.spec.kind, outcome.status);
            complete(&mut outcome, call, false);
            outcome.provider.clone_from(&call.provider);
        }
        self.settle(call_id, outcome, None, ledger);
    }

    /// Records the outcome of a call and queues it for delivery; gives permit and reservation back.
    pub(super) fn settle(&mut self, call_id: CallId, mut outcome: Outcome, rule: Option<u32>, ledger: &mut Ledger) {
        let now = self.now;
        let Some(call) = self.call_mut(call_id) else { return };
        if let Some(started) = call.started_at {
            outcome.duration_ms = now.since(started);
        }
        if call.tries > 0 && !call.spec.starts_run() {
            call.charge.calls = 1;
        }
        ledger.take_back(call.promised.take());
        if call.spec.starts_run() {
            // The child's own machine has charged the ledger; what the script reads is the child's sum.
            outcome.charge = call.charge;
        } else {
            match call.reserved.take() {
                Some(reserved) => ledger.settle(reserved, call.charge),
                None => ledger.record(call.charge),
            }
            outcome.charge = call.charged_before;
            outcome.charge += call.charge;
        }
        call.state = CallState::Settled;
        call.child_waits = None;
        let permit = std::mem::take(&mut call.permit);
        let shared = Arc::new(outcome);
        call.outcome = Some(Arc::clone(&shared));
        self.held.remove(&call_id.0);
        self.unsettled.remove(&call_id.0);
        self.settled.push_back(call_id);
        self.emit(Event::CallFinished { call_id, outcome: Box::new(Outcome::clone(&shared)), reused: None, rule });
        if permit {
            self.effect(Effect::Release { call_id });
        }
    }
}

/// The wait before the next attempt: anywhere up to twice the last bound, so that siblings refused at once do not come back at
/// once. It follows from request and attempt: the same run waits the same.
fn jittered(call: &Call) -> u64 {
    within(call, (BACKOFF_MS << (call.tries - 1).min(10)).min(MAX_BACKOFF_MS))
}

/// Anything up to `most`, by request and attempt.
fn within(call: &Call, most: u64) -> u64 {
    let seed = crate::core::ids::Hash::of(format!("{} {} {}", call.key, call.occurrence, call.attempt));
    let [a, b, c, d, ..] = *seed.as_bytes();
    u64::from(u32::from_le_bytes([a, b, c, d])) % most.saturating_add(1).max(1)
}

/// The status of a failed call: a child workflow that threw, or a program that cannot be found, is no failure of a provider.
fn status_of(kind: CallKind, status: CallStatus) -> CallStatus {
    let of_provider = matches!(kind, CallKind::Agent | CallKind::Turn);
    if !of_provider && status == CallStatus::ProviderFailed { CallStatus::Failed } else { status }
}

/// What one attempt used up, kept apart from its error.
pub(super) struct Tried {
    usage: crate::core::outcome::Usage,
    usage_unknown: bool,
    cost_nanos: Option<u64>,
    charge: Charge,
    duration_ms: u64,
    provider: Option<String>,
    pub(super) model: Option<String>,
    simulated: bool,
    pub(super) worktree: Option<crate::core::outcome::WorktreeNote>,
    pub(super) changed_files: Vec<String>,
    pub(super) provenance: crate::core::outcome::Provenance,
    acted: bool,
    kept: Option<Box<Value>>,
}

impl Tried {
    fn of(report: &AttemptReport) -> Self {
        Self {
            usage: report.usage,
            usage_unknown: report.usage_unknown,
            cost_nanos: report.cost_nanos,
            charge: report.charge,
            duration_ms: report.duration_ms,
            provider: report.provider.clone(),
            model: report.model.clone(),
            simulated: report.simulated,
            worktree: report.worktree.clone(),
            changed_files: report.changed_files.clone(),
            provenance: report.provenance.clone(),
            acted: report.acted,
            kept: report.kept.clone(),
        }
    }

    fn event(
        &self,
        call_id: CallId,
        attempt: u32,
        error: CallError,
        rule: Option<u32>,
        retry_in_ms: Option<u64>,
    ) -> Event {
        let (usage, cost_nanos, duration_ms) = (self.usage, self.cost_nanos, self.duration_ms);
        let worktree = self.worktree.clone();
        let charge_nanos = Some(self.charge.cost_nanos).filter(|charge| *charge != cost_nanos.unwrap_or(0));
        let charge_tokens = Some(self.charge.tokens).filter(|charge| *charge != usage.output_tokens);
        Event::AttemptFailed {
            call_id,
            attempt,
            error,
            usage,
            usage_unknown: self.usage_unknown,
            cost_nanos,
            charge_nanos,
            charge_tokens,
            price: self.provenance.price.clone().map(Box::new),
            worktree,
            retry_in_ms,
            duration_ms,
            rule,
            kept: self.kept.clone(),
        }
    }
}

fn complete(outcome: &mut Outcome, call: &Call, simulated: bool) {
    outcome.usage = call.usage;
    outcome.usage_unknown = call.usage_unknown;
    outcome.cost_nanos = call.cost_nanos;
    outcome.cost_source = call.cost_source;
    outcome.attempts = call.attempt;
    outcome.cache = call.note.clone();
    outcome.child_run.clone_from(&call.child_run);
    outcome.simulated = simulated;
}

fn done(call: &Call, call_id: CallId, answer: Answer, tried: &Tried) -> Outcome {
    let mut outcome = Outcome::done(call_id, answer.value);
    complete(&mut outcome, call, tried.simulated);
    outcome.text = answer.text;
    outcome.provider = tried.provider.clone().or_else(|| call.provider.clone());
    outcome.model = tried.model.clone().or_else(|| call.model.clone());
    outcome.changed_files = answer.changed_files;
    outcome.worktree.clone_from(&tried.worktree);
    outcome.provenance.clone_from(&tried.provenance);
    outcome.workspace = answer.workspace;
    outcome
}
