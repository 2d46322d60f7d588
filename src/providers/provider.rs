//! The contract every provider keeps: a self-contained request in, an answer or a classified error out.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::budget::Charge;
use crate::core::call::CallSpec;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::outcome::{CallError, CostSource, Provenance, SchemaError, Usage};
use crate::core::redact::Redactor;
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
    /// `ROOT/RUN/CALL/ATTEMPT`: the value of [`crate::process::MARKER`] in the environment of every process started for the attempt.
    pub marker: String,
    /// What was wrong with the attempt before, when it broke the schema.
    pub feedback: Option<Feedback>,
    /// What a cost budget leaves it; none = there is no cost budget. Part of no key.
    pub budget: Option<Budgeted>,
}

impl AttemptRequest {
    /// The system prompt: the persona's, then the call's own.
    pub fn system(&self) -> Option<String> {
        let persona = self.persona.as_ref().map(|p| p.system.as_str()).filter(|s| !s.trim().is_empty());
        match (persona, self.spec.ask.system.as_deref()) {
            (None, own) => own.map(str::to_owned),
            (Some(persona), None) => Some(persona.to_owned()),
            (Some(persona), Some(own)) => Some(format!("{persona}\n\n{own}")),
        }
    }

    /// The names of the tools it may use: the call's own list, else the persona's; none = the provider's own choice.
    pub fn tools(&self) -> Option<&[String]> {
        let own = self.spec.ask.tools.as_deref();
        own.or_else(|| self.persona.as_ref().and_then(|p| p.tools.as_deref()))
    }
}

/// What the cost budget of a run leaves an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budgeted {
    /// What was set aside for it at the start.
    pub aside: Charge,
    /// What one that is not heard of before it ends may come to, in billionths of a US dollar: that, and its share of what nobody
    /// has set aside.
    pub left_nanos: Option<u64>,
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

/// An answer of the attempt before that broke its schema: what to tell the model about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// What was answered, as text; none when nothing was.
    pub answer: Option<String>,
    /// Where it broke the schema.
    pub errors: Vec<SchemaError>,
    /// What was wrong, in one sentence.
    pub message: String,
}

/// What an attempt may use besides its request.
#[derive(Clone, Default)]
pub struct CallContext {
    /// Where a transcript may be written; the file does not exist yet, its directory does.
    pub transcript: Option<PathBuf>,
    /// Asks the attempt to end. Only providers with a [`Provider::wind_down`] need to look at it: the others are dropped.
    pub stop: Stop,
    /// Where the attempt says how far it is.
    pub progress: Progress,
    /// The longest wait a service may ask for that is sat out; none = the provider's own.
    pub retry_ceiling: Option<Duration>,
    /// Tools for a provider that has none of its own.
    pub tools: Option<std::sync::Arc<dyn ToolBox>>,
    /// Where an attempt that makes several requests asks before it spends more than was set aside; none = nobody asks.
    pub allowance: Option<std::sync::Arc<dyn Allowance>>,
}

/// What a budget allows one attempt.
pub trait Allowance: Send + Sync {
    /// Sets aside what the attempt has `used` and what its `next` request may need, in place of what was. Returns when that is on
    /// record.
    ///
    /// # Errors
    /// Class `budget`: so much is not left. Class `cancelled`: nobody waits for the attempt any more.
    fn raise(&self, used: Charge, next: Charge) -> BoxFuture<'_, Result<(), CallError>>;
}

impl std::fmt::Debug for CallContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tools: Vec<String> = self.tools.iter().flat_map(|t| t.tools()).map(|t| t.name).collect();
        f.debug_struct("CallContext")
            .field("transcript", &self.transcript)
            .field("tools", &tools)
            .finish_non_exhaustive()
    }
}

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does, written for a model.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub parameters: Value,
}

/// The tools of one attempt, confined to its directory. Only services need them: agent programs bring their own.
pub trait ToolBox: Send + Sync {
    /// The tools on offer, in a fixed order.
    fn tools(&self) -> Vec<ToolSpec>;

    /// Calls a tool. A failure is told to the model, which may go on.
    ///
    /// # Errors
    /// One sentence for the model: an unknown tool, bad arguments, a refused path, a tool that failed.
    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> BoxFuture<'a, Result<String, String>>;

    /// Files that were changed so far, relative to the attempt's directory.
    fn changed_files(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether something was done that must not be done again: such an attempt is not made once more from its beginning.
    fn acted(&self) -> bool {
        !self.changed_files().is_empty()
    }

    /// Whether the last call waits for a person: then the attempt ends, having given what was said so far to [`ToolBox::keep`].
    fn waits(&self) -> bool {
        false
    }

    /// Takes what was said so far, in the provider's own form, for another attempt to go on with.
    fn keep(&self, _said: Value) {}

    /// What another attempt left for this one to go on with.
    fn kept(&self) -> Option<Value> {
        None
    }

    /// The most requests to the model in one attempt.
    fn max_turns(&self) -> u32 {
        25
    }
}

/// A request to end, seen by everyone who holds a copy.
#[derive(Debug, Clone)]
pub struct Stop(std::sync::Arc<tokio::sync::watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(std::sync::Arc::new(tokio::sync::watch::Sender::new(false)))
    }
}

impl Stop {
    /// Asks to end; more than once is like once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether the end was asked for.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the end is asked for.
    pub async fn stopped(&self) {
        let mut seen = self.0.subscribe();
        // The sender lives as long as this value.
        let _ = seen.wait_for(|stopped| *stopped).await;
    }
}

/// Takes what an attempt says about how far it is.
#[derive(Clone, Default)]
pub struct Progress {
    take: Option<std::sync::Arc<dyn Fn(String) + Send + Sync>>,
    /// Values that are taken out before anything is cut: half of one is known no more.
    secrets: Redactor,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Progress").field(&self.take.is_some()).finish()
    }
}

impl Progress {
    /// One that gives every message to `take`.
    pub fn new(take: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self { take: Some(std::sync::Arc::new(take)), secrets: Redactor::default() }
    }

    /// The same without these values.
    #[must_use]
    pub fn with_secrets(self, secrets: Redactor) -> Self {
        Self { secrets, ..self }
    }

    /// Says one short sentence. Cheap, and may be dropped: it is for readers only.
    pub fn say(&self, message: impl Into<String>) {
        if let Some(take) = &self.take {
            let mut message = message.into();
            self.secrets.exact(&mut message);
            take(message);
        }
    }

    /// Says the beginning of a text, on one line of at most `most` characters. Says nothing when there is none.
    pub fn say_short(&self, text: &str, most: usize) {
        if self.take.is_some() {
            let line = self.short(text, most);
            if !line.is_empty() {
                self.say(line);
            }
        }
    }

    /// At most `most` characters of a text on one line, the cut shown and no secret cut in half.
    pub fn short(&self, text: &str, most: usize) -> String {
        let mut text = text.to_owned();
        self.secrets.exact(&mut text);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(most) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line,
        }
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyAnswer {
    /// Text. When a schema was asked for, the engine looks for JSON in it.
    Text(String),
    /// A value.
    Json(Value),
    /// A value, and what was said beside it.
    Both {
        /// The value.
        value: Value,
        /// What was said.
        text: String,
    },
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
    /// Whether tokens were used beside these whose number nobody knows.
    pub usage_unknown: bool,
    /// Cost in billionths of a US dollar, when known.
    pub cost_nanos: Option<u64>,
    /// Where the cost comes from.
    pub cost_source: CostSource,
    /// What it counts for against a cost budget when the cost is not known: what is known of it, and what was set aside for the rest.
    pub charge_nanos: Option<u64>,
    /// What it counts for against a token budget when not all of its usage is known: what is known of it, and what was set aside for the
    /// rest; none = the larger of what is known and what was set aside.
    pub charge_tokens: Option<u64>,
    /// The model that answered, when known.
    pub model: Option<String>,
    /// The fixture rule that answered, 0 = the mood.
    pub rule: Option<u32>,
    /// Files it changed, relative to its directory.
    pub changed_files: Vec<String>,
    /// What was said, line by line as JSON, when there is more than prompt and answer.
    pub transcript: Option<String>,
    /// How the answer came about.
    pub provenance: Provenance,
}

impl Reply {
    /// A reply with this answer and nothing else.
    pub fn new(answer: ReplyAnswer) -> Self {
        Self {
            answer,
            usage: Usage::default(),
            usage_unknown: false,
            cost_nanos: None,
            cost_source: CostSource::Unknown,
            charge_nanos: None,
            charge_tokens: None,
            model: None,
            rule: None,
            changed_files: Vec::new(),
            transcript: None,
            provenance: Provenance::default(),
        }
    }
}

/// A provider's failure, with what it used up all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyError {
    /// The classified error.
    pub error: CallError,
    /// Tokens.
    pub usage: Usage,
    /// Whether tokens were used beside these whose number nobody knows.
    pub usage_unknown: bool,
    /// Cost in billionths of a US dollar, when known.
    pub cost_nanos: Option<u64>,
    /// Where the cost comes from; [`CostSource::Unknown`] for an attempt that may have been charged.
    pub cost_source: CostSource,
    /// What it counts for against a cost budget when the cost is not known: what is known of it, and what was set aside for the rest.
    pub charge_nanos: Option<u64>,
    /// What it counts for against a token budget when not all of its usage is known: what is known of it, and what was set aside for the
    /// rest; none = the larger of what is known and what was set aside.
    pub charge_tokens: Option<u64>,
    /// The model that answered, when known.
    pub model: Option<String>,
    /// The fixture rule that answered, 0 = the mood.
    pub rule: Option<u32>,
    /// What was said so far, line by line as JSON.
    pub transcript: Option<String>,
    /// How it came about.
    pub provenance: Provenance,
}

impl From<CallError> for ReplyError {
    fn from(error: CallError) -> Self {
        Self {
            error,
            usage: Usage::default(),
            usage_unknown: false,
            cost_nanos: None,
            cost_source: CostSource::Unknown,
            charge_nanos: None,
            charge_tokens: None,
            model: None,
            rule: None,
            transcript: None,
            provenance: Provenance::default(),
        }
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

    /// Where its service is; none for what is no service.
    fn base_url(&self) -> Option<String> {
        None
    }

    /// Calls at once when nothing is configured.
    fn default_concurrency(&self) -> u32;

    /// Whether it can be used here. Cheap: no network.
    fn availability(&self) -> Availability {
        Availability { available: true, ..Availability::default() }
    }

    /// What its answers depend on besides the request, by component name (`provider_version`, `mood`, `fixtures`, ...): goes
    /// into the cache key, never into the request key.
    fn identity(&self, _request: &AttemptRequest) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Whether answers depend on files of the workspace.
    fn reads_workspace(&self, request: &AttemptRequest) -> bool;

    /// Whether an attempt is worth a claim against other processes asking the same.
    fn wants_claim(&self, _request: &AttemptRequest) -> bool {
        false
    }

    /// Whether the attempt's start must be on disk before it is carried out, although the call changes nothing: the attempt may
    /// end this process, and counts all the same.
    fn wants_commit(&self, _request: &AttemptRequest) -> bool {
        false
    }

    /// The most this attempt may charge, as far as it can be told. `calls` is 1.
    fn reserve(&self, _request: &AttemptRequest) -> Charge {
        Charge { calls: 1, ..Charge::default() }
    }

    /// The same with room for a long answer, where the provider can be told how long an answer may be.
    fn reserve_long(&self, request: &AttemptRequest) -> Charge {
        self.reserve(request)
    }

    /// How long an attempt that was asked to end ([`CallContext::stop`]) may take to do so and say what it used. Zero: its
    /// future is dropped at once.
    fn wind_down(&self) -> Duration {
        Duration::ZERO
    }

    /// Attempts at a structured answer when nothing is configured; none = the engine's own number.
    fn schema_attempts(&self) -> Option<u32> {
        None
    }

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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::Progress;
    use crate::core::environment::Environment;
    use crate::core::redact::Redactor;

    #[test]
    fn what_is_said_is_cut_only_after_the_secrets_are_out_of_it() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&said);
        let env = Environment::new([("A_KEY".to_owned(), "canary-0123456789".to_owned())]);
        let progress = Progress::new(move |word| ear.lock().unwrap_or_else(PoisonError::into_inner).push(word))
            .with_secrets(Redactor::of(&env, ["A_KEY"]));
        for most in 1..40 {
            progress.say_short("the key\n is canary-0123456789  indeed", most);
        }
        progress.say("canary-0123456789");
        progress.say_short(" \n", 9);
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!((said.len(), said[9].as_str(), said[38].as_str()), (40, "the key is…", "the key is [A_KEY] indeed"));
        assert_eq!(said[39], "[A_KEY]");
        assert!(said.iter().all(|word| !word.contains("can")), "{said:?}");
    }
}
