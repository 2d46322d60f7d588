//! A person at a terminal: questions asked on a pseudo terminal, put off, answered elsewhere, and Ctrl-C typed there.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::support::cli::{Place, eventually};
use crate::support::pty::Pty;

const FIGURE: Duration = Duration::from_secs(2);

/// A command on a terminal of its own.
struct Terminal {
    child: Child,
    keys: std::fs::File,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(place: &Place, args: &[&str]) -> Self {
        let pty = Pty::new();
        let mut command = place.command(args);
        command.env("TERM", "xterm").env("USER", "ada").stdin(pty.slave()).stdout(pty.slave()).stderr(pty.slave());
        let child = command.spawn().unwrap();
        drop(command);
        let keys = pty.master;
        let mut screen = keys.try_clone().unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal whose other side is closed ends with an error.
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        Self { child, keys, seen }
    }

    fn text(&self) -> String {
        self.seen.lock().unwrap().replace('\r', "")
    }

    fn shows(&self, text: &str) {
        eventually(FIGURE, &format!("the terminal shows {text:?}"), || self.text().contains(text));
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn ends(mut self) -> (i32, String) {
        eventually(FIGURE, "the command ends", || self.child.try_wait().unwrap().is_some());
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        eventually(FIGURE, "the last words", || self.text().contains("run_dir: "));
        (code, self.text())
    }
}

fn place(body: &str) -> Place {
    let place = Place::new();
    place.file("w.js", &format!("export const meta = {{name: 'w', description: 'd'}};\n{body}"));
    place
}

const PROMPT: &str = "approve? [y]es [n]o [s]how details [l]ater: ";

#[test]
fn a_question_is_asked_at_the_terminal_and_answered_there() {
    let place = place(
        "const one = await owf.approve({message: 'Apply it?', metadata: {files: 14}, decider: 'person'});
         const two = await owf.approve({message: 'And this?'});
         return [one.decision, one.by, two.decision];",
    );
    let mut terminal = Terminal::open(&place, &["run", "w.js"]);
    terminal.shows(PROMPT);
    let text = terminal.text();
    assert!(text.contains("question a1 from w (c0001): Apply it?\n  approve: the script goes on"), "{text}");
    terminal.types("s\n");
    terminal.shows("\"files\": 14");
    terminal.types("perhaps\ny\n");
    terminal.shows("question a2 from w (c0002): And this?");
    terminal.types("n\n");
    let (code, text) = terminal.ends();
    assert_eq!(code, 0, "{text}");
    assert_eq!(place.json(&["output", "--json"])["output"], json!(["approve", "ada", "deny"]));
    let rows = place.json(&["approvals", "latest", "--state", "approved", "--json"]);
    assert_eq!(rows["approvals"][0]["reason"], "answered at the terminal");
}

#[test]
fn a_question_put_off_leaves_a_paused_run() {
    let place = place("return (await owf.approve({message: 'Apply it?'})).decision;");
    let mut terminal = Terminal::open(&place, &["run", "w.js"]);
    terminal.shows(PROMPT);
    terminal.types("l\n");
    let (code, text) = terminal.ends();
    assert_eq!(code, 3, "{text}");
    let view = place.json(&["status", "--json"]);
    assert_eq!(view["status"], "paused", "{view}");
    let run = view["run_id"].as_str().unwrap();
    assert!(text.contains(&format!("owf approve {}", run.rsplit('-').next().unwrap())), "{text}");
    place.json(&["approve", run, "--json"]);
    assert_eq!(place.owf(&["wait", run, "--json"]).json()["output"], json!("approve"));
}

#[test]
fn no_input_asks_nothing_at_a_terminal() {
    let place = place("return (await owf.approve({message: 'Apply it?'})).decision;");
    let terminal = Terminal::open(&place, &["run", "w.js", "--no-input"]);
    let (code, text) = terminal.ends();
    assert_eq!(code, 3, "{text}");
    assert!(!text.contains("approve? ["), "{text}");
    assert_eq!(place.json(&["status", "--json"])["status_reason"], "approval");
}

#[test]
fn a_question_answered_elsewhere_is_taken_off_the_terminal() {
    let place = place("return (await owf.approve({message: 'Apply it?'})).decision;");
    let terminal = Terminal::open(&place, &["run", "w.js"]);
    terminal.shows(PROMPT);
    let run = place.json(&["status", "--json"])["run_id"].as_str().unwrap().to_owned();
    let reply = place.json(&["deny", &run, "--json"]);
    assert_eq!(reply["decision"]["state"], "denied");
    let (code, text) = terminal.ends();
    assert_eq!(code, 0, "{text}");
    assert_eq!(place.json(&["output", "--json"])["output"], json!("deny"));
}

#[test]
fn an_expiry_is_noticed_while_the_terminal_asks() {
    let place = place("return await owf.approve({message: 'Quick?', expiresInMs: 1200, onTimeout: 'approve'});");
    let terminal = Terminal::open(&place, &["run", "w.js"]);
    terminal.shows(PROMPT);
    let (code, text) = terminal.ends();
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        place.json(&["output", "--json"])["output"],
        json!({"decision": "approve", "by": "timeout", "reason": null})
    );
}

#[test]
fn a_person_at_a_terminal_may_answer_a_question_for_persons() {
    let place = place("return (await owf.approve({message: 'Apply it?', decider: 'person'})).decision;");
    let paused = place.owf(&["run", "w.js", "--json"]);
    assert_eq!(paused.code, 3, "{paused:?}");
    let run = paused.json()["run_id"].as_str().unwrap().to_owned();
    let mut terminal = Terminal::open(&place, &["approve", &run]);
    terminal.shows("approved a1");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
    assert_eq!(place.owf(&["wait", &run, "--json"]).json()["output"], json!("approve"));
}

#[test]
fn a_childs_question_is_asked_at_the_terminal() {
    let place = place("return await workflow({scriptPath: 'child.js'});");
    place.file(
        "child.js",
        "export const meta = {name: 'child', description: 'c'};\nreturn (await owf.approve({message: 'From below?'})).decision;",
    );
    let mut terminal = Terminal::open(&place, &["run", "w.js"]);
    terminal.shows(PROMPT);
    terminal.types("y\n");
    let (code, text) = terminal.ends();
    assert_eq!(code, 0, "{text}");
    assert_eq!(place.json(&["output", "--json"])["output"], json!("approve"));
}
