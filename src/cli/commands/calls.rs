//! Lists the calls of a run, or shows one.

use clap::Args;

use crate::cli::flags::at_least_one;
use crate::cli::{Context, Exit, Outcome, render};
use crate::core::failure::{Code, Failure};
use crate::core::ids::CallId;
use crate::engine::params::CallsParams;
use crate::engine::view::CallState;

/// `owf calls [RUN] [CALL]`.
#[derive(Debug, Args)]
pub struct CallsArgs {
    /// The run [default: latest]
    pub run: Option<String>,
    /// Show this call in full: c0009 or 9
    pub call: Option<String>,
    /// Only calls with one of these statuses: done,timeout,...
    #[arg(long, value_delimiter = ',')]
    pub status: Vec<String>,
    /// Only failed calls
    #[arg(long)]
    pub failed: bool,
    /// Only calls of this phase
    #[arg(long)]
    pub phase: Option<String>,
    /// Only calls whose label contains this
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Rows at most [default: 25; with --json all]
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub limit: Option<u32>,
    /// Go on after the last page
    #[arg(long)]
    pub cursor: Option<String>,
}

impl CallsArgs {
    fn statuses(&self) -> Result<Option<Vec<CallState>>, Failure> {
        let mut states = Vec::new();
        let mut wrong = Vec::new();
        for word in &self.status {
            match word.parse::<CallState>() {
                Ok(state) => states.push(state),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        if !wrong.is_empty() {
            return Err(Failure::new(Code::InvalidArguments, format!("--status: {}", wrong.join(", ")))
                .allowed(CallState::ALL.map(CallState::as_str)));
        }
        if self.failed {
            states.extend(CallState::ALL.into_iter().filter(|s| s.is_failing()));
        }
        Ok((!states.is_empty()).then_some(states))
    }
}

/// `RUN/c0009` and a lone `c0009` name a call too.
pub(crate) fn run_and_call(run: Option<String>, call: Option<String>) -> (Option<String>, Option<String>) {
    match (run, call) {
        (Some(word), None) => match word.split_once('/') {
            Some((run, call)) => (Some(run.to_owned()), Some(call.to_owned())),
            None if word.starts_with('c') && word.len() >= 5 && word.parse::<CallId>().is_ok() => (None, Some(word)),
            None => (Some(word), None),
        },
        (run, call) => (run, call.map(|c| c.rsplit('/').next().unwrap_or_default().to_owned())),
    }
}

/// Prints one line per call, or one call in full.
pub fn run(ctx: &mut Context, args: CallsArgs) -> Outcome {
    let status = args.statuses()?;
    let (run_id, call_id) = run_and_call(args.run, args.call);
    let params = CallsParams {
        run_id,
        call_id,
        status,
        phase: args.phase,
        label: args.label,
        limit: args.limit.or(Some(if ctx.global.json { u32::MAX } else { 25 })),
        cursor: args.cursor,
        home: None,
    };
    if params.call_id.is_some() {
        let view = ctx.engine.call_detail(&params)?;
        ctx.reply(&view, render::calls::detail)?;
    } else {
        let view = ctx.engine.calls(&params)?;
        ctx.reply(&view, render::calls::list)?;
    }
    Ok(Exit::Done)
}
