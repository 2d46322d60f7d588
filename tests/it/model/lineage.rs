//! Scenarios: a run with crashes and resumes in place, then new runs that resume it, and the rules over all of it.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use owf::core::budget::Limits;
use owf::core::event::Event;
use owf::core::outcome::CallStatus;
use owf::core::run::{RunErrorCode, StatusReason};

use super::journal::{SimRun, all_ok, malformed, outcomes, requests};
use super::program::{Kind, Node, Shape, edit, generate};
use super::rng::Rng;
use super::setting::{Env, Go, Stop, Violation, broken, random_decision};
use super::shell::Process;
use super::world::{Asked, Seen};

type Checked<T> = Result<T, Violation>;

fn violation<T>(rule: &'static str, message: impl Into<String>) -> Checked<T> {
    Err(Violation { rule, message: message.into() })
}

/// Carries a run to its end, through `crashes` deaths of its owner, and checks every process against the one before.
struct Story<'a> {
    rng: &'a mut Rng,
    crashes: usize,
    /// Whether people pause and cancel.
    meddle: bool,
    /// Calls whose ok outcome the chain holds.
    reusable: HashSet<Asked>,
    /// Whether no provider may be asked at all.
    pure: bool,
}

impl Story<'_> {
    fn tell(&mut self, mut run: SimRun, env: &mut Env, weather: bool) -> Checked<SimRun> {
        let reuse = run.reuse();
        let mut before: Option<Vec<Seen>> = None;
        loop {
            let committed = run.journal.clone();
            let crash_in = (self.crashes > 0).then(|| self.rng.range(1, 80) as u32);
            let mut process = Process::take_over(run, env, reuse.clone(), crash_in);
            let stop = match self.live(&mut process) {
                Ok(()) => unreachable!("a process ends by stopping"),
                Err(stop) => stop,
            };
            if let Stop::Broken(violation) = stop {
                return Err(violation);
            }
            self.check_calls(&process, &committed)?;
            if let Some(before) = &before {
                check_same_history(before, &process.seen(), outcomes(&committed).count())?;
            }
            before = Some(process.seen());
            run = match stop {
                Stop::Finished(_) => {
                    let logs = process.driver.logs();
                    return ended(process.run, Some(logs));
                }
                Stop::Crash => {
                    self.crashes -= 1;
                    if weather {
                        env.bad = !env.bad;
                    }
                    env.provider = self.rng.pick(&["A", "B"]);
                    let run = process.crashed(self.rng);
                    if run.finished().is_some() {
                        return ended(run, None);
                    }
                    run
                }
                Stop::Paused(reason) => self.paused(process, reason)?,
                Stop::Diverged(detail) => return violation("div", detail),
                Stop::Broken(violation) => return Err(violation),
            };
            if let Some(fault) = malformed(&run.journal) {
                return violation("journal", fault);
            }
        }
    }

    fn live(&mut self, process: &mut Process) -> Go {
        process.start()?;
        let meddles = self.meddle && self.rng.chance(20);
        for turn in 0.. {
            if meddles && turn > 0 && self.rng.chance(3) {
                if self.rng.chance(70) {
                    process.pause()?;
                } else {
                    process.cancel()?;
                }
                while !process.running.is_empty() {
                    process.end(0)?;
                }
                process.settle_down()?;
                return broken("iv", "asked to pause, no attempt runs, and the run goes on");
            }
            if turn > 100_000 {
                return broken("iv", "the run does not end");
            }
            if meddles && self.rng.chance(3) {
                process.cancel_one(self.rng)?;
            }
            process.happen(self.rng)?;
        }
        Ok(())
    }

    /// i, iii, viii: what was finished is not executed again.
    fn check_calls(&self, process: &Process, committed: &super::journal::Journal) -> Checked<()> {
        let asked = requests(committed);
        let finished: HashMap<_, _> = outcomes(committed).map(|(id, o)| (&asked[&id], o.status)).collect();
        for invocation in &process.invoked {
            let call = &invocation.asked;
            if let Some(status) = finished.get(call) {
                return violation("i", format!("executed again although it was recorded as {status:?}: {call:?}"));
            }
            if self.reusable.contains(call) {
                return violation("iii", format!("not reused: {call:?}"));
            }
            if self.pure {
                return violation("viii", format!("an unedited resume of an ok run executed {call:?}"));
            }
        }
        Ok(())
    }

    fn paused(&mut self, process: Process, reason: StatusReason) -> Checked<SimRun> {
        if !process.running.is_empty() {
            return violation("iv", format!("paused ({reason:?}) while attempts run"));
        }
        let mut process = process;
        let open = process.asking.clone();
        if open.is_empty() && reason != StatusReason::User {
            return violation("iv", format!("paused ({reason:?}) without a question"));
        }
        // One person answers at least one question; the run starts again because of it.
        for note in open {
            if self.rng.chance(80) || process.run.inbox.is_empty() {
                let decision = random_decision(&note, self.rng);
                process.decide(&note, decision);
            }
        }
        Ok(process.run)
    }
}

/// What must hold of a run that has ended; `lines` is what its script logged.
fn ended(run: SimRun, lines: Option<usize>) -> Checked<SimRun> {
    if let Some(fault) = malformed(&run.journal) {
        return violation("journal", fault);
    }
    let logs = run.journal.iter().filter(|(_, e)| matches!(e, Event::Log { .. })).count();
    let Some(end) = run.finished() else { return violation("journal", "finished without its event") };
    if end.error.as_ref().is_some_and(|e| e.code != RunErrorCode::ScriptError) {
        return violation("iv", format!("ended with {:?}", end.error));
    }
    let cancelled = end.reason.is_some();
    if let Some(lines) = lines.filter(|lines| !cancelled && *lines != logs) {
        return violation("log", format!("{logs} log events for {lines} lines"));
    }
    let requested: HashSet<Asked> = requests(&run.journal).into_values().collect();
    if let Some(lost) = run.invocations.iter().find(|a| a.kind == Kind::Mut && !requested.contains(*a)) {
        return violation("mut", format!("mutating call ran but is not part of the final history: {lost:?}"));
    }
    if !cancelled {
        check_alone(&run)?;
    }
    Ok(run)
}

/// ii: up to the frontier the script saw the same.
fn check_same_history(before: &[Seen], now: &[Seen], recorded: usize) -> Checked<()> {
    let delivered = before.iter().filter(|s| matches!(s, Seen::Delivered(..))).count();
    let (a, b) = (until(before, recorded.min(delivered)), until(now, recorded.min(delivered)));
    let shared = a.len().min(b.len());
    if a[..shared] != b[..shared] {
        let at = (0..shared).find(|i| a[*i] != b[*i]).unwrap_or(0);
        return violation("ii", format!("the script saw {:?}, before {:?}", b[at], a[at]));
    }
    Ok(())
}

/// What was seen before delivery `count + 1`.
fn until(seen: &[Seen], count: usize) -> &[Seen] {
    let deliveries = seen.iter().enumerate().filter(|(_, s)| matches!(s, Seen::Delivered(..)));
    let end = deliveries.map(|(i, _)| i).nth(count).unwrap_or(seen.len());
    &seen[..end]
}

/// v: the final journal alone is one history. Replayed without any provider it gives the same end and adds nothing.
fn check_alone(run: &SimRun) -> Checked<()> {
    let mut copy = run.clone();
    copy.journal.retain(|(_, e)| !matches!(e, Event::RunFinished { .. }));
    let length = copy.journal.len();
    let mut process = Process::replay(copy, &Env::calm());
    match process.start() {
        Err(Stop::Finished(outcome)) if Some(&*outcome) == run.finished() => {}
        Err(Stop::Broken(violation)) => return Err(violation),
        other => return violation("v", format!("replay of the final journal ended with {other:?}")),
    }
    // The replay's own start and end.
    let added: Vec<_> = process.run.journal[length..].iter().map(|(_, e)| e.kind()).collect();
    if added != ["run_started", "run_finished"] {
        return violation("v", format!("replay of the final journal appended {added:?}"));
    }
    Ok(())
}

/// A scenario of the model: a run, then up to two that resume it.
pub(crate) fn scenario(seed: u64, depth: usize) -> Result<(), (Rc<Node>, Violation)> {
    let rng = &mut Rng::new(seed.wrapping_mul(7919).wrapping_add(depth as u64));
    let program = generate(seed, depth);
    let mut env = weather(seed, rng);
    let fail = |program: &Rc<Node>| {
        let program = program.clone();
        move |violation| (program, violation)
    };

    let crashes = rng.range(1, 3);
    let mut story = Story { rng, crashes, meddle: true, reusable: HashSet::new(), pure: false };
    let mut run = story.tell(SimRun::new(1, &program), &mut env, true).map_err(fail(&program))?;

    for number in 2..=3 {
        if rng.chance(30) {
            // The source run was interrupted somewhere, and is superseded.
            let keep = rng.range(1, run.journal.len());
            run.journal.truncate(keep);
        }
        let edited = rng.chance(80);
        let program = if edited { edit(&run.program, rng) } else { run.program.clone() };
        env.bad = rng.chance(50);
        env.provider = rng.pick(&["A", "B"]);
        let pure =
            !edited && all_ok(&run) && !env.limits.any() && !program.any(&|shape| matches!(shape, Shape::Approve(_)));
        let next = SimRun::resuming(number, &program, &run);
        let reusable = next.chain.iter().flat_map(|(_, journal)| {
            let asked = requests(journal);
            let ok = outcomes(journal).filter(|(_, o)| o.status == CallStatus::Done);
            ok.map(|(id, _)| asked[&id].clone()).collect::<Vec<_>>()
        });
        let reusable = reusable.filter(|a| matches!(a.kind, Kind::Ro | Kind::Mut)).collect();
        let crashes = rng.pick(&[0, 0, 1, 2]);
        let mut story = Story { rng, crashes, meddle: false, reusable, pure };
        run = story.tell(next, &mut env, true).map_err(fail(&program))?;
    }
    Ok(())
}

fn weather(seed: u64, rng: &mut Rng) -> Env {
    let calls = rng.chance(15).then(|| rng.range(3, 12) as u64);
    let tokens = rng.chance(15).then(|| rng.range(20, 120) as u64);
    Env {
        bad: true,
        salt: seed % 5,
        permits: rng.range(1, 5),
        limits: Limits { calls, tokens, cost_nanos: None },
        max_calls: if rng.chance(10) { rng.range(3, 20) as u64 } else { 1000 },
        schema_attempts: rng.range(1, 2) as u32,
        linger: rng.chance(25),
        cache: rng.chance(25),
        overlap: rng.chance(50),
        ..Env::calm()
    }
}
