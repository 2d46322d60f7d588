//! What an attempt tells the loop of its run before it does it: effects of its tools, each on record before it takes place and its
//! result after, and that it may spend more than was set aside.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::core::budget::Charge;
use crate::core::ids::CallId;
use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::{Allowance, BoxFuture};
use crate::store::Ticket;

use super::message::Message;

/// What a tool is told whose call has ended.
const ENDED: &str = "the call has ended";

/// Where the tools of one attempt say what they are about to change.
#[derive(Debug)]
pub(crate) struct Effects {
    to: Sender<Message>,
    call_id: CallId,
    attempt: u32,
    /// Effects told so far.
    count: AtomicU32,
}

impl Effects {
    /// Those of an attempt, told to the loop of its run.
    pub(crate) fn new(to: Sender<Message>, call_id: CallId, attempt: u32) -> Self {
        Self { to, call_id, attempt, count: AtomicU32::new(0) }
    }

    /// Returns the number of an effect once it is on disk that it is about to take place.
    ///
    /// # Errors
    /// Nobody waits for it any more, or it could not be recorded: then it must not take place.
    pub(crate) async fn begin(&self, tool: &str, target: Option<&str>, args: Option<&Value>) -> Result<u32, String> {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let (recorded, record) = oneshot::channel();
        let (call_id, attempt, tool, target) = (self.call_id, self.attempt, tool.to_owned(), target.map(str::to_owned));
        let args = args.cloned();
        let message = Message::ToolStarted { call_id, attempt, number, tool, target, args, recorded };
        self.to.send(message).map_err(|_| ENDED.to_owned())?;
        // The loop lets go of it without a word when the call has ended.
        let ticket: Ticket = record.await.map_err(|_| ENDED.to_owned())?;
        ticket
            .committed()
            .await
            .map_err(|_| "its start could not be recorded, so it was not carried out".to_owned())?;
        Ok(number)
    }

    /// Tells how an effect ended.
    pub(crate) fn ended(&self, number: u32, result: &Result<String, String>) {
        let (call_id, attempt) = (self.call_id, self.attempt);
        let (ok, message) = match result {
            Ok(text) => (true, text.clone()),
            Err(why) => (false, why.clone()),
        };
        // A loop that has ended needs no word: the effect is on record as begun.
        let _ = self.to.send(Message::ToolFinished { call_id, attempt, number, ok, message });
    }
}

impl Allowance for Effects {
    fn raise(&self, used: Charge, next: Charge) -> BoxFuture<'_, Result<(), CallError>> {
        Box::pin(async move {
            let (granted, answer) = oneshot::channel();
            let gone = || CallError::new(ErrorClass::Cancelled, ENDED);
            let message = Message::Raise { call_id: self.call_id, attempt: self.attempt, used, next, granted };
            self.to.send(message).map_err(|_| gone())?;
            match answer.await.map_err(|_| gone())?? {
                None => Ok(()),
                Some(recorded) => recorded.committed().await.map_err(|_| gone()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn more_may_be_spent_only_when_it_is_on_record() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let lost = StoreError::NoStore { home: "gone".to_owned() };
        for (recorded, granted) in [
            (None, Ok(())),
            (Some(Ticket::settled(Ok(()))), Ok(())),
            (Some(Ticket::settled(Err(lost))), Err(ErrorClass::Cancelled)),
        ] {
            let (to, loop_of_run) = std::sync::mpsc::channel();
            let answers = std::thread::spawn(move || match loop_of_run.recv().unwrap() {
                Message::Raise { used, next, granted, .. } => {
                    granted.send(Ok(recorded)).unwrap();
                    (used.tokens, next.tokens)
                }
                other => panic!("{other:?}"),
            });
            let effects = Effects::new(to, CallId(1), 1);
            let tokens = |tokens| Charge { tokens, ..Charge::default() };
            let raised = runtime.block_on(effects.raise(tokens(1), tokens(2)));
            assert_eq!(raised.map_err(|error| error.class), granted);
            assert_eq!(answers.join().unwrap(), (1, 2));
        }
    }
}
