//! Lists the tools as they are configured here.

use clap::Args;

use crate::cli::{Context, Exit, Outcome, render};

/// `owf tools`.
#[derive(Debug, Args)]
pub struct ToolsArgs {
    /// Start the MCP servers, and list what they offer
    #[arg(long)]
    pub ask: bool,
}

/// Prints one line per tool, and the servers that lend some.
pub fn run(ctx: &mut Context, args: &ToolsArgs) -> Outcome {
    let view = ctx.engine.tools(args.ask);
    if view.tools.is_empty() && view.servers.is_empty() && !ctx.global.json {
        ctx.out.note("no tool is configured; the user's configuration names them: [tools.NAME]");
    }
    ctx.reply(&view, |view, term| render::config::tools(view, &term.paint))?;
    Ok(Exit::Done)
}
