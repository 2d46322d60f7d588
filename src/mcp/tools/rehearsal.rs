//! A request served by a process of its own: what a script does to it, it does not do to the server.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::core::failure::{Code, Failure};
use crate::engine::Engine;
use crate::mcp::Call;

/// Bytes of a reply that are read: far more than a model is shown.
const REPLY: u64 = 8 << 20;
/// How often a client that went away is noticed.
const LOOK: Duration = Duration::from_millis(20);

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// The client no longer wants one.
    Cancelled,
    /// Others had all the turns for so long.
    Busy(Duration),
    /// It was not there after so long.
    TimeLimit(Duration),
    /// It was longer than what is read.
    TooLong,
    /// The process ended without one.
    Died(Option<ExitStatus>),
}

/// Asks a process of this program, once it is its turn. Its end without a reply is a diagnostic, not a fault of the server.
///
/// # Errors
/// What the process says; `invalid_workflow` when it died of the workflow, took longer than `most` or said too much; `internal`
/// when it could not be started or is at fault itself; `limit_exceeded` when others had all the turns for as long as `most`.
pub(super) fn rehearse(call: &Call<'_>, engine: &Engine, request: &Value, most: Duration) -> Result<Value, Failure> {
    let asked = Instant::now();
    let turn = call.shared.rehearsals.take(|| !(call.cancelled)() && asked.elapsed() < most);
    let Some(_turn) = turn else {
        return Err(if (call.cancelled)() { Silence::Cancelled } else { Silence::Busy(most) }.failure());
    };
    let mut child = start(call, engine)?;
    let text = request.to_string();
    let stdin = child.stdin.take();
    let writer = std::thread::Builder::new().name("owf-rehearse-in".into()).spawn(move || {
        // A process that does not read says why itself.
        stdin.map(|mut stdin| stdin.write_all(text.as_bytes()))
    });
    let (sender, receiver) = channel();
    let stdout = child.stdout.take();
    let reader = std::thread::Builder::new().name("owf-rehearse-out".into()).spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map(|out| out.take(REPLY + 1).read_to_end(&mut bytes));
        let _ = sender.send(read.is_some_and(|read| read.is_ok()).then_some(bytes));
    });
    let until = Instant::now() + most;
    let said = loop {
        match receiver.recv_timeout(LOOK) {
            Ok(said) => break Ok(said.unwrap_or_default()),
            Err(RecvTimeoutError::Disconnected) => break Ok(Vec::new()),
            Err(RecvTimeoutError::Timeout) if (call.cancelled)() => break Err(Silence::Cancelled),
            Err(RecvTimeoutError::Timeout) if Instant::now() >= until => break Err(Silence::TimeLimit(most)),
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    let over = said.as_ref().is_ok_and(|bytes| bytes.len() as u64 > REPLY);
    if said.is_err() || over {
        // It may have ended by itself meanwhile.
        let _ = child.kill();
    }
    let status = child.wait();
    drop((writer, reader));
    match said {
        Err(why) => Err(why.failure()),
        Ok(_) if over => Err(Silence::TooLong.failure()),
        Ok(bytes) => understood(&bytes).ok_or_else(|| Silence::Died(status.ok()).failure())?,
    }
}

fn start(call: &Call<'_>, engine: &Engine) -> Result<Child, Failure> {
    // The open executable, so that a replaced file does not matter.
    let open = PathBuf::from("/proc/self/exe");
    let program = match &call.shared.engines.options().program {
        Some(program) => program.clone(),
        None if open.exists() => open,
        None => std::env::current_exe().unwrap_or(open),
    };
    Command::new(&program)
        .arg("--json")
        .arg("--home")
        .arg(engine.home())
        .arg("--workspace")
        .arg(&engine.services().cwd)
        .arg("rehearse")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            Failure::new(Code::Internal, format!("{} could not be started: {error}", program.display()))
                .hint("try again; the machine may be out of processes")
        })
}

/// The reply of the process, or the failure it reported; none when it said neither.
fn understood(bytes: &[u8]) -> Option<Result<Value, Failure>> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let map = value.as_object()?;
    match map.get("error") {
        Some(Value::Object(error)) if map.len() == 1 => {
            let mut error = error.clone();
            let code = serde_json::from_value(error.shift_remove("code")?).ok()?;
            let text = |value: Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
            let mut failure = Failure::new(code, text(error.shift_remove("message"))?);
            failure.hint = text(error.shift_remove("hint"));
            let allowed = error.shift_remove("allowed").and_then(|list| serde_json::from_value(list).ok());
            failure.allowed = allowed.unwrap_or_default();
            failure.extra = error;
            Some(Err(failure))
        }
        _ => Some(Ok(value)),
    }
}

impl Silence {
    /// What the model is told: what happened, and what may help against just that.
    fn failure(self) -> Failure {
        match self {
            Self::Cancelled => Failure::new(Code::Internal, "the call was cancelled before the workflow was looked at")
                .hint("call it again if it is still wanted"),
            Self::Busy(most) => {
                let message = format!(
                    "other workflows are being looked at, and it was not this one's turn for {} s",
                    most.as_secs()
                );
                Failure::new(Code::LimitExceeded, message).hint("call it again once the other calls have been answered")
            }
            Self::TimeLimit(most) => of_workflow(
                "time_limit",
                &format!("took longer than {} s", most.as_secs()),
                "look for a loop that never ends, or give it less to do: smaller args, a shorter script",
            ),
            Self::TooLong => of_workflow(
                "too_long",
                "said more than 8 MB",
                "have it say less: shorter labels, phases and log texts, fewer calls by smaller args, and no full",
            ),
            Self::Died(status) => match status.and_then(|status| status.signal()) {
                Some(signal @ (4 | 6 | 7 | 8 | 11)) => of_workflow(
                    "check_died",
                    &format!("broke down (signal {signal})"),
                    "the script likely nests too deep: split deep expressions, arrays and objects",
                ),
                Some(9) => of_workflow(
                    "check_died",
                    "was killed (signal 9)",
                    "the machine is likely out of memory: make the script or its args smaller, or try again later",
                ),
                Some(signal) => ended(&format!("was ended from outside (signal {signal})"), "call it again"),
                None => {
                    let code = status.and_then(|status| status.code());
                    let how = code.map_or_else(String::new, |code| format!(" with code {code}"));
                    ended(&format!("ended{how} and no reply"), "this is a fault of owf; call it again")
                }
            },
        }
    }
}

const WHO: &str = "the process that looked at the workflow";

/// A failure that the workflow brought about, as a diagnostic.
fn of_workflow(code: &str, what: &str, hint: &str) -> Failure {
    let message = format!("{WHO} {what}");
    let row = json!({ "severity": "error", "code": code, "line": 1, "column": 1, "message": message, "excerpt": "", "hint": hint });
    Failure::new(Code::InvalidWorkflow, format!("1 error: {message}")).hint(hint).with("diagnostics", vec![row])
}

/// A failure that says nothing of the workflow.
fn ended(what: &str, hint: &str) -> Failure {
    Failure::new(Code::Internal, format!("{WHO} {what}")).hint(hint)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::app::AppOptions;
    use crate::engine::Environment;
    use crate::mcp::settings::Settings;
    use crate::mcp::{Client, Shared};

    #[test]
    fn what_a_process_reports_is_what_the_tool_reports() {
        let failure = Failure::new(Code::NotFound, "no").hint("h").allowed(["a"]).with("what", "workflow");
        let bytes = failure.to_json().to_string();
        assert_eq!(understood(bytes.as_bytes()).unwrap().unwrap_err(), failure);
        let view = json!({ "ok": false, "error": { "code": "invalid_workflow" } });
        assert_eq!(understood(view.to_string().as_bytes()).unwrap().unwrap(), view);
        assert!(understood(b"").is_none());
    }

    /// Looks at a workflow with this shell script in the place of owf.
    fn looked(script: &str, most: Duration, cancelled: bool) -> Failure {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        // Written by another process: a file that is open for writing in this one could not be executed.
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod +x \"$0\"";
        let wrote = Command::new("sh").args(["-c", write]).arg(&program).arg(script).status();
        assert!(wrote.unwrap().success());
        let env = Environment::new([("OWF_CONFIG".to_owned(), "none".to_owned())]);
        let options = AppOptions { cwd: dir.path().to_owned(), env, program: Some(program), ..AppOptions::default() };
        let shared = Shared::new(options, Settings::default());
        let client = Client::default();
        let call = Call { shared: &shared, client: &client, cancelled: &|| cancelled, progress: &|_, _| {} };
        let engine = shared.engines.engine(None, None, &client).unwrap();
        rehearse(&call, &engine, &json!({}), most).unwrap_err()
    }

    #[test]
    fn every_cause_of_silence_has_its_own_words() {
        const LONG: Duration = Duration::from_mins(1);
        let at_once = Duration::from_millis(1);
        for (script, most, cancelled, code, says, hint) in [
            ("exec sleep 60", at_once, false, Code::InvalidWorkflow, "took longer than 0 s", "a loop that never ends"),
            ("exec sleep 60", LONG, true, Code::Internal, "cancelled", "call it again"),
            ("exec head -c 9000000 /dev/zero", LONG, false, Code::InvalidWorkflow, "more than 8 MB", "say less"),
            ("kill -SEGV $$", LONG, false, Code::InvalidWorkflow, "broke down (signal 11)", "nests too deep"),
            ("kill -KILL $$", LONG, false, Code::InvalidWorkflow, "was killed (signal 9)", "out of memory"),
            ("kill -TERM $$", LONG, false, Code::Internal, "ended from outside (signal 15)", "call it again"),
            ("exit 3", LONG, false, Code::Internal, "ended with code 3 and no reply", "a fault of owf"),
        ] {
            let failure = looked(script, most, cancelled);
            assert_eq!(failure.code, code, "{script}: {failure:?}");
            assert!(failure.message.contains(says), "{script}: {failure:?}");
            assert!(failure.hint.as_deref().is_some_and(|text| text.contains(hint)), "{script}: {failure:?}");
        }
    }

    #[test]
    fn who_never_gets_a_turn_is_told_so() {
        let shared = Shared::new(AppOptions::default(), Settings { calls: 1, ..Settings::default() });
        let client = Client::default();
        let call = Call { shared: &shared, client: &client, cancelled: &|| false, progress: &|_, _| {} };
        let turn = shared.rehearsals.take(|| true);
        let options = AppOptions {
            env: Environment::new([("OWF_CONFIG".to_owned(), "none".to_owned())]),
            ..AppOptions::default()
        };
        let engine = crate::app::engine(options).unwrap();
        let failure = rehearse(&call, &engine, &json!({}), Duration::ZERO).unwrap_err();
        assert_eq!(failure.code, Code::LimitExceeded);
        drop(turn);
    }
}
