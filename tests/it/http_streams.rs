//! Answers in pieces, on the wire: what they come to, what breaks them, what is said of them on the way.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use owf::core::environment::Environment;
use owf::core::outcome::ErrorClass;
use owf::providers::http::Timeouts;
use owf::providers::{AttemptRequest, BoxFuture, CallContext, Entry, Progress, Reply, ReplyAnswer, ToolBox, ToolSpec};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::cli::{Place, printed};
use crate::support::dialects::{DIALECTS, entry, of, said as text};
use crate::support::http_ask::{PATIENT, ask, ask_with, at, made, prompt, provider, provider_in, runtime, structured};
use crate::support::http_mock::{Answer, Mock, Seen};
use crate::support::http_stream::events;

/// The answer of a dialect that calls a tool.
fn call(name: &str) -> Value {
    match name {
        "mine" => json!({"status": "completed", "model": "m-1", "output": [
            {"type": "reasoning", "id": "r1", "encrypted_content": "x"},
            {"type": "function_call", "call_id": "c1", "name": "double", "arguments": "{\"n\": 4}"}],
            "usage": {"input_tokens": 10, "output_tokens": 2}}),
        "anthropic" => json!({"model": "m-1", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "tool_use", "id": "c1", "name": "double", "input": {"n": 4}}], "stop_reason": "tool_use",
            "usage": {"input_tokens": 10, "output_tokens": 2}}),
        "gemini" => json!({"modelVersion": "m-1", "candidates": [{"content": {"role": "model", "parts": [
            {"functionCall": {"name": "double", "args": {"n": 4}, "id": "c1"}, "thoughtSignature": "s"}]},
            "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2}}),
        _ => json!({"model": "m-1", "choices": [{"message": {"role": "assistant", "content": null,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "double", "arguments": "{\"n\": 4}"}}]},
            "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 10, "completion_tokens": 2}}),
    }
}

/// One tool that doubles a number, and counts how often.
#[derive(Default)]
struct Double(Mutex<u32>);

impl ToolBox for Double {
    fn tools(&self) -> Vec<ToolSpec> {
        let parameters = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        vec![ToolSpec { name: "double".into(), description: "Doubles.".into(), parameters }]
    }

    fn call<'a>(&'a self, _name: &'a str, arguments: Value) -> BoxFuture<'a, Result<String, String>> {
        *self.0.lock().unwrap() += 1;
        Box::pin(std::future::ready(arguments["n"].as_u64().map(|n| (2 * n).to_string()).ok_or("no number".to_owned())))
    }
}

/// The events of an answer in the pieces the mock would send.
fn pieces(seen: &Seen, body: &Value) -> Vec<String> {
    events(&seen.line, &seen.body, body).unwrap()
}

#[test]
fn a_stream_without_the_event_that_counts_the_prompt_is_of_unknown_use() {
    let events = [
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "four"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let stream = events.map(|event| format!("data: {event}\n\n")).concat();
    let mock = Mock::new(move |_| Answer::chunks([stream.as_str()]));
    let entry = Entry { kind: Some("anthropic".to_owned()), default_model: Some("tiny".into()), ..at(mock.url("")) };
    let reply = ask(&provider_in(Environment::default(), "local", entry), &prompt("2+2")).unwrap();
    assert!(matches!(&reply.answer, ReplyAnswer::Text(text) if text == "four"), "{reply:?}");
    assert_eq!((reply.usage.output_tokens, reply.usage_unknown, reply.cost_nanos), (9, true, None));
}

#[test]
fn an_answer_in_pieces_comes_to_the_same_as_the_one_in_one() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    for (name, path, kind) in DIALECTS {
        let asked: [(AttemptRequest, Vec<Value>); 3] = [
            (prompt("p"), vec![text(name, "Grüße\nand more")]),
            (structured("p", &schema), vec![text(name, "{\"n\": 7}")]),
            (prompt("Double 4"), vec![call(name), text(name, "8")]),
        ];
        for (request, answers) in asked {
            let carried_out = |stream: Option<bool>| {
                let answers = answers.iter().map(|body| Answer::json(200, body)).collect();
                let mock = Mock::of(answers);
                let entry = Entry { stream, ..entry(&mock, path, kind) };
                let tools: Option<Arc<dyn ToolBox>> =
                    (request.spec.ask.schema.is_none()).then(|| Arc::new(Double::default()) as Arc<dyn ToolBox>);
                let context = CallContext { tools, ..CallContext::default() };
                let reply = ask_with(&provider(name, entry), &request, &context).unwrap();
                (reply, mock.seen())
            };
            let ((streamed, asked), (in_one, asked_in_one)) = (carried_out(None), carried_out(Some(false)));
            assert_eq!(streamed, in_one, "{name}");
            assert_eq!(asked.len(), asked_in_one.len());
            for (a, b) in asked.iter().zip(asked_in_one) {
                let mut body = a.body.clone();
                for key in ["stream", "stream_options"] {
                    let told = body.as_object_mut().unwrap().remove(key).is_some();
                    assert_eq!(told, name == "openai" || key == "stream" && name != "gemini", "{name}: {key}");
                }
                // What goes back to the service is the same, too.
                assert_eq!(body, b.body, "{name}");
                assert_eq!(a.line.replace("streamG", "g").replace("?alt=sse", ""), b.line);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the connection cuts the bytes.
    #[test]
    fn any_cut_of_the_bytes_gives_the_same_outcome(
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
        which in 0..DIALECTS.len(),
    ) {
        let (name, ..) = DIALECTS[which];
        let in_one: Reply = ask(&of(name, &Mock::of(vec![Answer::json(200, &text(name, "Grüße")).in_one()])), &prompt("p")).unwrap();
        let mock = Mock::new(move |seen| {
            let all = pieces(seen, &text(name, "Grüße")).concat().into_bytes();
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len())).collect();
            ends.extend([0, all.len()]);
            ends.sort_unstable();
            Answer::chunks(ends.windows(2).map(|ends| all[ends[0]..ends[1]].to_vec()))
        });
        prop_assert_eq!(ask(&of(name, &mock), &prompt("p")).unwrap(), in_one);
    }
}

#[test]
fn a_service_that_answers_in_one_all_the_same_is_understood() {
    for (name, ..) in DIALECTS {
        let mock = Mock::of(vec![Answer::json(200, &text(name, "hello")).in_one()]);
        let reply = ask(&of(name, &mock), &prompt("p")).unwrap();
        assert_eq!(reply.answer, owf::providers::ReplyAnswer::Text("hello".into()), "{name}");
        assert_eq!(reply.usage.output_tokens, 20, "{name}");
    }
}

#[test]
fn a_connection_is_used_again_after_a_stream() {
    for (name, ..) in DIALECTS {
        let mock = Mock::new(move |seen| {
            let bye = [": the end is still to come\n\n".to_owned()];
            let mut answer = Answer::chunks(pieces(seen, &text(name, "hello")).into_iter().chain(bye));
            answer.parts.last_mut().unwrap().0 = Duration::from_millis(10);
            answer
        });
        let (provider, runtime) = (of(name, &mock), runtime());
        for _ in 0..20 {
            let request = prompt("p");
            runtime.block_on(provider.call(&request, &CallContext::default())).unwrap();
        }
        // Now and then it comes back just too late.
        assert!(mock.connections() < mock.seen().len(), "{name}: {}", mock.connections());
    }
}

#[test]
fn a_service_that_refuses_to_stream_is_asked_in_one_from_then_on() {
    let refusal = json!({"error": {"message": "Your organization must be verified to stream this model.", "param": "stream",
        "type": "invalid_request_error", "code": "unsupported_value"}});
    let mock = Mock::new(move |seen| {
        let streamed = seen.body["stream"] == true;
        if streamed { Answer::json(400, &refusal) } else { Answer::json(200, &text("openai", "hello")) }
    });
    let openai = of("openai", &mock);
    for _ in 0..2 {
        ask(&openai, &prompt("p")).unwrap();
    }
    let streamed: Vec<bool> = mock.seen().iter().map(|seen| seen.body["stream"] == true).collect();
    assert_eq!(streamed, [true, false, false]);
    // What went wrong behind the service is no word about streams.
    let mock = Mock::of(vec![Answer::json(400, &json!({"error": {"message": "the upstream said no"}}))]);
    assert_eq!(ask(&of("openai", &mock), &prompt("p")).unwrap_err().error.class, ErrorClass::BadRequest);
    assert_eq!(mock.seen().len(), 1);
}

/// The first pieces of an answer, up to where it has begun.
fn begun(name: &str, seen: &Seen) -> Vec<String> {
    let mut all = pieces(seen, &text(name, "a long answer"));
    let first = all.iter().position(|piece| piece.contains("a lo")).unwrap();
    all.truncate(first + 1);
    all
}

#[test]
fn a_stream_that_breaks_off_may_have_been_charged_and_is_worth_another_try() {
    for (name, ..) in DIALECTS {
        for (cut, why) in
            [(true, "the connection broke in the middle of the answer"), (false, "its answer broke off in the middle")]
        {
            let mock = Mock::new(move |seen| {
                let answer = Answer::chunks(begun(name, seen));
                if cut { answer.cut() } else { answer }
            });
            let failed = ask(&of(name, &mock), &prompt("p")).unwrap_err();
            assert_eq!(failed.error.class, ErrorClass::Transport, "{name}: {failed:?}");
            assert!(failed.error.message.contains(why), "{name}: {failed:?}");
            assert!(failed.error.message.ends_with("(the request may have been charged)"), "{name}: {failed:?}");
            assert!(failed.charge_nanos.is_some(), "{name}: what was set aside counts");
            assert_eq!(failed.usage, owf::core::outcome::Usage::default());
        }
    }
}

#[test]
fn a_broken_stream_is_asked_again_as_a_whole_and_no_tool_twice() {
    for (name, ..) in DIALECTS {
        let mock = Mock::new(move |seen| match seen.number {
            0 => Answer::json(200, &call(name)),
            1 => Answer::chunks(begun(name, seen)),
            _ => Answer::json(200, &text(name, "8")),
        });
        let tools = Arc::new(Double::default());
        let context = CallContext { tools: Some(Arc::clone(&tools) as Arc<dyn ToolBox>), ..CallContext::default() };
        let reply = ask_with(&of(name, &mock), &prompt("Double 4"), &context).unwrap();
        assert_eq!(reply.answer, owf::providers::ReplyAnswer::Text("8".into()), "{name}");
        assert_eq!((mock.seen().len(), *tools.0.lock().unwrap()), (3, 1), "{name}");
        let seen = mock.seen();
        assert_eq!(seen[1].body, seen[2].body, "{name}: nothing of the broken answer is kept");
    }
}

/// An event of a dialect that says an error.
fn fault(name: &str, word: &str, code: u16) -> Value {
    match name {
        "mine" => json!({"type": "error", "code": word, "message": "so it is", "param": null}),
        "anthropic" => json!({"type": "error", "error": {"type": word, "message": "so it is"}}),
        "gemini" => json!({"error": {"code": code, "status": word, "message": "so it is"}}),
        _ => json!({"error": {"type": word, "code": code, "message": "so it is"}}),
    }
}

#[test]
fn an_error_in_the_middle_is_of_the_class_its_status_would_be() {
    use ErrorClass::{Auth, BadRequest, ContextTooLong, Overloaded, Quota, RateLimited};
    for (name, word, code, class) in [
        ("anthropic", "overloaded_error", 529, Overloaded),
        ("anthropic", "rate_limit_error", 429, RateLimited),
        ("anthropic", "authentication_error", 401, Auth),
        ("anthropic", "permission_error", 403, Auth),
        ("anthropic", "billing_error", 402, Quota),
        ("anthropic", "invalid_request_error", 400, BadRequest),
        ("anthropic", "not_found_error", 404, BadRequest),
        ("anthropic", "request_too_large", 413, ContextTooLong),
        ("mine", "rate_limit_exceeded", 429, RateLimited),
        ("mine", "insufficient_quota", 429, Quota),
        ("mine", "context_length_exceeded", 400, ContextTooLong),
        ("mine", "server_is_overloaded", 503, Overloaded),
        ("gemini", "UNAVAILABLE", 503, Overloaded),
        ("gemini", "RESOURCE_EXHAUSTED", 429, RateLimited),
        ("openai", "provider_error", 429, RateLimited),
        ("openai", "insufficient_credits", 402, Quota),
    ] {
        let broken = Mock::new(move |seen| {
            let event = format!("data: {}\n\n", fault(name, word, code));
            Answer::chunks(begun(name, seen).into_iter().chain([event]))
        });
        let body = match name {
            "mine" => json!({"error": {"code": word, "message": "so it is"}}),
            _ => fault(name, word, code),
        };
        let of_status = Mock::of(vec![Answer::json(code, &body)]);
        let failed = ask(&of(name, &broken), &prompt("p")).unwrap_err();
        assert_eq!(failed.error.class, class, "{name} {word}: {failed:?}");
        assert!(failed.error.message.contains("so it is"), "{name} {word}: {failed:?}");
        assert_eq!(ask(&of(name, &of_status), &prompt("p")).unwrap_err().error.class, class, "{name} {word} by status");
        assert!(failed.charge_nanos.is_some(), "{name} {word}: what it had said may have been charged");
    }
}

#[test]
fn an_error_before_a_word_was_said_is_not_charged() {
    let event = format!("data: {}\n\n", fault("anthropic", "overloaded_error", 529));
    let mock = Mock::of(vec![Answer::chunks([event])]);
    let failed = ask(&of("anthropic", &mock), &prompt("p")).unwrap_err();
    assert_eq!((failed.error.class, failed.charge_nanos), (ErrorClass::Overloaded, None));
}

#[test]
fn a_stream_that_falls_silent_is_given_up_sooner_than_an_answer_that_has_not_begun() {
    let waits = Timeouts { idle: Duration::from_millis(200), ..PATIENT };
    for (name, path, kind) in DIALECTS {
        // The rest comes after so long that no one waits for it.
        let mock = Mock::new(move |seen| {
            let mut answer = Answer::chunks(begun(name, seen).into_iter().chain(["data: {}\n\n".to_owned()]));
            answer.parts.last_mut().unwrap().0 = Duration::from_mins(1);
            answer
        });
        let entry = Entry {
            api_key_env: None,
            kind: kind
                .or(Some(match name {
                    "anthropic" => "anthropic",
                    "gemini" => "gemini",
                    _ => "openai",
                }))
                .map(str::to_owned),
            ..entry(&mock, path, kind)
        };
        let failed = ask(&made(Environment::default(), "own", entry, waits), &prompt("p")).unwrap_err();
        assert_eq!(failed.error.class, ErrorClass::Transport, "{name}");
        assert!(failed.error.message.contains("fell silent in the middle"), "{name}: {failed:?}");
    }
}

#[test]
fn an_answer_that_is_complete_counts_although_its_last_word_never_comes() {
    let waits = Timeouts { last_word: Duration::from_millis(200), ..PATIENT };
    for breaks in [false, true] {
        let mock = Mock::new(move |seen| {
            let mut all = pieces(seen, &text("openai", "a long answer"));
            assert_eq!(all.pop().unwrap().trim(), "data: [DONE]");
            // In one piece: what is complete comes before anyone can call it silent.
            let all = all.concat();
            if breaks {
                return Answer::chunks([all]);
            }
            let mut answer = Answer::chunks([all, "data: {}\n\n".to_owned()]);
            answer.parts.last_mut().unwrap().0 = Duration::from_mins(1);
            answer
        });
        let entry = Entry { api_key_env: None, kind: Some("openai".to_owned()), ..entry(&mock, "/v1", None) };
        let reply = ask(&made(Environment::default(), "own", entry, waits), &prompt("p")).unwrap();
        assert_eq!(reply.answer, owf::providers::ReplyAnswer::Text("a long answer".to_owned()));
        assert_eq!((reply.usage.output_tokens, reply.usage_unknown), (20, false));
    }
}

#[test]
fn how_far_an_answer_is_is_said_while_it_comes() {
    for (name, ..) in DIALECTS {
        let words = Arc::new(Mutex::new(Vec::<String>::new()));
        let (ear, over) = (Arc::clone(&words), Arc::clone(&words));
        let mock = Mock::new(move |seen| {
            let over = Arc::clone(&over);
            let begun = begun(name, seen);
            let rest = pieces(seen, &text(name, "a long answer")).split_off(begun.len()).concat();
            Answer::chunks(begun.into_iter().chain([rest])).held_until(move || !over.lock().unwrap().is_empty())
        });
        let progress = Progress::new(move |word| ear.lock().unwrap().push(word));
        let context = CallContext { progress, ..CallContext::default() };
        ask_with(&of(name, &mock), &prompt("p"), &context).unwrap();
        let thought = if name == "mine" { 0 } else { 2 };
        assert_eq!(words.lock().unwrap()[0], format!("writing, {} bytes so far", thought + 4), "{name}");
    }
}

#[test]
fn progress_of_a_stream_is_an_event_of_the_run_and_holds_no_key() {
    const KEY: &str = "sk-canary-0123456789abcdef";
    let place = Place::new();
    place.file("w.js", "export const meta = {name: 'w', description: 'd'}\nreturn await agent('Say it')\n");
    let database = place.home().join("owf.db");
    let echoed = format!("my key is {KEY}, and that is that");
    let mock = Mock::new(move |seen| {
        let mut pieces = pieces(seen, &text("openai", &echoed));
        let rest = pieces.split_off(pieces.len() - 2).concat();
        let home = database.parent().unwrap().to_owned();
        Answer::chunks(pieces.into_iter().chain([rest])).held_until(move || recorded(&home))
    });
    let mut command = place.command(&["run", "w.js", "--provider", "openai", "--json"]);
    command.env("OPENAI_API_KEY", KEY).env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
    let run = printed(&command.output().unwrap());
    assert_eq!(run.json()["output"], "my key is [OPENAI_API_KEY], and that is that", "{run:?}");
    let shown = printed(&place.command(&["events", "latest", "--json"]).output().unwrap());
    assert!(shown.out.contains("bytes so far"), "{shown:?}");
    assert!(!shown.out.contains("canary"), "{shown:?}");
}

/// Whether some progress is on disk.
fn recorded(home: &std::path::Path) -> bool {
    let found = std::fs::read_dir(home).into_iter().flatten().flatten();
    found.filter(|file| file.path().is_file()).any(|file| {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        bytes.windows(12).any(|window| window == b"bytes so far")
    })
}
