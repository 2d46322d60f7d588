//! Writes a readable report of a run.

use clap::Args;

use crate::cli::render::text::relative;
use crate::cli::{Context, Exit, Outcome};
use crate::engine::params::{ReportFormat, ReportParams};

/// `owf report [RUN]`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run [default: latest]
    pub run: Option<String>,
    /// One HTML file that needs nothing else, instead of Markdown
    #[arg(long)]
    pub html: bool,
    /// Write to this file [default: report.md or report.html in the run directory]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<String>,
    /// Print the report instead of writing it
    #[arg(long, conflicts_with_all = ["out", "json"])]
    pub stdout: bool,
}

/// Writes the report and prints where it is.
pub fn run(ctx: &mut Context, args: ReportArgs) -> Outcome {
    let format = if args.html { ReportFormat::Html } else { ReportFormat::Markdown };
    let params = ReportParams { run_id: args.run, format: Some(format), home: None };
    if args.stdout {
        let report = ctx.engine.report_of(&params)?;
        ctx.out.bytes(report.text.as_bytes());
        return Ok(Exit::Done);
    }
    let view = match &args.out {
        Some(given) => {
            let path = ctx.engine.services().cwd.join(given);
            ctx.engine.report_of(&params)?.write_to(given, &path)?
        }
        None => ctx.engine.report(&params)?,
    };
    let cwd = ctx.term.cwd.clone();
    ctx.reply(&view, |view, _| relative(&view.file_path, &cwd))?;
    Ok(Exit::Done)
}
