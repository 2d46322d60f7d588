//! Cache lookups that a run and those it resumes have made: a replayed or reused call keeps its place among equal ones.

use std::collections::{BTreeSet, HashMap};

use crate::core::call::CallKind;
use crate::core::history::History;
use crate::core::ids::Hash;
use crate::store::{Store, StoreError};

use super::execute::read_history;

/// Agent calls of children, by the identity of the call that started them.
type Requests = Vec<((Hash, u32), u64)>;

/// Lookups by cache key and occurrence.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    /// All of them: later ones count on from here.
    pub(crate) made: Vec<(Hash, u32)>,
    /// Those of the run's own calls, by request key and occurrence; of several runs the nearest counts.
    pub(crate) by_call: HashMap<(Hash, u32), (Hash, u32)>,
    /// Fixture rules that answered.
    pub(crate) rules: BTreeSet<u32>,
    /// Agent calls of finished children, by the identity of the call that started them.
    pub(crate) requests: HashMap<(Hash, u32), u64>,
}

impl Lookups {
    /// Adds those of a journal, and of the finished children it names; call it nearest run first.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn add(&mut self, store: &Store, history: &History) -> Result<(), StoreError> {
        for (id, call) in &history.calls {
            if let Some(lookup) = call.lookup {
                self.by_call.entry(*id).or_insert(lookup);
            }
        }
        let children = self.count(store, history)?;
        for (id, requests) in children {
            self.requests.entry(id).or_insert(requests);
        }
        Ok(())
    }

    /// A child that is reused or replayed whole makes no lookups again; what it made still counts in its tree.
    /// Gives the agent calls that each of them requested, its own children included.
    fn count(&mut self, store: &Store, history: &History) -> Result<Requests, StoreError> {
        self.made.extend(&history.lookups);
        self.rules.extend(&history.rules);
        let mut children = Vec::new();
        for (id, call) in &history.calls {
            if let Some((_, outcome)) = &call.outcome
                && let Some(child) = &outcome.child_run
            {
                let (history, _) = read_history(store, child)?;
                let below: u64 = self.count(store, &history)?.iter().map(|(_, requests)| requests).sum();
                children.push((*id, agent_calls(&history) + below));
            }
        }
        Ok(children)
    }
}

/// Agent calls that a journal holds.
pub(crate) fn agent_calls(history: &History) -> u64 {
    history.calls.values().filter(|call| call.kind == CallKind::Agent).count() as u64
}
