//! Serves coding agents over MCP on the standard streams.

use clap::{Args, ValueEnum};

use crate::app::{AppOptions, ToolSet};
use crate::cli::args::GlobalArgs;
use crate::cli::out::Out;
use crate::cli::render::mcp_config::{McpClient, mcp_config};
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

    /// Print how a client is told to start this server, and serve nothing
    #[arg(long, value_name = "CLIENT", value_enum)]
    pub print_config: Option<McpClient>,
}

/// What a client has to pass so that the server gets the same settings.
fn arguments(global: &GlobalArgs, tools: Tools) -> Vec<String> {
    let mut args = Vec::new();
    for (flag, dir) in [("--home", &global.home), ("--workspace", &global.workspace)] {
        if let Some(dir) = dir {
            args.extend([flag.to_owned(), dir.to_string_lossy().into_owned()]);
        }
    }
    args.push("mcp".to_owned());
    if tools == Tools::Core {
        args.extend(["--tools".to_owned(), "core".to_owned()]);
    }
    args
}

/// Serves until the client is gone. No engine is wired here: the first answer must not wait for one.
pub fn run(global: &GlobalArgs, args: &McpArgs, out: &mut Out, serve: Serve) -> Outcome {
    if let Some(client) = args.print_config {
        out.result(&mcp_config(client, &arguments(global, args.tools)));
        return Ok(Exit::Done);
    }
    let options =
        AppOptions { home: global.home.clone(), workspace: global.workspace.clone(), ..AppOptions::from_process() };
    let set = match args.tools {
        Tools::All => ToolSet::All,
        Tools::Core => ToolSet::Core,
    };
    serve(options, set)?;
    Ok(Exit::Done)
}
