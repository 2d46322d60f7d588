//! Rehearses a workflow with generated answers.

use clap::Args;

use crate::cli::flags::{ArgFlags, ChangedFlag, FakeFlags, LimitFlags, WorkflowFlags, given, sizes};
use crate::cli::{Context, Exit, Outcome, render};
use crate::core::failure::Failure;
use crate::engine::params::DryRunParams;
use crate::engine::view::DryOutcome;

/// `owf dry-run WORKFLOW`.
#[derive(Debug, Args)]
pub struct DryRunArgs {
    /// The workflow: a file, a name, or - for standard input
    #[arg(value_name = "PATH|NAME|-", required_unless_present_any = ["path", "name", "script"])]
    pub workflow: Option<String>,
    /// The same said with flags.
    #[command(flatten)]
    pub by: WorkflowFlags,
    /// Args.
    #[command(flatten)]
    pub args: ArgFlags,
    /// The provider planned for; it is not asked [default: the configured one]
    #[arg(long)]
    pub provider: Option<String>,
    /// The model planned for
    #[arg(long)]
    pub model: Option<String>,
    /// A run: report which of its calls a resume with this workflow would reuse
    #[arg(long, value_name = "RUN")]
    pub against: Option<String>,
    /// Size of a generated list: files=40; repeatable [default: 2]
    #[arg(long, value_name = "NAME=N")]
    pub assume: Vec<String>,
    /// With --against: answers whose files changed since
    #[arg(long, value_enum, value_name = "WHAT")]
    pub if_workspace_changed: Option<ChangedFlag>,
    /// Show every call
    #[arg(long)]
    pub full: bool,
    /// Limits.
    #[command(flatten)]
    pub limits: LimitFlags,
    /// Fake provider.
    #[command(flatten)]
    pub fake: FakeFlags,
}

impl DryRunArgs {
    /// The workflow as it was named, for the command to go on with.
    fn named(&self, name: &str) -> String {
        let by = &self.by;
        let flag = by.path.clone().or_else(|| by.name.as_ref().map(|name| format!("--name {name}")));
        flag.or_else(|| self.workflow.clone()).unwrap_or_else(|| name.to_owned())
    }

    /// The request.
    pub fn params(&self) -> Result<DryRunParams, Failure> {
        let found = self.by.resolve(self.workflow.as_deref(), &mut std::io::stdin())?;
        Ok(DryRunParams {
            path: found.path,
            name: found.name,
            script: found.script,
            args: self.args.object()?,
            args_json: self.args.args_json.clone(),
            provider: self.provider.clone(),
            model: self.model.clone(),
            budget_tokens: self.limits.budget_tokens,
            budget_cost_usd: self.limits.budget_cost_usd,
            max_calls: self.limits.max_calls,
            allow_unpriced: given(self.limits.allow_unpriced),
            concurrency: self.limits.concurrency,
            if_workspace_changed: self.if_workspace_changed.map(Into::into),
            fixtures: self.fake.fixtures.clone(),
            mood: self.fake.mood.map(Into::into),
            against: self.against.clone(),
            assume: sizes(&self.assume)?,
            full: given(self.full),
            workspace: None,
            home: None,
        })
    }
}

/// Prints the calls, what they would cost, and what was not reached; 1 when the script threw.
pub fn run(ctx: &mut Context, args: &DryRunArgs) -> Outcome {
    let view = ctx.engine.dry_run(&args.params()?)?;
    let workflow = args.named(&view.workflow.name);
    ctx.reply(&view, |view, term| render::dry_run::screen(view, term, &workflow, args.full))?;
    Ok(match view.outcome {
        DryOutcome::Completed | DryOutcome::NoCalls => Exit::Done,
        DryOutcome::StoppedBeforeCalls | DryOutcome::Threw => Exit::Failed,
    })
}
