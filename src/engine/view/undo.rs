//! A call that was taken back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::ids::RunId;

/// Reply of `owf undo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UndoView {
    /// The run that had made the call.
    pub run_id: RunId,
    /// The call.
    pub call_id: String,
    /// The tool.
    pub tool: String,
    /// Which use of a tool by the call's agent, when it was one.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub used: Option<u32>,
    /// What its undo printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}
