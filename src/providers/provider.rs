//! The contract every provider keeps: a self-contained request in, an answer or a classified error out.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::budget::Charge;
use crate::core::call::CallSpec;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::outcome::{CallError, CostSource, Usage};
use crate::core::run::Mood;

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One attempt of one call, complete: nothing else of the run is needed to carry it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRequest {
    /// The run.
    pub run_id: RunId,
    /// The call.
    pub call_id: CallId,
    /// The attempt's number over the lineage, from 1.
    pub attempt: u32,
    /// The occurrence of the request in its run, from 1.
    pub occurrence: u32,
    /// The request key.
    pub request_key: Hash,
    /// What was asked.
    pub spec: CallSpec,
    /// The run's args, for fixture templates; `null` when there are none.
    pub args: Value,
    /// The model to ask for, after defaults.
    pub model: Option<String>,
    /// The persona's content, when the call names one.
    pub persona: Option<Persona>,
    /// The mood asked for, for the fake provider.
    pub mood: Option<Mood>,
    /// Sizes of generated lists by property name, for the fake provider in a dry run.
    pub assume: BTreeMap<String, u32>,
    /// The directory the call works in.
    pub cwd: PathBuf,
    /// Milliseconds the attempt may take.
    pub timeout_ms: u64,
}

/// An agent persona: a system prompt with defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persona {
    /// Its name.
    pub name: String,
    /// The system prompt.
    pub system: String,
    /// Its tools, none = all.
    pub tools: Option<Vec<String>>,
    /// Its model.
    pub model: Option<String>,
}

/// What an attempt may use besides its request.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Where a transcript may be written; the file does not exist yet, its directory does.
    pub transcript: Option<PathBuf>,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyAnswer {
    /// Text. When a schema was asked for, the engine looks for JSON in it.
    Text(String),
    /// A value.
    Json(Value),
    /// Nothing, although a schema was asked for.
    Missing,
}

/// A provider's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The answer.
    pub answer: ReplyAnswer,
    /// Tokens.
    pub usage: Usage,
    /// Cost in billionths of a US dollar, when known.
    pub cost_nanos: Option<u64>,
    /// Where the cost comes from.
    pub cost_source: CostSource,
    /// The model that answered, when known.
    pub model: Option<String>,
    /// The fixture rule that answered, 0 = the mood.
    pub rule: Option<u32>,
    /// Files it changed, relative to its directory.
    pub changed_files: Vec<String>,
    /// What was said, line by line as JSON, when there is more than prompt and answer.
    pub transcript: Option<String>,
}

/// A provider's failure, with what it used up all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyError {
    /// The classified error.
    pub error: CallError,
    /// Tokens.
    pub usage: Usage,
    /// Cost in billionths of a US dollar, when known.
    pub cost_nanos: Option<u64>,
    /// The fixture rule that answered, 0 = the mood.
    pub rule: Option<u32>,
}

impl From<CallError> for ReplyError {
    fn from(error: CallError) -> Self {
        Self { error, usage: Usage::default(), cost_nanos: None, rule: None }
    }
}

/// What sort of provider it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// Invents answers.
    Fake,
    /// A program on this machine.
    Cli,
    /// A service.
    Http,
}

/// Whether a provider can be used here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Availability {
    /// Whether its program or key is there.
    pub available: bool,
    /// Its version.
    pub version: Option<String>,
    /// What is missing.
    pub message: Option<String>,
}

/// Turns a request into an answer. Implementations hold no state of a run: everything they need is in the request. They
/// never panic on any request, and dropping the future ends the attempt, its child processes included.
pub trait Provider: Send + Sync {
    /// The canonical name.
    fn name(&self) -> &str;

    /// What sort of provider it is.
    fn kind(&self) -> ProviderKind;

    /// The model used when none is asked for.
    fn default_model(&self) -> Option<String> {
        None
    }

    /// Calls at once when nothing is configured.
    fn default_concurrency(&self) -> u32;

    /// Whether it can be used here. Cheap: no network.
    fn availability(&self) -> Availability;

    /// What its answers depend on besides the request, by component name (`provider_version`, `mood`, `fixtures`, ...): goes
    /// into the cache key, never into the request key.
    fn identity(&self, request: &AttemptRequest) -> BTreeMap<String, String>;

    /// Whether answers depend on files of the workspace.
    fn reads_workspace(&self, request: &AttemptRequest) -> bool;

    /// Whether an attempt is worth a claim against other processes asking the same.
    fn wants_claim(&self, request: &AttemptRequest) -> bool;

    /// Whether the attempt's start must be on disk before it is carried out, although the call changes nothing: the attempt may
    /// end this process, and counts all the same.
    fn wants_commit(&self, _request: &AttemptRequest) -> bool {
        false
    }

    /// The most this attempt may charge, as far as it can be told. `calls` is 1.
    fn reserve(&self, request: &AttemptRequest) -> Charge;

    /// Carries the attempt out.
    ///
    /// # Errors
    /// A classified error; its class decides whether the engine tries again.
    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>>;
}
