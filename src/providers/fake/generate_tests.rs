//! Tests of the generator: shapes by mood, and random schemas.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::providers::schema::compile;

fn made(schema: &Value, mood: Mood) -> Value {
    generate(&compile(schema).unwrap(), mood, &Hash::of("seed"), &BTreeMap::new()).unwrap()
}

/// JSON values without the numbers whose text has several forms.
pub(in crate::providers::fake) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("\\PC{0,5}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn review() -> Value {
    json!({"type": "object", "required": ["verdict", "findings", "passed"], "properties": {
        "verdict": {"enum": ["reject", "approve"]}, "passed": {"type": "boolean"}, "blocked": {"type": "boolean"},
        "score": {"type": "integer", "minimum": 3, "maximum": 10}, "note": {"type": ["null", "string"]},
        "missingTests": {"type": "array", "items": {"type": "string"}},
        "findings": {"type": "array", "items": {"type": "object", "required": ["file"], "properties": {
            "file": {"type": "string"}, "line": {"type": "integer"}, "claim": {"type": "string"}}}}}})
}

#[test]
fn a_happy_answer_is_favourable_and_complete() {
    assert_eq!(
        made(&review(), Mood::Happy),
        json!({"verdict": "approve", "passed": true, "blocked": false, "score": 3, "note": "sample note 1",
            "missingTests": [], "findings": [{"file": "src/sample1.ts", "line": 1, "claim": "sample claim 1"},
            {"file": "src/sample2.ts", "line": 1, "claim": "sample claim 2"}]})
    );
}

#[test]
fn an_unhappy_answer_is_unfavourable() {
    assert_eq!(
        made(&review(), Mood::Unhappy),
        json!({"verdict": "reject", "passed": false, "blocked": true, "score": 3, "note": "sample note 1",
            "missingTests": ["sample missingTests 1"],
            "findings": [{"file": "src/sample1.ts", "line": 1, "claim": "sample claim 1"}]})
    );
}

#[test]
fn an_empty_answer_is_the_least_that_is_valid() {
    assert_eq!(made(&review(), Mood::Empty), json!({"verdict": "reject", "findings": [], "passed": false}));
}

#[test]
fn list_sizes_can_be_assumed() {
    let assume = BTreeMap::from([("findings".to_owned(), 40), ("missingTests".to_owned(), 3)]);
    let value = generate(&compile(&review()).unwrap(), Mood::Happy, &Hash::of("seed"), &assume).unwrap();
    assert_eq!(value["findings"].as_array().unwrap().len(), 40);
    assert_eq!(value["missingTests"].as_array().unwrap().len(), 3);
}

#[test]
fn accept_024_enum_minimum_and_pattern_are_satisfied() {
    let schemas = [
        json!({"type": "object", "required": ["a", "b", "c"], "properties": {"a": {"enum": [3, 4]},
            "b": {"type": "integer", "minimum": 17}, "c": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"}}}),
        json!({"type": "object", "properties": {"tree": {"$ref": "#/$defs/node"}}, "required": ["tree"], "$defs": {"node":
            {"type": "object", "required": ["name", "children"], "properties": {"name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}}),
        json!({"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]}),
        json!({"type": "object", "properties": {"k": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string",
            "minLength": 5}]}, "n": {"oneOf": [{"multipleOf": 3}, {"multipleOf": 5}], "type": "integer", "minimum": 10}}}),
        json!({"type": "object", "properties": {"set": {"type": "array", "uniqueItems": true, "minItems": 3, "items":
            {"enum": ["a", "b", "c"]}}, "flags": {"type": "array", "uniqueItems": true, "minItems": 2, "items": {"type":
            "boolean"}}, "ints": {"type": "array", "uniqueItems": true, "minItems": 5, "items": {"type": "integer",
            "minimum": 2, "maximum": 6}}}}),
        json!({"type": "object", "properties": {"pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type":
            "string"}], "items": false, "minItems": 2}}, "required": ["pair"]}),
        json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer", "minimum": 7}}),
        json!({"type": "object", "minProperties": 2, "patternProperties": {"^x-": {"type": "string"}},
            "additionalProperties": false}),
        json!({"type": "object", "properties": {"kind": {"enum": ["a", "b"]}, "extra": {"type": "string"}}, "required":
            ["kind"], "if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["extra"]}}),
        json!({"type": "object", "allOf": [{"properties": {"a": {"minimum": 5}}, "required": ["a"]}, {"properties": {"a":
            {"type": "integer", "maximum": 6, "exclusiveMinimum": 5}}}]}),
        json!({"type": "object", "properties": {"a": {"not": {"type": "string"}}, "b": {"type": "array", "contains":
            {"const": 5}}, "c": {"type": "string", "minLength": 30, "maxLength": 31, "pattern": "^[a-f]+$"}}}),
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "maxProperties": 1}),
        json!({"type": "object", "properties": {"price": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01}}}),
        json!({"type": "object", "dependentRequired": {"a": ["z"]}, "properties": {"a": {"type": "string"}}}),
        json!({"type": "object", "propertyNames": {"pattern": "^[a-z]{3}$"}, "minProperties": 2}),
    ];
    for schema in &schemas {
        for mood in [Mood::Happy, Mood::Unhappy, Mood::Empty] {
            let compiled = compile(schema).unwrap();
            let value = generate(&compiled, mood, &Hash::of("seed"), &BTreeMap::new());
            assert!(value.as_ref().is_some_and(|value| compiled.accepts(value)), "{mood:?} {schema} gave {value:?}");
        }
    }
}

#[test]
fn a_schema_that_nothing_satisfies_is_given_up() {
    let impossible = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "minimum": 2,
        "maximum": 1}}});
    let endless = json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}});
    for schema in [impossible, endless] {
        assert_eq!(generate(&compile(&schema).unwrap(), Mood::Happy, &Hash::of("seed"), &BTreeMap::new()), None);
    }
}

/// Random schemas that can be satisfied.
fn any_schema() -> impl Strategy<Value = Value> {
    let text = (0_u32..12, 0_u32..12, prop::option::of(prop::sample::select(vec!["date", "uuid", "uri", "odd"])))
        .prop_map(|(min, more, format)| match format {
            Some(format) => json!({"type": "string", "format": format}),
            None => json!({"type": "string", "minLength": min, "maxLength": min + more}),
        });
    let pattern =
        prop::sample::select(vec!["^[a-z]+$", "^[A-Z]{2}-\\d{2,5}$", "x", "^(a|b|cc)$", "^\\w+\\.(ts|js)$", "^$"])
            .prop_map(|pattern| json!({"type": "string", "pattern": pattern}));
    let integer = (-50_i32..50, 0_i32..50)
        .prop_map(|(min, span)| json!({"type": "integer", "minimum": min, "maximum": min + span}));
    let open = (-50_i32..50, 1_i32..50)
        .prop_map(|(min, span)| json!({"type": "number", "exclusiveMinimum": min, "exclusiveMaximum": min + span}));
    let multiple =
        (1_i32..9, -20_i32..20).prop_map(|(of, min)| json!({"type": "integer", "multipleOf": of, "minimum": min}));
    let words = prop::collection::vec("[a-z]{1,6}", 1..4).prop_map(|words| json!({ "enum": words }));
    let leaf = prop_oneof![
        text,
        pattern,
        integer,
        open,
        multiple,
        words,
        any_json().prop_map(|value| json!({ "const": value })),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": ["null", "string"]})),
        Just(json!({"$ref": "#/$defs/node"})),
        Just(json!({})),
        Just(json!(true)),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop::sample::select(vec!["file", "id", "ok", "failed", "items", "missing", "url", "note", "a b", "x/y"]);
        let object = (prop::collection::btree_map(name, (inner.clone(), any::<bool>()), 0..5), any::<bool>()).prop_map(
            |(properties, closed)| {
                let required: Vec<&str> = properties.iter().filter(|(_, (_, must))| *must).map(|(name, _)| *name).collect();
                let all: Map<String, Value> =
                    properties.iter().map(|(name, (schema, _))| ((*name).to_owned(), schema.clone())).collect();
                json!({"type": "object", "properties": all, "required": required, "additionalProperties": !closed})
            },
        );
        prop_oneof![
            3 => object,
            2 => (inner.clone(), 0_u32..4, 0_u32..4)
                .prop_map(|(items, min, more)| json!({"type": "array", "items": items, "minItems": min, "maxItems": min + more})),
            1 => prop::collection::vec(inner.clone(), 1..4).prop_map(|branches| json!({ "anyOf": branches })),
            1 => inner.clone().prop_map(|one| json!({ "allOf": [one] })),
            1 => inner.clone().prop_map(|one| json!({ "oneOf": [one] })),
            1 => prop::collection::vec(inner, 1..3)
                .prop_map(|items| json!({"type": "array", "prefixItems": items, "items": false})),
        ]
    })
}

proptest! {
    #[test]
    fn accept_024_whatever_the_schema_the_value_validates(
        schema in any_schema(),
        mood in prop::sample::select(vec![Mood::Happy, Mood::Unhappy, Mood::Empty]),
    ) {
        let node = json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}});
        let root = json!({"type": "object", "required": ["value"], "properties": {"value": schema}, "$defs": {"node": node}});
        let compiled = compile(&root).unwrap();
        let seed = Hash::of("seed");
        let value = generate(&compiled, mood, &seed, &BTreeMap::new());
        prop_assert!(value.as_ref().is_some_and(|value| compiled.accepts(value)), "{value:?}");
        prop_assert_eq!(value, generate(&compiled, mood, &seed, &BTreeMap::new()));
    }
}
