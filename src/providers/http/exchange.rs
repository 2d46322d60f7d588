//! One request and its answer: address, key, pace, reading, classification.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::classify;
use super::client::Client;
use super::redact::clean;
use super::service::Service;
use super::wire::{Asked, Failed, Said};
use crate::core::environment::Environment;
use crate::core::outcome::{CallError, ErrorClass};
use crate::core::redact::Redactor;
use crate::providers::pace::Pace;

/// What exchanges of all services of an engine share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) env: Environment,
    pub(super) client: Client,
    pub(super) secrets: Redactor,
}

/// The key of a service, none when it needs none.
///
/// # Errors
/// Class `auth`, naming the variable.
pub(super) fn key(service: &Service, env: &Environment) -> Result<Option<SecretString>, CallError> {
    let found = service.keys.iter().find_map(|name| env.get(name)).map(str::trim).filter(|key| !key.is_empty());
    match found {
        Some(key) => Ok(Some(SecretString::from(key.to_owned()))),
        None if service.keyless => Ok(None),
        None => {
            let mut error = CallError::new(ErrorClass::Auth, missing_key(service));
            error.hint = Some(format!("set {} in the environment, then resume", service.key_name()));
            Err(error)
        }
    }
}

/// The sentence about a key that is not there.
pub(super) fn missing_key(service: &Service) -> String {
    let names = service.keys.join(" or ");
    format!("provider \"{}\" needs a key in the environment variable {names}", service.name)
}

/// Sends a request when the pace of its service allows, which it does within `most`, and reads the answer. `sent` is set while the
/// service works on it.
pub(super) async fn exchange(
    service: &Service,
    shared: &Shared,
    asked: &Asked<'_>,
    most: Duration,
    sent: &AtomicBool,
) -> Result<Said, Failed> {
    let base = service.base.as_ref().map_err(|why| {
        let mut error = CallError::new(ErrorClass::BadRequest, format!("provider \"{}\": {why}", service.name));
        error.hint = Some("correct base_url in the providers file or the environment".to_owned());
        error
    })?;
    let headers = headers(service, key(service, &shared.env)?)?;
    let body = service.wire.body(asked).to_string().into_bytes();
    let pace = Pace::of(&service.key());
    let since = pace.turn(&service.name, most).await?;
    sent.store(true, Ordering::Relaxed);
    let answered = shared.client.post(service.wire.url(base, asked.model), headers, body).await;
    sent.store(false, Ordering::Relaxed);
    let answered = answered.map_err(|lost| classify::lost(service, &lost, &shared.secrets))?;
    let said = if (200..300).contains(&answered.status) {
        match json_of(&answered.body) {
            Some(body) => {
                service.wire.read(&body).map_err(|unread| classify::unread(service, unread, &answered, &shared.secrets))
            }
            None => {
                let start = String::from_utf8_lossy(&answered.body[..answered.body.len().min(200)]).into_owned();
                let message =
                    format!("{} answered with what is no JSON: {}", service.name, clean(&shared.secrets, &start));
                Err(Failed { unclear: true, ..CallError::new(ErrorClass::Transport, message).into() })
            }
        }
    } else {
        Err(classify::answer(service, &answered, &shared.secrets))
    };
    pace.heard(since, said.as_ref().err().map(|failed| &failed.error));
    said
}

pub(super) fn headers(service: &Service, key: Option<SecretString>) -> Result<HeaderMap, CallError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in service.wire.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(key) = key {
        let (name, before) = service.wire.auth();
        let mut value = HeaderValue::from_str(&format!("{before}{}", key.expose_secret())).map_err(|_| {
            let name = service.key_name();
            CallError::new(ErrorClass::Auth, format!("the key in {name} has characters that no key has"))
        })?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

/// The JSON of a body. Blank lines and comment lines (`: keep-alive`) before it keep a connection alive and say nothing.
fn json_of(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(comment) = rest.strip_prefix(':') {
        rest = comment.split_once('\n').map_or("", |(_, after)| after).trim_start();
    }
    serde_json::from_str(rest).ok()
}

#[cfg(test)]
mod tests {
    use super::json_of;
    use serde_json::json;

    #[test]
    fn blank_lines_and_comments_before_the_json_are_passed_over() {
        assert_eq!(json_of(b"\n\n: keep-alive\n\r\n: OPENROUTER PROCESSING\n {\"a\": 1}\n"), Some(json!({"a": 1})));
        assert_eq!(json_of(b": only a comment"), None);
        assert_eq!(json_of(b"{\"a\": "), None);
    }
}
