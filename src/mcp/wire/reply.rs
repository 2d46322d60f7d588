//! What a tool returned as a tool result: a reply as structured content and text, a failure as one JSON text.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::Value;

use crate::core::failure::Failure;
use crate::mcp::tools;

/// A reply: structured content, and the same JSON as text for clients that do not know it.
pub(super) fn reply(value: Value) -> CallToolResult {
    if value.get("ok") == Some(&Value::Bool(false)) {
        // A workflow with errors: the whole view, for the model to correct them.
        return CallToolResult::error(vec![ContentBlock::text(value.to_string())]);
    }
    let mut result = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
    result.structured_content = Some(value);
    result
}

/// A failure: no structured content, since it would break the output schema.
pub(super) fn failure(failure: Failure) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(tools::told(failure).to_json().to_string())])
}
