//! What the compiler does not see in a schema: references that lead nowhere, properties required and forbidden at once,
//! keywords that nobody knows.

use serde_json::{Map, Value};

use super::refs::resolve;
use super::weigh::{Weights, weigh};

/// Keywords whose value is one schema.
const ONE: &[&str] = &[
    "additionalProperties",
    "additionalItems",
    "items",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];

/// Keywords whose value is a list of schemas.
const LIST: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems", "items"];

/// Keywords whose value is a map from names to schemas.
const NAMED: &[&str] = &["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// The other keywords of JSON Schema, of this draft and of draft-07, and the annotations that tools add without meaning.
const PLAIN: &[&str] = &[
    "$schema",
    "$id",
    "$ref",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$recursiveAnchor",
    "$vocabulary",
    "$comment",
    "id",
    "type",
    "enum",
    "const",
    "title",
    "description",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
    "multipleOf",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
    "required",
    "dependentRequired",
];

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// What makes the schema unusable.
    pub(super) errors: Vec<String>,
    /// What is suspicious and ignored.
    pub(super) warnings: Vec<String>,
}

/// Looks through `root` and every schema in it.
pub(super) fn lint(root: &Value) -> Findings {
    let mut found = Findings::default();
    let mut weights = Weights::default();
    walk(root, root, &mut weights, &mut Vec::new(), &mut found);
    found
}

fn place(path: &[String]) -> String {
    if path.is_empty() { "the root".to_owned() } else { format!("/{}", path.join("/")) }
}

fn walk(root: &Value, schema: &Value, weights: &mut Weights, path: &mut Vec<String>, found: &mut Findings) {
    let Value::Object(map) = schema else { return };
    check_ref(root, map, path, found);
    check_required(map, path, found);
    if let Err(why) = weigh(root, schema, weights) {
        // One such fault is enough: every schema that leads to it has it.
        if !found.errors.iter().any(|error| error.ends_with(why)) {
            found.errors.push(format!("the schema at {} {why}", place(path)));
        }
    }
    for (key, value) in map {
        let one = ONE.contains(&key.as_str());
        let list = LIST.contains(&key.as_str());
        let named = NAMED.contains(&key.as_str());
        if !(one || list || named || PLAIN.contains(&key.as_str())) {
            found.warnings.push(format!("unknown keyword `{key}` at {} is ignored", place(path)));
            continue;
        }
        path.push(key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Object(inner) if named => {
                for (name, sub) in inner {
                    path.push(name.replace('~', "~0").replace('/', "~1"));
                    walk(root, sub, weights, path, found);
                    path.pop();
                }
            }
            Value::Object(_) if one => walk(root, value, weights, path, found),
            Value::Array(items) if list => {
                for (i, sub) in items.iter().enumerate() {
                    path.push(i.to_string());
                    walk(root, sub, weights, path, found);
                    path.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            }
        }
        path.pop();
    }
}

fn check_ref(root: &Value, map: &Map<String, Value>, path: &[String], found: &mut Findings) {
    for key in ["$ref", "$dynamicRef"] {
        let Some(reference) = map.get(key).and_then(Value::as_str) else { continue };
        if reference.starts_with('#') {
            if resolve(root, reference).is_none() && !has_nested_id(root) {
                found.errors.push(format!("{key} `{reference}` at {} leads nowhere", place(path)));
            }
        } else if !has_any_id(root) {
            // With an `$id` the text may still name this very document; the compiler, which fetches nothing, decides then.
            found.errors.push(format!("{key} `{reference}` at {} leaves the schema: nothing is fetched", place(path)));
        }
    }
}

fn has_any_id(root: &Value) -> bool {
    root.get("$id").is_some() || has_nested_id(root)
}

/// Whether a schema below the root is a resource of its own, so that `#` in it means something else.
fn has_nested_id(root: &Value) -> bool {
    fn any(value: &Value) -> bool {
        match value {
            Value::Object(map) => map.get("$id").is_some_and(Value::is_string) || map.values().any(any),
            Value::Array(items) => items.iter().any(any),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
    root.as_object().is_some_and(|map| map.values().any(any))
}

fn check_required(map: &Map<String, Value>, path: &[String], found: &mut Findings) {
    if map.get("additionalProperties") != Some(&Value::Bool(false)) {
        return;
    }
    let Some(required) = map.get("required").and_then(Value::as_array) else { return };
    let declared = map.get("properties").and_then(Value::as_object);
    let patterns = map.get("patternProperties").and_then(Value::as_object);
    for name in required.iter().filter_map(Value::as_str) {
        let by_name = declared.is_some_and(|properties| properties.contains_key(name));
        // A pattern that this engine cannot read is given the benefit of the doubt.
        let by_pattern = patterns.is_some_and(|patterns| {
            patterns.keys().any(|pattern| regex::Regex::new(pattern).map_or(true, |regex| regex.is_match(name)))
        });
        if !by_name && !by_pattern {
            found
                .errors
                .push(format!("`{name}` at {} is required, and forbidden by additionalProperties: false", place(path)));
        }
    }
}
