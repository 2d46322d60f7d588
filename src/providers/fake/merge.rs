//! Putting some fields over a generated answer without breaking what the schema asks for around them.

use serde_json::Value;

/// Lays `over` on `base`: maps field by field; a list has as many items as `over` says, each laid on the generated item of
/// its place (or on the first one), so that fields which are not named keep a valid value; anything else replaces.
pub(super) fn lay_over(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Object(mut base), Value::Object(over)) => {
            for (key, value) in over {
                let value = match base.get_mut(&key) {
                    Some(there) => lay_over(there.take(), value),
                    None => value,
                };
                base.insert(key, value);
            }
            Value::Object(base)
        }
        (Value::Array(base), Value::Array(over)) => {
            let pattern = |i: usize| base.get(i).or(base.first()).cloned();
            let laid = |(i, value): (usize, Value)| match (pattern(i), &value) {
                (Some(there), Value::Object(_)) => lay_over(there, value),
                _ => value,
            };
            Value::Array(over.into_iter().enumerate().map(laid).collect())
        }
        (_, over) => over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn named_fields_are_replaced_and_the_rest_stays_valid() {
        let base =
            json!({"a": 1, "list": [{"f": "x", "line": 1}, {"f": "y", "line": 2}], "o": {"p": 1, "q": 2}, "t": ["u"]});
        let over = json!({"list": [{"f": "z"}, {"f": "w"}, {"f": "v"}], "o": {"q": 3}, "t": [], "new": null});
        assert_eq!(
            lay_over(base, over),
            json!({"a": 1, "list": [{"f": "z", "line": 1}, {"f": "w", "line": 2}, {"f": "v", "line": 1}],
                "o": {"p": 1, "q": 3}, "t": [], "new": null})
        );
    }
}
