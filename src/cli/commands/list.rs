//! Lists the workflows that can be run by name.

use clap::Args;

use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::ListWorkflowsParams;

/// `owf list`.
#[derive(Debug, Args)]
pub struct ListArgs {}

/// Prints name, description and file of each workflow, problems and hidden copies below it.
pub fn run(ctx: &mut Context, _args: &ListArgs) -> Outcome {
    let view = ctx.engine.list_workflows(&ListWorkflowsParams::default())?;
    if view.workflows.is_empty() && !ctx.global.json {
        ctx.out.note("no workflows here   templates: owf examples   a new one: owf new PATH");
    }
    ctx.reply(&view, render::lists::workflows)?;
    Ok(Exit::Done)
}
