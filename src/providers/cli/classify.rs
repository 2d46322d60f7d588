//! What a failure of a CLI is: from the status of the service behind it where one is told, else from its words.

use crate::core::outcome::ErrorClass;
use crate::providers::status::class_of;

/// The class of an HTTP status with the words that came with it.
pub(super) fn of_status(status: u64, said: &str) -> ErrorClass {
    use ErrorClass::{Auth, BadRequest, ContextTooLong, Overloaded, Quota, RateLimited, Transport};
    let words = of_words(said);
    let class = u16::try_from(status).ok().and_then(class_of);
    match (class, words) {
        (Some(RateLimited), Some(Quota)) => Quota,
        (Some(BadRequest), Some(better @ (ContextTooLong | Quota | Auth)))
        | (Some(Transport), Some(better @ (Overloaded | ContextTooLong))) => better,
        (Some(class), _) => class,
        (None, words) => words.unwrap_or(ErrorClass::Other),
    }
}

/// The class that the words of a message tell, if they tell one. Lower case, first match wins.
pub(super) fn of_words(said: &str) -> Option<ErrorClass> {
    const WORDS: &[(&str, ErrorClass)] = &[
        ("not logged in", ErrorClass::Auth),
        ("please run /login", ErrorClass::Auth),
        ("please log in", ErrorClass::Auth),
        ("no auth type is selected", ErrorClass::Auth),
        ("invalid auth method", ErrorClass::Auth),
        ("invalid api key", ErrorClass::Auth),
        ("invalid_api_key", ErrorClass::Auth),
        ("missing environment variable", ErrorClass::Auth),
        ("authentication", ErrorClass::Auth),
        ("unauthorized", ErrorClass::Auth),
        ("oauth token", ErrorClass::Auth),
        ("credit balance", ErrorClass::Quota),
        ("insufficient_quota", ErrorClass::Quota),
        ("usage limit", ErrorClass::Quota),
        ("hit your limit", ErrorClass::Quota),
        ("quota exceeded", ErrorClass::Quota),
        ("prompt is too long", ErrorClass::ContextTooLong),
        ("context window", ErrorClass::ContextTooLong),
        ("context_length_exceeded", ErrorClass::ContextTooLong),
        ("context length", ErrorClass::ContextTooLong),
        ("rate limit", ErrorClass::RateLimited),
        ("rate_limit", ErrorClass::RateLimited),
        ("too many requests", ErrorClass::RateLimited),
        ("overloaded", ErrorClass::Overloaded),
        ("high demand", ErrorClass::Overloaded),
        ("at capacity", ErrorClass::Overloaded),
        ("stream disconnected", ErrorClass::Transport),
        ("connection", ErrorClass::Transport),
        ("error sending request", ErrorClass::Transport),
        ("timed out", ErrorClass::Transport),
    ];
    let said = said.to_lowercase();
    WORDS.iter().find(|(words, _)| said.contains(words)).map(|(_, class)| *class)
}

/// The number after the word `status`, as in `unexpected status 401 Unauthorized` and `last status: 429`, or after `API Error`.
pub(super) fn status_in(said: &str) -> Option<u64> {
    said.match_indices("status").chain(said.match_indices("API Error")).find_map(|(at, word)| {
        let rest = said[at + word.len()..].trim_start_matches([':', ' ']);
        let digits = rest.get(..3)?;
        let ends = !rest[3..].starts_with(|c: char| c.is_ascii_digit());
        (ends && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
    })
}

/// The wait in `Please try again in 1.5s`, in milliseconds.
pub(super) fn wait_in(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("try again in ")?;
    let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let unit = rest[number.len()..].trim_start();
    let value: f64 = number.trim_end_matches('.').parse().ok()?;
    let factor = if unit.starts_with("ms") {
        1.0
    } else if unit.starts_with('s') {
        1_000.0
    } else if unit.starts_with('m') {
        60_000.0
    } else {
        return None;
    };
    Some((value * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_decides_and_the_words_refine_it() {
        for (status, said, class) in [
            (401, "x", ErrorClass::Auth),
            (400, "prompt is too long: 300000 tokens", ErrorClass::ContextTooLong),
            (400, "Your credit balance is too low", ErrorClass::Quota),
            (400, "messages: field required", ErrorClass::BadRequest),
            (404, "model: nope", ErrorClass::BadRequest),
            (429, "", ErrorClass::RateLimited),
            (429, "insufficient_quota", ErrorClass::Quota),
            (500, "", ErrorClass::Transport),
            (500, "We're currently experiencing high demand", ErrorClass::Overloaded),
            (408, "", ErrorClass::Transport),
            (200, "overloaded", ErrorClass::Overloaded),
            (200, "", ErrorClass::Other),
            (529, "", ErrorClass::Overloaded),
        ] {
            assert_eq!(of_status(status, said), class, "{status} {said}");
        }
    }

    #[test]
    fn without_words_every_status_is_of_the_class_of_the_table() {
        for status in 400..600 {
            assert_eq!(Some(of_status(u64::from(status), "no")), class_of(status), "{status}");
        }
    }

    #[test]
    fn the_status_is_found_in_a_sentence() {
        assert_eq!(status_in("unexpected status 401 Unauthorized: no"), Some(401));
        assert_eq!(status_in("exceeded retry limit, last status: 429 Too Many Requests"), Some(429));
        assert_eq!(status_in("[API Error: 400 no such luck]"), Some(400));
        assert_eq!(status_in("status unknown"), None);
        assert_eq!(status_in("status 4012"), None);
        assert_eq!(status_in("exit status"), None);
    }

    #[test]
    fn the_wait_is_found_in_a_sentence() {
        assert_eq!(wait_in("Rate limit reached. Please try again in 1.5s. Visit"), Some(1_500));
        assert_eq!(wait_in("try again in 20ms"), Some(20));
        assert_eq!(wait_in("try again in 2 minutes"), Some(120_000));
        assert_eq!(wait_in("try again in a while"), None);
        assert_eq!(wait_in("try again"), None);
    }
}
