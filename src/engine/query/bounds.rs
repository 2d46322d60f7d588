//! The one place that keeps a reply to a model at or under 10,000 characters of compact JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Characters (UTF-16 units, as clients count) of a whole reply.
pub(crate) const REPLY: usize = 10_000;
/// Characters up to which rows are added.
const ROWS: usize = 9_400;
/// Characters of a value that is shown whole within a reply.
pub(crate) const VALUE: usize = 6_000;
/// Characters of the text of one page of a file.
pub(crate) const PAGE: usize = 8_000;
/// Bytes that may be asked for at once.
pub(crate) const MAX_BYTES: u64 = 200_000;

/// Keys that hold data of the user, which is shown as it is or not at all.
const DATA: [&str; 3] = ["output", "output_text", "content"];

/// How long a reply may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Bound {
    /// As long as it is: the command line.
    #[default]
    None,
    /// What a model should read at once.
    Model,
}

impl Bound {
    /// The text, clipped for a model.
    pub(crate) fn clip(self, text: &str, chars: usize) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Model => clip(text, chars),
        }
    }

    /// How many rows are shown when `limit` rows were asked for, or else `model` rows to a model.
    pub(crate) fn rows(self, limit: Option<u32>, model: usize) -> usize {
        match (limit, self) {
            (Some(limit), _) => limit as usize,
            (None, Self::Model) => model,
            (None, Self::None) => usize::MAX,
        }
    }
}

/// UTF-16 units of the compact JSON of a value.
pub(crate) fn size(value: &impl Serialize) -> usize {
    // Views always serialise.
    serde_json::to_string(value).unwrap_or_default().chars().map(char::len_utf16).sum()
}

/// The first characters of a text, the last one `…` when something is left out.
pub(crate) fn clip(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The room that a reply's fixed keys leave for rows.
#[derive(Debug)]
pub(crate) struct Room {
    left: Option<usize>,
}

impl Room {
    /// The room beside `fixed`: the reply without its rows.
    pub(crate) fn beside(bound: Bound, fixed: &impl Serialize) -> Self {
        let left = match bound {
            Bound::None => None,
            Bound::Model => Some(ROWS.saturating_sub(size(fixed))),
        };
        Self { left }
    }

    /// Keeps the first rows, as many as fit. True when some were left out.
    pub(crate) fn keep<T: Serialize>(&mut self, rows: &mut Vec<T>) -> bool {
        let Some(left) = &mut self.left else { return false };
        // The key, its quotes, colon, brackets and comma.
        let mut rest = left.saturating_sub(24);
        let mut fit = 0;
        for row in rows.iter() {
            let Some(after) = rest.checked_sub(size(row) + 1) else { break };
            rest = after;
            fit += 1;
        }
        if fit > 0 {
            *left = rest;
        }
        let cut = fit < rows.len();
        rows.truncate(fit);
        cut
    }

    /// Like [`Room::keep`], using at most `units` of the room.
    pub(crate) fn keep_within<T: Serialize>(&mut self, units: usize, rows: &mut Vec<T>) -> bool {
        let Some(left) = self.left else { return false };
        let part = left.min(units);
        let mut room = Self { left: Some(part) };
        let cut = room.keep(rows);
        self.left = Some(left - (part - room.left.unwrap_or(0)));
        cut
    }

    /// Whether a value would fit; it takes its room then.
    pub(crate) fn takes(&mut self, value: &impl Serialize) -> bool {
        let Some(left) = &mut self.left else { return true };
        match left.checked_sub(size(value) + 24) {
            Some(after) => {
                *left = after;
                true
            }
            None => false,
        }
    }
}

/// The last resort: clips the longest texts until the reply fits. `output` and `content` are data and stay as they are.
pub(crate) fn finish<T: Serialize + DeserializeOwned>(bound: Bound, view: T) -> T {
    if bound == Bound::None || size(&view) <= REPLY {
        return view;
    }
    let Ok(mut value) = serde_json::to_value(&view) else { return view };
    while size(&value) > REPLY {
        let Some(longest) = longest_text(&mut value) else { break };
        let chars = longest.chars().count();
        *longest = clip(longest, chars * 2 / 3);
    }
    serde_json::from_value(value).unwrap_or(view)
}

/// Any reply to a model, views that no query made included: rows of the longest lists give way first, then long texts.
pub(crate) fn fit(mut reply: Value) -> Value {
    let mut cut = false;
    while size(&reply) > REPLY {
        let Some(rows) = longest_list(&mut reply).filter(|rows| rows.len() > 3) else { break };
        rows.truncate(rows.len() * 3 / 4);
        cut = true;
    }
    if cut && let Value::Object(map) = &mut reply {
        map.insert("truncated".to_owned(), Value::Bool(true));
    }
    finish(Bound::Model, reply)
}

/// The list with the most characters; data of the user is none.
fn longest_list(value: &mut Value) -> Option<&mut Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::Object(map) => map
            .iter_mut()
            .filter(|(key, _)| !DATA.contains(&key.as_str()))
            .filter_map(|(_, item)| longest_list(item))
            .max_by_key(|rows| if rows.len() > 3 { size(rows) } else { 0 }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn longest_text(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::String(text) if text.len() > 48 => Some(text),
        Value::Array(items) => items.iter_mut().filter_map(longest_text).max_by_key(size),
        Value::Object(map) => map
            .iter_mut()
            .filter(|(key, _)| !DATA.contains(&key.as_str()))
            .filter_map(|(_, item)| longest_text(item))
            .max_by_key(size),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_clipped_by_characters_and_never_within_one() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöü!", 3), "äö…");
        assert_eq!(clip("😀😀😀", 2), "😀…");
    }

    #[test]
    fn rows_are_kept_in_order_until_the_room_is_used() {
        let rows: Vec<String> = (0..200).map(|n| format!("{n:0100}")).collect();
        let mut kept = rows.clone();
        assert!(Room::beside(Bound::Model, &json!({"rows": []})).keep(&mut kept));
        assert_eq!(kept, rows[..kept.len()]);
        let text = size(&json!({"rows": kept}));
        assert!((9_200..=9_400).contains(&text), "{text}");
        let mut all = rows.clone();
        assert!(!Room::beside(Bound::None, &json!({})).keep(&mut all));
        assert_eq!(all, rows);
    }

    #[test]
    fn the_longest_texts_give_way_and_data_does_not() {
        let value =
            json!({"a": "\"".repeat(9_000), "b": ["\u{1}".repeat(4_000), "short"], "output": "x".repeat(3_000)});
        let cut = finish(Bound::Model, value.clone());
        assert!(size(&cut) <= REPLY);
        assert_eq!((&cut["output"], &cut["b"][1]), (&value["output"], &value["b"][1]));
        assert_eq!(finish(Bound::None, value.clone()), value);
    }
}
