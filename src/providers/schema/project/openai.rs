//! The strict subset of OpenAI: every property required, no others allowed; what was optional becomes nullable.

use serde_json::{Map, Value, json};

use super::common::{SILENT, admits_null, dangling, has_type, inlined, is_object, note, object_root, required};
use super::limits;
use super::projection::Projection;

/// Keywords that no strict schema may have, and that nothing else can stand in for.
const FORBIDDEN: &[&str] = &[
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
    "contains",
];

/// Keywords that are sent as they are.
const KEPT: &[&str] = &[
    "type",
    "enum",
    "const",
    "$ref",
    "title",
    "description",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
];

/// Formats of strings that are sent as they are.
const FORMATS: &[&str] = &["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

/// The projection for `response_format` of OpenAI's dialects and for the Codex CLI.
///
/// `strict` is false where a strict schema would ask for something else than the original: then the original is sent, in an
/// object when its root is none.
pub fn openai_strict(original: &Value) -> Projection {
    let (root, wrapped) = object_root(original);
    let strict = Strict { root: &root };
    let result = strict.object_of(&root, "").and_then(|schema| {
        let lost = || dangling(&schema, &schema).map(|text| format!("`{text}` leads nowhere in the strict form"));
        match limits::broken(&schema).or_else(lost) {
            None => Ok(schema),
            Some(why) => Err(why),
        }
    });
    match result {
        Ok(schema) => {
            let original = has_optional(&root).then(|| original.clone());
            Projection { schema, strict: true, why_not: None, original, wrapped }
        }
        Err(why) => {
            let mut schema = root;
            if let Value::Object(map) = &mut schema {
                map.shift_remove("$schema");
            }
            Projection { schema, strict: false, why_not: Some(why), original: None, wrapped }
        }
    }
}

struct Strict<'a> {
    root: &'a Value,
}

impl Strict<'_> {
    fn object_of(&self, schema: &Value, path: &str) -> Result<Value, String> {
        let place = || if path.is_empty() { "the root".to_owned() } else { path.to_owned() };
        let map = match schema {
            Value::Object(map) => inlined(self.root, map),
            _ => return Err(format!("{} takes any value or none", place())),
        };
        if let Some(key) = FORBIDDEN.iter().find(|key| map.contains_key(**key)) {
            return Err(format!("`{key}` at {} has no strict form", place()));
        }
        let mut out = Map::new();
        let mut said = Vec::new();
        for (key, value) in &map {
            match key.as_str() {
                "properties" | "required" | "additionalProperties" | "items" | "anyOf" | "oneOf" => {}
                "$defs" | "definitions" => {
                    let mut defs = Map::new();
                    for (name, inner) in value.as_object().into_iter().flatten() {
                        defs.insert(name.clone(), self.object_of(inner, &format!("{path}/{key}/{name}"))?);
                    }
                    out.insert(key.clone(), Value::Object(defs));
                }
                "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                    out.insert(key.clone(), value.clone());
                }
                kept if KEPT.contains(&kept) => drop(out.insert(key.clone(), value.clone())),
                "default" if value.is_null() => {}
                silent if SILENT.contains(&silent) => {}
                _ => said.push(format!("{key}: {value}")),
            }
        }
        self.union(&map, path, &mut out)?;
        let union_of_objects = out.contains_key("anyOf")
            && !["properties", "required", "additionalProperties"].iter().any(|key| map.contains_key(*key));
        if is_object(&map) && union_of_objects {
            // The branches say what the object is.
            out.shift_remove("type");
        } else if is_object(&map) {
            self.properties(&map, path, &place(), &mut out)?;
        } else if map.contains_key("properties") || map.contains_key("required") {
            return Err(format!("{} has properties and is no object", place()));
        }
        if has_type(&map, "array") || map.contains_key("items") {
            match map.get("items") {
                Some(items @ Value::Object(_)) => {
                    drop(out.insert("items".into(), self.object_of(items, &format!("{path}/items"))?));
                }
                Some(_) | None => return Err(format!("the items of the array at {} are not described", place())),
            }
        }
        if !["type", "enum", "const", "$ref", "anyOf"].iter().any(|key| out.contains_key(*key)) {
            return Err(format!("{} takes any value", place()));
        }
        note(&mut out, &said);
        Ok(Value::Object(out))
    }

    /// Unions: one of them, or one exactly, is the same to a model; the answer is checked afterwards.
    fn union(&self, map: &Map<String, Value>, path: &str, out: &mut Map<String, Value>) -> Result<(), String> {
        let unions: Vec<_> = ["anyOf", "oneOf"].into_iter().filter_map(|key| Some((key, map.get(key)?))).collect();
        let [(key, branches)] = unions.as_slice() else {
            return if unions.is_empty() { Ok(()) } else { Err(format!("{path} has both anyOf and oneOf")) };
        };
        let mut projected = Vec::new();
        for (i, branch) in branches.as_array().into_iter().flatten().enumerate() {
            projected.push(self.object_of(branch, &format!("{path}/{key}/{i}"))?);
        }
        out.insert("anyOf".into(), Value::Array(projected));
        Ok(())
    }

    fn properties(
        &self,
        map: &Map<String, Value>,
        path: &str,
        place: &str,
        out: &mut Map<String, Value>,
    ) -> Result<(), String> {
        match map.get("additionalProperties") {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => return Err(format!("{place} takes further properties")),
            Some(_) => return Err(format!("{place} is a map from names to values")),
        }
        let empty = Map::new();
        let declared = map.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        if declared.is_empty() && map.get("additionalProperties").is_none() {
            return Err(format!("{place} takes any object"));
        }
        let schema = Value::Object(map.clone());
        let needed = required(&schema);
        if let Some(name) = needed.iter().find(|name| !declared.contains_key(**name)) {
            return Err(format!("`{name}` at {place} is required and not described"));
        }
        let mut properties = Map::new();
        for (name, inner) in declared {
            let at = format!("{path}/properties/{name}");
            let mut projected = self.object_of(inner, &at)?;
            if !needed.contains(&name.as_str()) {
                if admits_null(self.root, inner, 0) {
                    return Err(format!("{at} may be absent and may be null, which a strict schema cannot tell apart"));
                }
                projected = nullable(projected);
            }
            properties.insert(name.clone(), projected);
        }
        let names: Vec<Value> = properties.keys().cloned().map(Value::String).collect();
        out.insert("properties".into(), Value::Object(properties));
        out.insert("required".into(), Value::Array(names));
        out.insert("additionalProperties".into(), Value::Bool(false));
        Ok(())
    }
}

/// Whether any object in a schema has a property that may be absent.
fn has_optional(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let needed = required(schema);
            let own = map
                .get("properties")
                .and_then(Value::as_object)
                .is_some_and(|declared| declared.keys().any(|name| !needed.contains(&name.as_str())));
            own || map.values().any(has_optional)
        }
        Value::Array(items) => items.iter().any(has_optional),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The same schema, or null.
fn nullable(mut schema: Value) -> Value {
    let Value::Object(map) = &mut schema else { return schema };
    if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
        branches.push(json!({"type": "null"}));
        return schema;
    }
    if map.contains_key("const") || map.contains_key("$ref") || !map.contains_key("type") {
        let description = map.shift_remove("description");
        let mut union = json!({"anyOf": [schema, {"type": "null"}]});
        if let (Some(description), Value::Object(map)) = (description, &mut union) {
            map.insert("description".into(), description);
        }
        return union;
    }
    match map.get_mut("type") {
        Some(Value::Array(types)) => types.push("null".into()),
        Some(one) => *one = json!([one.clone(), "null"]),
        None => {}
    }
    if let Some(Value::Array(options)) = map.get_mut("enum") {
        options.push(Value::Null);
    }
    schema
}

#[cfg(test)]
#[path = "openai_tests.rs"]
mod tests;
