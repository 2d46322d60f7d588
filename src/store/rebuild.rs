//! Rebuilding projections from the journal, and checks of the whole store.

use rusqlite::{Connection, params};

use crate::store::error::StoreError;
use crate::store::home;
use crate::store::inbox;
use crate::store::journal::Folder;
use crate::store::projection::ApprovalState;
use crate::store::rows;
use crate::store::seal::{Seal, broken};
use crate::store::store::Store;
use crate::store::words::{record, run_of};

/// Drops and folds anew what follows from the journal and the inbox: `run`, `call`, `approval`, `run_source`. Artifact rows
/// are facts about files and stay.
fn rebuild(db: &Connection, folder: &mut Folder) -> Result<(), StoreError> {
    folder.clear();
    // A seal says what the journal was: made anew it would say nothing.
    let seals: Vec<(i64, Seal)> = db
        .prepare("SELECT no, seal FROM run")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    db.execute_batch("DELETE FROM run; DELETE FROM call; DELETE FROM approval; DELETE FROM run_source;")?;
    let mut select = db.prepare("SELECT id, at, body FROM event ORDER BY id")?;
    let mut events = select.query([])?;
    let mut last = 0;
    while let Some(row) = events.next()? {
        let id: i64 = row.get(0)?;
        if run_of(id) != last {
            folder.flush(db)?;
            last = run_of(id);
        }
        let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        folder.fold(db, run_of(id), &record(id, row.get(1)?, body)?)?;
    }
    folder.flush(db)?;
    for (no, seal) in seals {
        db.prepare_cached("UPDATE run SET seal = ?2 WHERE no = ?1")?.execute(params![no, seal])?;
    }
    folder.clear();
    // A decision stands from the moment it came in, whether or not its run has seen it.
    for (run, at, input) in inbox::decisions(db)? {
        if let Some(mut question) = rows::load_approval(db, run, input.approval_id)? {
            question.answer = Some(inbox::answered(&input, at));
            question.state = ApprovalState::of(input.decision, input.expired);
            rows::save_approval(db, run, &question)?;
        }
    }
    Ok(())
}

impl Store {
    /// Drops all projections and folds them anew from the journal, in one transaction.
    ///
    /// # Errors
    /// When an event does not read, or it cannot be written; then nothing has changed.
    pub fn rebuild(&self) -> Result<(), StoreError> {
        self.write("rebuild", |tx| {
            let (db, folder) = tx.folder();
            rebuild(db, folder)
        })
    }

    /// What is wrong with the store: the database's own check, holes in journals, rows that lag behind their journal.
    /// Empty when it is sound.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            let mut problems: Vec<String> =
                db.prepare("PRAGMA integrity_check")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            problems.retain(|line| line != "ok");
            let mut select = db.prepare(
                "SELECT run_key.run_id, count(event.id), max(event.id & 4294967295), run.last_seq FROM run_key \
                 LEFT JOIN event ON event.id > run_key.no << 32 AND event.id < (run_key.no + 1) << 32 \
                 LEFT JOIN run ON run.no = run_key.no GROUP BY run_key.no",
            )?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                let (events, last): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
                let projected: Option<i64> = row.get(3)?;
                if last != Some(events) {
                    problems.push(format!("run {id}: {events} events, the last numbered {}", last.unwrap_or(0)));
                }
                if projected != last {
                    problems.push(format!("run {id}: its row does not stand at its last event"));
                }
            }
            let altered = broken(db)?;
            problems.extend(
                altered.iter().map(|run| format!("run {run}: its journal was changed by something other than owf")),
            );
            Ok(problems)
        })
    }

    /// The size of the database on disk in bytes, its log included; run directories not.
    pub fn size_bytes(&self) -> u64 {
        let database = home::database(self.home());
        let size = |suffix: &str| {
            let mut path = database.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |m| m.len())
        };
        size("") + size("-wal")
    }
}
