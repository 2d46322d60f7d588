//! Layer 4: the MCP server: a thin face over the engine for coding agents. It holds no run and keeps no state of its own.

mod call;
mod tools;

pub(crate) use call::{Call, Client};
pub(crate) use tools::Tool;
