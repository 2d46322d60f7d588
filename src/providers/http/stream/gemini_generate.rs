//! Pieces of Gemini's `streamGenerateContent`: each is an answer with some more parts.

use serde_json::{Map, Value, json};

use super::super::wire::{Unread, fault};
use super::gather::{Doing, Flow, Gather, Heard, append, merge};

/// The pieces that have come.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// What stands beside the candidates: the model, the usage.
    about: Map<String, Value>,
    /// What stands beside the content of the first candidate.
    candidate: Map<String, Value>,
    /// Whether there was a candidate.
    any: bool,
    parts: Vec<Value>,
    heard: Heard,
}

impl Gather for Pieces {
    fn take(&mut self, event: Value) -> Result<Flow, Unread> {
        if let Some(fault) = fault(&event) {
            return Err(Unread::Fault(fault));
        }
        let Value::Object(mut event) = event else { return Err(Unread::Shape("event that is an object")) };
        let candidates = event.remove("candidates");
        if let Some(Value::Object(usage)) = event.remove("usageMetadata") {
            let known = self.about.entry("usageMetadata").or_insert_with(|| json!({}));
            if let Some(known) = known.as_object_mut() {
                merge(known, usage);
            }
        }
        merge(&mut self.about, event);
        let Some(Value::Array(candidates)) = candidates else { return Ok(Flow::More) };
        let first = |candidate: &Value| candidate["index"].as_u64().unwrap_or(0) == 0;
        let Some(Value::Object(mut candidate)) = candidates.into_iter().find(first) else { return Ok(Flow::More) };
        self.any = true;
        let content = candidate.remove("content");
        merge(&mut self.candidate, candidate);
        if let Some(Value::Array(parts)) = content.and_then(|mut content| content.get_mut("parts").map(Value::take)) {
            for part in parts {
                self.part(part);
            }
        }
        Ok(Flow::More)
    }

    fn heard(&self) -> Heard {
        self.heard
    }

    fn ended(&self) -> bool {
        let blocked = self.about.get("promptFeedback").is_some_and(|feedback| feedback["blockReason"].is_string());
        blocked || self.candidate.get("finishReason").is_some_and(Value::is_string)
    }

    fn body(mut self: Box<Self>) -> Result<Value, Unread> {
        if self.any {
            self.candidate.insert("content".into(), json!({"role": "model", "parts": self.parts}));
            self.about.insert("candidates".into(), json!([self.candidate]));
        }
        Ok(Value::Object(self.about))
    }
}

impl Pieces {
    /// Text goes to the text before it. A part with a signature stays by itself: it must go back as it came.
    fn part(&mut self, part: Value) {
        let thought = part["thought"] == true;
        if let Some(piece) = part["text"].as_str() {
            self.heard.piece(if thought { Doing::Thinking } else { Doing::Writing }, piece);
        }
        if let Some(call) = part.get("functionCall") {
            self.heard.piece(Doing::Calling, &call.to_string());
        }
        let last = self.parts.last_mut().filter(|last| is_text(last) && (last["thought"] == true) == thought);
        match (last.and_then(Value::as_object_mut), part["text"].as_str()) {
            (Some(last), Some(piece)) if is_text(&part) => append(last, "text", piece),
            _ => self.parts.push(part),
        }
    }
}

/// Whether a part is text and nothing else.
fn is_text(part: &Value) -> bool {
    part["text"].is_string()
        && part.as_object().is_some_and(|part| part.keys().all(|key| key == "text" || key == "thought"))
}
