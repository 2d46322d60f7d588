//! The end of a run on request: its children end before it does, so that the deepest is the first.

use std::time::{Duration, Instant};

use crate::core::ids::CallId;
use crate::core::machine::Input;

use super::message::Message;
use super::run_loop::RunLoop;

/// How long a run waits for its children to end before it ends without them.
const FOR_CHILDREN: Duration = Duration::from_secs(3);

/// How often a run that waits for children that clean up looks whether they still do.
const CLEANING_LOOK: Duration = Duration::from_millis(100);

/// A cancel that waits for the children of the run.
pub(super) struct Cancelling {
    by: String,
    reason: Option<String>,
    /// When it waits no longer.
    pub(super) until: Instant,
}

impl RunLoop {
    /// Ends the run, or one call of it. From here on nothing is started or delivered in a run that ends.
    pub(super) fn cancel(&mut self, call_id: Option<CallId>, by: String, reason: Option<String>) {
        if call_id.is_some() || self.children.is_empty() || self.machine.is_over() {
            return self.feed(Input::Cancel { call_id, by, reason });
        }
        // Its own agents need not wait for anybody; what they used is still heard.
        self.attempts.values().for_each(super::begin::Running::ask_to_end);
        for child in self.children.values() {
            let (by, reason) = ("parent".to_owned(), Some("its parent was cancelled".to_owned()));
            self.tree.send(child, Message::Cancel { row: None, call_id: None, by, reason });
        }
        self.cancelling = Some(Cancelling { by, reason, until: Instant::now() + FOR_CHILDREN });
    }

    /// Takes a message while children are ending; gives back what is none of its business.
    pub(super) fn while_cancelling(&mut self, message: Message) -> Option<Message> {
        match message {
            Message::ChildEnded { call_id, .. } => {
                self.children.remove(&call_id);
                if self.children.is_empty() {
                    self.cancel_now();
                }
                None
            }
            Message::CancelNow => {
                match &mut self.cancelling {
                    // What they clean up has its own time.
                    Some(cancelling) if self.tree.is_cleaning() => cancelling.until = Instant::now() + CLEANING_LOOK,
                    _ => self.cancel_now(),
                }
                None
            }
            // What a tool has changed and what an attempt has used belong on record.
            Message::Interrupt
            | Message::StoreFailed
            | Message::Attempt { .. }
            | Message::Accepted { .. }
            | Message::Policies { .. }
            | Message::ToolFinished { .. } => Some(message),
            Message::Cancel { row, .. } | Message::Pause { row, .. } | Message::Decided { row, .. } => {
                self.consumed.extend(row);
                None
            }
            Message::Progress { .. }
            // Dropped with it is what the tool waits for: it changes nothing.
            | Message::ToolStarted { .. }
            | Message::Raise { .. }
            | Message::Written
            | Message::Planned { .. }
            | Message::Once { .. }
            | Message::KeyBusy { .. }
            | Message::Look
            | Message::Described { .. }
            | Message::Allowed { .. }
            | Message::Permit(_)
            | Message::Timer(_)
            | Message::ChildWaiting { .. }
            | Message::Fail(_) => None,
        }
    }

    fn cancel_now(&mut self) {
        if let Some(Cancelling { by, reason, .. }) = self.cancelling.take() {
            self.feed(Input::Cancel { call_id: None, by, reason });
        }
    }
}
