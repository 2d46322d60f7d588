//! Checking a value: coerce, validate, and say in our own words where it breaks its schema.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use serde_json::Value;

use super::coerce::coerce;
use crate::core::outcome::SchemaError;

/// The most errors that are reported.
const MOST: usize = 20;

/// The most characters of an offending value that are kept.
const GOT: usize = 200;

pub(super) fn check(schema: &Value, validator: &Validator, mut value: Value) -> Result<Value, Vec<SchemaError>> {
    if validator.is_valid(&value) {
        return Ok(value);
    }
    coerce(schema, schema, &mut value);
    let errors: Vec<SchemaError> = validator.iter_errors(&value).take(MOST).map(|error| to_error(&error)).collect();
    if errors.is_empty() { Ok(value) } else { Err(errors) }
}

/// One line for a reader: `/findings/0/line must be integer, got "around 120"`, and how many more there are.
pub fn describe(errors: &[SchemaError]) -> String {
    let Some(first) = errors.first() else { return "the answer breaks its schema".to_owned() };
    let got = first.got.as_ref().map(|got| format!(", got {got}")).unwrap_or_default();
    let more = if errors.len() > 1 { format!(" (and {} more)", errors.len() - 1) } else { String::new() };
    format!("{} {}{got}{more}", first.pointer, first.message)
}

fn to_error(error: &ValidationError<'_>) -> SchemaError {
    let path = error.instance_path().to_string();
    let pointer = if path.is_empty() { "/".to_owned() } else { path };
    let shows_value = !matches!(
        error.kind(),
        ValidationErrorKind::Required { .. } | ValidationErrorKind::AdditionalProperties { .. }
    );
    let got = shows_value.then(|| brief(error.instance()));
    SchemaError { pointer, message: message(error), got }
}

/// The value itself, or the beginning of its text when it is long.
fn brief(value: &Value) -> Value {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return value.clone(),
    };
    match text.char_indices().nth(GOT) {
        Some((end, _)) => Value::String(format!("{}…", &text[..end])),
        None => value.clone(),
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn message(error: &ValidationError<'_>) -> String {
    use ValidationErrorKind as Kind;
    match error.kind() {
        Kind::AdditionalItems { limit } => format!("must have at most {limit} items"),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            format!("must not have {}", list(unexpected))
        }
        Kind::AnyOf { .. } => "must match one of the forms under anyOf".to_owned(),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            "has a pattern that is too expensive to check".to_owned()
        }
        Kind::Constant { expected_value } => format!("must be {expected_value}"),
        Kind::Contains => "must contain an item of the form under contains".to_owned(),
        Kind::ContentEncoding { content_encoding } => format!("must be encoded as {content_encoding}"),
        Kind::ContentMediaType { content_media_type } => format!("must be {content_media_type}"),
        Kind::Custom { message, .. } => message.clone(),
        Kind::Enum { options } => format!("must be one of {options}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be greater than {limit}"),
        Kind::FalseSchema => "must not be there".to_owned(),
        Kind::Format { format } => format!("must be a {format}"),
        Kind::FromUtf8 { .. } => "must be text in UTF-8".to_owned(),
        Kind::MaxItems { limit } => format!("must have at most {limit} items"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::MaxLength { limit } => format!("must be at most {limit} characters long"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} properties"),
        Kind::MinItems { limit } => format!("must have at least {limit} items"),
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::MinLength { limit } => format!("must be at least {limit} characters long"),
        Kind::MinProperties { limit } => format!("must have at least {limit} properties"),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::Not { .. } => "must not have the form under not".to_owned(),
        Kind::OneOfMultipleValid { .. } => "must match only one of the forms under oneOf".to_owned(),
        Kind::OneOfNotValid { .. } => "must match one of the forms under oneOf".to_owned(),
        Kind::Pattern { pattern } => format!("must match the pattern {pattern}"),
        Kind::PropertyNames { error } => format!("must not have a property of this name: {}", message(error)),
        Kind::Required { property } => format!("must have the property {property}"),
        Kind::Type { kind } => match kind {
            TypeKind::Single(one) => format!("must be {}", type_name(*one)),
            TypeKind::Multiple(many) => {
                format!("must be {}", many.iter().map(type_name).collect::<Vec<_>>().join(" or "))
            }
        },
        Kind::UnevaluatedItems { .. } => "must not have these items".to_owned(),
        Kind::UniqueItems => "must have items that all differ".to_owned(),
        Kind::Referencing(_) => "has a schema with a broken reference".to_owned(),
    }
}

fn type_name(kind: JsonType) -> &'static str {
    kind.as_str()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use crate::core::outcome::SchemaError;
    use crate::providers::schema::{compile, describe};
    use serde_json::{Value, json};

    fn checked(schema: &Value, value: Value) -> Result<Value, Vec<SchemaError>> {
        compile(schema).unwrap().check(value)
    }

    #[test]
    fn accept_023_a_nested_violation_carries_the_pointer_of_the_first_failing_value() {
        let schema = json!({"type": "object", "required": ["findings"], "properties": {"findings": {"type": "array", "items":
            {"type": "object", "required": ["line"], "properties": {"line": {"type": "integer"}}}}}});
        let errors = checked(&schema, json!({"findings": [{"line": "around 120"}, {}]})).unwrap_err();
        assert_eq!(
            errors,
            [
                SchemaError {
                    pointer: "/findings/0/line".into(),
                    message: "must be integer".into(),
                    got: Some(json!("around 120"))
                },
                SchemaError {
                    pointer: "/findings/1".into(),
                    message: "must have the property \"line\"".into(),
                    got: None
                },
            ]
        );
        assert_eq!(describe(&errors), "/findings/0/line must be integer, got \"around 120\" (and 1 more)");
        let root = checked(&schema, json!([])).unwrap_err();
        assert_eq!(describe(&root), "/ must be object, got []");
    }

    #[test]
    fn dialect_29_formats_are_not_enforced_defaults_not_applied_extras_kept() {
        let schema = json!({"type": "object", "properties": {"when": {"type": "string", "format": "date-time"}, "odd": {"type":
            "string", "format": "no-such-format"}, "level": {"type": "string", "default": "low"}}});
        let value = json!({"when": "tomorrow", "odd": "x", "extra": [1]});
        assert_eq!(checked(&schema, value.clone()), Ok(value));
    }

    #[test]
    fn dialect_30_a_numeric_string_for_a_number_comes_back_as_a_number() {
        let schema = json!({"type": "object", "$defs": {"n": {"type": "number"}}, "properties": {
            "a": {"type": "number"}, "b": {"type": "integer"}, "c": {"$ref": "#/$defs/n"}, "d": {"type": ["null", "integer"]},
            "e": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
            "keep": {"type": ["string", "number"]}, "text": {"type": "string"}}});
        let value = json!({"a": "1.5", "b": "42", "c": "-3e2", "d": "7", "e": ["1", null], "keep": "5", "text": "6"});
        let want = json!({"a": 1.5, "b": 42, "c": -300, "d": 7, "e": [1, null], "keep": "5", "text": "6"});
        assert_eq!(checked(&schema, value), Ok(want));
        let bad = checked(&schema, json!({"b": "1.5"})).unwrap_err();
        assert_eq!(describe(&bad), "/b must be integer, got \"1.5\"");
        assert!(checked(&schema, json!({"a": ""})).is_err());
        assert!(checked(&schema, json!({"a": "0x10"})).is_err());
    }
}
