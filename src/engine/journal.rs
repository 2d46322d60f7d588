//! A run's journal as its loop writes it: numbers events, stamps them, queues them to the store's writer.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::sinks::Sinks;
use crate::core::event::{Event, EventRecord};
use crate::core::ids::RunId;
use crate::core::time::Millis;
use crate::store::{Append, CacheWrite, Store, StoreError, Ticket};

/// The wall clock, read only here and never by `core`.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Where the events of a run are. A failure is for good: the store writes nothing of an owner after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Committed.
    OnDisk,
    /// On their way.
    Queued,
    /// Not written.
    Failed,
}

/// Writes the events of one run in order.
pub(crate) struct Journal {
    store: Store,
    root: RunId,
    run: RunId,
    epoch: u64,
    next_seq: u64,
    last: Option<Ticket>,
    /// Not yet with the writer: one hand-over a turn costs less than one an event.
    waiting: Option<Append>,
    /// Who hears of the events.
    sinks: Option<Arc<Sinks>>,
}

impl Journal {
    /// A journal that goes on after `last_seq`.
    pub(crate) fn new(store: Store, root: RunId, run: RunId, epoch: u64, last_seq: u64) -> Self {
        Self { store, root, run, epoch, next_seq: last_seq + 1, last: None, waiting: None, sinks: None }
    }

    /// Lets others hear of what is written from now on.
    pub(crate) fn tell(&mut self, sinks: &Arc<Sinks>) {
        self.sinks = sinks.any().then(|| Arc::clone(sinks));
    }

    /// The number the next event gets.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Keeps events for the next [`Journal::hand_over`], with cache entries that point at them and inbox rows they answer.
    pub(crate) fn append(&mut self, events: Vec<Event>, cache: Vec<CacheWrite>, consumed: Vec<i64>) {
        if events.is_empty() && consumed.is_empty() {
            return;
        }
        let mut next = self.batch(events, cache, consumed);
        match &mut self.waiting {
            Some(waiting) => {
                waiting.records.append(&mut next.records);
                waiting.cache.append(&mut next.cache);
                waiting.consumed.append(&mut next.consumed);
            }
            None => self.waiting = Some(next),
        }
    }

    /// Queues everything appended so far to the store's writer. Called before a value reaches user logic, before an effect,
    /// and before waiting.
    pub(crate) fn hand_over(&mut self) {
        if let Some(append) = self.waiting.take() {
            let told = self.sinks.as_ref().map(|sinks| (sinks, append.records.clone()));
            let ticket = self.store.append(append);
            if let Some((sinks, records)) = told {
                sinks.events(&self.run, Some(ticket.clone()), records);
            }
            self.last = Some(ticket);
        }
    }

    /// What tells when everything handed over so far is on disk; none when nothing was.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.last.clone()
    }

    fn batch(&mut self, events: Vec<Event>, cache: Vec<CacheWrite>, consumed: Vec<i64>) -> Append {
        let at = now();
        let records = events
            .into_iter()
            .map(|event| {
                let seq = self.next_seq;
                self.next_seq += 1;
                EventRecord { seq, at, event }
            })
            .collect();
        Append { root: self.root.clone(), run: self.run.clone(), epoch: self.epoch, records, cache, consumed }
    }

    /// Appends the pause in one transaction that re-reads the inbox.
    pub(crate) fn pause(&mut self, event: Event) -> Result<crate::store::PauseResult, StoreError> {
        self.hand_over();
        let seq = self.next_seq;
        let append = self.batch(vec![event], Vec::new(), Vec::new());
        let told = append.records.clone();
        let result = self.store.pause(append);
        if let (Some(sinks), Ok(crate::store::PauseResult::Paused)) = (&self.sinks, &result) {
            sinks.events(&self.run, None, told);
        }
        if !matches!(result, Ok(crate::store::PauseResult::Paused)) {
            self.next_seq = seq;
        }
        result
    }

    /// What to wait for when everything so far must be on disk; none when nothing was written yet.
    pub(crate) fn barrier(&mut self) -> Option<Ticket> {
        self.hand_over();
        self.last.clone()
    }

    /// Where everything so far is, without waiting.
    pub(crate) fn standing(&self) -> Standing {
        match self.last.as_ref().map(Ticket::result) {
            None | Some(Some(Ok(()))) => Standing::OnDisk,
            Some(None) => Standing::Queued,
            Some(Some(Err(_))) => Standing::Failed,
        }
    }

    /// Waits until everything so far is on disk.
    pub(crate) fn commit(&mut self) -> Result<(), StoreError> {
        self.hand_over();
        self.last.as_ref().map_or(Ok(()), Ticket::wait)
    }
}
