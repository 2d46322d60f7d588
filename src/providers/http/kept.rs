//! A conversation that one attempt left and another goes on with: what was said, and tools that have yet to be called.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire::{ToolCall, ToolResult, Turn};
use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::ToolBox;

/// A conversation as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What was said after the prompt.
    pub(super) later: Vec<Turn>,
    /// Requests to the model so far.
    pub(super) turn: u32,
    /// The transcript so far.
    pub(super) transcript: Vec<Value>,
    /// What the model said last, when not all tools that it wants have been called.
    pub(super) open: Option<Open>,
}

/// Tools that a model wants called, some of which have been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    /// What the model said, in the dialect's own form.
    pub(super) raw: Value,
    /// All that it wants called.
    pub(super) calls: Vec<ToolCall>,
    /// What the first of them gave.
    pub(super) results: Vec<ToolResult>,
}

impl Kept {
    /// What another attempt left; nothing when this is the first.
    ///
    /// # Errors
    /// It cannot be read: nothing is done twice for that.
    pub(super) fn of(tools: Option<&dyn ToolBox>) -> Result<Self, CallError> {
        let Some(kept) = tools.and_then(ToolBox::kept) else { return Ok(Self::default()) };
        serde_json::from_value(kept).map_err(|error| {
            let message = format!("what an earlier attempt left cannot be read: {error}");
            CallError::new(ErrorClass::Other, message)
        })
    }

    /// Leaves it to another attempt.
    pub(super) fn leave(self, tools: Option<&dyn ToolBox>) {
        if let (Some(tools), Ok(kept)) = (tools, serde_json::to_value(self)) {
            tools.keep(kept);
        }
    }
}
