//! Reading the fields of a request that the prelude wrote as JSON, with messages that say what is allowed.

use serde_json::{Map, Value};

/// The fields of one request and the name of what was called, for messages.
pub(super) struct Fields {
    /// `agent()`, `owf.approve()`.
    pub what: &'static str,
    /// The fields that have not been read.
    pub map: Map<String, Value>,
}

impl Fields {
    /// The fields in `text`.
    pub(super) fn parse(what: &'static str, text: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Ok(Self { what, map }),
            Ok(_) => Err(format!("{what} was given no object of options")),
            Err(error) => Err(format!("the options of {what} cannot be read: {error}")),
        }
    }

    /// Takes a field; `null` is absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.swap_remove(name).filter(|value| !value.is_null())
    }

    /// The message for a field with a wrong value.
    pub(super) fn wrong(&self, name: &str, wanted: &str, value: &Value) -> String {
        let mut shown = value.to_string();
        if shown.len() > 60 {
            let mut end = 57;
            while !shown.is_char_boundary(end) {
                end -= 1;
            }
            shown.truncate(end);
            shown.push_str("...");
        }
        format!("{} option \"{name}\" must be {wanted}, not {shown}", self.what)
    }

    /// A string that is not empty.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, "a string that is not empty", &other)),
        }
    }

    /// One of some words.
    pub(super) fn word<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        words: &str,
    ) -> Result<Option<T>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match serde_json::from_value(value.clone()) {
                Ok(parsed) => Ok(Some(parsed)),
                Err(_) => Err(self.wrong(name, &format!("one of {words}"), &value)),
            },
        }
    }

    /// An array of strings that are not empty; with `or_one` also a single one.
    pub(super) fn words(&mut self, name: &str, or_one: bool) -> Result<Option<Vec<String>>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let list = match &value {
            Value::String(one) if or_one && !one.is_empty() => Some(vec![one.clone()]),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        match list {
            Some(list) => Ok(Some(list)),
            None => Err(self.wrong(name, "an array of strings that are not empty", &value)),
        }
    }

    /// A number of at least `least`, rounded up to a whole one.
    pub(super) fn number(&mut self, name: &str, least: f64, wanted: &str) -> Result<Option<u64>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) if number >= least => Ok(Some(number.ceil() as u64)),
                _ => Err(self.wrong(name, wanted, &value)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_wrong_field_is_named_with_what_is_allowed() {
        let mut fields = Fields::parse("agent()", r#"{"timeoutMs":"x","tools":["a",1],"provider":""}"#).unwrap();
        assert_eq!(
            fields.number("timeoutMs", 1.0, "a positive number of milliseconds"),
            Err("agent() option \"timeoutMs\" must be a positive number of milliseconds, not \"x\"".into())
        );
        assert_eq!(
            fields.words("tools", false),
            Err("agent() option \"tools\" must be an array of strings that are not empty, not [\"a\",1]".into())
        );
        assert!(fields.text("provider").is_err());
        assert_eq!(fields.text("absent"), Ok(None));
    }
}
