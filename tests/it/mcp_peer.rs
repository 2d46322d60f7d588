//! A client of the real server that answers dialogs and follows tasks, in both eras of the protocol.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::Place;

/// Longest wait for a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which era a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Legacy,
    Modern,
}

pub(crate) const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// A client with its server.
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    era: Era,
    capabilities: Value,
    last: u64,
    /// Results of dialogs, in the order in which they are given; without one the dialog is cancelled.
    pub(crate) answers: VecDeque<Value>,
    /// The params of dialogs that were asked for.
    pub(crate) asked: Vec<Value>,
}

impl Peer {
    pub(crate) fn new(place: &Place, era: Era, capabilities: Value) -> Self {
        Self::with_env(place, era, capabilities, &[])
    }

    pub(crate) fn with_env(place: &Place, era: Era, capabilities: Value, env: &[(&str, &str)]) -> Self {
        let mut command = place.command(&["mcp"]);
        command.envs(env.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tx, messages) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { return };
                let message: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}"));
                if tx.send(message).is_err() {
                    return;
                }
            }
        });
        let (answers, asked) = (VecDeque::new(), Vec::new());
        let mut peer = Self { child, stdin, messages, era, capabilities, last: 0, answers, asked };
        if era == Era::Legacy {
            let params = json!({
                "protocolVersion": "2025-11-25", "capabilities": peer.capabilities,
                "clientInfo": {"name": "tester", "version": "1.2"},
            });
            let opened = peer.request("initialize", params);
            assert_eq!(opened["result"]["protocolVersion"], "2025-11-25", "{opened}");
            peer.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        }
        peer
    }

    fn send(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{message}\n").as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Sends a request and gives its answer, result or error. Dialogs of the server are answered meanwhile.
    pub(crate) fn request(&mut self, method: &str, mut params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        if self.era == Era::Modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
                "io.modelcontextprotocol/clientInfo": {"name": "tester", "version": "1.2"},
            });
        }
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap();
            if message["method"] == "elicitation/create" {
                assert_eq!(self.era, Era::Legacy, "a server sends no requests in the modern era: {message}");
                self.asked.push(message["params"].clone());
                let result = self.answers.pop_front().unwrap_or_else(|| json!({"action": "cancel"}));
                self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
            } else if message["id"] == json!(id) {
                return message;
            } else {
                assert!(message.get("id").is_none(), "an answer to nothing: {message}");
            }
        }
    }

    /// The result of a request that must succeed.
    pub(crate) fn result(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The error of a request that must fail: its code and message.
    pub(crate) fn error(&mut self, method: &str, params: Value) -> (i64, String) {
        let answer = self.request(method, params);
        let error = &answer["error"];
        (
            error["code"].as_i64().unwrap_or_else(|| panic!("{method}: {answer}")),
            error["message"].as_str().unwrap().to_owned(),
        )
    }

    /// The result of a call of a tool, whatever kind it is. In the modern era dialogs are answered by calling again.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let params = json!({"name": tool, "arguments": arguments});
        let mut result = self.result("tools/call", params.clone());
        while result["resultType"] == "input_required" {
            let mut again = params.clone();
            again["requestState"] = result["requestState"].clone();
            let mut responses = json!({});
            for (key, request) in result["inputRequests"].as_object().unwrap() {
                assert_eq!(request["method"], "elicitation/create");
                self.asked.push(request["params"].clone());
                responses[key] = self.answers.pop_front().unwrap_or_else(|| json!({"action": "cancel"}));
            }
            again["inputResponses"] = responses;
            result = self.result("tools/call", again);
        }
        result
    }

    /// The reply of a call of a tool that must succeed.
    pub(crate) fn view(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], json!(false), "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// The failure of a call of a tool that must fail.
    pub(crate) fn failure(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], json!(true), "{tool}: {result}");
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        text["error"].clone()
    }

    /// Kills the server at once, as clients do when they quit.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
