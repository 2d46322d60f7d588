//! The command line: global flags and the list of commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::commands;

/// How diagnostics are written to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// The store to use [default: OWF_HOME, else .workflows of the main git working tree]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub home: Option<PathBuf>,
    /// Directory that relative paths, names, git state and agents start from [default: the working directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub workspace: Option<PathBuf>,
    /// For whom runs are started: told to hooks [default: OWF_PRINCIPAL]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Everywhere")]
    pub principal: Option<String>,
    /// Print the reply as one JSON object
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    /// How diagnostics are written to stderr
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Everywhere")]
    pub log_format: LogFormat,
    /// Never ask a question
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub no_input: bool,
}

/// What stands below the list of commands.
const AFTER: &str = "\
Begin with: owf examples, owf new FILE --template NAME, owf dry-run FILE, owf run FILE
Exit codes: 0 done; 1 the run failed; 2 usage, validation, refused; 3 not finished; 4 store or internal";

/// Run workflows of agent calls: durable, resumable, provider-neutral.
#[derive(Debug, Parser)]
#[command(name = "owf", version, max_term_width = 100, infer_subcommands = false, after_help = AFTER)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a home here
    Init(commands::init::InitArgs),
    /// Create a workflow file from a template
    New(commands::new::NewArgs),
    /// List the templates
    Examples(commands::examples::ExamplesArgs),
    /// List the workflows that can be run by name
    List(commands::list::ListArgs),
    /// Check a workflow without running it
    Validate(commands::validate::ValidateArgs),
    /// Draw a document before it runs, or any run
    Graph(commands::graph::GraphArgs),
    /// Rehearse a workflow: calls, coverage, cost
    DryRun(Box<commands::dry_run::DryRunArgs>),
    /// Run a workflow
    Run(Box<commands::run::RunArgs>),
    /// Go on with a run; finished calls are reused
    Resume(Box<commands::resume::ResumeArgs>),
    /// Stop a run, or one call of it
    Cancel(commands::cancel::CancelArgs),
    /// Take a finished call of a tool back
    Undo(commands::undo::UndoArgs),
    /// Let a run finish what it started, then pause it
    Pause(commands::pause::PauseArgs),
    /// List questions that runs wait on
    Approvals(commands::approvals::ApprovalsArgs),
    /// Answer a question with yes
    Approve(commands::decide::DecideArgs),
    /// Answer a question with no
    Deny(commands::decide::DecideArgs),
    /// List runs, newest first
    Runs(commands::runs::RunsArgs),
    /// Show one run
    Status(commands::status::StatusArgs),
    /// Watch a run until it ends
    Wait(commands::wait::WaitArgs),
    /// Print the events of a run, one JSON object a line
    Events(commands::events::EventsArgs),
    /// Print the value a workflow returned
    Output(commands::output::OutputArgs),
    /// List the calls of a run, or show one
    Calls(commands::calls::CallsArgs),
    /// Explain why each call was reused or asked again
    ExplainCache(commands::explain_cache::ExplainArgs),
    /// List the files of a run
    Artifacts(commands::artifacts::ArtifactsArgs),
    /// Print a file of a call: its output, prompt, transcript or error
    Cat(commands::cat::CatArgs),
    /// Write a run's files again, those left out included
    Export(commands::export::ExportArgs),
    /// Write a readable report of a run
    Report(commands::report::ReportArgs),
    /// Have many prompts answered within a day for half the price
    Batch(commands::batch::BatchArgs),
    /// Look after the work that calls left in git worktrees
    Worktree(commands::worktree::WorktreeArgs),
    /// Remove old runs
    Prune(commands::prune::PruneArgs),
    /// Look after the cache of answers
    Cache(commands::cache::CacheArgs),
    /// Say what agents used over all runs
    Usage(commands::usage::UsageArgs),
    /// Show prices of models, or bring them up to date
    Prices(commands::prices::PricesArgs),
    /// List the providers as they are configured here
    Providers(commands::providers::ProvidersArgs),
    /// List the tools as they are configured here
    Tools(commands::tools::ToolsArgs),
    /// Let the configuration file of a project count, as it is now
    Trust(commands::trust::TrustArgs),
    /// Check the home, git and the providers
    Doctor(commands::doctor::DoctorArgs),
    /// Serve coding agents over MCP on stdin and stdout
    Mcp(commands::mcp::McpArgs),
    /// Print JSON Schemas of what goes in and comes out
    Schema(commands::schema::SchemaArgs),
    /// Print a completion script for a shell
    Completions(commands::completions::CompletionsArgs),
    /// Execute a run as its detached supervisor
    #[command(hide = true)]
    Supervise(commands::supervise::SuperviseArgs),
    /// Serve one check or rehearsal from standard input
    #[command(hide = true)]
    Rehearse(commands::rehearse::RehearseArgs),
}
