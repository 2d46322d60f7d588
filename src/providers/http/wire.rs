//! What the four dialects have in common: what is asked in one request, what is read from its answer, and which is which.

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ladder::Mode;
use super::{anthropic_messages, gemini_generate, openai_chat, openai_responses};
use crate::core::outcome::CallError;
use crate::providers::ToolSpec;
use crate::providers::prices::TokenUse;

/// The language a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// `POST {base}/chat/completions`.
    OpenAiChat,
    /// `POST {base}/responses`.
    OpenAiResponses,
    /// `POST {base}/v1/messages`.
    AnthropicMessages,
    /// `POST {base}/v1beta/models/{model}:generateContent`.
    GeminiGenerate,
}

/// What sets services apart that speak the same language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quirks {
    /// How it can be held to a schema, best first.
    pub(super) ladder: &'static [Mode],
    /// The field of the chat dialect that bounds the answer.
    pub(super) max_output: &'static str,
    /// How the chat dialect says the effort.
    pub(super) effort: Effort,
    /// Whether it chooses among providers of its own, and must be told to take one that knows all parameters.
    pub(super) routes: bool,
}

/// How the chat dialect says the effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// Not at all.
    Unsaid,
    /// `reasoning_effort`.
    Plain,
    /// `reasoning: {effort}`.
    Nested,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Turn {
    /// What the user says.
    User(String),
    /// What the model said, as text.
    Assistant(String),
    /// What the model said, in the dialect's own form, to be sent back unchanged: signatures and hidden thoughts included.
    Raw(Value),
    /// What the tools it called gave.
    Results(Vec<ToolResult>),
}

impl Turn {
    /// About how long it is, in bytes, where it was not counted by the service yet: what tools gave.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::User(text) | Self::Assistant(text) => text.len(),
            Self::Raw(_) => 0,
            Self::Results(results) => {
                results.iter().map(|one| one.content.as_ref().map_or_else(String::len, String::len)).sum()
            }
        }
    }

    /// The same where nothing of it was counted: it is of a conversation that another attempt has left.
    pub(super) fn bytes_left(&self) -> usize {
        match self {
            Self::Raw(said) => said.to_string().len(),
            Self::User(_) | Self::Assistant(_) | Self::Results(_) => self.bytes(),
        }
    }
}

/// A tool that the model wants called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ToolCall {
    /// Its id, as the dialect has it.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// Its arguments, or why they cannot be read.
    pub(super) arguments: Result<Value, String>,
}

/// What a tool gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ToolResult {
    /// The call it answers.
    pub(super) id: String,
    /// The tool.
    pub(super) name: String,
    /// The result, or what went wrong.
    pub(super) content: Result<String, String>,
}

/// How the answer is held to a schema in one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Held<'a> {
    /// Not at all, or by words in the prompt only.
    Free,
    /// To JSON, by the service.
    Json,
    /// To a schema, by the service.
    Schema {
        /// The projected schema.
        schema: &'a Value,
        /// Whether strictly.
        strict: bool,
        /// The schema's name: letters, digits, `_` and `-`, 64 at most.
        name: &'a str,
    },
    /// By a tool that must be called with the answer.
    Tool {
        /// The tool.
        tool: &'a ToolSpec,
    },
}

/// One request, in no dialect yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The model.
    pub(super) model: &'a str,
    /// The system prompt.
    pub(super) system: Option<&'a str>,
    /// The conversation; the last one is the user's or results of tools.
    pub(super) turns: &'a [Turn],
    /// Tools the model may call.
    pub(super) tools: &'a [ToolSpec],
    /// How the answer is held to a schema.
    pub(super) held: Held<'a>,
    /// The effort.
    pub(super) effort: Option<&'a str>,
    /// The most tokens of the answer; where a dialect must have it, it has its own number.
    pub(super) max_output: Option<u64>,
    /// The service's peculiarities.
    pub(super) quirks: Quirks,
    /// Whether the answer is to come in pieces.
    pub(super) streamed: bool,
}

/// How a model ended its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish {
    /// It was done, or wants tools called.
    Done,
    /// It was cut at its length limit.
    Length,
    /// It, or a filter, refused; with the service's word for it.
    Refused(String),
    /// The context is full.
    ContextFull,
    /// It wants to go on when it is asked to.
    Paused,
    /// What it called is no tool call.
    Malformed(String),
    /// Anything else, with the service's word for it.
    Other(String),
}

/// What was read from an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    /// The text.
    pub(super) text: String,
    /// Tools to call.
    pub(super) calls: Vec<ToolCall>,
    /// How it ended.
    pub(super) finish: Finish,
    /// The answer in the dialect's own form, for [`Turn::Raw`].
    pub(super) raw: Value,
    /// Tokens.
    pub(super) used: TokenUse,
    /// Cost in billionths of a US dollar, when the service says it.
    pub(super) cost_nanos: Option<u64>,
    /// The model that answered.
    pub(super) model: Option<String>,
}

/// An error as the service words it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fault {
    /// The status inside the body, when it has one of its own.
    pub(super) status: Option<u16>,
    /// Type, status word and code.
    pub(super) words: Vec<String>,
    /// The message.
    pub(super) message: String,
}

/// Why an answer with status 200 is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unread {
    /// The service reports an error in it.
    Fault(Fault),
    /// It is not in the dialect's form; with what is missing.
    Shape(&'static str),
}

impl Wire {
    /// The dialect of a `kind` in the configuration.
    pub(super) fn of_kind(kind: &str) -> Option<Self> {
        match kind.trim().to_lowercase().as_str() {
            "openai" | "openai-chat" => Some(Self::OpenAiChat),
            "openai-responses" => Some(Self::OpenAiResponses),
            "anthropic" | "anthropic-messages" => Some(Self::AnthropicMessages),
            "gemini" | "google" | "gemini-generate" => Some(Self::GeminiGenerate),
            _ => None,
        }
    }

    /// The dialect's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::GeminiGenerate => "gemini-generate",
        }
    }

    /// The header that holds the key, and what stands before the key in it.
    pub(super) fn auth(self) -> (&'static str, &'static str) {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses => ("authorization", "Bearer "),
            Self::AnthropicMessages => ("x-api-key", ""),
            Self::GeminiGenerate => ("x-goog-api-key", ""),
        }
    }

    /// Other headers of the dialect.
    pub(super) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::AnthropicMessages => &[("anthropic-version", "2023-06-01")],
            Self::OpenAiChat | Self::OpenAiResponses | Self::GeminiGenerate => &[],
        }
    }

    /// The address of a request, for an answer that is to come in pieces or in one.
    pub(super) fn url(self, base: &Url, model: &str, streamed: bool) -> Url {
        let mut url = base.clone();
        let segments: Vec<String> = match self {
            Self::OpenAiChat => vec!["chat".into(), "completions".into()],
            Self::OpenAiResponses => vec!["responses".into()],
            Self::AnthropicMessages => vec!["v1".into(), "messages".into()],
            Self::GeminiGenerate => {
                let model = model.strip_prefix("models/").unwrap_or(model);
                let verb = if streamed { "streamGenerateContent" } else { "generateContent" };
                vec!["v1beta".into(), "models".into(), format!("{model}:{verb}")]
            }
        };
        let last = url.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        // Some write the version into the base, some leave it to the dialect.
        let skip = usize::from(segments.len() > 1 && segments[0].starts_with('v') && last == segments[0]);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&segments[skip..]);
        }
        if streamed && self == Self::GeminiGenerate {
            url.query_pairs_mut().append_pair("alt", "sse");
        }
        url
    }

    /// The body of a request.
    pub(super) fn body(self, asked: &Asked<'_>) -> Value {
        let mut body = match self {
            Self::OpenAiChat => openai_chat::body(asked),
            Self::OpenAiResponses => openai_responses::body(asked),
            Self::AnthropicMessages => anthropic_messages::body(asked),
            // Here the address says whether it comes in pieces.
            Self::GeminiGenerate => return gemini_generate::body(asked),
        };
        if asked.streamed {
            body["stream"] = true.into();
            if self == Self::OpenAiChat {
                // Without it nobody says what was used.
                body["stream_options"] = json!({"include_usage": true});
            }
        }
        body
    }

    /// Reads an answer with status 200.
    pub(super) fn read(self, body: &Value) -> Result<Said, Unread> {
        match self {
            Self::OpenAiChat => openai_chat::read(body),
            Self::OpenAiResponses => openai_responses::read(body),
            Self::AnthropicMessages => anthropic_messages::read(body),
            Self::GeminiGenerate => gemini_generate::read(body),
        }
    }
}

/// Reads `{"error": {...}}` in any of its dresses: an object with message, type, status and code, or a text.
pub(super) fn fault(body: &Value) -> Option<Fault> {
    // Gemini's list form: `[{"error": ...}]`.
    let body = body.as_array().and_then(|items| items.first()).unwrap_or(body);
    let error = body.get("error").filter(|e| !e.is_null())?;
    if let Some(text) = error.as_str() {
        return Some(Fault { message: text.to_owned(), ..Fault::default() });
    }
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut fault = Fault { message, ..Fault::default() };
    for key in ["type", "status", "code"] {
        match error.get(key) {
            Some(Value::String(word)) => fault.words.push(word.clone()),
            Some(Value::Number(n)) if key == "code" => fault.status = n.as_u64().and_then(|n| u16::try_from(n).ok()),
            _ => {}
        }
    }
    let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    fault.words.extend(details.filter_map(|d| d.get("reason").and_then(Value::as_str)).map(str::to_owned));
    Some(fault)
}

/// The arguments of a tool call that come as text.
pub(super) fn arguments(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_str(text).map_err(|error| format!("the arguments are not JSON: {error}"))
}

/// A whole number at a place of a body; absent is 0.
pub(super) fn count(body: &Value, pointer: &str) -> u64 {
    body.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// A failure of an exchange, with what is known of it beside its class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failed {
    /// The classified error.
    pub(super) error: CallError,
    /// Whether the service complains about the schema, or about how it was told of it.
    pub(super) of_schema: bool,
    /// Whether the service complains that the answer was to come in pieces.
    pub(super) of_stream: bool,
    /// Whether the request may have been charged although no answer came.
    pub(super) unclear: bool,
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self { error, of_schema: false, of_stream: false, unclear: false }
    }
}
