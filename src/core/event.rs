//! The facts of a run: one variant per fact, appended to the journal and never changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::call::{ApprovalAsk, CallSpec, Decider, Decision, is_default};
use crate::core::ids::{ApprovalId, CallId, Hash, RunId};
use crate::core::outcome::{CallError, CallRef, Outcome, Usage, WorktreeNote};
use crate::core::price::PriceNote;
use crate::core::run::{RunOutcome, RunSpec, Settings, StatusReason};
use crate::core::time::Millis;

/// One fact of a run. Tagged by `type` in snake case; unknown fields of stored events are tolerated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The run exists. Always the first event.
    RunCreated {
        /// Its fixed facts.
        spec: Box<RunSpec>,
    },
    /// A process took the run up.
    RunStarted {
        /// Who.
        owner: Owner,
    },
    /// The settings are others from now on: a resume changed them.
    SettingsChanged {
        /// All of them.
        settings: Box<Settings>,
    },
    /// The run waits for a person; its process ends.
    RunPaused {
        /// What for.
        reason: StatusReason,
        /// What a provider said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The run was asked to end.
    CancelRequested {
        /// The call, when only one is to end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call_id: Option<CallId>,
        /// Who asked.
        by: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The run ended. Always the last event.
    RunFinished {
        /// How.
        outcome: Box<RunOutcome>,
    },
    /// A call was requested.
    CallRequested {
        /// Its id.
        call_id: CallId,
        /// Hash of what was asked.
        key: Hash,
        /// The how-manieth request with this key in this run, from 1.
        occurrence: u32,
        /// The request.
        spec: Box<CallSpec>,
    },
    /// An attempt began.
    AttemptStarted {
        /// The call.
        call_id: CallId,
        /// Its number over the lineage, from 1.
        attempt: u32,
        /// The provider asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<String>,
        /// The model asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// Cache key and its components.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache: Option<CacheRecord>,
        /// When a timer is due.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due_at: Option<Millis>,
        /// The run of a child workflow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        child_run: Option<RunId>,
        /// Billionths of a US dollar set aside for it, when it asks a provider that bills: what it counts for when its owner dies.
        #[serde(default, skip_serializing_if = "is_default")]
        reserve_nanos: u64,
        /// Output tokens set aside for it, likewise.
        #[serde(default, skip_serializing_if = "is_default")]
        reserve_tokens: u64,
    },
    /// An attempt failed and the call goes on: another attempt follows, or the run pauses.
    AttemptFailed {
        /// The call.
        call_id: CallId,
        /// The attempt.
        attempt: u32,
        /// Why.
        error: CallError,
        /// What it used.
        #[serde(default, skip_serializing_if = "is_default")]
        usage: Usage,
        /// Whether it used tokens beside these whose number nobody knows.
        #[serde(default, skip_serializing_if = "is_default")]
        usage_unknown: bool,
        /// What it cost, in billionths of a US dollar.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost_nanos: Option<u64>,
        /// What it counts for against a cost budget, when that is not what it is known to have cost: nobody knows what an attempt
        /// cost that was cut short, so what was set aside for it counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        charge_nanos: Option<u64>,
        /// What it counts for against a token budget, when that is not what it is known to have used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        charge_tokens: Option<u64>,
        /// The price that the cost was estimated with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        price: Option<Box<PriceNote>>,
        /// The worktree it left, when it changed something in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worktree: Option<WorktreeNote>,
        /// Milliseconds until the next attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_in_ms: Option<u64>,
        /// Milliseconds it took.
        #[serde(default, skip_serializing_if = "is_default")]
        duration_ms: u64,
        /// The fixture rule that answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<u32>,
        /// What was said so far, for the next attempt to go on with: its tools had effects, or a person is asked about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<Box<Value>>,
    },
    /// A running attempt said how far it is. Told for readers; nothing depends on it.
    AttemptProgress {
        /// The call.
        call_id: CallId,
        /// The attempt.
        attempt: u32,
        /// One short sentence.
        message: String,
    },
    /// More was set aside for a running attempt than at its start. On disk before it is spent.
    AttemptRaised {
        /// The call.
        call_id: CallId,
        /// The attempt.
        attempt: u32,
        /// Billionths of a US dollar set aside for it in all: what it counts for from now on when its owner dies.
        reserve_nanos: u64,
    },
    /// A tool of a running attempt is about to change something. On disk before it does.
    ToolStarted {
        /// The call.
        call_id: CallId,
        /// The attempt.
        attempt: u32,
        /// Which of the attempt's effects, from 1.
        number: u32,
        /// The tool.
        tool: String,
        /// What it changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// Its arguments, for a tool of the configuration: what takes it back needs them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        args: Option<Value>,
    },
    /// It has changed it, or has not.
    ToolFinished {
        /// The call.
        call_id: CallId,
        /// The attempt.
        attempt: u32,
        /// Which of the attempt's effects.
        number: u32,
        /// Whether it did what it was to do.
        ok: bool,
        /// What the model was told.
        message: String,
    },
    /// A call ended. The order of these events is the order of delivery.
    CallFinished {
        /// The call of this run.
        call_id: CallId,
        /// How.
        outcome: Box<Outcome>,
        /// Where the outcome comes from, when it was reused from another run's journal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reused: Option<CallRef>,
        /// The last attempt's fixture rule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<u32>,
    },
    /// A person is asked.
    ApprovalAsked {
        /// The question.
        approval: ApprovalNote,
    },
    /// The question has an answer.
    ApprovalDecided {
        /// Which question.
        approval_id: ApprovalId,
        /// The answer.
        decision: Decision,
        /// Whether it came by expiry.
        #[serde(default, skip_serializing_if = "is_default")]
        expired: bool,
        /// Who decided.
        by: String,
        /// Through what: `cli`, `mcp claude-code 2.1.329`, `dialog`, `timeout`.
        via: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A line of the script's log.
    Log {
        /// How severe.
        level: LogLevel,
        /// The text.
        message: String,
        /// Structured fields.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fields: Option<Value>,
    },
    /// The current phase changed.
    Phase {
        /// The new title.
        title: String,
    },
    /// An exception became `null`.
    Swallowed {
        /// What and where.
        #[serde(flatten)]
        what: Swallowed,
    },
    /// Outside content is fixed for the run.
    Pinned {
        /// `persona`, `workflow`.
        kind: String,
        /// The name it was asked for by.
        name: String,
        /// The hash of the content in the store.
        hash: Hash,
        /// Where it was found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// A policy of the user's decided something about a call. One that lets a call go on as it is leaves no event.
    PolicyDecided {
        /// The call.
        call_id: CallId,
        /// Which policy: `hook audit`.
        policy: String,
        /// What it decided.
        verdict: PolicyVerdict,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something a reader of the run should know.
    Warning {
        /// A stable word.
        code: String,
        /// One sentence.
        message: String,
    },
}

impl Event {
    /// All the words of [`Event::kind`].
    pub const TYPES: [&str; 22] = [
        "run_created",
        "run_started",
        "settings_changed",
        "run_paused",
        "cancel_requested",
        "run_finished",
        "call_requested",
        "attempt_started",
        "attempt_failed",
        "attempt_progress",
        "attempt_raised",
        "tool_started",
        "tool_finished",
        "call_finished",
        "approval_asked",
        "approval_decided",
        "log",
        "phase",
        "swallowed",
        "pinned",
        "policy_decided",
        "warning",
    ];

    /// The `type` word of the event.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunCreated { .. } => "run_created",
            Self::RunStarted { .. } => "run_started",
            Self::SettingsChanged { .. } => "settings_changed",
            Self::RunPaused { .. } => "run_paused",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::RunFinished { .. } => "run_finished",
            Self::CallRequested { .. } => "call_requested",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::AttemptProgress { .. } => "attempt_progress",
            Self::AttemptRaised { .. } => "attempt_raised",
            Self::ToolStarted { .. } => "tool_started",
            Self::ToolFinished { .. } => "tool_finished",
            Self::CallFinished { .. } => "call_finished",
            Self::ApprovalAsked { .. } => "approval_asked",
            Self::ApprovalDecided { .. } => "approval_decided",
            Self::Log { .. } => "log",
            Self::Phase { .. } => "phase",
            Self::Swallowed { .. } => "swallowed",
            Self::Pinned { .. } => "pinned",
            Self::PolicyDecided { .. } => "policy_decided",
            Self::Warning { .. } => "warning",
        }
    }

    /// The call the event is about.
    pub fn call_id(&self) -> Option<CallId> {
        match self {
            Self::CallRequested { call_id, .. }
            | Self::AttemptStarted { call_id, .. }
            | Self::AttemptFailed { call_id, .. }
            | Self::AttemptProgress { call_id, .. }
            | Self::AttemptRaised { call_id, .. }
            | Self::PolicyDecided { call_id, .. }
            | Self::ToolStarted { call_id, .. }
            | Self::ToolFinished { call_id, .. }
            | Self::CallFinished { call_id, .. } => Some(*call_id),
            Self::CancelRequested { call_id, .. } => *call_id,
            Self::ApprovalAsked { approval } => Some(approval.call_id),
            Self::RunCreated { .. }
            | Self::RunStarted { .. }
            | Self::SettingsChanged { .. }
            | Self::RunPaused { .. }
            | Self::RunFinished { .. }
            | Self::ApprovalDecided { .. }
            | Self::Log { .. }
            | Self::Phase { .. }
            | Self::Swallowed { .. }
            | Self::Pinned { .. }
            | Self::Warning { .. } => None,
        }
    }
}

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// Its number in the run, gapless from 1.
    pub seq: u64,
    /// When it was appended.
    pub at: Millis,
    /// The fact.
    pub event: Event,
}

/// The process that executes a run, for messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// How many owners the run has had, this one included.
    pub epoch: u64,
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// Boot id of the machine.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    /// Start time of the process, in the system's own unit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub process_start: u64,
}

/// What a policy of the user's decided about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyVerdict {
    /// The call is not made.
    Denied,
    /// Its answer does not count.
    Rejected,
    /// The policy itself failed, which refuses the call or its answer.
    Broken,
    /// The policy itself failed, and is declared to be left aside then.
    Ignored,
}

impl PolicyVerdict {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::Broken => "broken",
            Self::Ignored => "ignored",
        }
    }
}

/// The severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// `console.debug`.
    Debug,
    /// `log`, `console.log`, `console.info`.
    #[default]
    Info,
    /// `console.warn`.
    Warn,
    /// `console.error`.
    Error,
}

/// An exception that `parallel` or `pipeline` turned into `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Swallowed {
    /// Which slot: `parallel[3]`, `pipeline[0]`.
    #[serde(rename = "where")]
    pub place: String,
    /// Line in the script, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The exception's message.
    pub message: String,
    /// The failed call it came from, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
}

/// The cache key of an attempt and one short hash per component, so that a later miss can say what differed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// The cache key.
    pub key: Hash,
    /// The occurrence over the run tree.
    pub occurrence: u32,
    /// Component name to the first 8 hexadecimal digits of its hash, in alphabetical order.
    pub parts: std::collections::BTreeMap<String, String>,
    /// Where the store keeps what the state of the workspace was made of, for providers that read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Hash>,
}

/// The kind of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// Asked by the workflow.
    Approve,
    /// Asked before a tool runs.
    Tool,
    /// Asked because a mutating call was in flight when its owner died.
    Repeat,
}

impl ApprovalKind {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Tool => "tool",
            Self::Repeat => "repeat",
        }
    }
}

/// A question to a person, as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalNote {
    /// Its id in the run.
    pub approval_id: ApprovalId,
    /// The call it belongs to.
    pub call_id: CallId,
    /// The kind.
    pub kind: ApprovalKind,
    /// The question.
    pub message: String,
    /// Data shown with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Hash of everything that was asked (the first 8 hexadecimal digits of a SHA-256): a decision names it.
    pub content_hash: String,
    /// Who may decide.
    #[serde(default)]
    pub decider: Decider,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
    /// What the expiry counts as.
    #[serde(default)]
    pub on_timeout: Decision,
}

impl From<&ApprovalNote> for ApprovalAsk {
    /// The question as it was asked, for as long as it stands.
    fn from(note: &ApprovalNote) -> Self {
        Self {
            message: note.message.clone(),
            metadata: note.metadata.clone(),
            decider: note.decider,
            expires_in_ms: None,
            on_timeout: note.on_timeout,
        }
    }
}
