//! Layer 4: the MCP server: a thin face over the engine for coding agents. It holds no run and keeps no state of its own.

mod call;
mod elicit;
mod elicit_flow;
mod engines;
mod instructions;
mod prompts;
mod refused;
mod resources;
mod serve;
mod settings;
mod tasks;
mod tools;
mod turns;
mod uri;
mod wire;

pub(crate) use call::{Call, Client, Shared};
pub use serve::serve;
pub(crate) use tools::Tool;
