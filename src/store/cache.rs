//! The cache across runs: answers by cache key and occurrence, and who is asking right now.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::core::event::Event;
use crate::core::ids::{Hash, RunId};
use crate::core::outcome::{CallRef, Outcome};
use crate::core::time::Millis;
use crate::store::error::StoreError;
use crate::store::lease;
use crate::store::runs::{id_of, root_of};
use crate::store::store::Store;
use crate::store::words::{packed, run_id};

/// An answer that the cache has.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheHit {
    /// The call that was executed for it.
    pub from: CallRef,
    /// Its outcome, as recorded.
    pub outcome: Outcome,
}

/// The right to ask what nobody else is asking: dropping it lets others.
#[derive(Debug)]
pub struct KeyClaim {
    store: Store,
    key: Hash,
    occurrence: u32,
    root: i64,
    epoch: u64,
}

impl Drop for KeyClaim {
    fn drop(&mut self) {
        let (key, occurrence, root, epoch) = (self.key, self.occurrence, self.root, self.epoch);
        // Nobody waits for it: a claim that stays behind is taken over when its owner is gone.
        let _ = self.store.queue_work("release key", move |tx| {
            tx.db
                .prepare_cached(
                    "DELETE FROM cache_claim WHERE key = ?1 AND occurrence = ?2 AND root = ?3 AND epoch = ?4",
                )?
                .execute(params![key.as_bytes(), occurrence, root, epoch as i64])?;
            Ok(())
        });
    }
}

/// Points a cache key at an answer of run `no`; the latest answer stands.
pub(super) fn put(db: &Connection, no: i64, key: &Hash, occurrence: u32, seq: u64) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO cache (key, occurrence, event) VALUES (?1, ?2, ?3)")?
        .execute(params![key.as_bytes(), occurrence, packed(no, seq)])?;
    Ok(())
}

/// Moves the answers that the cache has from run `no` into the cache itself, before the run's events go.
pub(super) fn keep_answers(db: &Connection, no: i64, run: &RunId) -> Result<(), StoreError> {
    let mut events = db.prepare_cached(
        "SELECT id, body FROM event WHERE id > ?1 AND id < ?2 AND json_extract(body, '$.type') = 'attempt_started'",
    )?;
    let mut rows = events.query([packed(no, 0), packed(no + 1, 0)])?;
    while let Some(row) = rows.next()? {
        let body = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let Event::AttemptStarted { cache: Some(record), .. } = serde_json::from_str(body)? else { continue };
        db.prepare_cached(
            "UPDATE cache SET run_id = ?3, event = NULL, body = (SELECT event.body FROM event WHERE event.id = cache.event) \
             WHERE key = ?1 AND occurrence = ?2 AND event >> 32 = ?4",
        )?
        .execute(params![record.key.as_bytes(), record.occurrence, run.as_str(), no])?;
    }
    Ok(())
}

impl Store {
    /// The answer to a cache key and occurrence, if there is one.
    ///
    /// # Errors
    /// What the database says.
    pub fn cache_get(&self, key: &Hash, occurrence: u32) -> Result<Option<CacheHit>, StoreError> {
        self.read_one(|db| {
            let mut select = db.prepare_cached(
                "SELECT coalesce(cache.run_id, run_key.run_id), coalesce(cache.body, event.body) FROM cache \
                 LEFT JOIN event ON event.id = cache.event LEFT JOIN run_key ON run_key.no = cache.event >> 32 \
                 WHERE cache.key = ?1 AND cache.occurrence = ?2",
            )?;
            let found = select
                .query_row(params![key.as_bytes(), occurrence], |row| {
                    Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?))
                })
                .optional()?;
            let Some((Some(run), Some(body))) = found else { return Ok(None) };
            let Event::CallFinished { call_id, outcome, .. } = serde_json::from_str(&body)? else {
                return Err(StoreError::Corrupt("a cache row points at no outcome".to_owned()));
            };
            Ok(Some(CacheHit { from: CallRef { run_id: run_id(&run)?, call_id }, outcome: *outcome }))
        })
    }

    /// Claims a key for an attempt about to start. None when a live process is asking the same; the claim of a dead one is
    /// taken over.
    ///
    /// # Errors
    /// `NotFound` for the run, or what the database says.
    pub fn claim_key(
        &self,
        key: &Hash,
        occurrence: u32,
        holder: &RunId,
        at: Millis,
    ) -> Result<Option<KeyClaim>, StoreError> {
        let (key, holder, home) = (*key, holder.clone(), self.home().to_owned());
        let claimed = self.write("claim key", move |tx| {
            let root = root_of(tx.db, &holder)?;
            let root = tx.number(&root)?;
            let epoch = lease::epoch(tx.db, root)?;
            let other: Option<(i64, i64)> = tx
                .db
                .prepare_cached("SELECT root, epoch FROM cache_claim WHERE key = ?1 AND occurrence = ?2")?
                .query_row(params![key.as_bytes(), occurrence], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            if let Some((other, theirs)) = other
                && lease::epoch(tx.db, other)? == theirs as u64
                && id_of(tx.db, other).is_ok_and(|id| lease::held(&home, &id))
            {
                return Ok(None);
            }
            tx.db
                .prepare_cached(
                    "INSERT OR REPLACE INTO cache_claim (key, occurrence, root, epoch, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![key.as_bytes(), occurrence, root, epoch as i64, at.0])?;
            Ok(Some((root, epoch)))
        })?;
        Ok(claimed.map(|(root, epoch)| KeyClaim { store: self.clone(), key, occurrence, root, epoch }))
    }

    /// Forgets all answers; journals keep theirs. Returns how many there were.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn clear_cache(&self) -> Result<u64, StoreError> {
        self.write("clear cache", |tx| Ok(tx.db.execute("DELETE FROM cache", [])? as u64))
    }
}
