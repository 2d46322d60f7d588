//! Events of `responses`: the last one holds the whole answer.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::wire::{Fault, Unread, fault};
use super::gather::{Doing, Flow, Gather, Heard};

/// The events that have come.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Events that are complete, by their place: for a service whose last event leaves them out.
    items: BTreeMap<u64, Value>,
    response: Option<Value>,
    heard: Heard,
}

impl Gather for Events {
    fn take(&mut self, mut event: Value) -> Result<Flow, Unread> {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        let delta = event["delta"].as_str().unwrap_or_default();
        match kind.as_str() {
            "error" => {
                let word = |key: &str| event[key].as_str().map(str::to_owned);
                let said = || Fault { message: word("message").unwrap_or_default(), ..Fault::default() };
                let mut fault = fault(&event).unwrap_or_else(said);
                fault.words.extend(word("code"));
                return Err(Unread::Fault(fault));
            }
            "response.output_text.delta" | "response.refusal.delta" => self.heard.piece(Doing::Writing, delta),
            "response.function_call_arguments.delta" => self.heard.piece(Doing::Calling, delta),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.heard.piece(Doing::Thinking, delta);
            }
            "response.output_item.done" => {
                let place = event["output_index"].as_u64().unwrap_or(self.items.len() as u64);
                self.items.insert(place, event["item"].take());
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.response = Some(event["response"].take());
                return Ok(Flow::Done);
            }
            // A service that knows nothing of types: an error without one.
            "" => {
                if let Some(fault) = fault(&event) {
                    return Err(Unread::Fault(fault));
                }
            }
            _ => {}
        }
        Ok(Flow::More)
    }

    fn heard(&self) -> Heard {
        self.heard
    }

    fn ended(&self) -> bool {
        self.response.is_some()
    }

    fn body(self: Box<Self>) -> Result<Value, Unread> {
        let mut body = self.response.filter(Value::is_object).ok_or(Unread::Shape("response"))?;
        if !self.items.is_empty() && body["output"].as_array().is_none_or(Vec::is_empty) {
            body["output"] = self.items.into_values().collect();
        }
        Ok(body)
    }
}
