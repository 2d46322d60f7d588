//! Lists the templates.

use clap::Args;

use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::ListWorkflowsParams;

/// `owf examples`.
#[derive(Debug, Args)]
pub struct ExamplesArgs {}

/// Prints name and description of each template.
pub fn run(ctx: &mut Context, _args: &ExamplesArgs) -> Outcome {
    let mut view = ctx.engine.list_workflows(&ListWorkflowsParams::default())?;
    view.workflows.clear();
    ctx.reply(&view, |view, _| render::lists::templates(view))?;
    Ok(Exit::Done)
}
