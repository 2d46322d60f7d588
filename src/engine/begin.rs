//! Attempts as a run loop begins and ends them: behind the disk where they change something, in order where they are instant.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::core::ids::CallId;
use crate::core::machine::{AttemptReport, Input};
use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::{Progress, ProviderKind, Stop};
use crate::store::Ticket;

use super::breaker::Rule;
use super::effects::Effects;
use super::executor::{Attempt, contained};
use super::isolation::Isolation;
use super::message::Message;
use super::prepare::Prepared;
use super::run_loop::RunLoop;

/// A task that ends with the loop that started it, however the loop ends.
pub(super) struct Running {
    task: tokio::task::AbortHandle,
    /// Set for an attempt that is asked to end and may take its time about it; others are dropped.
    stop: Option<Stop>,
    /// What an attempt brought, while hooks judge it: what it used is known, whatever they say.
    said: Option<Box<AttemptReport>>,
}

impl Running {
    /// Asks it to end where it can; it goes on to say what it used.
    pub(super) fn ask_to_end(&self) {
        if let Some(stop) = &self.stop {
            stop.stop();
        }
    }

    /// A task that is dropped when its end is asked for.
    pub(super) fn of<T>(task: &tokio::task::JoinHandle<T>) -> Self {
        Self::judged(task, None)
    }

    /// The same, of hooks that judge what an attempt brought.
    pub(super) fn judged<T>(task: &tokio::task::JoinHandle<T>, said: Option<Box<AttemptReport>>) -> Self {
        Self { task: task.abort_handle(), stop: None, said }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        match &self.stop {
            Some(stop) => stop.stop(),
            None => self.task.abort(),
        }
    }
}

/// The shortest time between two words of one attempt about how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// The most words of one attempt about how far it is: the journal is for facts.
const PROGRESS_MOST: u32 = 300;

/// How long an attempt that was asked to end is waited for: longer than any provider takes to wind down.
const LAST_WORD: Duration = Duration::from_secs(20);

/// An attempt under way.
type Attempting = Pin<Box<dyn Future<Output = Option<AttemptReport>> + Send>>;

/// An attempt that may begin once its start is on disk.
pub(super) struct AtBarrier {
    call_id: CallId,
    attempt: u32,
    ticket: Ticket,
    future: Attempting,
    stop: Option<Stop>,
}

impl RunLoop {
    pub(super) fn start(&mut self, call_id: CallId, attempt: u32, delay_ms: u64, barrier: bool) {
        if !self.machine.is_running(call_id, attempt) {
            // The run ended, or the call was cancelled, between the decision to start and the start: nobody is asked.
            return;
        }
        self.note_begun(call_id);
        if self.machine.spec(call_id).is_some_and(|spec| spec.starts_run()) {
            return self.start_child(call_id);
        }
        let progress = self.progress(call_id, attempt);
        let lent = self.lent(call_id);
        let budget = self.budgeted(call_id);
        let Some(prepared) = self.prepared.get_mut(&call_id) else { return };
        let mut request = prepared.request.clone();
        request.attempt = attempt;
        request.marker = format!("{}/{}/{call_id}/{attempt}", self.tree.root, self.run);
        request.feedback = prepared.feedback.take();
        request.budget = budget;
        let committed = barrier || prepared.provider.wants_commit(&request);
        let mutation = self.tree.mutation(barrier);
        let ticket = if committed { self.journal.barrier() } else { None };
        let run_dir = self.tree.store.run_dir(&self.run);
        let mut context = Prepared::context(&run_dir, call_id, self.tree.settings.engine);
        let isolated = request.spec.ask.isolation.is_some();
        let isolation = isolated.then(|| Isolation {
            home: super::reference::home(&self.tree.store).into(),
            workspace: request.cwd.clone(),
            run: self.run.clone(),
            call_id,
            attempt,
            label: request.spec.label.clone(),
            inline: prepared.provider.kind() == ProviderKind::Fake,
            patch: context.transcript.as_ref().map(|path| path.with_file_name("diff.patch")),
        });
        // Generated answers are a function of the request alone.
        let of_agent = request.spec.kind == crate::core::call::CallKind::Agent;
        let breaker = (of_agent && prepared.provider.kind() != ProviderKind::Fake).then(|| {
            let limits = self.tree.settings.engine;
            let rule = Rule { failures: limits.breaker_failures, open: Duration::from_millis(limits.breaker_open_ms) };
            (Arc::clone(&self.tree.services.breakers), rule)
        });
        // A worktree is looked at after its attempt, however that ends.
        let winds_down = isolated || !prepared.provider.wind_down().is_zero();
        let winding = winds_down.then(|| (self.tree.winding(), Arc::clone(&self.winding)));
        let stop = winds_down.then(|| context.stop.clone());
        if prepared.provider.kind() != ProviderKind::Fake {
            context.progress = progress;
        }
        let work = Attempt {
            provider: Arc::clone(&prepared.provider),
            context,
            schema: prepared.schema.clone(),
            barrier: ticket.clone(),
            delay: Duration::from_millis(delay_ms),
            workspace: prepared.workspace.as_ref().map(|seen| seen.id().to_string()),
            secrets: self.tree.services.secrets.clone(),
            isolation,
            breaker,
            files: Arc::clone(&self.tree.services.config.files),
            lent,
            effects: Arc::new(Effects::new(self.to_self.clone(), call_id, attempt)),
            request,
        };
        let future = Box::pin(async move {
            let report = contained(work).await;
            drop(mutation);
            drop(winding);
            report
        });
        match ticket {
            None => self.begin(call_id, attempt, future, stop),
            Some(ticket) => {
                let (to, written) = (self.to_self.clone(), ticket.clone());
                self.at_barrier.push_back(AtBarrier { call_id, attempt, ticket, future, stop });
                self.tree.services.runtime.spawn(async move {
                    // Whether it was written is looked at where the attempt begins.
                    let _ = written.committed().await;
                    // A loop that has ended begins nothing.
                    let _ = to.send(Message::Written);
                });
            }
        }
    }

    /// Begins what has waited for the disk, first come first served.
    pub(super) fn written(&mut self) {
        while let Some(first) = self.at_barrier.pop_front_if(|first| first.ticket.result().is_some()) {
            let AtBarrier { call_id, attempt, future, stop, .. } = first;
            if self.machine.is_running(call_id, attempt) {
                self.begin(call_id, attempt, future, stop);
            }
        }
    }

    fn begin(&mut self, call_id: CallId, attempt: u32, mut future: Attempting, stop: Option<Stop>) {
        let to = self.to_self.clone();
        let tree = Arc::clone(&self.tree);
        let _inside = tree.services.runtime.enter();
        // An answer that is there at once is taken in order, without a trip through the scheduler.
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(report)) => self.attempt_ended(call_id, attempt, Box::new(report)),
            Poll::Ready(None) => self.store_failed(),
            Poll::Pending => {
                self.hand_over();
                let task = self.tree.services.runtime.spawn(async move {
                    let message = match future.await {
                        Some(report) => Message::Attempt { call_id, attempt, report: Box::new(report) },
                        None => Message::StoreFailed,
                    };
                    // A loop that has ended no longer needs the answer.
                    let _ = to.send(message);
                });
                self.attempts.insert(call_id, Running { task: task.abort_handle(), stop, said: None });
            }
        }
    }

    /// Takes what an attempt says about how far it is, not too often.
    fn progress(&self, call_id: CallId, attempt: u32) -> Progress {
        let to = self.to_self.clone();
        let told = Mutex::new((None::<Instant>, 0));
        Progress::new(move |message| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.0.is_some_and(|at| at.elapsed() < PROGRESS_EVERY) || told.1 >= PROGRESS_MOST {
                return;
            }
            *told = (Some(Instant::now()), told.1 + 1);
            // A loop that has ended needs no word.
            let _ = to.send(Message::Progress { call_id, attempt, message });
        })
        .with_secrets(self.tree.services.secrets.known())
    }

    pub(super) fn start_timer(&mut self, call_id: CallId, after_ms: u64) {
        let to = self.to_self.clone();
        let task = self.tree.services.runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            let _ = to.send(Message::Timer(call_id));
        });
        self.attempts.insert(call_id, Running::of(&task));
    }

    pub(super) fn abort(&mut self, call_id: CallId) {
        let running = self.attempts.remove(&call_id);
        self.tree.key_waits().remove(&(self.run.clone(), call_id));
        self.at_barrier.retain(|waiting| waiting.call_id != call_id);
        let attempt = self.machine.attempt(call_id);
        if self.machine.is_ending(call_id, attempt) {
            self.wind_down(call_id, attempt, running);
        }
        if let Some(child) = self.children.get(&call_id) {
            let (by, reason) = ("parent".to_owned(), Some("its parent no longer needs it".to_owned()));
            self.tree.send(child, Message::Cancel { row: None, call_id: None, by, reason });
        }
    }

    /// Sees to it that an attempt that was asked to end says what it used: by itself, or it is said for it.
    fn wind_down(&mut self, call_id: CallId, attempt: u32, mut running: Option<Running>) {
        let ended = CallError::new(ErrorClass::Cancelled, "ended on request");
        if let Some(mut report) = running.as_mut().and_then(|running| running.said.take()) {
            // It had its answer, about which hooks were asked.
            report.result = Err(ended);
            return self.feed(Input::AttemptEnded { call_id, attempt, report });
        }
        let mut report = Box::new(AttemptReport::new(Err(ended)));
        if running.is_none() {
            // It has not begun.
            return self.attempt_ended(call_id, attempt, report);
        }
        // It was under way, and what it used nobody knows unless it says so: a budget counts what was set aside for it.
        if let Some(prepared) = self.prepared.get(&call_id) {
            let aside = prepared.reserve();
            report.charge.cost_nanos = aside.cost_nanos;
            // An invented answer is known to have used nothing.
            report.charge.tokens = if prepared.provider.kind() == ProviderKind::Fake { 0 } else { aside.tokens };
        }
        if running.is_some_and(|running| running.stop.is_some()) {
            let to = self.to_self.clone();
            self.tree.services.runtime.spawn(async move {
                tokio::time::sleep(LAST_WORD).await;
                // One that has said it, or a loop that has ended, needs no other.
                let _ = to.send(Message::Attempt { call_id, attempt, report });
            });
        } else {
            self.attempt_ended(call_id, attempt, report);
        }
    }
}
