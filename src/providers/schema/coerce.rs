//! Numeric strings become numbers where the schema wants a number, as the dialect's host does.

use serde_json::{Map, Number, Value};

use super::refs::resolve;

/// How many references are followed at one place of a value.
const HOPS: usize = 32;

/// Rewrites numeric strings of `value` in place wherever `schema` wants a number or an integer and accepts no string.
pub(super) fn coerce(root: &Value, schema: &Value, value: &mut Value) {
    apply(root, schema, value, 0);
}

fn apply(root: &Value, schema: &Value, value: &mut Value, hops: usize) {
    let Value::Object(map) = schema else { return };
    if hops > HOPS {
        return;
    }
    if let Value::String(text) = value {
        let wanted = accepted(root, map, hops);
        if let Some(number) = wanted.number.then(|| to_number(text)).flatten()
            && !wanted.string
            && (!wanted.only_integer || number.is_i64() || number.is_u64())
        {
            *value = Value::Number(number);
        }
        return;
    }
    if let Some(target) = map.get("$ref").and_then(Value::as_str).and_then(|text| resolve(root, text)) {
        apply(root, target, value, hops + 1);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for branch in map.get(key).and_then(Value::as_array).into_iter().flatten() {
            apply(root, branch, value, hops + 1);
        }
    }
    for key in ["then", "else"] {
        if let Some(branch) = map.get(key) {
            apply(root, branch, value, hops + 1);
        }
    }
    match value {
        Value::Object(object) => {
            let declared = map.get("properties").and_then(Value::as_object);
            for (name, inner) in object.iter_mut() {
                if let Some(sub) = declared.and_then(|properties| properties.get(name)) {
                    apply(root, sub, inner, 0);
                } else if let Some(rest) = map.get("additionalProperties") {
                    apply(root, rest, inner, 0);
                }
            }
        }
        Value::Array(items) => {
            let tuple = map.get("prefixItems").or_else(|| map.get("items").filter(|items| items.is_array()));
            let tuple = tuple.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            for (i, inner) in items.iter_mut().enumerate() {
                if let Some(sub) = tuple.get(i).or_else(|| map.get("items").filter(|items| items.is_object())) {
                    apply(root, sub, inner, 0);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Which scalars a schema takes, as far as types tell.
#[derive(Debug, Clone, Copy, Default)]
struct Accepted {
    number: bool,
    only_integer: bool,
    string: bool,
}

fn accepted(root: &Value, map: &Map<String, Value>, hops: usize) -> Accepted {
    let has = |name: &str| match map.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(many)) => many.iter().any(|one| one == name),
        _ => false,
    };
    if map.contains_key("type") {
        return Accepted {
            number: has("number") || has("integer"),
            only_integer: has("integer") && !has("number"),
            string: has("string"),
        };
    }
    let constants = map.get("enum").and_then(Value::as_array).into_iter().flatten().chain(map.get("const"));
    let mut out = Accepted { only_integer: true, ..Accepted::default() };
    for constant in constants {
        out.number |= constant.is_number();
        out.string |= constant.is_string();
        out.only_integer &= !constant.is_f64();
    }
    if hops > HOPS {
        return out;
    }
    let branches = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| map.get(key)?.as_array()).flatten();
    let target = map.get("$ref").and_then(Value::as_str).and_then(|text| resolve(root, text));
    for branch in branches.chain(target).filter_map(Value::as_object) {
        let inner = accepted(root, branch, hops + 1);
        if inner.number {
            out.only_integer &= inner.only_integer;
        }
        out.number |= inner.number;
        out.string |= inner.string;
    }
    out
}

/// The number that a text spells in decimal, as JavaScript would hold it.
fn to_number(text: &str) -> Option<Number> {
    let text = text.trim();
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    if !plain || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_991.0 {
        Some(Number::from(number as i64))
    } else {
        Number::from_f64(number)
    }
}
