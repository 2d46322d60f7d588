//! The nearest earlier call, against which a cache miss is explained.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use rusqlite::{Connection, params};

use crate::core::call::Site;
use crate::core::event::{CacheRecord, Event};
use crate::core::ids::RunId;
use crate::core::outcome::CallRef;
use crate::store::error::StoreError;
use crate::store::projection::CallState;
use crate::store::runs::{id_of, root_of};
use crate::store::store::Store;
use crate::store::words::{call_id, packed, part_of, run_of, word};

/// How many earlier runs, and calls in all, are looked at.
const RUNS: i64 = 20;
const CALLS: usize = 20_000;

/// An earlier call that had a cache key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// Which call.
    pub from: CallRef,
    /// Its cache key and the hashes of its components.
    pub record: CacheRecord,
    /// How it ended, or that it has not.
    pub state: CallState,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    call: i64,
    cached_seq: u64,
    state: CallState,
}

/// The calls of earlier runs of one workflow, by place and by label, latest run first.
#[derive(Debug, Default)]
pub(super) struct Index {
    both: HashMap<(Site, String), Entry>,
    site: HashMap<Site, Entry>,
    label: HashMap<String, Entry>,
}

/// One index per asking run tree and workflow: what ran before does not change while it runs.
pub(super) type Memo = HashMap<(RunId, String), Arc<Index>>;

impl Index {
    fn load(db: &Connection, root: i64, workflow: &str) -> Result<Self, StoreError> {
        let mut index = Self::default();
        let mut runs =
            db.prepare_cached("SELECT no FROM run WHERE workflow_name = ?1 AND root <> ?2 ORDER BY no DESC LIMIT ?3")?;
        let mut calls = db.prepare_cached(
            "SELECT id, status, label, line, col, cached_seq FROM call \
             WHERE id > ?1 AND id < ?2 AND cached_seq IS NOT NULL ORDER BY id",
        )?;
        let mut seen = 0;
        let numbers: Vec<i64> =
            runs.query_map(params![workflow, root, RUNS], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for no in numbers {
            let mut rows = calls.query([packed(no, 0), packed(no + 1, 0)])?;
            while let Some(row) = rows.next()? {
                let status = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
                let state = match status {
                    "queued" => CallState::Queued,
                    "running" => CallState::Running,
                    ended => CallState::Ended(word(ended)?),
                };
                let entry = Entry { call: row.get(0)?, cached_seq: row.get::<_, i64>(5)? as u64, state };
                let label: String = row.get(2)?;
                if let Some((line, column)) = row.get::<_, Option<u32>>(3)?.zip(row.get(4)?) {
                    let site = Site { line, column };
                    index.site.entry(site).or_insert(entry);
                    index.both.entry((site, label.clone())).or_insert(entry);
                }
                index.label.entry(label).or_insert(entry);
                seen += 1;
            }
            if seen >= CALLS {
                break;
            }
        }
        Ok(index)
    }

    fn find(&self, site: Option<Site>, label: &str) -> Option<Entry> {
        let label = label.to_owned();
        let both = site.and_then(|site| self.both.get(&(site, label.clone())));
        both.or_else(|| site.and_then(|site| self.site.get(&site))).or_else(|| self.label.get(&label)).copied()
    }
}

impl Store {
    /// The nearest earlier call for `explain`: of the latest runs of the workflow outside the asking run's tree, the call
    /// made at the same place (with the same label, if there is one), else the one with the same label.
    ///
    /// # Errors
    /// `NotFound` for the asking run, or what the database says.
    pub fn cache_nearest(
        &self,
        asking: &RunId,
        workflow_name: &str,
        site: Option<Site>,
        label: &str,
    ) -> Result<Option<Nearest>, StoreError> {
        let memo_key = (asking.clone(), workflow_name.to_owned());
        let known = self.0.nearest.lock().unwrap_or_else(PoisonError::into_inner).get(&memo_key).cloned();
        let index = if let Some(index) = known {
            index
        } else {
            let index = self.read(|db| {
                let root = root_of(db, asking)?;
                let root = crate::store::journal::number(db, &root)?.ok_or_else(|| StoreError::no_run(asking))?;
                Index::load(db, root, workflow_name)
            })?;
            let index = Arc::new(index);
            let mut memo = self.0.nearest.lock().unwrap_or_else(PoisonError::into_inner);
            memo.insert(memo_key, Arc::clone(&index));
            index
        };
        let Some(entry) = index.find(site, label) else { return Ok(None) };
        self.read(|db| {
            let no = run_of(entry.call);
            let mut select = db.prepare_cached("SELECT body FROM event WHERE id = ?1")?;
            let mut rows = select.query([packed(no, entry.cached_seq)])?;
            // The run may have been pruned since.
            let Some(row) = rows.next()? else { return Ok(None) };
            let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            let Event::AttemptStarted { cache: Some(record), .. } = serde_json::from_str(body)? else {
                return Ok(None);
            };
            let from = CallRef { run_id: id_of(db, no)?, call_id: call_id(part_of(entry.call)) };
            Ok(Some(Nearest { from, record, state: entry.state }))
        })
    }
}
