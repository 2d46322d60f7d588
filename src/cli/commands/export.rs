//! Writes a run's files again.

use clap::Args;

use crate::cli::{Context, Exit, Outcome};
use crate::engine::params::ExportParams;

/// `owf export [RUN]`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The run [default: latest]
    pub run: Option<String>,
    /// Directory to write to [default: the run directory]
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<String>,
}

/// Writes the files and prints their directory.
pub fn run(ctx: &mut Context, args: ExportArgs) -> Outcome {
    let view = ctx.engine.export(&ExportParams { run_id: args.run, output: args.output, home: None })?;
    ctx.reply(&view, |view, _| view.path.clone())?;
    Ok(Exit::Done)
}
