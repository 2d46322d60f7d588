//! Ends a run whose own loop can no longer do it: it hangs inside the engine, or broke off.

use std::any::Any;

use crate::core::event::Event;
use crate::core::ids::RunId;
use crate::core::outcome::{CallError, ErrorClass};
use crate::core::run::{RunError, RunErrorCode, RunOutcome, RunStatus};
use crate::store::StoreError;

use super::execute::read_history;
use super::journal::Journal;
use super::message::Message;
use super::tree::Tree;

/// Journals that `run` failed with `error`, its open calls cancelled, and tells its children to end. Nothing but this may
/// append to the run's journal any more.
///
/// # Errors
/// When the journal cannot be read or written; then the run stays as it stands and can be resumed.
pub(crate) fn collapse(tree: &Tree, run: &RunId, error: RunError) -> Result<RunOutcome, StoreError> {
    let store = &tree.store;
    for child in store.children(run)? {
        let (by, reason) = ("parent".to_owned(), Some("the run that started it failed".to_owned()));
        tree.send(&child.run_id, Message::Cancel { row: None, call_id: None, by, reason });
    }
    // What the loop queued before is on disk after this.
    store.flush()?;
    let (history, last) = read_history(store, run)?;
    if let Some(outcome) = history.finished {
        return Ok(*outcome);
    }
    let mut events = Vec::new();
    for call in history.order.iter().filter_map(|key| history.calls.get(key)).filter(|c| c.outcome.is_none()) {
        let outcome = call.given_up(CallError::new(ErrorClass::Cancelled, "the run failed while it was open"));
        events.push(Event::CallFinished {
            call_id: call.call_id,
            outcome: Box::new(outcome),
            reused: None,
            rule: None,
        });
    }
    let outcome =
        RunOutcome { status: RunStatus::Failed, reason: None, output: None, error: Some(error), superseded_by: None };
    if let Some(spec) = &history.spec {
        tree.files.finish(store, run, spec, &tree.settings, &outcome);
    }
    events.push(Event::RunFinished { outcome: Box::new(outcome.clone()) });
    let mut journal = Journal::new(store.clone(), tree.root.clone(), run.clone(), tree.epoch, last);
    journal.append(events, Vec::new(), Vec::new());
    journal.commit()?;
    Ok(outcome)
}

/// The error of a run that a panic ended.
pub(crate) fn crash(payload: &(dyn Any + Send)) -> RunError {
    RunError::new(RunErrorCode::EngineCrash, format!("owf broke off while it executed the run: {}", said(payload)))
}

/// What a panic said.
pub(crate) fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
