//! The circuit breaker: a provider that cannot be reached is left alone for a while, by all runs of this process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::core::outcome::{CallError, ErrorClass};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Failures in a row that open it.
    pub(crate) failures: u32,
    /// How long it stays open.
    pub(crate) open: Duration,
}

/// The breakers of a process, one a provider.
#[derive(Debug, Default)]
pub struct Breakers {
    states: Mutex<HashMap<String, State>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Attempts go through; so many have failed in a row.
    Closed { failures: u32 },
    /// Attempts fail at once until then.
    Open { until: Instant },
    /// One attempt tries how it is; the others fail at once.
    HalfOpen { probing: bool },
}

/// An attempt that was let through. What it says about the provider counts when it ends; dropped, it says nothing.
pub(crate) struct Passage<'a> {
    breakers: &'a Breakers,
    provider: String,
    rule: Rule,
    probe: bool,
}

impl Breakers {
    /// Lets an attempt through, or says for how long it would be pointless.
    pub(crate) fn pass(&self, provider: &str, rule: Rule, now: Instant) -> Result<Passage<'_>, Duration> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(provider.to_owned()).or_insert(State::Closed { failures: 0 });
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if now < until => return Err(until - now),
            // Nobody knows how long the one that tries will take.
            State::HalfOpen { probing: true } => return Err(rule.open),
            State::Open { .. } | State::HalfOpen { probing: false } => {
                *state = State::HalfOpen { probing: true };
                true
            }
        };
        Ok(Passage { breakers: self, provider: provider.to_owned(), rule, probe })
    }

    fn set(&self, provider: &str, change: impl FnOnce(&mut State)) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        change(states.entry(provider.to_owned()).or_insert(State::Closed { failures: 0 }));
    }
}

impl Passage<'_> {
    /// Counts how the attempt ended: `error` is its error's class, none when it was answered.
    pub(crate) fn ended(mut self, error: Option<ErrorClass>, now: Instant) {
        let probe = std::mem::take(&mut self.probe);
        let rule = self.rule;
        match error {
            Some(ErrorClass::Transport | ErrorClass::Overloaded) => self.breakers.set(&self.provider, |state| {
                *state = match *state {
                    State::Closed { failures } if failures + 1 < rule.failures => {
                        State::Closed { failures: failures + 1 }
                    }
                    // A straggler of the time before tells nothing new.
                    State::Open { until } if !probe => State::Open { until },
                    State::HalfOpen { probing } if !probe => State::HalfOpen { probing },
                    State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => {
                        State::Open { until: now + rule.open }
                    }
                };
            }),
            // Nobody knows whether it was reached.
            Some(ErrorClass::Timeout | ErrorClass::Cancelled | ErrorClass::Crashed | ErrorClass::Worktree) => {
                self.probe = probe;
            }
            // Whatever it said, it was there.
            None | Some(_) => self.breakers.set(&self.provider, |state| *state = State::Closed { failures: 0 }),
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breakers.set(&self.provider, |state| {
                if *state == (State::HalfOpen { probing: true }) {
                    *state = State::HalfOpen { probing: false };
                }
            });
        }
    }
}

/// The error of an attempt that was not let through.
pub(crate) fn refused(provider: &str, rest: Duration) -> CallError {
    // Rounded up: whoever comes back too early is refused again.
    let ms = (rest.as_micros() as u64).div_ceil(1000).max(1);
    let seconds = ms.div_ceil(1000);
    let mut error = CallError::new(
        ErrorClass::Overloaded,
        format!(
            "provider \"{provider}\" failed several times in a row and is left alone for {seconds} s; nothing was sent"
        ),
    );
    error.retry_after_ms = Some(ms);
    error
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "tests")]
    use super::*;

    const RULE: Rule = Rule { failures: 3, open: Duration::from_secs(30) };

    fn fail(breakers: &Breakers, now: Instant) {
        breakers.pass("p", RULE, now).expect("let through").ended(Some(ErrorClass::Transport), now);
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_through_later() {
        let (breakers, now) = (Breakers::default(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        let waits = |at| breakers.pass("p", RULE, at).err();
        fail(&breakers, now);
        fail(&breakers, now);
        breakers.pass("p", RULE, now).expect("closed").ended(Some(ErrorClass::BadRequest), now);
        for _ in 0..3 {
            assert_eq!(waits(now), None);
            fail(&breakers, now);
        }
        assert_eq!((waits(now), waits(later(10))), (Some(RULE.open), Some(Duration::from_secs(20))));
        assert!(breakers.pass("other", RULE, now).is_ok());
        // One tries, and fails: open again for all of the time.
        let probe = breakers.pass("p", RULE, later(30)).expect("the probe");
        assert_eq!(waits(later(31)), Some(RULE.open));
        probe.ended(Some(ErrorClass::Overloaded), later(31));
        assert_eq!(waits(later(32)), Some(Duration::from_secs(29)));
        // One that breaks off leaves its place to the next.
        drop(breakers.pass("p", RULE, later(61)).expect("the probe"));
        breakers.pass("p", RULE, later(62)).expect("the next").ended(Some(ErrorClass::Timeout), later(63));
        breakers.pass("p", RULE, later(63)).expect("the one after").ended(None, later(64));
        assert_eq!(waits(later(64)), None);
    }

    #[test]
    fn attempts_under_way_when_it_opened_do_not_keep_it_open() {
        let (breakers, now) = (Breakers::default(), Instant::now());
        let many: Vec<_> = (0..6).map(|_| breakers.pass("p", RULE, now).ok()).collect();
        for (n, passage) in many.into_iter().flatten().enumerate() {
            passage.ended(Some(ErrorClass::Transport), now + Duration::from_secs(n as u64));
        }
        assert_eq!(breakers.pass("p", RULE, now + Duration::from_secs(3)).err(), Some(Duration::from_secs(29)));
    }
}
