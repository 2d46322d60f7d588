//! Trusts the configuration file of a project, as it is now.

use std::path::PathBuf;

use clap::Args;

use crate::app::{TrustAsk, trust};
use crate::cli::{Context, Exit, Outcome, render};
use crate::core::failure::{Code, Failure};

/// `owf trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// The project: the directory with .owf/config.toml
    #[arg(required_unless_present = "list", conflicts_with = "list")]
    pub dir: Option<PathBuf>,
    /// Trust it no longer
    #[arg(long, conflicts_with = "list")]
    pub remove: bool,
    /// Show the projects that are trusted
    #[arg(long)]
    pub list: bool,
}

/// Changes or shows which projects are trusted. An agent that runs below a call must not be able to give its own project trust.
pub fn run(ctx: &mut Context, args: &TrustArgs) -> Outcome {
    let services = ctx.engine.services();
    if !args.list && services.env.get(crate::providers::MARKER).is_some() {
        return Err(Failure::new(Code::PersonRequired, "trust is given by a person, not by an agent of a run")
            .hint("run owf trust in a terminal of your own"));
    }
    let ask = match &args.dir {
        Some(dir) if args.remove => TrustAsk::Remove(dir.clone()),
        Some(dir) => TrustAsk::Add(dir.clone()),
        None => TrustAsk::List,
    };
    let view = trust(&services.env, &ctx.term.cwd, &ask)?;
    ctx.reply(&view, |view, _| render::config::trusted(view))?;
    Ok(Exit::Done)
}
