//! Checks the home, git and the providers.

use clap::Args;

use crate::cli::{Context, Exit, Outcome, render};

/// `owf doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Clear up after processes that died: agents that outlived them, worktrees that nobody works in
    #[arg(long)]
    pub fix: bool,
    /// Also ask the services that can be used whether they answer, without a key
    #[arg(long)]
    pub reach: bool,
}

/// Prints one line per check; a failed one is a matter of the store or of owf itself, so the exit code is 4.
pub fn run(ctx: &mut Context, args: &DoctorArgs) -> Outcome {
    if args.fix {
        for done in ctx.engine.clear_worktrees()? {
            ctx.out.note(&format!("fixed: {done}"));
        }
    }
    let view = ctx.engine.doctor(args.reach)?;
    ctx.reply(&view, |view, term| render::lists::doctor(view, &term.paint))?;
    Ok(if view.ok { Exit::Done } else { Exit::Internal })
}
