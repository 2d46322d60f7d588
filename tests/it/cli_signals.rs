//! Interrupts from a keyboard: what owf does with them, what its agents hear, and that nothing is left afterwards.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::cli_support::Stub;
use crate::support::cli::{Place, eventually, printed};

const VERSION: &str = "2.1.332 (Claude Code)";
const SECOND: Duration = Duration::from_secs(1);

/// An agent that says what it used when it is interrupted, and otherwise works for ever.
const POLITE: &str =
    "trap 'echo heard >\"$dir/heard\"; exit 0' INT\necho $$ >\"$dir/agent\"\nwhile :; do sleep 0.05; done";

fn place() -> Place {
    let place = Place::new();
    place.file("w.js", "export const meta = { name: 'w', description: 'd' }\nreturn await agent('x')\n");
    place
}

fn noted(stub: &Stub, name: &str) -> String {
    std::fs::read_to_string(stub.path().join(name)).unwrap_or_default()
}

fn is_noted(stub: &Stub, name: &str) -> bool {
    noted(stub, name).ends_with('\n')
}

/// Whether the process that noted its id under this name is gone.
fn is_gone(stub: &Stub, name: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", noted(stub, name).trim())).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

/// `owf` as a script starts what it puts into the background: interrupts are ignored, and it inherits that.
fn deaf(stub: &Stub, place: &Place, args: &[&str]) -> Command {
    let owf = stub.command(place, args);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' INT; exec \"$0\" \"$@\""]).arg(owf.get_program()).args(owf.get_args());
    command.env_clear().current_dir(place.path()).stdin(Stdio::null());
    command.envs(owf.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn interrupt(child: &Child) {
    // It may have ended already.
    let _ = kill_process(Pid::from_child(child), Signal::INT);
}

#[test]
fn two_interrupts_leave_no_process_though_its_parent_is_gone_and_it_has_a_session_of_its_own() {
    // The shell in between ends at once: what it started is nobody's child, in nobody's group, and known by its marker alone.
    let behave = "sh -c 'setsid sleep 300 >/dev/null 2>&1 & echo $! >\"$0/orphan\"' \"$dir\"\n\
                  trap '' INT TERM; echo $$ >\"$dir/agent\"\nwhile :; do sleep 0.05; done";
    let (stub, place) = (Stub::doing("claude", VERSION, behave), place());
    let mut command = stub.command(&place, &["run", "w.js", "--provider", "claude", "--json"]);
    let mut owner = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually(5 * SECOND, "the agent runs", || is_noted(&stub, "agent") && is_noted(&stub, "orphan"));
    // The signal may come before the program listens for the next one.
    eventually(SECOND, "owf ends", || {
        interrupt(&owner);
        owner.try_wait().unwrap().is_some()
    });
    for name in ["agent", "orphan"] {
        eventually(SECOND, name, || is_gone(&stub, name));
    }
}

#[test]
fn owf_that_was_started_with_interrupts_ignored_ends_on_one_and_its_agent_hears_it() {
    let (stub, place) = (Stub::doing("claude", VERSION, POLITE), place());
    let mut command = deaf(&stub, &place, &["run", "w.js", "--provider", "claude", "--json"]);
    let owner = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually(5 * SECOND, "the agent runs", || is_noted(&stub, "agent"));
    interrupt(&owner);
    let ended = printed(&owner.wait_with_output().unwrap());
    assert_eq!((ended.code, &ended.json()["status"]), (3, &json!("interrupted")), "{ended:?}");
    assert!(is_noted(&stub, "heard"));
    assert!(is_gone(&stub, "agent"));
}

#[test]
fn agents_of_a_detached_run_hear_interrupts_although_its_starter_ignored_them() {
    let (stub, place) = (Stub::doing("claude", VERSION, POLITE), place());
    let started =
        printed(&deaf(&stub, &place, &["run", "w.js", "--provider", "claude", "--detach", "--json"]).output().unwrap());
    assert_eq!(started.code, 0, "{started:?}");
    eventually(5 * SECOND, "the agent runs", || is_noted(&stub, "agent"));
    let run_id = started.json()["run_id"].as_str().unwrap().to_owned();
    let cancelled = printed(&stub.command(&place, &["cancel", &run_id, "--json"]).output().unwrap());
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    eventually(SECOND, "the agent is gone", || is_gone(&stub, "agent"));
    assert!(is_noted(&stub, "heard"));
}
