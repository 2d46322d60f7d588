//! Concurrency permits: one gate a provider, shared by a run tree, first come first served.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};

use crate::core::ids::{CallId, RunId};

use super::message::Message;

/// The gates of a run tree.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    gates: Mutex<HashMap<String, Gate>>,
}

#[derive(Debug, Default)]
struct Gate {
    limit: u32,
    holders: Vec<(RunId, CallId)>,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    run: RunId,
    call: CallId,
    to: Sender<Message>,
}

impl Gates {
    /// Asks for a permit of `provider`. True = granted at once; else [`Message::Permit`] is sent to `to` when it is.
    pub(crate) fn acquire(&self, provider: &str, limit: u32, run: &RunId, call: CallId, to: &Sender<Message>) -> bool {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates.entry(provider.to_owned()).or_default();
        gate.limit = limit.max(1);
        if gate.holders.len() < gate.limit as usize && gate.waiting.is_empty() {
            gate.holders.push((run.clone(), call));
            true
        } else {
            gate.waiting.push_back(Waiter { run: run.clone(), call, to: to.clone() });
            false
        }
    }

    /// Gives a permit back, or takes a waiting call off the list; whoever waits longest is told.
    pub(crate) fn release(&self, provider: &str, run: &RunId, call: CallId) {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(gate) = gates.get_mut(provider) else { return };
        gate.waiting.retain(|w| w.call != call || w.run != *run);
        if let Some(at) = gate.holders.iter().position(|(r, c)| *c == call && r == run) {
            gate.holders.swap_remove(at);
        }
        gate.hand_out();
    }

    /// Gives back everything a run holds or waits for: its loop has ended.
    pub(crate) fn release_run(&self, run: &RunId) {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        for gate in gates.values_mut() {
            gate.waiting.retain(|w| w.run != *run);
            gate.holders.retain(|(r, _)| r != run);
            gate.hand_out();
        }
    }
}

impl Gate {
    fn hand_out(&mut self) {
        while self.holders.len() < self.limit as usize
            && let Some(next) = self.waiting.pop_front()
        {
            // A receiver that is gone gives its turn to the next.
            if next.to.send(Message::Permit(next.call)).is_ok() {
                self.holders.push((next.run, next.call));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn permits_go_round_in_order() {
        let gates = Gates::default();
        let run: RunId = "20260528-143201-k7q2mvx4".parse().unwrap();
        let (to, from) = std::sync::mpsc::channel();
        let ask = |n| gates.acquire("fake", 2, &run, CallId(n), &to);
        assert_eq!([ask(1), ask(2), ask(3), ask(4)], [true, true, false, false]);
        gates.release("fake", &run, CallId(3));
        gates.release("fake", &run, CallId(1));
        let told: Vec<_> = from.try_iter().map(|m| format!("{m:?}")).collect();
        assert_eq!(told, ["Permit(CallId(4))"]);
    }
}
