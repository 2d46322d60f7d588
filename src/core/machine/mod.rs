//! The run machine: inputs in, events to append and effects to carry out. No clock, randomness, file, process or SQL.

mod admit;
mod advance;
mod api;
mod approve;
mod end;
mod requests;
mod reuse;
mod settle;
mod state;

pub use api::{
    Answer, AttemptReport, BudgetView, DecisionInput, Effect, GoingOn, Input, MachineConfig, PinNote, Plan, RetryWaits,
    Reuse, ReusedCall, Step, Waits,
};
pub use state::RunMachine;
