//! The hard wall behind the sandbox's own limits: user logic that hangs inside the engine is journaled as failed.

use crate::core::event::Event;
use crate::core::run::{RunError, RunErrorCode, RunOutcome, RunStatus};

use super::journal::Journal;
use super::tree::Tree;

/// How much longer than the limit a synchronous stretch may take before the sandbox is given up: its own check comes first.
const GRACE_MS: u64 = 3_000;

/// Ends the runs of a tree when user logic of one of them hangs. The thread is lost; the process ends with it.
pub(crate) fn check(tree: &Tree) {
    let limit = tree.settings.engine.sync_ms;
    let Some((run, ms)) = tree.longest_stretch().filter(|(_, ms)| *ms > limit + GRACE_MS) else { return };
    let message =
        format!("the script ran for {ms} ms without a pause (limit {limit} ms) and did not react to being stopped");
    let error = RunError::new(RunErrorCode::SyncTimeout, message);
    let mut ended = Vec::new();
    for id in [Some(run.clone()), (run != tree.root).then(|| tree.root.clone())].into_iter().flatten() {
        let outcome = RunOutcome {
            status: RunStatus::Failed,
            reason: None,
            output: None,
            error: Some(error.clone()),
            superseded_by: None,
        };
        let event = Event::RunFinished { outcome: Box::new(outcome.clone()) };
        // The stuck thread appends nothing more; what it queued is on disk after this.
        let last = tree.store.flush().and_then(|()| tree.store.last_seq(&id));
        let Ok(last) = last else { continue };
        let mut journal = Journal::new(tree.store.clone(), tree.root.clone(), id, tree.epoch, last);
        journal.append(vec![event], Vec::new(), Vec::new());
        if let Err(error) = journal.commit() {
            tracing::error!(%error, "a hanging run could not be ended");
        }
        ended.push(outcome);
    }
    if let Some(outcome) = ended.pop() {
        tree.give_up(super::run_end::RunEnd::Finished(Box::new(outcome)));
    }
}
