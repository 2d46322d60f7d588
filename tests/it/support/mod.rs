//! What several tests need.

pub(crate) mod cli;
pub(crate) mod script_harness;
