//! Cache lookups that a run and those it resumes have made: a replayed or reused call keeps its place among equal ones.

use std::collections::HashMap;

use crate::core::history::History;
use crate::core::ids::Hash;
use crate::store::{Store, StoreError};

use super::execute::read_history;

/// Lookups by cache key and occurrence.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    /// All of them: later ones count on from here.
    pub(crate) made: Vec<(Hash, u32)>,
    /// Those of the run's own calls, by request key and occurrence; of several runs the nearest counts.
    pub(crate) by_call: HashMap<(Hash, u32), (Hash, u32)>,
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
        self.count(store, history)
    }

    /// A child that is reused or replayed whole makes no lookups again; what it made still counts in its tree.
    fn count(&mut self, store: &Store, history: &History) -> Result<(), StoreError> {
        self.made.extend(&history.lookups);
        for call in history.calls.values() {
            if let Some((_, outcome)) = &call.outcome
                && let Some(child) = &outcome.child_run
            {
                let (history, _) = read_history(store, child)?;
                self.count(store, &history)?;
            }
        }
        Ok(())
    }
}
