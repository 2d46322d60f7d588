//! What several tests need.

pub(crate) mod cli;
pub(crate) mod git;
pub(crate) mod mcp;
pub(crate) mod pty;
pub(crate) mod script_harness;
