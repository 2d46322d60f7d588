//! Clearing a store: old runs, and the cache.

use std::path::Path;

use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::engine::params::PruneParams;
use crate::engine::view::{ClearedView, PruneView, PrunedRun};
use crate::store::{PrunePlan, RunFilter};
use crate::worktree::{Record, records};

use super::bounds::{Room, finish};
use super::handle::Query;
use super::runs::before;

impl Query<'_> {
    /// Removes old runs; never one that goes on or that another run reuses. Without a rule nothing is removed.
    ///
    /// # Errors
    /// `invalid_arguments` without a rule or for a bad age, or what the store says.
    pub(crate) fn prune(&self, params: &PruneParams) -> Result<PruneView, Failure> {
        if params.keep.is_none() && params.older_than.is_none() {
            return Err(Failure::new(Code::InvalidArguments, "say which runs go: keep, older_than, or both")
                .hint("owf prune --older-than 30d, or --keep 100"));
        }
        let older_than = params.older_than.as_deref().map(|text| {
            humantime::parse_duration(text.trim()).map(|age| before(self.env.now, age)).map_err(|_| {
                Failure::new(Code::InvalidArguments, format!("/older_than: `{text}` is no age"))
                    .hint("an age such as 30d or 12h")
            })
        });
        let dry_run = params.dry_run.unwrap_or(false);
        let holders = self.holders()?;
        let spare: Vec<RunId> = if params.worktrees.unwrap_or(false) {
            Vec::new()
        } else {
            holders.iter().map(|(root, _)| root.clone()).collect()
        };
        let plan = PrunePlan {
            keep: params.keep.map(|keep| keep as usize),
            older_than: older_than.transpose()?,
            spare,
            dry_run: true,
        };
        let named = self.store.prune(&PrunePlan { spare: Vec::new(), ..plan.clone() })?.runs;
        // The rows go with the runs, so they are read first.
        let mut rows = Vec::new();
        for run in self.store.prune(&plan)?.runs {
            if let Some(row) = self.store.run(&run)? {
                rows.push(PrunedRun {
                    run_id: run,
                    workflow_name: row.spec.workflow_name,
                    created_at: row.created_at.rfc3339(),
                });
            }
        }
        let with_worktrees = named.into_iter().filter(|run| plan.spare.contains(run)).collect();
        let pruned = self.store.prune(&PrunePlan { dry_run, ..plan })?;
        rows.retain(|row| pruned.runs.contains(&row.run_id));
        let there = self.store.runs(&RunFilter { limit: 1, now: self.env.now, ..RunFilter::default() })?.total;
        let pruned_total = pruned.runs.len() as u64;
        if !dry_run {
            for (_, record) in holders.into_iter().filter(|(root, _)| pruned.runs.contains(root)) {
                remove_worktree(&self.home_dir(), &record);
            }
        }
        let mut view = PruneView {
            home: self.home(),
            dry_run,
            pruned: Vec::new(),
            pruned_total,
            kept: if dry_run { there.saturating_sub(pruned_total) } else { there },
            with_worktrees,
            freed_bytes: pruned.bytes,
        };
        Room::beside(self.env.bound, &view).keep(&mut rows);
        view.pruned = rows;
        Ok(finish(self.env.bound, view))
    }

    /// Worktrees that are there, with the roots of the trees they belong to.
    fn holders(&self) -> Result<Vec<(RunId, Record)>, Failure> {
        let home = self.home_dir();
        let mut found = Vec::new();
        for record in records(&home, None).into_iter().filter(|record| record.dir(&home).is_dir()) {
            if let Some(row) = self.store.run(&record.run_id)? {
                found.push((row.spec.root.unwrap_or_else(|| record.run_id.clone()), record));
            }
        }
        Ok(found)
    }

    /// Forgets all answers of the cache; journals keep theirs.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn clear_cache(&self) -> Result<ClearedView, Failure> {
        Ok(ClearedView { cleared: self.store.clear_cache()? })
    }
}

/// Removes the worktree of a run that is gone. What cannot be removed is an orphan from now on.
fn remove_worktree(home: &Path, record: &Record) {
    match record.worktree(home).remove() {
        Ok(()) => record.forget(home),
        Err(error) => tracing::warn!(%error, "the worktree of a pruned run stays"),
    }
}
