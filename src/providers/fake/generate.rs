//! Inventing a value that satisfies a schema, in a mood.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value, json};

use super::numbers;
use super::sample::{self, Wanted};
use super::shape::{flatten, type_names};
use super::words;
use crate::core::ids::Hash;
use crate::core::run::Mood;
use crate::providers::schema::CompiledSchema;

/// How many values are built, each with other choices, before the schema is given up.
const VARIANTS: u32 = 96;

/// The most values inside one answer.
const NODES: usize = 50_000;

/// Below this depth only what is required is built.
const DEEP: usize = 7;

/// Where a schema leaves a choice: the first variant takes the favourites, later ones go through the others.
#[derive(Debug)]
pub(super) struct Choices {
    variant: u32,
    state: u64,
}

impl Choices {
    fn new(variant: u32) -> Self {
        Self { variant, state: u64::from(variant).wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    /// One of `n`; the favourite in the first variant, and often enough later.
    pub(super) fn pick(&mut self, n: usize, favourite: usize) -> usize {
        if self.variant == 0 || n < 2 {
            return favourite;
        }
        // An xorshift: the same choices in every process.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        (x % n as u64) as usize
    }
}

/// A value that satisfies `schema`, the same for the same arguments; none when none is found. `seed` colours what looks like
/// a hash; `assume` gives the size of lists by property name.
pub(super) fn generate(
    schema: &CompiledSchema,
    mood: Mood,
    seed: &Hash,
    assume: &BTreeMap<String, u32>,
) -> Option<Value> {
    let mut built = 0;
    for variant in 0..VARIANTS {
        let root = schema.schema();
        let mut building = Building { root, mood, seed, assume, choices: Choices::new(variant), nodes: 0 };
        let value = building.value(root, Place { key: "", ordinal: 1, salt: 0, depth: 0 });
        if schema.accepts(&value) {
            return Some(value);
        }
        built += building.nodes;
        if built > 4 * NODES {
            break;
        }
    }
    None
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    /// The name of its property, or of the list it is in.
    key: &'a str,
    /// Its number in that list, from 1.
    ordinal: usize,
    /// How many siblings equal to it were thrown away.
    salt: usize,
    depth: usize,
}

struct Building<'a> {
    root: &'a Value,
    mood: Mood,
    seed: &'a Hash,
    assume: &'a BTreeMap<String, u32>,
    choices: Choices,
    nodes: usize,
}

impl Building<'_> {
    fn is_deep(&self, depth: usize) -> bool {
        depth >= DEEP || self.nodes > NODES
    }

    fn value(&mut self, schema: &Value, place: Place<'_>) -> Value {
        self.nodes += 1;
        let deep = self.is_deep(place.depth);
        // Far below everything, or after too much, it is a schema that has no finite value.
        if place.depth > 40 || self.nodes > 2 * NODES {
            return Value::Null;
        }
        let shape = flatten(self.root, schema, self.mood, deep, &mut self.choices);
        if let Some(constant) = shape.get("const") {
            return constant.clone();
        }
        if let Some(values) = shape.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty()) {
            return self.one_of(values, &shape, place);
        }
        match self.kind(&shape).as_str() {
            "null" => Value::Null,
            "boolean" => self.flag(place),
            "integer" => numbers::number(&shape, true, self.start(place), place.salt),
            "number" => numbers::number(&shape, false, self.start(place), place.salt),
            "array" => Value::Array(self.list(&shape, place)),
            "object" => Value::Object(self.object(&shape, place)),
            _ => {
                let Place { key, ordinal, salt, .. } = place;
                let wanted = Wanted { key, ordinal, salt, mood: self.mood, seed: self.seed };
                Value::String(sample::text(&shape, &wanted))
            }
        }
    }

    fn start(&self, place: Place<'_>) -> f64 {
        let first = if self.mood == Mood::Empty { 0.0 } else { 1.0 };
        first + place.salt as f64
    }

    fn one_of(&mut self, values: &[Value], shape: &Map<String, Value>, place: Place<'_>) -> Value {
        let kinds = shape.get("type").map(type_names).unwrap_or_default();
        let fitting: Vec<&Value> =
            values.iter().filter(|value| kinds.is_empty() || kinds.iter().any(|kind| is_kind(value, kind))).collect();
        let words: Vec<Option<&str>> = fitting.iter().map(|value| value.as_str()).collect();
        let favourite = match self.mood {
            Mood::Happy | Mood::Fail => words::pick(&words, true),
            Mood::Unhappy => words::pick(&words, false),
            Mood::Empty => 0,
        };
        let picked = self.choices.pick(fitting.len(), favourite) + place.salt;
        fitting.get(picked % fitting.len().max(1)).map_or_else(|| values[0].clone(), |value| (*value).clone())
    }

    /// The type to build: what the schema says, else what its keywords speak of.
    fn kind(&mut self, shape: &Map<String, Value>) -> String {
        let names = shape.get("type").map(type_names).unwrap_or_default();
        if !names.is_empty() {
            let want_null = self.mood == Mood::Empty;
            let favourite = names.iter().position(|name| (*name == "null") == want_null).unwrap_or(0);
            return names[self.choices.pick(names.len(), favourite)].to_owned();
        }
        let has = |keys: &[&str]| keys.iter().any(|key| shape.contains_key(*key));
        if has(&["properties", "required", "patternProperties", "minProperties", "additionalProperties"]) {
            "object".to_owned()
        } else if has(&["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]) {
            "array".to_owned()
        } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
            "number".to_owned()
        } else {
            let any = ["string", "object", "number", "boolean", "null", "array"];
            let n = if shape.contains_key("not") { any.len() } else { 1 };
            any[self.choices.pick(n, 0)].to_owned()
        }
    }

    fn flag(&mut self, place: Place<'_>) -> Value {
        let favourable = match self.mood {
            Mood::Happy | Mood::Fail => !words::is_bad_flag(place.key),
            Mood::Unhappy => words::is_bad_flag(place.key),
            Mood::Empty => false,
        };
        let flipped = (self.choices.pick(2, 0) + place.salt) % 2 == 1;
        Value::Bool(favourable != flipped)
    }

    fn list(&mut self, shape: &Map<String, Value>, place: Place<'_>) -> Vec<Value> {
        let bound = |key: &str| shape.get(key).and_then(Value::as_f64).map(|n| n.max(0.0) as usize);
        // A list under `items` is what `prefixItems` is now.
        let old_tuple = shape.get("items").and_then(Value::as_array);
        let tuple = shape.get("prefixItems").and_then(Value::as_array).or(old_tuple).map_or(&[][..], Vec::as_slice);
        let rest = if old_tuple.is_some() { shape.get("additionalItems") } else { shape.get("items") };
        let contains = shape.get("contains");
        let hits = contains.map_or(0, |_| bound("minContains").unwrap_or(1));
        let closed = rest == Some(&Value::Bool(false));
        let most = bound("maxItems").unwrap_or(NODES).min(if closed { tuple.len() } else { NODES });
        let least = bound("minItems").unwrap_or(0).max(hits).min(most);
        let size = match (self.assume.get(place.key), self.mood) {
            (Some(size), _) => *size as usize,
            (None, _) if self.is_deep(place.depth) => 0,
            (None, Mood::Happy | Mood::Fail) if words::is_bad_list(place.key) => 0,
            (None, Mood::Happy | Mood::Fail) => tuple.len().max(2),
            (None, Mood::Unhappy) => tuple.len().max(1),
            (None, Mood::Empty) => 0,
        };
        let size = size.clamp(least, most);
        let unique = shape.get("uniqueItems") == Some(&Value::Bool(true));
        let anything = json!({"type": "string"});
        let mut out: Vec<Value> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for i in 0..size {
            let base = tuple.get(i).or(rest).unwrap_or(&anything);
            let with_hit = contains.filter(|_| i < hits).map(|contains| match base {
                base if std::ptr::eq(base, &raw const anything) => contains.clone(),
                base => json!({"allOf": [base, contains]}),
            });
            let schema = with_hit.as_ref().unwrap_or(base);
            // Distinct when it can be: small sets of values run out.
            let tries = if unique { 64 } else { 4 };
            let mut item = Value::Null;
            let mut distinct = false;
            for salt in 0..tries {
                let inner = Place { key: place.key, ordinal: i + 1, salt, depth: place.depth + 1 };
                item = self.value(schema, inner);
                distinct = seen.insert(crate::core::json::canonical(&item));
                if distinct {
                    break;
                }
            }
            if !distinct && unique && out.len() >= least {
                break;
            }
            out.push(item);
        }
        out
    }

    fn object(&mut self, shape: &Map<String, Value>, place: Place<'_>) -> Map<String, Value> {
        let empty = Map::new();
        let declared = shape.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let patterns = shape.get("patternProperties").and_then(Value::as_object).unwrap_or(&empty);
        let rest = shape.get("additionalProperties");
        let mut required: Vec<&str> =
            shape.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let sparse = self.mood == Mood::Empty || self.is_deep(place.depth) || self.choices.pick(3, 0) == 2;
        let optional = declared
            .iter()
            .filter(|(name, schema)| !sparse && !required.contains(&name.as_str()) && **schema != Value::Bool(false));
        let optional: Vec<&str> = optional.map(|(name, _)| name.as_str()).collect();
        let bound = |key: &str| shape.get(key).and_then(Value::as_f64).map(|n| n.max(0.0) as usize);
        let most = bound("maxProperties").unwrap_or(usize::MAX);
        // What a present property asks for is asked for too, until nothing new comes.
        let dependent = shape.get("dependentRequired").or_else(|| shape.get("dependencies")).and_then(Value::as_object);
        let mut i = 0;
        let mut names: Vec<&str> = required.iter().chain(&optional).copied().collect();
        while let Some(name) = names.get(i).copied() {
            let more = dependent.and_then(|map| map.get(name)).and_then(Value::as_array).into_iter().flatten();
            for other in more.filter_map(Value::as_str) {
                required.push(other);
                if !names.contains(&other) {
                    names.push(other);
                }
            }
            i += 1;
        }
        let room = most.saturating_sub(required.len());
        let kept: Vec<&str> = optional.into_iter().filter(|name| !required.contains(name)).take(room).collect();
        let wanted = |name: &str| required.contains(&name) || kept.contains(&name);
        // In the order of the schema, then what is only required.
        let mut order: Vec<&str> = declared.keys().map(String::as_str).filter(|name| wanted(name)).collect();
        for name in &required {
            if !order.contains(name) {
                order.push(name);
            }
        }
        let mut out = Map::new();
        for name in order {
            let schema = property_schema(name, declared, patterns, rest);
            let value =
                self.value(&schema, Place { key: name, ordinal: place.ordinal, depth: place.depth + 1, ..place });
            out.insert(name.to_owned(), value);
        }
        let least = bound("minProperties").unwrap_or(0).min(1000);
        self.fill_up(&mut out, least, shape, patterns, rest, place);
        out
    }

    /// Adds properties that the schema does not name until there are `least`.
    fn fill_up(
        &mut self,
        out: &mut Map<String, Value>,
        least: usize,
        shape: &Map<String, Value>,
        patterns: &Map<String, Value>,
        rest: Option<&Value>,
        place: Place<'_>,
    ) {
        let empty = Map::new();
        let declared = shape.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        for (name, schema) in declared {
            if out.len() < least && !out.contains_key(name) && *schema != Value::Bool(false) {
                let value = self.value(schema, Place { key: name, depth: place.depth + 1, ..place });
                out.insert(name.clone(), value);
            }
        }
        let mut name_shape = match shape.get("propertyNames") {
            Some(names) => flatten(self.root, names, self.mood, true, &mut self.choices),
            None => Map::new(),
        };
        let fixed: Vec<String> = name_shape
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        if rest == Some(&Value::Bool(false))
            && let Some(pattern) = patterns.keys().next()
        {
            name_shape.entry("pattern").or_insert_with(|| pattern.clone().into());
        }
        for n in 1..=least * 2 {
            if out.len() >= least {
                break;
            }
            let wanted = Wanted { key: "extra", ordinal: n, salt: 0, mood: Mood::Happy, seed: self.seed };
            let name = match fixed.get(n - 1) {
                Some(name) => name.clone(),
                None if name_shape.is_empty() => format!("extra{n}"),
                None => sample::text(&name_shape, &wanted),
            };
            if !out.contains_key(&name) {
                let schema = property_schema(&name, declared, patterns, rest);
                let value = self.value(&schema, Place { key: &name, depth: place.depth + 1, ..place });
                out.insert(name, value);
            }
        }
    }
}

/// The schema of a property: what is declared for its name and for the patterns it matches, else what holds for the rest.
fn property_schema(
    name: &str,
    declared: &Map<String, Value>,
    patterns: &Map<String, Value>,
    rest: Option<&Value>,
) -> Value {
    let matching = patterns
        .iter()
        .filter(|(pattern, _)| regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(name)))
        .map(|(_, schema)| schema.clone());
    let mut all: Vec<Value> = declared.get(name).cloned().into_iter().chain(matching).collect();
    match all.len() {
        0 => rest.cloned().unwrap_or_else(|| json!({})),
        1 => all.remove(0),
        _ => json!({ "allOf": all }),
    }
}

/// Whether a value is of a JSON Schema type.
fn is_kind(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) => kind == "number" || (kind == "integer" && is_whole(number)),
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    }
}

fn is_whole(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

#[cfg(test)]
#[path = "generate_tests.rs"]
pub(super) mod tests;
