//! Watches a run until it ends.

use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::flags::seconds;
use crate::cli::watch::{Goal, Job, Seen, ShowFlags, follow};
use crate::cli::{Context, Outcome};

/// `--until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum UntilFlag {
    /// It ended or paused
    #[default]
    End,
    /// It ended, a person is needed, or its first call failed
    Attention,
    /// Anything new
    Change,
}

/// `owf wait [RUN]`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The run [default: latest]
    pub run: Option<String>,
    /// Give up after so many seconds (exit code 3) [default: never]
    #[arg(long = "timeout", alias = "timeout-seconds", value_name = "SECONDS", value_parser = seconds)]
    pub timeout_seconds: Option<u32>,
    /// What ends the wait
    #[arg(long, value_enum, default_value_t)]
    pub until: UntilFlag,
    /// Only what is newer than this cursor ends the wait
    #[arg(long)]
    pub cursor: Option<String>,
    /// How it is followed.
    #[command(flatten)]
    pub show: ShowFlags,
}

/// Follows the run; Ctrl-C only stops watching.
pub fn run(ctx: &mut Context, args: &WaitArgs) -> Outcome {
    let run_id = ctx.engine.resolve(args.run.as_deref().unwrap_or("latest"))?;
    let deadline = args.timeout_seconds.map(|s| Instant::now() + Duration::from_secs(u64::from(s)));
    let goal = match args.until {
        UntilFlag::End => Goal::End,
        UntilFlag::Attention => Goal::Attention,
        UntilFlag::Change => Goal::Change,
    };
    let job = Job {
        run_id,
        handle: None,
        deadline,
        goal,
        cursor: args.cursor.clone(),
        seen: Seen::Everything,
        resumed: None,
        joined: false,
    };
    follow(ctx, &args.show, &job)
}
