//! What a run is: its pinned specification, settings, status, and how it ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::budget::Limits;
use crate::core::call::{CachePolicy, present};
use crate::core::ids::{CallId, Hash, RunId};

/// The version of everything written to the journal. Raised when a stored shape changes.
pub const JOURNAL_FORMAT: u32 = 1;

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Recorded, not yet started.
    Queued,
    /// A process executes it.
    Running,
    /// It waits for a person.
    Paused,
    /// It returned.
    Done,
    /// It ended with an error.
    Failed,
    /// It was ended on request, or superseded.
    Cancelled,
    /// Its process is gone. Computed by readers, never stored.
    Interrupted,
}

impl RunStatus {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether the run has ended for good.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// Why a run is paused, interrupted or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusReason {
    /// Paused: an approval waits for a person.
    Approval,
    /// Paused: a lost mutating call waits for a person.
    Repeat,
    /// Paused or cancelled on request.
    User,
    /// Paused: a provider is not logged in.
    ProviderAuth,
    /// Paused: a provider's quota is used up.
    ProviderQuota,
    /// Interrupted: the owning process is gone.
    OwnerGone,
    /// Interrupted: no process ever took it up.
    NotStarted,
    /// Cancelled: another run took its place.
    Superseded,
    /// Cancelled: the workflow ended itself before its time.
    Workflow,
}

impl StatusReason {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Repeat => "repeat",
            Self::User => "user",
            Self::ProviderAuth => "provider_auth",
            Self::ProviderQuota => "provider_quota",
            Self::OwnerGone => "owner_gone",
            Self::NotStarted => "not_started",
            Self::Superseded => "superseded",
            Self::Workflow => "workflow",
        }
    }
}

/// The two front-ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowKind {
    /// A `.js` script.
    #[default]
    Script,
    /// A YAML or JSON document.
    Document,
}

impl WorkflowKind {
    /// The name of the pinned source in the directory of a run.
    pub fn source_file(self) -> &'static str {
        match self {
            Self::Script => "source.js",
            Self::Document => "source.yaml",
        }
    }
}

/// Whether a provider's name, as written, means the one that invents answers.
pub fn is_fake(provider: &str) -> bool {
    ["fake", "fixture"].iter().any(|name| provider.trim().eq_ignore_ascii_case(name))
}

/// What is done when the files an answer was based on have changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IfWorkspaceChanged {
    /// Reuse the answer and warn.
    #[default]
    Reuse,
    /// Ask again.
    Rerun,
}

/// What is done at the first `auth` or `quota` failure of a real provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnProviderDown {
    /// Pause the run; nothing is delivered.
    #[default]
    Pause,
    /// The call fails like any other.
    Fail,
}

/// How the fake provider answers what no fixture rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mood {
    /// Favourable answers.
    #[default]
    Happy,
    /// Unfavourable answers.
    Unhappy,
    /// The smallest valid answers.
    Empty,
    /// Every call fails (fixture files only).
    Fail,
}

/// The settings of a run that an override on resume may replace. They apply to attempts started later, never to identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The provider of calls that name none.
    pub provider: String,
    /// The model of calls that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Totals.
    pub limits: Limits,
    /// Agent calls the run tree may request.
    pub max_calls: u64,
    /// Whether a cost budget may be used with a model of unknown price.
    pub allow_unpriced: bool,
    /// Whether a person at a terminal allowed this run to execute commands.
    #[serde(skip_serializing_if = "crate::core::call::is_default")]
    pub allow_commands: bool,
    /// Calls at once, per provider; none = by provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Cache policy of the run.
    pub cache_policy: CachePolicy,
    /// Reused answers whose files changed.
    pub if_workspace_changed: IfWorkspaceChanged,
    /// Provider down.
    pub on_provider_down: OnProviderDown,
    /// Whether a done run with gaps fails.
    pub strict: bool,
    /// The fake provider's mood; none = the fixture file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mood: Option<Mood>,
    /// The pinned fixture file: its content is in the store under this hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixtures: Option<FixturesPin>,
    /// Engine limits, so that tests can use small ones.
    pub engine: EngineLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            provider: "fake".to_owned(),
            model: None,
            limits: Limits::default(),
            max_calls: 1000,
            allow_unpriced: false,
            allow_commands: false,
            concurrency: None,
            cache_policy: CachePolicy::Auto,
            if_workspace_changed: IfWorkspaceChanged::Reuse,
            on_provider_down: OnProviderDown::Pause,
            strict: false,
            mood: None,
            fixtures: None,
            engine: EngineLimits::default(),
        }
    }
}

/// A fixture file as pinned with a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixturesPin {
    /// Hash of its content in the store.
    pub hash: Hash,
    /// Where it was read from: the invocation log lies beside it.
    pub path: String,
}

/// Limits of the engine and the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineLimits {
    /// Items of one fan-out.
    pub fan_out: u32,
    /// Milliseconds a synchronous stretch of a script may take.
    pub sync_ms: u64,
    /// Bytes of JavaScript memory.
    pub memory_bytes: u64,
    /// Levels of child workflows below the root.
    pub nesting: u32,
    /// Attempts at a structured answer.
    pub schema_attempts: u32,
    /// Whether somebody said so; else a provider's own number counts.
    #[serde(skip_serializing_if = "crate::core::call::is_default")]
    pub schema_attempts_set: bool,
    /// Milliseconds an attempt may take when the call does not say.
    pub call_timeout_ms: u64,
    /// Calls whose folder is written below the run directory.
    pub call_folders: u32,
    /// Failures in a row to reach a provider after which it is left alone.
    pub breaker_failures: u32,
    /// Milliseconds for which it is.
    pub breaker_open_ms: u64,
    /// Milliseconds that a provider may ask to be left alone for: beyond it the call fails, and a resume asks again.
    pub retry_ceiling_ms: u64,
    /// Milliseconds from a call's first attempt after which it is not tried again where its provider was busy or gone.
    pub retry_total_ms: u64,
    /// Milliseconds for which the answer to an idempotency key counts.
    pub idempotency_ms: u64,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            fan_out: 4096,
            sync_ms: 30_000,
            memory_bytes: 256 * 1024 * 1024,
            nesting: 1,
            schema_attempts: 5,
            schema_attempts_set: false,
            call_timeout_ms: 600_000,
            call_folders: 2000,
            breaker_failures: 5,
            breaker_open_ms: 30_000,
            retry_ceiling_ms: 60_000,
            retry_total_ms: 900_000,
            idempotency_ms: 86_400_000,
        }
    }
}

/// The fixed facts of a run, recorded by its first event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// [`JOURNAL_FORMAT`] of the writer.
    pub format: u32,
    /// `meta.name`.
    pub workflow_name: String,
    /// `meta.description`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Declared phase titles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<String>,
    /// Script or document.
    #[serde(default)]
    pub kind: WorkflowKind,
    /// Hash of the pinned source, whose bytes are in the store.
    pub source_hash: Hash,
    /// Where the source was read from; absent for inline text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_path: Option<String>,
    /// The args; absent is `undefined`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub args: Option<Value>,
    /// The directory agents work in.
    pub workspace: String,
    /// The directory names and relative paths start from.
    pub cwd: String,
    /// The settings it was created with.
    pub settings: Settings,
    /// The run and call that started this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentRef>,
    /// The root of the run tree, when it is another run of the same owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RunId>,
    /// Levels below the root.
    #[serde(default)]
    pub depth: u32,
    /// The run whose outcomes are reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<RunId>,
    /// Why this run exists although another was resumed in place: the replay's divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged: Option<String>,
    /// Who started it: `cli`, `mcp claude-code 2.1.329`.
    pub started_by: String,
    /// The caller's own key against double starts, with the hash of the request it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<(String, Hash)>,
    /// Stored with the run, part of no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// What was worth a word when the run was asked for, as code and sentence: an argument that lost, a hidden file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<(String, String)>,
    /// For whom it runs, as the user said: told to hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Configured hooks that its document names beside those that judge every call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<String>,
    /// Configured cleanups that its tasks name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleanups: Vec<String>,
    /// Configured event sinks that its document names beside those that hear of every run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// The providers that its calls name, where every one of them does; absent = the run's own may be asked, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Vec<String>>,
    /// What a child run's script reads as spent before its first call.
    #[serde(default, skip_serializing_if = "crate::core::call::is_default")]
    pub budget_base: crate::core::budget::Charge,
}

impl RunSpec {
    /// The providers that may answer its calls under these settings; none = it asks no agent.
    pub fn answerers(&self, settings: &Settings) -> Vec<String> {
        let mut names = self.asks.clone().unwrap_or_default();
        // A rule of a fixture file may answer a program or a tool, too.
        if (self.asks.is_none() || settings.fixtures.is_some()) && !names.contains(&settings.provider) {
            names.push(settings.provider.clone());
        }
        names
    }
}

/// The call that started a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentRef {
    /// Its run.
    pub run_id: RunId,
    /// The call.
    pub call_id: CallId,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// Done, failed or cancelled.
    pub status: RunStatus,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
    /// The returned value; absent is `undefined`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub output: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// The run that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<RunId>,
}

/// The stable code of a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunErrorCode {
    /// The script threw.
    ScriptError,
    /// A budget refused a call and the script did not catch it.
    BudgetExhausted,
    /// The call cap refused a call and the script did not catch it.
    CallCap,
    /// A synchronous stretch took too long.
    SyncTimeout,
    /// The script used up its memory.
    OutOfMemory,
    /// The script waits for something that cannot happen.
    Deadlock,
    /// The returned value is not JSON.
    ResultNotJson,
    /// Too many levels of child workflows.
    NestingLimit,
    /// Strict: calls failed.
    Gaps,
    /// The engine itself failed.
    EngineCrash,
    /// A call failed because its provider is not usable.
    ProviderUnavailable,
    /// A fixture rule was never used, in strict fixtures.
    FixtureRuleUnused,
    /// A task of a document failed.
    TaskFailed,
    /// Events did not reach a sink that they must reach.
    EventSinkFailed,
}

impl RunErrorCode {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScriptError => "script_error",
            Self::BudgetExhausted => "budget_exhausted",
            Self::CallCap => "call_cap",
            Self::SyncTimeout => "sync_timeout",
            Self::OutOfMemory => "out_of_memory",
            Self::Deadlock => "deadlock",
            Self::ResultNotJson => "result_not_json",
            Self::NestingLimit => "nesting_limit",
            Self::Gaps => "gaps",
            Self::EngineCrash => "engine_crash",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::FixtureRuleUnused => "fixture_rule_unused",
            Self::TaskFailed => "task_failed",
            Self::EventSinkFailed => "event_sink_failed",
        }
    }
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The stable code.
    pub code: RunErrorCode,
    /// The message, complete by itself.
    pub message: String,
    /// The name of the JavaScript error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it was thrown, 1-based.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column, 1-based.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Up to five frames.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
    /// The call that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
}

impl RunError {
    /// An error with a code and a message.
    pub fn new(code: RunErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), name: None, line: None, column: None, stack: Vec::new(), call_id: None }
    }
}
