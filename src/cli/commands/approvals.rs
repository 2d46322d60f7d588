//! Lists questions that runs wait on.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::{ApprovalsParams, StatusParams};
use crate::engine::view::ApprovalState;

/// `--state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateFlag {
    /// Nobody has answered yet
    Pending,
    /// Somebody said yes
    Approved,
    /// Somebody said no
    Denied,
    /// Nobody answered in time
    Expired,
    /// Its run ended first
    Cancelled,
}

/// `owf approvals`.
#[derive(Debug, Args)]
pub struct ApprovalsArgs {
    /// Only questions of this run [default: all runs]
    pub run: Option<String>,
    /// Which ones [default: pending]
    #[arg(long, value_enum)]
    pub state: Option<StateFlag>,
}

/// Prints one line per question.
pub fn run(ctx: &mut Context, args: &ApprovalsArgs) -> Outcome {
    let state = args.state.map(|state| match state {
        StateFlag::Pending => ApprovalState::Pending,
        StateFlag::Approved => ApprovalState::Approved,
        StateFlag::Denied => ApprovalState::Denied,
        StateFlag::Expired => ApprovalState::Expired,
        StateFlag::Cancelled => ApprovalState::Cancelled,
    });
    let view = ctx.engine.approvals(&ApprovalsParams { run_id: args.run.clone(), state, home: None })?;
    let mut names = BTreeMap::new();
    if !ctx.global.json {
        for run_id in view.approvals.iter().map(|row| &row.run_id) {
            if !names.contains_key(run_id) {
                let params = StatusParams { run_id: Some(run_id.to_string()), ..StatusParams::default() };
                let name = ctx.engine.status(&params)?.run.map(|facts| facts.row.workflow_name).unwrap_or_default();
                names.insert(run_id.clone(), name);
            }
        }
        if view.approvals.is_empty() {
            ctx.out.note("no questions");
        }
    }
    ctx.reply(&view, |view, term| render::approvals::list(view, &names, term.width))?;
    Ok(Exit::Done)
}
