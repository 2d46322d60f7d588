//! Prints a completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::cli::args::Cli;
use crate::cli::{Context, Exit, Outcome};

/// `owf completions SHELL`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
pub fn run(ctx: &mut Context, args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "owf", &mut script);
    if ctx.global.json {
        let script = String::from_utf8_lossy(&script);
        ctx.out.json(&json!({ "shell": args.shell.to_string(), "script": script }))?;
    } else {
        ctx.out.bytes(&script);
    }
    Ok(Exit::Done)
}
