//! What a driver says to the machine: the operations user logic performed until it could go no further.

use serde_json::Value;

use crate::core::call::CallSpec;
use crate::core::event::{LogLevel, Swallowed};
use crate::core::ids::{CallId, Hash};
use crate::core::run::RunError;

/// One operation of user logic, in the order it was performed. Requests get their [`CallId`] from the machine in this
/// order, starting at 1; a driver that counts the same way knows the id without being told.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A call was requested.
    Request(Box<CallSpec>),
    /// A line was logged.
    Log {
        /// How severe.
        level: LogLevel,
        /// The text.
        message: String,
        /// Structured fields of `owf.log`.
        fields: Option<Value>,
    },
    /// The current phase changed.
    Phase(String),
    /// An exception became `null`.
    Swallowed(Swallowed),
    /// A call is no longer wanted (fail-fast); ignored when it has ended.
    Cancel(CallId),
    /// Content found outside the source was used for the first time and is now fixed for the run.
    Pin {
        /// `persona`, `workflow`.
        kind: String,
        /// The name it was asked for by.
        name: String,
        /// The hash of the content, which the shell has put into the store.
        hash: Hash,
        /// Where it was found.
        path: Option<String>,
    },
    /// Something a reader of the run should know.
    Warning {
        /// A stable word.
        code: String,
        /// One sentence.
        message: String,
    },
}

/// Where user logic stands after it ran.
#[derive(Debug, Clone, PartialEq)]
pub enum DriverState {
    /// It waits for outcomes of calls it requested.
    Waiting,
    /// It returned; absent is `undefined`.
    Returned(Option<Value>),
    /// It ended the run before its time, which is no failure: with what it has so far.
    Cancelled(Option<Value>),
    /// It failed.
    Failed(RunError),
}
