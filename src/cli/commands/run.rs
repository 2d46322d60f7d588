//! Runs a workflow.

use clap::Args;

use crate::cli::flags::{ArgFlags, CacheFlag, DownFlag, FakeFlags, LimitFlags, WorkflowFlags, given};
use crate::cli::watch::{Before, FollowFlags, follow_started};
use crate::cli::{Context, Outcome};
use crate::core::failure::Failure;
use crate::engine::params::RunParams;

/// `owf run WORKFLOW`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The workflow: a file, a name, or - for standard input
    #[arg(value_name = "PATH|NAME|-", required_unless_present_any = ["path", "name", "script"])]
    pub workflow: Option<String>,
    /// The same said with flags.
    #[command(flatten)]
    pub by: WorkflowFlags,
    /// Args.
    #[command(flatten)]
    pub args: ArgFlags,
    /// Provider of calls that name none [default: the configured one, else fake]
    #[arg(long)]
    pub provider: Option<String>,
    /// Model of calls that name none [default: the provider's]
    #[arg(long)]
    pub model: Option<String>,
    /// Answers of other runs [default: auto]
    #[arg(long, value_enum, value_name = "POLICY")]
    pub cache_policy: Option<CacheFlag>,
    /// Fail the run when a call failed, also where the script went on
    #[arg(long)]
    pub strict: bool,
    /// Allow the workflow to run commands
    #[arg(long)]
    pub allow_commands: bool,
    /// Look for the provider's program or key first [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub check_provider: Option<bool>,
    /// The same as --check-provider=false
    #[arg(long, conflicts_with = "check_provider")]
    pub no_check_provider: bool,
    /// A provider that is not logged in or out of quota [default: pause]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_provider_down: Option<DownFlag>,
    /// Your own key against double starts
    #[arg(long, value_name = "KEY")]
    pub request_key: Option<String>,
    /// Limits.
    #[command(flatten)]
    pub limits: LimitFlags,
    /// Fake provider.
    #[command(flatten)]
    pub fake: FakeFlags,
    /// How it is followed.
    #[command(flatten)]
    pub follow: FollowFlags,
}

impl RunArgs {
    /// The request.
    pub fn params(&self) -> Result<RunParams, Failure> {
        let found = self.by.resolve(self.workflow.as_deref(), &mut std::io::stdin())?;
        Ok(RunParams {
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
            allow_commands: self.allow_commands,
            concurrency: self.limits.concurrency,
            cache_policy: self.cache_policy.map(Into::into),
            fixtures: self.fake.fixtures.clone(),
            mood: self.fake.mood.map(Into::into),
            strict: given(self.strict),
            check_provider: if self.no_check_provider { Some(false) } else { self.check_provider },
            on_provider_down: self.on_provider_down.map(Into::into),
            wait_seconds: self.follow.detach.then_some(0),
            request_key: self.request_key.clone(),
            detail: Some(self.follow.detail()),
            workspace: None,
            home: None,
        })
    }
}

/// Starts the workflow here, or detached, and follows it to its end.
pub fn run(ctx: &mut Context, args: &RunArgs) -> Outcome {
    let params = args.params()?;
    let how = args.follow.execution(ctx);
    let started = ctx.engine.start(&params, how)?;
    let before =
        Before::Nothing { unconfigured: args.provider.is_none() && ctx.engine.services().defaults.provider.is_none() };
    follow_started(ctx, &args.follow, started, before)
}
