//! Events of Anthropic's `messages`: a message without content, its blocks piece by piece, how it ended.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::wire::{Unread, fault};
use super::gather::{Doing, Flow, Gather, Heard, append, merge};

/// As much of a message as has come.
#[derive(Debug, Default)]
pub(super) struct Begun {
    message: Map<String, Value>,
    blocks: BTreeMap<u64, Map<String, Value>>,
    /// The input of tools as text, by the place of the block.
    inputs: BTreeMap<u64, String>,
    heard: Heard,
}

impl Gather for Begun {
    fn take(&mut self, mut event: Value) -> Result<Flow, Unread> {
        if let Some(fault) = fault(&event) {
            return Err(Unread::Fault(fault));
        }
        let place = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                if let Value::Object(message) = event["message"].take() {
                    merge(&mut self.message, message);
                }
            }
            "content_block_start" => {
                if let Value::Object(block) = event["content_block"].take() {
                    self.blocks.insert(place, block);
                }
            }
            "content_block_delta" => self.delta(place, &event["delta"]),
            "message_delta" => {
                if let Value::Object(delta) = event["delta"].take() {
                    merge(&mut self.message, delta);
                }
                // What is counted is counted from the beginning.
                if let Value::Object(usage) = event["usage"].take() {
                    let known = self.message.entry("usage").or_insert_with(|| json!({}));
                    if let Some(known) = known.as_object_mut() {
                        merge(known, usage);
                    }
                }
            }
            "message_stop" => return Ok(Flow::Done),
            // Pings, and what there will be.
            _ => {}
        }
        Ok(Flow::More)
    }

    fn heard(&self) -> Heard {
        self.heard
    }

    fn ended(&self) -> bool {
        self.message.get("stop_reason").is_some_and(Value::is_string)
    }

    fn body(mut self: Box<Self>) -> Result<Value, Unread> {
        if self.message.is_empty() {
            return Err(Unread::Shape("message"));
        }
        let cut = self.message.get("stop_reason").is_some_and(|why| why == "max_tokens");
        for (place, text) in self.inputs {
            let Some(block) = self.blocks.get_mut(&place) else { continue };
            match serde_json::from_str(&text) {
                Ok(Value::Object(input)) => drop(block.insert("input".into(), Value::Object(input))),
                // Whoever is cut off cannot end what was begun; that is told by how it ended.
                Ok(_) | Err(_) if cut => {}
                Ok(_) | Err(_) => return Err(Unread::Shape("JSON in the input of a tool")),
            }
        }
        self.message.insert("content".into(), self.blocks.into_values().map(Value::Object).collect());
        Ok(Value::Object(self.message))
    }
}

impl Begun {
    fn delta(&mut self, place: u64, delta: &Value) {
        let block = self.blocks.entry(place).or_default();
        let piece = |key: &str| delta[key].as_str().unwrap_or_default();
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => {
                append(block, "text", piece("text"));
                self.heard.piece(Doing::Writing, piece("text"));
            }
            "thinking_delta" => {
                append(block, "thinking", piece("thinking"));
                self.heard.piece(Doing::Thinking, piece("thinking"));
            }
            "signature_delta" => append(block, "signature", piece("signature")),
            "input_json_delta" if !piece("partial_json").is_empty() => {
                self.inputs.entry(place).or_default().push_str(piece("partial_json"));
                self.heard.piece(Doing::Calling, piece("partial_json"));
            }
            "citations_delta" => {
                let all = block.entry("citations").or_insert_with(|| json!([]));
                if !all.is_array() {
                    *all = json!([]);
                }
                if let Some(all) = all.as_array_mut() {
                    all.push(delta["citation"].clone());
                }
            }
            _ => {}
        }
    }
}
