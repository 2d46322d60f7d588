//! The run loop: one thread a run, which owns its driver and its machine and waits for nothing else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::core::call::CallKind;
use crate::core::event::{ApprovalNote, Event};
use crate::core::failure::Failure;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::machine::{AttemptReport, Effect, Input, RunMachine, Step, Waits};
use crate::core::op::{DriverState, Op};
use crate::core::outcome::{CallStatus, ErrorClass};
use crate::core::run::{RunError, RunErrorCode, RunSpec, StatusReason};
use crate::front::driver::{Driver, DriverStep};
use crate::providers::Feedback;
use crate::store::{CacheWrite, PauseResult};

use super::begin::{AtBarrier, Running};
use super::journal::{Journal, Standing, now};
use super::message::Message;
use super::prepare::Prepared;
use super::run_end::RunEnd;
use super::tree::Tree;

/// How often a loop that has nothing to do looks whether its last events reached the disk.
const COMMIT_LOOK: Duration = Duration::from_millis(20);

/// Characters of what a tool changes that are kept.
const TARGET: usize = 1_000;

/// Executes one run.
pub(crate) struct RunLoop {
    pub(super) tree: Arc<Tree>,
    pub(super) run: RunId,
    pub(super) spec: Arc<RunSpec>,
    pub(super) machine: RunMachine,
    pub(super) driver: Box<dyn Driver>,
    pub(super) journal: Journal,
    /// Files about events not yet with the store's writer.
    pub(super) held: super::files::Held,
    pub(super) to_self: Sender<Message>,
    pub(super) inbox: Receiver<Message>,
    pub(super) driving_since: Arc<AtomicI64>,
    pub(super) prepared: HashMap<CallId, Prepared>,
    pub(super) attempts: HashMap<CallId, Running>,
    /// Attempts whose start has yet to reach the disk, in the order they will begin.
    pub(super) at_barrier: VecDeque<AtBarrier>,
    pub(super) personas: std::collections::BTreeMap<String, super::personas::Pinnable>,
    /// Child runs that calls of earlier runs started.
    pub(super) earlier_children: HashMap<(Hash, u32), RunId>,
    /// Cache keys and occurrences by which calls were looked up before, in this run or in one it resumes.
    pub(super) lookups: HashMap<(Hash, u32), (Hash, u32)>,
    pub(super) effects: VecDeque<Effect>,
    pub(super) end: Option<RunEnd>,
    /// Inbox rows answered by the next append.
    pub(super) consumed: Vec<i64>,
    /// Children of this run that execute here, by the call that started them.
    pub(super) children: HashMap<CallId, RunId>,
    /// Calls with cleanups that were begun, in order.
    pub(super) begun: Vec<CallId>,
    /// Calls that are carried out here for an idempotency key.
    pub(super) once: HashMap<CallId, Hash>,
    /// One copy for each attempt of this run that may still be winding down.
    pub(super) winding: Arc<()>,
    /// Kept until the parent has been told what follows from them.
    pub(super) words: Vec<Arc<()>>,
    /// Set when the run is to end and waits for its children.
    pub(super) cancelling: Option<super::cancel::Cancelling>,
    /// Tells the parent's loop that this child waits for a person.
    pub(super) parent: Option<(Sender<Message>, CallId)>,
}

impl RunLoop {
    /// Runs until the run ends, pauses, diverges or is taken away. `start` is false for a run that is only to be cancelled.
    pub(crate) fn run(mut self) -> RunEnd {
        self.take_up_inbox();
        if self.end.is_none() && !self.machine.is_over() {
            let first = self.drive(|driver| driver.start());
            self.ran(first);
        }
        loop {
            self.carry_out();
            if let Some(end) = self.end.take() {
                return self.leave(end);
            }
            self.words.clear();
            self.hand_over();
            let message = self.next();
            self.message(message);
        }
    }

    /// Waits for the next message. While something is on its way to disk, its failure is news too.
    fn next(&self) -> Message {
        loop {
            if let Some(cancelling) = &self.cancelling {
                let left = cancelling.until.saturating_duration_since(std::time::Instant::now());
                return self.inbox.recv_timeout(left).unwrap_or(Message::CancelNow);
            }
            let received = match self.journal.standing() {
                Standing::OnDisk => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Standing::Queued => self.inbox.recv_timeout(COMMIT_LOOK),
                Standing::Failed => return Message::StoreFailed,
            };
            match received {
                Ok(message) => return message,
                Err(RecvTimeoutError::Timeout) => {}
                // Cannot happen while `to_self` lives.
                Err(RecvTimeoutError::Disconnected) => return Message::Interrupt,
            }
        }
    }

    fn leave(mut self, end: RunEnd) -> RunEnd {
        self.attempts.clear();
        self.at_barrier.clear();
        self.prepared.clear();
        let end = match end {
            RunEnd::Lost(_) => end,
            end => {
                self.hand_over();
                match self.journal.commit() {
                    Ok(()) => end,
                    Err(error) => RunEnd::lost(error),
                }
            }
        };
        // Whoever waits for the loops of the tree waits for their last commit.
        self.tree.unregister(&self.run);
        end
    }

    /// Queues everything appended so far to the store's writer, and the files that tell of it behind it.
    pub(super) fn hand_over(&mut self) {
        self.journal.hand_over();
        self.tree.files.after(self.journal.ticket(), &mut self.held);
    }

    fn drive(&mut self, go: impl FnOnce(&mut dyn Driver) -> DriverStep) -> DriverStep {
        // Readers see how far the run is while user logic works, and the watchdog ends a journal that is complete.
        self.hand_over();
        self.driving_since.store(self.tree.clock(), Ordering::Relaxed);
        let step = go(self.driver.as_mut());
        self.driving_since.store(0, Ordering::Relaxed);
        step
    }

    fn ran(&mut self, step: DriverStep) {
        // A cancel stops user logic through the abort flag: the cancel counts, not the error it causes.
        self.drain_inbox();
        if self.end.is_some() || self.machine.is_over() || self.cancelling.is_some() {
            return;
        }
        if self.parent.is_some()
            && matches!(step.state, DriverState::Failed(_))
            && self.tree.abort.load(Ordering::SeqCst)
        {
            // The whole tree was stopped; the word for this child comes through its parent.
            return;
        }
        for op in &step.ops {
            if let Op::Pin { kind, name, .. } = op
                && kind == "persona"
                && let Err(error) = self.pin_persona(name)
            {
                return self.lost(error);
            }
        }
        let mut ops = step.ops;
        let mut state = match step.state {
            DriverState::Returned(value) => match self.sinks_error().or_else(|| self.unused_rules_error()) {
                Some(error) => DriverState::Failed(error),
                None => {
                    ops.extend(self.sinks_warnings());
                    ops.extend(self.unused_rules_warning());
                    DriverState::Returned(value)
                }
            },
            other => other,
        };
        self.tree.services.secrets.ops(&mut ops, &mut state);
        super::tools::mark(&mut ops, &self.tree.services.config.tools, &self.personas);
        self.feed(Input::Ran { ops, state });
    }

    /// Carries out effects until none is left.
    fn carry_out(&mut self) {
        while self.end.is_none()
            && let Some(effect) = self.effects.pop_front()
        {
            if self.journal.standing() == Standing::Failed {
                return self.store_failed();
            }
            if self.cancelling.is_some() && begins(&effect) {
                continue;
            }
            match effect {
                Effect::Prepare { call_id } => self.take_up(call_id),
                Effect::Acquire { call_id } => self.acquire(call_id),
                Effect::Release { call_id } => {
                    if let Some(prepared) = self.prepared.get(&call_id) {
                        self.tree.gates.release(&prepared.provider_name, &self.run, call_id);
                    }
                }
                Effect::Start { call_id, attempt, delay_ms, barrier } => {
                    self.start(call_id, attempt, delay_ms, barrier);
                }
                Effect::StartTimer { call_id, after_ms } => self.start_timer(call_id, after_ms),
                Effect::Abort { call_id } => self.abort(call_id),
                Effect::Ask { approval } => self.ask(&approval),
                Effect::Deliver { call_id, outcome, budget } => {
                    self.drain_inbox();
                    if self.end.is_some() || self.machine.is_over() || self.cancelling.is_some() {
                        continue;
                    }
                    self.prepared.remove(&call_id);
                    let step = self.drive(|driver| driver.deliver(call_id, &outcome, &budget));
                    self.ran(step);
                }
                Effect::Finished { outcome } => self.end = Some(RunEnd::Finished(outcome)),
                Effect::Pause { reason, message } => self.try_pause(reason, message),
                Effect::Waiting { waits } => {
                    if let Some((parent, call_id)) = &self.parent {
                        // A parent that is gone needs no word.
                        let word = self.tree.word();
                        let _ = parent.send(Message::ChildWaiting { call_id: *call_id, waits, word });
                    } else if waits == Some(Waits::Key) {
                        self.end_a_deadlock();
                    }
                }
                Effect::Diverged { detail } => self.end = Some(RunEnd::Diverged(detail)),
            }
        }
    }

    /// Feeds one input to the machine: its events are queued to the journal before any effect is carried out.
    pub(super) fn feed(&mut self, input: Input) {
        let step = {
            let mut ledger = self.tree.ledger();
            self.machine.on(input, now(), &mut ledger)
        };
        self.record(step);
    }

    fn record(&mut self, step: Step) {
        let Step { mut events, effects } = step;
        self.effects.extend(effects);
        let finishing = matches!(events.last(), Some(Event::RunFinished { .. }));
        let last = if finishing { events.pop() } else { None };
        let cache = self.note_events(&events);
        let consumed = std::mem::take(&mut self.consumed);
        self.journal.append(events, cache, consumed);
        if let Some(event) = last {
            // The files of a run are complete before its end is on record, and written only when everything they tell is.
            if let Event::RunFinished { outcome } = &event {
                let mut warnings = self.clean_up(outcome);
                warnings.extend(self.unheard(outcome));
                self.journal.append(warnings, Vec::new(), Vec::new());
                self.hand_over();
                if self.journal.commit().is_err() {
                    return self.store_failed();
                }
                self.tree.files.finish(&self.tree.store, &self.run, &self.spec, &self.tree.settings, outcome);
            }
            self.journal.append(vec![event], Vec::new(), Vec::new());
        }
    }

    /// Files and cache entries that follow from events about to be appended.
    fn note_events(&mut self, events: &[Event]) -> Vec<CacheWrite> {
        let mut cache = Vec::new();
        let folders = self.tree.settings.engine.call_folders;
        for (offset, event) in events.iter().enumerate() {
            match event {
                Event::CallRequested { call_id, spec, .. } if call_id.0 <= folders => {
                    if let Some(prompt) = &spec.ask.prompt_text() {
                        self.held.prompt(&self.tree.store.run_dir(&self.run), *call_id, prompt);
                    }
                }
                Event::CallFinished { call_id, outcome, reused, .. } => {
                    // A hook may still judge a call that was cancelled: nobody waits for its word.
                    self.attempts.remove(call_id);
                    if call_id.0 <= folders {
                        let kind = self.machine.spec(*call_id).map_or(CallKind::Agent, |spec| spec.kind);
                        self.held.outcome(&self.tree.store.run_dir(&self.run), *call_id, kind, outcome);
                    }
                    if reused.is_none()
                        && outcome.status == CallStatus::Done
                        && let Some(prepared) = self.prepared.get(call_id)
                        && let Some(record) = &prepared.store_as
                        && self.may_store(prepared)
                    {
                        let seq = self.journal.next_seq() + offset as u64;
                        let (key, occurrence) = (record.key, record.occurrence);
                        cache.push(CacheWrite::Answer { key, occurrence, seq });
                    }
                    if let Some(key) = self.once.remove(call_id)
                        && reused.is_none()
                        && outcome.status == CallStatus::Done
                    {
                        let seq = self.journal.next_seq() + offset as u64;
                        let until = now().plus(self.tree.settings.engine.idempotency_ms);
                        cache.push(CacheWrite::Once { key, call_id: *call_id, seq, until });
                    }
                }
                _ => {}
            }
        }
        cache
    }

    fn acquire(&mut self, call_id: CallId) {
        let Some(prepared) = self.prepared.get(&call_id) else { return };
        let name = prepared.provider_name.clone();
        let limit = prepared.concurrency;
        if self.tree.gates.acquire(&name, limit, &self.run, call_id, &self.to_self) {
            self.permitted(call_id);
        }
    }

    /// Takes what an attempt brought, without the secrets in it.
    pub(super) fn attempt_ended(&mut self, call_id: CallId, attempt: u32, mut report: Box<AttemptReport>) {
        self.tree.services.secrets.report(&mut report);
        self.observe(call_id, &report);
        if let (Err(error), Some(prepared)) = (&report.result, self.prepared.get_mut(&call_id))
            && matches!(error.class, ErrorClass::Schema | ErrorClass::NoOutput)
        {
            let (answer, errors) = (report.rejected.take(), error.schema_errors.clone());
            prepared.feedback = Some(Feedback { answer, errors, message: error.message.clone() });
        }
        self.report(call_id, attempt, report);
    }

    /// Finds out what is to become of a call, unless that comes later as a message.
    pub(super) fn prepare(&mut self, call_id: CallId) {
        if let Some(plan) = self.plan(call_id) {
            self.planned(call_id, plan);
        }
    }

    fn permitted(&mut self, call_id: CallId) {
        let reserve = self.prepared.get(&call_id).map(|prepared| self.set_aside(prepared)).unwrap_or_default();
        self.feed(Input::Permitted { call_id, reserve });
    }

    pub(super) fn lost(&mut self, why: impl Into<Failure>) {
        self.end = Some(RunEnd::lost(why));
    }

    /// Ends the ownership: what was queued is not on disk, so nothing that follows from it may take effect.
    pub(super) fn store_failed(&mut self) {
        match self.journal.commit() {
            Err(error) => self.lost(error),
            Ok(()) => self.end = Some(RunEnd::fault("the journal could not be written")),
        }
    }

    /// The error of a run whose strict fixtures hold a rule that never answered.
    fn unused_rules_error(&self) -> Option<RunError> {
        if !self.tree.fake.is_strict() || self.parent.is_some() {
            return None;
        }
        let unused = self.tree.fake.unused_rules();
        let list: Vec<String> = unused.iter().map(usize::to_string).collect();
        let message = format!("fixture rules never used: {} (strict: true)", list.join(", "));
        (!unused.is_empty()).then(|| RunError::new(RunErrorCode::FixtureRuleUnused, message))
    }

    /// The warning about fixture rules that never answered.
    fn unused_rules_warning(&self) -> Option<Op> {
        let unused = if self.parent.is_none() { self.tree.fake.unused_rules() } else { Vec::new() };
        let list: Vec<String> = unused.iter().map(usize::to_string).collect();
        let message = format!("fixture rules never used: {}", list.join(", "));
        (!unused.is_empty()).then(|| Op::Warning { code: "fixture_rule_unused".to_owned(), message })
    }

    fn try_pause(&mut self, reason: StatusReason, message: Option<String>) {
        if self.parent.is_none() && !self.machine.is_pausing() && !self.is_idle() {
            return self.look_again();
        }
        if self.parent.is_none() && !self.children.is_empty() {
            // Children pause first; their loops answer, and the machine asks again.
            self.tree.send_children(|| Message::Pause { row: None, reason });
            return;
        }
        let event = Event::RunPaused { reason, message: message.clone() };
        if self.parent.is_some() {
            // The root's transaction re-reads the inbox of the whole tree.
            self.journal.append(vec![event], Vec::new(), Vec::new());
            self.end = Some(RunEnd::Paused { reason, message });
            return;
        }
        // Whoever looks at a run that waits finds the files of what is done.
        self.hand_over();
        self.tree.files.wait();
        match self.journal.pause(event.clone()) {
            Ok(PauseResult::Paused) => self.end = Some(RunEnd::Paused { reason, message }),
            Ok(PauseResult::Pending(rows)) if rows.iter().all(|row| row.run_id == self.run) => {
                for message in rows.iter().map(super::inbox::message) {
                    self.message(message);
                }
            }
            Ok(PauseResult::Pending(_)) => {
                // Rows for a child, whose loop has ended: pause, and the owner starts the tree again for them.
                self.journal.append(vec![event], Vec::new(), Vec::new());
                self.end = Some(RunEnd::Paused { reason, message });
            }
            Err(error) => self.lost(error),
        }
    }

    /// Asks a person by way of the journal; an expiry is watched for.
    fn ask(&mut self, approval: &ApprovalNote) {
        let Some(expires_at) = approval.expires_at else { return };
        if expires_at <= now() {
            // It expired while no process lived: its answer is in the inbox before the run can pause for it again.
            let expired =
                self.journal.commit().and_then(|()| self.tree.store.expire(&self.run, approval.approval_id, now()));
            if let Err(error) = expired {
                tracing::warn!(%error, "an approval could not expire");
            }
            return;
        }
        // The question may still be on its way to the disk when its time is up.
        let written = self.journal.barrier();
        let store = self.tree.store.clone();
        let run = self.run.clone();
        let id = approval.approval_id;
        let wait = Duration::from_millis(expires_at.since(now()));
        self.tree.services.runtime.spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(written) = written
                && written.committed().await.is_err()
            {
                return;
            }
            // A decision that was faster wins; its row is in the inbox already.
            if let Err(error) = store.expire(&run, id, expires_at.max(now())) {
                tracing::warn!(%error, "an approval could not expire");
            }
        });
    }

    /// Takes what was written for this run before it was taken up: a child that was decided must not tell its parent that it
    /// waits, or the tree pauses again before the poller has looked.
    fn take_up_inbox(&mut self) {
        match self.tree.store.inbox(&self.tree.root, 0) {
            Ok(rows) => {
                for row in rows {
                    if row.run_id == self.run {
                        self.message(super::inbox::message(&row));
                    }
                }
            }
            Err(error) => self.lost(error),
        }
    }

    /// Takes what has arrived without waiting.
    pub(super) fn drain_inbox(&mut self) {
        while self.end.is_none()
            && let Ok(message) = self.inbox.try_recv()
        {
            self.message(message);
        }
    }

    fn message(&mut self, message: Message) {
        let message = if self.cancelling.is_some() { self.while_cancelling(message) } else { Some(message) };
        let Some(message) = message else { return };
        match message {
            Message::Attempt { call_id, attempt, report } => {
                self.attempts.remove(&call_id);
                self.attempt_ended(call_id, attempt, report);
            }
            Message::Progress { call_id, attempt, mut message } => {
                self.tree.services.secrets.text(&mut message);
                self.feed(Input::Progressed { call_id, attempt, message });
            }
            Message::ToolStarted { call_id, attempt, number, tool, mut target, mut args, recorded } => {
                self.tree.services.secrets.option(&mut target);
                self.tree.services.secrets.option_value(&mut args);
                // Only now: a part of a key is not known any more.
                let target = target.map(|target| target.chars().take(TARGET).collect());
                if self.machine.is_running(call_id, attempt) {
                    self.feed(Input::ToolStarted { call_id, attempt, number, tool, target, args });
                    if let Some(ticket) = self.journal.barrier() {
                        // A tool whose time is up does not wait any more; then nothing follows from it.
                        let _ = recorded.send(ticket);
                    }
                }
            }
            Message::Raise { call_id, attempt, used, next, granted } => {
                let raised = self.machine.raise(call_id, attempt, used, next, &mut self.tree.ledger());
                let answer = raised.map(|raised| {
                    let reserve_nanos = raised?;
                    self.feed(Input::Raised { call_id, attempt, reserve_nanos });
                    self.journal.barrier()
                });
                // Who does not wait any more does not spend either.
                let _ = granted.send(answer);
            }
            Message::ToolFinished { call_id, attempt, number, ok, mut message } => {
                self.tree.services.secrets.text(&mut message);
                self.feed(Input::ToolFinished { call_id, attempt, number, ok, message });
            }
            Message::Written => self.written(),
            Message::Planned { call_id, plan, claim } => {
                if let Some(prepared) = self.prepared.get_mut(&call_id) {
                    prepared.claim = claim;
                }
                self.planned(call_id, *plan);
            }
            Message::KeyBusy { claim, by, ours } => self.key_busy(*claim, by, ours),
            Message::Look => self.look(),
            Message::Once { claim, plan, found } => {
                self.attempts.remove(&claim.call_id);
                self.once_found(*claim, *plan, found);
            }
            Message::Described { call_id, failed } => self.described(call_id, failed),
            Message::Policies { call_id, notes } => self.note_policies(call_id, notes),
            Message::Allowed { call_id, judged } => self.allowed(call_id, judged),
            Message::Accepted { call_id, judged, what } => self.accepted(call_id, judged, *what),
            Message::Permit(call_id) => self.permitted(call_id),
            Message::Timer(call_id) => {
                self.attempts.remove(&call_id);
                self.feed(Input::TimerFired { call_id });
            }
            Message::Cancel { row, call_id, by, reason } => {
                self.consumed.extend(row);
                self.cancel(call_id, by, reason);
            }
            // Whoever waited for children has heard of the last one since.
            Message::CancelNow => {}
            Message::Pause { row, reason } => {
                self.consumed.extend(row);
                if self.parent.is_none() {
                    self.tree.send_children(|| Message::Pause { row: None, reason });
                }
                self.feed(Input::Pause { reason });
            }
            Message::Decided { row, decision } => {
                self.consumed.extend(row);
                self.feed(Input::Decided(decision));
            }
            Message::ChildWaiting { call_id, waits, word } => {
                self.words.push(word);
                self.feed(Input::ChildWaiting { call_id, waits });
            }
            Message::ChildEnded { call_id, end } => self.child_ended(call_id, *end),
            Message::Interrupt => self.end = Some(RunEnd::Interrupted),
            Message::StoreFailed => self.store_failed(),
            Message::Fail(error) => self.feed(Input::Ran { ops: Vec::new(), state: DriverState::Failed(error) }),
        }
    }
}

/// Whether an effect begins something: a run that is about to end does not.
fn begins(effect: &Effect) -> bool {
    match effect {
        Effect::Prepare { .. }
        | Effect::Acquire { .. }
        | Effect::Start { .. }
        | Effect::StartTimer { .. }
        | Effect::Ask { .. }
        | Effect::Deliver { .. } => true,
        Effect::Release { .. }
        | Effect::Abort { .. }
        | Effect::Finished { .. }
        | Effect::Pause { .. }
        | Effect::Waiting { .. }
        | Effect::Diverged { .. } => false,
    }
}
