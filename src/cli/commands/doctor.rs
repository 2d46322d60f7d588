//! Checks the home, git and the providers.

use clap::Args;

use crate::cli::{Context, Exit, Outcome, render};

/// `owf doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// Prints one line per check; a failed one is a matter of the store or of owf itself, so the exit code is 4.
pub fn run(ctx: &mut Context, _args: &DoctorArgs) -> Outcome {
    let view = ctx.engine.doctor()?;
    ctx.reply(&view, |view, term| render::lists::doctor(view, &term.paint))?;
    Ok(if view.ok { Exit::Done } else { Exit::Internal })
}
