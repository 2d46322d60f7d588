//! The answer of a service in pieces, as each dialect has them, made from the answer in one.

use serde_json::{Value, json};

/// The events of an answer to a request for a stream; none when no stream was asked for, or there is none of this answer.
pub(crate) fn events(line: &str, request: &Value, body: &Value) -> Option<Vec<String>> {
    let asked = request["stream"] == true;
    let path = line.split_whitespace().nth(1).unwrap_or_default();
    if path.ends_with("/chat/completions") && asked {
        chat(body)
    } else if path.ends_with("/responses") && asked {
        responses(body)
    } else if path.ends_with("/messages") && asked {
        messages(body)
    } else if path.ends_with(":streamGenerateContent?alt=sse") {
        gemini(body)
    } else {
        None
    }
}

fn data(event: &Value) -> String {
    format!("data: {event}\n\n")
}

fn named(event: &Value) -> String {
    format!("event: {}\r\ndata: {event}\r\n\r\n", event["type"].as_str().unwrap_or_default())
}

/// A text in three pieces, some of them empty.
fn pieces(text: &str) -> [String; 3] {
    let chars: Vec<char> = text.chars().collect();
    let (a, b) = (chars.len() / 3, 2 * chars.len() / 3);
    [&chars[..a], &chars[a..b], &chars[b..]].map(|piece| piece.iter().collect())
}

/// What stands beside `key`.
fn without(body: &Value, keys: &[&str]) -> Value {
    let mut rest = body.clone();
    for key in keys {
        rest.as_object_mut().map(|rest| rest.remove(*key));
    }
    rest
}

fn chat(body: &Value) -> Option<Vec<String>> {
    let choice = body.pointer("/choices/0")?;
    let message = choice.get("message")?.as_object()?;
    let about = without(body, &["choices", "usage"]);
    let chunk = |choice: Value| {
        let mut chunk = about.clone();
        chunk["choices"] = json!([choice]);
        chunk["usage"] = Value::Null;
        data(&chunk)
    };
    let delta = |delta: Value| chunk(json!({"index": 0, "delta": delta, "finish_reason": null}));
    let mut out = vec![": OPENROUTER PROCESSING\n\n".to_owned(), delta(json!({"role": "assistant", "content": null}))];
    for (key, value) in message {
        match (key.as_str(), value) {
            ("role", _) => {}
            ("tool_calls", Value::Array(calls)) => {
                for (at, call) in calls.iter().enumerate() {
                    let mut first = call.clone();
                    first["index"] = at.into();
                    let text = call["function"]["arguments"].as_str();
                    if text.is_some() {
                        first["function"]["arguments"] = "".into();
                    }
                    out.push(delta(json!({"tool_calls": [first]})));
                    for piece in text.map(pieces).iter().flatten() {
                        let more = json!({"index": at, "function": {"arguments": piece}});
                        out.push(delta(json!({"tool_calls": [more]})));
                    }
                }
            }
            (_, Value::String(text)) => out.extend(pieces(text).iter().map(|piece| delta(json!({key: piece})))),
            (_, value) => out.push(delta(json!({key: value}))),
        }
    }
    let mut last = without(choice, &["message"]);
    last["index"] = 0.into();
    last["delta"] = json!({});
    out.push(chunk(last));
    if let Some(usage) = body.get("usage") {
        let mut chunk = about.clone();
        chunk["choices"] = json!([]);
        chunk["usage"] = usage.clone();
        out.push(data(&chunk));
    }
    out.push("data: [DONE]\n\n".to_owned());
    Some(out)
}

fn responses(body: &Value) -> Option<Vec<String>> {
    let items = body.get("output")?.as_array()?;
    let mut begun = without(body, &["usage"]);
    begun["status"] = "in_progress".into();
    begun["output"] = json!([]);
    let mut out = vec![named(&json!({"type": "response.created", "response": begun}))];
    for (at, item) in items.iter().enumerate() {
        out.push(named(&json!({"type": "response.output_item.added", "output_index": at, "item": {}})));
        for part in item["content"].as_array().into_iter().flatten() {
            for piece in pieces(part["text"].as_str().unwrap_or_default()) {
                out.push(named(&json!({"type": "response.output_text.delta", "output_index": at, "delta": piece})));
            }
        }
        for piece in pieces(item["arguments"].as_str().unwrap_or_default()) {
            let kind = "response.function_call_arguments.delta";
            out.push(named(&json!({"type": kind, "output_index": at, "delta": piece})));
        }
        out.push(named(&json!({"type": "response.output_item.done", "output_index": at, "item": item})));
    }
    let last = match body["status"].as_str() {
        Some("incomplete") => "response.incomplete",
        Some("failed") => "response.failed",
        _ => "response.completed",
    };
    out.push(named(&json!({"type": last, "response": body})));
    Some(out)
}

fn messages(body: &Value) -> Option<Vec<String>> {
    let content = body.get("content")?.as_array()?;
    let mut message = without(body, &["stop_reason", "stop_sequence"]);
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    if let Some(usage) = message.get_mut("usage").and_then(Value::as_object_mut) {
        usage.insert("output_tokens".into(), 1.into());
    }
    let mut out = vec![named(&json!({"type": "message_start", "message": message}))];
    for (at, block) in content.iter().enumerate() {
        let mut begun = block.clone();
        let mut deltas = Vec::new();
        let kind = block["type"].as_str().unwrap_or_default();
        match kind {
            "text" | "thinking" => {
                begun[kind] = "".into();
                let text = pieces(block[kind].as_str().unwrap_or_default());
                deltas.extend(text.map(|piece| json!({"type": format!("{kind}_delta"), kind: piece})));
                if let Some(signature) = block.get("signature") {
                    begun["signature"] = "".into();
                    deltas.push(json!({"type": "signature_delta", "signature": signature}));
                }
            }
            "tool_use" => {
                begun["input"] = json!({});
                let text = pieces(&block["input"].to_string());
                deltas.extend(text.map(|piece| json!({"type": "input_json_delta", "partial_json": piece})));
            }
            _ => {}
        }
        out.push(named(&json!({"type": "content_block_start", "index": at, "content_block": begun})));
        out.push(named(&json!({"type": "ping"})));
        for delta in deltas {
            out.push(named(&json!({"type": "content_block_delta", "index": at, "delta": delta})));
        }
        out.push(named(&json!({"type": "content_block_stop", "index": at})));
    }
    let delta = json!({"stop_reason": body.get("stop_reason"), "stop_sequence": body.get("stop_sequence")});
    let usage = &body["usage"];
    let usage =
        json!({"output_tokens": usage["output_tokens"], "output_tokens_details": usage["output_tokens_details"]});
    out.push(named(&json!({"type": "message_delta", "delta": delta, "usage": usage})));
    out.push(named(&json!({"type": "message_stop"})));
    Some(out)
}

fn gemini(body: &Value) -> Option<Vec<String>> {
    let Some(candidate) = body.pointer("/candidates/0") else {
        return body.get("promptFeedback").map(|_| vec![data(body)]);
    };
    let about = without(body, &["candidates", "usageMetadata"]);
    let chunk = |part: &Value| {
        let mut chunk = about.clone();
        chunk["candidates"] = json!([{"content": {"role": "model", "parts": [part]}, "index": 0}]);
        chunk["usageMetadata"] = json!({"promptTokenCount": body["usageMetadata"]["promptTokenCount"]});
        data(&chunk)
    };
    let mut out = Vec::new();
    for part in candidate.pointer("/content/parts").and_then(Value::as_array).into_iter().flatten() {
        match part["text"].as_str().filter(|_| part.get("thoughtSignature").is_none()) {
            Some(text) => {
                for piece in pieces(text) {
                    let mut one = part.clone();
                    one["text"] = piece.into();
                    out.push(chunk(&one));
                }
            }
            None => out.push(chunk(part)),
        }
    }
    let mut last = body.clone();
    last["candidates"] = json!([without(candidate, &["content"])]);
    out.push(data(&last));
    Some(out)
}
