//! A small typed MCP client over the real binary: every line it gets must be JSON-RPC, every structured reply must fit its schema.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cli::Place;

/// How long an answer may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Characters of the compact JSON of a reply.
pub(crate) const REPLY_CHARS: usize = 10_000;

/// How a client opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// `initialize` with this version.
    Legacy(&'static str),
    /// No session: every request brings its `_meta`.
    Modern,
}

pub(crate) const LEGACY: Era = Era::Legacy("2025-11-25");
pub(crate) const ERAS: [Era; 2] = [LEGACY, Era::Modern];

/// A connected client.
pub(crate) struct Mcp {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Messages read while another one was waited for.
    pub(crate) others: Vec<Value>,
    era: Era,
    name: String,
    last_id: u64,
    schemas: HashMap<String, Value>,
}

impl Mcp {
    /// A client that has opened, with the tools' schemas at hand.
    pub(crate) fn start(place: &Place) -> Self {
        Self::open(&mut place.command(&["mcp"]), LEGACY, "test-client")
    }

    /// The same in an era, under a name.
    pub(crate) fn start_as(place: &Place, era: Era, name: &str) -> Self {
        Self::open(&mut place.command(&["mcp"]), era, name)
    }

    /// The same with a command of one's own.
    pub(crate) fn open(command: &mut Command, era: Era, name: &str) -> Self {
        let mut client = Self::raw(command);
        client.era = era;
        name.clone_into(&mut client.name);
        if let Era::Legacy(version) = era {
            let info = json!({ "name": client.name, "version": "1.0" });
            let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": info });
            let answer = client.request("initialize", params);
            assert_eq!(answer["result"]["protocolVersion"], version, "{answer}");
            client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        }
        let answer = client.request("tools/list", json!({}));
        for tool in answer["result"]["tools"].as_array().expect("tools") {
            client.schemas.insert(tool["name"].as_str().unwrap().to_owned(), tool["outputSchema"].clone());
        }
        client
    }

    /// A process that nothing was said to yet.
    pub(crate) fn raw(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = child.stdout.take().unwrap();
        Self {
            child,
            input,
            lines: lines_of(output),
            others: Vec::new(),
            era: LEGACY,
            name: "test-client".to_owned(),
            last_id: 0,
            schemas: HashMap::new(),
        }
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.input.as_mut().expect("an open input").write_all(bytes).unwrap();
    }

    /// Writes bytes; tells whether the server took them.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.input.as_mut().expect("an open input").write_all(bytes).is_ok()
    }

    /// Writes a message.
    pub(crate) fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n").as_bytes());
    }

    /// The params as this era wants them.
    pub(crate) fn dressed(&self, mut params: Value) -> Value {
        if self.era == Era::Modern {
            let meta = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
            meta["io.modelcontextprotocol/protocolVersion"] = "2026-07-28".into();
            meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": self.name, "version": "1.0" });
        }
        params
    }

    /// Sends a request and gives its id.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let params = self.dressed(params);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// The next message of any kind; none when the server closed its end.
    pub(crate) fn next(&mut self) -> Option<Value> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(parse(&line)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing came within {PATIENCE:?}; before: {:?}", self.others),
        }
    }

    /// Whether nothing comes for a while.
    pub(crate) fn silent(&mut self, while_: Duration) -> bool {
        match self.lines.recv_timeout(while_) {
            Ok(line) => {
                self.others.push(parse(&line));
                false
            }
            Err(_) => true,
        }
    }

    /// The answer to an id, as JSON compares it.
    pub(crate) fn answer(&mut self, id: impl Into<Value>) -> Value {
        let id = id.into();
        if let Some(at) = self.others.iter().position(|m| m.get("id") == Some(&id) && m.get("method").is_none()) {
            return self.others.remove(at);
        }
        loop {
            let message = self.next().unwrap_or_else(|| panic!("the server closed; no answer to {id}"));
            if message.get("id") == Some(&id) && message.get("method").is_none() {
                return message;
            }
            self.others.push(message);
        }
    }

    /// Asks and waits for the answer.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id)
    }

    /// Starts a call of a tool and gives its id.
    pub(crate) fn start_call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// The result of a call, checked: one text block; with structured content the same JSON, which fits the schema and the bound.
    pub(crate) fn result(&mut self, tool: &str, arguments: Value) -> Value {
        let explicit = arguments.get("max_bytes").is_some();
        let id = self.start_call(tool, arguments);
        let answer = self.answer(id);
        let result = answer.get("result").unwrap_or_else(|| panic!("{tool}: {answer}")).clone();
        self.check(tool, &result, explicit);
        result
    }

    /// Checks a result of a tool.
    pub(crate) fn check(&self, tool: &str, result: &Value, explicit: bool) {
        let content = result["content"].as_array().unwrap();
        assert_eq!(content.len(), 1, "{tool}: one block");
        let text = content[0]["text"].as_str().unwrap();
        let said: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{tool}: not JSON ({e}): {text}"));
        if result["isError"] == json!(true) {
            assert!(result.get("structuredContent").is_none(), "{tool}: {result}");
            assert!(said["error"]["code"].is_string() && said["error"]["message"].is_string(), "{tool}: {said}");
            return;
        }
        let structured = &result["structuredContent"];
        assert_eq!(&said, structured, "{tool}: the text says the same");
        let schema = self.schemas.get(tool).unwrap_or_else(|| panic!("{tool} is not listed"));
        check_schema(tool, schema, structured);
        let chars = structured.to_string().chars().count();
        assert!(explicit || chars <= REPLY_CHARS, "{tool}: {chars} characters");
    }

    /// The structured reply of a call that must be served.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.result(tool, arguments);
        assert_ne!(result["isError"], json!(true), "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// The text of a call that must be refused, as JSON: `error`, or the view with `ok: false`.
    pub(crate) fn refused(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.result(tool, arguments);
        assert_eq!(result["isError"], json!(true), "{tool}: {result}");
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
    }

    /// Closes the server's stdin.
    pub(crate) fn hang_up(&mut self) {
        self.input = None;
    }

    /// Waits for the end of the process: its exit code, if it has one.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "the server does not end");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Closes stdin and gives what was left to read, and the exit code.
    pub(crate) fn finish(mut self) -> (Vec<Value>, Option<i32>) {
        self.hang_up();
        let mut left = std::mem::take(&mut self.others);
        while let Some(message) = self.next() {
            left.push(message);
        }
        let code = self.ended();
        (left, code)
    }

    /// Peak resident memory of the server in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        status_kib(self.child.id(), "VmHWM:")
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A figure of `/proc/PID/status` in KiB.
pub(crate) fn status_kib(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).expect("the figure");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The lines of a stream, read by a thread.
pub(crate) fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tx, rx) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if tx.send(line).is_err() {
                return;
            }
        }
    });
    rx
}

/// A line of stdout, which carries nothing but JSON-RPC.
pub(crate) fn parse(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON on stdout ({e}): {line}"));
    assert_eq!(value["jsonrpc"], "2.0", "not JSON-RPC on stdout: {line}");
    value
}

/// Checks a value against a schema.
pub(crate) fn check_schema(what: &str, schema: &Value, value: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap_or_else(|e| panic!("{what}: the schema is broken: {e}"));
    let faults: Vec<_> = validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{what} breaks its schema: {faults:#?}\n{value:#}");
}
