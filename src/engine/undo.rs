//! Taking a finished call of a tool back: once, as long as its configuration allows it. A failed try leaves it possible.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};

use crate::core::event::Event;
use crate::core::failure::{Code, Failure};
use crate::core::ids::{CallId, RunId};
use crate::core::outcome::CallStatus;
use crate::core::work::CommandAsk;
use crate::process::{passed, sweep};
use crate::providers::Stop;
use crate::store::Store;

use super::commands::{Call, directory, printed};
use super::journal::now;
use super::services::Services;
use super::tool_runner::locked;
use super::view::UndoView;

/// The record of a call that was taken back, in its folder.
const RECORD: &str = "undone.json";
/// The record that it is about to be, there until it is known how that ended.
const BEGUN: &str = "undo-begun.json";
/// The most an undo may print.
const MOST_OUTPUT: usize = 64 << 10;

fn refused(message: String) -> Failure {
    Failure::new(Code::UndoRefused, message)
}

/// Takes a call back. One whose process ended meanwhile may have been taken back: that is said, and it is tried again only when
/// `repeat` says so.
///
/// # Errors
/// `undo_refused`, `undo_failed`, store errors.
pub(crate) fn undo(
    store: &Store,
    services: &Services,
    run: &RunId,
    call: CallId,
    repeat: bool,
) -> Result<UndoView, Failure> {
    // A call that was reused was carried out by another run, and is taken back there, once for all.
    let (run, call) = match store.call(run, call)?.and_then(|row| row.reused) {
        Some(origin) => (origin.run_id, origin.call_id),
        None => (run.clone(), call),
    };
    let (request, outcome) = (store.request(&run, call)?, store.outcome(&run, call)?);
    let Some(ask) = request.and_then(|request| request.spec.ask.tool) else {
        return Err(refused(format!("{run}/{call} is no call of a tool")));
    };
    let Some(outcome) = outcome.filter(|outcome| outcome.status == CallStatus::Done && !outcome.simulated) else {
        return Err(refused(format!("{run}/{call} is not done, so there is nothing to take back")));
    };
    let tool = services.config.tools.get(&ask.name).map_err(refused)?;
    let Some(argv) = tool.undo.clone() else {
        return Err(refused(format!("the tool `{}` has no `undo`", ask.name)));
    };
    let events = store.call_events(&run, call)?;
    let done_at = events.iter().rev().find(|e| matches!(e.event, Event::CallFinished { .. })).map(|e| e.at);
    let age = done_at.map_or(0, |at| now().since(at));
    if u128::from(age) >= tool.undo_for().as_millis() {
        let limit = tool.undo_for().as_secs();
        return Err(refused(format!("{run}/{call} could be taken back for {limit} s, which are over")));
    }
    let workspace = store.run(&run)?.map(|row| row.spec.workspace).unwrap_or_default();
    let dir = store.run_dir(&run).join("calls").join(call.to_string());
    let input = json!({"tool": ask.name, "arguments": tool.complete(&ask.args).0, "result": outcome.value}).to_string();
    let asked = CommandAsk { argv, input: Some(input), ..CommandAsk::default() };
    let failed = |why: String| {
        Failure::new(Code::UndoFailed, format!("taking {run}/{call} back failed: {why}"))
            .hint("correct the cause, then try again")
    };
    let cwd = directory(Path::new(&workspace), None).map_err(failed)?;
    let env = passed(&services.env, tool.secrets.iter().map(String::as_str));
    let marker = format!("{run}/{run}/{call}/undo");
    services.runtime.block_on(async {
        let stop = Stop::default();
        // Of two who try at once the second finds the record of the first.
        let turn = locked(&dir.join("undo.lock"), &stop).await.map_err(|error| failed(error.message))?;
        if dir.join(RECORD).exists() {
            return Err(refused(format!("{run}/{call} was taken back already")));
        }
        if let Some(at) = begun(&dir).filter(|_| !repeat) {
            let message =
                format!("{run}/{call} may have been taken back: that was begun at {at}, and its process ended before it said how");
            return Err(refused(message).hint("look whether it was; if it was not, `--repeat` does it again"));
        }
        // Nothing of an earlier try goes on beside this one.
        sweep(&marker);
        let unwritten = |error| failed(format!("nothing was done, as its beginning could not be recorded: {error}"));
        write(&dir, BEGUN, &json!({"tool": ask.name, "begun_at": now().rfc3339()})).map_err(unwritten)?;
        let out = printed(&services.env, Call { asked: &asked, env, cwd, marker }, &stop, MOST_OUTPUT).await;
        let mut out = out.map_err(|mut error| {
            // It has ended, and not well: that is known.
            forget(&dir);
            services.secrets.text(&mut error.message);
            failed(error.message)
        })?;
        services.secrets.text(&mut out);
        let done = json!({"tool": ask.name, "undone_at": now().rfc3339(), "output": out});
        write(&dir, RECORD, &done).map_err(|error| failed(format!("it is done, but not recorded: {error}")))?;
        forget(&dir);
        drop(turn);
        let output = (!out.is_empty()).then_some(out);
        Ok(UndoView { run_id: run.clone(), call_id: call.to_string(), tool: ask.name.clone(), output })
    })
}

/// When it was begun to take the call back, if nobody knows how that ended.
fn begun(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join(BEGUN)).ok()?;
    let record: Option<Value> = serde_json::from_str(&text).ok();
    let at = record.and_then(|record| record["begun_at"].as_str().map(str::to_owned));
    Some(at.unwrap_or_else(|| "an unknown time".to_owned()))
}

/// How it ended is known.
fn forget(dir: &Path) {
    if let Err(error) = std::fs::remove_file(dir.join(BEGUN)) {
        tracing::warn!(%error, "an undo that has ended is still recorded as begun");
    }
}

/// Writes a record, on disk when it returns.
fn write(dir: &Path, name: &str, record: &Value) -> std::io::Result<()> {
    let path = dir.join(name);
    super::files::write(&path, record.to_string().as_bytes())?;
    File::open(&path)?.sync_all()?;
    File::open(dir)?.sync_all()
}
