//! Listening to an answer that may come in pieces: it tells by its first bytes whether it does.

use serde_json::Value;

use super::super::wire::{Unread, Wire};
use super::gather::{Flow, Gather, Heard, begun};
use super::sse::Sse;

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// There was nothing but blank lines and comments, which keep a connection alive.
    Unknown,
    /// In one.
    Whole,
    /// As events.
    Events,
}

/// An answer under way.
pub(in super::super) struct Listener {
    wire: Wire,
    form: Form,
    /// What has come, as long as it may be an answer in one.
    whole: Vec<u8>,
    sse: Sse,
    gather: Box<dyn Gather>,
    /// Whether an event was taken.
    any: bool,
    /// Whether the last event has come.
    done: bool,
}

/// What an answer was when nothing more came.
#[derive(Debug)]
pub(in super::super) enum Ended {
    /// The body as it came, in one.
    Whole(Vec<u8>),
    /// What the events came to.
    Gathered(Result<Value, Unread>),
    /// Events that broke off before the last one.
    Broken,
}

impl Listener {
    /// For the answer of a dialect.
    pub(in super::super) fn new(wire: Wire) -> Self {
        let gather = begun(wire);
        Self { wire, form: Form::Unknown, whole: Vec::new(), sse: Sse::default(), gather, any: false, done: false }
    }

    /// Whether it comes as events.
    pub(in super::super) fn streams(&self) -> bool {
        self.form == Form::Events
    }

    /// Whether nothing more needs to be heard.
    pub(in super::super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the answer is complete, whatever may still be told about it.
    pub(in super::super) fn is_complete(&self) -> bool {
        self.any && self.gather.ended()
    }

    /// Whether the model has begun to answer: that is paid for.
    pub(in super::super) fn has_begun(&self) -> bool {
        self.gather.heard() != Heard::default()
    }

    /// How far it is, for a reader.
    pub(in super::super) fn words(&self) -> Option<String> {
        self.gather.heard().words()
    }

    /// Takes what has come.
    ///
    /// # Errors
    /// The service reports an error, or what came is none of its dialect.
    pub(in super::super) fn take(&mut self, bytes: &[u8]) -> Result<(), Unread> {
        if self.form != Form::Events {
            self.whole.extend_from_slice(bytes);
        }
        if self.form == Form::Unknown {
            self.form = form(&self.whole);
            if self.form == Form::Events {
                let before = self.whole.clone();
                return self.events(&before);
            }
            return Ok(());
        }
        if self.form == Form::Events { self.events(bytes) } else { Ok(()) }
    }

    fn events(&mut self, bytes: &[u8]) -> Result<(), Unread> {
        for event in self.sse.take(bytes) {
            self.event(&event)?;
        }
        Ok(())
    }

    fn event(&mut self, data: &[u8]) -> Result<(), Unread> {
        let data = data.trim_ascii();
        if data.is_empty() || self.done {
            return Ok(());
        }
        self.any = true;
        self.whole = Vec::new();
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let event = serde_json::from_slice(data).map_err(|_| Unread::Shape("JSON in an event"))?;
        self.done = self.gather.take(event)? == Flow::Done;
        Ok(())
    }

    /// Nothing more comes.
    pub(in super::super) fn end(mut self) -> Ended {
        if self.form == Form::Events
            && let Some(last) = self.sse.end()
            && let Err(unread) = self.event(&last)
        {
            // Half an event is the end of a stream that broke.
            return if matches!(unread, Unread::Shape(_)) { Ended::Broken } else { Ended::Gathered(Err(unread)) };
        }
        if !self.any {
            return self.pieces_in_one();
        }
        if !self.done && !self.gather.ended() {
            return Ended::Broken;
        }
        Ended::Gathered(self.gather.body())
    }

    /// Gemini has a form of its own for pieces: a list of them.
    fn pieces_in_one(mut self) -> Ended {
        let pieces = match self.wire {
            Wire::GeminiGenerate => serde_json::from_slice::<Vec<Value>>(&self.whole).unwrap_or_default(),
            Wire::OpenAiChat | Wire::OpenAiResponses | Wire::AnthropicMessages => Vec::new(),
        };
        if pieces.is_empty() {
            return Ended::Whole(self.whole);
        }
        for piece in pieces {
            if let Err(unread) = self.gather.take(piece) {
                return Ended::Gathered(Err(unread));
            }
        }
        if self.gather.ended() { Ended::Gathered(self.gather.body()) } else { Ended::Broken }
    }
}

/// What the first line that says something says: every field of an event has a name of small letters.
fn form(bytes: &[u8]) -> Form {
    let mut rest = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => return Form::Unknown,
            // Half a mark is none yet.
            Some(0xef) if rest.len() < 3 => return Form::Unknown,
            Some(b':') => match rest.iter().position(|byte| *byte == b'\n' || *byte == b'\r') {
                Some(end) => rest = &rest[end..],
                None => return Form::Unknown,
            },
            Some(b'a'..=b'z') => return Form::Events,
            Some(_) => return Form::Whole,
        }
    }
}
