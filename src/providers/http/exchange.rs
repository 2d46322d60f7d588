//! One request and its answer: address, key, pace, reading, classification.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::timeout;

use super::classify;
use super::client::{Answered, Client, Lost, Open, Timeouts};
use super::redact::clean;
use super::service::Service;
use super::stream::{Ended, Listener};
use super::wire::{Asked, Failed, Said, Unread, Wire};
use crate::core::environment::Environment;
use crate::core::outcome::{CallError, ErrorClass};
use crate::core::redact::Redactor;
use crate::providers::Progress;
use crate::providers::pace::Pace;

/// How often is said how far an answer is.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How long the end of a connection is waited for after the end of an answer.
const LINGER: Duration = Duration::from_millis(100);

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

/// What hears of an exchange while it lasts.
#[derive(Clone, Copy)]
pub(super) struct Ears<'a> {
    /// Set while the service works on the request.
    pub(super) sent: &'a AtomicBool,
    /// Told how far an answer is that comes in pieces.
    pub(super) progress: &'a Progress,
}

/// An answer as it was heard.
enum Heard {
    /// In one.
    Whole(Answered),
    /// In pieces, which came to a body or to none; the body of `Answered` is empty.
    Pieces {
        answered: Answered,
        body: Result<Value, Unread>,
        /// Whether the model had begun to answer.
        begun: bool,
    },
}

/// Sends a request when the pace of its service allows, which it does within `most`, and reads the answer.
pub(super) async fn exchange(
    service: &Service,
    shared: &Shared,
    asked: &Asked<'_>,
    most: Duration,
    ears: Ears<'_>,
) -> Result<Said, Failed> {
    let base = service.base.as_ref().map_err(|why| {
        let mut error = CallError::new(ErrorClass::BadRequest, format!("provider \"{}\": {why}", service.name));
        error.hint = Some("correct base_url in the providers file or the environment".to_owned());
        error
    })?;
    let headers = headers(service, key(service, &shared.env)?)?;
    let body = service.wire.body(asked).to_string().into_bytes();
    let url = service.wire.url(base, asked.model, asked.streamed);
    let pace = Pace::of(&service.key());
    let since = pace.turn(&service.name, most).await?;
    ears.sent.store(true, Ordering::Relaxed);
    let heard = match shared.client.open(url, headers, body).await {
        Ok(open) => hear(service.wire, open, shared.client.timeouts(), ears.progress).await,
        Err(lost) => Err(lost),
    };
    ears.sent.store(false, Ordering::Relaxed);
    let said = match heard.map_err(|lost| classify::lost(service, &lost, &shared.secrets))? {
        Heard::Whole(answered) => whole(service, shared, asked, &answered),
        Heard::Pieces { answered, body, begun } => {
            body.and_then(|body| service.wire.read(&body)).map_err(|unread| {
                let failed = classify::unread(service, unread, &answered, &shared.secrets);
                // What was said before it went wrong may have to be paid for.
                Failed { unclear: failed.unclear || begun, ..failed }
            })
        }
    };
    pace.heard(since, said.as_ref().err().map(|failed| &failed.error));
    said
}

/// Listens to an answer to its end. What is no answer comes in one.
async fn hear(wire: Wire, mut open: Open, waits: Timeouts, progress: &Progress) -> Result<Heard, Lost> {
    let answered = open.head();
    if !(200..300).contains(&answered.status) {
        return Ok(Heard::Whole(open.whole().await?));
    }
    let mut listener = Listener::new(wire);
    let mut told = Instant::now();
    let mut complete: Option<Instant> = None;
    while !listener.is_done() {
        let next = open.next();
        let next = match complete {
            // What may follow is the usage; an answer that is there is not thrown away for want of its last word.
            Some(since) => match timeout(waits.last_word.saturating_sub(since.elapsed()), next).await {
                Ok(Ok(next)) => next,
                Ok(Err(_)) | Err(_) => break,
            },
            None if listener.streams() => {
                let silent = |_| Lost::Unclear("it fell silent in the middle of its answer".to_owned());
                timeout(waits.idle, next).await.map_err(silent)??
            }
            None => next.await?,
        };
        let Some(chunk) = next else { break };
        if let Err(unread) = listener.take(chunk.as_ref()) {
            return Ok(Heard::Pieces { answered, body: Err(unread), begun: listener.has_begun() });
        }
        if complete.is_none() && listener.is_complete() {
            complete = Some(Instant::now());
        }
        if told.elapsed() >= TELL_EVERY
            && let Some(words) = listener.words()
        {
            told = Instant::now();
            progress.say(words);
        }
    }
    if listener.is_done() {
        // The connection can be used again only when its answer was read to the end, which is usually there by now.
        let _ = timeout(LINGER, async { while let Ok(Some(_)) = open.next().await {} }).await;
    }
    let begun = listener.has_begun();
    match listener.end() {
        Ended::Whole(body) => Ok(Heard::Whole(Answered { body, ..answered })),
        Ended::Gathered(body) => Ok(Heard::Pieces { answered, body, begun }),
        Ended::Broken => Err(Lost::Unclear("its answer broke off in the middle".to_owned())),
    }
}

/// Reads an answer that came in one.
fn whole(service: &Service, shared: &Shared, asked: &Asked<'_>, answered: &Answered) -> Result<Said, Failed> {
    if !(200..300).contains(&answered.status) {
        let failed = classify::answer(service, answered, &shared.secrets);
        return Err(Failed { of_stream: failed.of_stream && asked.streamed, ..failed });
    }
    let Some(body) = json_of(&answered.body) else {
        let start = String::from_utf8_lossy(&answered.body[..answered.body.len().min(200)]).into_owned();
        let message = format!("{} answered with what is no JSON: {}", service.name, clean(&shared.secrets, &start));
        return Err(Failed { unclear: true, ..CallError::new(ErrorClass::Transport, message).into() });
    };
    service.wire.read(&body).map_err(|unread| classify::unread(service, unread, answered, &shared.secrets))
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
