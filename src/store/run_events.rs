//! Reading the events of a run that belong to none of its calls: logs, phases, warnings, starts, decisions.

use rusqlite::params;

use crate::core::event::EventRecord;
use crate::core::ids::RunId;
use crate::store::error::StoreError;
use crate::store::journal;
use crate::store::store::Store;
use crate::store::words::{packed, record};

impl Store {
    /// The events of a run after the event `after_seq` that name no call, in order. Prompts and answers are not read for it.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn run_events(&self, run: &RunId, after_seq: u64) -> Result<Vec<EventRecord>, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let mut select = db.prepare_cached(
                "SELECT id, at, body FROM event WHERE id > ?1 AND id < ?2 AND call_id IS NULL ORDER BY id",
            )?;
            let mut rows = select.query(params![packed(no, after_seq), packed(no + 1, 0)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
                found.push(record(row.get(0)?, row.get(1)?, body)?);
            }
            Ok(found)
        })
    }
}
