//! Questions to a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::call::{Decider, Decision};
use crate::core::event::ApprovalKind;
use crate::core::ids::RunId;
use crate::core::run::WorkflowKind;

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Nobody has answered yet.
    #[default]
    Pending,
    /// Somebody said yes.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Its run ended first.
    Cancelled,
}

impl ApprovalState {
    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRow {
    /// The question in its run: `a1`.
    pub approval_id: String,
    /// The run that asks.
    pub run_id: RunId,
    /// The call that asks.
    pub call_id: String,
    /// approve (the workflow asks), tool, repeat (a lost call that may have had effects).
    pub kind: ApprovalKind,
    /// The question, 1,000 characters at most.
    pub message: String,
    /// Data to look at first, 1,000 characters at most.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::core::call::present")]
    pub metadata: Option<Value>,
    /// What a decision must quote.
    pub content_hash: String,
    /// Who may decide: any, person (a terminal or the client's own dialog).
    pub decider: Decider,
    /// Where it stands.
    #[serde(default)]
    pub state: ApprovalState,
    /// When it was asked.
    pub created_at: String,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What its expiry counts as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<Decision>,
    /// What approving leads to.
    pub approve_means: String,
    /// What denying leads to.
    pub deny_means: String,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
    /// Through what it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_via: Option<String>,
    /// Why, in the decider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ApprovalRow {
    /// What approving and denying lead to, by kind and by what asks.
    pub fn meanings(kind: ApprovalKind, asks: WorkflowKind) -> (&'static str, &'static str) {
        match (kind, asks) {
            (ApprovalKind::Approve, WorkflowKind::Script) => {
                ("the script goes on", "owf.approve() returns {decision: \"deny\"}")
            }
            (ApprovalKind::Approve, WorkflowKind::Document) => {
                ("the task goes on", "the task fails, or takes its route `deny`")
            }
            (ApprovalKind::Tool, _) => ("the tool runs", "the tool does not run: its call is denied"),
            (ApprovalKind::Repeat, WorkflowKind::Script) => {
                ("the call runs again", "the call is skipped: the script gets null")
            }
            (ApprovalKind::Repeat, WorkflowKind::Document) => {
                ("the call runs again", "the call is skipped: its task fails")
            }
        }
    }
}

/// Reply of `owf approvals`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalsView {
    /// The questions, oldest first.
    pub approvals: Vec<ApprovalRow>,
    /// How many there are in all.
    pub approvals_total: u64,
    /// Whether some were left out.
    pub truncated: bool,
}
