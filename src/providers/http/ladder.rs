//! How an answer is held to its schema, from the strictest way down, and which way a model is known to take.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// One way to hold an answer to a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// The service samples by the schema and guarantees it.
    NativeStrict,
    /// The service is told the schema.
    Native,
    /// A tool must be called whose arguments are the answer.
    ForcedTool,
    /// The service holds the answer to JSON; the schema stands in the prompt.
    JsonObject,
    /// The schema stands in the prompt.
    Prompt,
}

impl Mode {
    /// The word in the journal.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NativeStrict => "native_strict",
            Self::Native => "native",
            Self::ForcedTool => "forced_tool",
            Self::JsonObject => "json_object",
            Self::Prompt => "prompt",
        }
    }

    /// Whether the prompt says the schema.
    pub(super) fn in_prompt(self) -> bool {
        matches!(self, Self::JsonObject | Self::Prompt)
    }
}

/// Every way of the OpenAI dialects.
pub(super) const ALL: &[Mode] = &[Mode::NativeStrict, Mode::Native, Mode::ForcedTool, Mode::JsonObject, Mode::Prompt];
/// What Gemini has.
pub(super) const LOOSE: &[Mode] = &[Mode::Native, Mode::ForcedTool, Mode::JsonObject, Mode::Prompt];
/// What Anthropic has.
pub(super) const NO_JSON: &[Mode] = &[Mode::NativeStrict, Mode::ForcedTool, Mode::Prompt];
/// What a service has that knows no schemas.
pub(super) const JSON_ONLY: &[Mode] = &[Mode::JsonObject, Mode::Prompt];
/// What a local server has that may sample by a schema, and promises nothing.
pub(super) const LOCAL: &[Mode] = &[Mode::Native, Mode::JsonObject, Mode::Prompt];

/// The highest step that a model has not refused for a schema, by service, address, model and schema.
static STEPS: LazyLock<Mutex<HashMap<String, Mode>>> = LazyLock::new(Mutex::default);

/// The step that a model was last brought down to.
pub(super) fn remembered(key: &str) -> Option<Mode> {
    STEPS.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
}

/// Remembers for this process that a model takes nothing above `mode`.
pub(super) fn remember(key: &str, mode: Mode) {
    let mut steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = steps.entry(key.to_owned()).or_insert(mode);
    *known = (*known).max(mode);
}
