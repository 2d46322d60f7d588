//! Prints the value a workflow returned.

use clap::Args;

use crate::cli::render::text::value_text;
use crate::cli::render::words::terminal;
use crate::cli::{Context, Exit, Outcome};
use crate::engine::params::OutputParams;

/// `owf output [RUN] [POINTER]`.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The run [default: latest]
    pub run: Option<String>,
    /// A part of the value, as a JSON Pointer: /findings/0
    pub pointer: Option<String>,
    /// Where to begin, in bytes; negative counts from the end
    #[arg(long, allow_hyphen_values = true, value_name = "N")]
    pub offset: Option<i64>,
    /// Bytes at most [default: all]
    #[arg(long, value_name = "N")]
    pub max_bytes: Option<u64>,
}

/// Prints the value: JSON indented, a string as it is. Exits as the run did; 1 also when there is no value.
pub fn run(ctx: &mut Context, args: OutputArgs) -> Outcome {
    let (run_id, pointer) = match (args.run, args.pointer) {
        // A lone pointer means the latest run.
        (Some(word), None) if word.starts_with('/') => (None, Some(word)),
        (run, pointer) => (run, pointer),
    };
    let params = OutputParams { run_id, pointer, offset: args.offset, max_bytes: args.max_bytes, home: None };
    let view = ctx.engine.output(&params)?;
    if ctx.global.json {
        ctx.out.json(&view)?;
    } else if let Some(value) = &view.output {
        ctx.out.result(&value_text(value));
    } else if let Some(text) = &view.output_text {
        ctx.out.bytes(text.as_bytes());
    } else {
        ctx.out.note(&terminal(&view.next));
    }
    let exit = Exit::of_status(view.status);
    Ok(if view.has_output || exit != Exit::Done { exit } else { Exit::Failed })
}
