//! Progress notifications of one call: increasing, without a total, and none once the call is answered or cancelled.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rmcp::model::ProgressToken;
use serde_json::json;

use super::outbox::Outbox;
use super::requests::Requests;

/// Silence after which a client hears that the call lives, although nothing more is finished.
const SILENCE: Duration = Duration::from_mins(1);

/// Tells the progress of one call.
pub(super) struct Progress {
    token: Option<ProgressToken>,
    number: i64,
    requests: Arc<Requests>,
    outbox: Outbox,
    told: Mutex<Option<(f64, Instant)>>,
}

impl Progress {
    pub(super) fn new(token: Option<ProgressToken>, number: i64, requests: Arc<Requests>, outbox: Outbox) -> Self {
        Self { token, number, requests, outbox, told: Mutex::default() }
    }

    /// Finished calls, and a line. Left out when the client does not keep up: the next one says more.
    pub(super) fn tell(&self, finished: u64, message: &str) {
        let Some(token) = self.token.as_ref().filter(|_| self.requests.open(self.number)) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = next(*told, finished as f64) else { return };
        let params = json!({ "progressToken": token, "progress": value, "message": message });
        let line = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        if self.outbox.offer(line.to_string().into_bytes()) {
            *told = Some((value, Instant::now()));
        }
    }
}

/// The value to tell, if any: more than the last one. A whole number, unless the client would hear nothing for too long.
fn next(told: Option<(f64, Instant)>, finished: f64) -> Option<f64> {
    match told {
        None => Some(finished),
        Some((last, _)) if finished > last => Some(finished),
        Some((last, at)) if at.elapsed() >= SILENCE => Some(last + (last.floor() + 1.0 - last) / 64.0),
        Some(_) => None,
    }
}
