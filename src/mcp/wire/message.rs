//! From a line to a message, or to the answer that says what is wrong with it.

use rmcp::model::{
    CallToolRequestParams, CancelTaskParams, ClientJsonRpcMessage, ClientRequest, GetPromptRequestParams,
    GetTaskParams, InitializeRequestParams, PaginatedRequestParams, ReadResourceRequestParams, UpdateTaskParams,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// An error answer to a line that is no request we can serve.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    /// The id as it was written, null where it is not readable.
    pub(super) id: Value,
    pub(super) code: i32,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(id: &Value, code: i32, message: impl Into<String>) -> Self {
        Self { id: id.clone(), code, message: message.into() }
    }

    /// The line that says it.
    pub(super) fn line(&self) -> Vec<u8> {
        let error = json!({ "code": self.code, "message": self.message });
        json!({ "jsonrpc": "2.0", "id": self.id, "error": error }).to_string().into_bytes()
    }
}

pub(super) const PARSE_ERROR: i32 = -32700;
pub(super) const INVALID_REQUEST: i32 = -32600;
pub(super) const METHOD_NOT_FOUND: i32 = -32601;
pub(super) const INVALID_PARAMS: i32 = -32602;

/// What a line was.
#[derive(Debug)]
pub(super) enum Message {
    /// Nothing to do: an empty line, a notification that changes nothing here.
    Nothing,
    Refused(Refusal),
    Request {
        id: Value,
        method: String,
        params: Option<Map<String, Value>>,
    },
    /// `notifications/cancelled` with an id.
    Cancelled {
        id: Value,
    },
    /// An answer to a request of ours.
    Answer(Box<ClientJsonRpcMessage>),
}

/// Reads a line. `max_values` bounds what it may hold.
pub(super) fn read(line: &[u8], max_values: usize) -> Message {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Message::Nothing;
    }
    // Parsed, a short value takes many times the memory of its text.
    if line.len() > max_values && values(line) > max_values {
        let message = format!("invalid request: the message holds more than {max_values} values");
        return refused(&early_id(line), INVALID_REQUEST, message);
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => of_object(object),
        Ok(Value::Array(_)) => {
            let message = "invalid request: batches are gone since 2025-06-18; send one message a line";
            refused(&Value::Null, INVALID_REQUEST, message)
        }
        Ok(other) => {
            let message = format!("invalid request: a message is a JSON object, not {}", kind(&other));
            refused(&Value::Null, INVALID_REQUEST, message)
        }
        Err(error) => {
            // Everything is one line, so the column says where.
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or_default();
            let message = format!("parse error at column {}: {reason}", error.column());
            refused(&Value::Null, PARSE_ERROR, message)
        }
    }
}

fn refused(id: &Value, code: i32, message: impl Into<String>) -> Message {
    Message::Refused(Refusal::new(id, code, message))
}

fn of_object(mut object: Map<String, Value>) -> Message {
    let id = object.get("id").cloned();
    let readable = id.clone().filter(is_id).unwrap_or(Value::Null);
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return refused(&readable, INVALID_REQUEST, "invalid request: `jsonrpc` must be \"2.0\"");
    }
    match object.remove("method") {
        Some(Value::String(method)) => match id {
            Some(id) if is_id(&id) => match object.remove("params") {
                None | Some(Value::Null) => Message::Request { id, method, params: None },
                Some(Value::Object(params)) => Message::Request { id, method, params: Some(params) },
                Some(other) => {
                    let message = format!("{}: `params` must be an object, not {}", short(&method), kind(&other));
                    refused(&id, INVALID_PARAMS, message)
                }
            },
            Some(id) => {
                let message = format!("invalid request: `id` must be a string or a 64-bit integer, not {}", kind(&id));
                refused(&Value::Null, INVALID_REQUEST, message)
            }
            None => notification(&method, object.remove("params")),
        },
        Some(other) => {
            let message = format!("invalid request: `method` must be a string, not {}", kind(&other));
            refused(&readable, INVALID_REQUEST, message)
        }
        None if object.contains_key("result") || object.contains_key("error") => {
            match serde_json::from_value(Value::Object(object)) {
                Ok(answer) => Message::Answer(Box::new(answer)),
                Err(_) => Message::Nothing,
            }
        }
        None => refused(&readable, INVALID_REQUEST, "invalid request: `method` is missing"),
    }
}

/// Only a cancellation changes anything here; a notification is never answered, whatever is wrong with it.
fn notification(method: &str, params: Option<Value>) -> Message {
    let id = (method == "notifications/cancelled").then(|| params?.get_mut("requestId").map(Value::take)).flatten();
    match id {
        Some(id) if is_id(&id) => Message::Cancelled { id },
        Some(_) | None => Message::Nothing,
    }
}

/// The request in rmcp's types, or why its params do not fit.
pub(super) fn typed(method: &str, params: Option<Map<String, Value>>) -> Result<ClientRequest, String> {
    let mut message = Map::new();
    message.insert("method".to_owned(), method.into());
    if let Some(params) = params {
        if params.get("_meta").is_some_and(|meta| !meta.is_object()) {
            return Err("`_meta` must be an object".to_owned());
        }
        // rmcp reads a broken cursor as none, which would give the first page again.
        if let Some(cursor) = params.get("cursor").filter(|cursor| is_known(method) && !cursor.is_string()) {
            return Err(format!("`cursor` must be a string, not {}", kind(cursor)));
        }
        message.insert("params".to_owned(), Value::Object(params));
    }
    // Reading consumes the value, and the reason is looked for afterwards; large requests are not kept twice for it.
    let spare = message.get("params").filter(|p| p.to_string().len() < 10_000).cloned();
    match serde_json::from_value(Value::Object(message)) {
        Ok(ClientRequest::CustomRequest(_)) if is_known(method) => Err(reason(method, spare)),
        Ok(request) => Ok(request),
        Err(_) => Err(reason(method, spare)),
    }
}

fn is_known(method: &str) -> bool {
    matches!(
        method,
        "initialize"
            | "ping"
            | "server/discover"
            | "tools/call"
            | "tools/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "subscriptions/listen"
            | "prompts/list"
            | "prompts/get"
            | "completion/complete"
            | "logging/setLevel"
            | "tasks/get"
            | "tasks/update"
            | "tasks/cancel"
            | "skills/list"
            | "skills/get"
            | "resources/directory/read"
    )
}

/// Why the params of a known method do not fit.
fn reason(method: &str, params: Option<Value>) -> String {
    fn says<T: DeserializeOwned>(params: Value) -> Option<String> {
        serde_json::from_value::<T>(params).err().map(|error| error.to_string())
    }
    let params = params.unwrap_or_else(|| json!({}));
    let found = match method {
        "tools/call" => match (params.get("name"), params.get("arguments")) {
            (None, _) => Some("`name` is missing".to_owned()),
            (Some(name), _) if !name.is_string() => Some(format!("`name` must be a string, not {}", kind(name))),
            (Some(_), Some(arguments)) if !arguments.is_object() => {
                Some(format!("`arguments` must be an object, not {}", kind(arguments)))
            }
            (Some(_), _) => says::<CallToolRequestParams>(params),
        },
        "initialize" => says::<InitializeRequestParams>(params)
            .map(|why| format!("{why} (params: protocolVersion, capabilities, clientInfo {{name, version}})")),
        "prompts/get" => says::<GetPromptRequestParams>(params),
        "resources/read" => says::<ReadResourceRequestParams>(params),
        "tasks/get" => says::<GetTaskParams>(params),
        "tasks/update" => says::<UpdateTaskParams>(params),
        "tasks/cancel" => says::<CancelTaskParams>(params),
        _ => says::<PaginatedRequestParams>(params),
    };
    found.unwrap_or_else(|| "the params do not fit".to_owned())
}

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The revision that took methods away from those before it.
const MODERN: &str = "2026-07-28";

/// Whether the method was taken away by the revision that the request itself names.
pub(super) fn is_removed(method: &str, params: Option<&Map<String, Value>>) -> bool {
    let version = params.and_then(|params| params.get("_meta")?.get(META_VERSION)?.as_str());
    version == Some(MODERN)
        && matches!(
            method,
            "initialize" | "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe"
        )
}

/// Which keys of `_meta` a request outside a session lacks.
pub(super) fn missing_meta(params: Option<&Map<String, Value>>) -> Vec<&'static str> {
    let meta = params.and_then(|params| params.get("_meta"));
    let text = |key: &str| meta.and_then(|meta| meta.get(key)).is_some_and(Value::is_string);
    let object = |key: &str| meta.and_then(|meta| meta.get(key)).is_some_and(Value::is_object);
    let mut missing = Vec::new();
    if !text(META_VERSION) {
        missing.push(META_VERSION);
    }
    if !object(META_CAPABILITIES) {
        missing.push(META_CAPABILITIES);
    }
    missing
}

/// A string, or an integer that can be told from its neighbours.
fn is_id(id: &Value) -> bool {
    match id {
        Value::String(_) => true,
        Value::Number(n) => n.is_i64() || n.is_u64() || n.as_f64().is_some_and(is_exact),
        _ => false,
    }
}

fn is_exact(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0
}

/// The id as a key: `1` and `1.0` are the same, `1` and `"1"` are not.
pub(super) fn id_key(id: &Value) -> String {
    match id {
        Value::Number(n) if n.is_f64() => n.as_f64().map_or_else(|| n.to_string(), |f| format!("{f:.0}")),
        other => other.to_string(),
    }
}

/// The id of a message that is not parsed as a whole, when it stands in front, as clients write it.
pub(super) fn early_id(line: &[u8]) -> Value {
    let head = String::from_utf8_lossy(&line[..line.len().min(4096)]).into_owned();
    let before = head.find("\"params\"").or_else(|| head.find("\"result\"")).unwrap_or(head.len());
    let Some(at) = head[..before].find("\"id\"") else { return Value::Null };
    let Some(rest) = head[at + 4..].trim_start().strip_prefix(':') else { return Value::Null };
    let first = serde_json::Deserializer::from_str(rest).into_iter::<Value>().next();
    first.and_then(Result::ok).filter(is_id).unwrap_or(Value::Null)
}

/// How many values a JSON text holds, near enough: every one but the first of its kind stands behind a mark.
fn values(text: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() && !n.as_f64().is_some_and(is_exact) => "a number that is none",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A name for a message: at most 100 characters of it.
pub(super) fn short(name: &str) -> String {
    if name.chars().count() > 100 {
        format!("{}…", name.chars().take(100).collect::<String>())
    } else {
        name.to_owned()
    }
}
