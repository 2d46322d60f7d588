//! Numbers that fit a schema.

use serde_json::{Map, Number, Value};

/// A number near `start` within the bounds of `shape`, a multiple where one is asked for. `salt` picks another of those that
/// fit. When nothing fits the best guess is returned.
pub(super) fn number(shape: &Map<String, Value>, whole: bool, start: f64, salt: usize) -> Value {
    let bound = |key: &str| shape.get(key).and_then(Value::as_f64);
    let low = bound("minimum").into_iter().chain(bound("exclusiveMinimum")).reduce(f64::max);
    let high = bound("maximum").into_iter().chain(bound("exclusiveMaximum")).reduce(f64::min);
    let step = match (bound("multipleOf"), whole) {
        (Some(step), true) if step.fract() != 0.0 => (1..=1000).map(|k| step * f64::from(k)).find(|n| n.fract() == 0.0),
        (step, true) => Some(step.unwrap_or(1.0)),
        (step, false) => step,
    };
    let fits = |n: f64| {
        bound("minimum").is_none_or(|bound| n >= bound)
            && bound("maximum").is_none_or(|bound| n <= bound)
            && bound("exclusiveMinimum").is_none_or(|bound| n > bound)
            && bound("exclusiveMaximum").is_none_or(|bound| n < bound)
            && n.is_finite()
    };
    let (floor, ceiling) = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
    let near = start.max(floor).min(ceiling);
    let guesses: Vec<f64> = match step {
        Some(step) if step > 0.0 => {
            let k = (near / step).ceil();
            let down = (near / step).floor();
            (0..=salt + 2).flat_map(|i| [(k + i as f64) * step, (down - i as f64) * step]).collect()
        }
        _ => {
            let middle = f64::midpoint(low.unwrap_or(near - 1.0), high.unwrap_or(near + 1.0));
            let quarter = f64::midpoint(low.unwrap_or(near - 1.0), middle);
            let mut all = vec![near, near + 1.0, near - 1.0, middle, quarter];
            all.extend((1..=salt).map(|i| {
                let (from, to) = (low.unwrap_or(near), high.unwrap_or(near + salt as f64 + 1.0));
                from + (to - from) * (i as f64) / (salt as f64 + 1.0)
            }));
            all
        }
    };
    let mut fitting: Vec<f64> = Vec::new();
    for guess in guesses {
        if fits(guess) && !fitting.contains(&guess) {
            fitting.push(guess);
        }
    }
    // The start already moves with the salt; only what is clamped at a bound needs another pick.
    let moved = (near - start).abs() > f64::EPSILON;
    let pick = if moved { salt } else { 0 };
    let chosen = fitting.get(pick % fitting.len().max(1)).copied().unwrap_or(near);
    to_value(chosen)
}

fn to_value(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 {
        Value::Number(Number::from(n as i64))
    } else {
        Number::from_f64(n).map_or(Value::Null, Value::Number)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn one_clamped_to_the_bounds() {
        let made = |shape: Value, whole| number(shape.as_object().unwrap(), whole, 1.0, 0);
        assert_eq!(made(json!({}), true), json!(1));
        assert_eq!(made(json!({"minimum": 5}), true), json!(5));
        assert_eq!(made(json!({"maximum": -3}), true), json!(-3));
        assert_eq!(made(json!({"exclusiveMinimum": 1}), true), json!(2));
        assert_eq!(made(json!({"exclusiveMinimum": 0, "exclusiveMaximum": 1}), false), json!(0.5));
        assert_eq!(made(json!({"multipleOf": 5}), true), json!(5));
        assert_eq!(made(json!({"multipleOf": 5, "maximum": 4}), true), json!(0));
        assert_eq!(made(json!({"multipleOf": 0.5, "minimum": 1.2}), false), json!(1.5));
        assert_eq!(made(json!({"minimum": 0.5}), true), json!(1));
    }
}
