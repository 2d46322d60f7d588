//! One flat schema out of a composed one: references followed, `allOf` merged, a branch of each choice taken.

use serde_json::{Map, Value, json};

use super::generate::Choices;
use crate::core::run::Mood;
use crate::providers::schema::resolve;

/// How many references and compositions are followed at one place.
const HOPS: usize = 24;

/// Flattens `schema`. The result may still be contradictory: who builds a value from it checks the value.
pub(super) fn flatten(
    root: &Value,
    schema: &Value,
    mood: Mood,
    deep: bool,
    choices: &mut Choices,
) -> Map<String, Value> {
    let mut out = Map::new();
    absorb(&mut Flattening { root, mood, deep, choices }, schema, &mut out, 0);
    out
}

struct Flattening<'a> {
    root: &'a Value,
    mood: Mood,
    deep: bool,
    choices: &'a mut Choices,
}

fn absorb(with: &mut Flattening<'_>, schema: &Value, out: &mut Map<String, Value>, hops: usize) {
    let Value::Object(map) = schema else {
        if *schema == Value::Bool(false) {
            out.insert("not".to_owned(), json!({}));
        }
        return;
    };
    if hops > HOPS {
        return;
    }
    for (key, value) in map {
        match key.as_str() {
            "$ref" | "$dynamicRef" => {
                let root = with.root;
                if let Some(target) = value.as_str().and_then(|text| resolve(root, text)) {
                    absorb(with, target, out, hops + 1);
                }
            }
            "allOf" => value.as_array().into_iter().flatten().for_each(|part| absorb(with, part, out, hops + 1)),
            "anyOf" | "oneOf" => {
                let branches = value.as_array().map_or(&[][..], Vec::as_slice);
                if !branches.is_empty() {
                    let favourite = favourite(with, branches);
                    let picked = with.choices.pick(branches.len(), favourite);
                    absorb(with, &branches[picked], out, hops + 1);
                }
            }
            "if" => match with.choices.pick(3, 0) {
                0 => {}
                1 => {
                    absorb(with, value, out, hops + 1);
                    map.get("then").into_iter().for_each(|part| absorb(with, part, out, hops + 1));
                }
                _ => map.get("else").into_iter().for_each(|part| absorb(with, part, out, hops + 1)),
            },
            "dependentSchemas" if with.mood != Mood::Empty => {
                for part in value.as_object().into_iter().flat_map(Map::values) {
                    absorb(with, part, out, hops + 1);
                }
            }
            "then" | "else" | "$defs" | "definitions" | "$id" | "$schema" | "title" | "description" => {}
            _ => merge(out, key, value),
        }
    }
}

/// The branch of a choice that is tried first: not null, unless little is wanted; not a reference when it is deep already.
fn favourite(with: &Flattening<'_>, branches: &[Value]) -> usize {
    let is_null = |branch: &Value| {
        branch.get("type").is_some_and(|kind| kind == "null") || branch.get("const").is_some_and(Value::is_null)
    };
    let refers = |branch: &Value| branch.get("$ref").is_some() || branch.get("items").is_some();
    let wanted = |branch: &&Value| match (with.mood, with.deep) {
        (Mood::Empty, _) => is_null(branch),
        (Mood::Happy | Mood::Unhappy | Mood::Fail, true) => !refers(branch),
        (Mood::Happy | Mood::Unhappy | Mood::Fail, false) => !is_null(branch),
    };
    branches.iter().position(|branch| wanted(&branch)).unwrap_or(0)
}

fn merge(out: &mut Map<String, Value>, key: &str, value: &Value) {
    let Some(old) = out.get_mut(key) else {
        out.insert(key.to_owned(), value.clone());
        return;
    };
    match key {
        "properties" | "patternProperties" => {
            let (Some(old), Some(new)) = (old.as_object_mut(), value.as_object()) else { return };
            for (name, schema) in new {
                match old.get_mut(name) {
                    Some(there) if *there != *schema => *there = json!({"allOf": [there.take(), schema]}),
                    Some(_) => {}
                    None => drop(old.insert(name.clone(), schema.clone())),
                }
            }
        }
        "required" => {
            let (Some(old), Some(new)) = (old.as_array_mut(), value.as_array()) else { return };
            let more: Vec<Value> = new.iter().filter(|name| !old.contains(name)).cloned().collect();
            old.extend(more);
        }
        "enum" => {
            if let (Some(old), Some(new)) = (old.as_array_mut(), value.as_array()) {
                old.retain(|one| new.contains(one));
            }
        }
        "type" => *old = common_types(old, value),
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" | "multipleOf" | "minContains"
            if value.as_f64() > old.as_f64() =>
        {
            *old = value.clone();
        }
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" | "maxContains"
            if value.as_f64() < old.as_f64() =>
        {
            *old = value.clone();
        }
        "items" | "additionalProperties" | "contains" | "propertyNames" if old != value => {
            *old = json!({"allOf": [old.take(), value]});
        }
        "uniqueItems" => *old = Value::Bool(*old == Value::Bool(true) || *value == Value::Bool(true)),
        _ => {}
    }
}

/// The names of a `type` keyword.
pub(super) fn type_names(kind: &Value) -> Vec<&str> {
    match kind {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn common_types(a: &Value, b: &Value) -> Value {
    let (left, right) = (type_names(a), type_names(b));
    let mut out = Vec::new();
    for name in &left {
        if right.contains(name) {
            out.push(*name);
        } else if (*name == "number" && right.contains(&"integer")) || (*name == "integer" && right.contains(&"number"))
        {
            out.push("integer");
        }
    }
    json!(out)
}
