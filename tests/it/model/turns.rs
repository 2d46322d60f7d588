//! What happens next in a process: answers, permits, ends of attempts, decisions; as told, or at random.

use owf::core::budget::Charge;
use owf::core::call::Decision;
use owf::core::event::ApprovalNote;
use owf::core::ids::{ApprovalId, CallId};
use owf::core::machine::{Answer, Input, Plan};
use owf::core::outcome::{CacheNote, CallError, ErrorClass, Outcome};
use owf::core::run::StatusReason;
use serde_json::json;

use super::journal::SimRun;
use super::program::Kind;
use super::rng::{Rng, hash};
use super::setting::{Go, Stop, answer, broken, random_decision, report};
use super::shell::Process;
use super::world::Seen;

impl Process {
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

    /// A person cancels some call, ended or not, requested or not.
    pub(crate) fn cancel_one(&mut self, rng: &mut Rng) -> Go {
        let call_id = CallId(rng.range(1, 12) as u32);
        self.feed(Input::Cancel { call_id: Some(call_id), by: "ana".to_owned(), reason: None })
    }

    /// Lets everything happen that needs no outcome: prepared calls, permits, decisions.
    pub(crate) fn settle_down(&mut self) -> Go {
        while self.run_on()? || self.prepare_one()? || self.permit_one()? || self.read_inbox()? {}
        Ok(())
    }

    fn run_on(&mut self) -> Result<bool, Stop> {
        let Some(ran) = self.ran.take() else { return Ok(false) };
        self.feed(ran)?;
        Ok(true)
    }

    fn prepare_one(&mut self) -> Result<bool, Stop> {
        let Some(call_id) = self.prepares.pop_front() else { return Ok(false) };
        let asked = self.driver.asked(call_id);
        let known = self.env.cache && asked.kind == Kind::Ro && hash(&asked.prompt, 77).is_multiple_of(6);
        let plan = if known {
            Plan::Hit(Box::new(Outcome::done(call_id, Some(json!("cached")))))
        } else {
            Plan::Run {
                schema_attempts: None,
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

    /// What is left when the disk kept everything.
    pub(crate) fn died(self) -> SimRun {
        self.run
    }

    /// What is left when the disk kept only what was awaited.
    pub(crate) fn died_losing_all_it_could(mut self) -> SimRun {
        self.run.journal.truncate(self.barrier);
        self.run
    }

    /// Ends the running attempt of `prompt` with a value.
    pub(crate) fn end_of(&mut self, prompt: &str) -> Go {
        self.end(self.place(prompt))
    }

    /// Ends the running attempt of `prompt` with an error.
    pub(crate) fn fail(&mut self, prompt: &str) -> Go {
        let (call_id, attempt) = self.running.remove(self.place(prompt));
        let result = Err(CallError::new(ErrorClass::BadRequest, "fail"));
        self.feed(Input::AttemptEnded { call_id, attempt, report: Box::new(report(result)) })
    }

    fn place(&self, prompt: &str) -> usize {
        let is = |(id, _): &(CallId, u32)| self.driver.asked(*id).prompt == prompt;
        self.running.iter().position(is).unwrap_or_else(|| panic!("{prompt} does not run"))
    }

    /// Lets everything happen, attempts in the order of their starts, until the process ends.
    pub(crate) fn run_to_end(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.settle_down() {
                return stop;
            }
            assert!(!self.running.is_empty(), "the run neither ends nor goes on");
            if let Err(stop) = self.end(0) {
                return stop;
            }
        }
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
        if rng.chance(60) && self.run_on()? {
            return Ok(());
        }
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
            if self.run_on()? || self.prepare_one()? || self.permit_one()? || self.read_inbox()? {
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
