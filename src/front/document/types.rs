//! The document as its author writes it. The JSON Schema that documents are checked against, and that `owf schema document`
//! prints, is made from these types.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::core::call::{CachePolicy, Decider, Decision, Isolation};

/// A workflow document: agents, inputs and a graph of tasks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The schema this document follows, for editors.
    #[serde(rename = "$schema")]
    pub schema_link: Option<String>,
    /// The name it is found by.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Its own version; part of nothing but the text.
    pub version: Option<Version>,
    /// A JSON Schema of the args: an object and its properties. Without it every input that is used must be given.
    pub inputs: Option<Map<String, Value>>,
    /// A word that says how the run is meant, readable as `run.mode`.
    pub mode: Option<String>,
    /// What tasks share: read as `state.k`, written by `set`.
    pub state: Option<State>,
    /// The agents by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Agent>")]
    pub agents: Map<String, Value>,
    /// What holds for every task that does not say otherwise.
    #[serde(default)]
    pub defaults: Defaults,
    /// What a failed task does to the others.
    pub on_failure: Option<OnFailure>,
    /// How many agent and workflow calls may run at once.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: Option<u32>,
    /// Other documents whose agents and tasks become part of this one, by prefix: the task `a` of the document at prefix `p` is `p_a`.
    #[serde(default)]
    pub include: BTreeMap<String, String>,
    /// The tasks by id; each starts when those it comes `after` have ended.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, Task>>")]
    pub tasks: Option<Map<String, Value>>,
    /// The tasks as a list; each comes after the one before it.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Task>>")]
    pub steps: Option<Vec<Value>>,
    /// Hooks of the user's configuration that judge the calls of this document, beside those that judge every call.
    #[serde(default)]
    pub hooks: Vec<String>,
    /// Event sinks of the user's configuration that hear of this document's runs, beside those that hear of every run.
    #[serde(default)]
    pub events: Vec<String>,
    /// Stored with the run. Its `tags`, a list of texts, are those of every event of the run.
    pub metadata: Option<Value>,
    /// What the run returns: any value with templates in it. Without it, the value of the task nothing comes after, or an object of them.
    #[serde(default, deserialize_with = "present")]
    pub result: Option<Value>,
}

/// A version, as text or number.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Version {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
}

/// What tasks share.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// A JSON Schema of it, checked after every write.
    pub schema: Option<Map<String, Value>>,
    /// What it is at the beginning.
    #[serde(default)]
    pub initial: Map<String, Value>,
}

/// Who answers prompts.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Agent {
    /// What it is for.
    #[expect(dead_code, reason = "for readers of the document")]
    pub description: Option<String>,
    /// The provider; none = the run's.
    pub provider: Option<String>,
    /// The model; none = the run's.
    pub model: Option<String>,
    /// low, medium, high, xhigh, max.
    pub effort: Option<Effort>,
    /// The system prompt.
    pub system_prompt: Option<String>,
    /// Who it is, in a few words; stands before the system prompt.
    pub role: Option<String>,
    /// Names of the tools it may use.
    pub tools: Option<Vec<String>>,
    /// The name of an agent file (`.claude/agents`), whose text and tools count.
    #[serde(rename = "type")]
    pub persona: Option<String>,
}

/// How hard a model thinks.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Effort {
    /// The least.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More.
    Xhigh,
    /// All there is.
    Max,
}

impl Effort {
    /// The word providers know.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// What holds for every task that does not say otherwise.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// How failed attempts of agent tasks are tried again.
    pub retry: Option<Retry>,
    /// How long an attempt may take.
    pub timeout: Option<Span>,
    /// How the cache across runs is used.
    pub cache: Option<CachePolicy>,
    /// What a failed task does to the others.
    pub on_failure: Option<OnFailure>,
}

/// What a failed task does to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// What comes after it is cancelled, all else goes on; the run fails.
    #[default]
    ContinueIndependent,
    /// What runs is ended, nothing more starts; the run fails.
    FailFast,
    /// Everything runs, what comes after it too; the run is done, with gaps. A task with routes that failed has chosen none: what
    /// only they lead to is skipped.
    BestEffort,
}

/// A span of time: seconds as a number, or a number with `ms`, `s`, `m`, `h`, `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Milliseconds.
    pub ms: u64,
}

/// Days of the longest span.
pub(super) const LONGEST_DAYS: u32 = 365;

const SPAN: &str = "^(0|[0-9]+(\\.[0-9]+)?(ms|s|m|h|d))$";

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A span of time: seconds as a number, or a number with ms, s, m, h or d, such as \"90s\".",
            "type": ["number", "string"],
            "minimum": 0,
            "maximum": 31_536_000,
            "pattern": SPAN,
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(input)?;
        let read = match &value {
            Value::Number(seconds) => seconds.as_f64().and_then(|s| Self::of(s * 1000.0)),
            Value::String(text) => Self::read(text),
            _ => None,
        };
        read.ok_or_else(|| serde::de::Error::custom("no span of time"))
    }
}

impl Span {
    /// Reads a number with its unit; none when it is no span, or longer than any may be.
    pub(super) fn read(text: &str) -> Option<Self> {
        let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let unit = match &text[end..] {
            "ms" => 1.0,
            "s" | "" => 1e3,
            "m" => 6e4,
            "h" => 3.6e6,
            _ => 8.64e7,
        };
        text[..end].parse::<f64>().ok().and_then(|number| Self::of(number * unit))
    }

    fn of(ms: f64) -> Option<Self> {
        let fits = (0.0..=f64::from(LONGEST_DAYS) * 8.64e7).contains(&ms);
        fits.then_some(Self { ms: ms.ceil() as u64 })
    }
}

/// How failed attempts are tried again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, the first included.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// Before the second attempt.
    pub delay: Option<Span>,
    /// The factor by which the delay grows.
    #[schemars(range(min = 1, max = 100))]
    pub backoff: Option<f64>,
    /// none: exactly the delay; full: anything up to it.
    pub jitter: Option<Jitter>,
    /// The longest delay.
    pub max_delay: Option<Span>,
    /// The classes of errors that are tried again; none = every class that may pass.
    pub on: Option<Vec<crate::core::outcome::ErrorClass>>,
}

/// How a delay varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Not at all.
    #[default]
    None,
    /// Anything from nothing to the delay; it follows from request and attempt.
    Full,
}

/// One task.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    /// Its id, in `steps`.
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    #[expect(dead_code, reason = "read from the value, before the task is")]
    pub id: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The agent that is asked, by its name in `agents`.
    pub agent: Option<String>,
    /// What the agent is asked: a text with templates.
    #[schemars(length(min = 1))]
    pub prompt: Option<String>,
    /// What was said before the prompt: a list of role (user, assistant) and content, or an expression that gives one.
    pub messages: Option<MessagesForm>,
    /// The JSON Schema its answer, or what the program prints, must satisfy: an object.
    pub schema: Option<Map<String, Value>>,
    /// An expression (`input.a + 1`), a text with templates, or a value with such texts in it.
    #[serde(default, deserialize_with = "present")]
    pub expr: Option<Value>,
    /// A program that is run, without a shell: its words, or a map with everything about it. Its text is what it prints.
    pub run: Option<RunForm>,
    /// A tool of the user's configuration, by its name.
    #[schemars(length(min = 1))]
    pub tool: Option<String>,
    /// Names of variables that the environment of the program, or of the agent's program, is given; no text ever holds their values.
    #[schemars(length(min = 1))]
    pub secrets: Option<Vec<String>>,
    /// The files it makes, relative to the workspace: names, each of which must be there when it has ended; or `{pattern}` for
    /// those that match then; or `{from}` for those that its result names. Read as `tasks.id.files`.
    pub outputs: Option<OutputsForm>,
    /// A child workflow: a name, or a path with a slash or an ending.
    #[schemars(length(min = 1))]
    pub workflow: Option<String>,
    /// The args of the child, or the arguments of the tool: a value with templates in it.
    #[serde(default, deserialize_with = "present")]
    pub args: Option<Value>,
    /// A person is asked first; alone it is a task of its own, whose value is the decision.
    pub approval: Option<ApprovalForm>,
    /// The tasks it comes after.
    pub after: Option<OneOrMany>,
    /// An expression; when it is false, the task is skipped.
    pub when: Option<Condition>,
    /// Whether what comes after it is skipped with it.
    #[serde(default)]
    pub skip_dependents: bool,
    /// An expression that gives a list, or a list: the task is done once for every `item`.
    pub for_each: Option<ListForm>,
    /// An expression over `output`: the task is repeated until it is true.
    pub until: Option<Condition>,
    /// How often at most.
    #[schemars(range(min = 1, max = 1000))]
    pub max_iterations: Option<u32>,
    /// How failed attempts are tried again.
    pub retry: Option<Retry>,
    /// How long an attempt may take.
    pub timeout: Option<Span>,
    /// Where to go by what the task gave: key to task, or END.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub routes: Option<Map<String, Value>>,
    /// An expression that gives the key; none = the task's text.
    pub route: Option<String>,
    /// How often the task may be run when routes or a guard lead back to it.
    #[schemars(range(min = 1, max = 1000))]
    pub max_visits: Option<u32>,
    /// Writes to the state: key to value with templates, in which `output` is what the task gave. Taken back when the task fails
    /// or skips itself, and when a guard or its own `outcome` has it run again; kept when a route leads back.
    pub set: Option<Map<String, Value>>,
    /// An expression over `output`: ok, skip, cancel (ends the run), fail or retry; or an object with `outcome` and `reason`.
    pub outcome: Option<String>,
    /// The task checks another: when it gives `false` or an object with `ok: false`, the other is run again.
    pub guard: Option<Guard>,
    /// How the cache across runs is used.
    pub cache: Option<CachePolicy>,
    /// A text with templates: of all calls of this task with the same key, in this run and others, one is carried out and the
    /// rest get its answer. The key may stand for one request only.
    #[schemars(length(min = 1))]
    pub idempotency_key: Option<String>,
    /// Whether the run goes on as if it were done when it fails.
    #[serde(default)]
    pub allow_failure: bool,
    /// Cleanups of the user's configuration that run at the end of the run, whatever its end, when the task was begun: the last
    /// first.
    pub cleanup: Option<OneOrMany>,
    /// `worktree`: the agent works in a git worktree of its own.
    pub isolation: Option<Isolation>,
    /// Paths the agent reads.
    pub read_scope: Option<OneOrMany>,
    /// Paths the agent may write.
    pub write_scope: Option<OneOrMany>,
    /// Stored with the calls.
    pub metadata: Option<Value>,
}

/// Files that a task makes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OutputsForm {
    /// One name: a text with templates.
    One(String),
    /// Names, each a text with templates.
    Many(#[schemars(length(min = 1))] Vec<String>),
    /// Found when the task has ended.
    Found(Outputs),
}

/// Files that are found when a task has ended.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Outputs {
    /// `*` within a name, `**` across names, `?` for one character; without a slash in every directory.
    #[schemars(length(min = 1))]
    pub pattern: Option<String>,
    /// Where the result names them: names and numbers, joined by dots.
    #[schemars(length(min = 1))]
    pub from: Option<String>,
}

/// A program to be run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RunForm {
    /// The program and its arguments, each a text with templates.
    Words(#[schemars(length(min = 1))] Vec<String>),
    /// With everything about it.
    Full(Run),
}

/// A program to be run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    /// The program and its arguments, each a text with templates.
    #[schemars(length(min = 1))]
    pub argv: Vec<String>,
    /// The directory it runs in, relative to the workspace and never outside it.
    pub cwd: Option<String>,
    /// What it reads: a text with templates.
    pub input: Option<String>,
    /// Whether it changes nothing: then it needs no word of a person to be run again.
    #[serde(default)]
    pub read_only: bool,
}

/// One text or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list.
    pub(super) fn list(&self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.clone()],
            Self::Many(many) => many.clone(),
        }
    }
}

/// A condition.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Condition {
    /// Always or never.
    Fixed(bool),
    /// An expression.
    Expression(String),
}

/// What a task goes over.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ListForm {
    /// An expression that gives a list.
    Expression(String),
    /// The list itself.
    List(Vec<Value>),
}

/// What was said before a prompt.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum MessagesForm {
    /// An expression that gives the list.
    Expression(String),
    /// The list itself.
    List(Vec<Message>),
}

/// One thing that was said.
#[derive(Debug, Clone, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    /// Who said it.
    pub role: Speaker,
    /// What: a text with templates.
    pub content: String,
}

/// Who says something.
#[derive(Debug, Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Speaker {
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// A question to a person.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ApprovalForm {
    /// The question alone.
    Message(#[schemars(length(min = 1))] String),
    /// With everything about it.
    Full(Approval),
}

/// A question to a person.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    /// The question: a text with templates.
    #[schemars(length(min = 1))]
    pub message: String,
    /// What a person should see with it: a value with templates in it.
    pub metadata: Option<Value>,
    /// When the question expires.
    pub timeout: Option<Span>,
    /// What an expiry counts as.
    pub on_timeout: Option<Decision>,
    /// Who may decide.
    pub decider: Option<Decider>,
}

/// What a checking task does when it is not content.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    /// The task that is run again; it reads `loop.feedback`.
    pub retry_task: String,
    /// How often that task may be run in all.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: Option<u32>,
    /// Give up when that task gave the same this many times in a row.
    #[schemars(range(min = 2, max = 100))]
    pub stagnation: Option<u32>,
}

/// Reads a field whose `null` is a value of its own.
fn present<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(input).map(Some)
}
