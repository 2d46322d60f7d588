//! The home itself: made, cleared, looked at, its files written again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::ids::RunId;

/// Reply of `owf init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitView {
    /// The home, absolute.
    pub home: String,
    /// Whether it was made just now.
    pub created: bool,
    /// What to do next.
    pub next: String,
}

/// A run that was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrunedRun {
    /// The run.
    pub run_id: RunId,
    /// Its workflow.
    pub workflow_name: String,
    /// When it was created.
    pub created_at: String,
}

/// Reply of `owf prune`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PruneView {
    /// The home, absolute.
    pub home: String,
    /// Whether nothing was removed, only counted.
    pub dry_run: bool,
    /// The runs that were removed.
    pub pruned: Vec<PrunedRun>,
    /// How many.
    pub pruned_total: u64,
    /// Runs that stay.
    pub kept: u64,
    /// Of these, runs that stay only because they hold worktrees with work in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with_worktrees: Vec<RunId>,
    /// Bytes of files that were freed.
    pub freed_bytes: u64,
}

/// Reply of `owf cache clear`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClearedView {
    /// Cache entries removed.
    pub cleared: u64,
}

/// Reply of `owf export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExportView {
    /// The run.
    pub run_id: RunId,
    /// The directory that was written, absolute.
    pub path: String,
    /// Files in it.
    pub files: u64,
    /// Their size.
    pub size_bytes: u64,
}

/// How a check of `owf doctor` came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// All is well.
    Ok,
    /// Works, with a limit.
    Warn,
    /// Does not work.
    Fail,
}

impl Health {
    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check of `owf doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorCheck {
    /// What was looked at: home, store, git, provider fake, ...
    pub name: String,
    /// ok, warn, fail.
    pub health: Health,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Reply of `owf doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorView {
    /// Whether no check failed.
    pub ok: bool,
    /// Version of owf.
    pub runtime_version: String,
    /// The home, absolute.
    pub home: String,
    /// Size of the home.
    pub size_bytes: u64,
    /// What was looked at.
    pub checks: Vec<DoctorCheck>,
}
