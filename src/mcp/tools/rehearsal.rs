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

/// Asks a process of this program. Its end without a reply is a diagnostic, not a fault of the server.
///
/// # Errors
/// What the process says; `invalid_workflow` when it died, took longer than `most` or said too much; `internal` when it could
/// not be started.
pub(super) fn rehearse(call: &Call<'_>, engine: &Engine, request: &Value, most: Duration) -> Result<Value, Failure> {
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
            Err(RecvTimeoutError::Timeout) if (call.cancelled)() => break Err("was cancelled".to_owned()),
            Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                break Err(format!("took longer than {} s", most.as_secs()));
            }
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
        Err(why) => Err(broken("time_limit", &why)),
        Ok(_) if over => Err(broken("too_long", "said more than 8 MB")),
        Ok(bytes) => understood(&bytes).ok_or_else(|| broken("check_died", &died(status.ok())))?,
    }
}

fn start(call: &Call<'_>, engine: &Engine) -> Result<Child, Failure> {
    // The open executable, so that a replaced file does not matter.
    let open = PathBuf::from("/proc/self/exe");
    let program = match &call.options.program {
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

fn died(status: Option<ExitStatus>) -> String {
    match status.map(|status| (status.signal(), status.code())) {
        Some((Some(signal), _)) => format!("ended by signal {signal}"),
        Some((None, Some(code))) => format!("ended with code {code} and no reply"),
        Some((None, None)) | None => "ended without a reply".to_owned(),
    }
}

fn broken(code: &str, why: &str) -> Failure {
    let message = format!("the process that looked at the workflow {why}");
    let hint = "the script is likely too deep or too large: make it smaller";
    let row = json!({ "severity": "error", "code": code, "line": 1, "column": 1, "message": message, "excerpt": "", "hint": hint });
    Failure::new(Code::InvalidWorkflow, format!("1 error: {message}")).hint(hint).with("diagnostics", vec![row])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_a_process_reports_is_what_the_tool_reports() {
        let failure = Failure::new(Code::NotFound, "no").hint("h").allowed(["a"]).with("what", "workflow");
        let bytes = failure.to_json().to_string();
        assert_eq!(understood(bytes.as_bytes()).unwrap().unwrap_err(), failure);
        let view = json!({ "ok": false, "error": { "code": "invalid_workflow" } });
        assert_eq!(understood(view.to_string().as_bytes()).unwrap().unwrap(), view);
        assert!(understood(b"").is_none());
    }
}
