//! A run as a view needs it, read once: its row, what its status amounts to, its calls, its own events.

use crate::core::call::CallKind;
use crate::core::event::{Event, EventRecord};
use crate::core::failure::Failure;
use crate::core::ids::RunId;
use crate::core::outcome::CacheStatus;
use crate::core::run::{RunStatus, StatusReason};
use crate::engine::view;
use crate::store::{CallFilter, CallRow, CallState, RunRow};

use super::handle::Query;

/// A run and everything of it that is small.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) row: RunRow,
    pub(super) status: RunStatus,
    pub(super) reason: Option<StatusReason>,
    pub(super) calls: Vec<CallRow>,
    /// Events that belong to no call.
    pub(super) events: Vec<EventRecord>,
    pub(super) starts: Starts,
}

/// When processes took the run up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Starts {
    /// How many did.
    pub(super) count: u64,
    /// The number of the last one's event.
    pub(super) last_seq: u64,
}

impl Starts {
    pub(super) fn of(events: &[EventRecord]) -> Self {
        let started = |e: &&EventRecord| matches!(e.event, Event::RunStarted { .. });
        let mut starts = Self::default();
        for event in events.iter().filter(started) {
            starts = Self { count: starts.count + 1, last_seq: event.seq };
        }
        starts
    }

    /// Whether a call's outcome was there before the last start, which replayed it.
    pub(super) fn replayed(&self, call: &CallRow) -> bool {
        self.count > 1 && call.finished_seq.is_some_and(|seq| seq < self.last_seq)
    }
}

impl Query<'_> {
    pub(super) fn snapshot(&self, run: &RunId) -> Result<Snapshot, Failure> {
        let row = self.row(run)?;
        let (status, reason) = self.store.effective_status(&row, self.env.now);
        let calls = self.store.calls(run, &CallFilter::default())?;
        let events = self.store.run_events(run, 0)?;
        let starts = Starts::of(&events);
        Ok(Snapshot { row, status, reason, calls, events, starts })
    }
}

impl Snapshot {
    /// Where a call stands, as shown.
    pub(super) fn state(&self, call: &CallRow) -> view::CallState {
        state(call, self.status, self.starts)
    }

    /// Milliseconds it had an owner.
    pub(super) fn elapsed_ms(&self, query: &Query<'_>) -> u64 {
        self.row.elapsed_ms(self.status == RunStatus::Running, query.env.now)
    }
}

/// Where a call stands, as shown: an attempt of a process that is gone, or of a run that waits, does not run, and a call
/// that another run took over waits for nothing.
pub(super) fn state(call: &CallRow, status: RunStatus, starts: Starts) -> view::CallState {
    match call.state {
        CallState::Queued | CallState::Running if status.is_ended() => view::CallState::Cancelled,
        CallState::Queued => view::CallState::Queued,
        CallState::Running if status != RunStatus::Running || call.changed_seq < starts.last_seq => {
            view::CallState::Queued
        }
        CallState::Running => view::CallState::Running,
        CallState::Ended(status) => status.into(),
    }
}

/// What the cache and the journal had to do with a call, as shown; none until it is known.
pub(super) fn cache_status(call: &CallRow, starts: Starts) -> Option<CacheStatus> {
    if call.reused.is_some() || starts.replayed(call) {
        return Some(CacheStatus::Replayed);
    }
    match call.kind {
        CallKind::Agent | CallKind::Tool | CallKind::Command | CallKind::Turn => {}
        CallKind::Expr | CallKind::Workflow | CallKind::Approval | CallKind::Timer => {
            return call.finished_seq.map(|_| CacheStatus::Bypassed);
        }
    }
    match &call.cache {
        Some(note) => Some(note.status),
        None if call.cached_seq.is_some() => Some(CacheStatus::Miss),
        None => None,
    }
}
