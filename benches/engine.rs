//! Figures of the engine, with the ratios that hold on any machine. Run with `cargo bench`; prints one table.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints its table"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use owf::app::{self, AppOptions};
use owf::engine::params::{ResumeParams, RunParams};
use owf::engine::{Engine, Execution};

#[path = "support/figure.rs"]
mod figure;

use figure::{Figure, resident_peak_mb, show};

fn engine(dir: &Path) -> Engine {
    let options = AppOptions {
        home: Some(dir.join("home")),
        cwd: dir.to_owned(),
        started_by: "bench".to_owned(),
        ..AppOptions::default()
    };
    app::engine(options).expect("an engine")
}

fn run(engine: &Engine, body: &str, max_calls: u64) -> (String, Duration) {
    let script = format!("export const meta = {{name: 'bench', description: 'a benchmark'}};\n{body}");
    let params = RunParams { script: Some(script), max_calls: Some(max_calls), ..RunParams::default() };
    let began = Instant::now();
    let started = engine.start(&params, Execution::InProcess { linger_on_approvals: false }).expect("a run");
    let handle = started.handle.expect("executed here");
    assert!(handle.wait_ended(Duration::from_mins(10)), "the run ends");
    (started.run_id.to_string(), began.elapsed())
}

/// Bytes of the database once its journal is folded in: the last one to let go of a store does that.
fn store_bytes(dir: &Path) -> u64 {
    let home = dir.join("home");
    for _ in 0..200 {
        if std::fs::metadata(home.join("workflow.sqlite-wal")).map_or(0, |m| m.len()) == 0 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(25));
    }
    ["workflow.sqlite", "workflow.sqlite-wal"]
        .iter()
        .filter_map(|f| std::fs::metadata(home.join(f)).ok())
        .map(|m| m.len())
        .sum()
}

/// Bytes a call adds to the database, once everything is checkpointed.
fn growth(calls: u64) -> f64 {
    let dir = tempfile::tempdir().expect("a directory");
    let before = {
        let engine = engine(dir.path());
        run(&engine, "return 1", 1_000_000);
        drop(engine);
        store_bytes(dir.path())
    };
    let engine = engine(dir.path());
    let body = format!(
        "for (let n = 0; n < {calls}; n += 4000) await parallel(Array.from({{length: Math.min(4000, {calls} - n)}}, (_, i) => () => agent('noop ' + (n + i))));"
    );
    run(&engine, &body, 1_000_000);
    drop(engine);
    (store_bytes(dir.path()) - before) as f64 / calls as f64
}

/// The same thousand inserts with nothing but SQLite: what durability itself costs here.
fn fsync_floor(dir: &Path) -> Duration {
    let path = dir.join("floor");
    let file = std::fs::File::create(path).expect("a file");
    let began = Instant::now();
    for _ in 0..100 {
        use std::io::Write as _;
        (&file).write_all(&[0; 512]).expect("written");
        file.sync_data().expect("synced");
    }
    began.elapsed() / 100
}

fn main() {
    // `cargo test --benches` asks for a list and nothing else.
    if std::env::args().any(|a| a == "--list") {
        return;
    }
    let mut table = Vec::new();

    let dir = tempfile::tempdir().expect("a directory");
    let floor = fsync_floor(dir.path());
    let one = engine(dir.path());
    run(&one, "return await agent('warm')", 10);
    let (_, time) = run(&one, "for (let i = 0; i < 1000; i++) await agent('step ' + i);", 2000);
    let per_call = time.as_secs_f64() * 1000.0 / 1000.0;
    table.push(Figure {
        what: "engine overhead per fake call, durable, sequential (1000)",
        goal: "0.1 ms",
        measured: format!(
            "{per_call:.3} ms ({:.2} of one fsync, {:.3} ms)",
            per_call / (floor.as_secs_f64() * 1000.0),
            floor.as_secs_f64() * 1000.0
        ),
        met: Some(per_call <= 0.1),
    });

    let dir = tempfile::tempdir().expect("a directory");
    let wide = engine(dir.path());
    let fan = "for (const n of [3334, 3333, 3333]) await parallel(Array.from({length: n}, (_, i) => () => agent(`item ${n} ${i}`)));";
    let (_, time) = run(&wide, fan, 20_000);
    table.push(Figure {
        what: "10,000 fake calls in three fan-outs, durable, files included",
        goal: "1 s",
        measured: format!("{:.2} s", time.as_secs_f64()),
        met: Some(time <= Duration::from_secs(1)),
    });
    let peak = resident_peak_mb("self");
    table.push(Figure {
        what: "  memory of that process, peak",
        goal: "200 MB",
        measured: format!("{peak:.0} MB"),
        met: Some(peak <= 200.0),
    });

    // The journal of an unfinished run with 10,000 finished calls: the script waits for an approval behind them.
    let dir = tempfile::tempdir().expect("a directory");
    let replay = engine(dir.path());
    let paused = format!("{fan}\nawait owf.approve({{message: 'go on?'}});");
    let (id, _) = run(&replay, &paused, 20_000);
    let began = Instant::now();
    let resumed = replay
        .resume(
            &ResumeParams { run_id: Some(id), ..ResumeParams::default() },
            Execution::InProcess { linger_on_approvals: false },
        )
        .expect("resumed");
    assert!(resumed.handle.expect("here").wait_ended(Duration::from_mins(1)));
    let time = began.elapsed();
    table.push(Figure {
        what: "replay of 10,000 finished calls",
        goal: "0.3 s",
        measured: format!("{:.2} s", time.as_secs_f64()),
        met: Some(time <= Duration::from_millis(300)),
    });

    let small = growth(10_000);
    let large = growth(100_000);
    table.push(Figure {
        what: "database growth per no-op call, at 10,000 calls",
        goal: "1.5 KB",
        measured: format!("{:.2} KB", small / 1024.0),
        met: Some(small <= 1536.0),
    });
    table.push(Figure {
        what: "  at 100,000 calls (flat: the same)",
        goal: "1.5 KB",
        measured: format!("{:.2} KB, ratio {:.2}", large / 1024.0, large / small),
        met: Some(large <= 1536.0),
    });

    let dir = tempfile::tempdir().expect("a directory");
    let began = Instant::now();
    let rounds: u32 = 20;
    for _ in 0..rounds {
        let done = Command::new(env!("CARGO_BIN_EXE_owf"))
            .args(["run", "hello", "--result", "--no-input"])
            .env("OWF_HOME", dir.path().join("home"))
            .env("OWF_CONFIG", "none")
            .current_dir(dir.path())
            .output()
            .expect("owf runs");
        assert!(done.status.success(), "{done:?}");
    }
    let each = began.elapsed() / rounds;
    table.push(Figure {
        what: "owf run hello: process start to printed result",
        goal: "60 ms",
        measured: format!("{:.1} ms", each.as_secs_f64() * 1000.0),
        met: Some(each <= Duration::from_millis(60)),
    });

    show(&table);
}
