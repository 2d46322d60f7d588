//! From what a service answered to a class of error: the status, its own words, and what it says about trying again.

use std::time::SystemTime;

use serde_json::Value;

use super::client::{Answered, Lost};
use super::hints::Hints;
use super::redact::clean;
use super::service::Service;
use super::wire::{Failed, Fault, Unread, fault};
use crate::core::outcome::{CallError, ErrorClass};
use crate::core::redact::Redactor;
use crate::providers::status::class_of;

/// What a complaint about the schema, or about how the service was told of it, mentions.
const OF_SCHEMA: &[&str] = &[
    "schema",
    "response_format",
    "response format",
    "output_config",
    "output_format",
    "text.format",
    "responsejson",
    "response_json",
    "response mime",
    "responsemime",
    "response_mime",
    "structured output",
    "json mode",
    "json_object",
    "tool_choice",
    "grammar",
    // A router that has no model which knows all parameters.
    "requested parameters",
    "no endpoints found that support",
];

/// What says that the prompt does not fit.
const TOO_LONG: &[&str] = &[
    "context_length_exceeded",
    "exceed_context_size",
    "context length",
    "context window",
    "context size",
    "prompt is too long",
    "input token count",
    "too many tokens",
    "request_too_large",
];

/// The error of an answer whose status is not 200.
pub(super) fn answer(service: &Service, answered: &Answered, secrets: &Redactor) -> Failed {
    let text = String::from_utf8_lossy(&answered.body[..answered.body.len().min(64 << 10)]);
    let body: Value = serde_json::from_str(text.trim()).unwrap_or(Value::Null);
    let hints = Hints::of(&answered.headers, &body, SystemTime::now());
    let said = fault(&body).unwrap_or_else(|| Fault { message: plain(&body, &text), ..Fault::default() });
    let id = ["x-request-id", "request-id"].iter().find_map(|name| answered.headers.get(*name)?.to_str().ok());
    of_fault(service, answered.status, &said, hints, id, secrets)
}

/// The error of an answer with status 200 that is none.
pub(super) fn unread(service: &Service, unread: Unread, answered: &Answered, secrets: &Redactor) -> Failed {
    match unread {
        Unread::Fault(fault) => {
            let hints = Hints::of(&answered.headers, &Value::Null, SystemTime::now());
            // Without a status of its own, in numbers or in words, it is the service's trouble, not that of the request.
            let in_words = || fault.words.iter().find_map(|word| status_of(word));
            let status = fault.status.or_else(in_words).unwrap_or(500);
            of_fault(service, status, &fault, hints, None, secrets)
        }
        Unread::Shape(what) => {
            let message =
                format!("{} answered with something else than {}: no {what}", service.name, service.wire.name());
            let error = CallError::new(ErrorClass::Transport, message);
            Failed { unclear: true, ..error.into() }
        }
    }
}

/// The status that a service would have answered with, had it not begun to answer before: by its word for the error.
fn status_of(word: &str) -> Option<u16> {
    match word.to_lowercase().as_str() {
        "invalid_request_error"
        | "invalid_prompt"
        | "invalid_argument"
        | "failed_precondition"
        | "context_length_exceeded" => Some(400),
        "authentication_error" | "invalid_api_key" | "unauthenticated" => Some(401),
        "billing_error" => Some(402),
        "permission_error" | "permission_denied" => Some(403),
        "not_found_error" | "not_found" | "model_not_found" => Some(404),
        "request_too_large" => Some(413),
        "rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota" | "resource_exhausted" => Some(429),
        "unavailable" | "slow_down" | "server_is_overloaded" => Some(503),
        "timeout_error" | "deadline_exceeded" => Some(504),
        "overloaded_error" => Some(529),
        _ => None,
    }
}

/// Whether a complaint is about an answer in pieces.
fn of_stream(all: &str) -> bool {
    // A service behind another is another matter.
    all.replace("upstream", "").replace("downstream", "").contains("stream")
}

/// The error of a request that got no answer.
pub(super) fn lost(service: &Service, lost: &Lost, secrets: &Redactor) -> Failed {
    // Where nothing was sent, the place may be the fault.
    let host = || service.base.as_ref().ok().and_then(|base| crate::providers::base_url::host(base.as_str()));
    let (why, unclear, at) = match lost {
        Lost::Unsent(why) => (why, false, host().map(|host| format!(" at {host}")).unwrap_or_default()),
        Lost::Unclear(why) => (why, true, String::new()),
    };
    let may = if unclear { " (the request may have been charged)" } else { "" };
    let error = CallError::new(ErrorClass::Transport, format!("{}{at}: {}{may}", service.name, clean(secrets, why)));
    Failed { unclear, ..error.into() }
}

/// The page of a proxy says nothing to a reader; a short text may.
fn plain(body: &Value, text: &str) -> String {
    for key in ["message", "detail"] {
        if let Some(message) = body.get(key).and_then(Value::as_str) {
            return message.to_owned();
        }
    }
    if text.trim_start().starts_with('<') { "a page instead of an answer".to_owned() } else { text.to_owned() }
}

fn of_fault(
    service: &Service,
    status: u16,
    fault: &Fault,
    hints: Hints,
    request_id: Option<&str>,
    secrets: &Redactor,
) -> Failed {
    let words = fault.words.join(" ").to_lowercase();
    let all = format!("{words} {}", fault.message.to_lowercase());
    let mut class = class(status, &words, &all);
    let refused = class == ErrorClass::BadRequest;
    let of_schema = refused && OF_SCHEMA.iter().any(|word| all.contains(word));
    let of_stream = refused && of_stream(&all);
    match hints.should_retry {
        Some(true) if !class.is_retryable() => class = ErrorClass::Transport,
        // It knows better than its status: asking again is of no use.
        Some(false) if class.is_retryable() => class = ErrorClass::Other,
        _ => {}
    }
    let mut said: Vec<String> = fault.words.iter().map(|word| clean(secrets, word)).collect();
    said.dedup();
    let message = clean(secrets, &fault.message);
    if !message.is_empty() {
        said.push(message);
    }
    let said = if said.is_empty() { "nothing more".to_owned() } else { said.join(": ") };
    let id = request_id.map(|id| format!(" (request {})", clean(secrets, id))).unwrap_or_default();
    let retry_after_ms = hints.retry_after_ms.filter(|_| class.is_retryable());
    let later = retry_after_ms.filter(|ms| *ms >= LONG).map(later).unwrap_or_default();
    let mut error = CallError::new(class, format!("{} answered {status}: {said}{id}{later}", service.name));
    error.hint = hint(service, class, status);
    error.retry_after_ms = retry_after_ms;
    Failed { of_schema, of_stream, ..error.into() }
}

/// A wait that no call waits for, in milliseconds: whoever reads of it wants to know when to try again.
const LONG: u64 = 60_000;

/// That a service wants to be left alone for long.
fn later(ms: u64) -> String {
    let minutes = ms.div_ceil(60_000);
    if minutes > 120 {
        format!("; it asks to be asked again in {} hours", minutes.div_ceil(60))
    } else {
        format!("; it asks to be asked again in {minutes} min")
    }
}

fn class(status: u16, words: &str, all: &str) -> ErrorClass {
    let has = |list: &[&str]| list.iter().any(|word| all.contains(word));
    if status == 402
        || has(&["insufficient_quota", "insufficient balance", "credit balance is too low", "billing_error"])
    {
        return ErrorClass::Quota;
    }
    if status == 401 || status == 403 || has(&["api_key_invalid", "api key not valid"]) {
        return if has(&["content_filter", "moderation"]) { ErrorClass::Refusal } else { ErrorClass::Auth };
    }
    if words.contains("overloaded") {
        return ErrorClass::Overloaded;
    }
    match class_of(status) {
        // Some report a prompt that is too long as an error of their own.
        Some(ErrorClass::Transport | ErrorClass::BadRequest) | None if has(TOO_LONG) => ErrorClass::ContextTooLong,
        Some(ErrorClass::BadRequest)
            if has(&["content_filter", "content_policy_violation", "content management policy"]) =>
        {
            ErrorClass::Refusal
        }
        class => class.unwrap_or(ErrorClass::BadRequest),
    }
}

fn hint(service: &Service, class: ErrorClass, status: u16) -> Option<String> {
    let key = service.key_name();
    match class {
        ErrorClass::Auth if !key.is_empty() => Some(format!("check the key in {key}, then resume")),
        ErrorClass::Quota => Some(format!("the account of {} has nothing left; add to it, then resume", service.name)),
        ErrorClass::ContextTooLong => Some("shorten the prompt, or name a model with a larger context".to_owned()),
        ErrorClass::BadRequest if (300..400).contains(&status) => {
            Some("it redirects to another host, which is not followed: correct its base URL".to_owned())
        }
        ErrorClass::BadRequest if status == 404 => {
            Some("check the model's name and the base URL of the provider".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{class, class_of};

    #[test]
    fn without_words_every_status_is_of_the_class_of_the_table() {
        for status in 400..600 {
            assert_eq!(Some(class(status, "", "no")), class_of(status), "{status}");
        }
    }
}
