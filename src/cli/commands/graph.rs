//! Draws a document before it runs, or any run.

use clap::{Args, ValueEnum};

use crate::cli::flags::{WorkflowFlags, looks_like_a_path};
use crate::cli::{Context, Exit, Outcome};
use crate::core::failure::Code;
use crate::engine::params::{GraphFormat, GraphParams};

/// What a drawing is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A Mermaid flow chart.
    #[default]
    Mermaid,
    /// A dot graph.
    Dot,
    /// Nodes and edges.
    Json,
}

/// `owf graph FILE|NAME|RUN`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// A document (file or name), or a run [default: the latest run]
    #[arg(value_name = "FILE|NAME|RUN")]
    pub what: Option<String>,
    /// The document said with flags.
    #[command(flatten)]
    pub by: WorkflowFlags,
    /// mermaid, dot or json
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Prints the drawing.
pub fn run(ctx: &mut Context, args: &GraphArgs) -> Outcome {
    let format = Some(match args.format {
        Format::Mermaid => GraphFormat::Mermaid,
        Format::Dot => GraphFormat::Dot,
        Format::Json => GraphFormat::Json,
    });
    let plain = GraphParams { format, ..GraphParams::default() };
    let by = args.by.resolve(None, &mut std::io::stdin())?;
    let view = match &args.what {
        None if by.path.is_some() || by.name.is_some() || by.script.is_some() => {
            ctx.engine.graph(&GraphParams { path: by.path, name: by.name, script: by.script, ..plain })?
        }
        Some(path) if looks_like_a_path(path) => {
            ctx.engine.graph(&GraphParams { path: Some(path.clone()), ..plain })?
        }
        Some(word) => {
            let run = GraphParams { run_id: Some(word.clone()), ..plain.clone() };
            match ctx.engine.graph(&run) {
                // No run has this id: then it is the name of a document.
                Err(failure) if matches!(failure.code, Code::NotFound | Code::InvalidArguments) => {
                    ctx.engine.graph(&GraphParams { name: Some(word.clone()), ..plain })?
                }
                other => other?,
            }
        }
        None => ctx.engine.graph(&plain)?,
    };
    ctx.reply(&view, |view, _| match &view.text {
        Some(text) => text.trim_end().to_owned(),
        None => {
            let drawn = serde_json::json!({"workflow": view.workflow, "nodes": view.nodes, "edges": view.edges});
            format!("{drawn:#}")
        }
    })?;
    Ok(Exit::Done)
}
