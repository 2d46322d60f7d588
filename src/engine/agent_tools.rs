//! Tools of the configuration in the loop of an agent: every call goes through what a call of the workflow's own would, in the
//! same order, and what goes wrong is told to the model.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::core::call::{ApprovalAsk, CallSpec, Decision};
use crate::core::ids::CallId;
use crate::core::machine::{GoingOn, Plan};
use crate::core::outcome::{CallError, DecisionNote, ErrorClass};
use crate::core::work::ToolAsk;
use crate::providers::{
    AttemptRequest, BoxFuture, Progress, Provider, ProviderKind, ReplyAnswer, Stop, ToolBox, ToolSpec,
};
use crate::tools::Definition;

use super::answer::clip;
use super::effects::Effects;
use super::hooks::{HookPlace, Judged, ToolHooks};
use super::message::Message;
use super::run_loop::RunLoop;
use super::servers::Servers;
use super::services::Services;
use super::tool_runner::{Runner, Surroundings, lock_file};
use super::tools::{Admitted, Gate, admit, question, time_limit};

/// How long a call of a tool may take when nothing is configured.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Characters of a result that a model is told.
const MOST_TOLD: usize = 200_000;

/// Everything an attempt needs to use tools of the configuration.
#[derive(Clone)]
pub(crate) struct Lent {
    /// The tools, complete, in the order in which they were named.
    tools: Vec<(String, Definition)>,
    mode: Option<String>,
    hooks: ToolHooks,
    services: Arc<Services>,
    servers: Arc<Servers>,
    home: PathBuf,
    workspace: PathBuf,
    call_id: CallId,
    to: Sender<Message>,
    /// What another attempt left.
    going_on: Option<GoingOn>,
}

impl RunLoop {
    /// What must be known of the tools of an agent before its call is taken up.
    pub(super) fn gate_of_agent(&mut self, call_id: CallId, spec: &CallSpec) -> Gate {
        let wanted = spec.ask.provider.as_deref().unwrap_or(&self.tree.settings.provider);
        let Some(provider) = self.tree.providers.get(wanted) else { return Gate::Open(None) };
        let tools = &self.tree.services.config.tools;
        for note in &spec.tools {
            let Ok(tool) = tools.get(&note.name) else { continue };
            if let Some(why) = unfit(&note.name, tool, provider.as_ref(), spec) {
                return Gate::Shut(Plan::Refuse(CallError::new(ErrorClass::BadRequest, why)));
            }
            // A model must be told what the tool is for and what it takes.
            let silent = tool.mcp.is_some() && (tool.schema.is_none() || tool.description.is_empty());
            if silent && provider.kind() == ProviderKind::Http && self.tree.servers.described(&note.name).is_none() {
                let tool = tool.clone();
                self.describe(call_id, note.name.clone(), tool);
                return Gate::Later;
            }
        }
        Gate::Open(None)
    }

    /// What an attempt needs to use the tools of the configuration that it may; none when it may use none.
    pub(super) fn lent(&self, call_id: CallId) -> Option<Lent> {
        let spec = self.machine.spec(call_id)?;
        let services = &self.tree.services;
        let complete = |name: &str| {
            let described = self.tree.servers.described(name);
            described.or_else(|| services.config.tools.get(name).ok().cloned())
        };
        let named = spec.tools.iter().filter_map(|note| Some((note.name.clone(), complete(&note.name)?)));
        let tools: Vec<(String, Definition)> = named.collect();
        (!tools.is_empty()).then(|| Lent {
            tools,
            mode: spec.mode.clone(),
            hooks: self.tool_hooks(call_id),
            services: Arc::clone(services),
            servers: Arc::clone(&self.tree.servers),
            home: super::reference::home(&self.tree.store).into(),
            workspace: self.spec.workspace.clone().into(),
            call_id,
            to: self.to_self.clone(),
            going_on: self.machine.going_on(call_id),
        })
    }
}

impl Lent {
    /// What the tools are and in which mode they are used: answers depend on it.
    pub(super) fn identity(&self) -> Value {
        json!({"mode": self.mode, "tools": self.tools})
    }
}

/// Why an agent cannot use a tool at all.
pub(crate) fn unfit(name: &str, tool: &Definition, provider: &dyn Provider, spec: &CallSpec) -> Option<String> {
    if provider.kind() == ProviderKind::Cli {
        let message = "is a program with tools of its own; only agents of services can use the configured tool";
        return Some(format!("provider \"{}\" {message} `{name}`", provider.name()));
    }
    if tool.workflow.is_some() {
        return Some(format!("`{name}` is a workflow: use it by `tool` or `owf.tool()`, an agent cannot call it"));
    }
    if tool.mcp.is_some() && !tool.changes_nothing() && spec.ask.isolation.is_some() {
        // A server works in the workspace, for all who use it.
        return Some(format!(
            "`{name}` belongs to an MCP server and may change the workspace: no worktree keeps that apart"
        ));
    }
    if tool.requires_approval && spec.ask.isolation.is_some() {
        // While a person thinks, the worktree is put away with what was done in it.
        return Some(format!("a person is asked before `{name}` is used: it cannot be used from a worktree"));
    }
    None
}

/// The tools of the configuration, and those for files beside them.
pub(crate) struct AgentTools {
    lent: Lent,
    files: Option<Arc<dyn ToolBox>>,
    cwd: PathBuf,
    marker: String,
    stop: Stop,
    progress: Progress,
    effects: Arc<Effects>,
    acted: AtomicBool,
    /// What a person was asked when another attempt left.
    asked: Option<Value>,
    state: Mutex<State>,
}

/// What changes while an attempt runs.
#[derive(Default)]
struct State {
    /// The answer to the question with which another attempt left.
    decision: Option<DecisionNote>,
    /// What a person is to be asked.
    question: Option<Box<ApprovalAsk>>,
    /// What was said so far.
    said: Option<Value>,
}

impl AgentTools {
    pub(crate) fn new(
        lent: Lent,
        files: Option<Arc<dyn ToolBox>>,
        request: &AttemptRequest,
        (stop, progress): (&Stop, &Progress),
        effects: &Arc<Effects>,
    ) -> Self {
        let decision = lent.going_on.as_ref().and_then(|going_on| going_on.decision.clone());
        Self {
            files,
            cwd: request.cwd.clone(),
            marker: request.marker.clone(),
            stop: stop.clone(),
            progress: progress.clone(),
            effects: Arc::clone(effects),
            acted: AtomicBool::new(false),
            asked: lent.going_on.as_ref().and_then(|going_on| going_on.kept.get("asked").cloned()),
            state: Mutex::new(State { decision, ..State::default() }),
            lent,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a person is to be asked, and what was said so far, once the attempt has ended.
    pub(crate) fn left(&self) -> (Option<Box<ApprovalAsk>>, Option<Value>) {
        let mut state = self.state();
        (state.question.take(), state.said.take())
    }

    /// One call: arguments, mode, person, hooks, turn, record, handler, hooks. Whatever refuses, the model is told.
    async fn configured(&self, name: &str, definition: &Definition, arguments: Value) -> Result<String, String> {
        let ask = ToolAsk { name: name.to_owned(), args: arguments, mode: self.lent.mode.clone() };
        let admitted = admit(definition, &ask).map_err(|error| in_full(&error))?;
        let asked = question(&ask, &admitted);
        // An answer is about the call that was asked about, and about no other.
        let decision = self.state().decision.take_if(|_| self.asked.is_some() && self.asked == asked.metadata);
        if definition.requires_approval {
            match decision {
                Some(DecisionNote { decision: Decision::Approve, .. }) => {}
                Some(note) => {
                    let why = note.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                    return Err(format!("denied by {}{why}", note.by));
                }
                None => {
                    self.state().question = Some(Box::new(asked));
                    return Err("a person is asked first".to_owned());
                }
            }
        }
        let changes = !definition.changes_nothing();
        self.judged(self.lent.hooks.judge(HookPlace::Before, &ask, changes, None).await)?;
        let limit = time_limit(definition, &self.lent.services.config.tools);
        let limit = limit.map_or(TIMEOUT, Duration::from_millis);
        let result = tokio::time::timeout(limit, self.carry_out(name, definition, &ask, admitted)).await;
        let answer = result.unwrap_or_else(|_| Err(format!("{name} took longer than {} s", limit.as_secs_f64())))?;
        let (value, text) = match answer {
            ReplyAnswer::Text(text) => (Value::String(text.clone()), text),
            ReplyAnswer::Json(value) => (value.clone(), value.to_string()),
            ReplyAnswer::Both { value, text } if text.trim().is_empty() => (value.clone(), value.to_string()),
            ReplyAnswer::Both { value, text } => (value, text),
            ReplyAnswer::Missing => (Value::Null, String::new()),
        };
        let told = json!({"value": value, "text": text, "cached": false});
        self.judged(self.lent.hooks.judge(HookPlace::After, &ask, changes, Some(told)).await)?;
        let mut text = text;
        // Before the cut: half a value would be known no more.
        self.lent.services.secrets.text(&mut text);
        Ok(clip(&text, MOST_TOLD))
    }

    /// Has the tool do its work, in its turn, on record before where it changes something.
    async fn carry_out(
        &self,
        name: &str,
        definition: &Definition,
        ask: &ToolAsk,
        admitted: Admitted,
    ) -> Result<ReplyAnswer, String> {
        let (services, servers) = (Arc::clone(&self.lent.services), Arc::clone(&self.lent.servers));
        if let Some(missing) = definition.secrets.iter().find(|secret| services.env.get(secret).is_none()) {
            return Err(format!("the secret {missing} of `{name}` is not set in the environment"));
        }
        let lock = definition.lock.then(|| lock_file(&self.lent.home, name));
        let workspace = self.lent.workspace.clone();
        let runner = Runner { name: name.to_owned(), admitted, services, servers, workspace, lock };
        let _turn = runner.turn(&self.stop, &self.marker).await.map_err(|error| error.message)?;
        let cwd: &Path = &self.cwd;
        let around = Surroundings { cwd, marker: &self.marker, stop: &self.stop, progress: &self.progress };
        if definition.changes_nothing() {
            return runner.handle(&around).await.map_err(|error| error.message);
        }
        let number = self.effects.begin(name, None, Some(&ask.args)).await?;
        self.acted.store(true, Ordering::SeqCst);
        // It has the last word also when nobody waits for it any more.
        let mut word = LastWord { effects: &self.effects, number, said: None };
        let answer = runner.handle(&around).await.map_err(|error| error.message);
        word.said = Some(match &answer {
            Ok(ReplyAnswer::Text(text)) => Ok(text.clone()),
            Ok(ReplyAnswer::Json(value) | ReplyAnswer::Both { value, .. }) => Ok(value.to_string()),
            Ok(ReplyAnswer::Missing) => Ok(String::new()),
            Err(why) => Err(why.clone()),
        });
        answer
    }

    /// Notes what hooks decided.
    fn judged(&self, judged: Judged) -> Result<(), String> {
        if !judged.notes.is_empty() {
            // A loop that has ended needs no word.
            let _ = self.lent.to.send(Message::Policies { call_id: self.lent.call_id, notes: judged.notes });
        }
        judged.refused.map_or(Ok(()), |error| {
            let mut message = error.message;
            self.lent.services.secrets.text(&mut message);
            Err(message)
        })
    }
}

/// Says how an effect ended, also when it was broken off.
struct LastWord<'a> {
    effects: &'a Effects,
    number: u32,
    said: Option<Result<String, String>>,
}

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        let broken = || Err("broken off".to_owned());
        self.effects.ended(self.number, &self.said.take().unwrap_or_else(broken));
    }
}

/// An error with every place where arguments break their schema: a model corrects them all at once.
fn in_full(error: &CallError) -> String {
    let more = error.schema_errors.iter().skip(1).map(|fault| format!("; {} {}", fault.pointer, fault.message));
    format!("{}{}", error.message, more.collect::<String>())
}

impl ToolBox for AgentTools {
    fn tools(&self) -> Vec<ToolSpec> {
        let any = || json!({"type": "object"});
        let mut all: Vec<ToolSpec> = self.files.iter().flat_map(|files| files.tools()).collect();
        all.extend(self.lent.tools.iter().map(|(name, tool)| ToolSpec {
            name: name.clone(),
            description: tool.description.clone(),
            parameters: tool.schema.clone().map_or_else(any, |schema| open(schema, tool)),
        }));
        all
    }

    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let known: HashMap<&str, &Definition> =
                self.lent.tools.iter().map(|(name, tool)| (name.as_str(), tool)).collect();
            match (known.get(name), &self.files) {
                (Some(tool), _) => self.configured(name, tool, arguments).await,
                (None, Some(files)) => files.call(name, arguments).await,
                (None, None) => Err(format!("there is no tool {name}")),
            }
        })
    }

    fn changed_files(&self) -> Vec<String> {
        self.files.as_ref().map(|files| files.changed_files()).unwrap_or_default()
    }

    fn acted(&self) -> bool {
        // What an earlier attempt did is not done again by another one, which goes on from there as this one does.
        self.acted.load(Ordering::SeqCst) || self.files.as_ref().is_some_and(|files| files.acted())
    }

    fn waits(&self) -> bool {
        self.state().question.is_some()
    }

    fn keep(&self, said: Value) {
        let mut state = self.state();
        let asked = state.question.as_ref().and_then(|question| question.metadata.clone());
        state.said = Some(json!({"asked": asked, "said": said}));
    }

    fn kept(&self) -> Option<Value> {
        self.lent.going_on.as_ref().and_then(|going_on| going_on.kept.get("said").cloned())
    }

    fn max_turns(&self) -> u32 {
        self.files.as_ref().map_or(crate::tools::Bounds::default().max_turns, |files| files.max_turns())
    }
}

/// A schema as a model is told of it: what is fixed it need not give.
fn open(mut schema: serde_json::Map<String, Value>, tool: &Definition) -> Value {
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| !name.as_str().is_some_and(|name| tool.fixed_args.contains_key(name)));
    }
    Value::Object(schema)
}
