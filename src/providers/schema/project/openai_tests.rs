//! Tests of the strict projection, one rule each.

use serde_json::json;

use super::*;

fn object(properties: Value, required: Value) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

/// The projection of a schema whose one required property is `inner`.
fn of(inner: Value) -> Projection {
    openai_strict(&object(json!({"p": inner}), json!(["p"])))
}

fn why(inner: Value) -> String {
    let projection = of(inner.clone());
    assert!(!projection.strict, "{inner}: {projection:?}");
    assert_eq!(projection.schema, object(json!({"p": inner}), json!(["p"])));
    projection.why_not.unwrap_or_default()
}

#[test]
fn every_object_is_closed_and_every_property_required() {
    let schema = object(json!({"a": object(json!({"b": {"type": "string"}}), json!(["b"]))}), json!(["a"]));
    let projection = openai_strict(&schema);
    assert_eq!(
        projection.schema,
        json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}},
            "required": ["b"], "additionalProperties": false}}, "required": ["a"], "additionalProperties": false})
    );
    assert!(projection.strict && projection.is_plain());
}

#[test]
fn optional_fields_become_nullable_and_their_nulls_are_dropped() {
    let schema = object(
        json!({"must": {"type": "string"}, "may": {"type": "integer"}, "word": {"type": "string", "enum": ["a"]},
            "fixed": {"const": 1}, "ref": {"$ref": "#/$defs/d"}, "either": {"anyOf": [{"type": "string"}, {"type": "number"}]}}),
        json!(["must"]),
    );
    let mut schema = schema;
    schema["$defs"] = json!({"d": object(json!({"deep": {"type": "string"}}), json!([]))});
    let projection = openai_strict(&schema);
    assert!(projection.strict, "{projection:?}");
    let properties = &projection.schema["properties"];
    assert_eq!(properties["may"], json!({"type": ["integer", "null"]}));
    assert_eq!(properties["word"], json!({"type": ["string", "null"], "enum": ["a", null]}));
    assert_eq!(properties["fixed"], json!({"anyOf": [{"const": 1}, {"type": "null"}]}));
    assert_eq!(properties["ref"], json!({"anyOf": [{"$ref": "#/$defs/d"}, {"type": "null"}]}));
    assert_eq!(properties["either"], json!({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}));
    assert_eq!(projection.schema["required"], json!(["must", "may", "word", "fixed", "ref", "either"]));
    let answer = json!({"must": "x", "may": null, "word": null, "fixed": null, "ref": {"deep": null}, "either": 1});
    assert_eq!(projection.restore(answer), json!({"must": "x", "ref": {}, "either": 1}));
}

#[test]
fn a_null_that_the_schema_itself_takes_makes_it_not_strict() {
    let schema = object(json!({"a": {"type": ["string", "null"]}}), json!([]));
    let projection = openai_strict(&schema);
    assert_eq!(
        projection.why_not.as_deref(),
        Some("/properties/a may be absent and may be null, which a strict schema cannot tell apart")
    );
    // Required, it stays null.
    let required = openai_strict(&object(json!({"a": {"type": ["string", "null"]}}), json!(["a"])));
    assert!(required.strict);
    assert_eq!(required.restore(json!({"a": null})), json!({"a": null}));
}

#[test]
fn maps_and_open_objects_are_not_strict() {
    assert_eq!(
        why(json!({"type": "object", "additionalProperties": {"type": "number"}})),
        "/properties/p is a map from names to values"
    );
    assert_eq!(why(json!({"type": "object", "additionalProperties": true})), "/properties/p takes further properties");
    assert_eq!(why(json!({"type": "object"})), "/properties/p takes any object");
    assert_eq!(why(json!({})), "/properties/p takes any value");
    assert_eq!(why(json!(true)), "/properties/p takes any value or none");
    assert_eq!(why(json!({"type": "array"})), "the items of the array at /properties/p are not described");
}

#[test]
fn compositions_other_than_any_of_are_not_strict() {
    for key in [
        "not",
        "if",
        "then",
        "else",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "patternProperties",
        "prefixItems",
        "propertyNames",
        "unevaluatedProperties",
        "unevaluatedItems",
        "contains",
        "$dynamicRef",
        "$recursiveRef",
    ] {
        assert_eq!(why(json!({"type": "string", key: {}})), format!("`{key}` at /properties/p has no strict form"));
    }
    let two = json!({"allOf": [{"type": "string"}, {"minLength": 1}]});
    assert_eq!(why(two), "`allOf` at /properties/p has no strict form");
    let one = of(json!({"allOf": [{"type": "string"}], "description": "D."}));
    assert_eq!(one.schema["properties"]["p"], json!({"description": "D.", "type": "string"}));
}

#[test]
fn one_of_becomes_any_of_and_bounds_stay() {
    let inner = json!({"oneOf": [{"type": "string", "pattern": "^a"}, {"type": "array", "items": {"type": "integer",
        "minimum": 1, "maximum": 5}, "minItems": 1, "maxItems": 2}]});
    let mut wanted = inner.clone();
    let branches = wanted["oneOf"].take();
    assert_eq!(of(inner).schema["properties"]["p"], json!({"anyOf": branches}));
}

#[test]
fn what_the_strict_subset_has_stays_as_it_is() {
    let number = |key: &str| json!({"type": "number", key: 3});
    let formats = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];
    let kept = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"].into_iter().map(number);
    let kept = kept.chain(formats.map(|format| json!({"type": "string", "format": format}))).chain([
        json!({"type": "string", "pattern": "^a", "title": "T", "description": "D."}),
        json!({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}),
        json!({"type": "string", "enum": ["a", "b"]}),
        json!({"const": 1}),
    ]);
    for inner in kept {
        assert_eq!(of(inner.clone()).schema["properties"]["p"], inner);
    }
    for format in ["uri", "regex", "int64"] {
        let words = json!({"type": "string", "description": format!("{{format: \"{format}\"}}")});
        assert_eq!(of(json!({"type": "string", "format": format})).schema["properties"]["p"], words);
    }
}

#[test]
fn unsupported_keywords_become_words_and_a_null_default_goes() {
    let projection = of(json!({"type": "string", "minLength": 2, "format": "uri", "default": null}));
    assert_eq!(
        projection.schema["properties"]["p"],
        json!({"type": "string", "description": "{minLength: 2, format: \"uri\"}"})
    );
    let date = of(json!({"type": "string", "format": "date-time"}));
    assert_eq!(date.schema["properties"]["p"], json!({"type": "string", "format": "date-time"}));
}

#[test]
fn references_with_siblings_are_inlined_and_recursion_is_allowed() {
    let mut schema =
        object(json!({"p": {"$ref": "#/$defs/n", "description": "First."}, "all": {"$ref": "#"}}), json!(["p", "all"]));
    schema["$defs"] = json!({"n": object(json!({"next": {"$ref": "#/$defs/n"}}), json!(["next"]))});
    let projection = openai_strict(&schema);
    assert!(projection.strict, "{projection:?}");
    assert_eq!(
        projection.schema["properties"]["p"],
        json!({"type": "object", "description": "First.", "properties": {"next": {"$ref": "#/$defs/n"}},
            "required": ["next"], "additionalProperties": false})
    );
    assert_eq!(projection.schema["properties"]["all"], json!({"$ref": "#"}));
}

#[test]
fn a_union_at_the_root_is_wrapped_and_unwrapped() {
    let branch = |word: &str| object(json!({"kind": {"const": word}, "n": {"type": "integer"}}), json!(["kind"]));
    let schema = json!({"type": "object", "anyOf": [branch("a"), {"$ref": "#/$defs/b"}, {"$ref": "#/anyOf/0"}],
        "$defs": {"b": branch("b")}});
    let projection = openai_strict(&schema);
    assert!(projection.strict, "{projection:?}");
    let closed = |word: &str| {
        json!({"type": "object", "properties": {"kind": {"const": word}, "n": {"type": ["integer", "null"]}},
            "required": ["kind", "n"], "additionalProperties": false})
    };
    assert_eq!(
        projection.schema,
        json!({"type": "object", "properties": {"value": {"anyOf": [closed("a"), {"$ref": "#/$defs/b"},
            {"$ref": "#/properties/value/anyOf/0"}]}}, "required": ["value"], "additionalProperties": false,
            "$defs": {"b": closed("b")}})
    );
    assert_eq!(projection.restore(json!({"value": {"kind": "a", "n": null}})), json!({"kind": "a"}));
    // An answer that came without its wrapping is taken all the same.
    assert_eq!(projection.restore(json!({"kind": "a"})), json!({"kind": "a"}));
}

#[test]
fn the_bounds_of_a_strict_schema_are_kept() {
    let many = |n: usize| {
        let properties: Map<String, Value> = (0..n).map(|i| (format!("p{i}"), json!({"type": "null"}))).collect();
        let names: Vec<String> = properties.keys().cloned().collect();
        openai_strict(&object(Value::Object(properties), json!(names)))
    };
    assert!(many(5_000).strict);
    assert_eq!(many(5_001).why_not.as_deref(), Some("it has 5001 properties, 5000 at most"));
    let nested = |n: usize| {
        let leaf = object(json!({"x": {"type": "null"}}), json!(["x"]));
        openai_strict(&(1..n).fold(leaf, |inner, _| object(json!({"x": inner}), json!(["x"]))))
    };
    assert!(nested(10).strict);
    assert_eq!(nested(11).why_not.as_deref(), Some("it has 11 levels of objects, 10 at most"));
    let options = |n: usize, len: usize| {
        let words: Vec<String> = (0..n).map(|i| format!("{i:0len$}")).collect();
        of(json!({"type": "string", "enum": words}))
    };
    assert!(options(1_000, 4).strict);
    assert_eq!(options(1_001, 4).why_not.as_deref(), Some("it has 1001 enum values, 1000 at most"));
    assert!(options(250, 100).strict);
    assert_eq!(options(251, 100).why_not.as_deref(), Some("it has 25100 characters in a long enum, 15000 at most"));
    assert_eq!(
        of(json!({"const": "x".repeat(120_000)})).why_not.as_deref(),
        Some("it has 120001 characters of names and constants, 120000 at most")
    );
}

#[test]
fn an_undescribed_required_property_is_not_strict() {
    let projection = openai_strict(&object(json!({"a": {"type": "null"}}), json!(["a", "b"])));
    assert_eq!(projection.why_not.as_deref(), Some("`b` at the root is required and not described"));
}
