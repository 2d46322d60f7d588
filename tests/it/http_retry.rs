//! The retry table, one test for each of its rows: classes of errors, hints, connections that break, the shared pace, secrets.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, SystemTime};

use owf::core::environment::Environment;
use owf::core::outcome::ErrorClass;
use owf::providers::{Entry, ReplyAnswer};
use serde_json::{Value, json};

use crate::support::http_ask::{KEY, ask, at, error, impatient_provider, prompt, provider, provider_in, runtime};
use crate::support::http_mock::{Answer, Mock};

fn chat(text: &str) -> Value {
    json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
}

/// The class of a status and body of a provider.
fn class(name: &str, answer: Answer) -> ErrorClass {
    let mock = Mock::of(vec![answer]);
    error(&provider(name, at(mock.url(""))), &prompt("p")).class
}

fn body(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "code": kind, "message": message}})
}

#[test]
fn statuses_that_are_worth_another_try() {
    use ErrorClass::{Overloaded, RateLimited, Transport};
    for name in ["openai", "anthropic", "gemini", "deepseek", "openrouter"] {
        for (status, wanted) in [
            (408, Transport),
            (409, Transport),
            (429, RateLimited),
            (500, Transport),
            (502, Transport),
            (503, Overloaded),
            (504, Transport),
            (529, Overloaded),
        ] {
            let got = class(name, Answer::json(status, &body("x", "try later")));
            assert_eq!((got, got.is_retryable()), (wanted, true), "{name} {status}");
        }
    }
}

#[test]
fn statuses_that_are_not() {
    use ErrorClass::{Auth, BadRequest, ContextTooLong, Quota, Refusal};
    for (name, status, kind, message, wanted) in [
        ("openai", 401, "invalid_api_key", "Incorrect API key provided", Auth),
        ("anthropic", 403, "permission_error", "not allowed", Auth),
        ("gemini", 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", Auth),
        ("openai", 429, "insufficient_quota", "You exceeded your current quota", Quota),
        ("deepseek", 402, "unknown_error", "Insufficient Balance", Quota),
        ("openrouter", 402, "x", "Insufficient credits", Quota),
        ("anthropic", 400, "invalid_request_error", "Your credit balance is too low to access the API", Quota),
        ("deepseek", 422, "invalid_request_error", "bad parameters", BadRequest),
        ("openai", 404, "model_not_found", "no such model", BadRequest),
        ("openai", 400, "context_length_exceeded", "This model's maximum context length is", ContextTooLong),
        ("anthropic", 400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000", ContextTooLong),
        ("anthropic", 413, "request_too_large", "too large", ContextTooLong),
        ("gemini", 400, "INVALID_ARGUMENT", "The input token count (2000000) exceeds the maximum", ContextTooLong),
        ("ollama", 400, "exceed_context_size_error", "the request exceeds the available context size", ContextTooLong),
        ("openai", 400, "content_policy_violation", "rejected by the safety system", Refusal),
    ] {
        let got = class(name, Answer::json(status, &body(kind, message)));
        assert_eq!((got, got.is_retryable()), (wanted, false), "{name} {status} {message}");
    }
}

#[test]
fn an_overloaded_error_is_told_by_its_type_too() {
    let overloaded = body("overloaded_error", "Overloaded");
    assert_eq!(class("anthropic", Answer::json(500, &overloaded)), ErrorClass::Overloaded);
    assert_eq!(class("anthropic", Answer::json(200, &overloaded)), ErrorClass::Overloaded);
}

#[test]
fn an_error_inside_a_choice_with_status_200_is_an_error() {
    let inside = |code: u16, message: &str| json!({"choices": [{"error": {"code": code, "message": message}, "finish_reason": "error", "message": {"content": ""}}]});
    let of = |body: &Value| class("openrouter", Answer::json(200, body));
    assert_eq!(of(&inside(429, "busy")), ErrorClass::RateLimited);
    assert_eq!(of(&inside(502, "provider returned error")), ErrorClass::Transport);
    assert_eq!(of(&inside(402, "no credits")), ErrorClass::Quota);
    assert_eq!(of(&json!({"error": {"code": 503, "message": "no provider"}})), ErrorClass::Overloaded);
}

#[test]
fn the_services_hints_reach_the_error() {
    let busy = body("rate_limit_error", "slow down");
    let in_an_hour = httpdate(SystemTime::now() + Duration::from_hours(1));
    for (header, value, least, most) in [
        ("retry-after-ms", "1500", 1500, 1500),
        ("retry-after", "2", 2000, 2000),
        ("retry-after", "0.5", 500, 500),
        ("retry-after", in_an_hour.as_str(), 3_000_000, 3_600_000),
    ] {
        let mock = Mock::of(vec![Answer::json(429, &busy).header(header, value)]);
        let got = error(&provider("anthropic", at(mock.url(""))), &prompt("p"));
        let ms = got.retry_after_ms.unwrap();
        assert!((least..=most).contains(&ms), "{header}: {value}: {ms}");
    }
    let gemini = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]}});
    let mock = Mock::of(vec![Answer::json(429, &gemini)]);
    let got = error(&provider("gemini", at(mock.url(""))), &prompt("p"));
    assert_eq!((got.class, got.retry_after_ms), (ErrorClass::RateLimited, Some(34_000)));
}

/// A time as HTTP writes it.
fn httpdate(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let (date, clock) = text.trim_end_matches('Z').split_once('T').unwrap();
    let parts: Vec<&str> = date.split('-').collect();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!("Fri, {} {} {} {clock} GMT", parts[2], months[parts[1].parse::<usize>().unwrap() - 1], parts[0])
}

#[test]
fn whether_to_try_again_is_the_services_word() {
    let of = |status: u16, word: &str| {
        class("anthropic", Answer::json(status, &body("x", "hm")).header("x-should-retry", word))
    };
    assert_eq!(of(400, "true"), ErrorClass::Transport);
    assert_eq!(of(500, "false"), ErrorClass::Other);
    assert_eq!(of(429, "false"), ErrorClass::Other);
    assert_eq!(of(401, "false"), ErrorClass::Auth);
}

#[test]
fn a_connection_that_is_refused_was_not_charged_and_one_that_breaks_may_have_been() {
    let gone = Mock::of(vec![Answer::text(200, "")]);
    let address = gone.url("");
    drop(gone);
    let refused = error(&provider("openai", at(address)), &prompt("p"));
    assert_eq!(refused.class, ErrorClass::Transport);
    assert!(refused.message.starts_with("openai at 127.0.0.1:"), "{}", refused.message);
    assert!(refused.message.contains(": no connection: "), "{}", refused.message);
    assert!(!refused.message.contains("charged"), "{}", refused.message);
    let cut = Mock::of(vec![Answer::json(200, &chat("half an answer")).cut()]);
    let broken = error(&provider("openai", at(cut.url(""))), &prompt("p"));
    assert_eq!(broken.class, ErrorClass::Transport);
    assert!(
        broken.message.starts_with("openai: the connection broke in the middle of the answer: "),
        "{}",
        broken.message
    );
    assert!(broken.message.ends_with(" (the request may have been charged)"), "{}", broken.message);
}

#[test]
fn an_answer_that_is_no_json_is_worth_another_try() {
    let page = Mock::of(vec![Answer::text(200, "<html>Bad gateway</html>")]);
    let got = error(&provider("openai", at(page.url(""))), &prompt("p"));
    assert_eq!(got.class, ErrorClass::Transport);
    assert_eq!(got.message, "openai answered with what is no JSON: <html>Bad gateway</html>");
    // What is no answer of the dialect, too; and whatever was worked on may have been charged.
    for body in ["{\"choices\": [", "{\"choice\": []}", "[]"] {
        for name in ["openai", "anthropic", "gemini"] {
            let mock = Mock::of(vec![Answer::text(200, body)]);
            let failed = ask(&provider(name, at(mock.url(""))), &prompt("p")).unwrap_err();
            assert_eq!(failed.error.class, ErrorClass::Transport, "{name}: {body}");
            assert!(failed.charge_nanos.is_some(), "{name}: {body}");
        }
    }
    let proxy = Mock::of(vec![Answer::text(502, "<html>Bad gateway</html>")]);
    let got = error(&provider("openai", at(proxy.url(""))), &prompt("p"));
    assert_eq!(got.message, "openai answered 502: a page instead of an answer");
    assert_eq!(ask(&provider("openai", at(proxy.url(""))), &prompt("p")).unwrap_err().charge_nanos, None);
}

#[test]
fn a_service_that_keeps_the_connection_alive_may_take_longer_than_the_read_timeout() {
    // A word every now and then until the read timeout has passed; only a machine that stands still for all of it would be silent.
    let read = Duration::from_secs(4);
    let words = ["\n", ": keep-alive\n", "\r\n", ": keep-alive\n\n", " ", "\n"];
    let mock = Mock::new(move |seen| {
        let (over, at) = (read + read / 8, seen.at);
        let answer = Answer::json(200, &chat("late")).led_by(&words, Duration::ZERO);
        Answer { chunked: true, ..answer }.held_until(move || at.elapsed() > over)
    });
    let reply = ask(&impatient_provider("deepseek", at(mock.url("")), read), &prompt("p")).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Text("late".into()));
}

#[test]
fn a_service_that_falls_silent_is_given_up() {
    let mock = Mock::of(vec![Answer::json(200, &chat("never")).after(Duration::from_mins(1))]);
    let got = error(&impatient_provider("openai", at(mock.url("")), Duration::from_millis(200)), &prompt("p"));
    assert_eq!(
        got.message,
        "openai: the connection broke before an answer came: it fell silent (the request may have been charged)"
    );
}

#[test]
fn one_429_slows_all_siblings() {
    let busy = || Answer::json(429, &body("rate_limit_error", "slow down")).header("retry-after-ms", "500");
    let mock = Mock::new(move |seen| if seen.number == 0 { busy() } else { Answer::json(200, &chat("ok")) });
    let provider = provider("openai", at(mock.url("/siblings")));
    let first = error(&provider, &prompt("first"));
    assert_eq!((first.class, first.retry_after_ms), (ErrorClass::RateLimited, Some(500)));
    let runtime = runtime();
    let siblings: Vec<_> = (0..3)
        .map(|n| {
            let provider = provider.clone();
            runtime.spawn(async move {
                let request = prompt(&format!("sibling {n}"));
                provider.call(&request, &owf::providers::CallContext::default()).await.is_ok()
            })
        })
        .collect();
    for sibling in siblings {
        assert!(runtime.block_on(sibling).unwrap());
    }
    let seen = mock.seen();
    assert_eq!(seen.len(), 4);
    for later in &seen[1..] {
        let waited = later.at - seen[0].at;
        assert!(waited >= Duration::from_millis(480), "{waited:?}");
    }
}

#[test]
fn a_pause_that_is_too_long_to_sit_out_fails_at_once_without_a_request() {
    let busy = Answer::json(429, &body("rate_limit_error", "come back tomorrow")).header("retry-after", "3600");
    let mock = Mock::of(vec![busy]);
    let provider = provider("openai", at(mock.url("/long")));
    let first = error(&provider, &prompt("p"));
    assert_eq!(first.retry_after_ms, Some(3_600_000));
    assert!(first.message.ends_with("; it asks to be asked again in 60 min"), "{}", first.message);
    let second = error(&provider, &prompt("q"));
    assert_eq!(second.class, ErrorClass::RateLimited);
    assert!(second.retry_after_ms.unwrap() > 3_500_000, "{second:?}");
    assert_eq!(mock.seen().len(), 1);
}

#[test]
fn a_redirect_to_another_host_is_not_followed_and_one_on_the_same_host_is() {
    let thief = Mock::of(vec![Answer::json(200, &chat("thanks for the key"))]);
    let away = thief.url("/chat/completions");
    let mock = Mock::new(move |seen| match seen.number {
        0 => Answer::text(307, "").header("location", &away),
        1 => Answer::text(307, "").header("location", "/elsewhere"),
        _ => Answer::json(200, &chat("here")),
    });
    let openai = provider("openai", at(mock.url("")));
    let got = error(&openai, &prompt("p"));
    assert_eq!(got.class, ErrorClass::BadRequest);
    assert_eq!(got.hint.as_deref(), Some("it redirects to another host, which is not followed: correct its base URL"));
    assert_eq!(thief.seen().len(), 0);
    assert_eq!(ask(&openai, &prompt("p")).unwrap().answer, ReplyAnswer::Text("here".into()));
    assert_eq!(mock.seen()[2].line, "POST /elsewhere");
}

#[test]
fn an_address_that_is_not_https_gets_no_key() {
    let provider = provider("openai", at("http://me:secret@api.example.com/v1".to_owned()));
    let message =
        "provider \"openai\": its base URL http://api.example.com/v1 must be https: it is not on this machine";
    assert_eq!(provider.availability().message.as_deref(), Some(message));
    let got = error(&provider, &prompt("p"));
    assert_eq!((got.class, got.message.as_str()), (ErrorClass::BadRequest, message));
}

#[test]
fn errors_are_bounded_and_hold_no_key() {
    let echo = |status| {
        Mock::new(move |seen| {
            let headers = format!("{:?} {}", seen.headers, "x".repeat(10_000));
            let message = format!(
                "bad key sk-proj-abcdefghijklmnop, AIzaSyA1234567890abcdefghijklmnopqrstuv; you sent {headers}"
            );
            Answer::json(status, &json!({"error": {"message": message, "type": "t"}})).header("x-request-id", KEY)
        })
    };
    for (name, path) in [("openai", "/v1"), ("anthropic", ""), ("gemini", "")] {
        for status in [200, 400, 401, 429, 500] {
            let mock = echo(status);
            let got = error(&provider(name, at(mock.url(path))), &prompt("p"));
            let text = format!("{got:?}");
            assert!(!text.contains("canary") && !text.contains("abcdefghij"), "{name} {status}: {text}");
            assert!(text.len() < 1_500, "{name} {status}: {}", text.len());
        }
    }
    let plain = Mock::new(|seen| Answer::text(500, &format!("{:?}", seen.headers)));
    let got = error(&provider("openai", at(plain.url("/v1"))), &prompt("p"));
    assert!(!got.message.contains("canary"), "{}", got.message);
}

#[test]
fn a_key_is_read_when_it_is_used_from_the_variable_that_is_named() {
    let env = Environment::new([("MY_KEY".to_owned(), "my-own-key-0123".to_owned())]);
    let mock = Mock::of(vec![Answer::json(200, &chat("ok"))]);
    let entry = Entry { api_key_env: Some("MY_KEY".into()), ..at(mock.url("")) };
    let openai = provider_in(env, "openai", entry);
    assert!(ask(&openai, &prompt("p")).is_ok());
    assert_eq!(mock.seen()[0].headers["authorization"], "Bearer my-own-key-0123");
    let other =
        provider_in(Environment::default(), "openai", Entry { api_key_env: Some("MY_KEY".into()), ..Entry::default() });
    assert_eq!(
        error(&other, &prompt("p")).message,
        "provider \"openai\" needs a key in the environment variable MY_KEY"
    );
}
