//! Flags of commands that follow a run.

use clap::{Args, ValueEnum};

use crate::cli::Context;
use crate::engine::Execution;
use crate::engine::params::Detail;

/// `--detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DetailFlag {
    /// The run without its calls
    #[default]
    Concise,
    /// With its calls
    Full,
}

/// How a run that is started is followed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct FollowFlags {
    /// Leave the run to a process of its own and return at once
    #[arg(long, conflicts_with_all = ["result", "events"])]
    pub detach: bool,
    /// What is shown.
    #[command(flatten)]
    pub show: ShowFlags,
}

/// What is shown of a run.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ShowFlags {
    /// Print only the returned value to stdout
    #[arg(long, conflicts_with_all = ["json", "events"])]
    pub result: bool,
    /// Print every committed event to stdout, one JSON object a line, the run last
    #[arg(long, conflicts_with = "json")]
    pub events: bool,
    /// Print no progress to stderr
    #[arg(long, short)]
    pub quiet: bool,
    /// With --json: how much of the run
    #[arg(long, value_enum, default_value_t)]
    pub detail: DetailFlag,
}

impl FollowFlags {
    /// Where the run is executed. Here, Ctrl-C is minded from now on.
    pub fn execution(&self, ctx: &mut Context) -> Execution {
        if self.detach {
            return Execution::Detached;
        }
        ctx.interrupts();
        Execution::InProcess { linger_on_approvals: ctx.can_ask() }
    }

    /// How much a reply shows.
    pub fn detail(&self) -> Detail {
        self.show.detail()
    }
}

impl ShowFlags {
    /// How much a reply shows.
    pub fn detail(&self) -> Detail {
        match self.detail {
            DetailFlag::Concise => Detail::Concise,
            DetailFlag::Full => Detail::Full,
        }
    }
}
