//! Programs as children: what they are given, how they are read, and that nothing of them is left.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::{Duration, Instant};

use owf::process::{Exit, Finished, Program, run, sweep, sweep_below};

use crate::support::cli::eventually;

/// A shell script as a program, with a marker of its own.
fn shell(dir: &Path, marker: &str, script: &str) -> Program {
    Program {
        path: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), std::env::var("PATH").unwrap())],
        cwd: dir.to_owned(),
        input: String::new(),
        marker: marker.to_owned(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A marker that no other test has.
fn marker(name: &str) -> String {
    format!("{name}-{}/run/1/1", std::process::id())
}

/// Runs a program that ends by itself.
fn to_end(program: Program) -> (Finished, Vec<String>) {
    let mut lines = Vec::new();
    let take = |line: &[u8]| lines.push(String::from_utf8(line.to_vec()).unwrap());
    let finished = runtime().block_on(run(program, std::future::pending(), take)).unwrap();
    (finished, lines)
}

/// Whether a process is there and not merely waiting to be collected.
fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// The process id that a script writes into this file.
fn pid_in(dir: &Path, name: &str) -> String {
    let read = || std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    eventually(Duration::from_secs(2), "a process id is written", || read().ends_with('\n'));
    read().trim().to_owned()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_prompt_is_on_stdin_which_is_closed_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let program =
        Program { input: "- a prompt\nof two lines".into(), ..shell(dir.path(), &marker("in"), "cat; echo; echo end") };
    let (finished, lines) = to_end(program);
    assert_eq!(lines, ["- a prompt", "of two lines", "end"]);
    assert_eq!(finished, Finished { exit: Exit::Code(0), ended_by_us: false, too_much: false, errors: String::new() });
}

#[test]
fn a_prompt_of_three_megabytes_arrives_and_one_that_is_not_read_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let big = |script: &str| Program { input: "x".repeat(3 << 20), ..shell(dir.path(), &marker("big"), script) };
    assert_eq!(to_end(big("wc -c")).1, ["3145728"]);
    let (finished, lines) = to_end(big("echo no thanks; exit 3"));
    assert_eq!((finished.exit, lines), (Exit::Code(3), vec!["no thanks".to_owned()]));
}

#[test]
fn a_long_line_survives_and_so_does_a_last_line_without_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let script = "head -c 9000000 /dev/zero | tr '\\0' x; printf '\\r\\n\\nlast'";
    let (_, lines) = to_end(shell(dir.path(), &marker("long"), script));
    let sizes: Vec<usize> = lines.iter().map(String::len).collect();
    assert_eq!(sizes, [9_000_000, 0, 4]);
}

#[test]
fn a_program_that_prints_without_end_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    let program = shell(dir.path(), &marker("much"), "exec head -c 100000000 /dev/zero");
    let finished = runtime().block_on(run(program, std::future::pending(), |_| count += 1)).unwrap();
    assert!(finished.too_much, "{finished:?}");
    assert!(finished.ended_by_us);
}

#[test]
fn only_the_end_of_the_diagnostics_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let script = "head -c 1000000 /dev/zero | tr '\\0' e >&2; echo the reason >&2";
    let (finished, _) = to_end(shell(dir.path(), &marker("err"), script));
    assert!(finished.errors.len() <= 16 << 10, "{}", finished.errors.len());
    assert!(finished.errors.ends_with("e\nthe reason") || finished.errors.ends_with("ethe reason"));
}

#[test]
fn the_environment_is_what_was_given_and_the_marker() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program { path: "/usr/bin/env".into(), args: Vec::new(), ..shell(dir.path(), "root/run/1/1", "") };
    let (_, mut lines) = to_end(program);
    lines.sort();
    assert_eq!(lines, ["OWF_CALL_ID=root/run/1/1".to_owned(), format!("PATH={}", std::env::var("PATH").unwrap())]);
}

#[test]
fn a_program_asked_to_end_says_its_last_words_and_its_zero_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'echo used 5; exit 0' INT; echo ready; while :; do sleep 0.05; done";
    let stop = owf::providers::Stop::default();
    let mut lines = Vec::new();
    let take = |line: &[u8]| {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
        stop.stop();
    };
    let finished = runtime().block_on(run(shell(dir.path(), &marker("polite"), script), stop.stopped(), take)).unwrap();
    assert_eq!(lines, ["ready", "used 5"]);
    assert_eq!((finished.exit, finished.ended_by_us), (Exit::Code(0), true));
}

#[test]
fn a_program_that_ignores_every_request_is_killed_after_eight_seconds_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    // One child in a session of its own; one more that hides its marker, too, and is found by its parent.
    let script = "trap '' INT TERM; setsid sleep 300 & echo $! >one; env -i setsid /bin/sleep 300 & echo $! >two; \
                  echo ready; while :; do sleep 0.05; done";
    let stop = owf::providers::Stop::default();
    let began = Instant::now();
    let program = shell(dir.path(), &marker("deaf"), script);
    let finished = runtime().block_on(run(program, stop.stopped(), |_| stop.stop())).unwrap();
    assert_eq!(finished.exit, Exit::Signal(9));
    assert!(began.elapsed() >= 8 * SECOND, "{:?}", began.elapsed());
    for name in ["one", "two"] {
        let pid = pid_in(dir.path(), name);
        eventually(SECOND, "the child is gone", || !alive(&pid));
    }
}

#[test]
fn dropping_a_running_program_kills_its_group_and_everything_marked_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let script = "setsid sleep 300 & echo $! >one; sleep 300 & echo $! >two; echo $$ >three; wait";
    let runtime = runtime();
    let task = runtime.spawn(run(shell(dir.path(), &marker("drop"), script), std::future::pending(), |_| {}));
    let pids = ["one", "two", "three"].map(|name| pid_in(dir.path(), name));
    assert!(pids.iter().all(|pid| alive(pid)));
    task.abort();
    for pid in &pids {
        eventually(SECOND, "it is gone", || !alive(pid));
    }
}

#[test]
fn what_a_program_leaves_behind_is_killed_and_does_not_keep_its_output_open() {
    let dir = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let (finished, lines) = to_end(shell(dir.path(), &marker("behind"), "setsid sleep 300 & echo $! >one; echo done"));
    assert_eq!((finished.exit, lines), (Exit::Code(0), vec!["done".to_owned()]));
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    let pid = pid_in(dir.path(), "one");
    eventually(SECOND, "it is gone", || !alive(&pid));
}

/// A process whose parent is gone, in a session of its own, with this marker.
fn orphan(dir: &Path, marker: &str) -> String {
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", "setsid sleep 300 >/dev/null 2>&1 & echo $! >orphan"])
        .current_dir(dir)
        .env("OWF_CALL_ID", marker)
        .status()
        .unwrap();
    assert!(status.success());
    let pid = pid_in(dir, "orphan");
    // While a program replaces another its environment cannot be read.
    let marked = || std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"));
    eventually(SECOND, "it is itself", marked);
    pid
}

#[test]
fn a_real_orphan_is_found_by_its_run_tree_and_others_are_spared() {
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = format!("sweep-{}", std::process::id());
    let found = orphan(ours.path(), &format!("{root}/child/3/2"));
    let spared = orphan(other.path(), &format!("{root}x/child/3/2"));
    assert_eq!(sweep_below(&root), 1);
    eventually(SECOND, "the orphan is gone", || !alive(&found));
    assert!(alive(&spared));
    assert_eq!(sweep(&format!("{root}x/child/3/2")), 1);
    eventually(SECOND, "the other is gone", || !alive(&spared));
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program { path: "/nowhere/program".into(), ..shell(dir.path(), &marker("none"), "") };
    let error = runtime().block_on(run(program, std::future::pending(), |_| {})).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

/// What a nested owf leaves when it is killed: an agent with a marker of its own, and what that one started and lost; beside
/// them a detached run. Notes their ids, and that of the nested owf.
const NESTED: &str = "echo $$ >nested
    OWF_CALL_ID=$0x/nested/1/1 sh -c 'sh -c \"setsid sleep 300 >/dev/null 2>&1 & echo \\$! >lost\"; echo $$ >agent; exec sleep 300' &
    env -u OWF_CALL_ID OWF_DETACHED=1 setsid sh -c 'OWF_CALL_ID=other/run/1/1 sleep 300 & echo $! >inner; echo $$ >detached; exec sleep 300' &
    wait";

/// The ends of all but the detached ones, which are then ended, too.
fn ends_but_the_detached(dir: &Path, pids: &[String; 5]) {
    let [nested, agent, lost, detached, inner] = pids;
    for pid in [nested, agent, lost] {
        eventually(SECOND, "it is gone", || !alive(pid));
    }
    assert!(alive(detached) && alive(inner), "{}", dir.display());
    for pid in [detached, inner] {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

const NAMES: [&str; 5] = ["nested", "agent", "lost", "detached", "inner"];

/// The processes of [`NESTED`], once each has become what it is: what is starting another program has no environment to be known by.
fn settled(dir: &Path) -> [String; 5] {
    let pids = NAMES.map(|name| pid_in(dir, name));
    for pid in &pids[1..] {
        eventually(SECOND, "it sleeps", || {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x00300\x00")
        });
    }
    pids
}

#[test]
fn agents_of_an_owf_that_an_agent_started_end_with_it_and_a_detached_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let marker = marker("below");
    let script = NESTED.replace("$0", &marker);
    let runtime = runtime();
    let task = runtime.spawn(run(shell(dir.path(), &marker, &script), std::future::pending(), |_| {}));
    let pids = settled(dir.path());
    task.abort();
    ends_but_the_detached(dir.path(), &pids);
}

#[test]
fn an_owf_that_was_abandoned_is_swept_with_its_agents_and_a_detached_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let root = format!("abandoned-{}", std::process::id());
    let script = format!("setsid sh -c '{}' {root} >/dev/null 2>&1 &", NESTED.replace('\'', "'\\''"));
    let mut starter = std::process::Command::new("/bin/sh");
    starter.args(["-c", &script]).current_dir(dir.path()).env("OWF_CALL_ID", format!("{root}/run/1/1"));
    assert!(starter.status().unwrap().success());
    let pids = settled(dir.path());
    assert!(sweep_below(&root) >= 3);
    ends_but_the_detached(dir.path(), &pids);
}
