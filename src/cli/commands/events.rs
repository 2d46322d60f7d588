//! Prints the events of a run.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::exit::goes_on;
use crate::cli::{Context, Exit, Outcome};
use crate::engine::params::StatusParams;
use crate::engine::view::EventView;

/// Events of one read.
const PAGE: usize = 500;

/// `owf events [RUN]`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// The run [default: latest]
    pub run: Option<String>,
    /// Go on printing until the run ends or pauses
    #[arg(long, short)]
    pub follow: bool,
    /// Only events after this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub after: u64,
}

/// Prints one event a line, with `--json` all of them as one document; with `--follow` until the run has no owner any more.
pub fn run(ctx: &mut Context, args: &EventsArgs) -> Outcome {
    let run_id = ctx.engine.resolve(args.run.as_deref().unwrap_or("latest"))?;
    let mut after = args.after;
    let mut all = Vec::new();
    loop {
        // The state is read before the events, so that none of the last ones is missed.
        let goes_on = args.follow && {
            let params = StatusParams { run_id: Some(run_id.to_string()), limit: Some(0), ..StatusParams::default() };
            goes_on(ctx.engine.status(&params)?.status)
        };
        loop {
            let events = ctx.engine.events(run_id.as_str(), after, PAGE)?;
            for record in &events {
                after = record.seq;
                if ctx.global.json {
                    all.push(EventView::from(record));
                } else {
                    ctx.out.json(&EventView::from(record))?;
                }
            }
            if ctx.out.broken() {
                return Ok(Exit::Done);
            }
            if events.len() < PAGE {
                break;
            }
        }
        if !goes_on {
            if ctx.global.json {
                ctx.out.json(&json!({ "run_id": run_id, "events": all, "truncated": false }))?;
            }
            return Ok(Exit::Done);
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}
