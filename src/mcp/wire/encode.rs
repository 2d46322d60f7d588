//! From what the service answers to a line, under the id that the client gave.

use rmcp::model::{JsonRpcMessage, RequestId, ServerJsonRpcMessage};
use serde::Serialize;
use serde_json::Value;

use super::message::Refusal;
use super::requests::Requests;

#[derive(Serialize)]
struct Answer<'a, T> {
    jsonrpc: &'static str,
    id: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// The line; none for the answer of a request that was cancelled.
pub(super) fn line(message: &ServerJsonRpcMessage, requests: &Requests) -> Option<Vec<u8>> {
    match message {
        JsonRpcMessage::Response(response) => {
            let id = requests.take(number(&response.id)?)?;
            let answer = Answer { jsonrpc: "2.0", id: &id, result: Some(&response.result), error: None };
            Some(serde_json::to_vec(&answer).unwrap_or_else(|error| {
                Refusal::new(&id, -32603, format!("internal error: the answer is not JSON: {error}")).line()
            }))
        }
        JsonRpcMessage::Error(failed) => {
            let id = match &failed.id {
                Some(id) => requests.take(number(id)?)?,
                None => Value::Null,
            };
            let error = serde_json::to_value(&failed.error).ok();
            serde_json::to_vec(&Answer::<()> { jsonrpc: "2.0", id: &id, result: None, error }).ok()
        }
        JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => serde_json::to_vec(message).ok(),
    }
}

/// Requests go inward under numbers of our own.
fn number(id: &RequestId) -> Option<i64> {
    match id {
        RequestId::Number(number) => Some(*number),
        RequestId::String(_) => None,
    }
}
