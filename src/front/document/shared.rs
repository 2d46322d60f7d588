//! What tasks share, and who wrote what: writes of one task are taken back without those of the others.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

/// The state of a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    /// What it is now.
    now: Map<String, Json>,
    /// Of every key that a task wrote, what it was before and the writes that count, the last one last.
    writes: HashMap<String, Vec<Write>>,
}

/// One value of a key.
#[derive(Debug, Clone)]
struct Write {
    /// The task that may still take it back.
    by: Option<usize>,
    /// None = the key was not there.
    value: Option<Json>,
}

impl Shared {
    /// The state at the beginning.
    pub(super) fn of(initial: Map<String, Json>) -> Self {
        Self { now: initial, writes: HashMap::new() }
    }

    /// What it is now.
    pub(super) fn now(&self) -> &Map<String, Json> {
        &self.now
    }

    /// A task writes.
    pub(super) fn write(&mut self, task: usize, writes: Vec<(String, Json)>) {
        for (key, value) in writes {
            let before = self.now.insert(key.clone(), value.clone());
            let all = self.writes.entry(key).or_insert_with(|| vec![Write { by: None, value: before }]);
            all.push(Write { by: Some(task), value: Some(value) });
            Self::join(all);
        }
    }

    /// Takes back what a task wrote and has not kept: what others wrote since stays.
    pub(super) fn take_back(&mut self, task: usize) {
        for (key, all) in &mut self.writes {
            let count = all.len();
            all.retain(|write| write.by != Some(task));
            if all.len() == count {
                continue;
            }
            Self::join(all);
            match all.last().and_then(|write| write.value.clone()) {
                Some(value) => drop(self.now.insert(key.clone(), value)),
                None => drop(self.now.shift_remove(key)),
            }
        }
    }

    /// What a task wrote stays from now on.
    pub(super) fn keep(&mut self, task: usize) {
        for all in self.writes.values_mut() {
            for write in all.iter_mut().filter(|write| write.by == Some(task)) {
                write.by = None;
            }
            Self::join(all);
        }
    }

    /// Of writes in a row by the same hand only the last can ever be seen again.
    fn join(all: &mut Vec<Write>) {
        all.dedup_by(|later, earlier| {
            let same = later.by == earlier.by;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn writes(pairs: &[(&str, i32)]) -> Vec<(String, Json)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect()
    }

    fn shared() -> Shared {
        Shared::of(json!({"a": 0}).as_object().cloned().unwrap_or_default())
    }

    fn now(shared: &Shared) -> Json {
        Json::Object(shared.now().clone())
    }

    #[test]
    fn what_a_task_wrote_is_taken_back_and_what_others_wrote_stays() {
        let mut shared = shared();
        shared.write(1, writes(&[("a", 1), ("b", 1)]));
        shared.write(2, writes(&[("a", 2)]));
        shared.write(1, writes(&[("c", 3)]));
        assert_eq!(now(&shared), json!({"a": 2, "b": 1, "c": 3}));
        shared.take_back(1);
        assert_eq!(now(&shared), json!({"a": 2}));
        shared.take_back(2);
        assert_eq!(now(&shared), json!({"a": 0}));
    }

    #[test]
    fn what_is_kept_is_not_taken_back() {
        let mut shared = shared();
        shared.write(1, writes(&[("a", 1)]));
        shared.keep(1);
        shared.write(1, writes(&[("a", 2)]));
        shared.take_back(1);
        assert_eq!(now(&shared), json!({"a": 1}));
    }

    #[test]
    fn a_loop_leaves_no_more_than_one_write_a_key() {
        let mut shared = shared();
        for n in 0..1000 {
            shared.write(1, writes(&[("a", n)]));
            shared.write(1, writes(&[("a", n + 1)]));
            shared.keep(1);
        }
        assert_eq!(shared.writes["a"].len(), 1);
        assert_eq!(now(&shared), json!({"a": 1000}));
    }
}
