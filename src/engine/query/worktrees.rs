//! Worktrees that attempts left: what is kept for review, what nobody works in any more, and what a person does with it.

use std::path::{Path, PathBuf};

use crate::core::ids::{CallId, RunId};
use crate::engine::view::WorktreeRow;
use crate::worktree::{Record, State, records};

use super::handle::Query;
use super::snapshot::Snapshot;

/// Names of changed files in a row.
const FILES: usize = 10;

impl Query<'_> {
    /// The home as a path that says where it starts.
    pub(super) fn home_dir(&self) -> PathBuf {
        PathBuf::from(self.home())
    }

    /// Kept work of a run that is still there: of its own attempts, and of calls it reused.
    pub(super) fn kept_work(&self, run: &Snapshot) -> Vec<WorktreeRow> {
        let home = self.home_dir();
        if !home.join("worktrees").is_dir() {
            return Vec::new();
        }
        let label = |call: CallId| run.calls.iter().find(|row| row.call_id == call).map(|row| row.label.clone());
        let mut rows: Vec<(CallId, WorktreeRow)> = kept(&home, Some(&run.row.run_id))
            .iter()
            .map(|record| (record.call_id, row(&home, record, record.call_id, label(record.call_id))))
            .collect();
        for call in run.calls.iter().filter(|call| call.mutating && call.reused.is_some()) {
            if let Ok(Some(outcome)) = self.store.outcome(&run.row.run_id, call.call_id)
                && let Some(record) = outcome.worktree.and_then(|note| record_of(&home, &note.path))
            {
                rows.push((call.call_id, row(&home, &record, call.call_id, Some(call.label.clone()))));
            }
        }
        rows.sort_by(|a, b| (a.0.0, &a.1.path).cmp(&(b.0.0, &b.1.path)));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// The worktree that the last attempt of a call left, when its outcome does not name one: it was cancelled, or its process
    /// died.
    pub(super) fn left_by(&self, run: &RunId, call: CallId) -> Option<Record> {
        let home = self.home_dir();
        kept(&home, Some(run)).into_iter().rfind(|record| record.call_id == call)
    }
}

/// Records of kept worktrees whose directories are there.
pub(super) fn kept(home: &Path, run: Option<&RunId>) -> Vec<Record> {
    let there = |record: &Record| record.state == State::Kept && record.dir(home).is_dir();
    records(home, run).into_iter().filter(there).collect()
}

/// The record of a worktree by its path relative to the home.
fn record_of(home: &Path, path: &str) -> Option<Record> {
    let run: RunId = path.split('/').nth(1)?.parse().ok()?;
    kept(home, Some(&run)).into_iter().find(|record| record.path() == path)
}

fn row(home: &Path, record: &Record, call_id: CallId, label: Option<String>) -> WorktreeRow {
    WorktreeRow {
        call_id: call_id.to_string(),
        label: super::bounds::clip(&label.unwrap_or_else(|| record.label.clone()), super::gaps::LABEL),
        branch: record.branch.clone(),
        path: record.dir(home).display().to_string(),
        changed_files: record.changed_files.iter().take(FILES).map(|path| super::bounds::clip(path, 200)).collect(),
        changed_total: record.changed_files.len() as u64,
    }
}
