//! Explains why each call was reused or asked again.

use clap::{Args, ValueEnum};

use crate::cli::flags::at_least_one;
use crate::cli::{Context, Exit, Outcome, render};
use crate::core::outcome::CacheStatus;
use crate::engine::params::{ExplainParams, StatusParams};

/// `--cache-status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CacheStatusFlag {
    /// From a journal
    Replayed,
    /// From the cache
    Hit,
    /// Asked afresh
    Miss,
    /// Never cached
    Bypassed,
    /// Cache turned off
    Disabled,
}

/// `owf explain-cache [RUN]`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The run [default: latest]
    pub run: Option<String>,
    /// Only calls with this cache status
    #[arg(long, value_enum, value_name = "STATUS")]
    pub cache_status: Option<CacheStatusFlag>,
    /// Rows at most [default: all]
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub limit: Option<u32>,
    /// Go on after the last page
    #[arg(long)]
    pub cursor: Option<String>,
}

/// Prints one line per call.
pub fn run(ctx: &mut Context, args: ExplainArgs) -> Outcome {
    let params = ExplainParams {
        run_id: args.run,
        cache_status: args.cache_status.map(|status| match status {
            CacheStatusFlag::Replayed => CacheStatus::Replayed,
            CacheStatusFlag::Hit => CacheStatus::Hit,
            CacheStatusFlag::Miss => CacheStatus::Miss,
            CacheStatusFlag::Bypassed => CacheStatus::Bypassed,
            CacheStatusFlag::Disabled => CacheStatus::Disabled,
        }),
        limit: args.limit.or(Some(u32::MAX)),
        cursor: args.cursor,
        home: None,
    };
    let view = ctx.engine.explain_cache(&params)?;
    let mut workflow = String::new();
    if !ctx.global.json {
        let params = StatusParams { run_id: Some(view.run_id.to_string()), limit: Some(0), ..StatusParams::default() };
        if let Some(facts) = ctx.engine.status(&params)?.run {
            let path = facts.row.script_path.map(|path| render::text::relative(&path, &ctx.term.cwd));
            workflow = path.unwrap_or(facts.row.workflow_name);
        }
    }
    ctx.reply(&view, |view, term| render::explain::screen(view, term, &workflow))?;
    Ok(Exit::Done)
}
