//! The hard wall behind the sandbox's own limits: user logic that hangs inside the engine is journaled as failed.

use std::time::Duration;

use crate::core::run::{RunError, RunErrorCode};

use super::collapse::collapse;
use super::message::Message;
use super::run_end::RunEnd;
use super::tree::Tree;

/// How much longer than the limit a synchronous stretch may take before the sandbox is given up: its own check comes first.
const GRACE_MS: u64 = 3_000;
/// How long the other runs of the tree get to end in order.
const OTHERS: Duration = Duration::from_secs(2);

/// Ends the runs of a tree when user logic of one of them hangs. The thread is lost; the process ends with it.
pub(crate) fn check(tree: &Tree) {
    let limit = tree.settings.engine.sync_ms;
    let Some((run, ms)) = tree.longest_stretch().filter(|(_, ms)| *ms > limit + GRACE_MS) else { return };
    let message =
        format!("the script ran for {ms} ms without a pause (limit {limit} ms) and did not react to being stopped");
    let error = RunError::new(RunErrorCode::SyncTimeout, message);
    let end = match collapse(tree, &run, error.clone()) {
        Ok(outcome) => RunEnd::Finished(Box::new(outcome)),
        Err(failed) => {
            tracing::error!(error = %failed, %run, "a hanging run could not be ended");
            RunEnd::lost(failed)
        }
    };
    tree.unregister(&run);
    if run != tree.root {
        // The loops above it are alive and end their runs themselves; the root's end is the tree's.
        tree.send(&tree.root, Message::Fail(error));
    }
    if !tree.wait_for_loops(OTHERS) {
        tracing::warn!(%run, "other runs of the tree are left as they stand");
    }
    tree.give_up(end);
}
