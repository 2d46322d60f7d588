//! The pace of a service or a program, shared by everything in this process: one refusal for being too fast slows all siblings.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::core::outcome::{CallError, ErrorClass};

/// The longest wait that is sat out when nothing else is configured; beyond it a request fails at once.
pub(super) const CEILING: Duration = Duration::from_mins(1);
/// The wait after a refusal without a hint; each further refusal doubles it.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait without a hint.
const LONGEST: Duration = Duration::from_secs(30);
/// The first distance between two requests after a refusal; refusals double it, answers halve it.
const GAP: Duration = Duration::from_millis(20);
/// The longest distance.
const WIDEST: Duration = Duration::from_secs(2);
/// A shorter distance is none.
const NARROWEST: Duration = Duration::from_millis(5);

static PACES: LazyLock<Mutex<HashMap<String, Arc<Pace>>>> = LazyLock::new(Mutex::default);

/// When the next request to one service may go.
#[derive(Debug, Default)]
pub(super) struct Pace {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// No request before this.
    next: Option<Instant>,
    /// The distance between requests.
    gap: Duration,
    /// Refusals in a row, those of one burst counted once.
    refusals: u32,
    /// Refusals of requests sent before this are of a burst that was counted.
    counted: Option<Instant>,
}

impl Pace {
    /// The pace of a service: the same for the same name and address.
    pub(super) fn of(key: &str) -> Arc<Self> {
        let mut paces = PACES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(paces.entry(key.to_owned()).or_default())
    }

    /// Waits for this request's turn. Returns when it may go.
    ///
    /// # Errors
    /// Of `name`, as it asked for a wait of more than `most`.
    pub(super) async fn turn(&self, name: &str, most: Duration) -> Result<Instant, CallError> {
        loop {
            let wait = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                let next = state.next.filter(|next| *next > now);
                match next {
                    None => {
                        state.next = (!state.gap.is_zero()).then(|| now + state.gap);
                        return Ok(now);
                    }
                    Some(next) => next - now,
                }
            };
            if wait > most {
                let message = format!("{name} asked for a pause of {} s", wait.as_secs());
                let mut error = CallError::new(ErrorClass::RateLimited, message);
                error.retry_after_ms = Some(wait.as_millis() as u64);
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// The service refused a request that was sent at `sent` for being too fast or overloaded; with the wait it asked for.
    fn refused(&self, sent: Instant, asked: Option<Duration>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let same_burst = state.counted.is_some_and(|counted| sent <= counted);
        if !same_burst {
            state.refusals = state.refusals.saturating_add(1);
            state.counted = Some(now);
            state.gap = (state.gap * 2).clamp(GAP, WIDEST);
        }
        let wait = asked
            .unwrap_or_else(|| (FIRST * 2_u32.saturating_pow(state.refusals.saturating_sub(1).min(10))).min(LONGEST));
        let until = now.checked_add(wait).unwrap_or(now + CEILING * 2);
        // The waits of one burst do not add up: the longest holds.
        state.next = Some(state.next.map_or(until, |next| next.max(until)));
    }

    /// What came of a request that was sent at `sent`: an answer, or an error of this class with the wait it asked for.
    pub(super) fn heard(&self, sent: Instant, error: Option<&CallError>) {
        match error {
            None => self.answered(),
            Some(error) if matches!(error.class, ErrorClass::RateLimited | ErrorClass::Overloaded) => {
                self.refused(sent, error.retry_after_ms.map(Duration::from_millis));
            }
            Some(_) => {}
        }
    }

    /// The service answered.
    fn answered(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.refusals = 0;
        state.gap /= 2;
        if state.gap < NARROWEST {
            state.gap = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn nobody_waits_while_the_service_answers() {
        // Without a timer nothing can wait.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let pace = Pace::default();
            for _ in 0..1000 {
                pace.turn("x", CEILING).await.unwrap();
                pace.answered();
            }
        });
    }

    #[test]
    fn one_refusal_makes_every_sibling_wait_and_come_one_by_one() {
        run(async {
            let pace = Pace::default();
            let sent = pace.turn("x", CEILING).await.unwrap();
            pace.refused(sent, Some(Duration::from_millis(100)));
            // The second refusal of the same burst adds nothing.
            pace.refused(sent, Some(Duration::from_millis(80)));
            let began = Instant::now();
            let first = pace.turn("x", CEILING).await.unwrap();
            let second = pace.turn("x", CEILING).await.unwrap();
            assert!(first - began >= Duration::from_millis(95), "{:?}", first - began);
            assert!(second - first >= Duration::from_millis(19), "{:?}", second - first);
        });
    }

    #[test]
    fn a_wait_beyond_the_ceiling_fails_at_once() {
        run(async {
            let pace = Pace::default();
            pace.refused(Instant::now(), Some(Duration::from_hours(1)));
            let wait = pace.turn("x", CEILING).await.unwrap_err().retry_after_ms;
            assert!(wait > Some(3_500_000), "{wait:?}");
        });
    }
}
