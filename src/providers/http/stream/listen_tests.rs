//! Streams as the services send them, in pieces of any size, against the answers in one that they stand for.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::wire::{Fault, Unread, Wire};
use super::listen::{Ended, Listener};

/// What pieces come to: the body, or what became of it in words.
fn hear(wire: Wire, pieces: &[&[u8]]) -> Result<Value, String> {
    let mut listener = Listener::new(wire);
    let word = |unread| match unread {
        Unread::Fault(Fault { words, message, .. }) => format!("fault: {}: {message}", words.join(" ")),
        Unread::Shape(what) => format!("no {what}"),
    };
    for piece in pieces {
        if listener.is_done() {
            break;
        }
        listener.take(piece).map_err(word)?;
    }
    match listener.end() {
        Ended::Whole(body) => Err(format!("in one: {}", String::from_utf8_lossy(&body))),
        Ended::Gathered(body) => body.map_err(word),
        Ended::Broken => Err("broken".to_owned()),
    }
}

/// The same whichever way the bytes are cut in two, and byte by byte.
fn every_way(wire: Wire, stream: &str) -> Result<Value, String> {
    let bytes = stream.as_bytes();
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let all = hear(wire, &single);
    for at in 0..=bytes.len() {
        let (a, b) = bytes.split_at(at);
        assert_eq!(hear(wire, &[a, b]), all, "cut at {at}: {}", String::from_utf8_lossy(a));
    }
    all
}

fn sse(events: &[Value]) -> String {
    let each: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    each.concat()
}

fn named(events: &[Value]) -> String {
    let one = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(one).collect::<Vec<String>>().concat()
}

fn chat() -> (String, Value) {
    let delta = |delta: Value| json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}], "usage": null});
    let mut events = vec![
        delta(json!({"role": "assistant", "content": "", "refusal": null})),
        delta(json!({"reasoning_content": "h"})),
        delta(json!({"reasoning_content": "m", "content": null})),
        delta(json!({"content": "Grü"})),
        delta(json!({"content": "ße 🌱\n"})),
        delta(
            json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "read", "arguments": ""}}]}),
        ),
        delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"path\":"}}]})),
        delta(
            json!({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "list", "arguments": ""}}]}),
        ),
        delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": " \"x\"}"}}]})),
        delta(json!({"tool_calls": [{"index": 1, "id": "", "function": {"name": null, "arguments": "{}"}}]})),
    ];
    events.push(json!({"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}));
    events
        .push(json!({"model": "m", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.5}}));
    let stream = format!(": OPENROUTER PROCESSING\n\n{}data: [DONE]\n\n", sse(&events));
    let body = json!({"id": "c", "model": "m", "choices": [{"finish_reason": "tool_calls", "message": {
        "content": "Grüße 🌱\n", "reasoning_content": "hm", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "read", "arguments": "{\"path\": \"x\"}"}},
            {"id": "b", "type": "function", "function": {"name": "list", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.5}});
    (stream, body)
}

fn responses() -> (String, Value) {
    let body = json!({"id": "r", "status": "completed", "model": "m", "error": null, "output": [
        {"type": "reasoning", "id": "i", "encrypted_content": "x"},
        {"type": "message", "content": [{"type": "output_text", "text": "Grüße"}]}],
        "usage": {"input_tokens": 7, "output_tokens": 3}});
    let stream = named(&[
        json!({"type": "response.created", "response": {"id": "r", "status": "in_progress", "error": null, "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "i"}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": body["output"][0]}),
        json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Grü"}),
        json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "ße"}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": body["output"][1]}),
        json!({"type": "response.completed", "response": body}),
    ]);
    (stream, body)
}

fn messages() -> (String, Value) {
    let start = json!({"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null,
        "usage": {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1}});
    let block = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let begin =
        |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stream = named(&[
        json!({"type": "message_start", "message": start}),
        json!({"type": "ping"}),
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        block(0, json!({"type": "thinking_delta", "thinking": "h"})),
        block(0, json!({"type": "thinking_delta", "thinking": "m"})),
        block(0, json!({"type": "signature_delta", "signature": "sig=="})),
        json!({"type": "content_block_stop", "index": 0}),
        begin(1, json!({"type": "redacted_thinking", "data": "abc"})),
        begin(2, json!({"type": "text", "text": ""})),
        block(2, json!({"type": "text_delta", "text": "Grü"})),
        block(2, json!({"type": "text_delta", "text": "ße"})),
        block(2, json!({"type": "a_delta_to_come", "text": "?"})),
        begin(3, json!({"type": "tool_use", "id": "t", "name": "read", "input": {}})),
        block(3, json!({"type": "input_json_delta", "partial_json": ""})),
        block(3, json!({"type": "input_json_delta", "partial_json": "{\"path\": \"a"})),
        block(3, json!({"type": "input_json_delta", "partial_json": "/ö\"}"})),
        begin(4, json!({"type": "tool_use", "id": "u", "name": "list", "input": {}})),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
            "usage": {"input_tokens": null, "output_tokens": 30, "output_tokens_details": {"thinking_tokens": 4}}}),
        json!({"type": "an_event_to_come"}),
        json!({"type": "message_stop"}),
    ]);
    let body = json!({"id": "msg", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sig=="}, {"type": "redacted_thinking", "data": "abc"},
        {"type": "text", "text": "Grüße"}, {"type": "tool_use", "id": "t", "name": "read", "input": {"path": "a/ö"}},
        {"type": "tool_use", "id": "u", "name": "list", "input": {}}],
        "usage": {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 30,
            "output_tokens_details": {"thinking_tokens": 4}}});
    (stream, body)
}

fn gemini() -> (String, Value) {
    let piece = |part: Value| {
        json!({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 7}, "modelVersion": "m"})
    };
    let stream = sse(&[
        piece(json!({"text": "h", "thought": true})),
        piece(json!({"text": "m", "thought": true})),
        piece(json!({"text": "Grü"})),
        piece(json!({"text": "ße"})),
        piece(json!({"functionCall": {"name": "read", "args": {"path": "ö"}}, "thoughtSignature": "s1"})),
        piece(json!({"text": "", "thoughtSignature": "s2"})),
        json!({"candidates": [{"finishReason": "STOP", "index": 0}], "modelVersion": "m",
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "thoughtsTokenCount": 2}}),
    ])
    .replace('\n', "\r\n");
    let body = json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "hm", "thought": true},
        {"text": "Grüße"}, {"functionCall": {"name": "read", "args": {"path": "ö"}}, "thoughtSignature": "s1"},
        {"text": "", "thoughtSignature": "s2"}]}, "finishReason": "STOP", "index": 0}], "modelVersion": "m",
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "thoughtsTokenCount": 2}});
    (stream, body)
}

fn all() -> [(Wire, String, Value); 4] {
    let of = |wire, (stream, body)| (wire, stream, body);
    [
        of(Wire::OpenAiChat, chat()),
        of(Wire::OpenAiResponses, responses()),
        of(Wire::AnthropicMessages, messages()),
        of(Wire::GeminiGenerate, gemini()),
    ]
}

#[test]
fn a_stream_comes_to_the_answer_in_one_however_its_bytes_are_cut() {
    for (wire, stream, body) in all() {
        assert_eq!(every_way(wire, &stream), Ok(body), "{}", wire.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Cut at any number of places.
    #[test]
    fn any_pieces_come_to_the_same(cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..40), which in 0..4_usize) {
        let (wire, stream, body) = all().into_iter().nth(which).unwrap();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &stream.as_bytes()[ends[0]..ends[1]]).collect();
        prop_assert_eq!(hear(wire, &pieces), Ok(body));
    }
}

#[test]
fn a_stream_that_ends_anywhere_before_its_end_is_broken() {
    for (wire, stream, body) in all() {
        for end in 0..stream.len() {
            let got = hear(wire, &[&stream.as_bytes()[..end]]);
            // Nothing at all, and no event yet, is an answer in one that is none.
            let none = matches!(&got, Err(why) if why == "broken" || why.starts_with("in one: "));
            // How it ended is known, and what was used: the rest of the stream only says goodbye.
            let whole = got == Ok(body.clone());
            assert!(none || whole || ended_without_usage(&got, &body), "{} up to {end}: {got:?}", wire.name());
        }
    }
}

/// Whether everything is there but the usage, which the chat dialect sends after the end.
fn ended_without_usage(got: &Result<Value, String>, body: &Value) -> bool {
    let mut without = body.clone();
    without.as_object_mut().unwrap().remove("usage");
    got.as_ref() == Ok(&without)
}

#[test]
fn errors_in_the_middle_are_the_services_own() {
    // Up to where the answer has begun.
    let begun = |(stream, _): (String, Value)| {
        let text = stream.find("Grü").unwrap();
        let end = text + stream[text..].find("\n\n").or_else(|| stream[text..].find("\r\n\r\n")).unwrap();
        format!("{}\n\n", stream[..end].trim_end())
    };
    let of_choice = json!({"message": "gone", "code": 502});
    for (wire, before, event, word) in [
        (
            Wire::OpenAiChat,
            begun(chat()),
            json!({"error": {"message": "gone", "code": 502, "type": "upstream"}}),
            "fault: upstream: gone",
        ),
        (
            Wire::OpenAiChat,
            begun(chat()),
            json!({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": of_choice}]}),
            "fault: : gone",
        ),
        (
            Wire::OpenAiResponses,
            begun(responses()),
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": null}),
            "fault: rate_limit_exceeded: slow",
        ),
        (
            Wire::AnthropicMessages,
            begun(messages()),
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
            "fault: overloaded_error: Overloaded",
        ),
        (
            Wire::GeminiGenerate,
            begun(gemini()),
            json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}),
            "fault: UNAVAILABLE: busy",
        ),
    ] {
        assert_eq!(every_way(wire, &format!("{before}data: {event}\n\n")), Err(word.to_owned()), "{}", wire.name());
    }
    // The last event of this dialect may be a failure; reading the body tells.
    let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "no"}, "output": []});
    let stream = named(&[json!({"type": "response.failed", "response": failed})]);
    assert_eq!(every_way(Wire::OpenAiResponses, &stream), Ok(failed));
}

#[test]
fn an_answer_in_one_is_left_as_it_is() {
    for text in
        ["{\"a\": 1}", "\n\n: keep-alive\n\u{20}{\"a\": 1}", "[1]", "\"a\"", "<html>", "upstream error", "", ": c"]
    {
        for wire in [Wire::OpenAiChat, Wire::GeminiGenerate] {
            let heard = hear(wire, &[text.as_bytes()]);
            if text == "[1]" && wire == Wire::GeminiGenerate {
                assert_eq!(heard, Err("no event that is an object".to_owned()));
            } else {
                assert_eq!(heard, Err(format!("in one: {text}")), "{}", wire.name());
            }
        }
    }
}

#[test]
fn geminis_list_of_pieces_is_put_together() {
    let (stream, body) = gemini();
    let pieces: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(every_way(Wire::GeminiGenerate, &format!("[{}\n]\n", pieces.join("\n,\r\n"))), Ok(body));
    assert_eq!(every_way(Wire::GeminiGenerate, &format!("[{}]", pieces[..3].join(","))), Err("broken".to_owned()));
}

#[test]
fn calls_that_share_a_place_or_have_none_are_told_apart_by_id() {
    let call = |piece: Value| json!({"choices": [{"delta": {"tool_calls": [piece]}}]});
    let function = |name: &str| json!({"name": name, "arguments": "{}"});
    let end = json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]});
    let expected = json!([{"id": "a", "function": {"name": "x", "arguments": "{}"}}, {"id": "b", "function": {"name": "y", "arguments": "{}"}}]);
    for index in [json!(0), Value::Null] {
        let first = call(json!({"index": index, "id": "a", "function": function("x")}));
        let second = call(json!({"index": index, "id": "b", "function": {"name": "y", "arguments": "{"}}));
        let rest = call(json!({"index": index, "function": {"name": "", "arguments": "}"}}));
        let body = every_way(Wire::OpenAiChat, &sse(&[first, second, rest, end.clone()])).unwrap();
        assert_eq!(body["choices"][0]["message"]["tool_calls"], expected, "{index}");
    }
}

#[test]
fn hidden_reasoning_is_put_together_by_place_and_kind() {
    let detail = |detail: Value| json!({"choices": [{"delta": {"reasoning_details": [detail]}}]});
    let stream = sse(&[
        detail(json!({"type": "reasoning.text", "index": 0, "text": "h"})),
        detail(json!({"type": "reasoning.text", "index": 0, "text": "m", "signature": null})),
        detail(json!({"type": "reasoning.text", "index": 0, "signature": "s"})),
        detail(json!({"type": "reasoning.encrypted", "index": 1, "data": "x"})),
        json!({"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}),
    ]);
    let body = every_way(Wire::OpenAiChat, &stream).unwrap();
    assert_eq!(
        body["choices"][0]["message"]["reasoning_details"],
        json!([{"type": "reasoning.text", "index": 0, "text": "hm", "signature": "s"},
            {"type": "reasoning.encrypted", "index": 1, "data": "x"}])
    );
}

#[test]
fn the_input_of_a_tool_that_is_no_json_breaks_the_answer_unless_it_was_cut() {
    let stream = |why: &str| {
        named(&[
            json!({"type": "message_start", "message": {"model": "m"}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "n", "input": {}}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{\"a\": "}}),
            json!({"type": "message_delta", "delta": {"stop_reason": why}, "usage": {"output_tokens": 1}}),
            json!({"type": "message_stop"}),
        ])
    };
    assert_eq!(
        every_way(Wire::AnthropicMessages, &stream("tool_use")),
        Err("no JSON in the input of a tool".to_owned())
    );
    let cut = every_way(Wire::AnthropicMessages, &stream("max_tokens")).unwrap();
    assert_eq!(cut["content"], json!([{"type": "tool_use", "id": "t", "name": "n", "input": {}}]));
}

#[test]
fn items_are_taken_one_by_one_where_the_last_event_leaves_them_out() {
    let stream = named(&[
        json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": []}}),
        json!({"type": "response.completed", "response": {"status": "completed", "output": []}}),
    ]);
    let body = every_way(Wire::OpenAiResponses, &stream).unwrap();
    assert_eq!(body, json!({"status": "completed", "output": [{"type": "message", "content": []}]}));
}

#[test]
fn how_far_an_answer_is_is_said_without_a_word_of_it() {
    for (wire, stream, _) in all() {
        let mut listener = Listener::new(wire);
        assert_eq!((listener.words(), listener.has_begun()), (None, false));
        let text = stream.find("Grü").unwrap();
        let end = text + stream[text..].find("\n\n").or_else(|| stream[text..].find("\r\n\r\n")).unwrap();
        listener.take(&stream.as_bytes()[..end]).unwrap();
        listener.take(b"\n\n").unwrap();
        let thought = if wire == Wire::OpenAiResponses { 0 } else { 2 };
        assert_eq!(listener.words(), Some(format!("writing, {} bytes so far", thought + 4)), "{}", wire.name());
        assert!(listener.has_begun());
    }
}
