//! A little deterministic promise world, first in first out like JavaScript's microtasks, as a driver of random workflows.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use owf::core::call::{ApprovalAsk, Ask, CallKind, CallSpec, Decider, Decision};
use owf::core::event::LogLevel;
use owf::core::ids::CallId;
use owf::core::machine::BudgetView;
use owf::core::op::{DriverState, Op};
use owf::core::outcome::{CallStatus, Outcome};
use owf::core::run::{RunError, RunErrorCode};
use owf::front::driver::{Driver, DriverStep};
use serde_json::{Value, json};

use super::program::{Kind, Node, Shape};
use super::rng::hash;

/// A settled promise: a value, or the message of what was thrown.
type Settled = Result<Value, String>;
type Task = Pin<Box<dyn Future<Output = ()>>>;
type Eval = Pin<Box<dyn Future<Output = Settled>>>;

/// What the script saw and did, in order. Two runs of the same script with the same trace are the same history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Requested(Asked),
    Cancelled(CallId),
    Spent(u64),
    Delivered(Asked, CallStatus, Value),
}

/// A request as the script counts it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Asked {
    pub(crate) prompt: String,
    pub(crate) kind: Kind,
    pub(crate) occurrence: u32,
}

#[derive(Default)]
struct PromiseState {
    settled: Option<Settled>,
    waiters: Vec<usize>,
}

#[derive(Clone, Default)]
struct Promise(Rc<RefCell<PromiseState>>);

#[derive(Default)]
struct Host {
    tasks: RefCell<Vec<Option<Task>>>,
    queue: RefCell<VecDeque<usize>>,
    current: Cell<usize>,
    ops: RefCell<Vec<Op>>,
    calls: RefCell<Vec<(Asked, Promise)>>,
    counts: RefCell<HashMap<(String, Kind), u32>>,
    arrivals: RefCell<Vec<Value>>,
    spent: Cell<u64>,
    seen: RefCell<Vec<Seen>>,
    logs: Cell<usize>,
}

/// Waits for a promise: always one turn of the queue, as in JavaScript.
struct Wait {
    host: Rc<Host>,
    promise: Promise,
    queued: bool,
}

impl Future for Wait {
    type Output = Settled;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Settled> {
        let mut state = self.promise.0.borrow_mut();
        match (&state.settled, self.queued) {
            (Some(settled), true) => return Poll::Ready(settled.clone()),
            (Some(_), false) => self.host.queue.borrow_mut().push_back(self.host.current.get()),
            (None, _) => state.waiters.push(self.host.current.get()),
        }
        drop(state);
        self.queued = true;
        Poll::Pending
    }
}

impl Host {
    fn spawn(self: &Rc<Self>, future: impl Future<Output = Settled> + 'static) -> Promise {
        let promise = Promise::default();
        let (host, result) = (self.clone(), promise.clone());
        let task: Task = Box::pin(async move {
            let settled = future.await;
            host.settle(&result, settled);
        });
        self.tasks.borrow_mut().push(Some(task));
        self.queue.borrow_mut().push_back(self.tasks.borrow().len() - 1);
        promise
    }

    fn settle(&self, promise: &Promise, settled: Settled) {
        let mut state = promise.0.borrow_mut();
        if state.settled.is_none() {
            state.settled = Some(settled);
            self.queue.borrow_mut().extend(std::mem::take(&mut state.waiters));
        }
    }

    fn wait(self: &Rc<Self>, promise: Promise) -> Wait {
        Wait { host: self.clone(), promise, queued: false }
    }

    fn pump(&self) {
        loop {
            let Some(id) = self.queue.borrow_mut().pop_front() else { return };
            let Some(mut task) = self.tasks.borrow_mut()[id].take() else { continue };
            self.current.set(id);
            if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                self.tasks.borrow_mut()[id] = Some(task);
            }
        }
    }

    fn spent(&self) -> u64 {
        self.seen.borrow_mut().push(Seen::Spent(self.spent.get()));
        self.spent.get()
    }

    fn request(&self, prompt: String, kind: Kind) -> (CallId, Promise) {
        let occurrence = {
            let mut counts = self.counts.borrow_mut();
            let count = counts.entry((prompt.clone(), kind)).or_default();
            *count += 1;
            *count
        };
        let spec = spec(&prompt, kind);
        let asked = Asked { prompt, kind, occurrence };
        self.seen.borrow_mut().push(Seen::Requested(asked.clone()));
        self.ops.borrow_mut().push(Op::Request(Box::new(spec)));
        let promise = Promise::default();
        let mut calls = self.calls.borrow_mut();
        calls.push((asked, promise.clone()));
        (CallId(calls.len() as _), promise)
    }

    async fn call(self: Rc<Self>, prompt: String, kind: Kind) -> Settled {
        self.logs.set(self.logs.get() + 1);
        let line = Op::Log { level: LogLevel::Info, message: prompt.clone(), fields: None };
        self.ops.borrow_mut().push(line);
        let (_, promise) = self.request(prompt, kind);
        self.wait(promise).await
    }

    fn cancel(&self, call_id: CallId) {
        self.seen.borrow_mut().push(Seen::Cancelled(call_id));
        self.ops.borrow_mut().push(Op::Cancel(call_id));
    }

    /// The prompt and kind of a call node.
    fn asks(&self, node: &Node, previous: &Value) -> (String, Kind) {
        match &node.shape {
            Shape::Call { prompt, kind, uses, order } => {
                let mut prompt = prompt.clone();
                if *uses {
                    prompt = format!("{prompt}|{previous}");
                }
                if *order {
                    let arrivals = self.arrivals.borrow();
                    let last = &arrivals[arrivals.len().saturating_sub(3)..];
                    prompt = format!("{prompt}|{}", Value::from(last.to_vec()));
                }
                (prompt, *kind)
            }
            _ => unreachable!("not a call: {node:?}"),
        }
    }
}

fn spec(prompt: &str, kind: Kind) -> CallSpec {
    let text = Some(prompt.to_owned());
    match kind {
        Kind::Ro => CallSpec::new(CallKind::Agent, Ask { prompt: text, ..Ask::default() }),
        Kind::Mut => {
            let write_scope = Some(vec!["src".to_owned()]);
            CallSpec::new(CallKind::Agent, Ask { prompt: text, write_scope, ..Ask::default() })
        }
        Kind::Timer => {
            let timer_ms = prompt.strip_prefix("timer:").and_then(|ms| ms.parse().ok());
            CallSpec::new(CallKind::Timer, Ask { timer_ms, ..Ask::default() })
        }
        Kind::Approval => {
            let approval = ApprovalAsk {
                message: prompt.to_owned(),
                metadata: None,
                decider: Decider::Any,
                expires_in_ms: None,
                on_timeout: Decision::Deny,
            };
            CallSpec::new(CallKind::Approval, Ask { approval: Some(approval), ..Ask::default() })
        }
    }
}

fn number(value: &Value) -> u64 {
    hash(&value.to_string(), 0)
}

fn eval(node: &Rc<Node>, previous: Value, host: &Rc<Host>) -> Eval {
    Box::pin(evaluate(node.clone(), previous, host.clone()))
}

async fn join(promises: Vec<Promise>, host: &Rc<Host>) -> Settled {
    let mut values = Vec::new();
    for promise in promises {
        values.push(host.wait(promise).await?);
    }
    Ok(values.into())
}

async fn evaluate(node: Rc<Node>, previous: Value, host: Rc<Host>) -> Settled {
    let children = node.children.clone();
    match &node.shape {
        Shape::Call { .. } => {
            let (prompt, kind) = host.asks(&node, &previous);
            host.call(prompt, kind).await
        }
        Shape::Seq => {
            let mut value = previous;
            for child in &children {
                value = eval(child, value, &host).await?;
            }
            Ok(value)
        }
        Shape::Par => {
            let slot = |child: &Rc<Node>| {
                let slot = eval(child, previous.clone(), &host);
                host.spawn(async move { Ok(slot.await.unwrap_or(Value::Null)) })
            };
            let promises = children.iter().map(slot).collect();
            join(promises, &host).await
        }
        Shape::FailFast => fail_fast(&children, &previous, &host).await,
        Shape::Pipe(items) => {
            let item = |i: usize| {
                let (stages, host) = (children.clone(), host.clone());
                async move {
                    let mut value = json!(i);
                    for stage in &stages {
                        value = eval(stage, value, &host).await.unwrap_or(Value::Null);
                        if value.is_null() {
                            break;
                        }
                    }
                    Ok(value)
                }
            };
            let promises = (0..*items).map(|i| host.spawn(item(i))).collect();
            join(promises, &host).await
        }
        Shape::If => {
            let branch = (number(&previous) % 2) as usize;
            eval(&children[branch], previous, &host).await
        }
        Shape::Try => match eval(&children[0], previous, &host).await {
            Ok(Value::Null) => eval(&children[1], json!("null"), &host).await,
            Ok(value) => Ok(value),
            Err(message) => eval(&children[1], json!(message), &host).await,
        },
        Shape::Loop(max) => {
            let mut value = previous.clone();
            for _ in 0..*max {
                value = eval(&children[0], previous.clone(), &host).await?;
                if !value.is_null() && number(&value).is_multiple_of(3) {
                    break;
                }
            }
            Ok(value)
        }
        Shape::Race => {
            let first = Promise::default();
            for child in &children {
                race(&first, eval(child, previous.clone(), &host), &host);
            }
            host.wait(first).await
        }
        Shape::Timer(ms) => {
            let first = Promise::default();
            race(&first, eval(&children[0], previous, &host), &host);
            let timer = host.clone().call(format!("timer:{ms}"), Kind::Timer);
            race(&first, async move { timer.await.map(|_| json!("timeout")) }, &host);
            host.wait(first).await
        }
        Shape::Approve(message) => {
            let answer = host.clone().call(message.clone(), Kind::Approval).await?;
            if answer == json!("granted") { eval(&children[0], previous, &host).await } else { Ok(json!("denied")) }
        }
        Shape::Budget(limit) => {
            let (mut value, mut turns) = (previous.clone(), 0);
            while host.spent() < *limit && turns < 8 {
                value = eval(&children[0], previous.clone(), &host).await?;
                turns += 1;
            }
            Ok(value)
        }
        Shape::Unawaited => {
            let (prompt, kind) = host.asks(&children[0], &previous);
            host.request(prompt, kind);
            Ok(previous)
        }
    }
}

/// Settles `first` with the value of `future`, null when it throws.
fn race(first: &Promise, future: impl Future<Output = Settled> + 'static, host: &Rc<Host>) {
    let (first, owner) = (first.clone(), host.clone());
    host.spawn(async move {
        let value = future.await.unwrap_or(Value::Null);
        owner.settle(&first, Ok(value));
        Ok(Value::Null)
    });
}

async fn fail_fast(calls: &[Rc<Node>], previous: &Value, host: &Rc<Host>) -> Settled {
    let request = |node: &Rc<Node>| {
        let (prompt, kind) = host.asks(node, previous);
        host.request(prompt, kind)
    };
    let requested: Vec<_> = calls.iter().map(request).collect();
    let ids: Vec<CallId> = requested.iter().map(|(id, _)| *id).collect();
    let slot = |(id, promise): &(CallId, Promise)| {
        let (host, promise, id, ids) = (host.clone(), promise.clone(), *id, ids.clone());
        async move {
            let value = host.wait(promise).await.unwrap_or(Value::Null);
            if value.is_null() {
                ids.iter().filter(|other| **other != id).for_each(|other| host.cancel(*other));
            }
            Ok(value)
        }
    };
    let promises = requested.iter().map(|call| host.spawn(slot(call))).collect();
    join(promises, host).await
}

/// Drives one workflow.
pub(crate) struct PromiseDriver {
    host: Rc<Host>,
    program: Rc<Node>,
    result: Promise,
}

impl PromiseDriver {
    pub(crate) fn new(program: &Rc<Node>) -> Self {
        Self { host: Rc::default(), program: program.clone(), result: Promise::default() }
    }

    /// What the script saw and did so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.host.seen.borrow().clone()
    }

    /// The request that is call `call_id`.
    pub(crate) fn asked(&self, call_id: CallId) -> Asked {
        self.host.calls.borrow()[call_id.0 as usize - 1].0.clone()
    }

    /// Lines logged so far.
    pub(crate) fn logs(&self) -> usize {
        self.host.logs.get()
    }

    fn step(&mut self) -> DriverStep {
        self.host.pump();
        let ops = std::mem::take(&mut *self.host.ops.borrow_mut());
        let state = match &self.result.0.borrow().settled {
            None => DriverState::Waiting,
            Some(Ok(value)) => DriverState::Returned(Some(value.clone())),
            Some(Err(message)) => DriverState::Failed(RunError::new(RunErrorCode::ScriptError, message.clone())),
        };
        DriverStep { ops, state }
    }
}

impl Driver for PromiseDriver {
    fn start(&mut self) -> DriverStep {
        let main = eval(&self.program, json!("start"), &self.host);
        self.result = self.host.spawn(main);
        self.step()
    }

    fn deliver(&mut self, call_id: CallId, outcome: &Outcome, budget: &BudgetView) -> DriverStep {
        let (asked, promise) = self.host.calls.borrow()[call_id.0 as usize - 1].clone();
        let settled = match (outcome.status, asked.kind) {
            (CallStatus::SchemaFailed | CallStatus::BudgetExhausted, _) => {
                Err(format!("{} {}", outcome.status.as_str(), asked.prompt))
            }
            (_, Kind::Approval) => match &outcome.decision {
                Some(note) if note.decision == Decision::Approve => Ok(json!("granted")),
                Some(_) | None => Ok(json!("no")),
            },
            (CallStatus::Done, Kind::Timer) => Ok(json!("t")),
            (CallStatus::Done, _) => Ok(outcome.value.clone().unwrap_or(Value::Null)),
            (_, _) => Ok(Value::Null),
        };
        let value = settled.clone().unwrap_or(Value::Null);
        self.host.spent.set(budget.spent.calls);
        self.host.seen.borrow_mut().push(Seen::Delivered(asked, outcome.status, value.clone()));
        self.host.arrivals.borrow_mut().push(value);
        self.host.settle(&promise, settled);
        self.step()
    }
}

impl Drop for PromiseDriver {
    fn drop(&mut self) {
        // Tasks that never ended own the host that owns them.
        drop(std::mem::take(&mut *self.host.tasks.borrow_mut()));
    }
}
