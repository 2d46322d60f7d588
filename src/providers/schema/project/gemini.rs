//! What `responseJsonSchema` of Gemini takes: JSON Schema itself.

use serde_json::Value;

use super::common::SILENT;
use super::projection::Projection;

/// The projection for `responseJsonSchema`: the original without what says nothing about a value. Never strict: the service
/// keeps to what it understands of it.
pub fn gemini(original: &Value) -> Projection {
    let why = "the service keeps to the part of a schema that it understands".to_owned();
    Projection { schema: stripped(original, false), strict: false, why_not: Some(why), original: None, wrapped: false }
}

/// `names` says that the keys are names of properties or definitions, not keywords.
pub(super) fn stripped(schema: &Value, names: bool) -> Value {
    match schema {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| names || !SILENT.contains(&key.as_str()));
            let part = |(key, value): (&String, &Value)| {
                let inner_names = !names && ["properties", "$defs", "definitions"].contains(&key.as_str());
                let data = !names && ["enum", "const", "default"].contains(&key.as_str());
                (key.clone(), if data { value.clone() } else { stripped(value, inner_names) })
            };
            Value::Object(kept.map(part).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| stripped(item, false)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_schema_is_sent_as_it_is_without_its_annotations() {
        let schema = json!({"$schema": "x", "$id": "y", "type": "object", "properties": {
            "id": {"type": "string", "pattern": "^a", "examples": ["a"]}, "m": {"type": "object",
            "additionalProperties": {"type": "number"}}, "c": {"const": {"id": 1}}}, "required": ["id"]});
        assert_eq!(
            gemini(&schema).schema,
            json!({"type": "object", "properties": {"id": {"type": "string", "pattern": "^a"},
                "m": {"type": "object", "additionalProperties": {"type": "number"}}, "c": {"const": {"id": 1}}},
                "required": ["id"]})
        );
    }
}
