//! The dialect of `chat/completions`: OpenAI, and nearly everyone else.

use serde_json::{Map, Value, json};

use super::wire::{Asked, Effort, Fault, Finish, Held, Said, ToolCall, Turn, Unread, arguments, count, fault};
use crate::providers::ToolSpec;
use crate::providers::prices::TokenUse;

pub(super) fn body(asked: &Asked<'_>) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = asked.system {
        messages.push(json!({"role": "system", "content": system}));
    }
    for turn in asked.turns {
        match turn {
            Turn::User(text) => messages.push(json!({"role": "user", "content": text})),
            Turn::Assistant(text) => messages.push(json!({"role": "assistant", "content": text})),
            Turn::Raw(message) => messages.push(message.clone()),
            Turn::Results(results) => messages.extend(results.iter().map(|result| {
                let content = match &result.content {
                    Ok(text) => text.clone(),
                    Err(why) => format!("error: {why}"),
                };
                json!({"role": "tool", "tool_call_id": result.id, "content": content})
            })),
        }
    }
    let mut body = Map::new();
    body.insert("model".into(), asked.model.into());
    body.insert("messages".into(), messages.into());
    let mut tools: Vec<Value> = asked.tools.iter().map(tool).collect();
    match asked.held {
        Held::Free => {}
        Held::Json => drop(body.insert("response_format".into(), json!({"type": "json_object"}))),
        Held::Schema { schema, strict, name } => {
            let format =
                json!({"type": "json_schema", "json_schema": {"name": name, "strict": strict, "schema": schema}});
            body.insert("response_format".into(), format);
        }
        Held::Tool { tool: answer } => {
            let choice = if tools.is_empty() {
                json!({"type": "function", "function": {"name": answer.name}})
            } else {
                "required".into()
            };
            tools.push(tool(answer));
            body.insert("tool_choice".into(), choice);
        }
    }
    if !tools.is_empty() {
        body.insert("tools".into(), tools.into());
    }
    if let Some(most) = asked.max_output {
        body.insert(asked.quirks.max_output.into(), most.into());
    }
    match (asked.effort, asked.quirks.effort) {
        (None, _) | (Some(_), Effort::Unsaid) => {}
        (Some(word), Effort::Plain) => drop(body.insert("reasoning_effort".into(), at_most_xhigh(word).into())),
        (Some(word), Effort::Nested) => drop(body.insert("reasoning".into(), json!({"effort": at_most_xhigh(word)}))),
    }
    if asked.quirks.routes && asked.held != Held::Free {
        body.insert("provider".into(), json!({"require_parameters": true}));
    }
    Value::Object(body)
}

/// The word of the dialect for an effort: it has none above `xhigh`.
pub(super) fn at_most_xhigh(word: &str) -> &str {
    if word == "max" { "xhigh" } else { word }
}

fn tool(spec: &ToolSpec) -> Value {
    json!({"type": "function",
        "function": {"name": spec.name, "description": spec.description, "parameters": spec.parameters}})
}

pub(super) fn read(body: &Value) -> Result<Said, Unread> {
    if let Some(fault) = fault(body) {
        return Err(Unread::Fault(fault));
    }
    let choice = body.pointer("/choices/0").ok_or(Unread::Shape("choices"))?;
    // A router reports what went wrong behind it inside the choice, with status 200.
    if let Some(inner) = fault(choice) {
        return Err(Unread::Fault(inner));
    }
    let message = choice.get("message").filter(|m| m.is_object()).ok_or(Unread::Shape("choices[0].message"))?;
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    };
    let calls: Vec<ToolCall> = message
        .get("tool_calls")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|call| {
            let function = call.get("function")?;
            Some(ToolCall {
                id: call.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
                name: function.get("name")?.as_str()?.to_owned(),
                arguments: match function.get("arguments") {
                    Some(Value::String(text)) => arguments(text),
                    Some(value) => Ok(value.clone()),
                    None => arguments(""),
                },
            })
        })
        .collect();
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|text| !text.is_empty());
    let finish = match (refusal, choice.get("finish_reason").and_then(Value::as_str)) {
        (Some(why), _) => Finish::Refused(why.to_owned()),
        (None, Some("length")) => Finish::Length,
        (None, Some("content_filter")) => Finish::Refused("content_filter".to_owned()),
        (None, None | Some("stop" | "tool_calls" | "function_call")) => Finish::Done,
        (None, Some("error")) => {
            return Err(Unread::Fault(Fault { message: "the model broke off".into(), ..Fault::default() }));
        }
        (None, Some(other)) => Finish::Other(other.to_owned()),
    };
    let cached =
        count(body, "/usage/prompt_tokens_details/cached_tokens").max(count(body, "/usage/prompt_cache_hit_tokens"));
    let written = count(body, "/usage/prompt_tokens_details/cache_write_tokens");
    let used = TokenUse {
        input: count(body, "/usage/prompt_tokens").saturating_sub(cached + written),
        cache_read: cached,
        cache_write_5m: written,
        cache_write_1h: 0,
        output: count(body, "/usage/completion_tokens"),
        reasoning: count(body, "/usage/completion_tokens_details/reasoning_tokens"),
    };
    let cost = body.pointer("/usage/cost").and_then(Value::as_f64).filter(|cost| *cost >= 0.0);
    Ok(Said {
        text,
        calls,
        finish,
        raw: replayed(message),
        used,
        cost_nanos: cost.map(|usd| (usd * 1e9).round() as u64),
        model: body.get("model").and_then(Value::as_str).map(str::to_owned),
    })
}

/// The message as it is sent back: what the dialect knows of it, without nulls.
fn replayed(message: &Value) -> Value {
    let mut out = Map::new();
    out.insert("role".into(), "assistant".into());
    for key in ["content", "tool_calls", "reasoning_content", "reasoning_details"] {
        match message.get(key) {
            None => {}
            Some(Value::Null) if key != "content" => {}
            Some(value) => drop(out.insert(key.into(), value.clone())),
        }
    }
    Value::Object(out)
}
