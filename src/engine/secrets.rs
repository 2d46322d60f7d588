//! Known secrets: their exact values are replaced once, before anything that holds one is journaled, keyed or delivered.

use std::sync::Arc;

use serde_json::Value;

use crate::core::call::CallSpec;
use crate::core::environment::Environment;
use crate::core::machine::AttemptReport;
use crate::core::op::{DriverState, Op};

/// Shorter values are no secrets: replacing them would tear ordinary text apart.
const SHORTEST: usize = 8;

/// The values of the variables that hold provider keys, longest first.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    values: Arc<[(String, String)]>,
}

impl Secrets {
    /// The values that `variables` have in `env`.
    pub fn of(env: &Environment, variables: &[&str]) -> Self {
        let known = variables.iter().filter_map(|name| {
            let value = env.get(name)?.trim().to_owned();
            (value.len() >= SHORTEST).then(|| (value, format!("[{name}]")))
        });
        let mut values: Vec<(String, String)> = known.collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self { values: values.into() }
    }

    pub(crate) fn text(&self, text: &mut String) {
        for (value, name) in self.values.iter() {
            if text.contains(value) {
                *text = text.replace(value, name);
            }
        }
    }

    pub(crate) fn option(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(text);
        }
    }

    /// Replaces secrets in every string of a value, keys of objects included.
    pub(crate) fn value(&self, value: &mut Value) {
        if self.values.is_empty() {
            return;
        }
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => {
                let entries = std::mem::take(map);
                for (mut key, mut item) in entries {
                    self.text(&mut key);
                    self.value(&mut item);
                    map.insert(key, item);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn option_value(&self, value: &mut Option<Value>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// Replaces secrets in what user logic did.
    pub(crate) fn ops(&self, ops: &mut [Op], state: &mut DriverState) {
        if self.values.is_empty() {
            return;
        }
        for op in ops {
            match op {
                Op::Request(spec) => self.spec(spec),
                Op::Log { message, fields, .. } => {
                    self.text(message);
                    self.option_value(fields);
                }
                Op::Phase(title) => self.text(title),
                Op::Swallowed(what) => self.text(&mut what.message),
                Op::Warning { message, .. } => self.text(message),
                Op::Cancel(_) | Op::Pin { .. } => {}
            }
        }
        match state {
            DriverState::Returned(value) => self.option_value(value),
            DriverState::Failed(error) => self.text(&mut error.message),
            DriverState::Waiting => {}
        }
    }

    fn spec(&self, spec: &mut CallSpec) {
        let ask = &mut spec.ask;
        self.option(&mut ask.prompt);
        for message in ask.messages.iter_mut().flatten() {
            self.text(&mut message.content);
        }
        self.option(&mut ask.system);
        self.option_value(&mut ask.schema);
        self.option_value(&mut ask.extra);
        if let Some(workflow) = &mut ask.workflow {
            self.option_value(&mut workflow.args);
        }
        if let Some(approval) = &mut ask.approval {
            self.text(&mut approval.message);
            self.option_value(&mut approval.metadata);
        }
        self.text(&mut spec.label);
        self.option(&mut spec.phase);
        self.option_value(&mut spec.metadata);
    }

    /// Replaces secrets in what an attempt brought.
    pub(crate) fn report(&self, report: &mut AttemptReport) {
        if self.values.is_empty() {
            return;
        }
        self.option(&mut report.rejected);
        for warning in &mut report.provenance.warnings {
            self.text(warning);
        }
        match &mut report.result {
            Ok(answer) => {
                self.option_value(&mut answer.value);
                self.option(&mut answer.text);
            }
            Err(error) => {
                self.text(&mut error.message);
                self.option(&mut error.hint);
                for place in &mut error.schema_errors {
                    self.text(&mut place.message);
                    self.option_value(&mut place.got);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exact_values_of_known_variables_are_replaced_wherever_they_stand() {
        let env = Environment::new(
            [("OPENAI_API_KEY", "sk-0123456789"), ("GEMINI_API_KEY", "short")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let secrets = Secrets::of(&env, &["OPENAI_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY"]);
        let mut value = json!({"a": ["x sk-0123456789 y", 1], "sk-0123456789": "short"});
        secrets.value(&mut value);
        assert_eq!(value, json!({"a": ["x [OPENAI_API_KEY] y", 1], "[OPENAI_API_KEY]": "short"}));
    }
}
