//! The dialect of `responses`.

use serde_json::{Map, Value, json};

use super::openai_chat::at_most_xhigh;
use super::wire::{Asked, Finish, Held, Said, ToolCall, Turn, Unread, arguments, count, fault};
use crate::providers::ToolSpec;
use crate::providers::prices::TokenUse;

pub(super) fn body(asked: &Asked<'_>) -> Value {
    let mut input = Vec::new();
    for turn in asked.turns {
        match turn {
            Turn::User(text) => input.push(json!({"role": "user", "content": text})),
            Turn::Assistant(text) => input.push(json!({"role": "assistant", "content": text})),
            // Items of the output go back one by one.
            Turn::Raw(items) => input.extend(items.as_array().cloned().unwrap_or_default()),
            Turn::Results(results) => input.extend(results.iter().map(|result| {
                let output = match &result.content {
                    Ok(text) => text.clone(),
                    Err(why) => format!("error: {why}"),
                };
                json!({"type": "function_call_output", "call_id": result.id, "output": output})
            })),
        }
    }
    let mut body = Map::new();
    body.insert("model".into(), asked.model.into());
    body.insert("input".into(), input.into());
    // Nothing is kept at the service; hidden reasoning travels with the conversation instead.
    body.insert("store".into(), false.into());
    if let Some(system) = asked.system {
        body.insert("instructions".into(), system.into());
    }
    let mut tools: Vec<Value> = asked.tools.iter().map(tool).collect();
    if !tools.is_empty() {
        body.insert("include".into(), json!(["reasoning.encrypted_content"]));
    }
    match asked.held {
        Held::Free => {}
        Held::Json => drop(body.insert("text".into(), json!({"format": {"type": "json_object"}}))),
        Held::Schema { schema, strict, name } => {
            let format = json!({"type": "json_schema", "name": name, "strict": strict, "schema": schema});
            body.insert("text".into(), json!({"format": format}));
        }
        Held::Tool { tool: answer } => {
            let choice =
                if tools.is_empty() { json!({"type": "function", "name": answer.name}) } else { "required".into() };
            tools.push(tool(answer));
            body.insert("tool_choice".into(), choice);
        }
    }
    if !tools.is_empty() {
        body.insert("tools".into(), tools.into());
    }
    if let Some(most) = asked.max_output {
        body.insert("max_output_tokens".into(), most.into());
    }
    if let Some(effort) = asked.effort {
        body.insert("reasoning".into(), json!({"effort": at_most_xhigh(effort)}));
    }
    Value::Object(body)
}

fn tool(spec: &ToolSpec) -> Value {
    json!({"type": "function", "name": spec.name, "description": spec.description, "parameters": spec.parameters,
        "strict": false})
}

pub(super) fn read(body: &Value) -> Result<Said, Unread> {
    if let Some(fault) = fault(body) {
        return Err(Unread::Fault(fault));
    }
    let items = body.get("output").and_then(Value::as_array).ok_or(Unread::Shape("output"))?;
    let mut text = String::new();
    let mut refusal = None;
    let mut calls = Vec::new();
    for item in items {
        match item.get("type").and_then(Value::as_str) {
            Some("message") => {
                for part in item.get("content").and_then(Value::as_array).into_iter().flatten() {
                    text.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default());
                    if let Some(why) = part.get("refusal").and_then(Value::as_str) {
                        refusal = Some(why.to_owned());
                    }
                }
            }
            Some("function_call") => calls.push(ToolCall {
                id: item.get("call_id").and_then(Value::as_str).unwrap_or_default().to_owned(),
                name: item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
                arguments: arguments(item.get("arguments").and_then(Value::as_str).unwrap_or_default()),
            }),
            _ => {}
        }
    }
    let status = body.get("status").and_then(Value::as_str).unwrap_or("completed");
    let why = body.pointer("/incomplete_details/reason").and_then(Value::as_str);
    let finish = match (refusal, status, why) {
        (Some(why), _, _) => Finish::Refused(why),
        (None, "completed", _) => Finish::Done,
        (None, "incomplete", Some("max_output_tokens")) => Finish::Length,
        (None, "incomplete", Some("content_filter")) => Finish::Refused("content_filter".to_owned()),
        (None, other, why) => Finish::Other(why.unwrap_or(other).to_owned()),
    };
    let cached = count(body, "/usage/input_tokens_details/cached_tokens");
    let written = count(body, "/usage/input_tokens_details/cache_write_tokens");
    let used = TokenUse {
        input: count(body, "/usage/input_tokens").saturating_sub(cached + written),
        cache_read: cached,
        cache_write_5m: written,
        cache_write_1h: 0,
        output: count(body, "/usage/output_tokens"),
        reasoning: count(body, "/usage/output_tokens_details/reasoning_tokens"),
    };
    let model = body.get("model").and_then(Value::as_str).map(str::to_owned);
    Ok(Said { text, calls, finish, raw: Value::Array(items.clone()), used, cost_nanos: None, model })
}
