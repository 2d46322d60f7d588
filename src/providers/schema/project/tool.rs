//! The arguments of a tool whose call is the answer.

use serde_json::Value;

use super::common::object_root;
use super::gemini::stripped;
use super::projection::Projection;

/// The projection for a tool that takes the answer: the original as an object, since arguments are one. Never strict.
pub fn tool(original: &Value) -> Projection {
    let (root, wrapped) = object_root(original);
    let why = Some("a tool's arguments follow its schema as far as the model does".to_owned());
    Projection { schema: stripped(&root, false), strict: false, why_not: why, original: None, wrapped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_union_at_the_root_becomes_an_argument() {
        let schema = json!({"$schema": "x", "type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
        let projection = tool(&schema);
        assert_eq!(projection.schema["properties"]["value"]["anyOf"], schema["anyOf"]);
        assert_eq!(projection.schema.get("$schema"), None);
        assert_eq!(projection.restore(json!({"value": {"a": 1}})), json!({"a": 1}));
        assert!(tool(&json!({"type": "object"})).is_plain());
    }
}
