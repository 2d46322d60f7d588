//! Batches of prompts: submit, look, fetch, list.

use std::io::Read as _;

use clap::{Args, Subcommand};

use crate::cli::flags::given;
use crate::cli::{Context, Exit, Outcome, render};
use crate::core::failure::{Code, Failure};
use crate::engine::params::BatchParams;
use crate::engine::view::BatchPhaseView;

/// `owf batch`.
#[derive(Debug, Args)]
pub struct BatchArgs {
    /// What to do
    #[command(subcommand)]
    pub action: BatchAction,
}

/// The actions.
#[derive(Debug, Subcommand)]
pub enum BatchAction {
    /// Submit prompts: one JSON string or object {prompt, custom_id?, model?, system?, max_tokens?} a line
    Submit {
        /// The file; - = standard input
        file: String,
        /// Who answers: anthropic, openai, or one configured with such a kind [default: as configured]
        #[arg(long)]
        provider: Option<String>,
        /// The model of lines that name none [default: the provider's]
        #[arg(long)]
        model: Option<String>,
        /// Also when the same prompts were submitted before
        #[arg(long)]
        again: bool,
    },
    /// Show where a batch stands
    Status {
        /// The batch
        id: String,
    },
    /// Print the answers, one JSON object a line, in the order of the prompts
    Fetch {
        /// The batch
        id: String,
        /// Write them to this file instead
        #[arg(long, short, value_name = "FILE")]
        output: Option<String>,
    },
    /// List the batches that were submitted
    List,
}

/// Does it.
pub fn run(ctx: &mut Context, args: BatchArgs) -> Outcome {
    match args.action {
        BatchAction::Submit { file, provider, model, again } => {
            let text = read(ctx, &file)?;
            let view = ctx.engine.batch_submit(&BatchParams { provider, model, again: given(again) }, &text)?;
            ctx.reply(&view, |view, _| render::batches::one(view))?;
            Ok(Exit::Done)
        }
        BatchAction::Status { id } => {
            let view = ctx.engine.batch_status(&id)?;
            ctx.reply(&view, |view, _| render::batches::one(view))?;
            Ok(Exit::Done)
        }
        BatchAction::Fetch { id, output } => fetch(ctx, &id, output),
        BatchAction::List => {
            let view = ctx.engine.batch_list()?;
            if view.batches.is_empty() && !ctx.global.json {
                ctx.out.note("no batches");
            }
            ctx.reply(&view, |view, _| render::batches::list(view))?;
            Ok(Exit::Done)
        }
    }
}

fn fetch(ctx: &mut Context, id: &str, output: Option<String>) -> Outcome {
    let view = ctx.engine.batch_fetch(id)?;
    let exit = match view.batch.status {
        BatchPhaseView::Ended => Exit::Done,
        BatchPhaseView::Failed => Exit::Failed,
        BatchPhaseView::Pending | BatchPhaseView::Unclear => Exit::NotFinished,
    };
    if ctx.global.json {
        ctx.out.json(&view)?;
        return Ok(exit);
    }
    if exit == Exit::Done {
        let mut lines = String::new();
        for row in &view.results {
            let line = serde_json::to_string(row)
                .map_err(|error| Failure::new(Code::Internal, format!("a result is no JSON: {error}")))?;
            lines.push_str(&line);
            lines.push('\n');
        }
        match output {
            None => ctx.out.result(&lines),
            Some(file) => {
                let path = ctx.term.cwd.join(&file);
                std::fs::write(&path, lines).map_err(|error| {
                    Failure::new(Code::NotWritable, format!("{} cannot be written: {error}", path.display()))
                })?;
                ctx.out.result(&path.display().to_string());
            }
        }
    }
    ctx.out.note(&render::batches::ended(&view));
    Ok(exit)
}

fn read(ctx: &Context, file: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == "-" {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(ctx.term.cwd.join(file)).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::new(Code::NotFound, format!("{file} cannot be read: {error}")).with("what", "file"))?;
    Ok(text)
}
