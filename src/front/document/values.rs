//! What tasks gave, as templates see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::{Map, Value as Json};

use super::template::{Scope, absent, from_json, json_text};
use crate::core::outcome::{CallStatus, Outcome};

/// The result of a task.
#[derive(Debug, Clone)]
pub(super) struct TaskResult {
    /// The value; none of a task that was skipped or failed.
    pub(super) json: Option<Arc<Json>>,
    /// The same for templates.
    pub(super) value: Value,
    /// The answer as it came, when the value was read from it.
    text: Option<String>,
    files: Vec<String>,
    status: CallStatus,
    error: Option<String>,
    decision: Option<String>,
    /// How often it was repeated.
    pub(super) iterations: u32,
    /// Whether it was repeated as often as allowed without its condition becoming true.
    pub(super) cap_reached: bool,
}

impl TaskResult {
    /// A result with this value.
    pub(super) fn done(json: Json) -> Self {
        let value = from_json(&json);
        Self { json: Some(Arc::new(json)), value, ..Self::without(CallStatus::Done, None) }
    }

    /// How the task ended.
    pub(super) fn status(&self) -> CallStatus {
        self.status
    }

    /// No result, and why.
    pub(super) fn without(status: CallStatus, error: Option<String>) -> Self {
        Self {
            json: None,
            value: absent(),
            text: None,
            files: Vec::new(),
            status,
            error,
            decision: None,
            iterations: 1,
            cap_reached: false,
        }
    }

    /// The result of a call that is done.
    pub(super) fn of(outcome: &Outcome) -> Self {
        let json = outcome.value.clone().unwrap_or_else(|| outcome.text.clone().map_or(Json::Null, Json::String));
        Self {
            text: outcome.text.clone(),
            files: outcome.changed_files.clone(),
            decision: outcome.decision.as_ref().map(|d| d.decision.as_str().to_owned()),
            ..Self::done(json)
        }
    }

    /// The results of all items as one.
    pub(super) fn joined(items: &[Self]) -> Self {
        let list = items.iter().map(|i| i.json.as_deref().cloned().unwrap_or(Json::Null)).collect();
        let files = items.iter().flat_map(|i| i.files.clone()).collect();
        let text = items.iter().map(Self::text).collect::<Vec<_>>().join("\n");
        Self { text: Some(text), files, ..Self::done(Json::Array(list)) }
    }

    /// The same result of a task that failed all the same.
    pub(super) fn failed(self, status: CallStatus, message: &str) -> Self {
        Self { status, error: Some(message.to_owned()), ..self }
    }

    /// The value as a text.
    pub(super) fn text(&self) -> String {
        match (&self.text, self.json.as_deref()) {
            (Some(text), _) | (None, Some(Json::String(text))) => text.clone(),
            (None, Some(other)) => json_text(other),
            (None, None) => String::new(),
        }
    }

    /// The structured value: of a text, the JSON in it.
    fn data(&self) -> Option<Value> {
        match self.json.as_deref()? {
            Json::String(text) => {
                let parsed: Json = serde_json::from_str(text.trim()).ok()?;
                (parsed.is_object() || parsed.is_array()).then(|| from_json(&parsed))
            }
            _ => Some(self.value.clone()),
        }
    }

    /// Its parts by name.
    pub(super) fn parts(&self) -> Value {
        let slugs: Vec<String> = self.files.iter().map(|file| slug(file)).collect();
        let mut parts: BTreeMap<&str, Value> = BTreeMap::new();
        // Of two files with one short name the first has it; what every task has comes before both.
        parts.extend(
            slugs.iter().zip(&self.files).rev().map(|(slug, file)| (slug.as_str(), Value::from(file.as_str()))),
        );
        parts.insert("text", Value::from(self.text()));
        parts.extend(self.data().map(|data| ("data", data)));
        parts.insert("files", Value::from(self.files.clone()));
        parts.insert("status", Value::from(self.status.as_str()));
        parts.insert("ok", Value::from(self.status == CallStatus::Done));
        parts.insert("error", self.error.as_ref().map_or_else(absent, |error| Value::from(error.as_str())));
        parts.insert("iterations", Value::from(self.iterations));
        parts.insert("cap_reached", Value::from(self.cap_reached));
        parts.extend(self.decision.as_ref().map(|word| ("decision", Value::from(word.as_str()))));
        Value::from(parts)
    }
}

/// The short name of a file: its last part, with `_` for what no name can hold.
pub(super) fn slug(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What names stand for in one place of a document.
pub(super) struct Names<'a> {
    /// The results of tasks.
    pub(super) results: &'a dyn Fn(&str) -> Option<&'a TaskResult>,
    /// The args.
    pub(super) input: &'a Value,
    /// What tasks share.
    pub(super) state: &'a Map<String, Json>,
    /// Facts of the run.
    pub(super) run: &'a Value,
    /// The item of a task that goes over a list.
    pub(super) item: Option<Value>,
    /// How often, and what came before.
    pub(super) looped: Option<Value>,
    /// The task's own result.
    pub(super) output: Option<&'a TaskResult>,
}

impl Scope for Names<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        match name {
            "input" => Some(self.input.clone()),
            "state" => Some(Value::from(Serde(self.state))),
            "run" => Some(self.run.clone()),
            "item" => self.item.clone(),
            "loop" => self.looped.clone(),
            "output" => self.output.map(|o| o.value.clone()),
            _ => None,
        }
    }

    fn task(&self, id: &str) -> Option<Value> {
        (self.results)(id).map(|result| result.value.clone())
    }

    fn task_parts(&self, id: &str) -> Option<Value> {
        (self.results)(id).map(TaskResult::parts)
    }

    fn output_parts(&self) -> Option<Value> {
        self.output.map(TaskResult::parts)
    }
}
