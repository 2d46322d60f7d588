//! What the projections share: looking into a schema, wrapping a root, notes in descriptions.

use serde_json::{Map, Value, json};

use crate::providers::schema::resolve;

/// The property that holds the value of a wrapped schema.
pub(super) const VALUE: &str = "value";

/// How many references are followed at one place.
const HOPS: usize = 32;

/// Keywords that say nothing about a value.
pub(super) const SILENT: &[&str] = &[
    "$schema",
    "$id",
    "id",
    "$comment",
    "$vocabulary",
    "$anchor",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
];

pub(super) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

pub(super) fn required(schema: &Value) -> Vec<&str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether `type` names `name`.
pub(super) fn has_type(map: &Map<String, Value>, name: &str) -> bool {
    match map.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(many)) => many.iter().any(|one| one == name),
        _ => false,
    }
}

/// Whether a schema is one of objects, as far as its own keywords tell.
pub(super) fn is_object(map: &Map<String, Value>) -> bool {
    has_type(map, "object") || (!map.contains_key("type") && map.contains_key("properties"))
}

/// Whether null satisfies a schema; one that says nothing takes everything.
pub(super) fn admits_null(root: &Value, schema: &Value, hops: usize) -> bool {
    let Value::Object(map) = schema else { return schema != &Value::Bool(false) };
    if hops > HOPS {
        return false;
    }
    let by_ref = map.get("$ref").and_then(Value::as_str).and_then(|text| resolve(root, text));
    let some = |key: &str| {
        map.get(key)
            .and_then(Value::as_array)
            .is_none_or(|branches| branches.iter().any(|branch| admits_null(root, branch, hops + 1)))
    };
    (!map.contains_key("type") || has_type(map, "null"))
        && map.get("enum").and_then(Value::as_array).is_none_or(|options| options.contains(&Value::Null))
        && map.get("const").is_none_or(Value::is_null)
        && by_ref.is_none_or(|target| admits_null(root, target, hops + 1))
        && some("anyOf")
        && some("oneOf")
        && map
            .get("allOf")
            .and_then(Value::as_array)
            .is_none_or(|parts| parts.iter().all(|part| admits_null(root, part, hops + 1)))
}

/// The root as an object: itself, or an object with the value as its only property. Definitions stay where references find
/// them. The second value says whether it was wrapped.
pub(super) fn object_root(root: &Value) -> (Value, bool) {
    let is_union = root.get("anyOf").is_some() || root.get("oneOf").is_some();
    let only_object = root.get("type").is_some_and(|t| t == "object");
    if only_object && !is_union {
        return (root.clone(), false);
    }
    let mut inner = root.clone();
    let mut outer = Map::new();
    if let Value::Object(map) = &mut inner {
        for key in ["$schema", "$defs", "definitions"] {
            if let Some(part) = map.shift_remove(key) {
                outer.insert(key.to_owned(), part);
            }
        }
    }
    move_refs(&mut inner);
    for part in outer.values_mut() {
        move_refs(part);
    }
    let mut wrapped = json!({"type": "object", "properties": {VALUE: inner}, "required": [VALUE],
        "additionalProperties": false});
    if let Value::Object(map) = &mut wrapped {
        map.extend(outer);
    }
    (wrapped, true)
}

/// Points references into the root at its new place; those into the definitions stay right.
fn move_refs(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("$ref")
                && let Some(rest) = text.strip_prefix('#')
                && (rest.is_empty() || rest.starts_with('/'))
                && !rest.starts_with("/$defs/")
                && !rest.starts_with("/definitions/")
            {
                *text = format!("#/properties/{VALUE}{rest}");
            }
            map.values_mut().for_each(move_refs);
        }
        Value::Array(items) => items.iter_mut().for_each(move_refs),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A schema with its reference replaced by what it names, when other keywords stand beside the reference; these win. A
/// composition of one part is treated alike.
pub(super) fn inlined(root: &Value, map: &Map<String, Value>) -> Map<String, Value> {
    let mut map = map.clone();
    if let Some(Value::Array(parts)) = map.get("allOf")
        && parts.len() == 1
        && let Some(Value::Object(part)) = parts.first()
    {
        let part = part.clone();
        if part.keys().all(|key| !map.contains_key(key)) {
            map.shift_remove("allOf");
            map.extend(part);
        }
    }
    let meaningful = map.keys().filter(|key| !SILENT.contains(&key.as_str())).count();
    let apart = |key: &str| matches!(key, "$defs" | "definitions");
    let beside = map.keys().any(|key| key != "$ref" && !SILENT.contains(&key.as_str()) && !apart(key));
    if meaningful < 2 || !beside {
        return map;
    }
    let target = map.get("$ref").and_then(Value::as_str).and_then(|text| resolve(root, text));
    if let Some(Value::Object(target)) = target {
        let mut merged = target.clone();
        map.shift_remove("$ref");
        merged.extend(map);
        return merged;
    }
    map
}

/// Says in the description what the target would not take as keywords.
pub(super) fn note(map: &mut Map<String, Value>, said: &[String]) {
    if said.is_empty() {
        return;
    }
    let said = format!("{{{}}}", said.join(", "));
    let text = match map.get("description").and_then(Value::as_str) {
        Some(text) if !text.is_empty() => format!("{text}\n\n{said}"),
        Some(_) | None => said,
    };
    map.insert("description".to_owned(), Value::String(text));
}

/// The first local reference of a projected schema that leads nowhere: what it named has another place in the projection.
pub(super) fn dangling(root: &Value, schema: &Value) -> Option<String> {
    match schema {
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str).filter(|text| resolve(root, text).is_none());
            own.map(str::to_owned).or_else(|| map.values().find_map(|inner| dangling(root, inner)))
        }
        Value::Array(items) => items.iter().find_map(|inner| dangling(root, inner)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
