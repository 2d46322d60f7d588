//! The inbox of a run tree: rows that other processes wrote, taken up within 50 ms and passed to the run they are for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::core::run::StatusReason;
use crate::store::{InboxItem, InboxRow};

use super::message::Message;
use super::tree::Tree;

/// How often the inbox is read.
const POLL: Duration = Duration::from_millis(25);

/// The message of a row to the loop of its run.
pub(crate) fn message(row: &InboxRow) -> Message {
    let id = Some(row.id);
    match &row.item {
        InboxItem::Cancel { call_id, by, reason } => {
            Message::Cancel { row: id, call_id: *call_id, by: by.clone(), reason: reason.clone() }
        }
        InboxItem::Pause { .. } => Message::Pause { row: id, reason: StatusReason::User },
        InboxItem::Decide(decision) => Message::Decided { row: id, decision: decision.clone() },
    }
}

/// Starts the thread that reads the inbox of `tree` until the tree is dropped or `stop` is set.
pub(crate) fn watch(tree: &Arc<Tree>, stop: &Arc<AtomicBool>) -> std::io::Result<JoinHandle<()>> {
    let tree = Arc::downgrade(tree);
    let stop = Arc::clone(stop);
    std::thread::Builder::new().name("owf-inbox".into()).spawn(move || poll(&tree, &stop))
}

fn poll(tree: &Weak<Tree>, stop: &AtomicBool) {
    let mut after = 0;
    let mut kept: Vec<InboxRow> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Some(tree) = tree.upgrade() else { return };
        match tree.store.inbox(&tree.root, after) {
            Ok(rows) => {
                after = rows.last().map_or(after, |r| r.id);
                kept.extend(rows);
            }
            Err(error) => tracing::warn!(%error, "inbox not read"),
        }
        // A row for a child that has not started yet waits for it.
        kept.retain(|row| !deliver(&tree, row));
        super::watchdog::check(&tree);
        drop(tree);
        std::thread::park_timeout(POLL);
    }
}

fn deliver(tree: &Tree, row: &InboxRow) -> bool {
    let message = message(row);
    let ends = matches!(message, Message::Cancel { call_id: None, .. }) && row.run_id == tree.root;
    let sent = tree.send(&row.run_id, message);
    if ends && sent {
        // User logic that runs right now is to end too; the message is there before it notices.
        tree.abort.store(true, Ordering::Relaxed);
    }
    sent
}
