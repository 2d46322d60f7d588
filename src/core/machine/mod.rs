//! The run machine: inputs in, events to append and effects to carry out. No clock, randomness, file, process or SQL.

mod api;
mod machine;

pub use api::{
    Answer, AttemptReport, BudgetView, DecisionInput, Effect, Input, MachineConfig, PinNote, Plan, Reuse, ReusedCall,
    Step,
};
pub use machine::RunMachine;
