//! The MCP client of the tests, over the real binary and in both eras of the protocol: it calls tools, answers dialogs and follows
//! tasks. Every line it gets must be JSON-RPC, and every reply of a tool is checked as it comes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cli::Place;
pub(crate) use super::replies::parse;
use super::replies::{Checker, meta};

/// How long an answer may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

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
    /// Results of dialogs, in the order in which they are given; without one a dialog is cancelled.
    pub(crate) answers: VecDeque<Value>,
    /// The params of the dialogs that were asked for.
    pub(crate) asked: Vec<Value>,
    era: Era,
    name: String,
    capabilities: Value,
    last_id: u64,
    checker: Checker,
}

impl Mcp {
    /// A client that has opened a session.
    pub(crate) fn start(place: &Place) -> Self {
        Self::start_as(place, LEGACY, "test-client")
    }

    /// The same in an era, under a name.
    pub(crate) fn start_as(place: &Place, era: Era, name: &str) -> Self {
        Self::open(&mut place.command(&["mcp"]), era, name)
    }

    /// The same with a command of one's own.
    pub(crate) fn open(command: &mut Command, era: Era, name: &str) -> Self {
        Self::raw(command).opened(era, name, json!({}))
    }

    /// A client that declares what it can do.
    pub(crate) fn capable(place: &Place, era: Era, capabilities: Value) -> Self {
        Self::raw(&mut place.command(&["mcp"])).opened(era, "test-client", capabilities)
    }

    /// Opens as this era does.
    pub(crate) fn opened(mut self, era: Era, name: &str, capabilities: Value) -> Self {
        self.era = era;
        name.clone_into(&mut self.name);
        self.capabilities = capabilities;
        if let Era::Legacy(version) = era {
            let info = json!({ "name": self.name, "version": "1.0" });
            let params = json!({ "protocolVersion": version, "capabilities": self.capabilities, "clientInfo": info });
            let answer = self.request("initialize", params);
            assert_eq!(answer["result"]["protocolVersion"], version, "{answer}");
            self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        }
        self
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
            answers: VecDeque::new(),
            asked: Vec::new(),
            era: LEGACY,
            name: "test-client".to_owned(),
            capabilities: json!({}),
            last_id: 0,
            checker: Checker::default(),
        }
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.input.as_mut().expect("an open input").write_all(bytes).unwrap();
    }

    /// Writes a message.
    pub(crate) fn send(&mut self, message: &Value) {
        self.checker.sent(message);
        self.write(format!("{message}\n").as_bytes());
    }

    /// The params as this era wants them.
    pub(crate) fn dressed(&self, mut params: Value) -> Value {
        if self.era == Era::Modern {
            let given = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
            let Value::Object(more) = meta(&self.capabilities, &self.name) else { unreachable!("an object") };
            given.as_object_mut().unwrap().extend(more);
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

    /// A line that came, checked.
    fn taken(&mut self, line: &str) -> Value {
        let message = parse(line);
        self.checker.came(&message);
        message
    }

    /// The next message of any kind; none when the server closed its end.
    pub(crate) fn next(&mut self) -> Option<Value> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(self.taken(&line)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing came within {PATIENCE:?}; before: {:?}", self.others),
        }
    }

    /// Whether nothing comes for a while.
    pub(crate) fn silent(&mut self, while_: Duration) -> bool {
        match self.lines.recv_timeout(while_) {
            Ok(line) => {
                let message = self.taken(&line);
                self.others.push(message);
                false
            }
            Err(_) => true,
        }
    }

    /// The answer to an id, as JSON compares it. Dialogs that the server opens are answered meanwhile.
    pub(crate) fn answer(&mut self, id: impl Into<Value>) -> Value {
        let id = id.into();
        if let Some(at) = self.others.iter().position(|m| m.get("id") == Some(&id) && m.get("method").is_none()) {
            return self.others.remove(at);
        }
        loop {
            let message = self.next().unwrap_or_else(|| panic!("the server closed; no answer to {id}"));
            if message["method"] == "elicitation/create" {
                assert_ne!(self.era, Era::Modern, "a server sends no requests in the modern era: {message}");
                let result = self.dialog(&message["params"]);
                self.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }));
            } else if message.get("id") == Some(&id) && message.get("method").is_none() {
                return message;
            } else {
                self.others.push(message);
            }
        }
    }

    /// What the person says in a dialog.
    fn dialog(&mut self, params: &Value) -> Value {
        self.asked.push(params.clone());
        self.answers.pop_front().unwrap_or_else(|| json!({ "action": "cancel" }))
    }

    /// Asks and waits for the answer.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id)
    }

    /// The result of a request that must be served.
    pub(crate) fn served(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params);
        answer.get("result").unwrap_or_else(|| panic!("{method}: {answer}")).clone()
    }

    /// The error of a request that must be refused: its code and message.
    pub(crate) fn error(&mut self, method: &str, params: Value) -> (i64, String) {
        let answer = self.request(method, params);
        let code = answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{method}: {answer}"));
        (code, answer["error"]["message"].as_str().unwrap().to_owned())
    }

    /// Starts a call of a tool and gives its id.
    pub(crate) fn start_call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// The result of a call, whatever kind it is. Where the server asks by its answer, dialogs are answered by calling again.
    pub(crate) fn result(&mut self, tool: &str, arguments: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        let mut result = self.served("tools/call", params.clone());
        while result["resultType"] == "input_required" {
            let mut again = params.clone();
            again["requestState"] = result["requestState"].clone();
            let mut responses = json!({});
            for (key, request) in result["inputRequests"].as_object().unwrap() {
                assert_eq!(request["method"], "elicitation/create");
                responses[key] = self.dialog(&request["params"]);
            }
            again["inputResponses"] = responses;
            result = self.served("tools/call", again);
        }
        result
    }

    /// The structured reply of a call that must be served.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.result(tool, arguments);
        assert_eq!(result["isError"], json!(false), "{tool}: {result}");
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

    /// Kills the server at once, as clients do when they quit.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
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
