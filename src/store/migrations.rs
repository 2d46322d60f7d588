//! The format of the database: numbered forward-only migrations, and what a newer format means for this program.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::store::error::{NewerStore, StoreError};

/// The migrations in order; the format number is how many have been applied. Never edited after a release.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_initial.sql")];

/// The format this program writes.
pub(super) const FORMAT: u32 = MIGRATIONS.len() as u32;

/// The lowest format that may still read what this program writes.
const LOWEST_READER: u32 = 1;

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
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(State::Empty);
    }
    if id != APPLICATION_ID {
        return Ok(State::Foreign);
    }
    let number = |key: &str| -> Result<u32, StoreError> {
        let text = text(db, key)?.ok_or_else(|| StoreError::Corrupt(format!("meta has no {key}")))?;
        text.parse().map_err(|_| StoreError::Corrupt(format!("meta {key} is {text}")))
    };
    let format = number("format")?;
    if format <= FORMAT {
        return Ok(State::Known(format));
    }
    let newer = NewerStore { format, known: FORMAT, written_by: text(db, "written_by")?.unwrap_or_default() };
    Ok(if number("lowest_reader")? <= FORMAT { State::Newer(newer) } else { State::TooNew(newer) })
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
