//! How much work one place of a value makes: schemas whose references and compositions multiply, or run in circles without
//! going into the value, are refused before anything recurses through them.

use std::collections::HashMap;

use serde_json::Value;

use super::refs::resolve;

/// The most schemas that may apply to one place.
const HEAVY: u64 = 2_000;

/// The longest chain of references and compositions at one place.
const LONG: usize = 20;

/// Weights found so far, by the address of the schema; none while it is being weighed.
pub(super) type Weights = HashMap<*const Value, Option<u64>>;

const CIRCLE: &str = "refers to itself without going into the value";
const INTRICATE: &str = "is too intricate: its references and compositions multiply";

/// The number of schemas that apply to a value of `schema`, those inside the value not counted.
pub(super) fn weigh(root: &Value, schema: &Value, weights: &mut Weights) -> Result<u64, &'static str> {
    down(root, schema, weights, 0)
}

fn down(root: &Value, schema: &Value, weights: &mut Weights, depth: usize) -> Result<u64, &'static str> {
    let Value::Object(map) = schema else { return Ok(1) };
    if depth > LONG {
        return Err(INTRICATE);
    }
    match weights.get(&std::ptr::from_ref(schema)) {
        Some(Some(weight)) => return Ok(*weight),
        Some(None) => return Err(CIRCLE),
        None => drop(weights.insert(schema, None)),
    }
    let mut weight = 1_u64;
    let references = ["$ref", "$dynamicRef"].into_iter().filter_map(|key| resolve(root, map.get(key)?.as_str()?));
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| map.get(key)?.as_array()).flatten();
    let ones = ["not", "if", "then", "else"].into_iter().filter_map(|key| map.get(key));
    let named = ["dependentSchemas", "dependencies"].into_iter().filter_map(|key| map.get(key)?.as_object());
    let inner = references.chain(lists).chain(ones).chain(named.flat_map(serde_json::Map::values));
    for part in inner {
        match down(root, part, weights, depth + 1) {
            Ok(more) => weight = weight.saturating_add(more),
            Err(why) => {
                weights.remove(&std::ptr::from_ref(schema));
                return Err(why);
            }
        }
    }
    if weight > HEAVY {
        weights.remove(&std::ptr::from_ref(schema));
        return Err(INTRICATE);
    }
    weights.insert(schema, Some(weight));
    Ok(weight)
}
