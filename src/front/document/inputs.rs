//! The inputs of a document: their schema, and the args checked against it.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::{Map, Value};

use super::plan::Plan;
use super::progress::brief;
use super::report::Report;
use super::schemas::{check_schema, validator};
use super::shape::{type_words, words_of};
use super::types::Document;
use crate::core::located::Node;
use crate::front::script::close;

/// What an input may be called without being one: the words of JSON Schema that stand at the top of a schema.
const WORDS: &[&str] = &[
    "$schema",
    "$id",
    "$ref",
    "$defs",
    "$comment",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "examples",
    "default",
    "definitions",
];

/// The args with the defaults of the inputs filled in.
///
/// # Errors
/// Everything that is wrong with them, one sentence each.
pub(super) fn complete(plan: &Plan, args: Value) -> Result<Value, Vec<String>> {
    let mut map = match args {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        other => return Err(vec![format!("the args of a document are an object of inputs, not {other}")]),
    };
    let Some(schema) = &plan.inputs else {
        let missing: Vec<String> = plan
            .needed
            .iter()
            .filter(|(name, _)| !map.contains_key(name))
            .map(|(name, by)| {
                let user =
                    if by == "result" { "the result needs it".to_owned() } else { format!("task `{by}` needs it") };
                format!("input `{name}` is missing: {user}")
            })
            .collect();
        return if missing.is_empty() { Ok(Value::Object(map)) } else { Err(missing) };
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if let Some(default) = property.get("default").filter(|_| !map.contains_key(name)) {
            map.insert(name.clone(), default.clone());
        }
    }
    let value = Value::Object(map);
    let problems: Vec<String> = match validator(schema) {
        Err(message) => vec![format!("`inputs` is no schema that can be used: {message}")],
        Ok(validator) => validator.iter_errors(&value).take(20).map(|error| told(&error, &value, schema)).collect(),
    };
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

/// What is wrong with one input.
fn told(error: &ValidationError<'_>, args: &Value, schema: &Value) -> String {
    let path = error.instance_path().to_string();
    let name = path.trim_start_matches('/').replace('/', ".");
    let declared: Vec<&str> = {
        let properties = schema.get("properties").and_then(Value::as_object);
        properties.into_iter().flat_map(|p| p.keys()).map(String::as_str).collect()
    };
    let got = || args.pointer(&path).map(brief).unwrap_or_default();
    match error.kind() {
        Kind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            let whole = if name.is_empty() { property.to_owned() } else { format!("{name}.{property}") };
            let unknown = args.as_object().into_iter().flat_map(|map| map.keys()).map(String::as_str);
            let mut unknown = unknown.filter(|given| name.is_empty() && !declared.contains(given));
            let meant = unknown.find(|given| close(given, [property]).is_some());
            let meant = meant.map(|given| format!("; `{given}` is none of them")).unwrap_or_default();
            let kind = schema.pointer(&format!("/properties/{property}/type")).and_then(Value::as_str);
            let kind = kind.filter(|_| name.is_empty()).map(|kind| format!(": {}", words_of(kind))).unwrap_or_default();
            format!("input `{whole}` is missing{kind}{meant}")
        }
        Kind::Type { .. } if !name.is_empty() => {
            format!("input `{name}` must be {}, not {}", type_words(error), got())
        }
        Kind::Enum { options } if !name.is_empty() => {
            let words: Vec<String> = options.as_array().into_iter().flatten().map(brief).collect();
            format!("input `{name}` must be one of {}, not {}", words.join(", "), got())
        }
        Kind::AdditionalProperties { unexpected } if name.is_empty() => {
            let words = unexpected.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            format!("there is no input {words}; declared are {}", declared.join(", "))
        }
        _ if name.is_empty() => format!("inputs: {error}"),
        _ => format!("input `{name}`: {error}"),
    }
}

/// What is wrong with the args of the document `text`, before a run of it exists.
///
/// # Errors
/// Everything that is wrong, one sentence each.
pub fn check_args(text: &str, args: Option<&Value>) -> Result<(), Vec<String>> {
    let plan = super::check::plan(text).map_err(|message| vec![message])?;
    complete(&plan, args.cloned().unwrap_or(Value::Null)).map(|_| ())
}

/// The schema of the args, as declared.
pub(super) fn inputs(document: &Document, root: &Node, report: &mut Report<'_>) -> Option<Value> {
    let mut schema = document.inputs.clone()?;
    let (at, node) = root.entry("inputs").map_or((root.at, root), |(at, node)| (at, node));
    if !schema.contains_key("properties")
        && let Some(name) = schema.keys().find(|key| !WORDS.contains(&key.as_str()))
    {
        let at = node.entry(name).map_or(at, |(at, _)| at);
        let message = format!("`{name}` is no word of JSON Schema, which `inputs` is");
        let hint = format!("inputs: {{properties: {{{name}: {{type: string}}}}, required: [{name}]}}");
        report.hinted(at, "bad_schema", message, hint);
    }
    schema.entry("type").or_insert_with(|| "object".into());
    if schema.get("type") != Some(&Value::from("object")) {
        report.error(at, "bad_schema", "`inputs` is the schema of an object: `type: object`, or no type");
    }
    let schema = Value::Object(schema);
    check_schema(&schema, (at, node), "`inputs`", report);
    Some(schema)
}
