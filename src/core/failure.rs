//! A request that could not be served: one classification with a stable code, used by every surface.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The stable code of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Arguments are wrong.
    InvalidArguments,
    /// The workflow does not parse or lint.
    InvalidWorkflow,
    /// What was named is not there.
    NotFound,
    /// What was named is there more than once.
    Ambiguous,
    /// No such provider.
    UnknownProvider,
    /// The provider cannot be used here.
    ProviderUnavailable,
    /// A cost budget and no price.
    UnpricedModel,
    /// A process executes the run.
    RunIsLive,
    /// A run without a journal.
    NothingToResume,
    /// Somebody was faster.
    AlreadyDecided,
    /// Too late.
    ApprovalExpired,
    /// The question is not the one that was read.
    ContentChanged,
    /// Only a person may decide.
    PersonRequired,
    /// The request key came with other arguments.
    RequestKeyConflict,
    /// The run has ended.
    RunEnded,
    /// A path guard refused.
    PathRefused,
    /// The file is there already.
    Exists,
    /// A directory with other content, or on a network file system.
    HomeNotAStore,
    /// A limit was passed.
    LimitExceeded,
    /// Nesting of workflows is too deep.
    NestingLimit,
    /// The store was written by a newer owf.
    StoreNewer,
    /// The store is locked by others for too long.
    StoreBusy,
    /// The store cannot grow.
    StoreFull,
    /// The store is damaged.
    StoreCorrupt,
    /// The home cannot be written.
    NotWritable,
    /// A call cannot be taken back, or not any more.
    UndoRefused,
    /// Taking a call back failed; it can be tried again.
    UndoFailed,
    /// A fault of owf itself.
    Internal,
}

impl Code {
    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArguments => "invalid_arguments",
            Self::InvalidWorkflow => "invalid_workflow",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
            Self::UnknownProvider => "unknown_provider",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::UnpricedModel => "unpriced_model",
            Self::RunIsLive => "run_is_live",
            Self::NothingToResume => "nothing_to_resume",
            Self::AlreadyDecided => "already_decided",
            Self::ApprovalExpired => "approval_expired",
            Self::ContentChanged => "content_changed",
            Self::PersonRequired => "person_required",
            Self::RequestKeyConflict => "request_key_conflict",
            Self::RunEnded => "run_ended",
            Self::PathRefused => "path_refused",
            Self::Exists => "exists",
            Self::HomeNotAStore => "home_not_a_store",
            Self::LimitExceeded => "limit_exceeded",
            Self::NestingLimit => "nesting_limit",
            Self::StoreNewer => "store_newer",
            Self::StoreBusy => "store_busy",
            Self::StoreFull => "store_full",
            Self::StoreCorrupt => "store_corrupt",
            Self::NotWritable => "not_writable",
            Self::UndoRefused => "undo_refused",
            Self::UndoFailed => "undo_failed",
            Self::Internal => "internal",
        }
    }

    /// The exit code of a command that fails with it: 4 for the store and owf itself, else 2.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::StoreNewer
            | Self::StoreBusy
            | Self::StoreFull
            | Self::StoreCorrupt
            | Self::NotWritable
            | Self::Internal => 4,
            _ => 2,
        }
    }
}

/// A request that could not be served. Its message is complete by itself; its hint says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// What was wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// What would be accepted, nearest first.
    pub allowed: Vec<String>,
    /// Further keys of the code (`what`, `home`, `errors`, `diagnostics`, `owner`, `limit`, `got`, `run_id`, `log`).
    pub extra: Map<String, Value>,
}

impl Failure {
    /// A failure with a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, allowed: Vec::new(), extra: Map::new() }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with what would be accepted; 20 at most are kept.
    #[must_use]
    pub fn allowed(mut self, allowed: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed = allowed.into_iter().take(20).map(Into::into).collect();
        self
    }

    /// The same with one more key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    /// The JSON object that every surface shows: `{"error": {code, message, hint?, errors?, allowed?, ...}}`.
    pub fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.as_str().into());
        error.insert("message".to_owned(), self.message.clone().into());
        if let Some(hint) = &self.hint {
            error.insert("hint".to_owned(), hint.clone().into());
        }
        if !self.allowed.is_empty() {
            error.insert("allowed".to_owned(), self.allowed.clone().into());
        }
        for (key, value) in &self.extra {
            error.insert(key.clone(), value.clone());
        }
        let mut out = Map::new();
        out.insert("error".to_owned(), Value::Object(error));
        Value::Object(out)
    }
}
