//! JSON as owf takes it in and hashes it: the domain that survives JavaScript, and one canonical text per value.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// The greatest depth of a JSON value that comes in.
pub const MAX_DEPTH: usize = 100;

/// The greatest integer magnitude that a double holds exactly along with its neighbours: 2^53 - 1.
const MAX_SAFE: u64 = (1 << 53) - 1;

/// Why a JSON value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonRefused {
    /// Nested too deep.
    #[error("{pointer} is nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// Where.
        pointer: String,
    },
    /// A number that JavaScript would change.
    #[error("{pointer} is {number}, which JavaScript cannot hold exactly: pass it as a string")]
    Number {
        /// Where.
        pointer: String,
        /// The number.
        number: String,
    },
}

/// Checks that `value` survives JavaScript: double-precision numbers, depth at most [`MAX_DEPTH`].
///
/// # Errors
/// The first place that does not, as a JSON Pointer (`/` for the root).
pub fn check_domain(value: &Value) -> Result<(), JsonRefused> {
    fn walk(value: &Value, depth: usize, path: &mut Vec<String>) -> Result<(), JsonRefused> {
        let pointer = |path: &[String]| if path.is_empty() { "/".to_owned() } else { format!("/{}", path.join("/")) };
        if depth > MAX_DEPTH {
            return Err(JsonRefused::TooDeep { pointer: pointer(&path[..path.len().min(8)]) });
        }
        match value {
            Value::Number(n) if !is_exact(n) => {
                Err(JsonRefused::Number { pointer: pointer(path), number: n.to_string() })
            }
            Value::Array(items) => items.iter().enumerate().try_for_each(|(i, item)| {
                path.push(i.to_string());
                let result = walk(item, depth + 1, path);
                path.pop();
                result
            }),
            Value::Object(map) => map.iter().try_for_each(|(key, item)| {
                path.push(key.replace('~', "~0").replace('/', "~1"));
                let result = walk(item, depth + 1, path);
                path.pop();
                result
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }
    walk(value, 1, &mut Vec::new())
}

fn is_exact(n: &Number) -> bool {
    if let Some(u) = n.as_u64() {
        u <= MAX_SAFE || (u as f64) as u128 == u128::from(u)
    } else if let Some(i) = n.as_i64() {
        i.unsigned_abs() <= MAX_SAFE || (i as f64) as i128 == i128::from(i)
    } else {
        n.as_f64().is_some_and(f64::is_finite)
    }
}

/// The canonical text of a value: object keys sorted by code point, numbers as JavaScript prints them (an integral double
/// is an integer, `-0` is `0`), no white space. Two values that JavaScript cannot tell apart have one text.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => write_number(n, out),
        Value::String(s) => write_string(s, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_canonical(item, out);
            }
            out.push('}');
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    // A string always serialises.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn write_number(n: &Number, out: &mut String) {
    let f = n.as_f64().unwrap_or(0.0);
    if f.fract() == 0.0 && f.abs() < 1e21 {
        // Writing to a string cannot fail.
        let _ = write!(out, "{}", f as i128);
    } else {
        let _ = write!(out, "{n}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn canonical_sorts_keys_and_normalises_numbers() {
        let value = json!({"b": [1.0, -0.0, 1.5, 1e300], "a": {"ä": "\n", "Z": null}});
        assert_eq!(canonical(&value), "{\"a\":{\"Z\":null,\"ä\":\"\\n\"},\"b\":[1,0,1.5,1e+300]}");
    }

    #[test]
    fn what_javascript_would_change_is_refused() {
        assert_eq!(check_domain(&json!({"a": [9_007_199_254_740_991_u64]})), Ok(()));
        assert_eq!(
            check_domain(&json!({"a": [9_007_199_254_740_993_u64]})),
            Err(JsonRefused::Number { pointer: "/a/0".into(), number: "9007199254740993".into() })
        );
        let deep = (0..101).fold(json!(1), |v, _| json!([v]));
        assert!(matches!(check_domain(&deep), Err(JsonRefused::TooDeep { .. })));
        let fits = (0..99).fold(json!(1), |v, _| json!([v]));
        assert_eq!(check_domain(&fits), Ok(()));
    }
}
