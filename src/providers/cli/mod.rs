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
mod table;
mod table_form;
mod table_read;

pub use known::{is_shipped, providers};
