//! Taking a finished call of a tool back: once, as long as its configuration allows it. A failed try leaves it possible.

use std::fs::File;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};

use crate::core::event::{Event, EventRecord};
use crate::core::failure::{Code, Failure};
use crate::core::ids::{CallId, RunId};
use crate::core::outcome::CallStatus;
use crate::core::time::Millis;
use crate::core::work::CommandAsk;
use crate::process::{passed, sweep};
use crate::providers::Stop;
use crate::store::Store;

use super::commands::{Call, Unwell, directory, printed};
use super::journal::now;
use super::services::Services;
use super::tool_runner::locked;
use super::tools::time_limit;
use super::view::UndoView;

/// How long an undo may take when nothing is configured for its tool.
const TIMEOUT: Duration = Duration::from_mins(10);
/// The most an undo may print.
const MOST_OUTPUT: usize = 64 << 10;

fn refused(message: String) -> Failure {
    Failure::new(Code::UndoRefused, message)
}

/// Takes a call back. One that was broken off meanwhile, with its process or by it, may have been taken back: that is said, and it
/// is tried again only when `repeat` says so. With `nth` it is that use of a tool by the call's agent that is taken back, from 1 in the order of its journal.
///
/// # Errors
/// `undo_refused`, `undo_failed`, store errors.
pub(crate) fn undo(
    store: &Store,
    services: &Services,
    run: &RunId,
    call: CallId,
    nth: Option<u32>,
    repeat: bool,
) -> Result<UndoView, Failure> {
    // A call that was reused was carried out by another run, and is taken back there, once for all.
    let (run, call) = match store.call(run, call)?.and_then(|row| row.reused) {
        Some(origin) => (origin.run_id, origin.call_id),
        None => (run.clone(), call),
    };
    store.verify(&run)?;
    let Done { of, name, args, result, at, records } = match nth {
        Some(nth) => used(store, &run, call, nth)?,
        None => called(store, &run, call)?,
    };
    let tool = services.config.tools.get(&name).map_err(refused)?.clone();
    let Some(argv) = tool.undo.clone() else {
        return Err(refused(format!("the tool `{name}` has no `undo`")));
    };
    let age = now().since(at);
    if u128::from(age) >= tool.undo_for().as_millis() {
        let limit = tool.undo_for().as_secs();
        return Err(refused(format!("{of} could be taken back for {limit} s, which are over")));
    }
    let workspace = store.run(&run)?.map(|row| row.spec.workspace).unwrap_or_default();
    let dir = store.run_dir(&run).join("calls").join(call.to_string());
    let input = json!({"tool": name, "arguments": tool.complete(&args).0, "result": result}).to_string();
    let asked = CommandAsk { argv, input: Some(input), ..CommandAsk::default() };
    let failed = |why: String| {
        Failure::new(Code::UndoFailed, format!("taking {of} back failed: {why}"))
            .hint("correct the cause, then try again")
    };
    let cwd = directory(Path::new(&workspace), None).map_err(failed)?;
    let env = passed(&services.env, tool.secrets.iter().map(String::as_str));
    let marker = format!("{run}/{run}/{call}/undo{}", records.suffix);
    services.runtime.block_on(async {
        let stop = Stop::default();
        // Of two who try at once the second finds the record of the first.
        let turn = locked(&dir.join(format!("undo{}.lock", records.suffix)), &stop)
            .await
            .map_err(|error| failed(error.message))?;
        if dir.join(records.done()).exists() {
            return Err(refused(format!("{of} was taken back already")));
        }
        if let Some(at) = begun(&dir, &records).filter(|_| !repeat) {
            let message = format!(
                "{of} may have been taken back: that was begun at {at}, and was broken off before it said how it ended"
            );
            return Err(refused(message).hint("look whether it was; if it was not, `--repeat` does it again"));
        }
        // Nothing of an earlier try goes on beside this one.
        sweep(&marker);
        let unwritten = |error| failed(format!("nothing was done, as its beginning could not be recorded: {error}"));
        write(&dir, &records.begun(), &json!({"tool": name, "begun_at": now().rfc3339()})).map_err(unwritten)?;
        let limit = time_limit(&tool, &services.config.tools).map_or(TIMEOUT, Duration::from_millis);
        let work = printed(&services.env, Call { asked: &asked, env, cwd, marker }, &stop, MOST_OUTPUT);
        let (out, in_time) = within(limit, &stop, work).await;
        let mut out = out.map_err(|unwell| {
            let Unwell { mut error, broken_off } = unwell;
            services.secrets.text(&mut error.message);
            if !broken_off {
                // It has ended, and not well: that is known.
                forget(&dir, &records);
                return failed(error.message);
            }
            let why = if in_time { error.message } else { format!("no end in {} s", limit.as_secs_f64()) };
            Failure::new(
                Code::UndoFailed,
                format!("taking {of} back was broken off, and nobody knows how far it came: {why}"),
            )
            .hint("look whether it was taken back; if it was not, `--repeat` does it again")
        })?;
        services.secrets.text(&mut out);
        let done = json!({"tool": name, "undone_at": now().rfc3339(), "output": out});
        write(&dir, &records.done(), &done)
            .map_err(|error| failed(format!("it is done, but not recorded: {error}")))?;
        forget(&dir, &records);
        drop(turn);
        let output = (!out.is_empty()).then_some(out);
        Ok(UndoView { run_id: run.clone(), call_id: call.to_string(), tool: name.clone(), used: nth, output })
    })
}

/// Does work that is asked to end after some time, and whether it ended in that time.
async fn within<T>(limit: Duration, stop: &Stop, work: impl Future<Output = T>) -> (T, bool) {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(limit, &mut work).await {
        return (done, true);
    }
    stop.stop();
    (work.await, false)
}

/// What is to be taken back.
struct Done {
    /// What it is called in sentences.
    of: String,
    /// The tool.
    name: String,
    /// Its arguments, as they were given.
    args: Value,
    /// What it brought.
    result: Value,
    /// When it was done.
    at: Millis,
    /// The files that say how far taking it back is.
    records: Records,
}

/// The records in the folder of a call.
struct Records {
    /// Which use of a tool they are about, when it is none of the workflow's own.
    suffix: String,
}

impl Records {
    /// That it was taken back.
    fn done(&self) -> String {
        format!("undone{}.json", self.suffix)
    }

    /// That it is about to be, there until it is known how that ended.
    fn begun(&self) -> String {
        format!("undo-begun{}.json", self.suffix)
    }
}

/// A call of a tool by the workflow.
fn called(store: &Store, run: &RunId, call: CallId) -> Result<Done, Failure> {
    let (request, outcome) = (store.request(run, call)?, store.outcome(run, call)?);
    let Some(ask) = request.and_then(|request| request.spec.ask.tool) else {
        let uses = uses(&store.call_events(run, call)?).len();
        let failure = refused(format!("{run}/{call} is no call of a tool"));
        return Err(match uses {
            0 => failure,
            uses => failure.hint(format!("its agent used tools: `--use N` takes one of these {uses} uses back")),
        });
    };
    let Some(outcome) = outcome.filter(|outcome| outcome.status == CallStatus::Done && !outcome.simulated) else {
        return Err(refused(format!("{run}/{call} is not done, so there is nothing to take back")));
    };
    let events = store.call_events(run, call)?;
    let at = events.iter().rev().find(|e| matches!(e.event, Event::CallFinished { .. })).map_or_else(now, |e| e.at);
    let (of, result) = (format!("{run}/{call}"), outcome.value.unwrap_or_default());
    Ok(Done { of, name: ask.name, args: ask.args, result, at, records: Records { suffix: String::new() } })
}

/// A use of a tool by the agent of a call.
fn used(store: &Store, run: &RunId, call: CallId, nth: u32) -> Result<Done, Failure> {
    let events = store.call_events(run, call)?;
    let uses = uses(&events);
    let Some(&(attempt, number, name, args)) = (nth as usize).checked_sub(1).and_then(|at| uses.get(at)) else {
        let named: Vec<String> =
            uses.iter().zip(1..).take(20).map(|((_, _, name, _), nth)| format!("{nth} {name}")).collect();
        let there = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
        return Err(refused(format!("the agent of {run}/{call} has no use {nth} of a tool; there is: {there}")));
    };
    let ended = events.iter().find_map(|e| match &e.event {
        Event::ToolFinished { attempt: a, number: n, ok, message, .. } if (*a, *n) == (attempt, number) => {
            Some((*ok, message, e.at))
        }
        _ => None,
    });
    let of = format!("use {nth} of a tool (`{name}`) in {run}/{call}");
    let Some((true, message, at)) = ended else {
        return Err(refused(format!("{of} is not done, so there is nothing to take back")));
    };
    let Some(args) = args else { return Err(refused(format!("{of} is none of the configuration: it has no `undo`"))) };
    let result = serde_json::from_str(message).unwrap_or_else(|_| Value::String(message.clone()));
    let records = Records { suffix: format!("-{nth}") };
    Ok(Done { of, name: name.to_owned(), args: args.clone(), result, at, records })
}

/// What the agent's tools have changed, or were about to: attempt, number there, tool, arguments of a configured one.
fn uses(events: &[EventRecord]) -> Vec<(u32, u32, &str, Option<&Value>)> {
    let one = |event| match event {
        &Event::ToolStarted { attempt, number, ref tool, ref args, .. } => {
            Some((attempt, number, tool.as_str(), args.as_ref()))
        }
        _ => None,
    };
    events.iter().map(|record| &record.event).filter_map(one).collect()
}

/// When it was begun to take the call back, if nobody knows how that ended.
fn begun(dir: &Path, records: &Records) -> Option<String> {
    let text = std::fs::read_to_string(dir.join(records.begun())).ok()?;
    let record: Option<Value> = serde_json::from_str(&text).ok();
    let at = record.and_then(|record| record["begun_at"].as_str().map(str::to_owned));
    Some(at.unwrap_or_else(|| "an unknown time".to_owned()))
}

/// How it ended is known.
fn forget(dir: &Path, records: &Records) {
    if let Err(error) = std::fs::remove_file(dir.join(records.begun())) {
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
