//! The copy of a schema that Claude Code is given: draft-07 keywords only, with an object at its root.
//!
//! The CLI drops a schema it does not understand without a word (older versions) or refuses to start (newer ones), so what it
//! may stumble over is left out here; the engine checks every answer against the whole schema.

use serde_json::{Map, Value, json};

/// Keywords whose values are not schemas.
const PLAIN: &[&str] = &[
    "type",
    "enum",
    "const",
    "title",
    "description",
    "default",
    "examples",
    "required",
    "minProperties",
    "maxProperties",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "readOnly",
    "writeOnly",
];
/// Keywords with a schema.
const SCHEMA: &[&str] =
    &["additionalProperties", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else"];
/// Keywords with a list of schemas.
const LISTS: &[&str] = &["allOf", "anyOf", "oneOf"];
/// Keywords with schemas by name.
const MAPS: &[&str] = &["properties", "patternProperties", "$defs", "definitions"];

/// The property under which an answer stands that is no object.
const WRAPPED: &str = "value";

/// A schema as the CLI is given it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CliSchema {
    /// The schema.
    pub(super) schema: Value,
    /// Whether the answer stands in an object of its own.
    wrapped: bool,
}

impl CliSchema {
    /// The CLI's copy of `schema`.
    pub(super) fn of(schema: &Value) -> Self {
        let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
        if is_object {
            return Self { schema: clean(schema, ""), wrapped: false };
        }
        let inner = clean(schema, &format!("/properties/{WRAPPED}"));
        let schema = json!({
            "type": "object",
            "properties": {WRAPPED: inner},
            "required": [WRAPPED],
            "additionalProperties": false,
        });
        Self { schema, wrapped: true }
    }

    /// The answer in what the CLI gives.
    pub(super) fn unwrap(&self, mut given: Value) -> Value {
        match (self.wrapped, given.get_mut(WRAPPED)) {
            (true, Some(inner)) => inner.take(),
            (true | false, _) => given,
        }
    }
}

/// A schema without what is not in draft-07. `at` is where the root stands now.
fn clean(schema: &Value, at: &str) -> Value {
    let Value::Object(map) = schema else { return schema.clone() };
    if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
        return match reference.strip_prefix('#') {
            Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => {
                let mut kept = Map::new();
                kept.insert("$ref".to_owned(), format!("#{at}{pointer}").into());
                // Definitions may stand beside a reference at the root.
                let definitions = map.iter().filter(|(key, _)| matches!(key.as_str(), "$defs" | "definitions"));
                kept.extend(definitions.map(|(key, value)| (key.clone(), each(value, at))));
                Value::Object(kept)
            }
            // An anchor; what it names is checked by the engine.
            Some(_) | None => json!({}),
        };
    }
    let tuple = map.contains_key("prefixItems");
    let mut kept = Map::new();
    for (key, value) in map {
        let key = key.as_str();
        let value = if PLAIN.contains(&key) {
            value.clone()
        } else if SCHEMA.contains(&key) {
            clean(value, at)
        } else if MAPS.contains(&key) {
            each(value, at)
        } else if LISTS.contains(&key) {
            list(value, at)
        } else if key == "items" && !tuple {
            if value.is_array() { list(value, at) } else { clean(value, at) }
        } else {
            continue;
        };
        kept.insert(key.to_owned(), value);
    }
    Value::Object(kept)
}

fn each(value: &Value, at: &str) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), clean(value, at))).collect()),
        other => other.clone(),
    }
}

fn list(value: &Value, at: &str) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(|item| clean(item, at)).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claude_row_schema_dialect_and_formats_are_stripped() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://example.com/x",
            "title": "T",
            "type": "object",
            "properties": {
                "count": {"type": "integer", "format": "int64", "minimum": 0},
                "format": {"type": "string", "format": "date-time"}
            },
            "required": ["count"]
        });
        let expected = json!({
            "title": "T",
            "type": "object",
            "properties": {"count": {"type": "integer", "minimum": 0}, "format": {"type": "string"}},
            "required": ["count"]
        });
        assert_eq!(CliSchema::of(&schema), CliSchema { schema: expected, wrapped: false });
    }

    #[test]
    fn claude_row_keywords_that_are_not_in_draft_07_are_dropped_at_every_depth() {
        let schema = json!({
            "type": "object",
            "x-note": 1,
            "unevaluatedProperties": false,
            "properties": {
                "pair": {"type": "array", "prefixItems": [{"type": "string"}], "items": false, "minItems": 2},
                "any": {"anyOf": [{"type": "string", "contentEncoding": "base64"}, {"type": "null"}]},
                "list": {"type": "array", "items": {"type": "string", "nullable": true}},
                "map": {"type": "object", "additionalProperties": {"type": "number", "format": "double"}},
                "kind": {"enum": [{"x-a": 1}]}
            }
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "pair": {"type": "array", "minItems": 2},
                "any": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "list": {"type": "array", "items": {"type": "string"}},
                "map": {"type": "object", "additionalProperties": {"type": "number"}},
                "kind": {"enum": [{"x-a": 1}]}
            }
        });
        assert_eq!(CliSchema::of(&schema).schema, expected);
    }

    #[test]
    fn claude_row_references_definitions_alternatives_and_bounds_are_kept() {
        let schema = json!({
            "type": "object",
            "properties": {
                "node": {"$ref": "#/$defs/node"},
                "old": {"$ref": "#/definitions/old"},
                "named": {"$ref": "#anchor"}
            },
            "$defs": {"node": {"oneOf": [
                {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a"},
                {"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 2},
                {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 9},
                {"type": "array", "items": {"const": 1}, "minItems": 1, "maxItems": 9, "uniqueItems": true},
                {"type": "object", "minProperties": 1, "maxProperties": 9, "patternProperties": {"^a": {}}},
                {"allOf": [{"not": {"enum": [1]}}], "if": {}, "then": {}, "else": {}}
            ]}},
            "definitions": {"old": {"type": "string"}}
        });
        let mut expected = schema.clone();
        expected["properties"]["named"] = json!({});
        assert_eq!(CliSchema::of(&schema).schema, expected);
    }

    #[test]
    fn claude_row_a_root_that_is_no_object_is_wrapped_and_the_answer_unwrapped() {
        let schema = json!({"type": "array", "items": {"$ref": "#/$defs/item"}, "$defs": {"item": {"type": "string"}}});
        let cli = CliSchema::of(&schema);
        let inner = json!({
            "type": "array",
            "items": {"$ref": "#/properties/value/$defs/item"},
            "$defs": {"item": {"type": "string"}}
        });
        let expected = json!({
            "type": "object",
            "properties": {"value": inner},
            "required": ["value"],
            "additionalProperties": false
        });
        assert_eq!(cli.schema, expected);
        assert_eq!(cli.unwrap(json!({"value": ["a"]})), json!(["a"]));
        assert_eq!(cli.unwrap(json!(["a"])), json!(["a"]));
        assert_eq!(CliSchema::of(&json!({"type": "object"})).unwrap(json!({"value": 1})), json!({"value": 1}));
    }
}
