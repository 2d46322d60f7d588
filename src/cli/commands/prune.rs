//! Removes old runs.

use clap::Args;

use crate::cli::flags::given;
use crate::cli::{Context, Exit, Outcome, render};
use crate::core::failure::{Code, Failure};
use crate::engine::params::PruneParams;

/// `owf prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Keep this many of the newest runs
    #[arg(long, value_name = "N")]
    pub keep: Option<u32>,
    /// Only runs older than this: 30d, 12h
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Also runs with kept worktrees, and these with their branches
    #[arg(long)]
    pub worktrees: bool,
}

/// Removes runs that are neither active nor needed by another run's reuse; the cache is kept.
pub fn run(ctx: &mut Context, args: PruneArgs) -> Outcome {
    if args.keep.is_none() && args.older_than.is_none() {
        return Err(Failure::new(Code::InvalidArguments, "prune needs to know what may go")
            .hint("owf prune --keep 50, or --older-than 30d, or both; --dry-run only shows it"));
    }
    let params = PruneParams {
        keep: args.keep,
        older_than: args.older_than,
        dry_run: given(args.dry_run),
        worktrees: given(args.worktrees),
        home: None,
    };
    let view = ctx.engine.prune(&params)?;
    ctx.reply(&view, |view, _| render::lists::pruned(view))?;
    Ok(Exit::Done)
}
