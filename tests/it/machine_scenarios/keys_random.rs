//! Random runs whose calls ask for few keys, with questions, failures and deaths in between: none hangs, and each key is given once.

use std::collections::{BTreeMap, BTreeSet};

use owf::core::outcome::CallRef;

use super::*;
use crate::model::rng::Rng;

/// A shell around the machine that knows who is at work for which key.
struct Shell {
    sim: Sim,
    specs: Vec<CallSpec>,
    /// The key of each call, by its number.
    keys: Vec<u32>,
    /// Who has a key, and whether it has begun.
    held: BTreeMap<u32, (u32, bool)>,
    /// What was given for a key.
    given: BTreeMap<u32, Value>,
    preparing: BTreeSet<u32>,
    acquiring: BTreeSet<u32>,
    running: BTreeSet<(u32, u32)>,
    asking: BTreeMap<u32, u32>,
    /// Executions that gave something, by key.
    made: BTreeMap<u32, u32>,
    delivered: usize,
    /// Whether a pause came to nothing, and it is to be looked again.
    look: bool,
    paused: bool,
    finished: bool,
}

impl Shell {
    fn new(rng: &mut Rng) -> Self {
        let calls = rng.range(2, 6);
        let specs = agents(calls);
        let keys = (0..calls).map(|_| rng.range(0, 2) as u32).collect();
        let mut shell = Self {
            sim: Setup::new().start(),
            specs,
            keys,
            held: BTreeMap::new(),
            given: BTreeMap::new(),
            preparing: BTreeSet::new(),
            acquiring: BTreeSet::new(),
            running: BTreeSet::new(),
            asking: BTreeMap::new(),
            made: BTreeMap::new(),
            delivered: 0,
            look: false,
            paused: false,
            finished: false,
        };
        shell.begin();
        shell
    }

    fn begin(&mut self) {
        let effects = self.sim.requests(&self.specs.clone());
        self.carry_out(effects);
    }

    fn key(&self, call: u32) -> u32 {
        self.keys[call as usize - 1]
    }

    /// Who has the key of a call and is not this one.
    fn other(&self, call: u32) -> Option<u32> {
        self.held.get(&self.key(call)).map(|(holder, _)| *holder).filter(|holder| *holder != call)
    }

    fn feed(&mut self, input: Input) {
        let effects = self.sim.on(input);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Prepare { call_id } => {
                    self.preparing.insert(call_id.0);
                }
                Effect::Acquire { call_id } => {
                    self.acquiring.insert(call_id.0);
                }
                Effect::Start { call_id, attempt, .. } => {
                    self.held.insert(self.key(call_id.0), (call_id.0, true));
                    self.running.insert((call_id.0, attempt));
                }
                Effect::Ask { approval } => {
                    self.asking.insert(approval.approval_id.0, approval.call_id.0);
                }
                Effect::Deliver { .. } => {
                    self.delivered += 1;
                    let state = if self.delivered == self.specs.len() {
                        DriverState::Returned(None)
                    } else {
                        DriverState::Waiting
                    };
                    self.feed(Input::Ran { ops: Vec::new(), state });
                }
                Effect::Pause { .. } => {
                    assert!(self.running.is_empty() && self.acquiring.is_empty(), "paused while something runs");
                    // What the engine asks the store before it pauses.
                    if self.preparing.iter().all(|call| self.other(*call).is_some()) {
                        self.paused = true;
                    } else {
                        self.look = true;
                    }
                }
                Effect::Finished { outcome } => {
                    assert_eq!(outcome.status, RunStatus::Done);
                    self.finished = true;
                }
                Effect::Diverged { detail } => panic!("{detail}"),
                Effect::Release { .. } | Effect::StartTimer { .. } | Effect::Abort { .. } | Effect::Waiting { .. } => {}
            }
        }
    }

    /// The process ends, in order or not, and another takes the run up, with what was decided meanwhile.
    fn taken_up(self, decision: Option<DecisionInput>) -> Self {
        let mut sim = self.sim.taken_over(&Setup::new());
        if let Some(decision) = decision {
            assert_eq!(sim.on(Input::Decided(decision)), []);
        }
        // One that had claimed its key and not begun has done nothing.
        let held = self.held.into_iter().filter(|(_, (_, begun))| *begun).collect();
        let mut shell = Self {
            sim,
            held,
            preparing: BTreeSet::new(),
            acquiring: BTreeSet::new(),
            running: BTreeSet::new(),
            asking: BTreeMap::new(),
            delivered: 0,
            look: false,
            paused: false,
            ..self
        };
        shell.begin();
        shell
    }

    /// Looks what there is for the key of a call; whether that is something else than before.
    fn claim(&mut self, call: u32, rng: &mut Rng) {
        let key = self.key(call);
        if let Some(value) = self.given.get(&key).cloned() {
            self.preparing.remove(&call);
            let outcome = Outcome::done(CallId(call), Some(value));
            return self.feed(Input::Prepared { call_id: CallId(call), plan: Plan::Hit(Box::new(outcome)) });
        }
        if let Some(holder) = self.other(call) {
            let by = CallRef { run_id: RunId::new(Millis(0), [1; 5]), call_id: CallId(holder) };
            return self.feed(Input::KeyBusy { call_id: CallId(call), by, ours: true });
        }
        let begun = self.held.get(&key).is_some_and(|(_, begun)| *begun);
        self.held.insert(key, (call, begun));
        self.preparing.remove(&call);
        if rng.chance(10) {
            self.held.remove(&key);
            let plan = Plan::Refuse(error(ErrorClass::Policy));
            return self.feed(Input::Prepared { call_id: CallId(call), plan });
        }
        let effects = self.sim.prepared(call);
        self.carry_out(effects);
    }

    fn end(&mut self, call: u32, attempt: u32, rng: &mut Rng) {
        self.running.remove(&(call, attempt));
        let key = self.key(call);
        match rng.range(0, 3) {
            0 => {
                let question = ApprovalAsk {
                    message: "Deploy?".to_owned(),
                    metadata: None,
                    decider: Decider::Any,
                    expires_in_ms: None,
                    on_timeout: Decision::Deny,
                };
                let report = AttemptReport {
                    kept: Some(Box::new(json!({"said": attempt}))),
                    question: Some(Box::new(question)),
                    ..AttemptReport::new(Err(error(ErrorClass::Other)))
                };
                self.feed(Input::AttemptEnded { call_id: CallId(call), attempt, report: Box::new(report) });
            }
            1 => {
                self.held.remove(&key);
                let effects = self.sim.ended(call, attempt, Err(error(ErrorClass::Exit)));
                self.carry_out(effects);
            }
            _ => {
                self.held.remove(&key);
                self.given.insert(key, json!(call));
                *self.made.entry(key).or_default() += 1;
                let effects = self.sim.ended(call, attempt, Ok(json!(call)));
                self.carry_out(effects);
            }
        }
    }

    /// One thing that may happen; false when nothing can.
    fn step(&mut self, rng: &mut Rng) -> bool {
        // Who waits looks again and again, which is nothing that happens until it finds something.
        let ready = |call: &&u32| self.other(**call).is_none();
        let (ready, waiting): (Vec<u32>, Vec<u32>) = {
            let (ready, waiting): (Vec<&u32>, Vec<&u32>) = self.preparing.iter().partition(ready);
            (ready.into_iter().copied().collect(), waiting.into_iter().copied().collect())
        };
        for call in waiting {
            if rng.chance(50) && !self.paused {
                self.claim(call, rng);
            }
        }
        if self.paused {
            return true;
        }
        let some = ready.len() + self.acquiring.len() + self.running.len();
        if some == 0 {
            return std::mem::take(&mut self.look) && {
                self.feed(Input::Look);
                true
            };
        }
        let at = rng.range(0, some - 1);
        if let Some(call) = ready.get(at) {
            self.claim(*call, rng);
        } else if let Some(call) = self.acquiring.iter().nth(at.saturating_sub(ready.len())).copied() {
            self.acquiring.remove(&call);
            let effects = self.sim.permitted(call, one_call());
            self.carry_out(effects);
        } else if let Some((call, attempt)) = self.running.iter().next().copied() {
            self.end(call, attempt, rng);
        }
        true
    }
}

fn play(seed: u64) {
    let rng = &mut Rng::new(seed);
    let mut shell = Shell::new(rng);
    let (mut deaths, mut idle) = (0, 0);
    // Some answer at any time, and some only when the run has paused for them.
    let eager = rng.chance(50);
    for _ in 0..2_000 {
        if shell.finished {
            break;
        }
        let decides = shell.paused || (eager && rng.chance(15));
        let asked = if decides { shell.asking.pop_first() } else { None };
        let decision = asked.map(|(approval, _)| {
            decision_of(approval, if rng.chance(50) { Decision::Approve } else { Decision::Deny })
        });
        if shell.paused || (deaths < 2 && rng.chance(4)) {
            deaths += u32::from(!shell.paused);
            shell = shell.taken_up(decision);
            continue;
        }
        if let Some(decision) = decision {
            shell.feed(Input::Decided(decision));
            continue;
        }
        // All who wait have been heard of after so many looks.
        idle = if shell.step(rng) { 0 } else { idle + 1 };
        assert!(idle < 50, "seed {seed}: it hangs: {:?} {:?}", shell.preparing, shell.held);
    }
    assert!(shell.finished, "seed {seed}: no end");
    for (call, key) in shell.keys.iter().enumerate() {
        let outcome = shell.sim.outcome(call as u32 + 1);
        if outcome.status == CallStatus::Done {
            assert_eq!(outcome.value.as_ref(), shell.given.get(key), "seed {seed}");
        }
    }
    assert!(shell.made.values().all(|times| *times == 1), "seed {seed}: {:?}", shell.made);
}

#[test]
fn whatever_happens_no_run_hangs_over_a_key_and_each_is_given_once() {
    for seed in 0..3_000 {
        play(seed);
    }
}
