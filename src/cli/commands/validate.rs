//! Checks a workflow without running it.

use clap::Args;

use crate::cli::flags::WorkflowFlags;
use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::ValidateParams;

/// `owf validate WORKFLOW`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The workflow: a file, a name, or - for standard input
    #[arg(value_name = "PATH|NAME|-", required_unless_present_any = ["path", "name", "script"])]
    pub workflow: Option<String>,
    /// The same said with flags.
    #[command(flatten)]
    pub by: WorkflowFlags,
}

/// Prints what was found; with errors the exit code is 2.
pub fn run(ctx: &mut Context, args: &ValidateArgs) -> Outcome {
    let found = args.by.resolve(args.workflow.as_deref(), &mut std::io::stdin())?;
    let params =
        ValidateParams { path: found.path, name: found.name, script: found.script, workspace: None, home: None };
    let view = ctx.engine.validate(&params)?;
    ctx.reply(&view, render::validate::screen)?;
    Ok(if view.ok { Exit::Done } else { Exit::Refused })
}
