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
    fn raise(&self, total: Charge) -> BoxFuture<'_, Result<(), CallError>> {
        Box::pin(async move {
            let (granted, answer) = oneshot::channel();
            let gone = || CallError::new(ErrorClass::Cancelled, ENDED);
            let message = Message::Raise { call_id: self.call_id, attempt: self.attempt, total, granted };
            self.to.send(message).map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }
}
