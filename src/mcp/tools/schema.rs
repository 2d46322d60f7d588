//! Schemas of tools: those of requests and replies, without what a model pays for and does not need.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::engine::params;

/// The schema of a tool's arguments, as clients are shown it.
pub(super) fn input<T: JsonSchema>() -> Value {
    let mut schema = strict::<T>();
    // That a count is not negative needs no words; it is checked all the same.
    for property in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if let Value::Object(property) = property
            && property.get("minimum") == Some(&json!(0))
        {
            property.shift_remove("minimum");
        }
    }
    schema
}

/// The schema that arguments are checked against.
pub(super) fn strict<T: JsonSchema>() -> Value {
    let mut schema = params::input_schema::<T>();
    if let Value::Object(map) = &mut schema {
        map.shift_remove("title");
        map.shift_remove("description");
    }
    compact(&mut schema);
    schema
}

/// The schema of a tool's reply.
pub(super) fn output<T: JsonSchema>() -> Value {
    params::output_schema::<T>()
}

/// The schema of a reply of one of two shapes: what both always have is required.
pub(super) fn either<A: JsonSchema, B: JsonSchema>() -> Value {
    let (mut one, other) = (output::<A>(), output::<B>());
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        for (key, value) in other {
            match (one.get_mut(&key), value) {
                (Some(Value::Array(mine)), Value::Array(theirs)) if key == "required" => {
                    mine.retain(|k| theirs.contains(k));
                }
                (Some(Value::Object(mine)), Value::Object(theirs)) => {
                    for (name, part) in theirs {
                        mine.entry(name).or_insert(part);
                    }
                }
                (Some(_), _) => {}
                (None, value) => {
                    one.insert(key, value);
                }
            }
        }
        one.shift_remove("title");
        one.shift_remove("description");
    }
    one
}

/// Words to choose from as one list: what they mean stands in the description of the argument.
fn compact(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(words) = words(map) {
                map.shift_remove("oneOf");
                map.insert("type".to_owned(), json!("string"));
                map.insert("enum".to_owned(), Value::Array(words));
            }
            map.values_mut().for_each(compact);
        }
        Value::Array(items) => items.iter_mut().for_each(compact),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn words(map: &Map<String, Value>) -> Option<Vec<Value>> {
    let options = map.get("oneOf")?.as_array()?;
    let mut words = Vec::new();
    for option in options {
        match (option.get("const"), option.get("enum")) {
            (Some(word), None) => words.push(word.clone()),
            (None, Some(Value::Array(more))) => words.extend(more.iter().cloned()),
            _ => return None,
        }
    }
    Some(words)
}
