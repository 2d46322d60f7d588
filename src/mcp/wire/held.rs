//! Requests that were read while the table was full. They wait here, so that what comes after them is still read.

use std::collections::VecDeque;

use rmcp::model::ClientRequest;
use serde_json::Value;

use super::message::id_key;

/// Requests held at most.
const MAX: usize = 64;
/// Bytes of their lines beyond which no more is read; the last one may exceed it by the length of a line.
const MAX_BYTES: usize = 1 << 20;

/// One of them.
pub(super) struct HeldRequest {
    pub(super) id: Value,
    pub(super) request: ClientRequest,
    /// The length of its line.
    pub(super) bytes: usize,
}

/// All of them, in the order in which they came.
#[derive(Default)]
pub(super) struct Held {
    queue: VecDeque<HeldRequest>,
    bytes: usize,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether nothing more may be read until one of them has gone inward.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= MAX || self.bytes >= MAX_BYTES
    }

    pub(super) fn push(&mut self, held: HeldRequest) {
        self.bytes += held.bytes;
        self.queue.push_back(held);
    }

    /// The one that came first.
    pub(super) fn pop(&mut self) -> Option<HeldRequest> {
        let held = self.queue.pop_front()?;
        self.bytes -= held.bytes;
        Some(held)
    }

    pub(super) fn contains(&self, id: &Value) -> bool {
        self.position(id).is_some()
    }

    /// Forgets the one with this id; false when there is none.
    pub(super) fn remove(&mut self, id: &Value) -> bool {
        let removed = self.position(id).and_then(|at| self.queue.remove(at));
        self.bytes -= removed.as_ref().map_or(0, |held| held.bytes);
        removed.is_some()
    }

    fn position(&self, id: &Value) -> Option<usize> {
        let key = id_key(id);
        self.queue.iter().position(|held| id_key(&held.id) == key)
    }
}
