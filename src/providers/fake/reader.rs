//! Reading a tree with positions: every fault is noted with its place, and reading goes on.

use super::fixtures::FixtureProblem;
use super::node::{At, Data, Node};
use crate::providers::near::nearest;

/// More faults than this are of no use to a reader.
const MOST: usize = 50;

/// Collects faults.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<FixtureProblem>,
}

/// The entries of a map whose keys were checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'n>(&'n [(At, String, Node)]);

impl<'n> Fields<'n> {
    pub(super) fn get(self, key: &str) -> Option<&'n Node> {
        self.0.iter().find(|(_, name, _)| name == key).map(|(_, _, node)| node)
    }

    /// Those of `keys` that are given, with the position of the key.
    pub(super) fn given(self, keys: &[&'static str]) -> Vec<(&'n str, At)> {
        self.0.iter().filter(|(_, name, _)| keys.contains(&name.as_str())).map(|(at, name, _)| (&**name, *at)).collect()
    }
}

impl Reader {
    pub(super) fn fault(&mut self, at: At, path: &str, message: impl Into<String>, hint: Option<String>) {
        if self.problems.len() < MOST {
            let (line, column) = (at.line.max(1), at.column.max(1));
            self.problems.push(FixtureProblem { line, column, path: path.to_owned(), message: message.into(), hint });
        }
    }

    fn wrong_sort(&mut self, node: &Node, path: &str, want: &str) {
        let hint = matches!(node.data, Data::Number(_) | Data::Bool(_) | Data::Null) && want == "text";
        let hint = hint.then(|| "put it in quotes".to_owned());
        self.fault(node.at, path, format!("must be {want}, is {}", node.sort()), hint);
    }

    /// The entries of a map that may have `known` keys only.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, path: &str, known: &[&str]) -> Option<Fields<'n>> {
        let Data::Map(entries) = &node.data else {
            self.wrong_sort(node, path, "a map");
            return None;
        };
        for (at, key, _) in entries {
            if !known.contains(&key.as_str()) {
                let near = nearest(key, known.iter().copied());
                let hint = match near.first() {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("known here: {}", known.join(", ")),
                };
                let whole = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                self.fault(*at, &whole, "is no known key", Some(hint));
            }
        }
        Some(Fields(entries))
    }

    pub(super) fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        if let Data::Text(text) = &node.data {
            return Some(text.clone());
        }
        self.wrong_sort(node, path, "text");
        None
    }

    pub(super) fn flag(&mut self, node: &Node, path: &str) -> Option<bool> {
        if let Data::Bool(flag) = node.data {
            return Some(flag);
        }
        self.wrong_sort(node, path, "true or false");
        None
    }

    pub(super) fn whole(&mut self, node: &Node, path: &str) -> Option<u64> {
        if let Data::Number(number) = &node.data
            && let Some(whole) = number.as_u64()
        {
            return Some(whole);
        }
        self.wrong_sort(node, path, "a whole number, 0 or more");
        None
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Node] {
        if let Data::List(items) = &node.data {
            return items;
        }
        self.wrong_sort(node, path, "a list");
        &[]
    }

    /// One of some words; the fault lists them.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, path)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = nearest(&text, all.iter().copied()).first().map(|near| format!("did you mean {near}?"));
        self.fault(node.at, path, format!("`{text}` is none of {}", all.join(", ")), hint);
        None
    }

    /// A path below some directory: relative, without `..`.
    pub(super) fn path(&mut self, at: At, text: &str, path: &str) -> Option<String> {
        match super::effects::plain_path(text) {
            Ok(()) => Some(text.to_owned()),
            Err(why) => {
                self.fault(at, path, format!("`{text}` {why}"), None);
                None
            }
        }
    }
}
