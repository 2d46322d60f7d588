//! Exit codes.

use std::process::ExitCode;

use crate::core::failure::Failure;
use crate::core::run::RunStatus;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; a query that could be answered.
    Done,
    /// 1: the run failed.
    Failed,
    /// 2: wrong usage, an invalid workflow, a refusal.
    Refused,
    /// 3: not finished: paused, interrupted, cancelled, or a wait that took too long.
    NotFinished,
    /// 4: the store, or owf itself.
    Internal,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Refused => 2,
            Self::NotFinished => 3,
            Self::Internal => 4,
        }
    }

    /// For a command that follows a run: as the run stands.
    pub fn of_status(status: RunStatus) -> Self {
        match status {
            RunStatus::Done => Self::Done,
            RunStatus::Failed => Self::Failed,
            RunStatus::Queued
            | RunStatus::Running
            | RunStatus::Paused
            | RunStatus::Cancelled
            | RunStatus::Interrupted => Self::NotFinished,
        }
    }

    /// For a request that could not be served.
    pub fn of_failure(failure: &Failure) -> Self {
        if failure.code.exit_code() == 4 { Self::Internal } else { Self::Refused }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Whether a run has a process, or will have one.
pub(crate) fn goes_on(status: RunStatus) -> bool {
    matches!(status, RunStatus::Queued | RunStatus::Running)
}
