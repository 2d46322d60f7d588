//! Programs on this machine as providers: Claude Code, Codex, and any other by a table.

mod known;

pub use known::providers;
