//! A simulated shell around the real machine: a journal with a commit barrier, crashes, permits, attempts. It checks while it
//! runs what can be checked locally.

use std::collections::VecDeque;

use owf::core::budget::{Charge, Ledger};
use owf::core::event::{ApprovalNote, Event};
use owf::core::history::History;
use owf::core::ids::{ApprovalId, CallId, Hash};
use owf::core::machine::{BudgetView, DecisionInput, Effect, Input, MachineConfig, Reuse, RunMachine};
use owf::core::outcome::Outcome;
use owf::core::run::OnProviderDown;
use owf::core::time::Millis;
use owf::front::driver::Driver;

use super::journal::{SimRun, owner};
use super::program::Kind;
use super::rng::Rng;
use super::setting::{Env, Go, Invocation, Stop, broken};
use super::world::PromiseDriver;

/// One process executing a run, from takeover to its end.
pub(crate) struct Process {
    pub(crate) run: SimRun,
    pub(crate) env: Env,
    pub(crate) driver: PromiseDriver,
    pub(crate) invoked: Vec<Invocation>,
    pub(crate) running: Vec<(CallId, u32)>,
    pub(crate) asking: Vec<ApprovalNote>,
    pub(super) timers: Vec<CallId>,
    pub(super) prepares: VecDeque<CallId>,
    pub(super) acquires: VecDeque<CallId>,
    pub(super) permits: Vec<CallId>,
    /// Decisions read from the inbox, whatever came of them.
    pub(super) read: Vec<ApprovalId>,
    /// What the script did after the last delivery, when the machine has not been told yet.
    pub(super) ran: Option<Input>,
    pub(super) machine: RunMachine,
    pub(super) ledger: Ledger,
    /// Events before this one are on disk.
    pub(super) barrier: usize,
    pub(super) now: i64,
    /// Steps until the process dies.
    pub(super) crash_in: Option<u32>,
    /// Outcomes the journal held at takeover.
    pub(super) recorded: usize,
    pub(super) delivered: usize,
    pub(super) charged: Charge,
    /// Set when nothing may be delivered or started any more.
    pub(super) quiet: Option<&'static str>,
    /// Set when the journal is complete: nothing may be executed.
    pub(super) replay_only: bool,
}

impl Process {
    /// Takes the run up: the journal is folded after the start was recorded in it.
    pub(crate) fn take_over(mut run: SimRun, env: &Env, reuse: Reuse, crash_in: Option<u32>) -> Self {
        let now = run.journal.last().map_or(1_000, |(at, _)| at.0 + 10);
        let barrier = run.journal.len();
        let recorded = run.outcomes().count();
        run.journal.push((Millis(now), Event::RunStarted { owner: owner() }));
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
            person_decides: false,
            waits: owf::core::run::EngineLimits::default().into(),
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
            ran: None,
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
            if end.is_some() {
                self.check_books()?;
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
            if self.env.overlap {
                self.ran = next.take().or(self.ran.take());
            }
        }
        Ok(())
    }

    /// Nothing is kept when a process ends in order, and what was charged is what the journal says.
    fn check_books(&self) -> Go {
        if !self.permits.is_empty() || self.ledger.reserved() != Charge::default() {
            return broken("permit", format!("{:?} and {:?} kept", self.permits, self.ledger.reserved()));
        }
        let history = History::of(self.run.journal.iter().map(|(at, event)| (*at, event)));
        if self.ledger.settled() != history.charged() {
            let (settled, charged) = (self.ledger.settled(), history.charged());
            return broken("budget", format!("{settled:?} settled, {charged:?} in the journal"));
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
    pub(super) fn inbox(&self) -> Option<DecisionInput> {
        let decided = |id: ApprovalId| {
            let is = |e: &Event| matches!(e, Event::ApprovalDecided { approval_id, .. } if *approval_id == id);
            self.read.contains(&id) || self.run.journal.iter().any(|(_, e)| is(e))
        };
        self.run.inbox.iter().find(|row| !decided(row.approval_id)).cloned()
    }
}
