//! What holds of every reply of a tool, whichever client reads it: its form, its output schema, its bound.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::cli::Place;

/// Characters of the compact JSON of a reply.
pub(crate) const REPLY_CHARS: usize = 10_000;

/// What a request brings with it in the era without sessions.
pub(crate) fn meta(capabilities: &Value, name: &str) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": { "name": name, "version": "1.0" },
    })
}

/// The output schemas that the server lists, asked for once.
static SCHEMAS: LazyLock<HashMap<String, Validator>> = LazyLock::new(|| {
    let place = Place::new();
    let mut child = place.command(&["mcp"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let params = json!({ "_meta": meta(&json!({}), "schemas") });
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params });
    writeln!(child.stdin.take().unwrap(), "{ask}").unwrap();
    let answer: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    let tools = answer["result"]["tools"].as_array().unwrap().clone();
    let validator = |tool: &Value| {
        jsonschema::validator_for(&tool["outputSchema"]).unwrap_or_else(|e| panic!("{tool}: a broken schema: {e}"))
    };
    tools.iter().map(|tool| (tool["name"].as_str().unwrap().to_owned(), validator(tool))).collect()
});

/// A line of stdout, which carries nothing but JSON-RPC.
pub(crate) fn parse(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON on stdout ({e}): {line}"));
    assert_eq!(value["jsonrpc"], "2.0", "not JSON-RPC on stdout: {line}");
    value
}

/// Checks a result of a tool: one text block; a failure says what it is, and anything else is the same JSON as structured content,
/// which fits the tool's schema and, unless the call named a size of its own, the bound.
pub(crate) fn check(tool: &str, result: &Value, explicit: bool) {
    let content = result["content"].as_array().unwrap_or_else(|| panic!("{tool}: {result}"));
    assert_eq!(content.len(), 1, "{tool}: one block");
    let text = content[0]["text"].as_str().unwrap_or_else(|| panic!("{tool}: {result}"));
    let said: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{tool}: not JSON ({e}): {text}"));
    let chars = said.to_string().chars().count();
    assert!(explicit || chars <= REPLY_CHARS, "{tool}: {chars} characters: {text}");
    if result["isError"] == json!(true) {
        assert!(result.get("structuredContent").is_none(), "{tool}: {result}");
        assert!(said["error"]["code"].is_string() && said["error"]["message"].is_string(), "{tool}: {said}");
        return;
    }
    assert_eq!(&said, &result["structuredContent"], "{tool}: the text says the same");
    let validator = SCHEMAS.get(tool).unwrap_or_else(|| panic!("{tool} is not listed"));
    let faults: Vec<_> = validator.iter_errors(&said).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{tool} breaks its schema: {faults:#?}\n{said:#}");
}

/// What a client remembers of its calls, so that their replies can be checked as they come.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// By request: the tool, and whether the call named a size of its own.
    calls: HashMap<String, (String, bool)>,
    /// By task: the tool that became it.
    tasks: HashMap<String, String>,
}

impl Checker {
    /// Takes note of a message to the server.
    pub(crate) fn sent(&mut self, message: &Value) {
        let (id, params) = (message["id"].to_string(), &message["params"]);
        if message["method"] == "tools/call"
            && let Some(tool) = params["name"].as_str()
        {
            let explicit = params["arguments"].get("max_bytes").is_some();
            self.calls.insert(id, (tool.to_owned(), explicit));
        }
    }

    /// Checks a message from the server.
    pub(crate) fn came(&mut self, message: &Value) {
        let result = &message["result"];
        let call = self.calls.get(&message["id"].to_string());
        if result["content"].is_array() {
            let (tool, explicit) = call.unwrap_or_else(|| panic!("the reply of a tool to no call: {message}"));
            check(tool, result, *explicit);
        }
        if result["resultType"] == "task"
            && let (Some((tool, _)), Some(task)) = (call, result["taskId"].as_str())
        {
            self.tasks.insert(task.to_owned(), tool.clone());
        }
        // A task that has ended brings the reply of its tool with it. Which tool made it is unknown to a later client.
        if let (Some(task), Some(reply)) = (result["taskId"].as_str(), result.get("result")) {
            check(self.tasks.get(task).map_or("owf_run_workflow", String::as_str), reply, false);
        }
    }
}
