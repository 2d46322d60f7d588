//! Shows prices of models, and brings them up to date.

use clap::Args;

use crate::cli::flags::given;
use crate::cli::{Context, Exit, Outcome, render};
use crate::engine::params::PricesParams;

/// `owf prices`.
#[derive(Debug, Args)]
pub struct PricesArgs {
    /// Only models and providers with this in their name
    pub model: Option<String>,
    /// Put newer prices in place of those that are there, from LiteLLM's table unless told otherwise
    #[arg(long)]
    pub refresh: bool,
    /// Take them from this address: our form or LiteLLM's
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    pub url: Option<String>,
    /// Take them from this file: our form or LiteLLM's
    #[arg(long, value_name = "FILE")]
    pub file: Option<String>,
}

/// Prints one line per price; after a refresh only where it went.
pub fn run(ctx: &mut Context, args: PricesArgs) -> Outcome {
    let PricesArgs { model, refresh, url, file } = args;
    let refreshed = refresh || url.is_some() || file.is_some();
    let brief = refreshed && model.is_none();
    let params = PricesParams { model, refresh: given(refresh), url, file };
    let view = ctx.engine.prices(&params)?;
    ctx.reply(&view, |view, term| render::prices::prices(view, brief, &term.paint))?;
    Ok(Exit::Done)
}
