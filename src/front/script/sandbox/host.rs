//! What the prelude can ask of the Rust side: the operations of a stretch are collected here.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Value as JsValue};
use serde_json::Value;

use super::config::ScriptConfig;
use super::errors::Frames;
use super::{requests, result};
use crate::core::call::CallSpec;
use crate::core::event::{LogLevel, Swallowed};
use crate::core::ids::{CallId, Hash};
use crate::core::machine::BudgetView;
use crate::core::op::Op;

/// How the outcome of a call is handed to the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A value, `null` or a throw.
    Agent,
    /// The same, with a log line.
    Workflow,
    /// A value or a throw.
    Tool,
    /// A decision.
    Approval,
    /// Nothing, once it is over.
    Sleep,
    /// A function is run.
    Timer,
}

/// A call that was requested and not delivered.
#[derive(Debug)]
pub(super) struct OpenCall {
    /// How its outcome is handed over.
    pub answer: Answer,
    /// What people call it.
    pub label: String,
    /// Whether the script gets the full result object.
    pub full: bool,
}

/// What the body came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Settled {
    /// It returned: JSON, none is `undefined`.
    Returned(Option<String>),
    /// It threw, or its value is not JSON.
    Failed(Thrown),
}

/// An exception as the prelude describes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Thrown {
    /// Whether it was thrown while the returned value was encoded.
    pub by_result: bool,
    /// `e.name`.
    pub name: Option<String>,
    /// `e.message`, or the text of what was thrown.
    pub message: String,
    /// `e.stack`.
    pub stack: String,
    /// The call it came from.
    pub call: Option<CallId>,
    /// Whether `null` was thrown: what the engine throws when even an error cannot be allocated.
    pub null: bool,
}

/// The state that the prelude's functions work on.
#[derive(Debug)]
pub(super) struct Shared {
    /// What the script did since the last step.
    pub ops: Vec<Op>,
    /// Calls requested so far.
    pub requested: u64,
    /// Calls whose outcome somebody may wait for.
    pub open: HashMap<u64, OpenCall>,
    /// What the script reads as spent.
    pub budget: BudgetView,
    /// How the body ended.
    pub settled: Option<Settled>,
    /// A rejection nobody handled that looks like exhausted memory.
    pub memory_hint: bool,
    /// Agent types used so far.
    pub used_types: HashSet<String>,
    /// Child workflows started so far, by name.
    pub groups: HashMap<String, u32>,
    /// Known agent types.
    pub personas: Vec<(String, Hash)>,
    /// The provider of calls that name none.
    pub default_provider: String,
    /// Reads stacks.
    pub frames: Frames,
    phase: Option<String>,
    group: Option<String>,
    log_prefix: String,
    child_refusal: Option<String>,
}

impl Shared {
    /// The state before the script starts.
    pub(super) fn new(config: &ScriptConfig, frames: Frames) -> Self {
        let depth = if config.is_child { config.depth.max(1) } else { config.depth };
        let child_refusal = (depth >= config.limits.nesting).then(|| {
            format!(
                "workflow() cannot be called here: child workflows nest {} deep at most, and this one is at level {depth}",
                config.limits.nesting
            )
        });
        Self {
            ops: Vec::new(),
            requested: 0,
            open: HashMap::new(),
            budget: config.budget,
            settled: None,
            memory_hint: false,
            used_types: HashSet::new(),
            groups: HashMap::new(),
            personas: config.personas.clone(),
            default_provider: config.default_provider.clone(),
            frames,
            phase: None,
            group: config.group.clone(),
            log_prefix: config.log_prefix.clone().unwrap_or_default(),
            child_refusal,
        }
    }

    /// The phase of a call that asks for `own`.
    pub(super) fn phase_of(&self, own: Option<String>) -> Option<String> {
        self.group.clone().or(own).or_else(|| self.phase.clone())
    }

    /// Appends a log line.
    pub(super) fn log(&mut self, level: LogLevel, message: String, fields: Option<Value>) {
        let message = if self.log_prefix.is_empty() { message } else { format!("{}{message}", self.log_prefix) };
        self.ops.push(Op::Log { level, message, fields });
    }

    fn set_phase(&mut self, title: String) {
        if self.group.is_none() {
            self.ops.push(Op::Phase(title.clone()));
            self.phase = Some(title);
        }
    }

    fn request(&mut self, kind: &str, text: String, fields: &str, stack: &str, full: bool) -> Result<u64, String> {
        if kind == "workflow"
            && let Some(refusal) = &self.child_refusal
        {
            return Err(refusal.clone());
        }
        let site = self.frames.site(stack);
        let (spec, answer) = requests::build(self, kind, text, fields, site)?;
        Ok(self.push(spec, answer, full))
    }

    fn push(&mut self, spec: CallSpec, answer: Answer, full: bool) -> u64 {
        self.requested += 1;
        self.open.insert(self.requested, OpenCall { answer, label: spec.label.clone(), full });
        self.ops.push(Op::Request(Box::new(spec)));
        self.requested
    }

    fn swallowed(&mut self, place: String, message: String, stack: &str, call: f64) {
        let line = self.frames.site(stack).map(|site| site.line);
        self.ops.push(Op::Swallowed(Swallowed { place, line, message, call_id: call_id(call) }));
    }

    fn cancel(&mut self, call: f64, forget: bool) {
        if let Some(id) = call_id(call) {
            if forget {
                self.open.remove(&(call as u64));
            }
            self.ops.push(Op::Cancel(id));
        }
    }

    /// Tokens, US dollars or calls: the total (-1: none) or what is spent.
    fn budget(&self, which: i32, total: bool) -> f64 {
        let (limits, spent) = (self.budget.limits, self.budget.spent);
        let (limit, used, unit) = match which {
            0 => (limits.tokens, spent.tokens, 1.0),
            1 => (limits.cost_nanos, spent.cost_nanos, 1e9),
            _ => (limits.calls, spent.calls, 1.0),
        };
        if total { limit.map_or(-1.0, |limit| limit as f64 / unit) } else { used as f64 / unit }
    }
}

/// The call with this number; 0 is none.
pub(super) fn call_id(number: f64) -> Option<CallId> {
    (number >= 1.0).then_some(CallId(number as _))
}

fn level(number: i32) -> LogLevel {
    match number {
        0 => LogLevel::Debug,
        2 => LogLevel::Warn,
        3 => LogLevel::Error,
        _ => LogLevel::Info,
    }
}

/// The object that the prelude calls. It is given to the prelude alone; a script cannot reach it.
pub(super) fn object<'js>(ctx: &Ctx<'js>, shared: &Rc<RefCell<Shared>>, fan_out: u32) -> rquickjs::Result<Object<'js>> {
    let host = Object::new(ctx.clone())?;
    host.set("fanOut", fan_out)?;
    let s = Rc::clone(shared);
    host.set(
        "request",
        Function::new(
            ctx.clone(),
            move |ctx: Ctx<'js>, kind: String, text: String, fields: String, stack: String, full: bool| {
                let made = s.borrow_mut().request(&kind, text, &fields, &stack, full);
                match made {
                    Ok(id) => Ok(JsValue::new_number(ctx, id as f64)),
                    Err(message) => rquickjs::String::from_str(ctx, &message).map(rquickjs::String::into_value),
                }
            },
        ),
    )?;
    let s = Rc::clone(shared);
    host.set(
        "log",
        Function::new(ctx.clone(), move |severity: i32, message: String, fields: Option<String>| {
            let fields = fields.and_then(|text| serde_json::from_str(&text).ok());
            s.borrow_mut().log(level(severity), message, fields);
        }),
    )?;
    let s = Rc::clone(shared);
    host.set("phase", Function::new(ctx.clone(), move |title: String| s.borrow_mut().set_phase(title)))?;
    let s = Rc::clone(shared);
    host.set(
        "swallowed",
        Function::new(ctx.clone(), move |place: String, message: String, stack: String, call: f64| {
            s.borrow_mut().swallowed(place, message, &stack, call);
        }),
    )?;
    let s = Rc::clone(shared);
    host.set("cancel", Function::new(ctx.clone(), move |call: f64, forget: bool| s.borrow_mut().cancel(call, forget)))?;
    let s = Rc::clone(shared);
    host.set("budget", Function::new(ctx.clone(), move |which: i32, total: bool| s.borrow().budget(which, total)))?;
    host.set("emptyResult", Function::new(ctx.clone(), result::empty))?;
    let s = Rc::clone(shared);
    host.set(
        "returned",
        Function::new(ctx.clone(), move |text: Option<String>| {
            s.borrow_mut().settled = Some(Settled::Returned(text));
        }),
    )?;
    let s = Rc::clone(shared);
    host.set(
        "failed",
        Function::new(
            ctx.clone(),
            move |code: i32, name: Option<String>, message: String, stack: String, call: f64, null: bool| {
                let thrown = Thrown { by_result: code == 1, name, message, stack, call: call_id(call), null };
                s.borrow_mut().settled = Some(Settled::Failed(thrown));
            },
        ),
    )?;
    Ok(host)
}
