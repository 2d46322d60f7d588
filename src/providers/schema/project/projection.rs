//! A projected schema, and the way back from an answer under it to an answer under the schema it was made from.

use serde_json::Value;

use super::common::{VALUE, admits_null, properties, required};
use crate::providers::schema::resolve;

/// How many references and compositions are followed at one place of a value.
const HOPS: usize = 32;

/// A schema as one target takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// The schema to send.
    pub schema: Value,
    /// Whether the target can be held to it strictly. Where it is false, `schema` is the original, as far as the target takes
    /// it at all.
    pub strict: bool,
    /// Why it cannot, in one sentence.
    pub why_not: Option<String>,
    /// The schema it was made from, when answers need a way back through it.
    pub(super) original: Option<Value>,
    /// Whether the value stands under [`VALUE`] of an object, because the target takes objects only.
    pub(super) wrapped: bool,
}

impl Projection {
    /// The answer under the original schema: out of its wrapping, without the nulls of fields that were optional.
    pub fn restore(&self, mut value: Value) -> Value {
        if self.wrapped
            && let Value::Object(map) = &mut value
            && map.len() == 1
            && let Some(inner) = map.remove(VALUE)
        {
            value = inner;
        }
        if let Some(original) = &self.original {
            drop_nulls(original, original, &mut value, 0);
        }
        value
    }

    /// Whether answers look the same under both schemas.
    pub fn is_plain(&self) -> bool {
        !self.wrapped && self.original.is_none()
    }
}

/// Removes properties that are null where `schema` has them optional and does not take null.
fn drop_nulls(root: &Value, schema: &Value, value: &mut Value, hops: usize) {
    if hops > HOPS {
        return;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|text| resolve(root, text)) {
        drop_nulls(root, target, value, hops + 1);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for branch in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
            if fits(root, branch, value, hops) {
                drop_nulls(root, branch, value, hops + 1);
            }
        }
    }
    match value {
        Value::Object(map) => {
            let Some(declared) = properties(schema) else { return };
            let needed = required(schema);
            for (name, inner) in declared {
                let optional = !needed.contains(&name.as_str());
                if optional && map.get(name) == Some(&Value::Null) && !admits_null(root, inner, 0) {
                    map.shift_remove(name);
                } else if let Some(part) = map.get_mut(name) {
                    drop_nulls(root, inner, part, 0);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for item in items {
                    drop_nulls(root, inner, item, 0);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a branch of a union may be the one of a value, as far as its constants tell.
fn fits(root: &Value, branch: &Value, value: &Value, hops: usize) -> bool {
    if hops > HOPS {
        return true;
    }
    if let Some(target) = branch.get("$ref").and_then(Value::as_str).and_then(|text| resolve(root, text)) {
        return fits(root, target, value, hops + 1);
    }
    let Value::Object(map) = value else { return true };
    let Some(declared) = properties(branch) else { return true };
    declared.iter().all(|(name, schema)| {
        let Some(got) = map.get(name) else { return true };
        if *got == Value::Null {
            return true;
        }
        let constant = schema.get("const").is_none_or(|wanted| wanted == got);
        constant && schema.get("enum").and_then(Value::as_array).is_none_or(|options| options.contains(got))
    })
}
