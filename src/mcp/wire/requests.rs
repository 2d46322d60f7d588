//! Requests taken in and not yet answered: their ids, their number and size, and what each holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::message::id_key;

/// The table. Requests go inward under numbers of our own, so that a reused or a cancelled id can never get the answer of
/// another request, and an id comes back exactly as it was written.
pub(super) struct Requests {
    state: std::sync::Mutex<State>,
    freed: Notify,
    closed: AtomicBool,
    max: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    last: i64,
    bytes: usize,
    by_number: HashMap<i64, Entry>,
    by_id: HashMap<String, i64>,
}

struct Entry {
    id: Value,
    bytes: usize,
    /// The right to execute a call, kept until its answer is queued: unwritten answers count as calls in flight.
    permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Requests {
    pub(super) fn new(max: usize, max_bytes: usize) -> Self {
        Self {
            state: std::sync::Mutex::default(),
            freed: Notify::new(),
            closed: AtomicBool::new(false),
            max,
            max_bytes,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits until one more may be taken in.
    pub(super) async fn room(&self) {
        loop {
            let freed = self.freed.notified();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Whether one more may be taken in.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state();
        state.by_number.len() < self.max && state.bytes < self.max_bytes
    }

    /// Takes one in and gives its number; none when the id is in flight already.
    pub(super) fn add(&self, id: &Value, bytes: usize) -> Option<i64> {
        let mut state = self.state();
        let key = id_key(id);
        if state.by_id.contains_key(&key) {
            return None;
        }
        state.last += 1;
        let number = state.last;
        state.bytes += bytes;
        state.by_id.insert(key, number);
        state.by_number.insert(number, Entry { id: id.clone(), bytes, permit: None });
        Some(number)
    }

    /// The number of an id in flight.
    pub(super) fn number(&self, id: &Value) -> Option<i64> {
        self.state().by_id.get(&id_key(id)).copied()
    }

    /// Notes that the input has ended: nothing more comes, and the client is about to be gone.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Whether the input has ended.
    pub(super) fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether it is still to be answered.
    pub(super) fn open(&self, number: i64) -> bool {
        self.state().by_number.contains_key(&number)
    }

    /// Lets a request hold its permit until it is answered.
    pub(super) fn hold(&self, number: i64, permit: Arc<OwnedSemaphorePermit>) {
        if let Some(entry) = self.state().by_number.get_mut(&number) {
            entry.permit = Some(permit);
        }
    }

    /// The permit that a request holds: it stays one call, however many steps serve it.
    pub(super) fn held(&self, number: i64) -> Option<Arc<OwnedSemaphorePermit>> {
        self.state().by_number.get(&number).and_then(|entry| entry.permit.clone())
    }

    /// Gives the permit of a request back for as long as its person thinks.
    pub(super) fn let_go(&self, number: i64) {
        if let Some(entry) = self.state().by_number.get_mut(&number) {
            entry.permit = None;
        }
    }

    /// Frees a request, answered or cancelled, and gives back its id; none when that was done already.
    pub(super) fn take(&self, number: i64) -> Option<Value> {
        let mut state = self.state();
        let entry = state.by_number.remove(&number)?;
        state.by_id.remove(&id_key(&entry.id));
        state.bytes -= entry.bytes;
        drop(state);
        self.freed.notify_one();
        Some(entry.id)
    }
}
