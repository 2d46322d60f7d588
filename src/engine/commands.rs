//! Commands as a provider: a program, run without a shell in the workspace, whose output is the answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::call::{CallKind, CallSpec};
use crate::core::environment::Environment;
use crate::core::failure::{Code, Failure};
use crate::core::outcome::{CallError, ErrorClass};
use crate::core::redact::SHORTEST;
use crate::core::run::{Settings, WorkflowKind};
use crate::core::work::{CommandAsk, stays_below};
use crate::front::document;
use crate::process::{Exit, Finished, Program, find_program, passed, run};
use crate::providers::{
    AttemptRequest, BoxFuture, CallContext, FileTools, Provider, ProviderKind, Reply, ReplyAnswer, ReplyError, Stop,
};

use super::agent_tools::unfit;
use super::answer::clip;
use super::services::Services;

/// The name under which commands are counted and queued.
pub(crate) const NAME: &str = "command";
/// The most that is kept of what a command prints: its value stands in the journal.
const MOST_OUTPUT: usize = 1 << 20;
/// Characters of its diagnostics that an error quotes, from the end.
const QUOTED: usize = 600;
/// How long a command that was asked to end may take, until nothing of it is left.
pub(crate) const WIND_DOWN: Duration = Duration::from_secs(9);

/// Whether a run may execute commands: its user's configuration says so, or a person did when the run was started.
pub(crate) fn allowed(services: &Services, settings: &Settings) -> bool {
    services.config.commands || settings.allow_commands
}

/// What a person has to do so that commands are executed.
pub(crate) const HOW_TO_ALLOW: &str =
    "read them, then set `commands = true` in the user's configuration, or pass --allow-commands at a terminal";

/// Refuses a document with tools that are not there, with commands where they are not allowed, or with secrets for a service,
/// before anything starts. Under fixtures a command may be
/// answered by a rule, so there each is looked at when its turn comes.
///
/// # Errors
/// `invalid_arguments`, with the tasks.
pub(crate) fn check(kind: WorkflowKind, text: &str, services: &Services, settings: &Settings) -> Result<(), Failure> {
    // A text without the words has no such task; compiling a large one again takes its time.
    let may = text.contains("run") || text.contains("tool") || text.contains("secrets");
    if kind != WorkflowKind::Document || settings.fixtures.is_some() || !may {
        return Ok(());
    }
    let plan = document::plan(text).ok();
    for (task, tool) in plan.iter().flat_map(document::Plan::tools) {
        services.config.tools.get(tool).map_err(|why| no_tool(task, tool, &why))?;
    }
    for (task, ask) in plan.iter().flat_map(document::Plan::agents) {
        let Some(provider) = services.registry.get(ask.provider.as_deref().unwrap_or(&settings.provider)) else {
            continue;
        };
        if provider.kind() == ProviderKind::Http && ask.secrets.as_ref().is_some_and(|names| !names.is_empty()) {
            let message = format!("task `{task}`: {}", no_program(provider.name()));
            return Err(Failure::new(Code::InvalidArguments, message)
                .hint("leave `secrets` out, or ask an agent that is a program")
                .with("task", task));
        }
        let spec = CallSpec::new(CallKind::Agent, ask.clone());
        let named = ask.tools.iter().flatten().filter(|name| !FileTools::knows(name));
        for (name, tool) in named.filter_map(|name| Some((name, services.config.tools.get(name).ok()?))) {
            if let Some(why) = unfit(name, tool, provider.as_ref(), &spec) {
                return Err(
                    Failure::new(Code::InvalidArguments, format!("task `{task}`: {why}")).with("tool", name.as_str())
                );
            }
        }
    }
    if allowed(services, settings) {
        return Ok(());
    }
    let tasks: Vec<String> = plan.iter().flat_map(|plan| plan.commands()).map(str::to_owned).collect();
    if tasks.is_empty() {
        return Ok(());
    }
    let listed = clip(&tasks.join(", "), 200);
    let message = format!("the workflow runs commands, which is not allowed here: {listed}");
    Err(Failure::new(Code::InvalidArguments, message).hint(HOW_TO_ALLOW).with("tasks", tasks))
}

/// A task uses a tool that is not there, or that is configured wrongly.
pub(crate) fn no_tool(task: &str, tool: &str, why: &str) -> Failure {
    Failure::new(Code::InvalidArguments, format!("task `{task}`: {why}"))
        .hint("tools are `[tools.NAME]` of the user's configuration")
        .with("tool", tool)
}

/// Makes the values of a document's secrets known, so that no record ever holds one.
pub(crate) fn learn_secrets(kind: WorkflowKind, text: &str, services: &Services) {
    if kind == WorkflowKind::Document
        && text.contains("secrets")
        && let Ok(plan) = document::plan(text)
    {
        services.secrets.learn(&services.env, plan.secrets());
    }
}

/// Whether every secret that a call names is set, to something that can be kept out of every record.
///
/// # Errors
/// The first that is not.
pub(crate) fn secrets_set(spec: &CallSpec, env: &Environment) -> Result<(), CallError> {
    for name in spec.ask.secrets.iter().flatten() {
        let (problem, hint) = match env.get(name).map(str::trim) {
            None => {
                ("is not set in the environment".to_owned(), format!("set {name} where owf is started, then resume"))
            }
            Some("") => ("is empty".to_owned(), format!("set {name} where owf is started, then resume")),
            Some(value) if value.len() < SHORTEST => (
                format!("is shorter than {SHORTEST} bytes, so no record could be kept free of it"),
                "use a longer one: what is this short also stands in ordinary text".to_owned(),
            ),
            Some(_) => continue,
        };
        let mut error = CallError::new(ErrorClass::Policy, format!("the secret {name} {problem}"));
        error.hint = Some(hint);
        return Err(error);
    }
    Ok(())
}

/// Whether the secrets that a call names reach anything: only a program has an environment, and a text never holds one.
///
/// # Errors
/// Class `policy`, when its provider is a service.
pub(crate) fn reaches_a_program(spec: &CallSpec, provider: &dyn Provider) -> Result<(), CallError> {
    if provider.kind() != ProviderKind::Http || spec.ask.secrets.as_ref().is_none_or(Vec::is_empty) {
        return Ok(());
    }
    let mut error = CallError::new(ErrorClass::Policy, no_program(provider.name()));
    error.hint = Some("leave `secrets` out, or ask an agent that is a program".to_owned());
    Err(error)
}

fn no_program(provider: &str) -> String {
    format!("`secrets` are for the environment of a program, and the provider {provider} is a service")
}

/// The directory that a path relative to the workspace means; links are followed and must not lead out.
///
/// # Errors
/// One sentence.
pub(crate) fn directory(workspace: &Path, path: Option<&str>) -> Result<PathBuf, String> {
    let top = workspace.canonicalize().map_err(|error| format!("the workspace cannot be entered: {error}"))?;
    let Some(path) = path else { return Ok(top) };
    if !stays_below(path) {
        return Err(format!("`cwd` must stay in the workspace: a relative path without `..`, not `{path}`"));
    }
    let dir = top.join(path).canonicalize().map_err(|error| format!("`cwd` {path}: {error}"))?;
    if dir.starts_with(&top) && dir.is_dir() {
        Ok(dir)
    } else {
        Err(format!("`cwd` {path} is no directory in the workspace"))
    }
}

/// Runs the commands of a workflow.
#[derive(Debug)]
pub(crate) struct Commands {
    env: Environment,
}

impl Commands {
    /// Commands in this environment, of which they get what programs need and the secrets they name.
    pub(crate) fn new(env: Environment) -> Self {
        Self { env }
    }

    async fn attempt(&self, request: &AttemptRequest, context: &CallContext) -> Result<Reply, ReplyError> {
        let none = CommandAsk::default();
        let asked = request.spec.ask.command.as_ref().unwrap_or(&none);
        let secrets = request.spec.ask.secrets.iter().flatten().map(String::as_str);
        let env = passed(&self.env, secrets);
        let cwd = directory(&request.cwd, asked.cwd.as_deref())
            .map_err(|message| CallError::new(ErrorClass::Policy, message))?;
        let stdout =
            printed(&self.env, Call { asked, env, cwd, marker: request.marker.clone() }, &context.stop, MOST_OUTPUT);
        Ok(Reply::new(ReplyAnswer::Text(stdout.await.map_err(CallError::from)?)))
    }
}

/// A program about to be run.
pub(crate) struct Call<'a> {
    pub(crate) asked: &'a CommandAsk,
    /// Its whole environment.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    pub(crate) marker: String,
}

/// Why a program brought nothing.
#[derive(Debug)]
pub(crate) struct Unwell {
    pub(crate) error: CallError,
    /// Whether it was broken off: nobody knows how far it came.
    pub(crate) broken_off: bool,
}

impl From<CallError> for Unwell {
    fn from(error: CallError) -> Self {
        Self { error, broken_off: false }
    }
}

impl From<Unwell> for CallError {
    fn from(unwell: Unwell) -> Self {
        unwell.error
    }
}

/// Runs a program to its end; what it prints, without the last line's end.
///
/// # Errors
/// It is not there, printed more than `most` bytes, ended with another code than 0, or was ended.
pub(crate) async fn printed(env: &Environment, call: Call<'_>, stop: &Stop, most: usize) -> Result<String, Unwell> {
    let Call { asked, env: variables, cwd, marker } = call;
    let Some((name, args)) = asked.argv.split_first().filter(|(name, _)| !name.is_empty()) else {
        return Err(CallError::new(ErrorClass::BadRequest, "the command has no program").into());
    };
    // A name with a slash is a file of the directory it runs in, any other a program of the user's.
    let path = if name.contains('/') { cwd.join(name).display().to_string() } else { name.clone() };
    let Some(path) = find_program(&path, env.get("PATH").unwrap_or_default()) else {
        let message =
            format!("there is no program `{name}` {}", if name.contains('/') { "there" } else { "on the PATH" });
        return Err(CallError::new(ErrorClass::NotInstalled, message).into());
    };
    let input = asked.input.clone().unwrap_or_default();
    let program = Program { path, args: args.to_vec(), env: variables, cwd, input, marker };
    let (full, mut out) = (Stop::default(), Vec::new());
    let enough = full.clone();
    let ended = async {
        tokio::select! {
            () = stop.stopped() => {}
            () = full.stopped() => {}
        }
    };
    let finished = run(program, ended, |line| {
        if out.len() + line.len() < most {
            out.extend_from_slice(line);
            out.push(b'\n');
        } else {
            enough.stop();
        }
    })
    .await
    .map_err(|error| CallError::new(ErrorClass::Other, format!("`{name}` could not be run: {error}")))?;
    let out = String::from_utf8_lossy(&out);
    let broken_off = |error| Unwell { error, broken_off: true };
    if enough.is_stopped() || finished.too_much {
        let message = format!("`{name}` printed more than {} KB and was ended", most >> 10);
        return Err(broken_off(CallError::new(ErrorClass::Other, message)));
    }
    if finished.ended_by_us || stop.is_stopped() {
        return Err(broken_off(CallError::new(ErrorClass::Cancelled, "ended on request")));
    }
    match finished.exit {
        Exit::Code(0) => Ok(out.trim_end_matches('\n').to_owned()),
        Exit::Code(_) => Err(failed(name, &finished, &out).into()),
        Exit::Signal(_) => Err(broken_off(failed(name, &finished, &out))),
    }
}

/// The error of a program that did not end well: how, and the last it said.
fn failed(name: &str, finished: &Finished, out: &str) -> CallError {
    let said = if finished.errors.is_empty() { out.trim() } else { finished.errors.as_str() };
    let cut = said.chars().count().saturating_sub(QUOTED);
    let end: String = said.chars().skip(cut).collect();
    let said = if end.is_empty() { end } else { format!(": {}{end}", if cut > 0 { "…" } else { "" }) };
    let message = format!("`{name}` ended with {}{said}", finished.exit);
    CallError::new(ErrorClass::Exit, message)
}

impl Provider for Commands {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Cli
    }

    fn default_concurrency(&self) -> u32 {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (processors as u32).clamp(2, 16)
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        true
    }

    fn wind_down(&self) -> Duration {
        WIND_DOWN
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(self.attempt(request, context))
    }
}
