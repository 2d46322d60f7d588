//! The writer thread: takes everything that waits, writes it in one transaction, then says so.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::core::event::EventRecord;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::time::Millis;
use crate::store::cache;
use crate::store::error::StoreError;
use crate::store::inbox;
use crate::store::journal::Folder;
use crate::store::lease;
use crate::store::once;
use crate::store::ticket::{Settler, Ticket};

/// Events that may wait to be written before [`Queue::push`] blocks.
const MAX_EVENTS: usize = 4096;
/// Bytes of events that may wait.
const MAX_BYTES: usize = 8 << 20;

/// How long events that nobody waits for stay back after a transaction, for more to come: a transaction costs a sync of the disk,
/// whatever is in it. The first after a while is written at once.
const SPACING: Duration = Duration::from_millis(2);

/// Events of one run, to be appended by its owner in one transaction with what goes along.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The root of the run tree.
    pub root: RunId,
    /// The run whose journal grows.
    pub run: RunId,
    /// The epoch of the owner; checked against the store.
    pub epoch: u64,
    /// The events, continuing the journal without a gap.
    pub records: Vec<EventRecord>,
    /// Answers that the cache keeps from now on.
    pub cache: Vec<CacheWrite>,
    /// Ids of inbox rows that are acted on with these events.
    pub consumed: Vec<i64>,
}

impl Append {
    /// Events of a root run and nothing else.
    pub fn new(run: &RunId, epoch: u64, records: Vec<EventRecord>) -> Self {
        Self { root: run.clone(), run: run.clone(), epoch, records, cache: Vec::new(), consumed: Vec::new() }
    }
}

/// An answer that is kept for others, by the `call_finished` event of the same append's run that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheWrite {
    /// In the cache.
    Answer {
        /// The cache key.
        key: Hash,
        /// The occurrence over the run tree.
        occurrence: u32,
        /// The event.
        seq: u64,
    },
    /// For an idempotency key.
    Once {
        /// The key.
        key: Hash,
        /// The call that was carried out.
        call_id: CallId,
        /// The event.
        seq: u64,
        /// Until when it counts.
        until: Millis,
    },
}

/// An append with its events as they will lie on disk.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) append: Append,
    bodies: Vec<String>,
    bytes: usize,
}

impl Prepared {
    pub(super) fn new(append: Append) -> Result<Self, StoreError> {
        let bodies =
            append.records.iter().map(|record| serde_json::to_string(&record.event)).collect::<Result<Vec<_>, _>>()?;
        let bytes = bodies.iter().map(String::len).sum();
        Ok(Self { append, bodies, bytes })
    }

    /// Writes it. The caller has checked the epoch and the sequence.
    pub(super) fn apply(&self, db: &Connection, folder: &mut Folder, no: i64) -> Result<(), StoreError> {
        for (record, body) in self.append.records.iter().zip(&self.bodies) {
            folder.write(db, no, record, body)?;
        }
        for write in &self.append.cache {
            match write {
                CacheWrite::Answer { key, occurrence, seq } => cache::put(db, no, key, *occurrence, *seq)?,
                CacheWrite::Once { key, call_id, seq, until } => once::put(db, no, key, *call_id, *seq, *until)?,
            }
        }
        inbox::consume(db, &self.append.consumed)
    }
}

/// What a task works with, inside the transaction.
pub(super) struct Tx<'a> {
    pub(super) db: &'a Connection,
    pub(super) folder: &'a mut Folder,
}

type Work = Box<dyn FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send>;

/// One thing to write.
pub(super) enum Job {
    /// Events of an owner.
    Append(Prepared, Settler),
    /// Anything else; undone alone when it fails by itself. With an owner, its failure ends the ownership.
    Task {
        /// The name in traces.
        name: &'static str,
        /// The owner on whose behalf it writes.
        owner: Option<(RunId, u64)>,
        /// What it does.
        work: Work,
        /// Who waits for it.
        settler: Settler,
    },
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    events: usize,
    bytes: usize,
    closed: bool,
    /// Whether somebody waits for what is here.
    hurried: bool,
    /// Whether rows that were kept from earlier transactions are read afresh in the next one.
    forget: bool,
}

impl Waiting {
    /// How long what is here stays back, this long after the transaction before; none when it is to be written.
    fn stays(&self, since: Duration) -> Option<Duration> {
        let left = SPACING.checked_sub(since).filter(|left| !left.is_zero());
        left.filter(|_| !self.hurried && !self.closed)
    }
}

/// The way to the writer thread.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    written: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an append; blocks while too much waits.
    pub(super) fn append(self: &Arc<Self>, prepared: Prepared) -> Ticket {
        let (ticket, settler) = Ticket::of(self);
        let (events, bytes) = (prepared.bodies.len(), prepared.bytes);
        let mut waiting = self.lock();
        while waiting.events > 0 && (waiting.events + events > MAX_EVENTS || waiting.bytes + bytes > MAX_BYTES) {
            waiting.hurried = true;
            self.arrived.notify_one();
            waiting = self.written.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.events += events;
        waiting.bytes += bytes;
        let first = waiting.jobs.is_empty();
        waiting.jobs.push_back(Job::Append(prepared, settler));
        drop(waiting);
        if first {
            self.arrived.notify_one();
        }
        ticket
    }

    /// Queues a task, which is written at once.
    pub(super) fn task(self: &Arc<Self>, name: &'static str, owner: Option<(RunId, u64)>, work: Work) -> Ticket {
        let (ticket, settler) = Ticket::of(self);
        let mut waiting = self.lock();
        waiting.jobs.push_back(Job::Task { name, owner, work, settler });
        waiting.hurried = true;
        drop(waiting);
        self.arrived.notify_one();
        ticket
    }

    /// Lets what is here be written at once: somebody waits for it.
    pub(super) fn hurry(&self) {
        let mut waiting = self.lock();
        // What is being written needs no word.
        if !waiting.jobs.is_empty() && !waiting.hurried {
            waiting.hurried = true;
            drop(waiting);
            self.arrived.notify_one();
        }
    }

    /// Lets the thread end once everything is written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Lets the next transaction read afresh what earlier ones kept.
    pub(super) fn forget(&self) {
        self.lock().forget = true;
    }

    /// What waits, and whether kept rows are forgotten before it; none at the end. `last` is when the transaction before ended.
    fn take(&self, last: Option<Instant>) -> Option<(VecDeque<Job>, bool)> {
        let mut waiting = self.lock();
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        while let Some(left) = last.and_then(|last| waiting.stays(last.elapsed())) {
            (waiting, _) = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.hurried = false;
        let forget = std::mem::take(&mut waiting.forget);
        Some((std::mem::take(&mut waiting.jobs), forget))
    }

    fn done(&self, events: usize, bytes: usize) {
        let mut waiting = self.lock();
        waiting.events = waiting.events.saturating_sub(events);
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        drop(waiting);
        self.written.notify_all();
    }
}

/// The body of the writer thread.
pub(super) fn run(mut db: Connection, queue: &Arc<Queue>) {
    let mut writer = Writer { folder: Folder::default(), ended: HashMap::new() };
    let mut last = None;
    while let Some((jobs, forget)) = queue.take(last) {
        if forget {
            writer.folder.clear();
        }
        let (mut events, mut bytes) = (0, 0);
        for job in &jobs {
            if let Job::Append(prepared, _) = job {
                events += prepared.bodies.len();
                bytes += prepared.bytes;
            }
        }
        let settled = writer.group(&mut db, jobs);
        last = Some(Instant::now());
        queue.done(events, bytes);
        for (settler, result) in settled {
            settler.settle(result);
        }
    }
}

/// One ticket's end, and the owner whose write it was.
type Settled = (Settler, Result<(), StoreError>);

struct Writer {
    folder: Folder,
    /// Owners that failed to write once: nothing of theirs is written after the hole.
    ended: HashMap<(RunId, u64), StoreError>,
}

impl Writer {
    /// Writes a group of jobs in one transaction: all of them, or on a failure of the database none.
    fn group(&mut self, db: &mut Connection, jobs: VecDeque<Job>) -> Vec<Settled> {
        let mut settled = Vec::with_capacity(jobs.len());
        let mut owners = Vec::new();
        let mut jobs = jobs.into_iter();
        let mut fatal = db.execute_batch("BEGIN IMMEDIATE").err().map(StoreError::from);
        let mut checked = HashSet::new();
        while fatal.is_none() {
            let Some(job) = jobs.next() else { break };
            let (settler, owner, result) = self.one(db, job, &mut checked);
            if let Err(error) = &result
                && error.is_fatal()
            {
                fatal = Some(error.clone());
            }
            settled.push((settler, result));
            owners.extend(owner);
        }
        if fatal.is_none() {
            let written = self.folder.flush(db).and_then(|()| Ok(db.execute_batch("COMMIT")?));
            fatal = written.err();
        }
        if let Some(error) = fatal {
            self.give_up(db, &error);
            for job in jobs {
                let (settler, owner) = match job {
                    Job::Append(prepared, settler) => {
                        (settler, Some((prepared.append.root.clone(), prepared.append.epoch)))
                    }
                    Job::Task { owner, settler, .. } => (settler, owner),
                };
                settled.push((settler, Err(error.clone())));
                owners.extend(owner);
            }
            for owner in owners {
                self.ended.entry(owner).or_insert_with(|| error.clone());
            }
            for (_, result) in &mut settled {
                if result.is_ok() {
                    *result = Err(error.clone());
                }
            }
        }
        settled
    }

    fn give_up(&mut self, db: &Connection, error: &StoreError) {
        tracing::error!(%error, "a write to the store failed");
        // The engine may have rolled back by itself.
        if !db.is_autocommit()
            && let Err(error) = db.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "rollback failed");
        }
        self.folder.clear();
    }

    /// Carries out one job inside the transaction.
    fn one(
        &mut self,
        db: &Connection,
        job: Job,
        checked: &mut HashSet<(RunId, u64)>,
    ) -> (Settler, Option<(RunId, u64)>, Result<(), StoreError>) {
        match job {
            Job::Append(prepared, settler) => {
                let owner = (prepared.append.root.clone(), prepared.append.epoch);
                let result = self.append(db, &prepared, &owner, checked);
                (settler, Some(owner), result)
            }
            Job::Task { name, owner, work, settler } => {
                let result = self.task(db, name, owner.as_ref(), work);
                (settler, owner, result)
            }
        }
    }

    fn append(
        &mut self,
        db: &Connection,
        prepared: &Prepared,
        owner: &(RunId, u64),
        checked: &mut HashSet<(RunId, u64)>,
    ) -> Result<(), StoreError> {
        if let Some(error) = self.ended.get(owner) {
            return Err(error.clone());
        }
        let admitted = if checked.contains(owner) {
            Ok(())
        } else {
            let root = self.folder.number(db, &owner.0);
            root.and_then(|root| lease::check(db, root, owner))
        };
        let admitted = admitted.and_then(|()| self.folder.check(db, &prepared.append.run, &prepared.append.records));
        let no = match admitted {
            Ok(no) => no,
            Err(error) => {
                self.ended.insert(owner.clone(), error.clone());
                return Err(error);
            }
        };
        checked.insert(owner.clone());
        prepared.apply(db, &mut self.folder, no).map_err(|error| match error {
            // Half of it may be in the transaction: nothing of the group can stay.
            error if error.is_fatal() => error,
            error => StoreError::Io(format!("events could not be written: {error}")),
        })
    }

    fn task(
        &mut self,
        db: &Connection,
        name: &'static str,
        owner: Option<&(RunId, u64)>,
        work: Work,
    ) -> Result<(), StoreError> {
        if let Some(error) = owner.and_then(|owner| self.ended.get(owner)) {
            return Err(error.clone());
        }
        tracing::trace!(name, "store task");
        self.folder.flush(db)?;
        db.prepare_cached("SAVEPOINT task")?.execute([])?;
        let result = work(&mut Tx { db, folder: &mut self.folder });
        match result {
            Ok(()) => {
                db.prepare_cached("RELEASE task")?.execute([])?;
                Ok(())
            }
            Err(error) => {
                if !error.is_fatal() && !db.is_autocommit() {
                    db.execute_batch("ROLLBACK TO task; RELEASE task")?;
                    self.folder.clear();
                    if let Some(owner) = owner {
                        self.ended.entry(owner.clone()).or_insert_with(|| error.clone());
                    }
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn events() -> Prepared {
        Prepared::new(Append::new(&RunId::new(Millis(0), [0; 5]), 1, Vec::new())).unwrap()
    }

    fn stays(queue: &Queue) -> Option<Duration> {
        queue.lock().stays(Duration::ZERO)
    }

    #[test]
    fn events_stay_back_for_more_until_their_time_is_up_or_somebody_waits_for_them() {
        let queue = Arc::new(Queue::default());
        // The time of what stays back is never up.
        let always = Some(Instant::now() + Duration::from_hours(24));
        let ticket = queue.append(events());
        assert_eq!(stays(&queue), Some(SPACING));
        assert_eq!(queue.lock().stays(SPACING / 2), Some(SPACING / 2));
        assert_eq!(queue.lock().stays(SPACING), None);
        assert_eq!(queue.take(None).map(|(jobs, _)| jobs.len()), Some(1), "the first is written at once");
        assert_eq!(ticket.result(), Some(Err(StoreError::Internal("the writer has stopped".to_owned()))));

        let ticket = queue.append(events());
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(pin!(ticket.committed()).as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(stays(&queue), None, "somebody waits");
        assert_eq!(queue.take(always).map(|(jobs, _)| jobs.len()), Some(1));
        let late = queue.append(events());
        assert!(ticket.wait().is_err(), "its writer is gone");
        assert_eq!(stays(&queue), Some(SPACING), "what was written hurries nothing");

        let waits = std::thread::spawn(move || late.wait());
        assert_eq!(queue.take(always).map(|(jobs, _)| jobs.len()), Some(1));
        assert!(waits.join().unwrap().is_err());

        let _task = queue.task("task", None, Box::new(|_| Ok(())));
        assert_eq!(stays(&queue), None, "whoever asks for work waits for it");
        queue.close();
        assert_eq!(queue.take(always).map(|(jobs, _)| jobs.len()), Some(1));
        let _last = queue.append(events());
        assert_eq!(stays(&queue), None, "nothing comes any more");
    }
}
