//! Stops a run, or one call of it.

use clap::Args;

use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::CancelParams;

/// `owf cancel RUN`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The run; not latest
    pub run: String,
    /// End only this call
    #[arg(long = "call", alias = "call-id", value_name = "CALL")]
    pub call_id: Option<String>,
    /// Why, for the record
    #[arg(long)]
    pub reason: Option<String>,
}

/// Cancels and prints what was ended and kept.
pub fn run(ctx: &mut Context, args: CancelArgs) -> Outcome {
    let params = CancelParams { run_id: args.run, call_id: args.call_id, reason: args.reason, home: None };
    let by = format!("cli ({})", ctx.term.user);
    let view = ctx.engine.cancel(&params, &by)?;
    let why = params.reason.as_deref();
    ctx.reply(&view, |view, _| render::run_end::cancelled_line(view, params.call_id.as_deref(), why))?;
    Ok(Exit::Done)
}
