//! Lists the files of a run.

use clap::Args;

use crate::cli::flags::at_least_one;
use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::ArtifactsParams;

/// `owf artifacts [RUN]`.
#[derive(Debug, Args)]
pub struct ArtifactsArgs {
    /// The run [default: latest]
    pub run: Option<String>,
    /// Only files of this call
    #[arg(long = "call", alias = "call-id", value_name = "CALL")]
    pub call_id: Option<String>,
    /// Only files of this kind: prompt, output, transcript, ...
    #[arg(long)]
    pub kind: Option<String>,
    /// Rows at most [default: all]
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub limit: Option<u32>,
    /// Go on after the last page
    #[arg(long)]
    pub cursor: Option<String>,
}

/// Prints size, kind and path of each file.
pub fn run(ctx: &mut Context, args: ArtifactsArgs) -> Outcome {
    let params = ArtifactsParams {
        run_id: args.run,
        call_id: args.call_id,
        kind: args.kind,
        limit: args.limit.or(Some(u32::MAX)),
        cursor: args.cursor,
        home: None,
    };
    let view = ctx.engine.artifacts(&params)?;
    if view.artifacts.is_empty() && !ctx.global.json {
        ctx.out.note("no file of the run matches");
    }
    ctx.reply(&view, |view, _| render::lists::artifacts(view))?;
    Ok(Exit::Done)
}
