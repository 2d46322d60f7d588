//! Serves coding agents over MCP on the standard streams.

use clap::{Args, ValueEnum};

use crate::app::{AppOptions, ToolSet};
use crate::cli::args::GlobalArgs;
use crate::cli::{Exit, Outcome, Serve};

/// Which tools are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Tools {
    /// Every tool.
    #[default]
    All,
    /// What the loop from script to result needs.
    Core,
}

/// `owf mcp`.
#[derive(Debug, Args)]
pub struct McpArgs {
    /// Tools to offer: all, or the core ones for clients that load every description
    #[arg(long, value_enum, default_value_t)]
    pub tools: Tools,
}

/// Serves until the client is gone. No engine is wired here: the first answer must not wait for one.
pub fn run(global: &GlobalArgs, args: &McpArgs, serve: Serve) -> Outcome {
    let options =
        AppOptions { home: global.home.clone(), workspace: global.workspace.clone(), ..AppOptions::from_process() };
    let set = match args.tools {
        Tools::All => ToolSet::All,
        Tools::Core => ToolSet::Core,
    };
    serve(options, set)?;
    Ok(Exit::Done)
}
