//! What `output_config.format` of Anthropic takes: bounds and patterns become words in descriptions.

use serde_json::{Map, Value};

use super::common::{SILENT, dangling, has_type, inlined, is_object, note, object_root};
use super::projection::Projection;

/// Keywords that are sent as they are.
const KEPT: &[&str] = &["type", "required", "enum", "const", "$ref", "title", "description"];

/// Formats of strings that are sent as they are.
const FORMATS: &[&str] = &["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// The projection for `output_config.format`. `strict` is false when the schema does not fit, which is so for maps from names
/// to values: then a forced tool takes the original.
pub fn anthropic(original: &Value) -> Projection {
    let (root, wrapped) = object_root(original);
    let fitted = fit(&root, &root, "").and_then(|schema| match dangling(&schema, &schema) {
        None => Ok(schema),
        Some(text) => Err(format!("`{text}` leads nowhere in the form that fits")),
    });
    match fitted {
        Ok(schema) => Projection { schema, strict: true, why_not: None, original: None, wrapped },
        Err(why) => {
            let mut schema = root;
            if let Value::Object(map) = &mut schema {
                map.shift_remove("$schema");
            }
            Projection { schema, strict: false, why_not: Some(why), original: None, wrapped }
        }
    }
}

fn fit(root: &Value, schema: &Value, path: &str) -> Result<Value, String> {
    let place = || if path.is_empty() { "the root".to_owned() } else { path.to_owned() };
    let Value::Object(map) = schema else { return Err(format!("{} takes any value or none", place())) };
    let map = inlined(root, map);
    if map.contains_key("patternProperties") {
        return Err(format!("{} is a map from names to values", place()));
    }
    let mut out = Map::new();
    let mut said = Vec::new();
    for (key, value) in &map {
        let inner = |at: &str, schema: &Value| fit(root, schema, &format!("{path}/{key}{at}"));
        match key.as_str() {
            "properties" | "$defs" | "definitions" => {
                let mut parts = Map::new();
                for (name, part) in value.as_object().into_iter().flatten() {
                    parts.insert(name.clone(), inner(&format!("/{name}"), part)?);
                }
                out.insert(key.clone(), Value::Object(parts));
            }
            "anyOf" | "oneOf" | "allOf" => {
                let mut parts = Vec::new();
                for (i, part) in value.as_array().into_iter().flatten().enumerate() {
                    parts.push(inner(&format!("/{i}"), part)?);
                }
                let name = if key == "allOf" { "allOf" } else { "anyOf" };
                if out.contains_key(name) {
                    return Err(format!("{} has both anyOf and oneOf", place()));
                }
                out.insert(name.to_owned(), Value::Array(parts));
            }
            "items" if value.is_object() => drop(out.insert(key.clone(), inner("", value)?)),
            "minItems" if value.as_u64().is_some_and(|n| n <= 1) => drop(out.insert(key.clone(), value.clone())),
            "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                out.insert(key.clone(), value.clone());
            }
            "additionalProperties" => {}
            kept if KEPT.contains(&kept) => drop(out.insert(key.clone(), value.clone())),
            "default" if value.is_null() => {}
            silent if SILENT.contains(&silent) => {}
            _ => said.push(format!("{key}: {value}")),
        }
    }
    if is_object(&map) {
        match map.get("additionalProperties") {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => return Err(format!("{} takes further properties", place())),
            Some(_) => return Err(format!("{} is a map from names to values", place())),
        }
        let described = map.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty());
        if !described && map.get("additionalProperties").is_none() && !has_union(&map) {
            return Err(format!("{} takes any object", place()));
        }
        out.insert("additionalProperties".into(), Value::Bool(false));
    }
    if !["type", "enum", "const", "$ref", "anyOf", "allOf"].iter().any(|key| out.contains_key(*key)) {
        return Err(format!("{} takes any value", place()));
    }
    if has_type(&map, "array") && !out.contains_key("items") {
        return Err(format!("the items of the array at {} are not described", place()));
    }
    note(&mut out, &said);
    Ok(Value::Object(out))
}

fn has_union(map: &Map<String, Value>) -> bool {
    ["anyOf", "oneOf", "allOf", "$ref"].iter().any(|key| map.contains_key(*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bounds_patterns_and_other_formats_become_words() {
        let schema = json!({"$schema": "x", "type": "object", "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 9, "description": "A number."},
            "s": {"type": "string", "pattern": "^a", "minLength": 2},
            "d": {"type": "string", "format": "date"},
            "r": {"type": "string", "format": "regex"},
            "l": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
            "m": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "k": {"oneOf": [{"const": "a"}, {"type": "null"}]}}, "required": ["n"]});
        let projection = anthropic(&schema);
        assert_eq!(
            projection.schema,
            json!({"type": "object", "properties": {
                "n": {"type": "integer", "description": "A number.\n\n{minimum: 1, maximum: 9}"},
                "s": {"type": "string", "description": "{pattern: \"^a\", minLength: 2}"},
                "d": {"type": "string", "format": "date"},
                "r": {"type": "string", "description": "{format: \"regex\"}"},
                "l": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "{maxItems: 3}"},
                "m": {"type": "array", "items": {"type": "string"}, "description": "{minItems: 2}"},
                "k": {"anyOf": [{"const": "a"}, {"type": "null"}]}}, "required": ["n"], "additionalProperties": false})
        );
        assert!(projection.strict && projection.is_plain());
    }

    #[test]
    fn what_the_service_takes_stays_as_it_is() {
        let formats = ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
        let kept = formats.map(|format| json!({"type": "string", "format": format})).into_iter().chain([
            json!({"type": "string", "enum": ["a", "b"], "title": "T", "description": "D."}),
            json!({"const": 1}),
            json!({"type": "array", "items": {"type": "string"}, "minItems": 0}),
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            json!({"allOf": [{"type": "string"}, {"enum": ["a"]}]}),
        ]);
        for inner in kept {
            // Optional, which is fine here.
            let projection = anthropic(&json!({"type": "object", "properties": {"p": inner}}));
            let closed = json!({"type": "object", "properties": {"p": inner}, "additionalProperties": false});
            assert_eq!((projection.schema, projection.strict), (closed, true));
        }
    }

    #[test]
    fn maps_and_open_objects_do_not_fit() {
        for (inner, why) in [
            (json!({"type": "object", "additionalProperties": {"type": "number"}}), "is a map from names to values"),
            (json!({"type": "object", "patternProperties": {"^a": {}}}), "is a map from names to values"),
            (json!({"type": "object"}), "takes any object"),
            (json!({"type": "object", "additionalProperties": true}), "takes further properties"),
            (json!({}), "takes any value"),
        ] {
            let projection = anthropic(&json!({"$schema": "x", "type": "object", "properties": {"m": inner}}));
            assert_eq!(projection.why_not, Some(format!("/properties/m {why}")));
            assert_eq!(projection.schema, json!({"type": "object", "properties": {"m": inner}}));
        }
    }

    #[test]
    fn references_and_recursion_stay_and_siblings_are_inlined() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/n"},
            "head": {"$ref": "#/$defs/n", "description": "First."}}, "$defs": {"n": {"type": "object",
            "properties": {"n": {"$ref": "#/$defs/n"}}, "additionalProperties": false}}});
        let got = anthropic(&schema).schema;
        assert_eq!(got["properties"]["next"], json!({"$ref": "#/$defs/n"}));
        assert_eq!(
            got["properties"]["head"],
            json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "description": "First.",
                "additionalProperties": false})
        );
    }
}
