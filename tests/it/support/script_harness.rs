//! Drives a script with canned outcomes, without engine, store or provider.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use owf::core::call::CallSpec;
use owf::core::event::{LogLevel, Swallowed};
use owf::core::ids::CallId;
use owf::core::machine::BudgetView;
use owf::core::op::{DriverState, Op};
use owf::core::outcome::{CallError, ErrorClass, Outcome};
use owf::core::run::{EngineLimits, RunError};
use owf::front::driver::{Driver, DriverStep};
use owf::front::script::sandbox::{ScriptConfig, ScriptDriver};
use serde_json::{Value, json};

/// A configuration for `body` with nothing special.
pub(crate) fn config(body: &str) -> ScriptConfig {
    ScriptConfig {
        body: body.to_owned(),
        file_name: "test.js".to_owned(),
        args: None,
        budget: BudgetView::default(),
        limits: EngineLimits::default(),
        default_provider: "fake".to_owned(),
        personas: Vec::new(),
        group: None,
        log_prefix: None,
        worktrees: String::new(),
        is_child: false,
        depth: 0,
        abort: Arc::new(AtomicBool::new(false)),
    }
}

/// Runs `f` on a thread with the stack a script needs.
pub(crate) fn on_big_stack<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(16 * 1024 * 1024).spawn_scoped(scope, f).unwrap();
        match thread.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A script being driven step by step. Lives on the thread of [`on_big_stack`].
pub(crate) struct Stepper {
    driver: ScriptDriver,
    pub(crate) ops: Vec<Op>,
    pub(crate) calls: Vec<CallSpec>,
    pub(crate) state: DriverState,
    pub(crate) budget: BudgetView,
}

impl Stepper {
    pub(crate) fn start(config: ScriptConfig) -> Self {
        let budget = config.budget;
        let mut driver = ScriptDriver::new(config).unwrap();
        let step = driver.start();
        let mut stepper = Self { driver, ops: Vec::new(), calls: Vec::new(), state: DriverState::Waiting, budget };
        stepper.take(step);
        stepper
    }

    pub(crate) fn deliver(&mut self, id: u32, mut outcome: Outcome) -> &mut Self {
        outcome.call_id = CallId(id);
        let step = self.driver.deliver(CallId(id), &outcome, &self.budget);
        self.take(step);
        self
    }

    fn take(&mut self, step: DriverStep) {
        for op in &step.ops {
            if let Op::Request(spec) = op {
                self.calls.push((**spec).clone());
            }
        }
        self.ops.extend(step.ops);
        self.state = step.state;
    }

    pub(crate) fn prompts(&self) -> Vec<String> {
        self.calls.iter().map(|call| call.ask.prompt.clone().unwrap_or_default()).collect()
    }

    pub(crate) fn ran(self) -> Ran {
        Ran { ops: self.ops, calls: self.calls, state: self.state }
    }
}

/// What a script did, from start to end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ran {
    pub(crate) ops: Vec<Op>,
    pub(crate) calls: Vec<CallSpec>,
    pub(crate) state: DriverState,
}

impl Ran {
    /// The returned value.
    pub(crate) fn value(&self) -> Value {
        match &self.state {
            DriverState::Returned(Some(value)) => value.clone(),
            other => panic!("not a value: {other:?}, ops {:?}", self.ops),
        }
    }

    /// The error.
    pub(crate) fn error(&self) -> RunError {
        match &self.state {
            DriverState::Failed(error) => error.clone(),
            other => panic!("not an error: {other:?}"),
        }
    }

    /// The log lines.
    pub(crate) fn logs(&self) -> Vec<String> {
        self.leveled_logs().into_iter().map(|(_, line)| line).collect()
    }

    pub(crate) fn leveled_logs(&self) -> Vec<(LogLevel, String)> {
        self.ops
            .iter()
            .filter_map(|op| match op {
                Op::Log { level, message, .. } => Some((*level, message.clone())),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn swallowed(&self) -> Vec<Swallowed> {
        self.ops
            .iter()
            .filter_map(|op| match op {
                Op::Swallowed(swallowed) => Some(swallowed.clone()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn cancelled(&self) -> Vec<u32> {
        self.ops
            .iter()
            .filter_map(|op| match op {
                Op::Cancel(id) => Some(id.0),
                _ => None,
            })
            .collect()
    }
}

/// Runs a script; each call is answered in request order by `answer`.
pub(crate) fn run_with(config: ScriptConfig, answer: impl FnMut(u32, &CallSpec) -> Outcome + Send) -> Ran {
    on_big_stack(move || {
        let mut answer = answer;
        let mut stepper = Stepper::start(config);
        let mut next = 0;
        while stepper.state == DriverState::Waiting && next < stepper.calls.len() {
            let id = u32::try_from(next + 1).unwrap();
            let outcome = answer(id, &stepper.calls[next]);
            stepper.deliver(id, outcome);
            next += 1;
        }
        stepper.ran()
    })
}

/// Runs a script whose calls are answered with `answer to PROMPT`.
pub(crate) fn run(body: &str) -> Ran {
    run_with(config(body), |_, call| echo(call))
}

/// The value that `body` returns, its calls answered with `answer to PROMPT`.
pub(crate) fn value_of(body: &str) -> Value {
    run(body).value()
}

/// `answer to PROMPT`.
pub(crate) fn echo(call: &CallSpec) -> Outcome {
    text(&format!("answer to {}", call.ask.prompt.clone().unwrap_or_default()))
}

pub(crate) fn text(answer: &str) -> Outcome {
    done(json!(answer))
}

pub(crate) fn done(value: Value) -> Outcome {
    Outcome::done(CallId(1), Some(value))
}

pub(crate) fn failed(class: ErrorClass, message: &str) -> Outcome {
    Outcome::failed(CallId(1), CallError::new(class, message))
}

pub(crate) fn thrown(class: ErrorClass, message: &str, name: &str) -> Outcome {
    Outcome::failed(CallId(1), CallError::new(class, message).throwing(name))
}
