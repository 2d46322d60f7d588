//! Runs in a list, and the static facts of one run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Usd;
use crate::core::ids::RunId;
use crate::core::outcome::CostSource;
use crate::core::run::{RunStatus, StatusReason};

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRow {
    /// The run.
    pub run_id: RunId,
    /// The same.
    pub id: RunId,
    /// queued, running, paused, done, failed, cancelled, interrupted.
    pub status: RunStatus,
    /// Why it is paused, interrupted or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<StatusReason>,
    /// The workflow's name.
    pub workflow_name: String,
    /// The provider of calls that name none.
    pub provider: String,
    /// The model of calls that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The providers that may answer its calls, when its own is not one of them; an empty list = it asks no agent.
    #[serde(skip)]
    pub others: Option<Vec<String>>,
    /// Whether an answer was generated.
    pub simulated: bool,
    /// When it was created.
    pub created_at: String,
    /// When it was first taken up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Milliseconds it had an owner.
    pub elapsed_ms: u64,
    /// Its calls.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// What it cost, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// Where the cost comes from.
    pub cost_source: CostSource,
    /// Questions that wait.
    pub pending_approvals: u64,
    /// The file of its workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_path: Option<String>,
    /// Who started it.
    pub started_by: String,
    /// The run that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_run_id: Option<RunId>,
    /// The run whose calls it reuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<RunId>,
}

impl RunRow {
    /// The providers that may answer its calls; none = it asks no agent.
    pub fn answerers(&self) -> Vec<&str> {
        let own = || vec![self.provider.as_str()];
        self.others.as_ref().map_or_else(own, |others| others.iter().map(String::as_str).collect())
    }
}

/// The process that executes a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerView {
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// Since when.
    pub since: String,
}

/// All static facts of a run: the keys of its row, then these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunFacts {
    /// The row.
    #[serde(flatten)]
    pub row: RunRow,
    /// Who executes it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerView>,
    /// The store it is in, absolute.
    pub home: String,
    /// Whether the workflow's file differs from the pinned source by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_changed: Option<bool>,
}

/// Reply of `owf runs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunsView {
    /// The store, absolute.
    pub home: String,
    /// Runs in it.
    pub total: u64,
    /// Runs that match the filter.
    pub matched: u64,
    /// The rows, newest first.
    pub runs: Vec<RunRow>,
    /// Whether some were left out.
    pub truncated: bool,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// What to do next.
    pub next: String,
}
