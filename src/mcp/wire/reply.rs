//! What a tool returned as a tool result: a reply as structured content and text, a failure as one JSON text.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::Value;

use crate::core::failure::Failure;

/// Characters of the text of a failure: clients show only the beginning.
const FAILURE_CHARS: usize = 2_000;

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
pub(super) fn failure(failure: &Failure) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(bounded(failure.to_json()).to_string())])
}

/// The failure under 2,000 characters: rows of its lists go first, then the ends of its texts.
fn bounded(mut value: Value) -> Value {
    fn length(value: &Value) -> usize {
        value.to_string().chars().count()
    }
    while length(&value) >= FAILURE_CHARS {
        let Some(error) = value.get_mut("error").and_then(Value::as_object_mut) else { break };
        let longest = error
            .iter()
            .filter(|(_, v)| v.as_array().is_some_and(|rows| !rows.is_empty()))
            .max_by_key(|(_, v)| length(v))
            .map(|(key, _)| key.clone());
        if let Some(rows) = longest.and_then(|key| error.get_mut(&key)).and_then(Value::as_array_mut) {
            rows.pop();
            error.insert("truncated".to_owned(), true.into());
            continue;
        }
        let longest = error.iter().max_by_key(|(_, v)| length(v)).map(|(key, _)| key.clone());
        let Some(slot) = longest.and_then(|key| error.get_mut(&key)) else { break };
        let text = slot.as_str().map_or_else(|| slot.to_string(), str::to_owned);
        *slot = format!("{}…", text.chars().take(text.chars().count() / 2).collect::<String>()).into();
        error.insert("truncated".to_owned(), true.into());
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::failure::Code;

    #[test]
    fn a_failure_stays_under_its_bound_and_keeps_its_code() {
        let rows: Vec<_> =
            (0..500).map(|n| json!({ "path": format!("/{n}"), "message": "must be \"a\" number" })).collect();
        let failure = Failure::new(Code::InvalidArguments, "é\"\n".repeat(3_000))
            .hint("h".repeat(5_000))
            .with("errors", rows)
            .with("owner", json!({ "host": "x".repeat(9_000) }));
        let value = bounded(failure.to_json());
        assert!(value.to_string().chars().count() < FAILURE_CHARS);
        assert_eq!(value["error"]["code"], "invalid_arguments");
        assert_eq!(value["error"]["truncated"], true);
    }

    #[test]
    fn a_short_failure_is_told_as_it_is() {
        let failure = Failure::new(Code::NotFound, "no run").hint("look").with("what", "run");
        assert_eq!(bounded(failure.to_json()), failure.to_json());
    }
}
