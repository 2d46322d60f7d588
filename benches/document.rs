//! Figures of documents: time, memory and database growth per task, for chains and fan-outs of expressions. Prints one table.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints its table"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use owf::app::{self, AppOptions};
use owf::engine::params::RunParams;
use owf::engine::{Engine, Execution};

fn engine(dir: &Path) -> Engine {
    let options = AppOptions {
        home: Some(dir.join("home")),
        cwd: dir.to_owned(),
        started_by: "bench".to_owned(),
        ..AppOptions::default()
    };
    app::engine(options).expect("an engine")
}

fn store_bytes(dir: &Path) -> u64 {
    ["workflow.sqlite", "workflow.sqlite-wal"]
        .iter()
        .filter_map(|f| std::fs::metadata(dir.join("home").join(f)).ok())
        .map(|m| m.len())
        .sum()
}

fn resident_peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")).and_then(|l| l.split_whitespace().next()?.parse().ok());
    kb.unwrap_or(0.0) / 1024.0
}

/// Runs a document in a directory of its own: how long, and by how much the database grew.
fn run(dir: &Path, text: &str, fails: bool) -> (Duration, u64) {
    let engine = engine(dir);
    std::fs::write(dir.join("flow.yaml"), text).expect("a file");
    let params = RunParams { path: Some("flow.yaml".to_owned()), ..RunParams::default() };
    let began = Instant::now();
    let started = engine.start(&params, Execution::InProcess { linger_on_approvals: false }).expect("a run");
    let handle = started.handle.expect("executed here");
    assert!(handle.wait_ended(Duration::from_mins(10)), "the run ends");
    let took = began.elapsed();
    let owf::engine::RunEnd::Finished(outcome) = handle.end().expect("it has ended") else {
        panic!("it did not finish")
    };
    assert_eq!(outcome.error.is_some(), fails, "{:?}", outcome.error);
    drop(engine);
    (took, store_bytes(dir))
}

fn chain(tasks: usize, first: &str) -> String {
    let mut text = format!("name: chain\ntasks:\n  t0: {{expr: '{first}'}}\n");
    for i in 1..tasks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  t{i}: {{after: t{0}, expr: 'tasks.t{0} + 1'}}", i - 1);
    }
    text
}

fn fan_out(tasks: usize) -> String {
    let mut text = String::from("name: fan\ntasks:\n  top: {expr: '1'}\n");
    for i in 0..tasks {
        let _ = writeln!(text, "  t{i}: {{after: top, expr: 'tasks.top + {i}'}}");
    }
    let all: Vec<String> = (0..tasks).map(|i| format!("t{i}")).collect();
    let _ = writeln!(text, "  join: {{after: [{}], expr: 'tasks.t0'}}", all.join(", "));
    text
}

fn main() {
    println!("| document | tasks | time per task | database per task |\n|---|---|---|---|");
    // Removed at the end only: removing thousands of directories takes time from what runs next.
    let mut dirs = Vec::new();
    let mut row = |what: &str, tasks: usize, text: &str, fails: bool| {
        let dir = tempfile::tempdir().expect("a directory");
        let (took, bytes) = run(dir.path(), text, fails);
        dirs.push(dir);
        let each = took.as_secs_f64() * 1000.0 / tasks as f64;
        println!("| {what} | {tasks} | {each:.3} ms | {:.2} KB |", bytes as f64 / 1024.0 / tasks as f64);
    };
    for tasks in [1_000, 10_000] {
        row("chain", tasks, &chain(tasks, "0"), false);
        row("fan-out and join", tasks, &fan_out(tasks), false);
        row("chain whose first task fails", tasks, &chain(tasks, "1 + []"), true);
    }
    row("for_each", 1_000, "name: each\ntasks:\n  a: {for_each: range(1000) | list, expr: item + 1}\n", false);
    println!("\npeak memory {:.0} MB", resident_peak_mb());
}
