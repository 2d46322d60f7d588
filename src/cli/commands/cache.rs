//! Looks after the cache of answers.

use clap::{Args, Subcommand};

use crate::cli::{Context, Exit, Outcome};

/// `owf cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// What to do
    #[command(subcommand)]
    pub action: CacheAction,
}

/// `owf cache clear`.
#[derive(Debug, Subcommand)]
pub enum CacheAction {
    /// Forget every cached answer; journals of runs are kept
    Clear,
}

/// Clears the cache and prints how much was in it.
pub fn run(ctx: &mut Context, args: &CacheArgs) -> Outcome {
    match args.action {
        CacheAction::Clear => {
            let view = ctx.engine.clear_cache()?;
            ctx.reply(&view, |view, _| format!("{} cached answers removed; runs are kept", view.cleared))?;
            Ok(Exit::Done)
        }
    }
}
