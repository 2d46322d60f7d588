//! Lets a run finish what it started, then pauses it.

use clap::Args;

use crate::cli::{Context, Exit, Outcome};
use crate::core::run::RunStatus;

/// `owf pause RUN`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// The run; not latest
    pub run: String,
}

/// Pauses and says how to go on.
pub fn run(ctx: &mut Context, args: &PauseArgs) -> Outcome {
    let by = format!("cli ({})", ctx.term.user);
    let view = ctx.engine.pause(&args.run, &by)?;
    ctx.reply(&view, |view, _| {
        let short = view.run_id.short();
        if matches!(view.status, RunStatus::Paused | RunStatus::Interrupted) {
            format!("{} {short}\n  go on: owf resume {short}", view.status.as_str())
        } else {
            format!(
                "pausing {short}: {} running calls finish first\n  go on later: owf resume {short}",
                view.counts.running
            )
        }
    })?;
    Ok(Exit::Done)
}
