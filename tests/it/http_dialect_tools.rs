//! Tools on the wire of each dialect: how they are offered, called and answered.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use owf::core::budget::Charge;
use owf::core::outcome::CallError;
use owf::providers::{
    Allowance, AttemptRequest, BoxFuture, CallContext, Entry, Progress, ReplyAnswer, ToolBox, ToolSpec,
};
use serde_json::{Value, json};

use crate::support::http_ask::{ask_with, at, prompt, provider, structured};
use crate::support::http_mock::{Answer, Mock};

/// One tool that doubles a number, and fails for others.
struct Double;

fn parameters() -> Value {
    json!({"type": "object", "properties": {"n": {"type": "integer"}}})
}

impl ToolBox for Double {
    fn tools(&self) -> Vec<ToolSpec> {
        vec![ToolSpec { name: "double".into(), description: "Doubles.".into(), parameters: parameters() }]
    }

    fn call<'a>(&'a self, _name: &'a str, arguments: Value) -> BoxFuture<'a, Result<String, String>> {
        let result = arguments["n"].as_u64().map(|n| (2 * n).to_string()).ok_or_else(|| "no number".to_owned());
        Box::pin(std::future::ready(result))
    }
}

/// An answer of a dialect that calls the tool twice, once wrongly.
fn calling(name: &str) -> Value {
    match name {
        "mine" => json!({"status": "completed", "output": [{"type": "reasoning", "id": "r1", "encrypted_content": "x"},
            {"type": "function_call", "call_id": "c1", "name": "double", "arguments": "{\"n\": 4}"},
            {"type": "function_call", "call_id": "c2", "name": "double", "arguments": "{}"}]}),
        "anthropic" => json!({"content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "tool_use", "id": "c1", "name": "double", "input": {"n": 4}},
            {"type": "tool_use", "id": "c2", "name": "double", "input": {}}], "stop_reason": "tool_use"}),
        "gemini" => json!({"candidates": [{"content": {"role": "model", "parts": [
            {"functionCall": {"name": "double", "args": {"n": 4}}, "thoughtSignature": "s"},
            {"functionCall": {"name": "double", "args": {}, "id": "c2"}}]}, "finishReason": "STOP"}]}),
        _ => {
            json!({"choices": [{"message": {"role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "double", "arguments": "{\"n\": 4}"}},
                {"id": "c2", "type": "function", "function": {"name": "double", "arguments": "{}"}}]}, "finish_reason": "tool_calls"}]})
        }
    }
}

fn done(name: &str) -> Value {
    match name {
        "mine" => {
            json!({"status": "completed", "output": [{"type": "message", "content": [{"type": "output_text", "text": "8"}]}]})
        }
        "anthropic" => json!({"content": [{"type": "text", "text": "8"}], "stop_reason": "end_turn"}),
        "gemini" => json!({"candidates": [{"content": {"parts": [{"text": "8"}]}, "finishReason": "STOP"}]}),
        _ => json!({"choices": [{"message": {"content": "8"}, "finish_reason": "stop"}]}),
    }
}

fn context() -> CallContext {
    CallContext { tools: Some(Arc::new(Double)), ..CallContext::default() }
}

/// Both requests of a loop of two.
fn requests(name: &str, path: &str, kind: Option<&str>) -> [Value; 2] {
    let mock = Mock::of(vec![Answer::json(200, &calling(name)), Answer::json(200, &done(name))]);
    let entry = Entry {
        kind: kind.map(str::to_owned),
        api_key_env: kind.map(|_| "OPENAI_API_KEY".to_owned()),
        default_model: Some("m".into()),
        ..at(mock.url(path))
    };
    let reply = ask_with(&provider(name, entry), &prompt("Double 4"), &context()).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Text("8".into()), "{name}");
    assert!(reply.transcript.unwrap().lines().count() == 4, "{name}");
    let mut seen = mock.seen().into_iter().map(|seen| seen.body);
    [seen.next().unwrap(), seen.next().unwrap()]
}

#[test]
fn tools_calls_and_results_in_each_dialect() {
    let [first, second] = requests("openai", "/v1", None);
    assert_eq!(
        first["tools"],
        json!([{"type": "function", "function": {"name": "double", "description": "Doubles.", "parameters": parameters()}}])
    );
    assert_eq!(second["messages"][1]["tool_calls"], calling("openai")["choices"][0]["message"]["tool_calls"]);
    assert_eq!(second["messages"][1]["reasoning_content"], "hm");
    assert_eq!(second["messages"][1].get("refusal"), None);
    assert_eq!(second["messages"][2], json!({"role": "tool", "tool_call_id": "c1", "content": "8"}));
    assert_eq!(second["messages"][3], json!({"role": "tool", "tool_call_id": "c2", "content": "error: no number"}));

    let [first, second] = requests("mine", "/v1", Some("openai-responses"));
    assert_eq!(
        first["tools"],
        json!([{"type": "function", "name": "double", "description": "Doubles.", "parameters": parameters(), "strict": false}])
    );
    assert_eq!(first["include"], json!(["reasoning.encrypted_content"]));
    let mut items = vec![json!({"role": "user", "content": "Double 4"})];
    items.extend(calling("mine")["output"].as_array().unwrap().clone());
    items.push(json!({"type": "function_call_output", "call_id": "c1", "output": "8"}));
    items.push(json!({"type": "function_call_output", "call_id": "c2", "output": "error: no number"}));
    assert_eq!(second["input"], Value::Array(items));

    let [first, second] = requests("anthropic", "", None);
    assert_eq!(first["tools"], json!([{"name": "double", "description": "Doubles.", "input_schema": parameters()}]));
    assert_eq!(second["messages"][1], json!({"role": "assistant", "content": calling("anthropic")["content"]}));
    assert_eq!(
        second["messages"][2],
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "8"},
            {"type": "tool_result", "tool_use_id": "c2", "content": "no number", "is_error": true}]})
    );

    let [first, second] = requests("gemini", "", None);
    assert_eq!(
        first["tools"],
        json!([{"functionDeclarations": [{"name": "double", "description": "Doubles.", "parametersJsonSchema": parameters()}]}])
    );
    assert_eq!(second["contents"][1], calling("gemini")["candidates"][0]["content"]);
    assert_eq!(
        second["contents"][2],
        json!({"role": "user", "parts": [{"functionResponse": {"name": "double", "response": {"result": "8"}}},
            {"functionResponse": {"name": "double", "response": {"error": "no number"}, "id": "c2"}}]})
    );
}

#[test]
fn with_tools_a_forced_answer_is_one_tool_among_others() {
    let schema = json!({"type": "object", "properties": {"m": {"type": "object",
        "additionalProperties": {"type": "number"}}}, "required": ["m"]});
    let answer = json!({"content": [{"type": "tool_use", "id": "c3", "name": "give_answer", "input": {"m": {"four": 8}}}],
        "stop_reason": "tool_use"});
    let mock = Mock::of(vec![Answer::json(200, &calling("anthropic")), Answer::json(200, &answer)]);
    let reply = ask_with(&provider("anthropic", at(mock.url(""))), &structured("p", &schema), &context()).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"m": {"four": 8}})));
    let sent = mock.seen().remove(1).body;
    assert_eq!(sent["tool_choice"], json!({"type": "any"}));
    let names: Vec<&Value> = sent["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["double", "give_answer"]);
}

#[test]
fn each_turn_of_a_loop_says_how_far_it_is() {
    let words = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&words);
    let progress = Progress::new(move |word| ear.lock().unwrap().push(word));
    let mock = Mock::of(vec![Answer::json(200, &calling("openai")), Answer::json(200, &done("openai"))]);
    let mut request = prompt("Double 4");
    request.model = Some("m".into());
    let context = CallContext { progress, ..context() };
    ask_with(&provider("openai", at(mock.url("/v1"))), &request, &context).unwrap();
    assert_eq!(*words.lock().unwrap(), ["turn 1: asking m", "double", "double", "turn 2: asking m"]);
}

/// An attempt that goes on with this conversation.
struct GoingOn(Value);

impl ToolBox for GoingOn {
    fn tools(&self) -> Vec<ToolSpec> {
        Double.tools()
    }

    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> BoxFuture<'a, Result<String, String>> {
        Double.call(name, arguments)
    }

    fn kept(&self) -> Option<Value> {
        Some(self.0.clone())
    }
}

/// Grants everything, and remembers what was asked for.
#[derive(Default)]
struct Granting(Mutex<Vec<[Charge; 2]>>);

impl Allowance for Granting {
    fn raise(&self, used: Charge, next: Charge) -> BoxFuture<'_, Result<(), CallError>> {
        self.0.lock().unwrap().push([used, next]);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[test]
fn the_first_request_of_an_attempt_that_goes_on_is_estimated_with_all_that_was_said() {
    let mock = Mock::of(vec![Answer::json(200, &done("openai"))]);
    let openai = provider("openai", at(mock.url("/v1")));
    let said = json!({"role": "assistant", "content": "x".repeat(30_000)});
    let later = json!([{"raw": said}, {"results": [{"id": "c1", "name": "double", "content": {"Ok": "y".repeat(30_000)}}]},
        {"user": "z".repeat(30_000)}]);
    let kept = json!({"later": later, "turn": 2, "transcript": [], "open": null});
    let granting = Arc::new(Granting::default());
    let context = CallContext {
        tools: Some(Arc::new(GoingOn(kept))),
        allowance: Some(Arc::clone(&granting) as Arc<dyn Allowance>),
        ..CallContext::default()
    };
    let request = AttemptRequest { model: Some("gpt-5.4-mini".into()), ..prompt("Double 4") };
    ask_with(&openai, &request, &context).unwrap();
    let reserve = openai.reserve(&request);
    let bytes = said.to_string().len() as u64 + 60_000;
    // Three bytes are a token at the least, a thousand tokens 0.75 thousandths of a dollar.
    let next = Charge { cost_nanos: reserve.cost_nanos + bytes / 3 * 750, ..reserve };
    assert_eq!(*granting.0.lock().unwrap(), [[Charge::default(), next]]);
}
