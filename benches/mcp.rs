//! Figures of the MCP server, beside the same trivial server in Python and with the Node SDK, all in one run: `cargo bench`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints its table"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A server that has been started, and its streams.
struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next: u64,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let input = child.stdin.take().expect("stdin");
        let output = BufReader::new(child.stdout.take().expect("stdout"));
        Self { child, input, output, next: 0 }
    }

    fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.next += 1;
        let line = json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params});
        writeln!(self.input, "{line}").expect("sent");
        self.next
    }

    fn answer(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).expect("read") > 0, "the server has ended");
            let message: Value = serde_json::from_str(&line).expect("JSON");
            if message.get("id").is_some() {
                assert!(message.get("error").is_none(), "{message}");
                return message["result"].clone();
            }
        }
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.send(method, params);
        self.answer()
    }

    fn open(&mut self) {
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}});
        self.call("initialize", &params);
        writeln!(self.input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).expect("sent");
    }

    fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kb: f64 = line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0.0);
        kb / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was measured of one server.
struct Measured {
    first_answer: Duration,
    idle_mb: f64,
    pings: f64,
    sequential: f64,
    pipelined: f64,
}

fn measure(command: impl Fn() -> Command, tool: &str, arguments: &Value) -> Measured {
    const STARTS: u32 = 5;
    let began = Instant::now();
    for _ in 0..STARTS {
        Server::start(&mut command()).open();
    }
    let first_answer = began.elapsed() / STARTS;
    let mut server = Server::start(&mut command());
    server.open();
    server.call("tools/list", &json!({}));
    let idle_mb = server.resident_mb();
    let per_second = |n: u32, took: Duration| f64::from(n) / took.as_secs_f64();
    let began = Instant::now();
    for _ in 0..1000 {
        server.call("ping", &json!({}));
    }
    let pings = per_second(1000, began.elapsed());
    let params = json!({"name": tool, "arguments": arguments});
    server.call("tools/call", &params);
    let began = Instant::now();
    for _ in 0..500 {
        server.call("tools/call", &params);
    }
    let sequential = per_second(500, began.elapsed());
    let began = Instant::now();
    for _ in 0..20 {
        for _ in 0..50 {
            server.send("tools/call", &params);
        }
        for _ in 0..50 {
            server.answer();
        }
    }
    let pipelined = per_second(1000, began.elapsed());
    Measured { first_answer, idle_mb, pings, sequential, pipelined }
}

fn owf(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_owf"));
    command.arg("mcp").env("OWF_HOME", home).env("OWF_CONFIG", "none").current_dir(home.parent().unwrap_or(home));
    command
}

/// The peers, as `scripts/bench-peers.mjs` says; nothing where it cannot install them.
fn peers() -> Vec<(String, Command)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/bench-peers.mjs");
    let printed = Command::new("node").arg(script).stderr(Stdio::inherit()).output();
    let commands: Value =
        printed.ok().and_then(|o| serde_json::from_slice(&o.stdout).ok()).unwrap_or_else(|| json!({}));
    let mut found = Vec::new();
    for (name, spec) in commands.as_object().into_iter().flatten() {
        let mut command = Command::new(spec["program"].as_str().expect("a program"));
        command.args(spec["args"].as_array().into_iter().flatten().filter_map(Value::as_str));
        for (key, value) in spec["env"].as_object().into_iter().flatten() {
            command.env(key, value.as_str().unwrap_or_default());
        }
        found.push((name.clone(), command));
    }
    found
}

fn again(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    copy.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    copy
}

/// From the request to the result of a run of one fake call, the supervisor's start included.
fn run_to_result(home: &Path) -> Duration {
    const RUNS: u32 = 10;
    let mut server = Server::start(&mut owf(home));
    server.open();
    let script = "export const meta = {name: 'bench', description: 'one call'};\nreturn await agent('one');";
    let params = json!({"name": "owf_run_workflow", "arguments": {"script": script, "cache_policy": "disabled"}});
    server.call("tools/call", &params);
    let began = Instant::now();
    for _ in 0..RUNS {
        let result = server.call("tools/call", &params);
        assert_eq!(result["structuredContent"]["status"], "done", "{result}");
    }
    began.elapsed() / RUNS
}

fn main() {
    // `cargo test --benches` asks for a list and nothing else.
    if std::env::args().any(|a| a == "--list") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    let result = run_to_result(&home);
    let ours = measure(|| owf(&home), "owf_list_runs", &json!({"limit": 1}));
    let others: Vec<(String, Measured)> = peers()
        .into_iter()
        .map(|(name, command)| (name, measure(|| again(&command), "echo", &json!({"text": "again"}))))
        .collect();
    if others.is_empty() {
        println!("The servers of other SDKs are left out: node scripts/bench-peers.mjs failed.");
    }
    let beside = |figure: &dyn Fn(&Measured) -> f64| -> String {
        let one = |(name, m): &(String, Measured)| format!("; {name} {:.2} times that", figure(m) / figure(&ours));
        others.iter().map(one).collect()
    };
    let ms = |d: Duration| d.as_secs_f64() * 1000.0;
    let row = |what: &str, goal: &str, measured: String, met: Option<bool>| {
        let met = met.map_or("", |met| if met { "yes" } else { "NO" });
        println!("| {what} | {goal} | {measured} | {met} |");
    };
    println!("| figure | goal | measured | met |\n|---|---|---|---|");
    let start = format!("{:.1} ms{}", ms(ours.first_answer), beside(&|m| ms(m.first_answer)));
    row("process start to first MCP answer", "5 ms", start, Some(ours.first_answer <= Duration::from_millis(5)));
    let idle = format!("{:.1} MB{}", ours.idle_mb, beside(&|m| m.idle_mb));
    row("resident memory of an idle MCP server", "15 MB", idle, Some(ours.idle_mb <= 15.0));
    row("`ping`, one after another", "", format!("{:.0}/s{}", ours.pings, beside(&|m| m.pings)), None);
    let one = format!("{:.0}/s{}", ours.sequential, beside(&|m| m.sequential));
    row("tool calls, one after another (owf: `owf_list_runs` from the store; the others: an echo)", "", one, None);
    let many = format!("{:.0}/s{}", ours.pipelined, beside(&|m| m.pipelined));
    row("  fifty in flight", "", many, None);
    let met = result <= Duration::from_millis(60);
    row("run started over MCP to its result, one fake call", "60 ms", format!("{:.1} ms", ms(result)), Some(met));
}
