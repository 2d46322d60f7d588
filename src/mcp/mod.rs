//! Layer 4: the MCP server: a thin face over the engine for coding agents. It holds no run and keeps no state of its own.

mod call;
mod elicit;
mod elicit_flow;
mod extras;
mod instructions;
mod prompts;
mod refused;
mod rendered;
mod resources;
mod tasks;
mod tools;
mod uri;

pub(crate) use call::{Call, Client};
pub(crate) use tools::Tool;
