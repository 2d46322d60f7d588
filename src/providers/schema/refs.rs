//! Local references of a schema: the place in the same document that `#/$defs/x` or `#anchor` names.

use serde_json::Value;

/// The part of `root` that a local reference names; none when it names nothing or another document.
pub(crate) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    if fragment.is_empty() {
        return Some(root);
    }
    let decoded = percent_decode(fragment)?;
    if decoded.starts_with('/') { root.pointer(&decoded) } else { anchor(root, &decoded) }
}

fn anchor<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => {
            let named = |key: &str| map.get(key).and_then(Value::as_str) == Some(name);
            let id = map.get("$id").and_then(Value::as_str).and_then(|id| id.strip_prefix('#'));
            if named("$anchor") || named("$dynamicAnchor") || id == Some(name) {
                return Some(value);
            }
            map.values().find_map(|inner| anchor(inner, name))
        }
        Value::Array(items) => items.iter().find_map(|inner| anchor(inner, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push((high * 16 + low) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_and_anchors_resolve() {
        let root = json!({"$defs": {"a b": {"$anchor": "here", "type": "string"}}});
        let target = json!({"$anchor": "here", "type": "string"});
        assert_eq!(resolve(&root, "#/$defs/a%20b"), Some(&target));
        assert_eq!(resolve(&root, "#here"), Some(&target));
        assert_eq!(resolve(&root, "#"), Some(&root));
        assert_eq!(resolve(&root, "#/$defs/none"), None);
        assert_eq!(resolve(&root, "https://example.com/x"), None);
    }
}
