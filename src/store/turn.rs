//! Turns: processes that start runs below the calls of one run do so one after another.

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::core::ids::RunId;
use crate::store::error::StoreError;
use crate::store::home;
use crate::store::lease::try_lock;
use crate::store::store::Store;

/// How long a turn is waited for: recording a run takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(2);

/// The turn of one process. It ends when it is dropped, and with the process.
#[derive(Debug)]
pub struct Turn {
    /// Held for its lock.
    _lock: File,
}

impl Store {
    /// Waits for a turn below the run `root`.
    ///
    /// # Errors
    /// What the file system says, or that nobody let go of it.
    pub fn turn(&self, root: &RunId) -> Result<Turn, StoreError> {
        let path = home::run_dir(self.home(), root).join("nested.lock");
        let until = Instant::now() + PATIENCE;
        loop {
            let lock = try_lock(&path, FlockOperation::NonBlockingLockExclusive)
                .map_err(|error| StoreError::file(self.home(), &error))?;
            if let Some(lock) = lock {
                return Ok(Turn { _lock: lock });
            }
            if Instant::now() >= until {
                return Err(StoreError::Io(format!("another process starts a run below {root} and does not get done")));
            }
            std::thread::sleep(STEP);
        }
    }
}
