//! The JSON Schemas that a document holds: whether each can be used, where it cannot, and words in it that mean nothing.

use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::report::Report;
use crate::core::located::{At, Node};
use crate::front::script::close;

/// The words that JSON Schema knows.
const WORDS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
];

/// The types of JSON Schema.
const TYPES: &[&str] = &["string", "number", "integer", "boolean", "object", "array", "null"];

/// Words below which each value is a schema.
const MAPS: &[&str] = &["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Words whose value is a schema, or a list of them.
const BELOW: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Reports a schema that cannot be used, and words in it that are nearly those of JSON Schema: they would mean nothing.
/// `node` is where it was written.
pub(super) fn check_schema(schema: &Value, (at, node): (At, &Node), what: &str, report: &mut Report<'_>) {
    if let Err(message) = validator(schema) {
        match unusable(schema, node) {
            Some((at, message)) => report.error(at, "bad_schema", message),
            None => {
                report.error(at, "bad_schema", format!("{what} is no JSON Schema that can be used: {message}"));
            }
        }
    }
    misspelt(node, report);
}

/// A validator of a schema of the document's author.
pub(super) fn validator(schema: &Value) -> Result<jsonschema::Validator, String> {
    jsonschema::options().should_validate_formats(false).offline().build(schema).map_err(|error| error.to_string())
}

/// Where a schema breaks the rules of JSON Schema, in words of its own where it is a `type`.
fn unusable(schema: &Value, node: &Node) -> Option<(At, String)> {
    let error = jsonschema::meta::validate(schema).err()?;
    let pointer = error.instance_path().to_string();
    let path: Vec<String> = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let (at, found) = node.follow(path.iter().map(String::as_str));
    let last = path.last()?;
    if last == "type" {
        let got = found.to_value();
        let meant = got.as_str().and_then(|got| close(got, TYPES.iter().copied()));
        let meant = meant.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Some((at, format!("`type` is one of {}, or a list of them, not {got}{meant}", TYPES.join(", "))));
    }
    let words = match error.kind() {
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => format!("{} is not what stands here", found.to_value()),
        _ => error.to_string(),
    };
    Some((at, format!("`{last}` of a JSON Schema: {words}")))
}

/// Warns of words that were most likely meant as words of JSON Schema.
fn misspelt(node: &Node, report: &mut Report<'_>) {
    for (at, word, below) in node.entries() {
        let word = word.as_str();
        if MAPS.contains(&word) {
            below.entries().iter().for_each(|(_, _, schema)| misspelt(schema, report));
        } else if BELOW.contains(&word) {
            misspelt(below, report);
            below.items().iter().for_each(|schema| misspelt(schema, report));
        } else if !WORDS.contains(&word)
            && let Some(near) = close(word, WORDS.iter().copied())
        {
            let message = format!("`{word}` is no word of JSON Schema and means nothing here; did you mean `{near}`?");
            report.warning(*at, "schema_word", message);
        }
    }
}
