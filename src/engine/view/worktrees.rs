//! Worktrees that attempts left, and what was done with one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::ids::RunId;

/// Where a worktree stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorktreeState {
    /// An attempt works in it.
    Running,
    /// Kept for review.
    Kept,
    /// Its process died, or its run is gone: nobody has looked at it.
    Orphan,
}

impl WorktreeState {
    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Kept => "kept",
            Self::Orphan => "orphan",
        }
    }
}

/// One worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorktreeEntry {
    /// The run.
    pub run_id: RunId,
    /// The call in it.
    pub call_id: String,
    /// The attempt, over the lineage.
    pub attempt: u32,
    /// What people call the call.
    pub label: String,
    /// running, kept, orphan.
    pub state: WorktreeState,
    /// Its branch.
    pub branch: String,
    /// The commit it started from.
    pub base: String,
    /// Its directory, absolute.
    pub path: String,
    /// Commits made in it.
    pub commits: u32,
    /// Files that differ from its base.
    pub changed_files: Vec<String>,
    /// How many.
    pub changed_total: u64,
    /// Of one that was removed with its branch: the commit that holds its work until git collects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit: Option<String>,
}

/// Reply of `owf worktree list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorktreesView {
    /// The home, absolute.
    pub home: String,
    /// The worktrees, oldest run first.
    pub worktrees: Vec<WorktreeEntry>,
    /// Whether some were left out.
    pub truncated: bool,
}

/// Reply of `owf worktree diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorktreeDiffView {
    /// The worktree.
    pub worktree: WorktreeEntry,
    /// Everything that differs from its base, as a patch that `git apply` takes.
    pub patch: String,
}

/// Reply of `owf worktree apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorktreeAppliedView {
    /// The worktree.
    pub worktree: WorktreeEntry,
    /// The working tree that has the changes now, uncommitted.
    pub applied_to: String,
    /// What to do next.
    pub next: String,
}

/// Reply of `owf worktree remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorktreesRemovedView {
    /// The worktrees that were removed.
    pub removed: Vec<WorktreeEntry>,
    /// Whether their branches stay.
    pub branches_kept: bool,
}
