//! A promise that something queued will be on disk: waited for by a thread or by any executor.

use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};

use crate::store::error::StoreError;
use crate::store::writer::Queue;

#[derive(Debug, Default)]
struct State {
    result: Option<Result<(), StoreError>>,
    wakers: Vec<Waker>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    settled: Condvar,
    /// Where it was queued.
    queue: Weak<Queue>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, result: Result<(), StoreError>) {
        let wakers = {
            let mut state = self.lock();
            if state.result.is_some() {
                return;
            }
            state.result = Some(result);
            std::mem::take(&mut state.wakers)
        };
        self.settled.notify_all();
        for waker in wakers {
            waker.wake();
        }
    }
}

/// Says when what was queued is on disk, or why it never will be. Cheap to clone; dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct Ticket(Arc<Shared>);

impl Ticket {
    /// A ticket for something that is queued there, and the one who settles it.
    pub(super) fn of(queue: &Arc<Queue>) -> (Self, Settler) {
        Self::pair(Arc::downgrade(queue))
    }

    fn pair(queue: Weak<Queue>) -> (Self, Settler) {
        let shared = Arc::new(Shared { queue, ..Shared::default() });
        (Self(Arc::clone(&shared)), Settler(shared))
    }

    /// A ticket that is settled already.
    pub(crate) fn settled(result: Result<(), StoreError>) -> Self {
        let (ticket, settler) = Self::pair(Weak::new());
        settler.settle(result);
        ticket
    }

    /// Waits, blocking the thread, and lets it be written at once.
    ///
    /// # Errors
    /// Why it was not written.
    pub fn wait(&self) -> Result<(), StoreError> {
        self.hurry();
        self.wait_until_written()
    }

    /// Waits, blocking the thread, until it is written with what else comes in the next few milliseconds.
    ///
    /// # Errors
    /// Why it was not written.
    pub fn wait_until_written(&self) -> Result<(), StoreError> {
        let mut state = self.0.lock();
        loop {
            if let Some(result) = &state.result {
                return result.clone();
            }
            state = self.0.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits, on any executor, and lets it be written at once.
    ///
    /// # Errors
    /// Why it was not written.
    pub async fn committed(&self) -> Result<(), StoreError> {
        self.hurry();
        poll_fn(|context| {
            let mut state = self.0.lock();
            if let Some(result) = &state.result {
                return Poll::Ready(result.clone());
            }
            if !state.wakers.iter().any(|w| w.will_wake(context.waker())) {
                state.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn hurry(&self) {
        if self.result().is_none()
            && let Some(queue) = self.0.queue.upgrade()
        {
            queue.hurry();
        }
    }

    /// The result, when there is one already.
    pub fn result(&self) -> Option<Result<(), StoreError>> {
        self.0.lock().result.clone()
    }
}

/// The other end of a ticket; dropped unsettled, it says that the writer is gone.
#[derive(Debug)]
pub(super) struct Settler(Arc<Shared>);

impl Settler {
    pub(super) fn settle(&self, result: Result<(), StoreError>) {
        self.0.settle(result);
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.0.settle(Err(StoreError::Internal("the writer has stopped".to_owned())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future as _;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_ticket_wakes_whoever_waits_and_a_lost_settler_is_an_error() {
        let (ticket, settler) = Ticket::pair(Weak::new());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut waiting = pin!(ticket.committed());
        assert_eq!(waiting.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(waiting.as_mut().poll(&mut context), Poll::Pending);
        settler.settle(Ok(()));
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready(Ok(())));
        drop(settler);
        assert_eq!(ticket.wait(), Ok(()), "the first result stands");
        let (lost, settler) = Ticket::pair(Weak::new());
        drop(settler);
        assert_eq!(lost.result(), Some(Err(StoreError::Internal("the writer has stopped".to_owned()))));
    }
}
