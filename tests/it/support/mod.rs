//! What several tests need.

pub(crate) mod cli;
pub(crate) mod http_ask;
pub(crate) mod http_mock;
pub(crate) mod mcp;
pub(crate) mod pty;
pub(crate) mod script_harness;
