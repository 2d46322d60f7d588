//! Programs on this machine as providers: Claude Code, Codex, and any other by a table.

mod agent;
mod classify;
mod claude;
mod claude_events;
mod claude_schema;
mod codex;
mod codex_events;
mod codex_servers;
mod known;
mod options;
mod profile;
mod provider;

pub use known::providers;
