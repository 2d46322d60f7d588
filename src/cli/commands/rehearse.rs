//! Serves one check or rehearsal from standard input; started by the MCP server, so that a hostile script meets no server.

use std::io::Read as _;

use clap::Args;
use serde::Deserialize;

use crate::cli::{Context, Exit, Outcome};
use crate::core::failure::{Code, Failure};
use crate::engine::params::{DryRunParams, ValidateParams};

/// `owf rehearse`.
#[derive(Debug, Args)]
pub struct RehearseArgs {}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Validate(ValidateParams),
    DryRun(Box<DryRunParams>),
}

/// Prints the reply as JSON, whatever it says of the workflow.
pub fn run(ctx: &mut Context, _args: &RehearseArgs) -> Outcome {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string());
    let request = read.and_then(|_| serde_json::from_str(&text).map_err(|error| error.to_string()));
    match request.map_err(|error| Failure::new(Code::InvalidArguments, format!("no request: {error}")))? {
        Request::Validate(params) => {
            let view = ctx.engine.validate(&params)?;
            ctx.out.json(&view)?;
        }
        Request::DryRun(params) => {
            let view = ctx.engine.dry_run(&params)?;
            ctx.out.json(&view)?;
        }
    }
    Ok(Exit::Done)
}
