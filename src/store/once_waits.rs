//! Who waits for an idempotency key that another call is at work for, and whether calls wait for one another in a circle: each for
//! a key of a call of which another one is a part.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use rusqlite::{Connection, params};

use crate::core::ids::Hash;
use crate::store::error::StoreError;
use crate::store::once::{above, is_at_work, is_over};

/// A call as the database knows it: its run and its number.
type Call = (i64, u32);

/// Somebody who waits.
pub(super) struct Waiter {
    pub(super) call: Call,
    /// Its owner: the root of its tree, and which one of that tree's.
    pub(super) owner: (i64, i64),
}

/// Notes that a call waits for a key.
pub(super) fn note(db: &Connection, key: &Hash, waiter: &Waiter) -> Result<(), StoreError> {
    let (run, call) = waiter.call;
    let (root, epoch) = waiter.owner;
    let mut known = db.prepare_cached(
        "SELECT 1 FROM once_wait WHERE run = ?1 AND call_id = ?2 AND key = ?3 AND root = ?4 AND epoch = ?5",
    )?;
    // Whoever waits asks again and again.
    if !known.exists(params![run, call, key.as_bytes(), root, epoch])? {
        db.prepare_cached(
            "INSERT OR REPLACE INTO once_wait (run, call_id, key, root, epoch) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![run, call, key.as_bytes(), root, epoch])?;
    }
    Ok(())
}

/// Notes that a call waits no longer.
pub(super) fn forget(db: &Connection, (run, call): Call) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM once_wait WHERE run = ?1 AND call_id = ?2")?.execute(params![run, call])?;
    Ok(())
}

/// Whether a call of `run` that waited for `holder` would close a circle: somebody below `holder` waits, himself or by way of
/// others, for a key of a call of which `run` is a part.
pub(super) fn closes_a_circle(db: &Connection, home: &Path, holder: Call, run: i64) -> Result<bool, StoreError> {
    let mut seen = BTreeSet::new();
    let mut open: VecDeque<Vec<u8>> = held_above(db, run)?.1.into();
    while let Some(key) = open.pop_front() {
        if !seen.insert(key.clone()) {
            continue;
        }
        for call in waiting(db, home, &key)? {
            let (calls, keys) = held_above(db, call.0)?;
            if calls.contains(&holder) {
                return Ok(true);
            }
            open.extend(keys);
        }
    }
    Ok(false)
}

/// The calls of which a run is a part, and the keys that they are at work for.
fn held_above(db: &Connection, mut run: i64) -> Result<(Vec<Call>, Vec<Vec<u8>>), StoreError> {
    let mut select =
        db.prepare_cached("SELECT key FROM once WHERE run = ?1 AND call_id = ?2 AND event IS NULL AND body IS NULL")?;
    let (mut calls, mut keys) = (Vec::new(), Vec::new());
    while let Some(call) = above(db, run)? {
        for key in select.query_map(params![call.0, call.1], |row| row.get(0))? {
            keys.push(key?);
        }
        calls.push(call);
        run = call.0;
    }
    Ok((calls, keys))
}

/// The calls that wait for a key now.
fn waiting(db: &Connection, home: &Path, key: &[u8]) -> Result<Vec<Call>, StoreError> {
    let mut select = db.prepare_cached("SELECT run, call_id, root, epoch FROM once_wait WHERE key = ?1")?;
    let rows = select
        .query_map([key], |row| Ok(Waiter { call: (row.get(0)?, row.get(1)?), owner: (row.get(2)?, row.get(3)?) }))?;
    let (mut found, mut over) = (Vec::new(), Vec::new());
    for row in rows {
        let Waiter { call, owner } = row?;
        if is_over(db, call)? {
            over.push(call);
        } else if is_at_work(db, home, owner)? {
            found.push(call);
        }
    }
    // They will not come back to say that they wait no longer.
    over.into_iter().try_for_each(|call| forget(db, call))?;
    Ok(found)
}
