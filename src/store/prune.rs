//! Clearing old runs, never one that runs or that another one needs.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use crate::core::ids::RunId;
use crate::core::run::RunStatus;
use crate::core::time::Millis;
use crate::store::cache;
use crate::store::error::StoreError;
use crate::store::lease;
use crate::store::once;
use crate::store::store::Store;
use crate::store::words::{packed, run_id, word};

/// Which runs to clear. Both rules hold when both are given; with neither, every ended run goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrunePlan {
    /// Keep this many of the latest runs (child runs go with their roots).
    pub keep: Option<usize>,
    /// Clear only runs that ended before this time.
    pub older_than: Option<Millis>,
    /// Roots that stay whatever the rules say.
    pub spare: Vec<RunId>,
    /// Only say what would be cleared.
    pub dry_run: bool,
}

/// What was cleared, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Root runs, oldest first; their children went with them.
    pub runs: Vec<RunId>,
    /// Runs that the rules name and that stay because a later run reuses their calls.
    pub needed: Vec<RunId>,
    /// Runs in all, children included.
    pub total: u64,
    /// Bytes their directories took.
    pub bytes: u64,
}

struct Known {
    root: i64,
    id: RunId,
    status: RunStatus,
    completed_at: Option<i64>,
    resumed_from: Option<RunId>,
}

fn known(db: &Connection) -> Result<BTreeMap<i64, Known>, StoreError> {
    let mut select = db.prepare(
        "SELECT run.no, run.root, run_key.run_id, run.status, run.completed_at, run.resumed_from FROM run \
         JOIN run_key ON run_key.no = run.no",
    )?;
    let mut rows = select.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let text = |i: usize| row.get_ref(i).and_then(|v| Ok(v.as_str_or_null()?));
        let run = Known {
            root: row.get(1)?,
            id: run_id(text(2)?.unwrap_or_default())?,
            status: word(text(3)?.unwrap_or_default())?,
            completed_at: row.get(4)?,
            resumed_from: text(5)?.map(run_id).transpose()?,
        };
        found.insert(row.get(0)?, run);
    }
    Ok(found)
}

/// The roots to clear, and those the rules name but a run that stays needs.
fn choose(runs: &BTreeMap<i64, Known>, plan: &PrunePlan) -> (Vec<i64>, Vec<i64>) {
    let roots: Vec<i64> = runs.iter().filter(|(no, run)| **no == run.root).map(|(no, _)| *no).rev().collect();
    let mut chosen: BTreeSet<i64> = roots
        .iter()
        .skip(plan.keep.unwrap_or(0))
        .copied()
        .filter(|no| {
            let run = &runs[no];
            let old = plan.older_than.is_none_or(|limit| run.completed_at.is_some_and(|at| at < limit.0));
            run.status.is_ended() && old && !plan.spare.contains(&run.id)
        })
        .collect();
    let named = chosen.clone();
    let numbers: BTreeMap<&RunId, i64> = runs.iter().map(|(no, run)| (&run.id, *no)).collect();
    // What stays keeps what it resumes, and so on along the chain.
    loop {
        let needed: Vec<i64> = runs
            .values()
            .filter(|run| !chosen.contains(&run.root))
            .filter_map(|run| run.resumed_from.as_ref())
            .filter_map(|id| numbers.get(id))
            .map(|no| runs[no].root)
            .filter(|root| chosen.contains(root))
            .collect();
        if needed.is_empty() {
            break;
        }
        for root in needed {
            chosen.remove(&root);
        }
    }
    let kept = named.difference(&chosen).copied().collect();
    (chosen.into_iter().collect(), kept)
}

/// Deletes a run tree; false when it turned out to be needed or unfinished after all.
fn delete_tree(db: &Connection, root: i64) -> Result<bool, StoreError> {
    let tree: Vec<(i64, String, String)> = db
        .prepare_cached(
            "SELECT run.no, run_key.run_id, run.status FROM run JOIN run_key ON run_key.no = run.no WHERE run.root = ?1",
        )?
        .query_map([root], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (no, id, status) in &tree {
        let needed: bool = db
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM run WHERE resumed_from = ?1 AND root <> ?2)")?
            .query_row(params![id, root], |row| row.get(0))?;
        if needed || (*no == root && !word::<RunStatus>(status)?.is_ended()) {
            return Ok(false);
        }
    }
    for (no, id, _) in &tree {
        cache::keep_answers(db, *no, &run_id(id)?)?;
        once::keep_answers(db, *no, &run_id(id)?)?;
        let (from, to) = (packed(*no, 0), packed(*no + 1, 0));
        for table in ["event", "call"] {
            db.prepare_cached(&format!("DELETE FROM {table} WHERE id > ?1 AND id < ?2"))?.execute([from, to])?;
        }
        db.prepare_cached(
            "DELETE FROM source WHERE hash IN (SELECT hash FROM run_source WHERE run = ?1) \
             AND NOT EXISTS (SELECT 1 FROM run_source WHERE run_source.hash = source.hash AND run_source.run <> ?1)",
        )?
        .execute([no])?;
        for (table, column) in [
            ("run_source", "run"),
            ("approval", "run"),
            ("artifact", "run"),
            ("inbox", "run"),
            ("lease", "root"),
            ("cache_claim", "root"),
            ("once_wait", "run"),
            ("run", "no"),
            ("run_key", "no"),
        ] {
            db.prepare_cached(&format!("DELETE FROM {table} WHERE {column} = ?1"))?.execute([no])?;
        }
    }
    Ok(true)
}

fn directory_bytes(path: &std::path::Path) -> u64 {
    walkdir::WalkDir::new(path)
        .into_iter()
        .filter_map(Result::ok)
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|data| data.len())
        .sum()
}

impl Store {
    /// Clears ended runs by the plan, one transaction per run tree, with their directories. Answers that the cache has stay;
    /// a run that another one resumed stays.
    ///
    /// # Errors
    /// When the store cannot be written; runs cleared until then are gone.
    pub fn prune(&self, plan: &PrunePlan) -> Result<Pruned, StoreError> {
        let runs = self.read(known)?;
        let (chosen, needed) = choose(&runs, plan);
        let mut pruned = Pruned { needed: needed.iter().map(|no| runs[no].id.clone()).collect(), ..Pruned::default() };
        // Latest first, so that a run goes before the one it resumed.
        for root in chosen.into_iter().rev() {
            let id = &runs[&root].id;
            let tree: Vec<&Known> = runs.values().filter(|run| run.root == root).collect();
            let bytes = tree.iter().map(|run| directory_bytes(&self.run_dir(&run.id))).sum::<u64>();
            if !plan.dry_run {
                // Held until the files are gone: whoever waits for it finds no run afterwards.
                let lock = if self.run_dir(id).is_dir() { lease::lock_now(self.home(), id)? } else { None };
                if lock.is_none() && self.run_dir(id).is_dir() {
                    continue;
                }
                let deleted = self.write("prune", move |tx| {
                    tx.folder.clear();
                    delete_tree(tx.db, root)
                })?;
                if !deleted {
                    continue;
                }
                for run in &tree {
                    if let Err(error) = std::fs::remove_dir_all(self.run_dir(&run.id))
                        && error.kind() != std::io::ErrorKind::NotFound
                    {
                        tracing::warn!(%error, run = %run.id, "the directory of a pruned run stays");
                    }
                }
                drop(lock);
            }
            pruned.runs.push(id.clone());
            pruned.total += tree.len() as u64;
            pruned.bytes += bytes;
        }
        pruned.runs.reverse();
        if !plan.dry_run && !pruned.runs.is_empty() {
            self.write("vacuum", |tx| {
                let mut vacuum = tx.db.prepare("PRAGMA incremental_vacuum")?;
                let mut rows = vacuum.query([])?;
                while rows.next()?.is_some() {}
                Ok(())
            })?;
        }
        Ok(pruned)
    }
}
