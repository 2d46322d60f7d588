//! Idempotency keys: who is at work for one, what was given for it, and whether what a lost process did for it is known.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::core::event::Event;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::outcome::CallRef;
use crate::core::time::Millis;
use crate::store::cache::CacheHit;
use crate::store::error::StoreError;
use crate::store::lease;
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
    /// Another call is at work for it now.
    Busy,
    /// A call was at work for it when its process ended.
    Lost(CallRef),
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
    /// It was broken off after it had begun: nobody knows what it has done.
    Unclear,
    /// It has an outcome.
    Over,
}

fn far(db: &Connection, run: i64, call: u32) -> Result<Far, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT json_extract(body, '$.type') AS type, json_type(body, '$.kept') IS NOT NULL, \
         json_extract(body, '$.outcome.attempts') > 0 AND \
         json_extract(body, '$.outcome.error.class') IN ('cancelled', 'crashed', 'timeout') FROM event WHERE (id >> 32 << 32) + call_id = ?1 \
         AND type IN ('attempt_started', 'attempt_failed', 'call_finished') ORDER BY id DESC LIMIT 1",
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
            let (root, run) = (tx.number(&root)?, tx.number(&claim.run)?);
            if let Some(row) = row(tx.db, &claim.key)? {
                let is_same = row.params == claim.params.as_bytes();
                if let Some((by, body)) = &row.answer {
                    if row.until > at.0 {
                        let from = CallRef { run_id: run_id(by)?, call_id: call_id(u64::from(row.call_id)) };
                        return answer(from, body, is_same);
                    }
                } else if (row.run, row.call_id) != (run, claim.call_id.0) {
                    let from = || {
                        Ok::<_, StoreError>(CallRef {
                            run_id: id_of(tx.db, row.run)?,
                            call_id: call_id(u64::from(row.call_id)),
                        })
                    };
                    let is_alive = lease::epoch(tx.db, row.root)? == row.epoch as u64
                        && id_of(tx.db, row.root).is_ok_and(|id| lease::held(&home, &id));
                    match (far(tx.db, row.run, row.call_id)?, is_alive) {
                        (Far::Over, _) | (Far::Waits, false) => {}
                        (Far::Begun | Far::Waits | Far::Unclear, _) if !is_same => return Ok(Once::Other(from()?)),
                        (Far::Begun | Far::Waits, true) => return Ok(Once::Busy),
                        (Far::Begun | Far::Unclear, _) if claim.may_repeat => {}
                        (Far::Begun | Far::Unclear, _) => return Ok(Once::Lost(from()?)),
                    }
                }
            }
            // What no longer counts goes with the next that is claimed.
            tx.db
                .prepare_cached("DELETE FROM once WHERE until <= ?1 AND (event IS NOT NULL OR body IS NOT NULL)")?
                .execute([at.0])?;
            let epoch = lease::epoch(tx.db, root)?;
            tx.db
                .prepare_cached(
                    "INSERT OR REPLACE INTO once (key, params, root, epoch, run, call_id, until) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    claim.key.as_bytes(),
                    claim.params.as_bytes(),
                    root,
                    epoch as i64,
                    run,
                    claim.call_id.0,
                    at.0
                ])?;
            Ok(Once::Claimed)
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
