//! Executes a run as its detached supervisor; started by owf itself.

use clap::Args;

use crate::cli::{Context, Exit, Outcome};

/// `owf supervise RUN`.
#[derive(Debug, Args)]
pub struct SuperviseArgs {
    /// The run
    pub run: String,
}

/// Executes the run to its end or pause. Nobody reads the exit code; the store has the outcome.
pub fn run(ctx: &mut Context, args: &SuperviseArgs) -> Outcome {
    ctx.engine.supervise(&args.run)?;
    Ok(Exit::Done)
}
