//! Reading the journal.

use rusqlite::{Connection, params};

use crate::core::event::EventRecord;
use crate::core::ids::{CallId, RunId};
use crate::store::error::StoreError;
use crate::store::journal;
use crate::store::store::Store;
use crate::store::words::{packed, record};

impl Store {
    /// Up to `limit` events of a run after the event `after_seq` (0 = from the beginning), in order.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn events(&self, run: &RunId, after_seq: u64, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let mut select =
                db.prepare_cached("SELECT id, at, body FROM event WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3")?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = select.query(params![packed(no, after_seq), packed(no + 1, 0), limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
                found.push(record(row.get(0)?, row.get(1)?, body)?);
            }
            Ok(found)
        })
    }

    /// The number of the last event of a run.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn last_seq(&self, run: &RunId) -> Result<u64, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let mut select = db.prepare_cached("SELECT last_seq FROM run WHERE no = ?1")?;
            Ok(select.query_row([no], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// The events of one call, in order.
    ///
    /// # Errors
    /// `NotFound` for the run, or what the database says; an unknown call has none.
    pub fn call_events(&self, run: &RunId, call: CallId) -> Result<Vec<EventRecord>, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            call_events(db, no, call)
        })
    }
}

/// The events of one call, in order.
pub(super) fn call_events(db: &Connection, no: i64, call: CallId) -> Result<Vec<EventRecord>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT id, at, body FROM event WHERE (id >> 32 << 32) + call_id = ?1 AND call_id IS NOT NULL ORDER BY id",
    )?;
    let mut rows = select.query([packed(no, u64::from(call.0))])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        found.push(record(row.get(0)?, row.get(1)?, body)?);
    }
    Ok(found)
}
