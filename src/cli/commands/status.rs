//! Shows one run.

use clap::Args;

use crate::cli::flags::at_least_one;
use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::StatusParams;

/// `owf status [RUN]`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run [default: latest]
    pub run: Option<String>,
    /// Calls at most
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub limit: Option<u32>,
    /// Go on after the last page
    #[arg(long)]
    pub cursor: Option<String>,
}

/// Prints where the run stands.
pub fn run(ctx: &mut Context, args: StatusArgs) -> Outcome {
    let params = StatusParams { run_id: args.run, limit: args.limit, cursor: args.cursor, home: None };
    let view = ctx.engine.status(&params)?;
    ctx.reply(&view, |view, term| render::status::screen(view, Context::now(), term))?;
    Ok(Exit::Done)
}
