//! The shell of one rehearsed run: it answers every effect of the machine at once, in order, without a store or a clock.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::core::budget::Charge;
use crate::core::call::{CallKind, CallSpec, Decision};
use crate::core::event::Event;
use crate::core::history::{History, add_cost};
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::machine::{
    AttemptReport, BudgetView, DecisionInput, Effect, Input, MachineConfig, Plan, Reuse, RunMachine,
};
use crate::core::op::DriverState;
use crate::core::outcome::{CallError, ErrorClass, Outcome, Usage};
use crate::core::run::{RunError, RunErrorCode, RunOutcome, RunStatus, WorkflowKind};
use crate::core::time::Millis;
use crate::front::driver::{Driver, DriverStep};
use crate::front::script::sandbox::ScriptConfig;
use crate::front::workflow;

use super::against::Against;
use super::ask::Prepared;
use super::stage::Stage;

/// Calls at once: the fake provider's own cap, so that a rehearsal asks in the order a run answered by it would.
const AT_ONCE: u32 = 64;

/// One run to be played.
pub(super) struct Scene {
    pub(super) run: RunId,
    pub(super) kind: WorkflowKind,
    pub(super) body: String,
    pub(super) file_name: String,
    pub(super) workflow: String,
    pub(super) source_hash: Hash,
    pub(super) args: Option<Value>,
    pub(super) depth: u32,
    /// The phase of every call of a child.
    pub(super) group: Option<String>,
    pub(super) budget_base: Charge,
    pub(super) reuse: Reuse,
}

/// How a played run ended and what its calls add up to.
pub(super) struct Played {
    pub(super) outcome: RunOutcome,
    pub(super) totals: Totals,
}

/// What calls add up to.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) usage: Usage,
    pub(super) cost_nanos: Option<u64>,
    pub(super) charge: Charge,
}

/// Plays a run to its end.
pub(super) fn play(stage: &mut Stage, scene: Scene, against: Option<&Against>) -> Played {
    let number = stage.record.begin();
    let config = MachineConfig {
        run_id: scene.run.clone(),
        source_hash: scene.source_hash,
        provider: stage.settings.provider.clone(),
        limits: stage.settings.limits,
        schema_attempts: stage.settings.engine.schema_attempts,
        on_provider_down: stage.settings.on_provider_down,
        strict: false,
        // Questions are answered here, so a run never has to leave for one.
        linger: true,
        budget_base: scene.budget_base,
        person_decides: false,
        waits: crate::core::run::EngineLimits::default().into(),
    };
    let driver = driver(stage, &scene);
    let mut shell = Shell {
        number,
        machine: RunMachine::new(config, History::default(), scene.reuse.clone()),
        scene,
        against,
        driver,
        effects: VecDeque::new(),
        prepared: HashMap::new(),
        permits: AT_ONCE.min(stage.settings.concurrency.unwrap_or(AT_ONCE)).max(1),
        waiting: VecDeque::new(),
        timers: BTreeSet::new(),
        now: Millis(0),
        totals: Totals::default(),
        outcome: None,
    };
    let first = shell.driver.start();
    shell.ran(stage, first);
    shell.go_on(stage);
    let Shell { outcome, totals, .. } = shell;
    stage.forecast_run(number, against);
    // A script that is stopped says that its run was cancelled; what stopped it here is the clock.
    let outcome = outcome.filter(|_| !stage.is_aborted()).unwrap_or_else(|| failed(stopped()));
    Played { outcome, totals }
}

fn driver(stage: &Stage, scene: &Scene) -> Box<dyn Driver> {
    let child = scene.depth > 0;
    let config = ScriptConfig {
        body: scene.body.clone(),
        file_name: scene.file_name.clone(),
        args: scene.args.clone(),
        budget: BudgetView { limits: stage.settings.limits, spent: scene.budget_base },
        limits: stage.settings.engine,
        default_provider: stage.settings.provider.clone(),
        personas: stage.personas.iter().map(|(name, (_, hash))| (name.clone(), *hash)).collect(),
        group: scene.group.clone(),
        log_prefix: child.then(|| format!("[{}] ", scene.workflow)),
        worktrees: String::new(),
        is_child: child,
        depth: scene.depth,
        abort: Arc::clone(&stage.abort),
    };
    match workflow::driver(scene.kind, &scene.run, config) {
        Ok(driver) => driver,
        Err(error) => Box::new(Broken(error)),
    }
}

/// A script whose realm could not be set up.
struct Broken(RunError);

impl Driver for Broken {
    fn start(&mut self) -> DriverStep {
        DriverStep { ops: Vec::new(), state: DriverState::Failed(self.0.clone()) }
    }

    fn deliver(&mut self, _: CallId, _: &Outcome, _: &BudgetView) -> DriverStep {
        self.start()
    }
}

/// The shell of one run.
pub(super) struct Shell<'a> {
    /// The run's number in the record.
    pub(super) number: usize,
    pub(super) scene: Scene,
    pub(super) machine: RunMachine,
    pub(super) against: Option<&'a Against>,
    driver: Box<dyn Driver>,
    effects: VecDeque<Effect>,
    prepared: HashMap<CallId, Prepared>,
    permits: u32,
    waiting: VecDeque<CallId>,
    timers: BTreeSet<(Millis, CallId)>,
    /// The rehearsal's own time: it moves when a timer fires.
    now: Millis,
    totals: Totals,
    outcome: Option<RunOutcome>,
}

impl Shell<'_> {
    fn go_on(&mut self, stage: &mut Stage) {
        while self.outcome.is_none() {
            if stage.is_aborted() {
                self.outcome = Some(failed(stopped()));
                return;
            }
            if let Some(effect) = self.effects.pop_front() {
                self.carry_out(stage, effect);
            } else if let Some((due, call_id)) = self.timers.pop_first() {
                self.now = self.now.max(due);
                self.feed(stage, Input::TimerFired { call_id });
            } else {
                // The machine ends a run that waits for nothing; this is for the case that it does not.
                let message = "the dry run has nothing left to do, and the script has not ended";
                self.outcome = Some(failed(RunError::new(RunErrorCode::EngineCrash, message)));
            }
        }
    }

    fn carry_out(&mut self, stage: &mut Stage, effect: Effect) {
        match effect {
            Effect::Prepare { call_id } => {
                let plan = self.plan(stage, call_id);
                self.feed(stage, Input::Prepared { call_id, plan });
            }
            Effect::Acquire { call_id } => {
                self.waiting.push_back(call_id);
                self.grant(stage);
            }
            Effect::Release { call_id } => {
                match self.waiting.iter().position(|id| *id == call_id) {
                    Some(place) => drop(self.waiting.remove(place)),
                    None => self.permits += 1,
                }
                self.grant(stage);
            }
            Effect::Start { call_id, attempt, delay_ms: _, barrier: _ } => {
                let report = self.attempt(stage, call_id, attempt);
                self.feed(stage, Input::AttemptEnded { call_id, attempt, report: Box::new(report) });
            }
            Effect::StartTimer { call_id, after_ms } => {
                self.timers.insert((self.now.plus(after_ms), call_id));
            }
            Effect::Abort { call_id } => self.timers.retain(|(_, id)| *id != call_id),
            Effect::Ask { approval } => {
                let decision = DecisionInput {
                    approval_id: approval.approval_id,
                    decision: Decision::Approve,
                    expired: false,
                    by: "dry run".to_owned(),
                    via: "dry run".to_owned(),
                    reason: None,
                };
                self.feed(stage, Input::Decided(decision));
            }
            Effect::Deliver { call_id, outcome, budget } => {
                self.prepared.remove(&call_id);
                let step = self.driver.deliver(call_id, &outcome, &budget);
                self.ran(stage, step);
            }
            Effect::Finished { outcome } => self.outcome = Some(*outcome),
            Effect::Pause { .. } => {
                let error = RunError::new(RunErrorCode::EngineCrash, "the dry run cannot pause");
                self.outcome = Some(failed(error));
            }
            Effect::Waiting { .. } => {}
            Effect::Diverged { detail } => {
                self.outcome = Some(failed(RunError::new(RunErrorCode::EngineCrash, detail)));
            }
        }
    }

    fn ran(&mut self, stage: &mut Stage, step: DriverStep) {
        self.feed(stage, Input::Ran { ops: step.ops, state: step.state });
    }

    fn feed(&mut self, stage: &mut Stage, input: Input) {
        let step = self.machine.on(input, self.now, &mut stage.ledger);
        for event in &step.events {
            stage.record.apply(self.number, event);
            if let Event::CallFinished { outcome, .. } = event {
                self.totals.usage += outcome.usage;
                self.totals.cost_nanos = add_cost(self.totals.cost_nanos, outcome.cost_nanos);
                self.totals.charge += outcome.charge;
            }
        }
        self.effects.extend(step.effects);
    }

    fn grant(&mut self, stage: &mut Stage) {
        while self.permits > 0
            && let Some(call_id) = self.waiting.pop_front()
        {
            self.permits -= 1;
            let reserve = self.prepared.get(&call_id).map_or_else(Charge::default, |p| p.reserve(stage));
            self.feed(stage, Input::Permitted { call_id, reserve });
        }
    }

    fn plan(&mut self, stage: &mut Stage, call_id: CallId) -> Plan {
        let Some(spec) = self.machine.spec(call_id).map(Arc::clone) else {
            return Plan::Refuse(CallError::new(ErrorClass::Other, "the call is unknown"));
        };
        match spec.kind {
            CallKind::Workflow => self.plan_child(stage, call_id, &spec),
            // Commands and tools are never run here: their answers are a rule's, or generated.
            CallKind::Agent | CallKind::Command | CallKind::Tool => self.plan_agent(stage, call_id, &spec),
            CallKind::Expr | CallKind::Approval | CallKind::Timer | CallKind::Turn => {
                let message = format!("calls of kind {} cannot be executed yet", spec.kind.as_str());
                Plan::Refuse(CallError::new(ErrorClass::Other, message))
            }
        }
    }

    fn plan_agent(&mut self, stage: &mut Stage, call_id: CallId, spec: &CallSpec) -> Plan {
        let identity = self.machine.identity(call_id).unwrap_or((Hash::of(""), 1));
        match Prepared::new(stage, &self.scene, call_id, identity, spec) {
            Ok(prepared) => {
                if let Some(call) = stage.record.call_mut(self.number, call_id) {
                    call.persona_bytes = prepared.request.persona.as_ref().map_or(0, |p| p.system.len() as u64);
                    call.reads = prepared.reads;
                }
                let plan = prepared.plan();
                self.prepared.insert(call_id, prepared);
                plan
            }
            Err(error) => Plan::Refuse(error),
        }
    }

    fn attempt(&mut self, stage: &mut Stage, call_id: CallId, attempt: u32) -> AttemptReport {
        match self.prepared.get_mut(&call_id) {
            Some(prepared) => prepared.ask(stage, attempt),
            None => self.play_child(stage, call_id),
        }
    }
}

fn stopped() -> RunError {
    RunError::new(RunErrorCode::SyncTimeout, "the dry run took too long and was stopped")
}

/// The outcome of a run that failed outside its machine.
fn failed(error: RunError) -> RunOutcome {
    RunOutcome { status: RunStatus::Failed, reason: None, output: None, error: Some(error), superseded_by: None }
}
