//! What a workflow asks for: the request of one call, split into what identifies it and what only steers it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::ids::Hash;
use crate::core::work::{CommandAsk, OutputsAsk, ToolAsk, ToolNote};

/// The kind of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// A request to an agent on a provider.
    Agent,
    /// A named tool with a schema.
    Tool,
    /// A program that is run.
    Command,
    /// An expression of a document.
    Expr,
    /// A child workflow.
    Workflow,
    /// A question to a person.
    Approval,
    /// A timer: `setTimeout` or `owf.sleep`.
    Timer,
    /// One turn of an agent's queue.
    Turn,
}

impl CallKind {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Command => "command",
            Self::Expr => "expr",
            Self::Workflow => "workflow",
            Self::Approval => "approval",
            Self::Timer => "timer",
            Self::Turn => "turn",
        }
    }
}

/// The part of a request that identifies it: together with the kind it is hashed into the request key, so it holds what
/// the workflow *asked*, as written, and nothing of run settings or environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ask {
    /// The prompt of an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What was said before the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<ChatMessage>>,
    /// The JSON Schema that the answer must satisfy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The model, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The effort, as written; unknown words are dropped before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// The provider, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Names of the tools the agent may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Names of tools the agent may not use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disallowed_tools: Option<Vec<String>>,
    /// `worktree` when the call works in a worktree of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Paths, relative to the workspace, that the agent reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_scope: Option<Vec<String>>,
    /// Paths, relative to the workspace, that the agent may write; non-empty makes the call mutating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_scope: Option<Vec<String>>,
    /// A name that keeps cache entries apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The agent persona asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<String>,
    /// The hash of that persona's pinned content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persona: Option<Hash>,
    /// Any other answer-changing option of the dialect (`bashCommandClamp`, `sharedHeadLength`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<Value>,
    /// The child workflow of a `workflow` call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowAsk>,
    /// The question of an `approval` call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalAsk>,
    /// The delay of a `timer` call in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer_ms: Option<u64>,
    /// The program of a `command` call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandAsk>,
    /// The tool of a `tool` call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolAsk>,
    /// Names of variables whose values only the environment of the child process holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
    /// Files that the call is to make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<OutputsAsk>,
    /// What makes the call one that is carried out once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once: Option<OnceAsk>,
}

impl Ask {
    /// The prompt with what was said before it as text, for agents that take one text.
    pub fn prompt_text(&self) -> Option<String> {
        let messages = self.messages.as_deref().unwrap_or_default();
        let prompt = self.prompt.clone()?;
        if messages.is_empty() {
            return Some(prompt);
        }
        let mut out = "<conversation>\n".to_owned();
        for message in messages {
            let role = message.role.as_str();
            out.push_str(&format!("<{role}>\n{}\n</{role}>\n", message.content));
        }
        Some(format!("{out}</conversation>\n\n{prompt}"))
    }
}

/// What makes a call one that is carried out once: whoever asks again with the same key gets what it gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnceAsk {
    /// The task; keys of two tasks have nothing to do with one another.
    pub task: String,
    /// The key.
    pub key: String,
}

/// One message of a conversation before a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// What is said.
    pub content: String,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatRole {
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

impl ChatRole {
    /// The word on disk and in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// How a call is kept apart from the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// A git worktree of its own.
    Worktree,
}

/// What a `workflow` call asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowAsk {
    /// The child, as written.
    pub target: WorkflowTarget,
    /// Its args; absent is `undefined`, which a child can tell from `null`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub args: Option<Value>,
}

/// How a child workflow is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowTarget {
    /// By `meta.name`.
    Name(String),
    /// By path, relative to the working directory.
    Path(String),
}

impl WorkflowTarget {
    /// A child as it is named: anything that looks like a path is one.
    pub fn named(name: &str) -> Self {
        let ends = [".js", ".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
        if ends || name.contains('/') { Self::Path(name.to_owned()) } else { Self::Name(name.to_owned()) }
    }
}

/// What an approval asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalAsk {
    /// The question.
    pub message: String,
    /// Data a person should see with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Who may decide.
    #[serde(default)]
    pub decider: Decider,
    /// Milliseconds until the question expires; none = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// What an expiry counts as.
    #[serde(default)]
    pub on_timeout: Decision,
}

/// Who may decide an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decider {
    /// Anyone, a client's model included.
    #[default]
    Any,
    /// Only a person: at a terminal, or in a client's own dialog.
    Person,
}

/// The answer to an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Approve,
    /// Do not.
    #[default]
    Deny,
}

impl Decision {
    /// The word the script and the store see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// Where in the source a call was made, 1-based.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Site {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// What becomes of a mutating call whose attempt was in flight when its owner died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// Ask a person (an approval of kind `repeat`).
    #[default]
    Ask,
    /// Run it again.
    Rerun,
    /// Settle it as failed.
    Fail,
}

/// How the cache across runs is used. Ordered: the stricter of two is the greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CachePolicy {
    /// Read and write.
    #[default]
    Auto,
    /// Read only.
    ReadOnly,
    /// Write only: ask again and store the new answer.
    Refresh,
    /// Neither.
    Disabled,
}

impl CachePolicy {
    /// The policy that holds when both `self` and `other` were asked for: what either forbids is forbidden.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Auto, x) | (x, Self::Auto) => x,
            _ => Self::Disabled,
        }
    }

    /// Whether stored answers may be used.
    pub fn reads(self) -> bool {
        matches!(self, Self::Auto | Self::ReadOnly)
    }

    /// Whether fresh answers are stored.
    pub fn writes(self) -> bool {
        matches!(self, Self::Auto | Self::Refresh)
    }
}

/// How failed attempts are tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub max_attempts: u32,
    /// Milliseconds before the second attempt.
    #[serde(default)]
    pub delay_ms: u64,
    /// Factor by which the delay grows.
    #[serde(default = "one")]
    pub backoff: f64,
    /// Error classes that are retried; none = all retryable ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<String>>,
    /// The longest delay in milliseconds that the backoff grows to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
    /// Whether the delay is anything up to its value, by request and attempt, instead of exactly it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub jitter: bool,
}

impl Default for Retry {
    /// One attempt.
    fn default() -> Self {
        Self { max_attempts: 1, delay_ms: 0, backoff: 1.0, on: None, max_delay_ms: None, jitter: false }
    }
}

fn one() -> f64 {
    1.0
}

/// One request, complete: what identifies it and what steers it. Serialisable, so that it can be journaled and sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallSpec {
    /// The kind.
    pub kind: CallKind,
    /// The identifying part.
    pub ask: Ask,
    /// What people call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The phase it is shown under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Where it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// Milliseconds an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Retries asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Cache policy asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CachePolicy>,
    /// What a lost mutating attempt becomes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_lost: OnLost,
    /// Stored with the call, part of no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Configured cleanups that run at the end of the run when the call was begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleanup: Vec<String>,
    /// What the configuration says of the tools that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolNote>,
    /// A request that cannot be carried out, found by the front-end (bad schema, unknown agent type): it is journaled and
    /// settles as failed with this error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<crate::core::outcome::CallError>,
    /// How the call ends, known to the front-end when it asks: the value of an expression, a task that is skipped. It settles so
    /// without an attempt. Not journaled with the request: the outcome event has it.
    #[serde(skip)]
    pub known: Option<Box<crate::core::outcome::Outcome>>,
}

impl CallSpec {
    /// A request of `kind` that asks for `ask`, with nothing else set.
    pub fn new(kind: CallKind, ask: Ask) -> Self {
        Self {
            kind,
            ask,
            label: String::new(),
            phase: None,
            site: None,
            timeout_ms: None,
            retry: None,
            cache: None,
            on_lost: OnLost::Ask,
            metadata: None,
            cleanup: Vec::new(),
            tools: Vec::new(),
            refused: None,
            known: None,
        }
    }

    /// Whether an attempt of this call may change something outside the run.
    pub fn is_mutating(&self) -> bool {
        match self.kind {
            CallKind::Command => self.ask.command.as_ref().is_none_or(|command| !command.read_only),
            // The calls of a child are each what they are.
            CallKind::Tool => self.tools.first().is_none_or(|tool| !tool.read_only && tool.workflow.is_none()),
            _ => {
                self.ask.isolation.is_some()
                    || self.ask.write_scope.as_ref().is_some_and(|s| !s.is_empty())
                    || self.tools.iter().any(|tool| !tool.read_only)
            }
        }
    }

    /// Whether a run of its own carries it out.
    pub fn starts_run(&self) -> bool {
        self.kind == CallKind::Workflow || self.child_of_tool().is_some()
    }

    /// The child workflow that carries a call of a tool out.
    pub fn child_of_tool(&self) -> Option<&WorkflowTarget> {
        self.tools.first().filter(|_| self.kind == CallKind::Tool)?.workflow.as_ref()
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads a field whose `null` is a value of its own, told apart from an absent field.
pub(crate) fn present<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(input).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_before_the_prompt_becomes_text() {
        let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
        let mut ask = Ask { prompt: Some("And now?".into()), ..Ask::default() };
        assert_eq!(ask.prompt_text().as_deref(), Some("And now?"));
        ask.messages = Some(vec![message(ChatRole::User, "Hi"), message(ChatRole::Assistant, "Hello")]);
        assert_eq!(
            ask.prompt_text().as_deref(),
            Some("<conversation>\n<user>\nHi\n</user>\n<assistant>\nHello\n</assistant>\n</conversation>\n\nAnd now?")
        );
    }
}
