//! Takes a finished call of a tool back.

use clap::Args;

use crate::cli::{Context, Exit, Outcome};

/// `owf undo RUN CALL`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The run; not latest
    pub run: String,
    /// The call
    pub call: String,
    /// Of an agent's call: which of the uses of tools that `owf calls RUN CALL` lists
    #[arg(long = "use", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub nth: Option<u32>,
    /// Take it back although that was begun before and nobody knows how it ended
    #[arg(long)]
    pub repeat: bool,
}

/// Takes the call back and says so.
pub fn run(ctx: &mut Context, args: &UndoArgs) -> Outcome {
    let view = ctx.engine.undo(&args.run, &args.call, args.nth, args.repeat)?;
    ctx.reply(&view, |view, _| {
        let said = view.output.as_ref().map(|output| format!(": {}", output.trim())).unwrap_or_default();
        format!("{}/{} of {} taken back{said}\n", view.run_id, view.call_id, view.tool)
    })?;
    Ok(Exit::Done)
}
