//! Says what agents used over all runs.

use clap::{Args, ValueEnum};

use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::UsageParams;
use crate::engine::view::UsageBy;

/// `owf usage`.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// What to add up by
    #[arg(long, value_enum, default_value_t)]
    pub by: ByFlag,
    /// Only calls from this time on: 2h, 7d, 2026-05-28
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

/// What to add up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ByFlag {
    /// By provider.
    #[default]
    Provider,
    /// By provider and model.
    Model,
    /// By workflow.
    Workflow,
    /// By day, UTC.
    Day,
}

/// Prints one line per sum and the total.
pub fn run(ctx: &mut Context, args: UsageArgs) -> Outcome {
    let by = match args.by {
        ByFlag::Provider => UsageBy::Provider,
        ByFlag::Model => UsageBy::Model,
        ByFlag::Workflow => UsageBy::Workflow,
        ByFlag::Day => UsageBy::Day,
    };
    let view = ctx.engine.usage(&UsageParams { by: Some(by), since: args.since })?;
    ctx.reply(&view, |view, _| render::usage::usage(view))?;
    Ok(Exit::Done)
}
