//! Makes a home.

use clap::Args;

use crate::cli::{Context, Exit, Outcome};
use crate::engine::params::InitParams;

/// `owf init`.
#[derive(Debug, Args)]
pub struct InitArgs {}

/// Makes the home and prints its path.
pub fn run(ctx: &mut Context, _args: &InitArgs) -> Outcome {
    let view = ctx.engine.init(&InitParams::default())?;
    ctx.reply(&view, |view, _| view.home.clone())?;
    Ok(Exit::Done)
}
