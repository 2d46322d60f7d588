//! The documented bounds of a strict schema.

use serde_json::Value;

/// Properties in all.
const PROPERTIES: usize = 5_000;
/// Objects within objects.
const NESTING: usize = 10;
/// Values of all enumerations.
const OPTIONS: usize = 1_000;
/// Characters of all names, options and constants.
const CHARS: usize = 120_000;
/// An enumeration of more texts than this is bounded in its characters as well.
const LONG_ENUM: usize = 250;
/// Characters of such an enumeration.
const LONG_ENUM_CHARS: usize = 15_000;

#[derive(Default)]
struct Sums {
    properties: usize,
    options: usize,
    chars: usize,
    deepest: usize,
    long: Option<usize>,
}

/// The first bound that a schema breaks, as a sentence.
pub(super) fn broken(schema: &Value) -> Option<String> {
    let mut sums = Sums::default();
    count(schema, 0, &mut sums);
    let over =
        |what: &str, got: usize, most: usize| (got > most).then(|| format!("it has {got} {what}, {most} at most"));
    over("properties", sums.properties, PROPERTIES)
        .or_else(|| over("levels of objects", sums.deepest, NESTING))
        .or_else(|| over("enum values", sums.options, OPTIONS))
        .or_else(|| over("characters of names and constants", sums.chars, CHARS))
        .or_else(|| sums.long.and_then(|got| over("characters in a long enum", got, LONG_ENUM_CHARS)))
}

fn count(schema: &Value, depth: usize, sums: &mut Sums) {
    let Value::Object(map) = schema else { return };
    let properties = map.get("properties").and_then(Value::as_object);
    let depth = if properties.is_some() { depth + 1 } else { depth };
    sums.deepest = sums.deepest.max(depth);
    for (name, inner) in properties.into_iter().flatten() {
        sums.properties += 1;
        sums.chars += name.chars().count();
        count(inner, depth, sums);
    }
    for key in ["$defs", "definitions"] {
        for (name, inner) in map.get(key).and_then(Value::as_object).into_iter().flatten() {
            sums.chars += name.chars().count();
            // Where a definition stands says nothing about how deep it is used.
            count(inner, 0, sums);
        }
    }
    if let Some(options) = map.get("enum").and_then(Value::as_array) {
        sums.options += options.len();
        let texts: Vec<usize> = options.iter().filter_map(|o| Some(o.as_str()?.chars().count())).collect();
        let chars = texts.iter().sum::<usize>();
        sums.chars += chars;
        if texts.len() > LONG_ENUM {
            sums.long = sums.long.max(Some(chars));
        }
    }
    sums.chars += map.get("const").and_then(Value::as_str).map_or(0, |text| text.chars().count());
    for key in ["items", "anyOf"] {
        match map.get(key) {
            Some(Value::Array(parts)) => parts.iter().for_each(|part| count(part, depth, sums)),
            Some(part) => count(part, depth, sums),
            None => {}
        }
    }
}
