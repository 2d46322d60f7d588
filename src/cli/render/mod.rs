//! Screens: pure functions from views to text.

pub mod approvals;
pub mod batches;
pub mod calls;
pub mod config;
pub mod dry_run;
pub mod explain;
mod failure;
pub mod lists;
pub mod mcp_config;
pub mod prices;
pub mod run_end;
pub mod runs;
pub mod status;
pub mod text;
pub mod usage;
pub mod validate;
pub mod words;
pub mod worktrees;

pub use failure::failure;
