//! The shape of a value that is too large to be shown.

use serde_json::{Map, Value};

use super::bounds::clip;

/// Keys of an object that are described.
const KEYS: usize = 24;

/// One line for each key of an object; one line for anything else.
pub(super) fn of(value: &Value) -> Value {
    let Value::Object(map) = value else { return Value::String(line(value)) };
    let mut out = Map::new();
    for (key, item) in map.iter().take(KEYS) {
        out.insert(clip(key, 40), Value::String(line(item)));
    }
    if map.len() > KEYS {
        out.insert("…".to_owned(), Value::String(format!("{} more keys", grouped((map.len() - KEYS) as u64))));
    }
    Value::Object(out)
}

fn line(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => format!("string of {} characters", grouped(text.chars().count() as u64)),
        Value::Array(items) => match items.first() {
            None => "empty array".to_owned(),
            Some(first) => format!("array of {} {}", grouped(items.len() as u64), plural(first, items)),
        },
        Value::Object(map) => format!("object {}", keys(map)),
    }
}

fn plural(first: &Value, items: &[Value]) -> String {
    let same = |is: fn(&Value) -> bool| items.iter().all(is);
    match first {
        Value::Object(map) if same(Value::is_object) => format!("objects {}", keys(map)),
        Value::String(_) if same(Value::is_string) => "strings".to_owned(),
        Value::Number(_) if same(Value::is_number) => "numbers".to_owned(),
        Value::Array(_) if same(Value::is_array) => "arrays".to_owned(),
        Value::Bool(_) if same(Value::is_boolean) => "booleans".to_owned(),
        _ => "values".to_owned(),
    }
}

fn keys(map: &Map<String, Value>) -> String {
    let mut names: Vec<String> = map.keys().take(6).map(|key| clip(key, 20)).collect();
    if map.len() > names.len() {
        names.push("…".to_owned());
    }
    format!("{{{}}}", names.join(", "))
}

/// `2,114`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_outline_says_what_is_where() {
        let findings: Vec<Value> = (0..2114).map(|n| json!({"file": "a", "line": n, "claim": "b"})).collect();
        let value = json!({"findings": findings, "summary": "ä".repeat(3402), "n": 1, "mixed": [1, "a"], "none": []});
        assert_eq!(
            of(&value),
            json!({
                "findings": "array of 2,114 objects {file, line, claim}",
                "summary": "string of 3,402 characters",
                "n": "number",
                "mixed": "array of 2 values",
                "none": "empty array",
            })
        );
        assert_eq!(of(&json!(["a", "b"])), json!("array of 2 strings"));
    }
}
