//! How the execution of a run in this process ended.

use crate::core::failure::{Code, Failure};
use crate::core::run::{RunOutcome, StatusReason};

/// How a run loop ended. Only `Finished` and `Paused` are facts of the journal.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEnd {
    /// The run ended.
    Finished(Box<RunOutcome>),
    /// The run waits for a person.
    Paused {
        /// What for.
        reason: StatusReason,
        /// What a provider said.
        message: Option<String>,
    },
    /// The replay left its journal: the run goes on as a new one.
    Diverged(String),
    /// The process was asked to leave the run as it stands.
    Interrupted,
    /// The store failed, or another process has taken the run over: nothing more is known to be on disk.
    Lost(Box<Failure>),
}

impl RunEnd {
    /// The run is lost to this process for this reason.
    pub(crate) fn lost(why: impl Into<Failure>) -> Self {
        Self::Lost(Box::new(why.into()))
    }

    /// The run is lost through a fault of owf itself.
    pub(crate) fn fault(message: impl Into<String>) -> Self {
        Self::lost(Failure::new(Code::Internal, message).hint("the run is kept as far as it got; owf resume goes on"))
    }
}
