//! What differs between two runs of the same script (surface.md 7.1), so that everything else can be compared.

use serde_json::{Value, json};

/// Keys whose values differ from run to run, beside points in time and durations.
const KEYS: [&str; 13] = [
    "run_id",
    "id",
    "run_dir",
    "home",
    "file_path",
    "script_path",
    "owner",
    "started_by",
    "runtime_version",
    "next",
    "message",
    "hint",
    "prices_as_of",
];

/// The value with `<key>` in place of what differs, under the keys of every run and under `more`.
pub(crate) fn masked(value: &Value, more: &[&str]) -> Value {
    let volatile = |key: &str| {
        KEYS.contains(&key) || more.contains(&key) || ["_run_id", "_at", "_ms"].iter().any(|end| key.ends_with(end))
    };
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                (key.clone(), if volatile(key) { json!(format!("<{key}>")) } else { masked(value, more) })
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| masked(item, more)).collect(),
        other => other.clone(),
    }
}
