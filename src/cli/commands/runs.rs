//! Lists runs, newest first.

use clap::Args;

use crate::cli::flags::{at_least_one, given};
use crate::cli::{Context, Exit, Outcome, render};
use crate::core::failure::{Code, Failure};
use crate::core::run::RunStatus;
use crate::engine::params::ListRunsParams;

/// `owf runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Rows at most [default: 20; with --json all]
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub limit: Option<u32>,
    /// Go on after the last page
    #[arg(long)]
    pub cursor: Option<String>,
    /// Only runs with one of these statuses: running,paused,...
    #[arg(long, value_delimiter = ',')]
    pub status: Vec<String>,
    /// Only runs of the workflow of this name
    #[arg(long, value_name = "NAME")]
    pub workflow: Option<String>,
    /// Only runs created since: 2h, 7d, or a time
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// List child runs too
    #[arg(long)]
    pub children: bool,
    /// Print full ids
    #[arg(long)]
    pub long: bool,
}

/// The statuses that words mean; all wrong words at once.
fn statuses(words: &[String]) -> Result<Option<Vec<RunStatus>>, Failure> {
    let all = [
        RunStatus::Queued,
        RunStatus::Running,
        RunStatus::Paused,
        RunStatus::Done,
        RunStatus::Failed,
        RunStatus::Cancelled,
        RunStatus::Interrupted,
    ];
    let (known, wrong): (Vec<_>, Vec<_>) =
        words.iter().map(|word| all.into_iter().find(|s| s.as_str() == word).ok_or(word)).partition(Result::is_ok);
    let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).map(|word| format!("`{word}`")).collect();
    if wrong.is_empty() {
        let known: Vec<_> = known.into_iter().filter_map(Result::ok).collect();
        Ok((!known.is_empty()).then_some(known))
    } else {
        Err(Failure::new(Code::InvalidArguments, format!("--status: {} is no status of a run", wrong.join(", ")))
            .allowed(all.map(RunStatus::as_str)))
    }
}

/// Prints one line per run.
pub fn run(ctx: &mut Context, args: RunsArgs) -> Outcome {
    let mut params = ListRunsParams {
        limit: args.limit.or(Some(if ctx.global.json { u32::MAX } else { 20 })),
        cursor: args.cursor,
        status: statuses(&args.status)?,
        workflow: args.workflow,
        since: args.since,
        children: given(args.children),
        home: None,
    };
    let view = ctx.engine.list_runs(&params)?;
    params.cursor.clone_from(&view.next_cursor);
    if view.runs.is_empty() && !ctx.global.json {
        ctx.out.note(&if view.total == 0 {
            format!("no runs yet in {}", view.home)
        } else {
            format!("no run matches; {} in {}", view.total, view.home)
        });
        return Ok(Exit::Done);
    }
    ctx.reply(&view, |view, term| render::runs::list(view, Context::now(), args.long, &term.paint))?;
    Ok(Exit::Done)
}
