//! An event of the journal as `--events` and `owf events` print it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::core::event::EventRecord;

/// One committed event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// Its number in the run, gapless from 1.
    pub seq: u64,
    /// When it was appended.
    pub at: String,
    /// What happened: run_created, call_requested, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// The call it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The fact.
    pub data: Map<String, Value>,
}

impl From<&EventRecord> for EventView {
    fn from(record: &EventRecord) -> Self {
        let mut data = match serde_json::to_value(&record.event) {
            Ok(Value::Object(map)) => map,
            // Events are made of JSON alone, so this does not happen; an empty fact is better than no line.
            Ok(_) | Err(_) => Map::new(),
        };
        // Both stand in front already; removal keeps the order of the others.
        data.shift_remove("type");
        data.shift_remove("call_id");
        Self {
            seq: record.seq,
            at: record.at.rfc3339(),
            kind: record.event.kind().to_owned(),
            call_id: record.event.call_id().map(|id| id.to_string()),
            data,
        }
    }
}
