//! Requests that carry no key: one public file of bounded size, and whether somebody answers at an address.

use std::time::Duration;

use super::client::begun;
use crate::core::environment::Environment;
use crate::providers::base_url;

/// How long it may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a service may take to say anything.
const REACH: Duration = Duration::from_secs(5);
/// Redirects that are followed.
const REDIRECTS: usize = 3;

/// The text at an address: https, or this machine.
///
/// # Errors
/// One sentence: an address that may not be asked, no connection, an answer other than 200, too many bytes, no text.
pub async fn fetch(url: &str, most_bytes: usize, env: &Environment) -> Result<String, String> {
    base_url::check(url).map_err(|what| format!("the address {what}"))?;
    let redirects = reqwest::redirect::Policy::custom(|attempt| {
        let fine = base_url::check(attempt.url().as_str()).is_ok();
        if fine && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
    });
    let client = client(env, PATIENCE, redirects)?;
    let lost = |error: reqwest::Error| format!("it could not be fetched: {}", cause(&error.without_url()));
    let mut response = client.get(url).send().await.map_err(lost)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("the answer was status {}", response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > most_bytes {
            return Err(format!("it is larger than {most_bytes} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| "it is no text".to_owned())
}

/// The status with which a service answers a request for nothing in particular: any says that it can be reached.
///
/// # Errors
/// One sentence: why there was no answer.
pub async fn reach(base: &str, env: &Environment) -> Result<u16, String> {
    base_url::check(base).map_err(|what| format!("the address {what}"))?;
    let client = client(env, REACH, reqwest::redirect::Policy::none())?;
    match client.head(base).send().await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) if error.is_timeout() => Err(format!("no answer in {} s", REACH.as_secs())),
        Err(error) => Err(cause(&error.without_url())),
    }
}

fn client(
    env: &Environment,
    patience: Duration,
    redirects: reqwest::redirect::Policy,
) -> Result<reqwest::Client, String> {
    let built = begun(env)?.timeout(patience).redirect(redirects).build();
    built.map_err(|error| format!("no client could be made: {error}"))
}

/// The innermost reason, which is what a person can act on.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(deeper) = error.source() {
        error = deeper;
    }
    error.to_string()
}
