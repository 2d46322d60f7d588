//! How a call ended: status, value, error, usage, cost, and where a reused answer came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::budget::Charge;
use crate::core::call::{Decision, is_default, present};
use crate::core::ids::{CallId, RunId};
use crate::core::price::PriceNote;
pub use crate::core::usage::{CostSource, Usage};

/// The status of a call that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
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

impl CallStatus {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::SchemaFailed => "schema_failed",
            Self::ProviderFailed => "provider_failed",
            Self::Timeout => "timeout",
            Self::WorktreeFailed => "worktree_failed",
            Self::BudgetExhausted => "budget_exhausted",
            Self::Denied => "denied",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the result lacks something because of this call: a gap of the run.
    pub fn is_failing(self) -> bool {
        match self {
            Self::Failed
            | Self::SchemaFailed
            | Self::ProviderFailed
            | Self::Timeout
            | Self::WorktreeFailed
            | Self::BudgetExhausted => true,
            Self::Done | Self::Denied | Self::Skipped | Self::Cancelled => false,
        }
    }
}

/// The class of an error of a call; whether it is worth trying again follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Not logged in, or a key is missing or wrong.
    Auth,
    /// The account has nothing left.
    Quota,
    /// The provider's program is not there.
    NotInstalled,
    /// Too many requests.
    RateLimited,
    /// The provider is overloaded.
    Overloaded,
    /// The connection failed.
    Transport,
    /// No answer in time.
    Timeout,
    /// The provider refused the request.
    BadRequest,
    /// The prompt is too long for the model.
    ContextTooLong,
    /// The model refused.
    Refusal,
    /// The answer was cut at its length limit.
    MaxTokens,
    /// The agent used up its turns.
    MaxTurns,
    /// The answer breaks its schema, or the schema itself is unusable.
    Schema,
    /// An answer by schema was asked for and none came.
    NoOutput,
    /// A tool was denied.
    ToolDenied,
    /// A budget or cap refused the call.
    Budget,
    /// A person said no.
    Denied,
    /// A worktree failed.
    Worktree,
    /// The program of the provider died, or the call was lost with its owner.
    Crashed,
    /// Ended on request.
    Cancelled,
    /// A program that was run ended with another code than 0.
    Exit,
    /// A policy refused it.
    Policy,
    /// A fixture rule is wrong or missing.
    Fixture,
    /// Not run: its condition was false, or nothing led to it.
    Skipped,
    /// An expression or template of a document could not be evaluated, or a rule of the document was broken.
    Document,
    /// Anything else.
    Other,
}

impl ErrorClass {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Quota => "quota",
            Self::NotInstalled => "not_installed",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::BadRequest => "bad_request",
            Self::ContextTooLong => "context_too_long",
            Self::Refusal => "refusal",
            Self::MaxTokens => "max_tokens",
            Self::MaxTurns => "max_turns",
            Self::Schema => "schema",
            Self::NoOutput => "no_output",
            Self::ToolDenied => "tool_denied",
            Self::Budget => "budget",
            Self::Denied => "denied",
            Self::Worktree => "worktree",
            Self::Crashed => "crashed",
            Self::Cancelled => "cancelled",
            Self::Exit => "exit",
            Self::Policy => "policy",
            Self::Fixture => "fixture",
            Self::Skipped => "skipped",
            Self::Document => "document",
            Self::Other => "other",
        }
    }

    /// Whether another attempt of the same request may succeed.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Overloaded
                | Self::Transport
                | Self::Timeout
                | Self::Schema
                | Self::NoOutput
                | Self::Exit
        )
    }

    /// The status of a call whose last error has this class.
    pub fn call_status(self) -> CallStatus {
        match self {
            Self::Timeout => CallStatus::Timeout,
            Self::Schema | Self::NoOutput => CallStatus::SchemaFailed,
            Self::Budget => CallStatus::BudgetExhausted,
            Self::Denied | Self::ToolDenied => CallStatus::Denied,
            Self::Worktree => CallStatus::WorktreeFailed,
            Self::Cancelled => CallStatus::Cancelled,
            Self::Skipped => CallStatus::Skipped,
            Self::Crashed | Self::Exit | Self::Policy | Self::Fixture | Self::Document => CallStatus::Failed,
            Self::Auth
            | Self::Quota
            | Self::NotInstalled
            | Self::RateLimited
            | Self::Overloaded
            | Self::Transport
            | Self::BadRequest
            | Self::ContextTooLong
            | Self::Refusal
            | Self::MaxTokens
            | Self::MaxTurns
            | Self::Other => CallStatus::ProviderFailed,
        }
    }
}

/// Why a call has no value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallError {
    /// The class.
    pub class: ErrorClass,
    /// One sentence for a reader.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Set when the script's `agent()` throws instead of giving `null`: the name of the JavaScript error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throws: Option<String>,
    /// Where the answer broke its schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema_errors: Vec<SchemaError>,
    /// Milliseconds the provider asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl CallError {
    /// An error of `class` that says `message`.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            hint: None,
            throws: None,
            schema_errors: Vec::new(),
            retry_after_ms: None,
        }
    }

    /// The same error, thrown by the script's `agent()` as a JavaScript error named `name`.
    #[must_use]
    pub fn throwing(mut self, name: &str) -> Self {
        self.throws = Some(name.to_owned());
        self
    }
}

/// One place where an answer breaks its schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaError {
    /// JSON Pointer to the value.
    pub pointer: String,
    /// What the schema wants.
    pub message: String,
    /// What was there.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub got: Option<Value>,
}

/// What the cache and the journal had to do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheStatus {
    /// From the journal of this run or of one it resumes.
    Replayed,
    /// From another run, through the cache.
    Hit,
    /// Asked afresh; the cache had nothing.
    #[default]
    Miss,
    /// The cache was not asked: the call writes files or cannot be cached.
    Bypassed,
    /// The cache was turned off.
    Disabled,
}

impl CacheStatus {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Bypassed => "bypassed",
            Self::Disabled => "disabled",
        }
    }
}

/// Why a call has its cache status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Its outcome stands in a journal.
    Replayed,
    /// The same request was answered in another run.
    SameRequest,
    /// Nothing like it was asked before.
    FirstTime,
    /// Something it depends on differs; `changed` names it.
    Changed,
    /// The earlier call failed.
    EarlierFailed,
    /// The earlier call was cancelled.
    EarlierCancelled,
    /// The policy is `refresh`.
    Refresh,
    /// The policy forbids it.
    Policy,
    /// It writes files.
    Mutating,
    /// Asked more often than before.
    Occurrence,
    /// A fake answer is not used for a real provider.
    Simulated,
    /// It has an idempotency key: what was carried out for the key counts, and nothing else.
    IdempotencyKey,
}

impl ReasonCode {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::SameRequest => "same_request",
            Self::FirstTime => "first_time",
            Self::Changed => "changed",
            Self::EarlierFailed => "earlier_failed",
            Self::EarlierCancelled => "earlier_cancelled",
            Self::Refresh => "refresh",
            Self::Policy => "policy",
            Self::Mutating => "mutating",
            Self::Occurrence => "occurrence",
            Self::Simulated => "simulated",
            Self::IdempotencyKey => "idempotency_key",
        }
    }
}

/// The cache's part in an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CacheNote {
    /// What happened.
    pub status: CacheStatus,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// What differs from the nearest earlier call: `prompt`, `schema`, `provider`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Files that differ, five at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The call compared with, or reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<CallRef>,
    /// The cache key and occurrence of a hit, so that a replay counts on from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<(crate::core::ids::Hash, u32)>,
    /// For [`ReasonCode::Occurrence`]: how many were recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<u32>,
}

/// A call of some run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallRef {
    /// The run.
    pub run_id: RunId,
    /// The call in it.
    pub call_id: CallId,
}

impl std::fmt::Display for CallRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.run_id, self.call_id)
    }
}

/// What a person (or an expiry) decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionNote {
    /// The decision.
    pub decision: Decision,
    /// Who: a user's name, or `timeout`.
    pub by: String,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A worktree that was kept because something in it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorktreeNote {
    /// Its directory: relative to the home when it lies there, else absolute.
    pub path: String,
    /// The branch it is on.
    pub branch: String,
    /// The commit it started from.
    pub base: String,
    /// Commits made on the branch since.
    #[serde(default, skip_serializing_if = "is_default")]
    pub commits: u32,
}

/// How an answer came about, as far as a reader may want to know. Part of no key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The version of the program that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_version: Option<String>,
    /// How the answer was held to its schema: `native_strict`, `native`, `forced_tool`, `json_object`, `prompt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_mode: Option<String>,
    /// What an agent was allowed: `lean`, `read`, `write`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What a reader should know about the answer, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The price that its cost was estimated with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceNote>,
}

/// How a call ended. This is what the journal keeps and what the script is given, also when the call is reused: nothing in
/// it is ever recomputed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The status.
    pub status: CallStatus,
    /// The value of a done call; absent is `undefined`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub value: Option<Value>,
    /// The raw text of an answer whose value was read from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
    /// The call that was executed for it (another run's, once reused).
    pub call_id: CallId,
    /// The provider that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens of all attempts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub usage: Usage,
    /// Whether tokens were used beside these whose number nobody knows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub usage_unknown: bool,
    /// Cost of all attempts in billionths of a US dollar, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nanos: Option<u64>,
    /// Where the cost comes from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cost_source: CostSource,
    /// What it charged to the budget.
    #[serde(default, skip_serializing_if = "is_default")]
    pub charge: Charge,
    /// The number of the last attempt, counted over the lineage; 0 when none was made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: u32,
    /// Milliseconds from the first start to the outcome.
    #[serde(default, skip_serializing_if = "is_default")]
    pub duration_ms: u64,
    /// The cache's part, as recorded when it was executed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cache: CacheNote,
    /// The run of a child workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child_run: Option<RunId>,
    /// The decision of an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionNote>,
    /// Whether the fake provider (or a child that used it) answered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub simulated: bool,
    /// Where the store keeps the workspace state the answer was made in, for providers that read the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Files a mutating call changed, relative to the workspace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_files: Vec<String>,
    /// The worktree that was kept, when the call worked in one and changed something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<WorktreeNote>,
    /// How the answer came about.
    #[serde(default, skip_serializing_if = "is_default")]
    pub provenance: Provenance,
    /// Nobody awaited the call when the script ended: a cancellation that is no gap.
    #[serde(default, skip_serializing_if = "is_default")]
    pub abandoned: bool,
}

impl Outcome {
    /// An outcome of `call_id` with `status` and nothing else.
    pub fn new(call_id: CallId, status: CallStatus) -> Self {
        Self {
            status,
            value: None,
            text: None,
            error: None,
            call_id,
            provider: None,
            model: None,
            usage: Usage::default(),
            usage_unknown: false,
            cost_nanos: None,
            cost_source: CostSource::Unknown,
            charge: Charge::default(),
            attempts: 0,
            duration_ms: 0,
            cache: CacheNote::default(),
            child_run: None,
            decision: None,
            simulated: false,
            workspace: None,
            changed_files: Vec::new(),
            worktree: None,
            provenance: Provenance::default(),
            abandoned: false,
        }
    }

    /// A done outcome with `value`.
    pub fn done(call_id: CallId, value: Option<Value>) -> Self {
        Self { value, ..Self::new(call_id, CallStatus::Done) }
    }

    /// A failed outcome whose status follows from the error's class.
    pub fn failed(call_id: CallId, error: CallError) -> Self {
        let status = error.class.call_status();
        Self { error: Some(error), ..Self::new(call_id, status) }
    }
}
