//! The format of the database: numbered forward-only migrations, and what a newer format means for this program.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::store::error::{NewerStore, StoreError};
use crate::store::seal::seal_all;

/// The migrations in order; the format number is how many have been applied. Never edited after a release.
const MIGRATIONS: [&str; 6] = [
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_observed.sql"),
    include_str!("migrations/0003_money.sql"),
    include_str!("migrations/0004_once.sql"),
    include_str!("migrations/0005_reasons.sql"),
    include_str!("migrations/0006_seal.sql"),
];

/// The format this program writes.
pub(super) const FORMAT: u32 = MIGRATIONS.len() as u32;

/// The lowest format that may still read what this program writes.
const LOWEST_READER: u32 = 6;

/// The first format in which journals are sealed.
const SEALED: u32 = 6;

/// `owfs` in the database's header.
const APPLICATION_ID: i32 = 0x6f77_6673;

/// What a database says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing yet.
    Empty,
    /// A format this program knows.
    Known(u32),
    /// A newer format that this program may read.
    Newer(NewerStore),
    /// A newer format that this program cannot read.
    TooNew(NewerStore),
    /// A database of something else.
    Foreign,
}

/// Reads the format.
pub(super) fn state(db: &Connection) -> Result<State, StoreError> {
    state_for(db, FORMAT)
}

/// What a program makes of the database that knows the formats up to `known`.
fn state_for(db: &Connection, known: u32) -> Result<State, StoreError> {
    // Tables first: another process may commit both between the two questions, and a table without the id is foreign.
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(State::Empty);
    }
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id != APPLICATION_ID {
        return Ok(State::Foreign);
    }
    let number = |key: &str| -> Result<u32, StoreError> {
        let text = text(db, key)?.ok_or_else(|| StoreError::Corrupt(format!("meta has no {key}")))?;
        text.parse().map_err(|_| StoreError::Corrupt(format!("meta {key} is {text}")))
    };
    let format = number("format")?;
    if format <= known {
        return Ok(State::Known(format));
    }
    let newer = NewerStore { format, known, written_by: text(db, "written_by")?.unwrap_or_default() };
    Ok(if number("lowest_reader")? <= known { State::Newer(newer) } else { State::TooNew(newer) })
}

/// The format of a store, and nothing else about it.
pub(super) fn format(db: &Connection) -> Result<u32, StoreError> {
    let mut select = db.prepare_cached("SELECT value FROM meta WHERE key = 'format'")?;
    let text: String = select.query_row([], |row| row.get(0))?;
    text.parse().map_err(|_| StoreError::Corrupt(format!("meta format is {text}")))
}

fn text(db: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?)
}

/// Brings a database up to [`FORMAT`], in one transaction; several processes may try at once.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = match state(&tx)? {
        State::Empty => 0,
        State::Known(format) => format,
        State::Newer(newer) | State::TooNew(newer) => return Err(StoreError::Newer(newer)),
        State::Foreign => return Err(StoreError::Corrupt("the database belongs to another program".to_owned())),
    };
    if from == FORMAT {
        return Ok(());
    }
    for sql in &MIGRATIONS[from as usize..] {
        tx.execute_batch(sql)?;
    }
    if from < SEALED {
        seal_all(&tx)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    let format = FORMAT.to_string();
    let lowest = LOWEST_READER.to_string();
    let values =
        [("format", format.as_str()), ("lowest_reader", lowest.as_str()), ("written_by", env!("CARGO_PKG_VERSION"))];
    for (key, value) in values {
        tx.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [key, value],
        )?;
    }
    tx.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::seal::broken;

    #[test]
    fn a_program_that_knows_only_an_older_format_does_not_even_read() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        for known in 1..FORMAT {
            // It would not understand what a reason of format 5 says, and would leave a seal behind its journal.
            let newer = NewerStore { format: FORMAT, known, written_by: env!("CARGO_PKG_VERSION").to_owned() };
            assert_eq!(state_for(&db, known).unwrap(), State::TooNew(newer));
        }
        assert_eq!(state_for(&db, FORMAT).unwrap(), State::Known(FORMAT));
        assert_eq!(state_for(&db, FORMAT + 1).unwrap(), State::Known(FORMAT));
    }

    #[test]
    fn the_journals_of_a_store_without_seals_are_sealed_as_they_are() {
        let mut db = Connection::open_in_memory().unwrap();
        for sql in &MIGRATIONS[..5] {
            db.execute_batch(sql).unwrap();
        }
        db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        db.execute_batch(
            "INSERT INTO meta (key, value) VALUES ('format', '5'), ('lowest_reader', '5'), ('written_by', '0.1.0');
             INSERT INTO run_key (no, run_id) VALUES (1, '20260528-143201-k7q2mvx4');
             INSERT INTO event (id, at, call_id, body) VALUES ((1 << 32) + 1, 5, NULL, '{}'), ((1 << 32) + 2, 6, 1, '{}');
             INSERT INTO run (no, root, workflow_name, status, cancel_requested, created_at, last_at, owned_ms, last_seq,
               settings_seq, calls, failed, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_sources,
               unpriced, simulated)
             VALUES (1, 1, 'w', 'paused', 0, 5, 6, 0, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);",
        )
        .unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(state(&db).unwrap(), State::Known(FORMAT));
        assert_eq!(broken(&db).unwrap(), []);
        assert_eq!(db.execute("UPDATE event SET at = 7 WHERE call_id = 1", []), Ok(1));
        assert_eq!(broken(&db).unwrap(), ["20260528-143201-k7q2mvx4".parse().unwrap()]);
    }

    #[test]
    fn migrating_twice_changes_nothing_and_every_index_serves_the_query_its_comment_names() {
        let mut db = Connection::open_in_memory().unwrap();
        assert_eq!(state(&db).unwrap(), State::Empty);
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(state(&db).unwrap(), State::Known(FORMAT));
        let queries = [
            (
                "event_call",
                "SELECT id FROM event WHERE (id >> 32 << 32) + call_id = 1 AND call_id IS NOT NULL ORDER BY id",
            ),
            ("inbox_waiting", "SELECT * FROM inbox WHERE root = 1 AND id > 0 AND consumed = 0 ORDER BY id"),
            ("run_root", "SELECT no FROM run WHERE root = 1"),
            ("run_parent", "SELECT no FROM run WHERE parent = 1 ORDER BY no"),
            ("run_resumed", "SELECT no FROM run WHERE resumed_from = 'x' ORDER BY no"),
            ("run_request_key", "SELECT no FROM run WHERE request_key = 'x' ORDER BY no DESC LIMIT 1"),
            ("run_workflow", "SELECT no FROM run WHERE workflow_name = 'x' AND root <> 1 ORDER BY no DESC LIMIT 20"),
            (
                "observed_model",
                "SELECT id FROM observed WHERE provider = 'x' AND model = 'y' ORDER BY id DESC LIMIT 31",
            ),
            ("approval_pending", "SELECT * FROM approval WHERE state = 'pending'"),
        ];
        for (index, sql) in queries {
            let plan: Vec<String> = db
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap()
                .query_map([], |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            let plan = plan.join("; ");
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{index}: {plan}");
        }
    }
}
