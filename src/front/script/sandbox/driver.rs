//! The driver of scripts.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::config::ScriptConfig;
use super::deliver;
use super::errors::{self, Frames};
use super::host::{Settled, Shared};
use super::runtime::{Realm, Stretch, Trip};
use crate::core::ids::CallId;
use crate::core::machine::BudgetView;
use crate::core::op::{DriverState, Op};
use crate::core::outcome::Outcome;
use crate::core::run::{EngineLimits, RunError, RunErrorCode};
use crate::front::driver::{Driver, DriverStep};

/// Runs one script in a realm of its own.
///
/// It is made on the thread that drives it and cannot leave it. A script may use 4 MB of native stack, so that thread needs
/// at least 8 MB, the interpreter's own frames included; 16 MB are comfortable.
pub struct ScriptDriver {
    realm: Option<Realm>,
    shared: Rc<RefCell<Shared>>,
    frames: Frames,
    limits: EngineLimits,
    worktrees: String,
}

impl fmt::Debug for ScriptDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptDriver").field("running", &self.realm.is_some()).finish_non_exhaustive()
    }
}

impl ScriptDriver {
    /// Sets the realm up and compiles the body; nothing of the script runs yet.
    ///
    /// # Errors
    /// [`RunErrorCode::ScriptError`] when the body does not compile, [`RunErrorCode::EngineCrash`] or
    /// [`RunErrorCode::OutOfMemory`] when the realm cannot be set up within its limits.
    pub fn new(config: ScriptConfig) -> Result<Self, RunError> {
        let frames = Frames::new(&config.file_name, &config.body);
        let shared = Rc::new(RefCell::new(Shared::new(&config, frames.clone())));
        let realm = Realm::new(&config, &shared, &frames)?;
        Ok(Self { realm: Some(realm), shared, frames, limits: config.limits, worktrees: config.worktrees })
    }

    /// Ends a step: takes the operations and finds out where the script stands. A script that has ended loses its realm.
    fn step(&mut self, stretch: Stretch) -> DriverStep {
        let state = self.state(stretch);
        match state {
            DriverState::Waiting => {}
            DriverState::Returned(_) | DriverState::Cancelled(_) | DriverState::Failed(_) => self.realm = None,
        }
        DriverStep { ops: std::mem::take(&mut self.shared.borrow_mut().ops), state }
    }

    fn state(&self, stretch: Stretch) -> DriverState {
        let mut shared = self.shared.borrow_mut();
        match stretch {
            Stretch::Tripped(Trip::TooLong) => {
                let limit = self.limits.sync_ms;
                let message = format!("the script ran for {limit} ms without waiting for anything, and was stopped");
                return DriverState::Failed(RunError::new(RunErrorCode::SyncTimeout, message));
            }
            Stretch::Tripped(Trip::Aborted) => {
                return DriverState::Failed(RunError::new(RunErrorCode::ScriptError, "the run was cancelled"));
            }
            Stretch::NoMemory => return DriverState::Failed(errors::out_of_memory(self.limits.memory_bytes)),
            Stretch::Quiet => {}
        }
        match shared.settled.take() {
            Some(Settled::Returned(None)) => DriverState::Returned(None),
            Some(Settled::Returned(Some(text))) => match serde_json::from_str(&text) {
                Ok(value) => DriverState::Returned(Some(value)),
                Err(error) => DriverState::Failed(RunError::new(
                    RunErrorCode::ResultNotJson,
                    format!("the returned value cannot be stored as JSON: {error}"),
                )),
            },
            Some(Settled::Failed(thrown)) => {
                DriverState::Failed(self.frames.run_error(thrown, self.limits.memory_bytes))
            }
            None if !shared.open.is_empty() => DriverState::Waiting,
            None if shared.memory_hint || self.realm.as_ref().is_some_and(Realm::is_crowded) => {
                DriverState::Failed(errors::out_of_memory(self.limits.memory_bytes))
            }
            None => DriverState::Failed(RunError::new(
                RunErrorCode::Deadlock,
                "the script waits for something that cannot happen: no call is pending and no timer is set",
            )),
        }
    }

    fn ended() -> DriverStep {
        let error = RunError::new(RunErrorCode::EngineCrash, "the script was driven after its end");
        DriverStep { ops: Vec::<Op>::new(), state: DriverState::Failed(error) }
    }
}

impl Driver for ScriptDriver {
    fn start(&mut self) -> DriverStep {
        let Some(realm) = &mut self.realm else { return Self::ended() };
        let stretch = realm.launch(&self.shared);
        self.step(stretch)
    }

    fn deliver(&mut self, call_id: CallId, outcome: &Outcome, budget: &BudgetView) -> DriverStep {
        let Some(realm) = &mut self.realm else { return Self::ended() };
        let delivery = {
            let mut shared = self.shared.borrow_mut();
            shared.budget = *budget;
            shared.open.remove(&u64::from(call_id.0)).map(|call| {
                let mut delivery = deliver::delivery(&call, outcome, &self.worktrees);
                if let Some((level, line)) = delivery.log.take() {
                    shared.log(level, line, None);
                }
                delivery
            })
        };
        // The outcome of a timer that was cleared has nobody to go to.
        let stretch = match delivery {
            Some(delivery) => realm.deliver(&self.shared, u64::from(call_id.0), delivery),
            None => Stretch::Quiet,
        };
        self.step(stretch)
    }
}
