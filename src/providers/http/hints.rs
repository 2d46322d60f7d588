//! What a service says about trying again: in headers, and in Gemini's body.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use serde_json::Value;

/// The longest wait that is read as a number; longer ones are the same to us.
const LONGEST_MS: f64 = 1e15;

/// What was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// Whether to try again, when it says so outright.
    pub(super) should_retry: Option<bool>,
    /// After how many milliseconds.
    pub(super) retry_after_ms: Option<u64>,
}

impl Hints {
    /// Reads the hints of an answer: `x-should-retry`; `retry-after-ms`, then `retry-after` in seconds or as a date, then
    /// `RetryInfo` in the body, then when what is used up comes back.
    pub(super) fn of(headers: &HeaderMap, body: &Value, now: SystemTime) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let should_retry = match text("x-should-retry") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        let retry_after_ms = text("retry-after-ms")
            .and_then(|text| millis(text, 1.0))
            .or_else(|| text("retry-after").and_then(|text| millis(text, 1000.0).or_else(|| until(text, now))))
            .or_else(|| retry_info(body))
            .or_else(|| used_up(headers, now));
        Self { should_retry, retry_after_ms }
    }
}

fn millis(text: &str, factor: f64) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    (number >= 0.0).then(|| (number * factor).min(LONGEST_MS).ceil() as u64)
}

/// Milliseconds from `now` to a date such as `Fri, 27 Nov 2026 09:00:00 GMT`; 0 for one that has passed.
fn until(text: &str, now: SystemTime) -> Option<u64> {
    let mut parts = text.split_once(", ")?.1.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let time = parts.next()?;
    if parts.next() != Some("GMT") {
        return None;
    }
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? + 1;
    let then = humantime::parse_rfc3339(&format!("{year}-{month:02}-{day:0>2}T{time}Z")).ok()?;
    Some(then.duration_since(now).unwrap_or(Duration::ZERO).as_millis() as u64)
}

/// `details[].retryDelay` of `google.rpc.RetryInfo`, such as `"34s"`.
fn retry_info(body: &Value) -> Option<u64> {
    let error = body.as_array().and_then(|items| items.first()).unwrap_or(body).get("error")?;
    let details = error.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    millis(delay.strip_suffix('s')?, 1000.0)
}

/// Milliseconds until everything that is used up is there again, by the headers that count it: Anthropic's with a date
/// (`anthropic-ratelimit-tokens-reset: 2026-11-27T09:00:20Z`), OpenAI's with a span (`x-ratelimit-reset-tokens: 6m0s`).
fn used_up(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let of = |remaining: String, reset: String| {
        let gone = text(&remaining)?.parse::<f64>().ok()? <= 0.0;
        gone.then(|| text(&reset).and_then(|text| moment(text, now).or_else(|| span(text)))).flatten()
    };
    let anthropic = ["requests", "tokens", "input-tokens", "output-tokens"]
        .map(|what| of(format!("anthropic-ratelimit-{what}-remaining"), format!("anthropic-ratelimit-{what}-reset")));
    let openai = ["requests", "tokens"]
        .map(|what| of(format!("x-ratelimit-remaining-{what}"), format!("x-ratelimit-reset-{what}")));
    anthropic.into_iter().chain(openai).flatten().max()
}

/// Milliseconds from `now` to a date such as `2026-11-27T09:00:00Z`; 0 for one that has passed.
fn moment(text: &str, now: SystemTime) -> Option<u64> {
    let then = humantime::parse_rfc3339_weak(text).ok()?;
    Some(then.duration_since(now).unwrap_or(Duration::ZERO).as_millis() as u64)
}

/// A span such as `6m0s`, `1.5s` or `20ms`.
fn span(text: &str) -> Option<u64> {
    let mut sum = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor = match unit {
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 6e4,
            "h" => 3.6e6,
            "d" => 8.64e7,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    (!text.is_empty()).then(|| sum.min(LONGEST_MS).ceil() as u64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};
    use serde_json::json;

    fn of(headers: &[(&'static str, &str)], body: Value) -> Hints {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let now = humantime::parse_rfc3339("2026-11-27T09:00:00Z").unwrap();
        Hints::of(&headers, &body, now)
    }

    #[test]
    fn milliseconds_win_over_seconds_and_seconds_may_be_fractions_or_dates() {
        for (headers, ms) in [
            (vec![("retry-after-ms", "1500"), ("retry-after", "9")], Some(1500)),
            (vec![("retry-after", "2")], Some(2000)),
            (vec![("retry-after", "0.25")], Some(250)),
            (vec![("retry-after", "Fri, 27 Nov 2026 09:00:07 GMT")], Some(7000)),
            (vec![("retry-after", "Fri, 27 Nov 2026 08:00:00 GMT")], Some(0)),
            (vec![("retry-after-ms", "soon"), ("retry-after", "3")], Some(3000)),
            (vec![("retry-after", "soon")], None),
            (vec![("retry-after", "-1")], None),
            (vec![("retry-after", "1e300")], Some(1_000_000_000_000_000)),
            (vec![], None),
        ] {
            assert_eq!(of(&headers, Value::Null).retry_after_ms, ms, "{headers:?}");
        }
    }

    #[test]
    fn what_is_used_up_says_when_it_is_back_where_nothing_else_does() {
        for (headers, ms) in [
            (
                vec![
                    ("anthropic-ratelimit-tokens-remaining", "0"),
                    ("anthropic-ratelimit-tokens-reset", "2026-11-27T09:00:20Z"),
                ],
                Some(20_000),
            ),
            (
                vec![
                    ("anthropic-ratelimit-tokens-remaining", "5"),
                    ("anthropic-ratelimit-tokens-reset", "2026-11-27T09:00:20Z"),
                ],
                None,
            ),
            (
                vec![
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "1m2.5s"),
                    ("x-ratelimit-remaining-tokens", "0"),
                    ("x-ratelimit-reset-tokens", "20ms"),
                ],
                Some(62_500),
            ),
            (vec![("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "soon")], None),
            (vec![("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "")], None),
            (
                vec![
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "9s"),
                    ("retry-after", "2"),
                ],
                Some(2_000),
            ),
        ] {
            assert_eq!(of(&headers, Value::Null).retry_after_ms, ms, "{headers:?}");
        }
    }

    #[test]
    fn whether_to_try_again_is_read_when_it_is_said() {
        assert_eq!(of(&[("x-should-retry", "true")], Value::Null).should_retry, Some(true));
        assert_eq!(of(&[("x-should-retry", "false")], Value::Null).should_retry, Some(false));
        assert_eq!(of(&[("x-should-retry", "maybe")], Value::Null).should_retry, None);
    }

    #[test]
    fn gemini_says_it_in_the_body() {
        let body = json!({"error": {"code": 429, "details": [{"@type": "type.googleapis.com/google.rpc.Help"},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]}});
        assert_eq!(of(&[], body.clone()).retry_after_ms, Some(34_500));
        assert_eq!(of(&[], json!([body])).retry_after_ms, Some(34_500));
    }
}
