//! What the four dialects of streams have in common: an event in, in the end the body of an answer out.

use serde_json::{Map, Value};

use super::super::wire::{Unread, Wire};
use super::{anthropic_messages, gemini_generate, openai_chat, openai_responses};

/// Whether more is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// It is.
    More,
    /// The answer is complete.
    Done,
}

/// What a model is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// It thinks.
    Thinking,
    /// It writes its answer.
    Writing,
    /// It writes the arguments of a tool call.
    Calling,
}

/// How far an answer is. No word of it: half a key is not known for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heard {
    doing: Option<Doing>,
    bytes: usize,
}

impl Heard {
    /// Takes note of a piece.
    pub(super) fn piece(&mut self, doing: Doing, piece: &str) {
        if piece.is_empty() {
            return;
        }
        self.doing = Some(doing);
        self.bytes += piece.len();
    }

    /// A sentence for a reader; none while there is nothing to tell.
    pub(super) fn words(self) -> Option<String> {
        let doing = match self.doing? {
            Doing::Thinking => "thinking",
            Doing::Writing => "writing",
            Doing::Calling => "calling a tool",
        };
        Some(format!("{doing}, {} bytes so far", self.bytes))
    }
}

/// Puts the events of one dialect together.
pub(super) trait Gather: Send {
    /// Takes an event.
    ///
    /// # Errors
    /// The service reports an error, or the event is none of the dialect.
    fn take(&mut self, event: Value) -> Result<Flow, Unread>;

    /// How far the answer is.
    fn heard(&self) -> Heard;

    /// Whether the answer is complete although its last event did not come.
    fn ended(&self) -> bool;

    /// The body as it would have come in one.
    ///
    /// # Errors
    /// What makes it none.
    fn body(self: Box<Self>) -> Result<Value, Unread>;
}

/// An empty answer of a dialect.
pub(super) fn begun(wire: Wire) -> Box<dyn Gather> {
    match wire {
        Wire::OpenAiChat => Box::new(openai_chat::Chunks::default()),
        Wire::OpenAiResponses => Box::new(openai_responses::Events::default()),
        Wire::AnthropicMessages => Box::new(anthropic_messages::Begun::default()),
        Wire::GeminiGenerate => Box::new(gemini_generate::Pieces::default()),
    }
}

/// Takes over what an object says anew. A null says nothing.
pub(super) fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    into.extend(from.into_iter().filter(|(_, value)| !value.is_null()));
}

/// Adds to the text of a field.
pub(super) fn append(into: &mut Map<String, Value>, key: &str, piece: &str) {
    match into.get_mut(key) {
        Some(Value::String(text)) => text.push_str(piece),
        Some(_) | None => drop(into.insert(key.to_owned(), piece.into())),
    }
}
