//! From the words of the command line to an exit code.

use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use serde_json::json;

use super::args::{Cli, Command, LogFormat};
use super::commands;
use super::context::{Context, Outcome, Terminal};
use super::exit::Exit;
use super::out::Out;
use super::render;
use crate::app::{AppOptions, ToolSet};
use crate::core::failure::{Code, Failure};

/// The MCP server, which this layer does not know: `main` hands it in.
pub type Serve = fn(AppOptions, ToolSet) -> Result<(), Failure>;

/// Parses, dispatches, prints, and says how it went. A panic becomes `internal`, without a backtrace.
pub fn main(args: impl IntoIterator<Item = OsString>, serve: Serve) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    // The failure is reported below, once, like any other.
    panic::set_hook(Box::new(|info| tracing::debug!("panic: {info}")));
    let json = args.iter().skip(1).take_while(|a| *a != "--").any(|a| a == "--json");
    let exit = panic::catch_unwind(AssertUnwindSafe(|| dispatch(args, serve))).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let failure = Failure::new(Code::Internal, format!("owf broke off: {text}"))
            .hint("this is a fault of owf; runs can be resumed");
        report(&mut Out::std(), &Terminal::detect(), json, &failure)
    });
    exit.into()
}

fn dispatch(args: Vec<OsString>, serve: Serve) -> Exit {
    let term = Terminal::detect();
    let json = args.iter().skip(1).take_while(|a| *a != "--").any(|a| a == "--json");
    let mut out = Out::std();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let text = error.render();
            out.result(&if term.paint.is_on() { text.ansi().to_string() } else { text.to_string() });
            return Exit::Done;
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            out.note(&error.render().to_string());
            return Exit::Refused;
        }
        Err(error) => return report(&mut out, &term, json, &usage_failure(&error)),
    };
    start_logging(cli.global.log_format, term.paint_err.is_on());
    if let Command::Mcp(args) = &cli.command {
        let served = commands::mcp::run(&cli.global, args, &mut out, serve);
        // Stdout belongs to the protocol: a failure is told on stderr, whatever the flags say.
        return served.unwrap_or_else(|failure| report(&mut out, &term, false, &failure));
    }
    let mut ctx = match Context::new(cli.global, out, term) {
        Ok(ctx) => ctx,
        Err(failure) => return report(&mut Out::std(), &Terminal::detect(), json, &failure),
    };
    let result = run(&mut ctx, cli.command);
    result.unwrap_or_else(|failure| {
        let Context { out, term, .. } = &mut ctx;
        report(out, term, json, &failure)
    })
}

fn run(ctx: &mut Context, command: Command) -> Outcome {
    match command {
        Command::Init(args) => commands::init::run(ctx, &args),
        Command::New(args) => commands::new::run(ctx, args),
        Command::Examples(args) => commands::examples::run(ctx, &args),
        Command::List(args) => commands::list::run(ctx, &args),
        Command::Validate(args) => commands::validate::run(ctx, &args),
        Command::Graph(args) => commands::graph::run(ctx, &args),
        Command::DryRun(args) => commands::dry_run::run(ctx, &args),
        Command::Run(args) => commands::run::run(ctx, &args),
        Command::Resume(args) => commands::resume::run(ctx, &args),
        Command::Cancel(args) => commands::cancel::run(ctx, args),
        Command::Undo(args) => commands::undo::run(ctx, &args),
        Command::Pause(args) => commands::pause::run(ctx, &args),
        Command::Approvals(args) => commands::approvals::run(ctx, &args),
        Command::Approve(args) => commands::decide::run(ctx, &args, crate::core::call::Decision::Approve),
        Command::Deny(args) => commands::decide::run(ctx, &args, crate::core::call::Decision::Deny),
        Command::Runs(args) => commands::runs::run(ctx, args),
        Command::Status(args) => commands::status::run(ctx, args),
        Command::Wait(args) => commands::wait::run(ctx, &args),
        Command::Events(args) => commands::events::run(ctx, &args),
        Command::Output(args) => commands::output::run(ctx, args),
        Command::Calls(args) => commands::calls::run(ctx, args),
        Command::ExplainCache(args) => commands::explain_cache::run(ctx, args),
        Command::Artifacts(args) => commands::artifacts::run(ctx, args),
        Command::Cat(args) => commands::cat::run(ctx, &args),
        Command::Export(args) => commands::export::run(ctx, args),
        Command::Report(args) => commands::report::run(ctx, args),
        Command::Batch(args) => commands::batch::run(ctx, args),
        Command::Worktree(args) => commands::worktree::run(ctx, args),
        Command::Prune(args) => commands::prune::run(ctx, args),
        Command::Cache(args) => commands::cache::run(ctx, &args),
        Command::Usage(args) => commands::usage::run(ctx, args),
        Command::Prices(args) => commands::prices::run(ctx, args),
        Command::Providers(args) => commands::providers::run(ctx, &args),
        Command::Tools(args) => commands::tools::run(ctx, &args),
        Command::Trust(args) => commands::trust::run(ctx, &args),
        Command::Doctor(args) => commands::doctor::run(ctx, &args),
        // Dispatched before an engine is wired.
        Command::Mcp(_) => Ok(Exit::Done),
        Command::Schema(args) => commands::schema::run(ctx, &args),
        Command::Completions(args) => commands::completions::run(ctx, &args),
        Command::Supervise(args) => commands::supervise::run(ctx, &args),
        Command::Rehearse(args) => commands::rehearse::run(ctx, &args),
    }
}

fn report(out: &mut Out, term: &Terminal, json: bool, failure: &Failure) -> Exit {
    if json {
        out.result(&failure.to_json().to_string());
    } else {
        out.note(&render::failure(failure, term));
    }
    Exit::of_failure(failure)
}

/// A clap error in the one form of errors.
fn usage_failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut message = Vec::new();
    let mut hints = Vec::new();
    let mut in_message = true;
    for line in text.lines().map(str::trim) {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        if line.is_empty() {
            in_message = false;
        } else if let Some(tip) = line.strip_prefix("tip: ") {
            hints.push(tip.to_owned());
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            hints.push(format!("usage: {usage}"));
        } else if in_message {
            message.push(line.to_owned());
        }
    }
    let message = message.join(" ");
    Failure::new(Code::InvalidArguments, message.clone())
        .hint(hints.join("; "))
        .with("errors", json!([{ "path": "", "message": message }]))
}

/// Diagnostics go to stderr, from `warn` up unless `OWF_LOG` says otherwise.
fn start_logging(format: LogFormat, color: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OWF_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,rmcp=off"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(color);
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
