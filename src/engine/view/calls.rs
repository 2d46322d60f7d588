//! Calls of a run: rows, and one call in full.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Usd;
use super::explain::ExplainRow;
use super::prices::RatesRow;
use crate::core::call::{CallKind, Isolation};
use crate::core::ids::{Hash, RunId};
use crate::core::outcome::{CacheStatus, CallError, CallStatus, CostSource, ErrorClass, SchemaError};
use crate::core::run::RunStatus;

/// The status of a call, ended or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// Requested, not yet started.
    Queued,
    /// An attempt is under way, or it waits for an answer.
    Running,
    /// It has a value.
    Done,
    /// It failed for another reason than those below.
    Failed,
    /// No answer satisfied the schema.
    SchemaFailed,
    /// The provider failed.
    ProviderFailed,
    /// No answer in time.
    Timeout,
    /// The worktree could not be made or kept.
    WorktreeFailed,
    /// A budget or the call cap refused it.
    BudgetExhausted,
    /// A person or a policy said no.
    Denied,
    /// It was not run.
    Skipped,
    /// It was ended before it had an answer.
    Cancelled,
}

impl CallState {
    /// Every state, in the order of the words of the surface.
    pub const ALL: [Self; 12] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::SchemaFailed,
        Self::ProviderFailed,
        Self::Timeout,
        Self::WorktreeFailed,
        Self::BudgetExhausted,
        Self::Denied,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// The status of a call that has ended; none while it is queued or running.
    pub fn ended(self) -> Option<CallStatus> {
        Some(match self {
            Self::Queued | Self::Running => return None,
            Self::Done => CallStatus::Done,
            Self::Failed => CallStatus::Failed,
            Self::SchemaFailed => CallStatus::SchemaFailed,
            Self::ProviderFailed => CallStatus::ProviderFailed,
            Self::Timeout => CallStatus::Timeout,
            Self::WorktreeFailed => CallStatus::WorktreeFailed,
            Self::BudgetExhausted => CallStatus::BudgetExhausted,
            Self::Denied => CallStatus::Denied,
            Self::Skipped => CallStatus::Skipped,
            Self::Cancelled => CallStatus::Cancelled,
        })
    }

    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            _ => self.ended().map_or("", CallStatus::as_str),
        }
    }

    /// Whether the result of the run lacks something because of this call.
    pub fn is_failing(self) -> bool {
        self.ended().is_some_and(CallStatus::is_failing)
    }
}

impl From<CallStatus> for CallState {
    fn from(status: CallStatus) -> Self {
        match status {
            CallStatus::Done => Self::Done,
            CallStatus::Failed => Self::Failed,
            CallStatus::SchemaFailed => Self::SchemaFailed,
            CallStatus::ProviderFailed => Self::ProviderFailed,
            CallStatus::Timeout => Self::Timeout,
            CallStatus::WorktreeFailed => Self::WorktreeFailed,
            CallStatus::BudgetExhausted => Self::BudgetExhausted,
            CallStatus::Denied => Self::Denied,
            CallStatus::Skipped => Self::Skipped,
            CallStatus::Cancelled => Self::Cancelled,
        }
    }
}

/// A word that is no status of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a status of a call")]
pub struct UnknownCallState(pub String);

impl FromStr for CallState {
    type Err = UnknownCallState;

    fn from_str(text: &str) -> Result<Self, UnknownCallState> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| UnknownCallState(text.to_owned()))
    }
}

/// Why a call has no value, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallErrorView {
    /// The class.
    pub class: ErrorClass,
    /// One sentence: 200 characters at most in rows, 4,000 in detail.
    pub message: String,
    /// Whether another attempt may succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When the next attempt begins, or not before when it is worth another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
}

impl From<&CallError> for CallErrorView {
    fn from(error: &CallError) -> Self {
        Self {
            class: error.class,
            message: error.message.clone(),
            retryable: Some(error.class.is_retryable()),
            hint: error.hint.clone(),
            retry_at: None,
        }
    }
}

/// One call in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallRow {
    /// `c0009`.
    pub call_id: String,
    /// Its place in request order, from 1.
    pub call_index: u32,
    /// agent, tool, command, expr, workflow, approval, timer, turn.
    pub kind: CallKind,
    /// What people call it.
    pub label: String,
    /// Where it stands.
    pub status: CallState,
    /// The phase it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// replayed, hit, miss, bypassed, disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_status: Option<CacheStatus>,
    /// The provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model that answered, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tries made, over the whole lineage.
    pub attempts: u32,
    /// Tokens of the prompt that no cache had a part in; 0 when reused from another run, absent when nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, reasoning included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Set when tokens were used whose number nobody knows: an attempt was ended before it told. Those given are at least that many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_unknown: Option<bool>,
    /// Cost in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// Where the cost comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_source: Option<CostSource>,
    /// The day of the prices that an estimated cost was computed with; a later table changes nothing about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices_as_of: Option<String>,
    /// Milliseconds from the first start to the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Why it has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<CallErrorView>,
    /// The run of a child workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child_run_id: Option<RunId>,
}

/// One try of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptRow {
    /// Its number over the lineage, from 1.
    pub attempt: u32,
    /// How it ended, or `running`.
    pub status: CallState,
    /// The class of its error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
    /// Its error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Milliseconds it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The fixture rule that answered, 0 = the mood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
    /// What its tools changed, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
}

/// Files of a call: paths below the run directory, for `owf cat` and `owf_read_artifact`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CallFiles {
    /// The prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was said, line by line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
}

impl CallFiles {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The price that the cost of a call was estimated with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallPrice {
    /// The provider whose price it is: that of the service behind a program.
    pub provider: String,
    /// The name in the table that the model was found by.
    pub model: String,
    /// The day the prices were looked up.
    pub prices_as_of: String,
    /// Where they come from.
    pub source: String,
    /// What a million tokens cost; the first holds unless a later one does.
    pub per_million: Vec<RatesRow>,
}

/// One call in full: the keys of its row, then these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallDetail {
    /// The row.
    #[serde(flatten)]
    pub row: CallRow,
    /// Tokens read from the provider's prompt cache: beside those of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Tokens written to it, also beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Of these, tokens for a cache that lives an hour; absent when none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_tokens: Option<u64>,
    /// Of the answer's tokens, those of reasoning; absent when the provider told of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Every try.
    #[serde(default)]
    pub attempts_list: Vec<AttemptRow>,
    /// Where the answer broke its schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema_errors: Vec<SchemaError>,
    /// The beginning of the prompt, 1,000 characters at most.
    #[serde(default)]
    pub prompt_preview: String,
    /// Its size.
    #[serde(default)]
    pub prompt_bytes: u64,
    /// The beginning of the answer, 1,000 characters at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_preview: Option<String>,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// Its files; absent until they are written.
    #[serde(default, skip_serializing_if = "CallFiles::is_empty")]
    pub files: CallFiles,
    /// Hash of what was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_key: Option<Hash>,
    /// The how-manieth request with this key in the run, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<u32>,
    /// The persona asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<String>,
    /// The effort asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// `worktree` when it works in one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Paths it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_scope: Option<Vec<String>>,
    /// Paths it may write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_scope: Option<Vec<String>>,
    /// Tools it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Its worktree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worktree_path: Option<String>,
    /// The branch of its worktree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worktree_branch: Option<String>,
    /// Files it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_files: Option<Vec<String>>,
    /// The version of the program that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_version: Option<String>,
    /// What the agent was allowed: `lean`, `read`, `write`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// How the answer was held to its schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_mode: Option<String>,
    /// The price that an estimated cost was computed with, as the table had it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<CallPrice>,
    /// What a reader should know about the answer: denied tools, settings that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether its owner died while it may have had effects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub possibly_repeated: Option<bool>,
    /// Why it was reused or asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<ExplainRow>,
}

/// Reply of `owf calls RUN`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallsView {
    /// The run.
    pub run_id: RunId,
    /// Its status.
    pub status: RunStatus,
    /// Whether an answer was generated.
    pub simulated: bool,
    /// The rows, in call order.
    pub calls: Vec<CallRow>,
    /// Calls of the run.
    pub calls_total: u64,
    /// Calls that match the filter.
    pub matched: u64,
    /// Whether some were left out.
    pub truncated: bool,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Reply of `owf calls RUN CALL`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallDetailView {
    /// The run.
    pub run_id: RunId,
    /// Its status.
    pub status: RunStatus,
    /// Whether an answer was generated.
    pub simulated: bool,
    /// The call.
    pub call: CallDetail,
    /// What to do next.
    pub next: String,
}
