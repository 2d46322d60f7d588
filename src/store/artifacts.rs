//! The files of a run as recorded.

use rusqlite::params;
use rusqlite::types::Type;

use crate::core::ids::{CallId, Hash, RunId};
use crate::core::time::Millis;
use crate::store::error::StoreError;
use crate::store::journal;
use crate::store::store::Store;
use crate::store::ticket::Ticket;
use crate::store::words::hash;

/// A file that belongs to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRow {
    /// The run.
    pub run_id: RunId,
    /// Its path below the run directory, with `/`.
    pub path: String,
    /// What it is: `output`, `prompt`, `report`, ...
    pub kind: String,
    /// The call it belongs to.
    pub call_id: Option<CallId>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The hash of its content.
    pub sha256: Hash,
    /// Its media type.
    pub mime_type: String,
    /// When it was recorded.
    pub created_at: Millis,
}

impl Store {
    /// Records files, replacing what was recorded for the same paths.
    pub fn add_artifacts(&self, artifacts: Vec<ArtifactRow>) -> Ticket {
        self.queue_work("add artifacts", move |tx| {
            for row in artifacts {
                let no = tx.number(&row.run_id)?;
                let mut insert = tx.db.prepare_cached(
                    "INSERT OR REPLACE INTO artifact (run, path, kind, call_id, size_bytes, sha256, mime_type, created_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?;
                insert.execute(params![
                    no,
                    row.path,
                    row.kind,
                    row.call_id.map(|c| c.0),
                    row.size_bytes as i64,
                    row.sha256.as_bytes(),
                    row.mime_type,
                    row.created_at.0,
                ])?;
            }
            Ok(())
        })
    }

    /// The files of a run, by path; of one call, of one kind.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn artifacts(
        &self,
        run: &RunId,
        call: Option<CallId>,
        kind: Option<&str>,
    ) -> Result<Vec<ArtifactRow>, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let mut select = db.prepare_cached(
                "SELECT path, kind, call_id, size_bytes, sha256, mime_type, created_at FROM artifact \
                 WHERE run = ?1 AND (?2 IS NULL OR call_id = ?2) AND (?3 IS NULL OR kind = ?3) ORDER BY path",
            )?;
            let rows = select.query_map(params![no, call.map(|c| c.0), kind], |row| {
                let digest = hash(row.get_ref(4)?.as_blob()?)
                    .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, Type::Blob, Box::new(error)))?;
                Ok(ArtifactRow {
                    run_id: run.clone(),
                    path: row.get(0)?,
                    kind: row.get(1)?,
                    call_id: row.get::<_, Option<u32>>(2)?.map(CallId),
                    size_bytes: row.get::<_, i64>(3)? as u64,
                    sha256: digest,
                    mime_type: row.get(5)?,
                    created_at: Millis(row.get(6)?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
