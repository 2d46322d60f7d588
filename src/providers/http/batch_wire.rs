//! The two dialects of batches: what is sent, and what is read.

use serde_json::{Value, json};

use super::batch::{BatchPhase, BatchRow, BatchState};
use super::redact::clean;
use super::service::Service;
use super::wire::{Asked, Finish, Held, Turn, Unread, Wire, fault};
use crate::core::outcome::{CallError, ErrorClass};
use crate::core::redact::Redactor;
use crate::providers::prices::TokenUse;

/// A result before it is priced.
pub(super) struct Part {
    pub(super) custom_id: String,
    pub(super) text: Result<String, CallError>,
    pub(super) used: Option<TokenUse>,
    pub(super) model: Option<String>,
}

fn body(service: &Service, row: &BatchRow) -> Value {
    let turns = [Turn::User(row.prompt.clone())];
    service.wire.body(&Asked {
        model: &row.model,
        system: row.system.as_deref(),
        turns: &turns,
        tools: &[],
        held: Held::Free,
        effort: None,
        max_output: row.max_tokens,
        quirks: service.quirks,
        streamed: false,
    })
}

/// Anthropic: all requests in one body.
pub(super) fn requests(service: &Service, rows: &[BatchRow]) -> Value {
    let requests: Vec<Value> =
        rows.iter().map(|row| json!({"custom_id": row.custom_id, "params": body(service, row)})).collect();
    json!({ "requests": requests })
}

/// OpenAI: one line a request.
pub(super) fn lines(service: &Service, rows: &[BatchRow]) -> String {
    let url = endpoint(service.wire);
    let line = |row: &BatchRow| {
        json!({"custom_id": row.custom_id, "method": "POST", "url": url, "body": body(service, row)}).to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// The endpoint that the requests of a batch are for.
pub(super) fn endpoint(wire: Wire) -> &'static str {
    match wire {
        Wire::OpenAiResponses => "/v1/responses",
        Wire::OpenAiChat | Wire::AnthropicMessages | Wire::GeminiGenerate => "/v1/chat/completions",
    }
}

/// A line that does not stand in the text.
pub(super) fn boundary(text: &str) -> String {
    let mut boundary = "owf-batch".to_owned();
    while text.contains(&boundary) {
        boundary.push('x');
    }
    boundary
}

/// The form by which a file is uploaded.
pub(super) fn form(boundary: &str, lines: String) -> Vec<u8> {
    format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
         --{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"batch.jsonl\"\r\n\
         content-type: application/jsonl\r\n\r\n{lines}\r\n--{boundary}--\r\n"
    )
    .into_bytes()
}

/// Where a batch stands.
pub(super) fn state(wire: Wire, value: &Value, secrets: &Redactor) -> Option<BatchState> {
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    if wire == Wire::AnthropicMessages {
        let word = value.get("processing_status")?.as_str()?.to_owned();
        let phase = if word == "ended" { BatchPhase::Ended } else { BatchPhase::Pending };
        let failed =
            ["errored", "canceled", "expired"].iter().map(|name| count(&format!("/request_counts/{name}"))).sum();
        let succeeded = count("/request_counts/succeeded");
        return Some(BatchState {
            phase,
            word: clean(secrets, &word),
            succeeded,
            failed,
            message: None,
            files: Vec::new(),
        });
    }
    let word = value.get("status")?.as_str()?.to_owned();
    let phase = match word.as_str() {
        "completed" | "expired" | "cancelled" => BatchPhase::Ended,
        "failed" => BatchPhase::Failed,
        _ => BatchPhase::Pending,
    };
    let faults = value.pointer("/errors/data").and_then(Value::as_array);
    let message = faults
        .and_then(|all| all.first())
        .and_then(|first| first.get("message")?.as_str())
        .map(|said| clean(secrets, said));
    let file = |name: &str| value.get(name).and_then(Value::as_str).filter(|id| super::batch::is_id(id));
    let files = ["output_file_id", "error_file_id"].iter().filter_map(|name| file(name)).map(str::to_owned).collect();
    let (succeeded, failed) = (count("/request_counts/completed"), count("/request_counts/failed"));
    Some(BatchState { phase, word: clean(secrets, &word), succeeded, failed, message, files })
}

/// One line of the results; none for a line that names nobody.
pub(super) fn result(service: &Service, line: &Value, secrets: &Redactor) -> Option<Part> {
    let custom_id = line.get("custom_id")?.as_str()?.to_owned();
    let said = match service.wire {
        Wire::AnthropicMessages => {
            let result = &line["result"];
            match result["type"].as_str() {
                Some("succeeded") => Ok(&result["message"]),
                Some("errored") => Err(refused(&result["error"], secrets)),
                Some("canceled") => Err(CallError::new(ErrorClass::Cancelled, "the batch was cancelled")),
                Some("expired") => Err(CallError::new(ErrorClass::Timeout, "the batch expired first")),
                _ => Err(CallError::new(ErrorClass::Other, "the service gives no answer and no reason")),
            }
        }
        Wire::OpenAiChat | Wire::OpenAiResponses | Wire::GeminiGenerate => {
            let response = &line["response"];
            match response["status_code"].as_u64() {
                Some(200..300) => Ok(&response["body"]),
                Some(_) => Err(refused(&response["body"], secrets)),
                None if line["error"]["code"] == "batch_expired" => {
                    Err(CallError::new(ErrorClass::Timeout, "the batch expired first"))
                }
                None => Err(refused(line, secrets)),
            }
        }
    };
    let read = said.and_then(|body| {
        service.wire.read(body).map_err(|unread| match unread {
            Unread::Fault(fault) => CallError::new(ErrorClass::Other, clean(secrets, &fault.message)),
            Unread::Shape(what) => CallError::new(ErrorClass::Other, format!("the answer has no {what}")),
        })
    });
    Some(match read {
        Err(error) => Part { custom_id, text: Err(error), used: None, model: None },
        Ok(said) => {
            let text = match said.finish {
                Finish::Done => Ok(said.text),
                Finish::Length => Err(CallError::new(ErrorClass::MaxTokens, "the answer was cut at its length limit")),
                Finish::Refused(word) => {
                    Err(CallError::new(ErrorClass::Refusal, format!("refused: {}", clean(secrets, &word))))
                }
                Finish::ContextFull => Err(CallError::new(ErrorClass::ContextTooLong, "the context is full")),
                Finish::Paused => Err(CallError::new(ErrorClass::Other, "the answer was not finished")),
                Finish::Malformed(word) | Finish::Other(word) => {
                    Err(CallError::new(ErrorClass::Other, format!("the answer ended with {}", clean(secrets, &word))))
                }
            };
            Part { custom_id, text, used: Some(said.used), model: said.model.map(|model| clean(secrets, &model)) }
        }
    })
}

fn refused(body: &Value, secrets: &Redactor) -> CallError {
    let said = fault(body).map(|fault| fault.message).filter(|message| !message.is_empty());
    let said = said.unwrap_or_else(|| "no reason given".to_owned());
    CallError::new(ErrorClass::BadRequest, clean(secrets, &said))
}
