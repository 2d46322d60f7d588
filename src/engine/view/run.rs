//! One run as every surface shows it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approvals::{ApprovalRow, ApprovalState};
use super::calls::{CallRow, CallState};
use super::common::{ErrorView, Notice, Usd};
use super::runs::RunFacts;
use crate::core::call::is_default;
use crate::core::event::Swallowed;
use crate::core::ids::RunId;
use crate::core::outcome::CostSource;
use crate::core::run::{RunStatus, StatusReason};

/// Calls by state. `failed` covers every failing status; `replayed` and `hit` are part of `done`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counts {
    /// All calls.
    pub total: u64,
    /// Requested, not started.
    pub queued: u64,
    /// Under way.
    pub running: u64,
    /// With a value.
    pub done: u64,
    /// Failed in any way.
    pub failed: u64,
    /// Ended on request, or abandoned.
    pub cancelled: u64,
    /// Not run.
    pub skipped: u64,
    /// Refused by a person or a policy.
    pub denied: u64,
    /// Done, from a journal.
    pub replayed: u64,
    /// Done, from the cache.
    pub hit: u64,
}

/// A failed call: what the result lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The call.
    pub call_id: String,
    /// What people call it.
    pub label: String,
    /// How it failed.
    pub status: CallState,
    /// Why.
    pub message: String,
}

/// An exception that `parallel` or `pipeline` turned into null, without a failed call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwallowedRow {
    /// Which slot: `parallel[3]`.
    #[serde(rename = "where")]
    pub place: String,
    /// Line in the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The exception.
    pub message: String,
}

impl From<&Swallowed> for SwallowedRow {
    fn from(what: &Swallowed) -> Self {
        Self { place: what.place.clone(), line: what.line, message: what.message.clone() }
    }
}

/// Kept work to review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorktreeRow {
    /// The call that made it.
    pub call_id: String,
    /// What people call it.
    pub label: String,
    /// Its branch.
    pub branch: String,
    /// Its directory.
    pub path: String,
    /// Files it changed, ten at most.
    pub changed_files: Vec<String>,
    /// How many it changed.
    pub changed_total: u64,
}

/// A phase and its calls; what is known so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PhaseRow {
    /// The title.
    pub title: String,
    /// Its calls.
    pub total: u64,
    /// With a value.
    pub done: u64,
    /// Under way.
    pub running: u64,
    /// Failed in any way.
    pub failed: u64,
}

/// What the calls that this run itself executed used, in all its incarnations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UsageView {
    /// Tokens of prompts that no cache had a part in.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// Tokens read from prompt caches.
    pub cache_read_tokens: u64,
    /// Tokens written to them.
    pub cache_write_tokens: u64,
    /// Of these, tokens for caches that live an hour; absent when none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_tokens: Option<u64>,
    /// Of the answers' tokens, those of reasoning; absent when no provider told of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Calls that used tokens whose number nobody knows: they were ended before they told, or never tell. The sums lack those tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_unknown_calls: Option<u64>,
    /// Cost in US dollars, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// reported, estimated, mixed, simulated, unknown.
    pub cost_source: CostSource,
    /// The days of the prices that estimated costs were computed with, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prices_as_of: Vec<String>,
    /// Calls of unknown cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpriced_calls: Option<u64>,
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetLine<T> {
    /// The total.
    pub limit: T,
    /// Spent, reused calls included.
    pub spent: T,
    /// What this run really spent, when calls were reused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh: Option<T>,
    /// Held for calls under way.
    pub reserved: T,
}

/// The limits that are set.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BudgetView {
    /// Output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<BudgetLine<u64>>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<BudgetLine<Usd>>,
    /// Calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<BudgetLine<u64>>,
}

/// What a resume reused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReuseView {
    /// Calls reused.
    pub replayed: u64,
    /// Calls run again.
    pub rerun: u64,
    /// Why, by word: a reason code, or what changed.
    #[serde(default)]
    pub rerun_reasons: BTreeMap<String, u64>,
    /// What reuse saved, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_usd: Option<Usd>,
}

/// How a resume went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResumedHow {
    /// The same run.
    InPlace,
    /// A new run that reuses the old one's calls.
    NewRun,
}

/// A decision that was just made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionView {
    /// The question.
    pub approval_id: String,
    /// approved, denied.
    pub state: ApprovalState,
    /// When.
    pub decided_at: String,
    /// Through what.
    pub decided_via: String,
}

/// Why a wait returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Woke {
    /// The run ended.
    Ended,
    /// A person is needed.
    NeedsPerson,
    /// The first call of the run failed.
    FirstFailure,
    /// Something changed.
    Change,
    /// Nothing did in time.
    Timeout,
}

/// Reply of `owf run|resume|status|wait|cancel|approve|deny`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// The run; after a resume possibly a new one.
    pub run_id: RunId,
    /// queued, running, paused, done, failed, cancelled, interrupted.
    pub status: RunStatus,
    /// Why it is paused, interrupted or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<StatusReason>,
    /// Whether at least one answer was generated by the fake provider.
    pub simulated: bool,
    /// Things to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Notice>,
    /// Why it failed, or what it is paused on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorView>,
    /// Questions that wait for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalRow>,
    /// The returned value, when it is done and the value fits.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::core::call::present")]
    pub output: Option<Value>,
    /// The shape of the value instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outline: Option<Value>,
    /// The size of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// Calls by state.
    pub counts: Counts,
    /// Failed calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gaps_total: Option<u64>,
    /// Exceptions turned into null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub swallowed: Vec<SwallowedRow>,
    /// Kept work to review.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worktrees: Vec<WorktreeRow>,
    /// Phases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseRow>,
    /// What it used.
    pub usage: UsageView,
    /// Limits that are set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetView>,
    /// After a resume: what was reused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<ReuseView>,
    /// Calls: running, failed, then newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallRow>,
    /// The script's log lines since the cursor, ten at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
    /// in_place, new_run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<ResumedHow>,
    /// The run whose calls it reuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<RunId>,
    /// The run that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_run_id: Option<RunId>,
    /// Whether the request key found an earlier start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<bool>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Whether it was asked to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_requested: Option<bool>,
    /// The decision just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionView>,
    /// Why a wait returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub woke: Option<Woke>,
    /// How long it waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// Milliseconds it had an owner.
    pub elapsed_ms: u64,
    /// All static facts (status only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunFacts>,
    /// Its directory, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_dir: Option<String>,
    /// The file of its workflow, or its pinned copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_path: Option<String>,
    /// Whether questions or kept worktrees were left out: `owf approvals` and `owf worktree list` have them all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub truncated: bool,
    /// What to do next.
    pub next: String,
    /// For the next wait.
    pub next_cursor: String,
}

impl RunView {
    /// A view with the fixed keys and nothing else.
    pub fn new(run_id: RunId, status: RunStatus) -> Self {
        Self {
            run_id,
            status,
            status_reason: None,
            simulated: false,
            warnings: Vec::new(),
            error: None,
            approvals: Vec::new(),
            output: None,
            outline: None,
            output_bytes: None,
            counts: Counts::default(),
            gaps: Vec::new(),
            gaps_total: None,
            swallowed: Vec::new(),
            worktrees: Vec::new(),
            phases: Vec::new(),
            usage: UsageView::default(),
            budget: None,
            reuse: None,
            calls: Vec::new(),
            logs: Vec::new(),
            resumed: None,
            resumed_from: None,
            parent_run_id: None,
            joined: None,
            created_at: None,
            cancel_requested: None,
            decision: None,
            woke: None,
            waited_ms: None,
            elapsed_ms: 0,
            run: None,
            run_dir: None,
            script_path: None,
            truncated: false,
            next: String::new(),
            next_cursor: "0".to_owned(),
        }
    }
}
