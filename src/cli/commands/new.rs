//! Creates a workflow file from a template.

use clap::Args;

use crate::cli::flags::given;
use crate::cli::{Context, Exit, Outcome};
use crate::engine::params::NewWorkflowParams;

/// `owf new PATH`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The file to write
    #[arg(value_name = "PATH")]
    pub output_path: String,
    /// Which template (owf examples lists them) [default: hello]
    #[arg(long = "template", alias = "template-name", value_name = "NAME")]
    pub template_name: Option<String>,
    /// Write over an existing file
    #[arg(long)]
    pub force: bool,
    /// Allow a path outside the workspace
    #[arg(long)]
    pub allow_absolute: bool,
}

/// Writes the file and prints its path.
pub fn run(ctx: &mut Context, args: NewArgs) -> Outcome {
    let params = NewWorkflowParams {
        output_path: args.output_path,
        template_name: args.template_name,
        force: given(args.force),
        allow_absolute: given(args.allow_absolute),
        workspace_root: None,
        home: None,
    };
    let view = ctx.engine.new_workflow(&params)?;
    ctx.reply(&view, |view, _| view.path.clone())?;
    Ok(Exit::Done)
}
