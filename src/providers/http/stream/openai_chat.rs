//! Chunks of `chat/completions`: deltas of one message, the usage in a chunk of its own.

use serde_json::{Map, Value, json};

use super::super::wire::{Unread, fault};
use super::gather::{Doing, Flow, Gather, Heard, append, merge};

/// The chunks that have come.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// What stands beside the choices: the model, the usage.
    about: Map<String, Value>,
    message: Map<String, Value>,
    calls: Vec<Map<String, Value>>,
    /// The place that the service gave each call.
    places: Vec<Option<u64>>,
    finish: Option<Value>,
    heard: Heard,
}

impl Gather for Chunks {
    fn take(&mut self, event: Value) -> Result<Flow, Unread> {
        if let Some(fault) = fault(&event) {
            return Err(Unread::Fault(fault));
        }
        let Value::Object(mut event) = event else { return Err(Unread::Shape("event that is an object")) };
        let choices = event.remove("choices");
        merge(&mut self.about, event);
        let first = |choice: &&Value| choice["index"].as_u64().unwrap_or(0) == 0;
        let choice = choices.as_ref().and_then(Value::as_array).and_then(|all| all.iter().find(first));
        let Some(choice) = choice else { return Ok(Flow::More) };
        if let Some(inner) = fault(choice) {
            return Err(Unread::Fault(inner));
        }
        if let Some(delta) = choice.get("delta").and_then(Value::as_object) {
            self.delta(delta);
        }
        if let Some(finish) = choice.get("finish_reason").filter(|finish| finish.is_string()) {
            self.finish = Some(finish.clone());
        }
        // The usage may follow.
        Ok(Flow::More)
    }

    fn heard(&self) -> Heard {
        self.heard
    }

    fn ended(&self) -> bool {
        self.finish.is_some()
    }

    fn body(mut self: Box<Self>) -> Result<Value, Unread> {
        if self.message.is_empty() && self.calls.is_empty() && self.finish.is_none() {
            return Err(Unread::Shape("choices"));
        }
        self.message.entry("content").or_insert(Value::Null);
        if !self.calls.is_empty() {
            self.message.insert("tool_calls".into(), self.calls.into_iter().map(Value::Object).collect());
        }
        let choice = json!({"message": self.message, "finish_reason": self.finish});
        self.about.insert("choices".into(), json!([choice]));
        Ok(Value::Object(self.about))
    }
}

impl Chunks {
    fn delta(&mut self, delta: &Map<String, Value>) {
        for (key, doing) in [
            ("content", Doing::Writing),
            ("refusal", Doing::Writing),
            ("reasoning_content", Doing::Thinking),
            ("reasoning", Doing::Thinking),
        ] {
            match delta.get(key) {
                Some(Value::String(piece)) => {
                    append(&mut self.message, key, piece);
                    self.heard.piece(doing, piece);
                }
                Some(Value::Array(parts)) => {
                    for piece in parts.iter().filter_map(|part| part.get("text")?.as_str()) {
                        append(&mut self.message, key, piece);
                        self.heard.piece(doing, piece);
                    }
                }
                Some(_) | None => {}
            }
        }
        for detail in delta.get("reasoning_details").and_then(Value::as_array).into_iter().flatten() {
            self.detail(detail);
        }
        for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            self.call(call);
        }
    }

    /// A piece of hidden reasoning goes to the last one when it is of the same kind and place.
    fn detail(&mut self, detail: &Value) {
        let all = self.message.entry("reasoning_details").or_insert_with(|| json!([]));
        let Some(all) = all.as_array_mut() else { return };
        let same = |last: &&mut Value| last["type"] == detail["type"] && last["index"] == detail["index"];
        match (all.last_mut().filter(same), detail.as_object()) {
            (Some(Value::Object(last)), Some(detail)) => {
                for (key, value) in detail {
                    match value {
                        Value::Null => {}
                        Value::String(piece) if ["text", "summary", "data"].contains(&key.as_str()) => {
                            append(last, key, piece);
                        }
                        value => drop(last.insert(key.clone(), value.clone())),
                    }
                }
            }
            (_, Some(_)) => all.push(detail.clone()),
            (_, None) => {}
        }
    }

    /// A piece of a tool call. Some services give every call the same place and tell them apart by id only, some give none.
    fn call(&mut self, piece: &Value) {
        let place = piece.get("index").and_then(Value::as_u64);
        let id = piece.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let other = |call: &Map<String, Value>| id.is_some_and(|id| call.get("id").is_some_and(|known| known != id));
        let known = match place {
            Some(_) => self.places.iter().rposition(|known| *known == place),
            None => self.calls.len().checked_sub(1),
        };
        let at = match known.filter(|at| !other(&self.calls[*at])) {
            Some(at) => at,
            None => {
                self.calls.push(Map::new());
                self.places.push(place);
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        for (key, value) in piece.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("index" | "function", _) | (_, Value::Null) => {}
                (_, Value::String(word)) if word.is_empty() => {}
                _ => drop(call.insert(key.clone(), value.clone())),
            }
        }
        let Some(said) = piece.get("function").and_then(Value::as_object) else { return };
        let function = call.entry("function").or_insert_with(|| json!({}));
        let Some(function) = function.as_object_mut() else { return };
        for (key, value) in said {
            match (key.as_str(), value) {
                (_, Value::Null) => {}
                ("arguments", Value::String(piece)) => {
                    append(function, key, piece);
                    self.heard.piece(Doing::Calling, piece);
                }
                // Some repeat the name with every piece.
                ("name", Value::String(name)) if name.is_empty() => {}
                _ => drop(function.insert(key.clone(), value.clone())),
            }
        }
    }
}
