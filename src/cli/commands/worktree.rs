//! Work that calls left in git worktrees: list, show, take over, remove.

use clap::{Args, Subcommand};

use super::calls::run_and_call;
use crate::cli::flags::given;
use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::WorktreeParams;

/// `owf worktree`.
#[derive(Debug, Args)]
pub struct WorktreeArgs {
    /// What to do
    #[command(subcommand)]
    pub action: WorktreeAction,
}

/// The actions.
#[derive(Debug, Subcommand)]
pub enum WorktreeAction {
    /// List the worktrees of a run, or of all runs
    List {
        /// The run [default: all]
        run: Option<String>,
    },
    /// Print what differs in a worktree, as a patch
    Diff(OneArgs),
    /// Apply the work to the workspace's tree, uncommitted; all of it or nothing
    Apply {
        /// Which one
        #[command(flatten)]
        one: OneArgs,
        /// Another working tree [default: the workspace of the run]
        #[arg(long, value_name = "DIR")]
        to: Option<String>,
    },
    /// Remove a worktree with its branch
    Remove {
        /// Which one
        #[command(flatten)]
        one: OneArgs,
        /// Commit what is not committed, and keep the branch
        #[arg(long)]
        keep_branch: bool,
    },
}

/// Which worktree.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// The call: RUN/c0009, c0009 or 9 of the latest run; for remove also a RUN, which means all of its
    #[arg(value_name = "[RUN/]CALL")]
    pub what: String,
    /// The attempt [default: the latest that left one]
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
}

impl OneArgs {
    fn params(&self) -> WorktreeParams {
        let (run_id, call_id) = match run_and_call(Some(self.what.clone()), None) {
            (Some(call), None) => (None, Some(call)),
            both => both,
        };
        WorktreeParams { run_id, call_id, attempt: self.attempt, ..WorktreeParams::default() }
    }
}

/// Does it.
pub fn run(ctx: &mut Context, args: WorktreeArgs) -> Outcome {
    match args.action {
        WorktreeAction::List { run } => {
            let view = ctx.engine.worktrees(&WorktreeParams { run_id: run, ..WorktreeParams::default() })?;
            if view.worktrees.is_empty() && !ctx.global.json {
                ctx.out.note("no worktrees");
            }
            ctx.reply(&view, |view, term| render::worktrees::list(view, &term.cwd))?;
        }
        WorktreeAction::Diff(one) => {
            let view = ctx.engine.worktree_diff(&one.params())?;
            ctx.reply(&view, |view, _| view.patch.clone())?;
        }
        WorktreeAction::Apply { one, to } => {
            let view = ctx.engine.worktree_apply(&WorktreeParams { to, ..one.params() })?;
            ctx.reply(&view, render::worktrees::applied)?;
        }
        WorktreeAction::Remove { one, keep_branch } => {
            let mut params = WorktreeParams { keep_branch: given(keep_branch), ..one.params() };
            if one.what.parse::<crate::core::ids::CallId>().is_err() && !one.what.contains('/') {
                params.run_id = Some(one.what.clone());
                params.call_id = None;
            }
            let view = ctx.engine.worktree_remove(&params)?;
            if view.removed.is_empty() && !ctx.global.json {
                ctx.out.note("no worktrees");
            }
            ctx.reply(&view, |view, _| render::worktrees::removed(view))?;
        }
    }
    Ok(Exit::Done)
}
