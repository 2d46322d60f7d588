//! How much one tool call may take.

use std::time::{Duration, Instant};

/// Bounds of the file tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a file that are given at once.
    pub read_bytes: usize,
    /// Bytes of a file that may be written.
    pub write_bytes: usize,
    /// Files that are listed.
    pub entries: usize,
    /// Lines that a search gives.
    pub matches: usize,
    /// How long one call may take.
    pub timeout: Duration,
    /// Requests to a model in one attempt.
    pub max_turns: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            read_bytes: 128 << 10,
            write_bytes: 1 << 20,
            entries: 1_000,
            matches: 200,
            timeout: Duration::from_secs(20),
            max_turns: 25,
        }
    }
}

/// When a call must end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn of(bounds: &Bounds) -> Self {
        Self(Instant::now() + bounds.timeout)
    }

    /// Ends a call that takes too long.
    pub(super) fn check(self) -> Result<(), String> {
        if Instant::now() < self.0 { Ok(()) } else { Err("it took too long; ask for less".to_owned()) }
    }
}
