//! From a provider's answer to the value the workflow gets: text as it is, or JSON that satisfies the schema.

use serde_json::Value;

use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::ReplyAnswer;
use crate::providers::schema::{CompiledSchema, read_answer};

/// The value of an answer, and its raw text when the value was read from it.
///
/// # Errors
/// Class `no_output` when nothing came although a schema was asked for, class `schema` when the answer breaks it.
pub(crate) fn checked(
    answer: ReplyAnswer,
    schema: Option<&CompiledSchema>,
) -> Result<(Value, Option<String>), CallError> {
    let missing = || CallError::new(ErrorClass::NoOutput, "an answer by schema was asked for and none came");
    let Some(schema) = schema else {
        return match answer {
            ReplyAnswer::Text(text) => Ok((Value::String(text), None)),
            ReplyAnswer::Json(value) => in_domain(value).map(|v| (v, None)),
            ReplyAnswer::Both { value, text } => in_domain(value).map(|v| (v, Some(text))),
            ReplyAnswer::Missing => Ok((Value::String(String::new()), None)),
        };
    };
    let (value, text) = match answer {
        ReplyAnswer::Json(value) => (value, None),
        ReplyAnswer::Both { value, text } => (value, Some(text)),
        ReplyAnswer::Text(text) => {
            let value = read_answer(&text).ok_or_else(missing)?;
            (value, Some(text))
        }
        ReplyAnswer::Missing => return Err(missing()),
    };
    match schema.check(in_domain(value)?) {
        Ok(value) => Ok((value, text)),
        Err(errors) => {
            let first = errors.first();
            let place = first.map(|e| e.pointer.as_str()).filter(|p| !p.is_empty()).unwrap_or("/");
            let what = first.map_or("does not satisfy the schema", |e| e.message.as_str());
            let got = first.and_then(|e| e.got.as_ref()).map(|g| format!(", got {}", clip(&g.to_string(), 80)));
            let message = format!("{place} {what}{}", got.unwrap_or_default());
            let mut error = CallError::new(ErrorClass::Schema, message);
            error.schema_errors = errors;
            Err(error)
        }
    }
}

fn in_domain(value: Value) -> Result<Value, CallError> {
    match crate::core::json::check_domain(&value) {
        Ok(()) => Ok(value),
        Err(refused) => Err(CallError::new(ErrorClass::Schema, format!("the answer's {refused}"))),
    }
}

/// At most `most` characters of a text, the cut shown.
pub(crate) fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::providers::schema::compile;

    #[test]
    fn text_is_given_as_it_is_when_no_schema_was_asked_for() {
        assert_eq!(checked(ReplyAnswer::Text("{}".into()), None).unwrap(), (json!("{}"), None));
        assert_eq!(checked(ReplyAnswer::Missing, None).unwrap(), (json!(""), None));
    }

    #[test]
    fn an_answer_that_breaks_its_schema_says_where() {
        let schema = compile(&json!({"type": "object", "properties": {"n": {"type": "integer"}}})).unwrap();
        let error = checked(ReplyAnswer::Json(json!({"n": "around 120"})), Some(&schema)).unwrap_err();
        assert_eq!(error.class, ErrorClass::Schema);
        assert!(error.message.starts_with("/n "), "{}", error.message);
        assert!(error.message.ends_with("got \"around 120\""), "{}", error.message);
        let none = checked(ReplyAnswer::Missing, Some(&schema)).unwrap_err();
        assert_eq!(none.class, ErrorClass::NoOutput);
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        assert_eq!(clip("abcdef", 4), "abc…");
        assert_eq!(clip("abcd", 4), "abcd");
    }
}
