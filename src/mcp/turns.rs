//! So many at a time, the others wait their turn: for threads.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often who waits looks whether to go on waiting.
const LOOK: Duration = Duration::from_millis(20);

/// Turns to be taken and given back.
#[derive(Debug)]
pub(crate) struct Turns {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// A turn; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    pub(crate) fn new(most: usize) -> Self {
        Self { free: Mutex::new(most), given_back: Condvar::new() }
    }

    /// Waits for a turn as long as `go_on` says so; none when it no longer does.
    pub(crate) fn take(&self, mut go_on: impl FnMut() -> bool) -> Option<Turn<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            if !go_on() {
                return None;
            }
            free = self.given_back.wait_timeout(free, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_have_a_turn_at_a_time_than_there_are_and_all_get_one() {
        let (turns, now, most) = (Turns::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let turn = turns.take(|| true);
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    drop(turn);
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert_eq!(*turns.free.lock().unwrap_or_else(PoisonError::into_inner), 2);
    }

    #[test]
    fn who_no_longer_wants_to_wait_gets_none() {
        let turns = Turns::new(1);
        let first = turns.take(|| true);
        assert!(first.is_some() && turns.take(|| false).is_none());
        drop(first);
        assert!(turns.take(|| false).is_some());
    }
}
