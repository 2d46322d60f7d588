//! Clearing a store: old runs, and the cache.

use crate::core::failure::{Code, Failure};
use crate::engine::params::PruneParams;
use crate::engine::view::{ClearedView, PruneView, PrunedRun};
use crate::store::{PrunePlan, RunFilter};

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
        let plan = PrunePlan {
            keep: params.keep.map(|keep| keep as usize),
            older_than: older_than.transpose()?,
            dry_run: true,
        };
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
        let pruned = self.store.prune(&PrunePlan { dry_run, ..plan })?;
        rows.retain(|row| pruned.runs.contains(&row.run_id));
        let there = self.store.runs(&RunFilter { limit: 1, now: self.env.now, ..RunFilter::default() })?.total;
        let pruned_total = pruned.runs.len() as u64;
        let mut view = PruneView {
            home: self.home(),
            dry_run,
            pruned: Vec::new(),
            pruned_total,
            kept: if dry_run { there.saturating_sub(pruned_total) } else { there },
            freed_bytes: pruned.bytes,
        };
        Room::beside(self.env.bound, &view).keep(&mut rows);
        view.pruned = rows;
        Ok(finish(self.env.bound, view))
    }

    /// Forgets all answers of the cache; journals keep theirs.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn clear_cache(&self) -> Result<ClearedView, Failure> {
        Ok(ClearedView { cleared: self.store.clear_cache()? })
    }
}
