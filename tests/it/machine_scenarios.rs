//! Scenarios of the run machine by itself: budget, lost attempts, pauses, cancels, approvals, divergence, retries, ends.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::budget::{Charge, Ledger, Limits};
use owf::core::call::{ApprovalAsk, Ask, CallKind, CallSpec, Decider, Decision, OnLost, Retry};
use owf::core::event::{ApprovalKind, ApprovalNote, Event, Owner};
use owf::core::history::History;
use owf::core::ids::{ApprovalId, CallId, Hash, RunId};
use owf::core::machine::{Answer, AttemptReport, DecisionInput, Effect, Input, MachineConfig, Plan, Reuse, RunMachine};
use owf::core::op::{DriverState, Op};
use owf::core::outcome::{CacheNote, CallError, CallStatus, CostSource, ErrorClass, Outcome, Usage};
use owf::core::run::{
    OnProviderDown, RunError, RunErrorCode, RunOutcome, RunStatus, Settings, StatusReason, WorkflowKind,
};
use owf::core::time::Millis;
use serde_json::{Value, json};

#[path = "machine_scenarios/approvals.rs"]
mod approvals;
#[path = "machine_scenarios/budget.rs"]
mod budget;
#[path = "machine_scenarios/ends.rs"]
mod ends;
#[path = "machine_scenarios/keys.rs"]
mod keys;
#[path = "machine_scenarios/keys_random.rs"]
mod keys_random;
#[path = "machine_scenarios/lost.rs"]
mod lost;
#[path = "machine_scenarios/pause.rs"]
mod pause;
#[path = "machine_scenarios/retry.rs"]
mod retry;

/// A machine with its journal, driven by hand.
struct Sim {
    machine: RunMachine,
    ledger: Ledger,
    journal: Vec<(Millis, Event)>,
    now: i64,
    /// Whether the provider is a real one.
    real: bool,
}

/// What a scenario starts from.
#[derive(Clone)]
struct Setup {
    config: MachineConfig,
    max_calls: u64,
    journal: Vec<(Millis, Event)>,
    reuse: Reuse,
}

impl Setup {
    fn new() -> Self {
        let config = MachineConfig {
            run_id: RunId::new(Millis(0), [1; 5]),
            source_hash: Hash::of("source"),
            provider: "claude".to_owned(),
            limits: Limits::default(),
            schema_attempts: 3,
            on_provider_down: OnProviderDown::Pause,
            strict: false,
            linger: false,
            budget_base: Charge::default(),
            person_decides: false,
            waits: owf::core::run::EngineLimits::default().into(),
        };
        let spec = owf::core::run::RunSpec {
            format: 1,
            workflow_name: "w".to_owned(),
            description: String::new(),
            phases: Vec::new(),
            kind: WorkflowKind::Script,
            source_hash: Hash::of("source"),
            source_path: None,
            args: None,
            workspace: "/w".to_owned(),
            cwd: "/w".to_owned(),
            settings: Settings::default(),
            parent: None,
            root: None,
            depth: 0,
            resumed_from: None,
            diverged: None,
            started_by: "test".to_owned(),
            request_key: None,
            metadata: None,
            principal: None,
            hooks: Vec::new(),
            events: Vec::new(),
            notices: Vec::new(),
            asks: None,
            cleanups: Vec::new(),
            budget_base: Charge::default(),
        };
        let journal = vec![(Millis(0), Event::RunCreated { spec: Box::new(spec) })];
        Self { config, max_calls: 1000, journal, reuse: Reuse::default() }
    }

    fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    fn start(mut self) -> Sim {
        let owner = Owner { epoch: 1, pid: 1, host: "h".to_owned(), boot_id: String::new(), process_start: 0 };
        let now = self.journal.last().map_or(0, |(at, _)| at.0) + 1000;
        self.journal.push((Millis(now), Event::RunStarted { owner }));
        let history = History::of(self.journal.iter().map(|(at, event)| (*at, event)));
        let ledger = Ledger::new(self.config.limits, self.max_calls);
        Sim {
            machine: RunMachine::new(self.config, history, self.reuse),
            ledger,
            journal: self.journal,
            now,
            real: true,
        }
    }
}

impl Sim {
    fn on(&mut self, input: Input) -> Vec<Effect> {
        self.now += 1;
        let step = self.machine.on(input, Millis(self.now), &mut self.ledger);
        self.journal.extend(step.events.into_iter().map(|event| (Millis(self.now), event)));
        step.effects
    }

    /// The script requests these and waits.
    fn requests(&mut self, specs: &[CallSpec]) -> Vec<Effect> {
        let ops = specs.iter().map(|spec| Op::Request(Box::new(spec.clone()))).collect();
        self.on(Input::Ran { ops, state: DriverState::Waiting })
    }

    /// The script does nothing more for now.
    fn waits(&mut self) -> Vec<Effect> {
        self.requests(&[])
    }

    fn returns(&mut self, value: Value) -> Vec<Effect> {
        self.on(Input::Ran { ops: Vec::new(), state: DriverState::Returned(Some(value)) })
    }

    fn prepared(&mut self, call: u32) -> Vec<Effect> {
        let plan = Plan::Run {
            schema_attempts: None,
            provider: Some("claude".to_owned()),
            model: None,
            real: self.real,
            note: CacheNote::default(),
            record: None,
            child_run: None,
            pin: None,
            permit: true,
        };
        self.on(Input::Prepared { call_id: CallId(call), plan })
    }

    fn permitted(&mut self, call: u32, reserve: Charge) -> Vec<Effect> {
        self.on(Input::Permitted { call_id: CallId(call), reserve })
    }

    /// From `Prepare` to `Start`.
    fn begin(&mut self, call: u32) -> Vec<Effect> {
        assert_eq!(self.prepared(call), [Effect::Acquire { call_id: CallId(call) }]);
        self.permitted(call, one_call())
    }

    fn ended(&mut self, call: u32, attempt: u32, result: Result<Value, CallError>) -> Vec<Effect> {
        self.ended_with(call, attempt, result, Charge::default())
    }

    fn ended_with(&mut self, call: u32, attempt: u32, result: Result<Value, CallError>, charge: Charge) -> Vec<Effect> {
        let result = result.map(|value| Answer { value: Some(value), ..Answer::default() });
        let report = AttemptReport {
            usage: Usage { output_tokens: charge.tokens, ..Usage::default() },
            cost_nanos: (charge.cost_nanos > 0).then_some(charge.cost_nanos),
            cost_source: CostSource::Reported,
            charge,
            duration_ms: 1,
            ..AttemptReport::new(result)
        };
        self.on(Input::AttemptEnded { call_id: CallId(call), attempt, report: Box::new(report) })
    }

    /// An attempt that was asked to end says what it used.
    fn winds_down(&mut self, call: u32, attempt: u32, charge: Charge) -> Vec<Effect> {
        self.ended_with(call, attempt, Err(error(ErrorClass::Cancelled)), charge)
    }

    fn decides(&mut self, approval: u32, decision: Decision) -> Vec<Effect> {
        self.on(Input::Decided(decision_of(approval, decision)))
    }

    /// The recorded outcome of a call.
    fn outcome(&self, call: u32) -> Outcome {
        self.find(|e| match e {
            Event::CallFinished { call_id, outcome, .. } if call_id.0 == call => Some((**outcome).clone()),
            _ => None,
        })
    }

    fn status(&self, call: u32) -> (CallStatus, Option<String>) {
        let outcome = self.outcome(call);
        (outcome.status, outcome.error.map(|e| e.message))
    }

    fn run_outcome(&self) -> RunOutcome {
        self.find(|e| match e {
            Event::RunFinished { outcome } => Some((**outcome).clone()),
            _ => None,
        })
    }

    fn find<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> T {
        let found = self.journal.iter().find_map(|(_, e)| pick(e));
        found.unwrap_or_else(|| panic!("no such event in {:?}", self.kinds()))
    }

    /// The kinds of all events.
    fn kinds(&self) -> Vec<&'static str> {
        self.journal.iter().map(|(_, e)| e.kind()).collect()
    }

    /// The process dies; another takes the run up with the same settings.
    fn taken_over(self, setup: &Setup) -> Sim {
        Setup { journal: self.journal, ..setup.clone() }.start()
    }
}

fn decision_of(approval: u32, decision: Decision) -> DecisionInput {
    DecisionInput {
        approval_id: ApprovalId(approval),
        decision,
        expired: false,
        by: "ana".to_owned(),
        via: "cli".to_owned(),
        reason: Some("looked at it".to_owned()),
    }
}

fn one_call() -> Charge {
    Charge { tokens: 0, cost_nanos: 0, calls: 1 }
}

fn agent(prompt: &str) -> CallSpec {
    CallSpec::new(CallKind::Agent, Ask { prompt: Some(prompt.to_owned()), ..Ask::default() })
}

fn agents(count: usize) -> Vec<CallSpec> {
    (0..count).map(|i| agent(&format!("p{i}"))).collect()
}

fn mutating(prompt: &str) -> CallSpec {
    let mut spec = agent(prompt);
    spec.ask.write_scope = Some(vec!["src".to_owned()]);
    prompt.clone_into(&mut spec.label);
    spec
}

fn error(class: ErrorClass) -> CallError {
    CallError::new(class, "no")
}

fn starts(call: u32, attempt: u32) -> Effect {
    Effect::Start { call_id: CallId(call), attempt, delay_ms: 0, barrier: false }
}

fn prepare(call: u32) -> Effect {
    Effect::Prepare { call_id: CallId(call) }
}

fn release(call: u32) -> Effect {
    Effect::Release { call_id: CallId(call) }
}

/// The call that the last effect delivers, with its status.
fn delivered(effects: &[Effect]) -> Option<(u32, CallStatus)> {
    match effects.last() {
        Some(Effect::Deliver { call_id, outcome, .. }) => Some((call_id.0, outcome.status)),
        _ => None,
    }
}

fn ended_as(effects: &[Effect]) -> Option<RunOutcome> {
    effects.iter().find_map(|e| match e {
        Effect::Finished { outcome } => Some((**outcome).clone()),
        _ => None,
    })
}
