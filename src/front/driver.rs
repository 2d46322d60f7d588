//! The driver: what turns a workflow into requested calls, by running user logic between deliveries.

use crate::core::ids::CallId;
use crate::core::machine::BudgetView;
use crate::core::op::{DriverState, Op};
use crate::core::outcome::Outcome;

/// What user logic did until it could go no further.
#[derive(Debug, Clone, PartialEq)]
pub struct DriverStep {
    /// Operations, in order.
    pub ops: Vec<Op>,
    /// Where it stands.
    pub state: DriverState,
}

/// Runs user logic. One thread owns it; it never blocks on anything outside itself and never asks a clock. It counts its
/// own requests: the n-th [`Op::Request`] is call `n`. After `Returned` or `Failed` it is not called again.
///
/// Implemented by the script front-end and the document front-end.
pub trait Driver {
    /// Runs user logic from its beginning until it is quiescent.
    fn start(&mut self) -> DriverStep;

    /// Delivers one outcome, then runs user logic until it is quiescent.
    fn deliver(&mut self, call_id: CallId, outcome: &Outcome, budget: &BudgetView) -> DriverStep;
}
