//! The driver of a document: every decision follows from delivered outcomes in their order.

use std::collections::{BTreeSet, HashSet, VecDeque};

use minijinja::Value;
use serde_json::{Value as Json, json};

use super::inputs;
use super::plan::{Command, Kind, Outputs, Plan};
use super::progress::{End, Progress, Stand};
use super::shared::Shared;
use super::template::{Template, from_json};
use super::values::{Names, TaskResult};
use crate::core::call::{Ask, CallKind, CallSpec, ChatMessage, OnceAsk, WorkflowAsk, WorkflowTarget};
use crate::core::event::LogLevel;
use crate::core::ids::{CallId, Hash};
use crate::core::machine::BudgetView;
use crate::core::op::{DriverState, Op};
use crate::core::outcome::{CallError, CallStatus, ErrorClass, Outcome};
use crate::core::run::{RunError, RunErrorCode};
use crate::core::work::{CommandAsk, OutputsAsk, ToolAsk};
use crate::front::driver::{Driver, DriverStep};

/// What [`DocumentDriver`] needs to run one document.
#[derive(Debug, Clone)]
pub struct DocumentConfig {
    /// The document.
    pub plan: Plan,
    /// The run, for `run.id`.
    pub run_id: String,
    /// The args; none is an empty object.
    pub args: Option<Json>,
    /// The provider of calls that name none.
    pub default_provider: String,
    /// Known agent types with the hash of their content.
    pub personas: Vec<(String, Hash)>,
    /// Items of one `for_each` at most.
    pub fan_out: u32,
}

/// What a requested call is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// It records how a task ended.
    Record,
    /// It asks before a task.
    Approval { task: usize, generation: u32 },
    /// It waits before a task is done again.
    Wait { task: usize, generation: u32 },
    /// It does a task, or one item of it.
    Work { task: usize, generation: u32, item: usize, takes_slot: bool },
}

/// Runs one document.
pub struct DocumentDriver {
    pub(super) plan: Plan,
    pub(super) config: DocumentConfig,
    pub(super) input: Value,
    pub(super) run: Value,
    pub(super) state: Shared,
    pub(super) state_check: Option<jsonschema::Validator>,
    pub(super) tasks: Vec<Progress>,
    roles: Vec<Role>,
    /// Calls without a delivered outcome.
    open: usize,
    /// Calls that take one of the places of `concurrency`.
    in_flight: usize,
    /// Work that may start and takes a place, by task and item.
    pub(super) ready: BTreeSet<(usize, usize)>,
    /// Work that may start and needs none: expressions.
    pub(super) ready_free: BTreeSet<(usize, usize)>,
    /// Ended tasks whose end the others have not heard of.
    pub(super) news: VecDeque<usize>,
    pub(super) ops: Vec<Op>,
    /// The first error that fails the run.
    pub(super) error: Option<RunError>,
    /// Nothing more may start: `fail_fast`.
    pub(super) stopping: bool,
    /// A task ended the run: what there is so far.
    pub(super) cancelled: Option<Json>,
    used_types: HashSet<String>,
}

impl std::fmt::Debug for DocumentDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DocumentDriver").field("document", &self.plan.name).finish_non_exhaustive()
    }
}

impl Driver for DocumentDriver {
    fn start(&mut self) -> DriverStep {
        let args = self.config.args.take().unwrap_or_else(|| json!({}));
        match inputs::complete(&self.plan, args) {
            Ok(args) => self.input = from_json(&args),
            Err(problems) => {
                let error = RunError::new(RunErrorCode::ScriptError, problems.join("; "));
                return DriverStep { ops: Vec::new(), state: DriverState::Failed(error) };
            }
        }
        for task in 0..self.plan.tasks.len() {
            self.consider(task);
        }
        self.go_on()
    }

    fn deliver(&mut self, call_id: CallId, outcome: &Outcome, _: &BudgetView) -> DriverStep {
        self.open = self.open.saturating_sub(1);
        let role = self.roles.get((call_id.0 as usize).wrapping_sub(1)).copied();
        match role {
            None | Some(Role::Record) => {}
            Some(Role::Approval { task, generation }) => {
                if self.tasks[task].generation == generation {
                    self.tasks[task].calls.retain(|c| *c != call_id);
                    self.decided(task, call_id, outcome);
                }
            }
            Some(Role::Wait { task, generation }) => {
                if self.tasks[task].generation == generation {
                    self.tasks[task].calls.retain(|c| *c != call_id);
                    self.waited(task, call_id, outcome);
                }
            }
            Some(Role::Work { task, generation, item, takes_slot }) => {
                self.in_flight -= usize::from(takes_slot);
                if self.tasks[task].generation == generation {
                    self.tasks[task].calls.retain(|c| *c != call_id);
                    self.worked(task, item, call_id, outcome);
                }
            }
        }
        self.go_on()
    }
}

impl DocumentDriver {
    /// A driver that has not started.
    pub fn new(mut config: DocumentConfig) -> Self {
        let plan = std::mem::replace(&mut config.plan, Plan::empty());
        let run = json!({"id": config.run_id, "mode": plan.mode, "workflow": plan.name});
        let tasks = plan.tasks.iter().map(Progress::of).collect();
        let state_check = plan.state_schema.as_ref().and_then(|s| super::schemas::validator(s).ok());
        Self {
            state: Shared::of(plan.state.clone()),
            state_check,
            input: Value::UNDEFINED,
            run: from_json(&run),
            tasks,
            plan,
            config,
            roles: Vec::new(),
            open: 0,
            in_flight: 0,
            ready: BTreeSet::new(),
            ready_free: BTreeSet::new(),
            news: VecDeque::new(),
            ops: Vec::new(),
            error: None,
            stopping: false,
            cancelled: None,
            used_types: HashSet::new(),
        }
    }

    /// Tells the ends of tasks, starts what may start, and says where the document stands.
    fn go_on(&mut self) -> DriverStep {
        loop {
            self.spread();
            let full = self.plan.concurrency.is_some_and(|most| self.in_flight >= most as usize);
            let waiting = if full { None } else { self.ready.first().copied() };
            let next = match (waiting, self.ready_free.first().copied()) {
                (Some(one), Some(other)) => one.min(other),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => break,
            };
            self.ready.remove(&next);
            self.ready_free.remove(&next);
            self.start_work(next.0, next.1);
        }
        if let Some(output) = self.cancelled.take() {
            return DriverStep { ops: std::mem::take(&mut self.ops), state: DriverState::Cancelled(Some(output)) };
        }
        let state = if self.open > 0 { DriverState::Waiting } else { self.end() };
        DriverStep { ops: std::mem::take(&mut self.ops), state }
    }

    fn end(&mut self) -> DriverState {
        if let Some(error) = self.error.take() {
            return DriverState::Failed(error);
        }
        if let Some(stuck) = self.tasks.iter().position(|t| !matches!(t.stand, Stand::Ended(_))) {
            let message = format!("task `{}` waits for something that cannot happen", self.plan.tasks[stuck].id);
            return DriverState::Failed(RunError::new(RunErrorCode::Deadlock, message));
        }
        match self.result() {
            Ok(value) => DriverState::Returned(Some(value)),
            Err(message) => DriverState::Failed(RunError::new(
                RunErrorCode::TaskFailed,
                format!("the result cannot be made: {message}"),
            )),
        }
    }

    fn result(&self) -> Result<Json, String> {
        if let Some(result) = &self.plan.result {
            return self.eval(result, None, None, None);
        }
        let value = |task: usize| {
            let result = self.tasks[task].result.as_ref();
            result.and_then(|r| r.json.as_deref()).cloned().unwrap_or(Json::Null)
        };
        let last = self.plan.last();
        Ok(match last[..] {
            [one] => value(one),
            _ => Json::Object(last.iter().map(|task| (self.plan.tasks[*task].id.clone(), value(*task))).collect()),
        })
    }

    /// Evaluates a template; `task` is where it stands.
    pub(super) fn eval(
        &self,
        template: &Template,
        task: Option<usize>,
        item: Option<usize>,
        output: Option<&TaskResult>,
    ) -> Result<Json, String> {
        self.within(task, item, output, |names| template.eval(names))
    }

    /// Runs `work` with what names stand for in a place.
    pub(super) fn within<T>(
        &self,
        task: Option<usize>,
        item: Option<usize>,
        output: Option<&TaskResult>,
        work: impl FnOnce(&Names<'_>) -> T,
    ) -> T {
        let prefix = task.and_then(|t| self.plan.tasks[t].prefix.as_deref());
        let results = |id: &str| {
            let index = self.plan.find(prefix, id)?;
            output.filter(|_| Some(index) == task).or(self.tasks[index].result.as_ref())
        };
        let progress = task.map(|t| &self.tasks[t]);
        let names = Names {
            results: &results,
            input: &self.input,
            state: self.state.now(),
            run: &self.run,
            item: progress.zip(item).and_then(|(p, i)| p.items.get(i)).map(from_json),
            looped: progress.map(Progress::looped),
            output,
        };
        work(&names)
    }

    pub(super) fn log(&mut self, level: LogLevel, message: String, fields: Json) {
        self.ops.push(Op::Log { level, message, fields: Some(fields) });
    }

    pub(super) fn request(&mut self, spec: CallSpec, role: Role) -> CallId {
        self.ops.push(Op::Request(Box::new(spec)));
        self.roles.push(role);
        self.open += 1;
        let call_id = CallId(self.roles.len() as u32);
        match role {
            Role::Record => {}
            Role::Approval { task, .. } | Role::Wait { task, .. } => self.tasks[task].calls.push(call_id),
            Role::Work { task, takes_slot, .. } => {
                self.in_flight += usize::from(takes_slot);
                self.tasks[task].calls.push(call_id);
            }
        }
        call_id
    }

    /// A request of a task, but for what it asks.
    pub(super) fn spec(&self, task: usize, kind: CallKind, ask: Ask) -> CallSpec {
        let written = &self.plan.tasks[task];
        CallSpec {
            label: written.id.clone(),
            site: Some(written.site),
            metadata: written.metadata.clone(),
            ..CallSpec::new(kind, ask)
        }
    }

    /// Records how a task ended that no call of its own shows.
    pub(super) fn record(&mut self, task: usize, status: CallStatus, class: ErrorClass, message: &str) {
        let written = &self.plan.tasks[task];
        let kind = match (&written.kind, status) {
            // That a call went well and its task did not is no fact of the agent.
            (_, CallStatus::Failed) | (Kind::Expr { .. } | Kind::Approval, _) => CallKind::Expr,
            (Kind::Agent { .. }, _) => CallKind::Agent,
            (Kind::Command(_), _) => CallKind::Command,
            (Kind::Tool { .. }, _) => CallKind::Tool,
            (Kind::Workflow { .. }, _) => CallKind::Workflow,
        };
        let ask = Ask { extra: Some(json!({"task": written.id, "ended": status.as_str()})), ..Ask::default() };
        let error = CallError::new(class, message);
        let outcome = Outcome { status, error: Some(error), ..Outcome::new(CallId(0), status) };
        let spec = CallSpec { known: Some(Box::new(outcome)), ..self.spec(task, kind, ask) };
        self.request(spec, Role::Record);
    }

    /// Starts one piece of work: everything about it is evaluated now.
    fn start_work(&mut self, task: usize, item: usize) {
        let written = self.plan.tasks[task].clone();
        let of = written.for_each.is_some().then_some(item);
        let generation = self.tasks[task].generation;
        let made = match &written.kind {
            Kind::Agent { ask, prompt, .. } => {
                let prompt = self.within(Some(task), of, None, |n| prompt.eval_text(n));
                let prompt = prompt.and_then(|text| {
                    if text.trim().is_empty() { Err("the prompt is empty".to_owned()) } else { Ok(text) }
                });
                prompt.and_then(|prompt| {
                    let (messages, outputs) = (self.messages(task, of)?, self.outputs(task, of)?);
                    let once = self.once(task, of)?;
                    let ask = Ask { prompt: Some(prompt), messages, outputs, once, ..Ask::clone(ask) };
                    let mode = ask.tools.is_some().then(|| self.plan.mode.clone()).flatten();
                    Ok((CallSpec { mode, ..self.work(task, CallKind::Agent, ask) }, true))
                })
            }
            Kind::Command(command) => self.command(task, of, command).map(|spec| (spec, true)),
            Kind::Tool { name, args } => self.tool(task, of, name, args.as_ref()).map(|spec| (spec, true)),
            Kind::Expr { source, value } => {
                let ask = Ask { extra: Some(json!({"task": written.id, "expr": source})), ..Ask::default() };
                let outcome = match self.eval(value, Some(task), of, None) {
                    Ok(value) => Outcome::done(CallId(0), Some(value)),
                    Err(message) => Outcome::failed(CallId(0), CallError::new(ErrorClass::Document, message)),
                };
                let spec = self.spec(task, CallKind::Expr, ask);
                Ok((CallSpec { known: Some(Box::new(outcome)), ..spec }, false))
            }
            Kind::Workflow { target, args } => {
                let args = args.as_ref().map(|args| self.eval(args, Some(task), of, None)).transpose();
                args.map(|args| {
                    let ask = WorkflowAsk { target: target.clone(), args };
                    let ask = Ask { workflow: Some(ask), ..Ask::default() };
                    let name = match target {
                        WorkflowTarget::Name(name) | WorkflowTarget::Path(name) => name,
                    };
                    let spec = self.spec(task, CallKind::Workflow, ask);
                    (CallSpec { phase: Some(format!("▸ {name}")), ..spec }, true)
                })
            }
            // Its decision is its work; it never comes here.
            Kind::Approval => return,
        };
        match made {
            Ok((mut spec, takes_slot)) => {
                spec.cleanup.clone_from(&written.cleanup);
                if of.is_some() {
                    spec.label = format!("{}[{item}]", written.id);
                }
                self.persona(&mut spec);
                self.request(spec, Role::Work { task, generation, item, takes_slot });
            }
            Err(message) => self.not_made(task, item, message),
        }
    }

    /// A request of a task that attempts are made at.
    fn work(&self, task: usize, kind: CallKind, ask: Ask) -> CallSpec {
        let written = &self.plan.tasks[task];
        CallSpec {
            timeout_ms: written.timeout_ms,
            retry: written.retry.clone(),
            cache: written.cache,
            ..self.spec(task, kind, ask)
        }
    }

    /// What makes a request one that is carried out once.
    fn once(&self, task: usize, item: Option<usize>) -> Result<Option<OnceAsk>, String> {
        let written = &self.plan.tasks[task];
        let Some(key) = &written.idempotency_key else { return Ok(None) };
        let key = self.within(Some(task), item, None, |n| key.eval_text(n));
        let key = key.map_err(|message| format!("`idempotency_key`: {message}"))?;
        if key.trim().is_empty() {
            return Err("`idempotency_key` is empty".to_owned());
        }
        Ok(Some(OnceAsk { task: written.id.clone(), key }))
    }

    /// The files a task is to make.
    fn outputs(&self, task: usize, item: Option<usize>) -> Result<Option<OutputsAsk>, String> {
        let text = |template: &Template| self.within(Some(task), item, None, |n| template.eval_text(n));
        Ok(match &self.plan.tasks[task].outputs {
            None => None,
            Some(Outputs::Files(files)) => Some(OutputsAsk::Files(files.iter().map(text).collect::<Result<_, _>>()?)),
            Some(Outputs::Pattern(pattern)) => Some(OutputsAsk::Pattern(text(pattern)?)),
            Some(Outputs::From(path)) => Some(OutputsAsk::From(path.clone())),
        })
    }

    /// The request of a program, each word of it evaluated for itself: what a template gives never becomes two words.
    fn command(&self, task: usize, item: Option<usize>, command: &Command) -> Result<CallSpec, String> {
        let text = |template: &Template| self.within(Some(task), item, None, |n| template.eval_text(n));
        let asked = CommandAsk {
            argv: command.argv.iter().map(text).collect::<Result<_, _>>()?,
            cwd: command.cwd.as_ref().map(text).transpose()?,
            input: command.input.as_ref().map(text).transpose()?,
            read_only: command.read_only,
        };
        let (outputs, once) = (self.outputs(task, item)?, self.once(task, item)?);
        let ask = Ask { command: Some(asked), outputs, once, ..command.ask.clone() };
        Ok(self.work(task, CallKind::Command, ask))
    }

    /// What was said before the prompt of a task.
    fn messages(&self, task: usize, item: Option<usize>) -> Result<Option<Vec<ChatMessage>>, String> {
        let Some(template) = &self.plan.tasks[task].messages else { return Ok(None) };
        let value = self.eval(template, Some(task), item, None).map_err(|m| format!("`messages`: {m}"))?;
        let said: Vec<ChatMessage> = serde_json::from_value(value).map_err(|_| {
            "`messages` must be a list of {role, content}, with the roles user and assistant and texts".to_owned()
        })?;
        // None said before is the same request as none.
        Ok((!said.is_empty()).then_some(said))
    }

    /// The request of a tool, in the mode of the document.
    fn tool(&self, task: usize, item: Option<usize>, name: &str, args: Option<&Template>) -> Result<CallSpec, String> {
        let args = args.map(|args| self.eval(args, Some(task), item, None)).transpose()?.unwrap_or_else(|| json!({}));
        if !args.is_object() {
            return Err(format!("the arguments of a tool are an object, not {args}"));
        }
        let asked = ToolAsk { name: name.to_owned(), args, mode: self.plan.mode.clone() };
        let (outputs, once) = (self.outputs(task, item)?, self.once(task, item)?);
        let ask = Ask { tool: Some(asked), outputs, once, ..Ask::default() };
        Ok(self.work(task, CallKind::Tool, ask))
    }

    /// The agent file a request names, pinned at its first use.
    fn persona(&mut self, spec: &mut CallSpec) {
        let Some(name) = spec.ask.agent_type.clone() else { return };
        let hash = self.config.personas.iter().find(|(known, _)| *known == name).map(|(_, hash)| *hash);
        let provider = spec.ask.provider.as_deref().unwrap_or(&self.config.default_provider);
        let first = !self.used_types.contains(&name);
        if let Some(hash) = hash {
            spec.ask.persona = Some(hash);
            if first {
                self.ops.push(Op::Pin { kind: "persona".into(), name: name.clone(), hash, path: None });
            }
        } else if crate::core::run::is_fake(provider) {
            if first {
                let message =
                    format!("agent type \"{name}\" is not known here; the fake provider answers all the same");
                self.ops.push(Op::Warning { code: "unknown_agent_type".into(), message });
            }
        } else {
            let known: Vec<&str> = self.config.personas.iter().map(|(known, _)| known.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("agent type \"{name}\" is not known; known: {known}");
            spec.refused = Some(CallError::new(ErrorClass::BadRequest, message));
        }
        self.used_types.insert(name);
    }

    /// Ends a task for good in this pass; what comes after it hears of it next.
    pub(super) fn ended(&mut self, task: usize, end: End) {
        self.tasks[task].stand = Stand::Ended(end);
        self.news.push_back(task);
    }
}
