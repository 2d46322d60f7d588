//! Idempotency keys: who is at work for one, what was given for it, and whether what a lost process did for it is known.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::core::event::Event;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::outcome::CallRef;
use crate::core::time::Millis;
use crate::store::cache::CacheHit;
use crate::store::error::StoreError;
use crate::store::lease;
use crate::store::once_waits::{Waiter, closes_a_circle, forget, note};
use crate::store::runs::{id_of, root_of};
use crate::store::store::Store;
use crate::store::words::{call_id, packed, run_id};

/// Somebody who wants to carry a request out for a key.
#[derive(Debug, Clone)]
pub struct OnceClaim {
    /// What the key is about.
    pub key: Hash,
    /// What is asked for it.
    pub params: Hash,
    /// The run that asks.
    pub run: RunId,
    /// Its call.
    pub call_id: CallId,
    /// Whether it may be carried out although a process that was at work for the key was lost, and nobody knows how far it came.
    pub may_repeat: bool,
}

/// What there is for an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub enum Once {
    /// It is claimed: nobody else carries anything out for it until the call has ended.
    Claimed,
    /// It was carried out before, and this is the answer.
    Done(Box<CacheHit>),
    /// Another call is at work for it.
    Busy {
        /// Which one.
        by: CallRef,
        /// Whether it is of the same run tree: one that is taken up again counts, too.
        ours: bool,
    },
    /// A call was at work for it when its process ended.
    Lost {
        /// Which one.
        from: CallRef,
        /// Whether its run is paused, and may go on.
        pauses: bool,
    },
    /// The call of which this one is a part is at work for it.
    Above(CallRef),
    /// A call of another run tree is at work for it, and waits in turn for one of which this call is a part.
    Circle(CallRef),
    /// It stands for another request.
    Other(CallRef),
}

/// A row of the table.
struct Row {
    params: Vec<u8>,
    root: i64,
    epoch: i64,
    run: i64,
    call_id: u32,
    answer: Option<(String, String)>,
    until: i64,
}

fn row(db: &Connection, key: &Hash) -> Result<Option<Row>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT once.params, once.root, once.epoch, once.run, once.call_id, coalesce(once.run_id, run_key.run_id), \
         coalesce(once.body, event.body), once.until FROM once LEFT JOIN event ON event.id = once.event \
         LEFT JOIN run_key ON run_key.no = once.event >> 32 WHERE once.key = ?1",
    )?;
    let found = select.query_row(params![key.as_bytes()], |row| {
        let (run, body): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
        Ok(Row {
            params: row.get(0)?,
            root: row.get(1)?,
            epoch: row.get(2)?,
            run: row.get(3)?,
            call_id: row.get(4)?,
            answer: run.zip(body),
            until: row.get(7)?,
        })
    });
    Ok(found.optional()?)
}

/// How far a call has come, as its journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Far {
    /// No attempt runs, and it may go on.
    Waits,
    /// An attempt was begun, and nothing says how it ended; or one ended in the middle, to be gone on with.
    Begun,
    /// It was broken off after it had begun, also when a person did not want it repeated: nobody knows what it has done.
    Unclear,
    /// It has an outcome.
    Over,
}

fn far(db: &Connection, run: i64, call: u32) -> Result<Far, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT json_extract(body, '$.type') AS type, json_type(body, '$.kept') IS NOT NULL, \
         (json_extract(body, '$.outcome.attempts') > 0 AND \
         json_extract(body, '$.outcome.error.class') IN ('cancelled', 'crashed', 'timeout')) OR \
         (json_extract(body, '$.outcome.status') = 'skipped' AND json_extract(body, '$.outcome.decision.decision') = 'deny') \
         FROM event WHERE (id >> 32 << 32) + call_id = ?1 AND type IN ('attempt_started', 'attempt_failed', 'call_finished') ORDER BY id DESC LIMIT 1",
    )?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<bool>>(2)?));
    let last: Option<(String, bool, Option<bool>)> =
        select.query_row([packed(run, u64::from(call))], read).optional()?;
    Ok(match last.as_ref().map(|(kind, kept, broken_off)| (kind.as_str(), *kept, *broken_off)) {
        Some(("call_finished", _, Some(true))) => Far::Unclear,
        Some(("call_finished", ..)) => Far::Over,
        Some(("attempt_started", ..) | (_, true, _)) => Far::Begun,
        Some(_) | None => Far::Waits,
    })
}

/// The run and the call of which a run is a part.
pub(super) fn above(db: &Connection, run: i64) -> Result<Option<(i64, u32)>, StoreError> {
    let mut select = db.prepare_cached("SELECT parent, parent_call FROM run WHERE no = ?1 AND parent IS NOT NULL")?;
    Ok(select.query_row([run], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Whether a call has ended.
pub(super) fn is_over(db: &Connection, (run, call): (i64, u32)) -> Result<bool, StoreError> {
    Ok(matches!(far(db, run, call)?, Far::Over | Far::Unclear))
}

/// Whether this owner of a run tree, its root and its epoch, still executes it.
pub(super) fn is_at_work(db: &Connection, home: &Path, (root, epoch): (i64, i64)) -> Result<bool, StoreError> {
    Ok(lease::epoch(db, root)? == epoch as u64 && id_of(db, root).is_ok_and(|root| lease::held(home, &root)))
}

/// Whether a call is one of those of which `run` is a part.
fn is_above(db: &Connection, (run, call): (i64, u32), mut below: i64) -> Result<bool, StoreError> {
    while let Some(next) = above(db, below)? {
        if next == (run, call) {
            return Ok(true);
        }
        below = next.0;
    }
    Ok(false)
}

/// Whether whoever owns the tree takes a run of it up again: none of the calls of which it is a part has ended without it.
fn goes_on(db: &Connection, root: i64, mut run: i64) -> Result<bool, StoreError> {
    while run != root {
        let Some((next, call)) = above(db, run)? else { return Ok(false) };
        if is_over(db, (next, call))? {
            return Ok(false);
        }
        run = next;
    }
    Ok(true)
}

fn is_paused(db: &Connection, run: i64) -> Result<bool, StoreError> {
    let mut select = db.prepare_cached("SELECT status = 'paused' FROM run WHERE no = ?1")?;
    Ok(select.query_row([run], |row| row.get(0)).optional()?.unwrap_or(false))
}

/// Somebody who asks, as the database knows them.
struct Asker {
    root: i64,
    run: i64,
}

/// What there is for a key; none when it is free.
fn look(db: &Connection, home: &Path, claim: &OnceClaim, by: &Asker, at: Millis) -> Result<Option<Once>, StoreError> {
    let Some(row) = row(db, &claim.key)? else { return Ok(None) };
    let is_same = row.params == claim.params.as_bytes();
    if let Some((by, body)) = &row.answer {
        let from = CallRef { run_id: run_id(by)?, call_id: call_id(u64::from(row.call_id)) };
        return if row.until > at.0 { answer(from, body, is_same).map(Some) } else { Ok(None) };
    }
    if (row.run, row.call_id) == (by.run, claim.call_id.0) {
        return Ok(None);
    }
    let from = CallRef { run_id: id_of(db, row.run)?, call_id: call_id(u64::from(row.call_id)) };
    let is_alive = is_at_work(db, home, (row.root, row.epoch))?;
    let far = far(db, row.run, row.call_id)?;
    let ours = row.root == by.root;
    Ok(match far {
        Far::Over => None,
        Far::Waits if !is_alive => None,
        _ if is_above(db, (row.run, row.call_id), by.run)? => Some(Once::Above(from)),
        Far::Begun | Far::Waits | Far::Unclear if !is_same => Some(Once::Other(from)),
        Far::Begun | Far::Waits if is_alive && !ours && closes_a_circle(db, home, (row.run, row.call_id), by.run)? => {
            Some(Once::Circle(from))
        }
        Far::Begun | Far::Waits if is_alive => Some(Once::Busy { by: from, ours }),
        // It was left by an earlier owner of this very tree, and is gone on with.
        Far::Begun if ours && goes_on(db, row.root, row.run)? => Some(Once::Busy { by: from, ours }),
        Far::Begun | Far::Waits | Far::Unclear if claim.may_repeat => None,
        Far::Begun | Far::Waits => Some(Once::Lost { from, pauses: is_paused(db, row.root)? }),
        Far::Unclear => Some(Once::Lost { from, pauses: false }),
    })
}

/// Keeps the answer of a call that was carried out for a key, if the key is still its.
pub(super) fn put(
    db: &Connection,
    no: i64,
    key: &Hash,
    call: CallId,
    seq: u64,
    until: Millis,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE once SET event = ?2, until = ?3 WHERE key = ?1 AND run = ?4 AND call_id = ?5 AND event IS NULL AND body IS NULL",
    )?
    .execute(params![key.as_bytes(), packed(no, seq), until.0, no, call.0])?;
    Ok(())
}

/// Moves the answers of run `no` into the table itself, before the run's events go; what it claimed and did not end is over.
pub(super) fn keep_answers(db: &Connection, no: i64, run: &RunId) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE once SET run_id = ?2, body = (SELECT event.body FROM event WHERE event.id = once.event), event = NULL \
         WHERE run = ?1 AND event IS NOT NULL",
    )?
    .execute(params![no, run.as_str()])?;
    db.prepare_cached("DELETE FROM once WHERE run = ?1 AND event IS NULL AND body IS NULL")?.execute([no])?;
    Ok(())
}

impl Store {
    /// Claims an idempotency key for a call about to start, or says what there is for it. On disk when it returns.
    ///
    /// # Errors
    /// `NotFound` for the run, or what the database says.
    pub fn claim_once(&self, claim: &OnceClaim, at: Millis) -> Result<Once, StoreError> {
        let (claim, home) = (claim.clone(), self.home().to_owned());
        self.write("claim idempotency key", move |tx| {
            let root = root_of(tx.db, &claim.run)?;
            let by = Asker { root: tx.number(&root)?, run: tx.number(&claim.run)? };
            let epoch = lease::epoch(tx.db, by.root)? as i64;
            let found = look(tx.db, &home, &claim, &by, at);
            let waiter = Waiter { call: (by.run, claim.call_id.0), owner: (by.root, epoch) };
            match &found {
                Ok(Some(Once::Busy { .. })) => note(tx.db, &claim.key, &waiter)?,
                _ => forget(tx.db, waiter.call)?,
            }
            match found {
                Ok(None) => {}
                Ok(Some(found)) => return Ok(Ok(found)),
                // A row that does not read is no reason to write nothing of what waits beside it.
                Err(error @ StoreError::Corrupt(_)) => return Ok(Err(error)),
                Err(error) => return Err(error),
            }
            // What no longer counts goes with the next that is claimed.
            tx.db
                .prepare_cached("DELETE FROM once WHERE until <= ?1 AND (event IS NOT NULL OR body IS NOT NULL)")?
                .execute([at.0])?;
            tx.db
                .prepare_cached(
                    "INSERT OR REPLACE INTO once (key, params, root, epoch, run, call_id, until) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    claim.key.as_bytes(),
                    claim.params.as_bytes(),
                    by.root,
                    epoch,
                    by.run,
                    claim.call_id.0,
                    at.0
                ])?;
            Ok(Ok(Once::Claimed))
        })?
    }

    /// Whether one of these who wait for another call of their tree need not wait any more. It counts all that was queued before.
    ///
    /// # Errors
    /// What the database says.
    pub fn any_free(&self, waiting: Vec<OnceClaim>, at: Millis) -> Result<bool, StoreError> {
        let home = self.home().to_owned();
        self.write("look at idempotency keys", move |tx| {
            for claim in &waiting {
                let root = root_of(tx.db, &claim.run)?;
                let by = Asker { root: tx.number(&root)?, run: tx.number(&claim.run)? };
                if !matches!(look(tx.db, &home, claim, &by, at)?, Some(Once::Busy { ours: true, .. })) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}

fn answer(from: CallRef, body: &str, is_same: bool) -> Result<Once, StoreError> {
    if !is_same {
        return Ok(Once::Other(from));
    }
    let Event::CallFinished { outcome, .. } = serde_json::from_str(body)? else {
        return Err(StoreError::Corrupt("an idempotency key points at no outcome".to_owned()));
    };
    Ok(Once::Done(Box::new(CacheHit { from, outcome: *outcome })))
}
