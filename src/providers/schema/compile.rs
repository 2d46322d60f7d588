//! Compiling a schema: what the dialect refuses, what it only warns about, and a small cache.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::{Draft, Validator};
use serde_json::Value;

use super::check::check;
use super::lint::lint;
use crate::core::ids::Hash;
use crate::core::json::check_domain;
use crate::core::outcome::{CallError, ErrorClass, SchemaError};

/// Schemas kept compiled; a run has a handful.
const CACHED: usize = 256;

static CACHE: LazyLock<Mutex<HashMap<Hash, CompiledSchema>>> = LazyLock::new(Mutex::default);

/// A schema ready to check answers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CompiledSchema {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    schema: Value,
    validator: Validator,
    warnings: Vec<String>,
}

impl CompiledSchema {
    /// The schema as it was given.
    pub fn schema(&self) -> &Value {
        &self.inner.schema
    }

    /// What is suspicious about the schema but does not make it unusable, such as unknown keywords.
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }

    /// Whether `value` satisfies the schema as it is, without coercion.
    pub fn accepts(&self, value: &Value) -> bool {
        self.inner.validator.is_valid(value)
    }

    /// Checks an answer: numeric strings become numbers where the schema wants a number, then everything is validated.
    /// Extra properties stay, defaults are not filled in, formats are not enforced.
    ///
    /// # Errors
    /// Every place where the value breaks the schema, 20 at most.
    pub fn check(&self, value: Value) -> Result<Value, Vec<SchemaError>> {
        check(&self.inner.schema, &self.inner.validator, value)
    }
}

/// Compiles a schema of `agent()`: JSON Schema 2020-12 without remote references, whose root says `type: "object"`. What only
/// draft-07 understands (a list under `items`) is read as draft-07 with a warning.
///
/// # Errors
/// An error of class `schema` that the script's `agent()` throws.
pub fn compile(schema: &Value) -> Result<CompiledSchema, CallError> {
    // The text keeps the key order, which decides the order of the errors.
    let key = Hash::of(schema.to_string());
    if let Some(found) = CACHE.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(found.clone());
    }
    let compiled = compile_fresh(schema)?;
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= CACHED {
        cache.clear();
    }
    cache.insert(key, compiled.clone());
    Ok(compiled)
}

fn unusable(message: impl std::fmt::Display) -> CallError {
    CallError::new(ErrorClass::Schema, format!("the schema cannot be used: {message}")).throwing("Error")
}

fn compile_fresh(schema: &Value) -> Result<CompiledSchema, CallError> {
    let Value::Object(root) = schema else {
        return Err(unusable("it must be an object").throwing("TypeError"));
    };
    check_domain(schema).map_err(unusable)?;
    if root.get("type").and_then(Value::as_str) != Some("object") {
        let mut error = unusable("its root must say type: \"object\"");
        error.hint =
            Some("wrap the value: {type: \"object\", properties: {items: ...}, required: [\"items\"]}".to_owned());
        return Err(error);
    }
    let mut found = lint(schema);
    if !found.errors.is_empty() {
        return Err(unusable(found.errors.join("; ")));
    }
    let build = |draft| {
        jsonschema::options().with_draft(draft).should_validate_formats(false).offline().build(schema).map_err(
            |error| {
                let at = error.instance_path().to_string();
                if at.is_empty() { error.to_string() } else { format!("{error} at {at}") }
            },
        )
    };
    let validator = match build(Draft::Draft202012) {
        Ok(validator) => validator,
        Err(message) => match build(Draft::Draft7) {
            Ok(validator) => {
                found.warnings.push("read as draft-07, because it is not valid in 2020-12".to_owned());
                validator
            }
            Err(_) => return Err(unusable(message)),
        },
    };
    let inner = Inner { schema: schema.clone(), validator, warnings: found.warnings };
    Ok(CompiledSchema { inner: Arc::new(inner) })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    fn refusal(schema: Value) -> CallError {
        compile(&schema).unwrap_err()
    }

    #[test]
    fn dialect_28_a_root_that_is_not_an_object_is_refused() {
        for schema in [
            json!({}),
            json!({"type": "array"}),
            json!({"type": "string"}),
            json!({"type": ["object"]}),
            json!({"anyOf": [{"type": "object"}]}),
        ] {
            let error = refusal(schema);
            assert_eq!(error.class, ErrorClass::Schema);
            assert_eq!(error.throws.as_deref(), Some("Error"));
            assert_eq!(error.message, "the schema cannot be used: its root must say type: \"object\"");
        }
        assert_eq!(refusal(json!("x")).throws.as_deref(), Some("TypeError"));
    }

    #[test]
    fn dialect_28_an_invalid_schema_is_refused() {
        let error = refusal(json!({"type": "object", "properties": {"a": {"type": "nonsense"}}}));
        assert!(error.message.contains("/properties/a/type"), "{}", error.message);
        let error = refusal(json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}));
        assert_eq!(error.class, ErrorClass::Schema);
    }

    #[test]
    fn dialect_28_references_that_lead_nowhere_or_away_are_refused() {
        let nowhere = refusal(json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}));
        assert_eq!(nowhere.message, "the schema cannot be used: $ref `#/$defs/none` at /properties/a leads nowhere");
        for away in ["https://example.com/a.json", "other.json", "file:///etc/passwd"] {
            let error = refusal(json!({"type": "object", "properties": {"a": {"$ref": away}}}));
            assert!(error.message.contains("leaves the schema"), "{}", error.message);
            let error = refusal(
                json!({"$id": "https://example.com/root.json", "type": "object", "$defs": {"a": {"$ref": away}},
                       "properties": {"a": {"$ref": "#/$defs/a"}}}),
            );
            assert_eq!(error.class, ErrorClass::Schema);
        }
    }

    #[test]
    fn dialect_28_required_and_forbidden_at_once_is_refused() {
        let error = refusal(json!({"type": "object", "properties": {"list": {"type": "array", "items":
            {"type": "object", "properties": {"a": {}}, "required": ["a", "b"], "additionalProperties": false}}}}));
        assert_eq!(
            error.message,
            "the schema cannot be used: `b` at /properties/list/items is required, and forbidden by additionalProperties: false"
        );
        let by_pattern = json!({"type": "object", "patternProperties": {"^b": {}}, "required": ["b1"], "additionalProperties": false});
        assert!(compile(&by_pattern).is_ok());
    }

    #[test]
    fn dialect_28_an_unknown_keyword_is_only_a_warning() {
        let compiled =
            compile(&json!({"type": "object", "properties": {"foo": {"type": "string", "colour": 1}}})).unwrap();
        assert_eq!(compiled.warnings(), ["unknown keyword `colour` at /properties/foo is ignored"]);
    }

    #[test]
    fn schemas_that_expand_without_end_are_refused() {
        let cycle = refusal(json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}));
        assert!(cycle.message.contains("refers to itself"), "{}", cycle.message);
        let mut defs: serde_json::Map<String, Value> = (0..30)
            .map(|i| {
                let next = json!({"$ref": format!("#/$defs/a{}", i + 1)});
                (format!("a{i}"), json!({"allOf": [next, next]}))
            })
            .collect();
        defs.insert("a30".to_owned(), json!({"type": "string"}));
        let bomb = refusal(json!({"type": "object", "$defs": defs, "properties": {"x": {"$ref": "#/$defs/a0"}}}));
        assert!(bomb.message.contains("too intricate"), "{}", bomb.message);
        let tree = json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}});
        assert!(compile(&tree).is_ok());
    }

    #[test]
    fn draft_07_schemas_are_understood() {
        let compiled = compile(&json!({"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", "type": "object",
            "definitions": {"n": {"type": "number"}}, "properties": {"pair": {"items": [{"$ref": "#/definitions/n"}]}}}))
        .unwrap();
        assert!(compiled.accepts(&json!({"pair": [1, "x"]})));
        assert!(!compiled.accepts(&json!({"pair": ["x"]})));
    }
}
