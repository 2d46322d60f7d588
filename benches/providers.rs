//! Figures of real providers: calls of a service side by side, and what owf adds to the calls of a program. Prints one table.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints its table"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use owf::app::{self, AppOptions};
use owf::core::environment::Environment;
use owf::engine::params::RunParams;
use owf::engine::{Engine, Execution};

#[path = "support/figure.rs"]
mod figure;
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/it/support/http_mock.rs"]
mod http_mock;
#[path = "../tests/it/support/http_stream.rs"]
mod http_stream;

use figure::{Figure, resident_peak_mb, show};

/// The calls of a program that are measured.
const CALLS: u32 = 100;

/// The programs that run at once when memory is measured.
const CHILDREN: usize = 64;

/// An engine whose calls go to a provider with these settings of the environment.
fn engine(dir: &Path, vars: &[(&str, String)]) -> Engine {
    let vars = [("OWF_CONFIG", "none".to_owned())].into_iter().chain(vars.iter().cloned());
    let options = AppOptions {
        home: Some(dir.join("home")),
        cwd: dir.to_owned(),
        started_by: "bench".to_owned(),
        env: Environment::new(vars.map(|(name, value)| (name.to_owned(), value))),
        ..AppOptions::default()
    };
    app::engine(options).expect("an engine")
}

fn script(body: &str) -> String {
    format!("export const meta = {{name: 'bench', description: 'a benchmark'}};\n{body}")
}

fn run(engine: &Engine, body: &str) -> Duration {
    let params = RunParams { script: Some(script(body)), max_calls: Some(2_000), ..RunParams::default() };
    let began = Instant::now();
    let started = engine.start(&params, Execution::InProcess { linger_on_approvals: false }).expect("a run");
    let handle = started.handle.expect("executed here");
    assert!(handle.wait_ended(Duration::from_mins(10)), "the run ends");
    let took = began.elapsed();
    let status = engine.status_of(&started.run_id).expect("a run");
    assert_eq!(status.as_str(), "done", "run {}", started.run_id);
    took
}

/// A thousand calls of a service that takes 100 ms for each, a hundred at once.
fn over_http() -> Figure {
    let answer = r#"{"choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1}}"#;
    let mock = http_mock::Mock::new(move |_| http_mock::Answer::text(200, answer).after(Duration::from_millis(100)));
    let dir = tempfile::tempdir().expect("a directory");
    let vars = [
        ("OWF_PROVIDER", "openai".to_owned()),
        ("OPENAI_API_KEY", "sk-not-a-key-0123456789".to_owned()),
        ("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1")),
        ("OWF_PROVIDER_OPENAI_CONCURRENCY", "100".to_owned()),
    ];
    let engine = engine(dir.path(), &vars);
    run(&engine, "return await agent('warm')");
    let body = "return (await parallel(Array.from({length: 1000}, (_, i) => () => agent('call ' + i)))).length;";
    let time = run(&engine, body);
    assert_eq!(mock.seen().len(), 1_001, "every call is one request");
    Figure {
        what: "1000 calls of a service that takes 100 ms, 100 at once",
        goal: "1.3 s",
        measured: format!("{:.2} s, at most {} at once", time.as_secs_f64(), mock.widest()),
        met: Some(time <= Duration::from_millis(1_300)),
    }
}

/// A program in place of Claude Code that does `before`, and answers as it does.
fn stand_in(dir: &Path, before: &str) -> String {
    let init =
        r#"{"type":"system","subtype":"init","session_id":"s","model":"claude-sonnet-5","tools":[],"mcp_servers":[]}"#;
    let result = r#"{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"four","session_id":"s","total_cost_usd":0.01,"usage":{"input_tokens":10,"output_tokens":7}}"#;
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo '2.1.332 (Claude Code)'; exit; }}\n{before}\n\
         while read -r _; do :; done\necho '{init}'\necho '{result}'\n"
    );
    let path = dir.join("claude");
    std::fs::write(&path, text).expect("a program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is a program");
    format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default())
}

/// What a call of a program takes over what the program alone takes, one after another.
fn over_a_program() -> Figure {
    let dir = tempfile::tempdir().expect("a directory");
    let path = stand_in(dir.path(), "");
    let engine = engine(
        dir.path(),
        &[("OWF_PROVIDER", "claude".to_owned()), ("PATH", path), ("ANTHROPIC_API_KEY", "x".repeat(20))],
    );
    run(&engine, "return await agent('warm')");
    let alone = Instant::now();
    for _ in 0..CALLS {
        let mut child = Command::new(dir.path().join("claude"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stdout.take().expect("piped"), &mut said).expect("its words");
        assert!(child.wait().expect("its end").success() && said.contains("four"), "{said}");
    }
    let alone = alone.elapsed() / CALLS;
    let body =
        format!("for (let i = 0; i < {CALLS}; i++) if (await agent('call ' + i) !== 'four') throw new Error('lost')");
    let within = run(&engine, &body) / CALLS;
    let added = within.saturating_sub(alone);
    Figure {
        what: "what owf adds to a call of a program",
        goal: "",
        measured: format!(
            "{:.1} ms, {:.1} times the start of a shell script ({:.1} ms)",
            added.as_secs_f64() * 1e3,
            added.as_secs_f64() / alone.as_secs_f64(),
            alone.as_secs_f64() * 1e3
        ),
        met: None,
    }
}

/// What a process that runs 64 programs at once holds, beside one that runs one.
fn children() -> Figure {
    let dir = tempfile::tempdir().expect("a directory");
    let here = dir.path();
    // Each says that it is there, and answers when `go` is.
    let path =
        stand_in(here, &format!("touch {0}/$$.there; while [ ! -e {0}/go ]; do sleep 0.05; done", here.display()));
    let peak = |count: usize, home: &str| {
        let there = || {
            let entries = std::fs::read_dir(here).expect("the directory").flatten();
            entries.filter(|e| e.file_name().to_string_lossy().ends_with(".there")).count()
        };
        let body = format!(
            "return (await parallel(Array.from({{length: {count}}}, (_, i) => () => agent('call ' + i)))).length;"
        );
        std::fs::write(here.join("w.js"), script(&body)).expect("a script");
        let mut child = Command::new(env!("CARGO_BIN_EXE_owf"))
            .args(["run", "w.js", "--provider", "claude", "--concurrency", "64", "--quiet"])
            .current_dir(here)
            .env_clear()
            .envs([("PATH", path.as_str()), ("HOME", "/nonexistent"), ("OWF_HOME", home), ("OWF_CONFIG", "none")])
            .env("ANTHROPIC_API_KEY", "x".repeat(20))
            .env("OWF_PROVIDER_CLAUDE_CONCURRENCY", "64")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("owf starts");
        let until = Instant::now() + Duration::from_mins(2);
        while there() < count {
            assert!(
                Instant::now() < until && child.try_wait().expect("its state").is_none(),
                "{} of {count} started",
                there()
            );
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let peak = resident_peak_mb(&child.id().to_string());
        std::fs::write(here.join("go"), "").expect("the word");
        assert!(child.wait().expect("its end").success(), "the run is done");
        std::fs::remove_file(here.join("go")).expect("the word is taken back");
        for entry in std::fs::read_dir(here).expect("the directory").flatten() {
            if entry.file_name().to_string_lossy().ends_with(".there") {
                std::fs::remove_file(entry.path()).expect("a mark");
            }
        }
        peak
    };
    let one = peak(1, &here.join("one").display().to_string());
    let many = peak(CHILDREN, &here.join("many").display().to_string());
    Figure {
        what: "memory of a run with 64 programs at once, peak",
        goal: "",
        measured: format!("{many:.0} MB, {:.2} times that with one ({one:.0} MB)", many / one),
        met: None,
    }
}

fn main() {
    // `cargo test --benches` asks for a list and nothing else.
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    // `cargo bench --bench providers -- http` measures the services alone.
    let only_http = std::env::args().any(|arg| arg == "http");
    let mut table = vec![over_http()];
    if !only_http {
        table.push(over_a_program());
        table.push(children());
    }
    show(&table);
}
