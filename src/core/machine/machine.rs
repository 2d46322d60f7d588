//! The machine's state and its rules.

/// The run machine.
#[derive(Debug)]
pub struct RunMachine;
