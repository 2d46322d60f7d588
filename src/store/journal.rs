//! Appending to the journal: events are inserted and folded in memory, changed rows are written once per transaction.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::core::event::{Event, EventRecord};
use crate::core::ids::{ApprovalId, CallId, Hash, RunId};
use crate::core::time::Millis;
use crate::store::error::StoreError;
use crate::store::projection::{Answered, ApprovalFold, CallFold, CallState, Delta, RunFold};
use crate::store::rows;
use crate::store::words::packed;

#[derive(Debug)]
struct Slot<T> {
    row: T,
    dirty: bool,
}

/// The rows that the events of this transaction change, and those of open calls of earlier ones. Only the owner of a run
/// writes its `run` and `call` rows, so they may be kept between transactions as long as the epoch stays; approvals are
/// decided by others, so they are read afresh.
#[derive(Debug, Default)]
pub(super) struct Folder {
    numbers: HashMap<RunId, i64>,
    runs: HashMap<i64, Slot<RunFold>>,
    calls: HashMap<i64, Slot<CallFold>>,
    approvals: HashMap<(i64, ApprovalId), ApprovalFold>,
    sources: HashSet<(i64, Hash)>,
}

/// The number of a run.
pub(super) fn number(db: &Connection, run: &RunId) -> Result<Option<i64>, StoreError> {
    let mut select = db.prepare_cached("SELECT no FROM run_key WHERE run_id = ?1")?;
    Ok(select.query_row([run.as_str()], |row| row.get(0)).optional()?)
}

impl Folder {
    /// Forgets everything: after a rollback, and when a run changes hands.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many things are kept for the next transaction.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.numbers.len() + self.runs.len() + self.calls.len() + self.approvals.len() + self.sources.len()
    }

    /// The number of a run that must be there.
    pub(super) fn number(&mut self, db: &Connection, run: &RunId) -> Result<i64, StoreError> {
        if let Some(no) = self.numbers.get(run) {
            return Ok(*no);
        }
        let no = number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
        self.numbers.insert(run.clone(), no);
        Ok(no)
    }

    /// The row of a run.
    pub(super) fn run(&mut self, db: &Connection, no: i64) -> Result<&mut RunFold, StoreError> {
        let slot = match self.runs.entry(no) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let row = rows::load_run(db, no)?
                    .ok_or_else(|| StoreError::Corrupt(format!("run number {no} has no row")))?;
                entry.insert(Slot { row, dirty: false })
            }
        };
        Ok(&mut slot.row)
    }

    /// Checks that `records` continue the journal of `run`, before anything is written.
    pub(super) fn check(&mut self, db: &Connection, run: &RunId, records: &[EventRecord]) -> Result<i64, StoreError> {
        let no = self.number(db, run)?;
        let row = self.run(db, no)?;
        let mut last = row.last_seq;
        if let Some(first) = records.first()
            && row.finished_seq.is_some()
        {
            return Err(StoreError::Sequence { run: run.clone(), last, got: first.seq });
        }
        for record in records {
            if record.seq != last + 1 {
                return Err(StoreError::Sequence { run: run.clone(), last, got: record.seq });
            }
            last = record.seq;
        }
        Ok(no)
    }

    /// Inserts one event, whose body is given as text, and folds it.
    pub(super) fn write(
        &mut self,
        db: &Connection,
        no: i64,
        record: &EventRecord,
        body: &str,
    ) -> Result<(), StoreError> {
        let call = record.event.call_id();
        let mut insert = db.prepare_cached("INSERT INTO event (id, at, call_id, body) VALUES (?1, ?2, ?3, ?4)")?;
        insert.execute(params![packed(no, record.seq), record.at.0, call.map(|c| c.0), body])?;
        self.fold(db, no, record)?;
        let row = self.run(db, no)?;
        row.seal = row.seal.after(record.seq, record.at.0, call, body);
        Ok(())
    }

    /// Folds one event into the rows; the seal stays where it is.
    pub(super) fn fold(&mut self, db: &Connection, no: i64, record: &EventRecord) -> Result<(), StoreError> {
        let EventRecord { seq, at, event } = record;
        if let Event::RunCreated { spec } = event {
            let root = match &spec.root {
                Some(root) => self.number(db, root)?,
                None => no,
            };
            let parent = match &spec.parent {
                Some(parent) => Some((self.number(db, &parent.run_id)?, parent.call_id)),
                None => None,
            };
            let row = RunFold::created(no, root, parent, *at, spec);
            self.runs.insert(no, Slot { row, dirty: true });
            self.sources.insert((no, spec.source_hash));
            self.sources.extend(spec.settings.fixtures.as_ref().map(|pin| (no, pin.hash)));
            return Ok(());
        }
        let delta = self.fold_call(db, no, record)?;
        self.fold_approval(db, no, record)?;
        match event {
            Event::Pinned { hash, .. } => {
                self.sources.insert((no, *hash));
            }
            Event::SettingsChanged { settings } => {
                self.sources.extend(settings.fixtures.as_ref().map(|pin| (no, pin.hash)));
            }
            _ => {}
        }
        let row = self.run(db, no)?;
        row.apply(*seq, *at, event);
        if let Some(delta) = delta {
            row.count(&delta);
        }
        if let Some(slot) = self.runs.get_mut(&no) {
            slot.dirty = true;
        }
        Ok(())
    }

    fn call(&mut self, db: &Connection, no: i64, call: CallId) -> Result<&mut CallFold, StoreError> {
        let key = packed(no, u64::from(call.0));
        let slot = match self.calls.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let row = rows::load_call(db, key)?
                    .ok_or_else(|| StoreError::Internal(format!("an event names call {call}, which has no request")))?;
                entry.insert(Slot { row, dirty: false })
            }
        };
        slot.dirty = true;
        Ok(&mut slot.row)
    }

    fn fold_call(&mut self, db: &Connection, no: i64, record: &EventRecord) -> Result<Option<Delta>, StoreError> {
        let EventRecord { seq, at, event } = record;
        if let (Event::CallRequested { call_id, .. }, Some(row)) = (event, CallFold::requested(*seq, *at, event)) {
            self.calls.insert(packed(no, u64::from(call_id.0)), Slot { row, dirty: true });
            return Ok(Some(Delta { requested: true, ..Delta::default() }));
        }
        if let Event::ApprovalDecided { approval_id, .. } = event {
            let call = self.approval(db, no, *approval_id)?.note.call_id;
            return Ok(Some(self.call(db, no, call)?.apply(*seq, *at, event)));
        }
        match event.call_id() {
            Some(call) => Ok(Some(self.call(db, no, call)?.apply(*seq, *at, event))),
            None => Ok(None),
        }
    }

    fn approval(&mut self, db: &Connection, no: i64, id: ApprovalId) -> Result<&mut ApprovalFold, StoreError> {
        match self.approvals.entry((no, id)) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let row = rows::load_approval(db, no, id)?.ok_or_else(|| {
                    StoreError::Internal(format!("an event names approval {id}, which was not asked"))
                })?;
                Ok(entry.insert(row))
            }
        }
    }

    fn fold_approval(&mut self, db: &Connection, no: i64, record: &EventRecord) -> Result<(), StoreError> {
        match &record.event {
            Event::ApprovalAsked { approval } => {
                let row = ApprovalFold::asked(record.at, approval);
                self.approvals.insert((no, approval.approval_id), row);
            }
            Event::ApprovalDecided { approval_id, decision, expired, by, via, reason } => {
                let answer = Answered {
                    decision: *decision,
                    at: record.at,
                    by: by.clone(),
                    via: via.clone(),
                    reason: reason.clone(),
                };
                self.approval(db, no, *approval_id)?.answer(*expired, answer);
            }
            Event::CallFinished { call_id, .. } if self.call(db, no, *call_id)?.asked => {
                self.withdraw(db, no, Some(*call_id))?;
            }
            Event::RunFinished { .. } => self.withdraw(db, no, None)?,
            _ => {}
        }
        Ok(())
    }

    /// Withdraws the open questions of a call or of a whole run.
    fn withdraw(&mut self, db: &Connection, no: i64, call: Option<CallId>) -> Result<(), StoreError> {
        for row in rows::open_approvals(db, no, call)? {
            self.approvals.entry((no, row.note.approval_id)).or_insert(row);
        }
        for ((run, _), row) in &mut self.approvals {
            if *run == no && call.is_none_or(|call| row.note.call_id == call) {
                row.withdraw();
            }
        }
        Ok(())
    }

    /// Writes what has changed. Rows of open calls and of runs that go on are kept for the next transaction.
    pub(super) fn flush(&mut self, db: &Connection) -> Result<(), StoreError> {
        let mut keys: Vec<i64> = self.calls.iter().filter(|(_, slot)| slot.dirty).map(|(key, _)| *key).collect();
        // In key order, so that new rows are appended to the table.
        keys.sort_unstable();
        for key in keys {
            if let Some(slot) = self.calls.get_mut(&key) {
                rows::save_call(db, key, &slot.row)?;
                slot.dirty = false;
            }
        }
        self.calls.retain(|_, slot| !matches!(slot.row.state, CallState::Ended(_)));
        for slot in self.runs.values_mut().filter(|slot| slot.dirty) {
            rows::save_run(db, &slot.row)?;
            slot.dirty = false;
        }
        self.runs.retain(|_, slot| slot.row.finished_seq.is_none());
        for ((no, _), row) in self.approvals.drain() {
            rows::save_approval(db, no, &row)?;
        }
        for (no, hash) in self.sources.drain() {
            let mut insert = db.prepare_cached("INSERT OR IGNORE INTO run_source (hash, run) VALUES (?1, ?2)")?;
            insert.execute(params![hash.as_bytes(), no])?;
        }
        Ok(())
    }

    /// Makes a run with its first event.
    pub(super) fn create(&mut self, db: &Connection, run: &RunId, at: Millis, event: Event) -> Result<i64, StoreError> {
        if number(db, run)?.is_some() {
            return Err(StoreError::RunExists(run.clone()));
        }
        db.prepare_cached("INSERT INTO run_key (run_id) VALUES (?1)")?.execute([run.as_str()])?;
        let no = db.last_insert_rowid();
        self.numbers.insert(run.clone(), no);
        let body = serde_json::to_string(&event)?;
        let record = EventRecord { seq: 1, at, event };
        self.write(db, no, &record, &body)?;
        self.flush(db)?;
        Ok(no)
    }
}
