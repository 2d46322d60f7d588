//! What several tests need.

pub(crate) mod cli;
pub(crate) mod dialects;
pub(crate) mod git;
pub(crate) mod http_ask;
pub(crate) mod http_mock;
pub(crate) mod http_stream;
pub(crate) mod mcp;
pub(crate) mod pty;
pub(crate) mod replies;
pub(crate) mod rows;
pub(crate) mod script_harness;
pub(crate) mod session;
pub(crate) mod volatile;
