//! owf runs workflows of agent calls: durable, resumable, sandboxed, provider-neutral.
//!
//! The modules, innermost first: [`core`] decides, [`front`], [`store`], [`providers`] and [`artifacts`] adapt, `engine`
//! drives, `app` wires, `cli` talks to people. ARCHITECTURE.md has the map.

pub mod app;
pub mod artifacts;
pub mod cli;
pub mod core;
pub mod engine;
pub mod front;
pub mod mcp;
pub mod process;
pub mod providers;
pub mod store;
pub mod tools;
pub mod worktree;
