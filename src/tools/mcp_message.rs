//! Messages of an MCP server: what a line says, which tools a list names, what a call brought.

use serde_json::{Map, Value, json};

/// The most that is kept of what a call brought: its value stands in the journal.
const MOST_RESULT: usize = 1 << 20;
/// Characters of an error that are kept.
const MOST_ERROR: usize = 4_000;

/// A tool as its server describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub schema: Option<Map<String, Value>>,
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Its text.
    pub text: String,
    /// Its value, when it has one besides.
    pub value: Option<Value>,
}

/// What one line of a server is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Incoming {
    /// The answer to a request of ours.
    Answer { id: u64, result: Result<Value, String> },
    /// How far a request of ours is.
    Progress { id: u64, text: String },
    /// A request, with the line that answers it.
    Request { answer: String },
    /// A notification that means nothing here, or an empty line.
    Nothing,
    /// No message.
    Garbage,
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Incoming {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Incoming::Nothing;
    }
    let Ok(Value::Object(message)) = serde_json::from_slice(line) else { return Incoming::Garbage };
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Incoming::Garbage;
    }
    let params = message.get("params");
    match (message.get("method").and_then(Value::as_str), message.get("id")) {
        (Some("notifications/progress"), None) => {
            let params = params.cloned().unwrap_or_default();
            match params.get("progressToken").and_then(Value::as_u64) {
                Some(id) => Incoming::Progress { id, text: progress(&params) },
                None => Incoming::Nothing,
            }
        }
        (Some(_), None) => Incoming::Nothing,
        (Some("ping"), Some(id)) => {
            Incoming::Request { answer: json!({"jsonrpc": "2.0", "id": id, "result": {}}).to_string() }
        }
        (Some(method), Some(id)) => {
            let error = json!({"code": -32601, "message": format!("owf does not answer {method}")});
            Incoming::Request { answer: json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string() }
        }
        (None, Some(id)) => match (id.as_u64(), message.get("result"), message.get("error")) {
            (Some(id), Some(result), None) => Incoming::Answer { id, result: Ok(result.clone()) },
            (Some(id), None, Some(error)) => Incoming::Answer { id, result: Err(refusal(error)) },
            _ => Incoming::Garbage,
        },
        (None, None) => Incoming::Garbage,
    }
}

/// The line that says that an answer is not waited for any more.
pub(super) fn cancelled(id: u64) -> String {
    let params = json!({"requestId": id, "reason": "its call has ended"});
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).to_string()
}

fn progress(params: &Value) -> String {
    let number = |name: &str| params.get(name).filter(|value| value.is_number()).map(Value::to_string);
    let far = match (number("progress"), number("total")) {
        (Some(done), Some(all)) => format!("{done} of {all}"),
        (Some(done), None) => done,
        (None, _) => String::new(),
    };
    match params.get("message").and_then(Value::as_str) {
        Some(text) => clip(text, 200),
        None => far,
    }
}

fn refusal(error: &Value) -> String {
    let text = error.get("message").and_then(Value::as_str).unwrap_or("without a reason");
    let code = error.get("code").and_then(Value::as_i64).map(|code| format!(" ({code})"));
    format!("{}{}", clip(text, MOST_ERROR), code.unwrap_or_default())
}

/// The tools of one page of a list.
pub(super) fn listed(page: &Value) -> Vec<Listed> {
    let tools = page.get("tools").and_then(Value::as_array).into_iter().flatten();
    let one = |tool: &Value| {
        let text = |name: &str| tool.get(name).and_then(Value::as_str).map(str::to_owned);
        let schema = tool.get("inputSchema").and_then(Value::as_object).cloned();
        Some(Listed { name: text("name")?, description: text("description").unwrap_or_default(), schema })
    };
    tools.filter_map(one).collect()
}

/// What a call brought.
///
/// # Errors
/// A clause that goes on from the tool's name: it failed, brought too much, or wants what is not given here.
pub(super) fn said(result: &Value) -> Result<Said, String> {
    match result.get("resultType").and_then(Value::as_str) {
        None | Some("complete") => {}
        Some("input_required") => return Err("asks for more input, which owf does not give".to_owned()),
        Some(other) => return Err(format!("answered with a `{}`, which owf does not take", clip(other, 40))),
    }
    let items = result.get("content").and_then(Value::as_array).into_iter().flatten();
    let text = items.map(in_words).collect::<Vec<_>>().join("\n");
    if result.get("isError").and_then(Value::as_bool) == Some(true) {
        let why = if text.trim().is_empty() { "without a reason".to_owned() } else { clip(&text, MOST_ERROR) };
        return Err(format!("failed: {why}"));
    }
    let value = result.get("structuredContent").filter(|value| !value.is_null()).cloned();
    let size = text.len() + value.as_ref().map_or(0, |value| value.to_string().len());
    if size > MOST_RESULT {
        return Err(format!("brought more than {} KB", MOST_RESULT >> 10));
    }
    Ok(Said { text, value })
}

/// One part of an answer as text; what is none is named.
fn in_words(item: &Value) -> String {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let named = |what: &str| format!("[{what} {}]", text("mimeType").unwrap_or("of an unknown type"));
    match text("type") {
        Some("text") => text("text").unwrap_or_default().to_owned(),
        Some("resource_link") => text("uri").unwrap_or_default().to_owned(),
        Some("resource") => {
            let resource = item.get("resource");
            let inside = |name: &str| resource.and_then(|resource| resource.get(name)).and_then(Value::as_str);
            inside("text").or_else(|| inside("uri")).unwrap_or_default().to_owned()
        }
        Some(kind) => named(kind),
        None => named("content"),
    }
}

fn clip(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_answer_a_request_a_notification_or_garbage() {
        let read = |line: &str| read(line.as_bytes());
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":3,"result":{"a":1}}"#),
            Incoming::Answer { id: 3, result: Ok(json!({"a": 1})) }
        );
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"no such tool"}}"#),
            Incoming::Answer { id: 3, result: Err("no such tool (-32602)".to_owned()) }
        );
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":2,"total":5}}"#;
        assert_eq!(read(progress), Incoming::Progress { id: 7, text: "2 of 5".to_owned() });
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#),
            Incoming::Request { answer: r#"{"jsonrpc":"2.0","id":"a","result":{}}"#.to_owned() }
        );
        let refused = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"owf does not answer roots/list"}}"#;
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#),
            Incoming::Request { answer: refused.to_owned() }
        );
        for nothing in ["", "  ", r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#] {
            assert_eq!(read(nothing), Incoming::Nothing, "{nothing}");
        }
        for garbage in ["Starting...", "[]", "3", "{}", r#"{"jsonrpc":"2.0","id":"x","result":1}"#] {
            assert_eq!(read(garbage), Incoming::Garbage, "{garbage}");
        }
    }

    #[test]
    fn a_result_is_its_text_and_its_value_and_a_failure_its_reason() {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "image", "mimeType": "image/png", "data": "AAAA"},
            {"type": "resource", "resource": {"uri": "file:///x", "text": "inside"}}, {"type": "resource_link", "uri": "file:///y"}]);
        let all = said(&json!({"content": parts, "structuredContent": {"n": 1}}));
        let text = "a\n[image image/png]\ninside\nfile:///y".to_owned();
        assert_eq!(all, Ok(Said { text, value: Some(json!({"n": 1})) }));
        let failed = said(&json!({"isError": true, "content": [{"type": "text", "text": "no such issue"}]}));
        assert_eq!(failed, Err("failed: no such issue".to_owned()));
        let asks = said(&json!({"resultType": "input_required"}));
        assert_eq!(asks, Err("asks for more input, which owf does not give".to_owned()));
        let long = json!({"content": [{"type": "text", "text": "x".repeat(MOST_RESULT + 1)}]});
        assert_eq!(said(&long), Err("brought more than 1024 KB".to_owned()));
    }
}
