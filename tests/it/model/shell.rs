//! A simulated shell around the real machine: a journal with a commit barrier, crashes, permits, attempts, decisions. It
//! checks while it runs what can be checked locally.

use std::collections::VecDeque;

use owf::core::budget::{Charge, Ledger, Limits};
use owf::core::call::Decision;
use owf::core::event::{ApprovalKind, ApprovalNote, Event};
use owf::core::history::History;
use owf::core::ids::{ApprovalId, CallId, Hash};
use owf::core::machine::{
    Answer, AttemptReport, BudgetView, DecisionInput, Effect, Input, MachineConfig, Plan, Reuse, RunMachine,
};
use owf::core::outcome::{CacheNote, CallError, CostSource, ErrorClass, Outcome, Usage};
use owf::core::run::{OnProviderDown, RunOutcome, StatusReason};
use owf::core::time::Millis;
use owf::front::driver::Driver;
use serde_json::json;

use super::journal::{SimRun, owner};
use super::program::Kind;
use super::rng::{Rng, hash};
use super::world::{Asked, PromiseDriver, Seen};

/// A broken rule of the model: its name and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) message: String,
}

/// Why a process ended.
#[derive(Debug)]
pub(crate) enum Stop {
    Crash,
    Finished(Box<RunOutcome>),
    Paused(StatusReason),
    Diverged(String),
    Broken(Violation),
}

pub(crate) type Go = Result<(), Stop>;

pub(crate) fn broken<T>(rule: &'static str, message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Broken(Violation { rule, message: message.into() }))
}

/// What surrounds a run and is no part of it.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    pub(crate) provider: &'static str,
    /// Whether some attempts fail.
    pub(crate) bad: bool,
    pub(crate) salt: u64,
    pub(crate) permits: usize,
    pub(crate) limits: Limits,
    pub(crate) max_calls: u64,
    pub(crate) schema_attempts: u32,
    pub(crate) linger: bool,
    /// Whether the cache knows some answers.
    pub(crate) cache: bool,
}

impl Env {
    pub(crate) fn calm() -> Self {
        Self {
            provider: "A",
            bad: false,
            salt: 0,
            permits: 4,
            limits: Limits::default(),
            max_calls: 1000,
            schema_attempts: 1,
            linger: false,
            cache: false,
        }
    }
}

/// An attempt that reached its provider.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Invocation {
    pub(crate) asked: Asked,
    pub(crate) call_id: CallId,
    pub(crate) attempt: u32,
}

/// One process executing a run, from takeover to its end.
pub(crate) struct Process {
    pub(crate) run: SimRun,
    pub(crate) env: Env,
    pub(crate) driver: PromiseDriver,
    pub(crate) invoked: Vec<Invocation>,
    pub(crate) running: Vec<(CallId, u32)>,
    pub(crate) asking: Vec<ApprovalNote>,
    timers: Vec<CallId>,
    prepares: VecDeque<CallId>,
    acquires: VecDeque<CallId>,
    permits: Vec<CallId>,
    /// Decisions read from the inbox, whatever came of them.
    read: Vec<ApprovalId>,
    machine: RunMachine,
    ledger: Ledger,
    /// Events before this one are on disk.
    barrier: usize,
    now: i64,
    /// Steps until the process dies.
    crash_in: Option<u32>,
    /// Outcomes the journal held at takeover.
    recorded: usize,
    delivered: usize,
    charged: Charge,
    /// Set when nothing may be delivered or started any more.
    quiet: Option<&'static str>,
    /// Set when the journal is complete: nothing may be executed.
    replay_only: bool,
}

impl Process {
    /// Takes the run up: the journal is folded after the start was recorded in it.
    pub(crate) fn take_over(mut run: SimRun, env: &Env, reuse: Reuse, crash_in: Option<u32>) -> Self {
        let now = run.journal.last().map_or(1_000, |(at, _)| at.0 + 10);
        let barrier = run.journal.len();
        let recorded = run.outcomes().count();
        run.journal.push((Millis(now), Event::RunStarted { owner: owner(), settings: None }));
        let history = History::of(run.journal.iter().map(|(at, event)| (*at, event)));
        let config = MachineConfig {
            run_id: run.id.clone(),
            source_hash: Hash::of("source"),
            provider: env.provider.to_owned(),
            limits: env.limits,
            schema_attempts: env.schema_attempts,
            on_provider_down: OnProviderDown::Pause,
            strict: false,
            linger: env.linger,
            budget_base: Charge::default(),
        };
        Self {
            driver: PromiseDriver::new(&run.program),
            run,
            env: env.clone(),
            invoked: Vec::new(),
            running: Vec::new(),
            asking: Vec::new(),
            timers: Vec::new(),
            prepares: VecDeque::new(),
            acquires: VecDeque::new(),
            permits: Vec::new(),
            read: Vec::new(),
            machine: RunMachine::new(config, history, reuse),
            ledger: Ledger::new(env.limits, env.max_calls),
            barrier,
            now,
            crash_in,
            recorded,
            delivered: 0,
            charged: Charge::default(),
            quiet: None,
            replay_only: false,
        }
    }

    /// The same, forbidden to execute anything.
    pub(crate) fn replay(run: SimRun, env: &Env) -> Self {
        Self { replay_only: true, ..Self::take_over(run, env, Reuse::default(), None) }
    }

    /// Starts the script and follows every delivery that comes of it.
    pub(crate) fn start(&mut self) -> Go {
        let step = self.driver.start();
        self.feed(Input::Ran { ops: step.ops, state: step.state })
    }

    /// Feeds one input and carries out what comes of it, deliveries included.
    pub(crate) fn feed(&mut self, input: Input) -> Go {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            self.now += 1;
            let step = self.machine.on(input, Millis(self.now), &mut self.ledger);
            for event in step.events {
                self.append(event)?;
            }
            let mut end = None;
            for effect in step.effects {
                if next.is_some() || matches!(end, Some(Stop::Diverged(_))) {
                    return broken("api", format!("an effect after the last one: {effect:?}"));
                }
                match effect {
                    Effect::Deliver { call_id, outcome, budget } => {
                        next = Some(self.deliver(call_id, &outcome, &budget)?);
                    }
                    Effect::Finished { outcome } => end = Some(Stop::Finished(outcome)),
                    Effect::Pause { reason, .. } if self.inbox().is_none() => end = Some(Stop::Paused(reason)),
                    Effect::Pause { .. } => {}
                    Effect::Diverged { detail } => end = Some(Stop::Diverged(detail)),
                    other => self.carry_out(other)?,
                }
            }
            match end {
                Some(Stop::Paused(reason)) => {
                    self.append(Event::RunPaused { reason, message: None })?;
                    self.commit();
                    return Err(Stop::Paused(reason));
                }
                Some(stop) => {
                    self.commit();
                    return Err(stop);
                }
                None => self.tick()?,
            }
        }
        Ok(())
    }

    fn append(&mut self, event: Event) -> Go {
        self.run.journal.push((Millis(self.now), event));
        self.tick()
    }

    fn commit(&mut self) {
        self.barrier = self.run.journal.len();
    }

    fn tick(&mut self) -> Go {
        match self.crash_in.as_mut() {
            Some(0) => Err(Stop::Crash),
            Some(steps) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What is left after the process died: everything committed and a random part of the rest.
    pub(crate) fn crashed(mut self, rng: &mut Rng) -> SimRun {
        let keep = rng.range(self.barrier, self.run.journal.len());
        self.run.journal.truncate(keep);
        self.run
    }

    fn deliver(&mut self, call_id: CallId, outcome: &Outcome, budget: &BudgetView) -> Result<Input, Stop> {
        if let Some(why) = self.quiet {
            return broken("quiet", format!("{call_id} delivered although {why}"));
        }
        match self.run.outcomes().nth(self.delivered) {
            Some((id, recorded)) if id == call_id && recorded == outcome => {}
            other => {
                let want = other.map(|(id, o)| (id, o.status));
                return broken("ii", format!("{call_id} {:?} delivered, the journal has {want:?}", outcome.status));
            }
        }
        self.delivered += 1;
        self.charged += outcome.charge;
        if budget.spent != self.charged {
            return broken("budget", format!("{:?} shown, {:?} charged", budget.spent, self.charged));
        }
        let step = self.driver.deliver(call_id, outcome, budget);
        Ok(Input::Ran { ops: step.ops, state: step.state })
    }

    fn carry_out(&mut self, effect: Effect) -> Go {
        let live = matches!(
            effect,
            Effect::Prepare { .. } | Effect::Start { .. } | Effect::StartTimer { .. } | Effect::Ask { .. }
        );
        if live && self.delivered < self.recorded {
            return broken("hold", format!("{effect:?} before every recorded outcome was delivered"));
        }
        if live && self.replay_only {
            return broken("v", format!("the replay of a complete journal executes {effect:?}"));
        }
        if let (true, Some(why)) = (live, self.quiet) {
            return broken("quiet", format!("{effect:?} although {why}"));
        }
        match effect {
            Effect::Prepare { call_id } => self.prepares.push_back(call_id),
            Effect::Acquire { call_id } => self.acquires.push_back(call_id),
            Effect::Release { call_id } => {
                let held = self.permits.len() + self.acquires.len();
                self.permits.retain(|id| *id != call_id);
                self.acquires.retain(|id| *id != call_id);
                if held != self.permits.len() + self.acquires.len() + 1 {
                    return broken("permit", format!("{call_id} released without holding or waiting"));
                }
            }
            Effect::Start { call_id, attempt, barrier, .. } => self.attempt(call_id, attempt, barrier)?,
            Effect::StartTimer { call_id, .. } => self.timers.push(call_id),
            Effect::Abort { call_id } => {
                let going = self.running.len() + self.timers.len();
                self.running.retain(|(id, _)| *id != call_id);
                self.timers.retain(|id| *id != call_id);
                if going != self.running.len() + self.timers.len() + 1 {
                    return broken("api", format!("{call_id} aborted although it does not run"));
                }
            }
            Effect::Ask { approval } => {
                // Whoever is told reads it from the store.
                self.commit();
                self.asking.push(approval);
            }
            Effect::Waiting { .. }
            | Effect::Deliver { .. }
            | Effect::Finished { .. }
            | Effect::Pause { .. }
            | Effect::Diverged { .. } => {}
        }
        Ok(())
    }

    fn attempt(&mut self, call_id: CallId, attempt: u32, barrier: bool) -> Go {
        let asked = self.driver.asked(call_id);
        let mutating = asked.kind == Kind::Mut;
        if barrier != mutating {
            return broken("mut", format!("{call_id} started with barrier {barrier}"));
        }
        let last = self.run.journal.iter().rev().find(|(_, e)| e.call_id() == Some(call_id));
        if !matches!(last, Some((_, Event::AttemptStarted { attempt: a, .. })) if *a == attempt) {
            return broken("api", format!("{call_id} started before its start was recorded"));
        }
        if !self.permits.contains(&call_id) {
            return broken("permit", format!("{call_id} started without a permit"));
        }
        if barrier {
            self.commit();
        }
        self.tick()?;
        if mutating && self.run.mutations(&asked) > self.run.granted_repeats(call_id) {
            return broken("mut", format!("mutating call ran twice, unasked: {asked:?}"));
        }
        self.run.invocations.push(asked.clone());
        self.invoked.push(Invocation { asked, call_id, attempt });
        self.running.push((call_id, attempt));
        Ok(())
    }

    /// A stored decision that this process has not read and the journal does not hold.
    fn inbox(&self) -> Option<DecisionInput> {
        let decided = |id: ApprovalId| {
            let is = |e: &Event| matches!(e, Event::ApprovalDecided { approval_id, .. } if *approval_id == id);
            self.read.contains(&id) || self.run.journal.iter().any(|(_, e)| is(e))
        };
        self.run.inbox.iter().find(|row| !decided(row.approval_id)).cloned()
    }

    /// A person answers an open question: the answer is stored before the run sees it.
    pub(crate) fn decide(&mut self, note: &ApprovalNote, decision: Decision) {
        if !self.run.inbox.iter().any(|row| row.approval_id == note.approval_id) {
            self.run.inbox.push(answer(note, decision));
        }
    }

    pub(crate) fn pause(&mut self) -> Go {
        self.quiet = Some("the run was asked to pause");
        self.feed(Input::Pause { reason: StatusReason::User })
    }

    pub(crate) fn cancel(&mut self) -> Go {
        self.quiet = Some("the run was cancelled");
        self.feed(Input::Cancel { call_id: None, by: "ana".to_owned(), reason: None })
    }

    /// Lets everything happen that needs no outcome: prepared calls, permits, decisions.
    pub(crate) fn settle_down(&mut self) -> Go {
        while self.prepare_one()? || self.permit_one()? || self.read_inbox()? {}
        Ok(())
    }

    fn prepare_one(&mut self) -> Result<bool, Stop> {
        let Some(call_id) = self.prepares.pop_front() else { return Ok(false) };
        let asked = self.driver.asked(call_id);
        let known = self.env.cache && asked.kind == Kind::Ro && hash(&asked.prompt, 77).is_multiple_of(6);
        let plan = if known {
            Plan::Hit(Box::new(Outcome::done(call_id, Some(json!("cached")))))
        } else {
            Plan::Run {
                provider: Some(self.env.provider.to_owned()),
                model: None,
                real: false,
                note: CacheNote::default(),
                record: None,
                child_run: None,
                pin: None,
                permit: true,
            }
        };
        self.feed(Input::Prepared { call_id, plan })?;
        Ok(true)
    }

    fn permit_one(&mut self) -> Result<bool, Stop> {
        if self.permits.len() >= self.env.permits {
            return Ok(false);
        }
        let Some(call_id) = self.acquires.pop_front() else { return Ok(false) };
        self.permits.push(call_id);
        self.feed(Input::Permitted { call_id, reserve: Charge { tokens: 10, cost_nanos: 0, calls: 1 } })?;
        Ok(true)
    }

    fn read_inbox(&mut self) -> Result<bool, Stop> {
        let Some(row) = self.inbox() else { return Ok(false) };
        self.read.push(row.approval_id);
        self.feed(Input::Decided(row))?;
        Ok(true)
    }

    /// Ends the attempt at `index` of `running` the way the environment decides.
    pub(crate) fn end(&mut self, index: usize) -> Go {
        let (call_id, attempt) = self.running.remove(index);
        let asked = self.driver.asked(call_id);
        let text = format!("{asked:?}");
        let bad = if self.env.bad { hash(&text, self.env.salt) % 100 } else { 99 };
        let result = match bad {
            0..=5 => Err(CallError::new(ErrorClass::BadRequest, "fail")),
            6..=8 if !hash(&text, u64::from(attempt)).is_multiple_of(3) => {
                Err(CallError::new(ErrorClass::Transport, "connection lost"))
            }
            9..=17 => Err(CallError::new(ErrorClass::Schema, "schema")),
            _ => {
                let value = json!(format!("v{}", hash(&text, self.env.salt) % 1000));
                Ok(Answer { value: Some(value), ..Answer::default() })
            }
        };
        self.feed(Input::AttemptEnded { call_id, attempt, report: Box::new(report(result)) })
    }

    pub(crate) fn fire(&mut self, index: usize) -> Go {
        let call_id = self.timers.remove(index);
        self.now += 100;
        self.feed(Input::TimerFired { call_id })
    }

    /// One random thing happens.
    pub(crate) fn happen(&mut self, rng: &mut Rng) -> Go {
        if !self.prepares.is_empty() && rng.chance(85) {
            return self.prepare_one().map(|_| ());
        }
        if rng.chance(85) && self.permit_one()? {
            return Ok(());
        }
        if rng.chance(50) && self.read_inbox()? {
            return Ok(());
        }
        let open = self.open_questions();
        let person = if self.env.linger || rng.chance(20) { open.len() } else { 0 };
        let choices = self.running.len() + self.timers.len() + person;
        if choices == 0 {
            if self.prepare_one()? || self.permit_one()? || self.read_inbox()? {
                return Ok(());
            }
            // Nobody has answered although the run waits for nothing else: it has to say so.
            if !self.env.linger || open.is_empty() {
                return broken("iv", "nothing is pending and the run neither ended nor paused");
            }
            return Ok(());
        }
        let choice = rng.below(choices);
        if choice < self.running.len() {
            self.end(choice)
        } else if choice < self.running.len() + self.timers.len() {
            self.fire(choice - self.running.len())
        } else {
            let note = open[choice - self.running.len() - self.timers.len()].clone();
            self.decide(&note, random_decision(&note, rng));
            Ok(())
        }
    }

    fn open_questions(&self) -> Vec<ApprovalNote> {
        let answered = |id: ApprovalId| self.run.inbox.iter().any(|row| row.approval_id == id);
        self.asking.iter().filter(|note| !answered(note.approval_id)).cloned().collect()
    }

    /// The script's own view so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.driver.seen()
    }
}

pub(crate) fn random_decision(note: &ApprovalNote, rng: &mut Rng) -> Decision {
    let percent = match note.kind {
        ApprovalKind::Repeat => 85,
        ApprovalKind::Approve | ApprovalKind::Tool => 75,
    };
    if rng.chance(percent) { Decision::Approve } else { Decision::Deny }
}

pub(crate) fn answer(note: &ApprovalNote, decision: Decision) -> DecisionInput {
    DecisionInput {
        approval_id: note.approval_id,
        decision,
        expired: false,
        by: "ana".to_owned(),
        via: "cli".to_owned(),
        reason: None,
    }
}

/// A report of an attempt that used ten output tokens.
pub(crate) fn report(result: Result<Answer, CallError>) -> AttemptReport {
    AttemptReport {
        result,
        usage: Usage { output_tokens: 10, ..Usage::default() },
        cost_nanos: None,
        cost_source: CostSource::Unknown,
        provider: None,
        model: None,
        simulated: false,
        charge: Charge { tokens: 10, cost_nanos: 0, calls: 0 },
        duration_ms: 1,
        rule: None,
    }
}
