//! Known secrets: their exact values are replaced once, before anything that holds one is journaled, keyed or delivered.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::core::call::CallSpec;
use crate::core::environment::Environment;
use crate::core::machine::AttemptReport;
use crate::core::op::{DriverState, Op};
use crate::core::redact::Redactor;
use crate::core::work::OutputsAsk;

/// What is known to be secret, taken out of everything a run records.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    known: Arc<RwLock<Redactor>>,
}

impl Secrets {
    /// Those that a redactor knows.
    pub fn new(known: Redactor) -> Self {
        Self { known: Arc::new(RwLock::new(known)) }
    }

    /// Makes the values that `names` have in `env` known as well, to every holder of a copy.
    pub(crate) fn learn<'a>(&self, env: &Environment, names: impl IntoIterator<Item = &'a str>) {
        let more = Redactor::of(env, names);
        if !more.is_empty() {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            *known = known.with(&more);
        }
    }

    /// What is known now.
    pub(crate) fn known(&self) -> Redactor {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn text(&self, text: &mut String) {
        self.known().exact(text);
    }

    pub(crate) fn option(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(text);
        }
    }

    /// Replaces secrets in every string of a value, keys of objects included.
    pub(crate) fn value(&self, value: &mut Value) {
        if self.known().is_empty() {
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

    pub(crate) fn option_value(&self, value: &mut Option<Value>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// Replaces secrets in what user logic did.
    pub(crate) fn ops(&self, ops: &mut [Op], state: &mut DriverState) {
        if self.known().is_empty() {
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
            DriverState::Returned(value) | DriverState::Cancelled(value) => self.option_value(value),
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
        match &mut ask.outputs {
            Some(OutputsAsk::Files(files)) => files.iter_mut().for_each(|file| self.text(file)),
            Some(OutputsAsk::Pattern(text) | OutputsAsk::From(text)) => self.text(text),
            None => {}
        }
        if let Some(once) = &mut ask.once {
            self.text(&mut once.key);
        }
        if let Some(tool) = &mut ask.tool {
            self.value(&mut tool.args);
            self.option(&mut tool.mode);
        }
        if let Some(command) = &mut ask.command {
            command.argv.iter_mut().for_each(|word| self.text(word));
            self.option(&mut command.cwd);
            self.option(&mut command.input);
        }
        if let Some(workflow) = &mut ask.workflow {
            self.option_value(&mut workflow.args);
        }
        if let Some(approval) = &mut ask.approval {
            self.text(&mut approval.message);
            self.option_value(&mut approval.metadata);
        }
        self.text(&mut spec.label);
        self.option(&mut spec.phase);
        self.option(&mut spec.mode);
        self.option_value(&mut spec.metadata);
    }

    /// Replaces secrets in what an attempt brought.
    pub(crate) fn report(&self, report: &mut AttemptReport) {
        if self.known().is_empty() {
            return;
        }
        self.option(&mut report.rejected);
        if let Some(kept) = &mut report.kept {
            self.value(kept);
        }
        if let Some(question) = &mut report.question {
            self.text(&mut question.message);
            self.option_value(&mut question.metadata);
        }
        self.option(&mut report.model);
        self.option(&mut report.provenance.provider_version);
        for name in &mut report.changed_files {
            self.text(name);
        }
        for (_, message) in &mut report.notices {
            self.text(message);
        }
        for warning in &mut report.provenance.warnings {
            self.text(warning);
        }
        match &mut report.result {
            Ok(answer) => {
                self.option_value(&mut answer.value);
                for name in &mut answer.changed_files {
                    self.text(name);
                }
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
    use crate::core::call::{Ask, CallKind, OnceAsk};
    use crate::core::machine::Answer;
    use crate::core::work::{CommandAsk, ToolAsk};
    use serde_json::json;

    #[test]
    fn exact_values_of_known_variables_are_replaced_wherever_they_stand() {
        let env = Environment::new(
            [("OPENAI_API_KEY", "sk-0123456789"), ("GEMINI_API_KEY", "short")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let known = Redactor::of(&env, ["OPENAI_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY"]);
        let secrets = Secrets::new(known);
        let mut value = json!({"a": ["x sk-0123456789 y", 1], "sk-0123456789": "short"});
        secrets.value(&mut value);
        assert_eq!(value, json!({"a": ["x [OPENAI_API_KEY] y", 1], "[OPENAI_API_KEY]": "short"}));
        let key = || "sk-0123456789".to_owned();
        let mut report = AttemptReport::new(Err(crate::core::outcome::CallError::new(
            crate::core::outcome::ErrorClass::Other,
            key(),
        )));
        (report.model, report.changed_files) = (Some(key()), vec![key()]);
        report.provenance.provider_version = Some(key());
        report.notices.push(("code".to_owned(), key()));
        secrets.report(&mut report);
        assert!(!format!("{report:?}").contains(&key()), "{report:?}");
        let answer =
            Answer { text: Some(key()), value: Some(json!([key()])), changed_files: vec![key()], workspace: None };
        let mut report = AttemptReport::new(Ok(answer));
        secrets.report(&mut report);
        assert!(!format!("{report:?}").contains(&key()), "{report:?}");
        for mut state in [DriverState::Returned(Some(json!(key()))), DriverState::Cancelled(Some(json!([key()])))] {
            secrets.ops(&mut [], &mut state);
            assert!(!format!("{state:?}").contains(&key()), "{state:?}");
        }
    }

    #[test]
    fn no_text_of_a_request_keeps_a_secret_not_even_its_idempotency_key_or_its_mode() {
        let env = Environment::new([("OPENAI_API_KEY".to_owned(), "sk-0123456789".to_owned())]);
        let secrets = Secrets::new(Redactor::of(&env, ["OPENAI_API_KEY"]));
        let key = || "of sk-0123456789".to_owned();
        let ask = Ask {
            prompt: Some(key()),
            system: Some(key()),
            schema: Some(json!({"title": key()})),
            once: Some(OnceAsk { task: "t".to_owned(), key: key() }),
            tool: Some(ToolAsk { name: "t".to_owned(), args: json!({"a": key()}), mode: Some(key()) }),
            command: Some(CommandAsk { argv: vec![key()], input: Some(key()), ..CommandAsk::default() }),
            ..Ask::default()
        };
        let spec = CallSpec {
            label: key(),
            phase: Some(key()),
            mode: Some(key()),
            metadata: Some(json!({"a": key()})),
            ..CallSpec::new(CallKind::Agent, ask)
        };
        let mut ops = [Op::Request(Box::new(spec))];
        secrets.ops(&mut ops, &mut DriverState::Waiting);
        assert!(!format!("{ops:?}").contains("sk-0123456789"), "{ops:?}");
        let Op::Request(spec) = &ops[0] else { unreachable!("{ops:?}") };
        let told = Some("of [OPENAI_API_KEY]");
        assert_eq!((spec.ask.once.as_ref().map(|once| once.key.as_str()), spec.mode.as_deref()), (told, told));
    }
}
