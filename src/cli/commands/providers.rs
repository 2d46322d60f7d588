//! Lists the providers as they are configured here.

use clap::Args;

use crate::cli::{Context, Exit, Outcome, render};

/// `owf providers`.
#[derive(Debug, Args)]
pub struct ProvidersArgs {}

/// Prints one line per provider, and what is wrong with their configuration.
pub fn run(ctx: &mut Context, _args: &ProvidersArgs) -> Outcome {
    let view = ctx.engine.providers();
    ctx.reply(&view, |view, term| render::config::providers(view, &term.paint))?;
    Ok(Exit::Done)
}
