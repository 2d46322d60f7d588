//! The seal of a run's journal: a hash over its events, kept beside them, by which a change from outside is seen before anything
//! is done because of it. It guards against edits and damage, not against somebody who writes the hash anew as well.

use std::collections::BTreeSet;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};
use sha2::{Digest as _, Sha256};

use crate::core::ids::{CallId, RunId};
use crate::store::error::StoreError;
use crate::store::journal;
use crate::store::store::Store;
use crate::store::words::{packed, part_of, run_id};

/// The hash of a journal up to some event; of an empty one by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seal([u8; 32]);

impl Seal {
    /// The seal one event later, given what is on disk of that event.
    pub(super) fn after(self, seq: u64, at: i64, call: Option<CallId>, body: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(seq.to_le_bytes());
        hash.update(at.to_le_bytes());
        hash.update(call.map_or(-1, |call| i64::from(call.0)).to_le_bytes());
        hash.update(body);
        Self(hash.finalize().into())
    }

    /// The seal of a journal as it lies there.
    fn of(db: &Connection, no: i64) -> Result<Self, StoreError> {
        let mut select =
            db.prepare_cached("SELECT id, at, call_id, body FROM event WHERE id > ?1 AND id < ?2 ORDER BY id")?;
        let mut rows = select.query(params![packed(no, 0), packed(no + 1, 0)])?;
        let mut seal = Self::default();
        while let Some(row) = rows.next()? {
            let call = row.get::<_, Option<u32>>(2)?.map(CallId);
            let body = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
            seal = seal.after(part_of(row.get(0)?), row.get(1)?, call, body);
        }
        Ok(seal)
    }
}

impl ToSql for Seal {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_slice().into())
    }
}

impl FromSql for Seal {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        // One that is no hash must not keep the run from being shown: it is that of no journal.
        Ok(value.as_blob()?.try_into().map_or_else(|_| Self::default(), Self))
    }
}

/// Seals the journals of all runs as they are: those of a store that had no seals yet.
pub(super) fn seal_all(db: &Connection) -> Result<(), StoreError> {
    for no in numbers(db)? {
        db.execute("UPDATE run SET seal = ?2 WHERE no = ?1", params![no, Seal::of(db, no)?])?;
    }
    Ok(())
}

/// The runs whose journals are not as they were sealed.
pub(super) fn broken(db: &Connection) -> Result<Vec<RunId>, StoreError> {
    let mut select = db.prepare("SELECT run_id FROM run_key WHERE no = ?1")?;
    let mut broken = Vec::new();
    for no in numbers(db)? {
        if !holds(db, no)? {
            broken.push(select.query_row([no], |row| Ok(id_of(row, 0)))??);
        }
    }
    Ok(broken)
}

fn numbers(db: &Connection) -> Result<Vec<i64>, StoreError> {
    let mut select = db.prepare("SELECT no FROM run ORDER BY no")?;
    Ok(select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Whether the journal of a run is as it was sealed.
fn holds(db: &Connection, no: i64) -> Result<bool, StoreError> {
    let mut select = db.prepare_cached("SELECT seal FROM run WHERE no = ?1")?;
    let seal: Seal = select.query_row([no], |row| row.get(0))?;
    Ok(seal == Seal::of(db, no)?)
}

fn id_of(row: &Row<'_>, column: usize) -> Result<RunId, StoreError> {
    run_id(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}

impl Store {
    /// Checks that nobody but owf has changed the journal of a run, of one below it, or of one that these resume.
    ///
    /// # Errors
    /// `Altered` when somebody has, `NotFound`, or what the database says.
    pub fn verify(&self, run: &RunId) -> Result<(), StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let mut open = vec![(no, run.clone())];
            // The rows that lead from run to run are not sealed: they may lead anywhere.
            let mut seen = BTreeSet::from([no]);
            let mut related = db.prepare_cached(
                "SELECT run.no, run_key.run_id FROM run JOIN run_key USING (no) WHERE run.parent = ?1 UNION ALL \
                 SELECT earlier.no, earlier.run_id FROM run JOIN run_key AS earlier ON earlier.run_id = run.resumed_from \
                 WHERE run.no = ?1",
            )?;
            while let Some((no, run)) = open.pop() {
                if !holds(db, no)? {
                    return Err(StoreError::Altered { run });
                }
                let mut rows = related.query([no])?;
                while let Some(row) = rows.next()? {
                    let next = row.get(0)?;
                    if seen.insert(next) {
                        open.push((next, id_of(row, 1)?));
                    }
                }
            }
            Ok(())
        })
    }
}
