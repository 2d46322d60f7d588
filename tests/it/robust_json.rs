//! JSON in the domain of the design survives as args, as an answer and as the returned value; keys stay what they are.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::call::{Ask, CallKind};
use owf::core::event::Event;
use owf::core::identity::{request_key, request_text};
use owf::core::json::{MAX_DEPTH, canonical, check_domain};
use owf::core::run::RunErrorCode;
use owf::engine::params::RunParams;
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use crate::robust_local::{Local, Scripted, finished, script, value};

/// Keys that mean something to JavaScript or to YAML.
const ODD_KEYS: [&str; 24] = [
    "",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "valueOf",
    "hasOwnProperty",
    "toJSON",
    "then",
    "length",
    "0",
    "10",
    "2",
    "-1",
    "1.5",
    "NaN",
    "null",
    "true",
    "yes",
    "<<",
    "~",
    "a b",
    "a/b~c",
    "\u{feff}x",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<String>(),
        1 => prop::sample::select(vec![
            "", " ", "\0", "\u{2028}\u{2029}", "\u{85}", "\u{feff}", "\u{fffe}\u{ffff}", "😀👩‍👩‍👧", "e\u{301}", "\r\n\t", "'\"`\\", "</script>",
            "null", "1e5", "0x1F", "2026-05-28", "- a", "# no", "&a *a", "!!str", "\u{7f}\u{80}\u{9f}", "\u{10ffff}", "${1}", "\\u0041",
        ])
        .prop_map(str::to_owned),
    ]
    // Strings in a fixture file are templates.
    .prop_map(|mut s| {
        // Taking one away may bring another about.
        while let Some(open) = ["{{", "{%", "{#"].into_iter().find(|open| s.contains(open)) {
            s = s.replace(open, "{");
        }
        s
    })
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<f64>().prop_filter_map("finite", Number::from_f64),
        any::<i32>().prop_map(Number::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Number::from),
        prop::sample::select(vec![
            0.0,
            -0.0,
            5e-324,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::MIN,
            f64::EPSILON,
            0.1,
            1e21,
            1e20,
            123_456_789_012_345_680_000.0,
            1e-7,
            9_007_199_254_740_992.0,
        ])
        .prop_filter_map("finite", Number::from_f64),
        prop::sample::select(vec![1_u64 << 60, 1 << 63, 18_446_744_073_709_549_568]).prop_map(Number::from),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        text().prop_map(Value::String),
    ];
    let key = prop_oneof![text(), prop::sample::select(ODD_KEYS.to_vec()).prop_map(str::to_owned)];
    let tree = leaf.prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    });
    // Some of them at the bottom of a deep well; the whole stays within the depth that may come in.
    (tree, prop_oneof![4 => Just(0_usize), 1 => 0..85_usize], any::<bool>()).prop_map(|(value, depth, list)| {
        (0..depth).fold(value, |v, _| if list { json!([v]) } else { json!({ "": v }) })
    })
}

const ECHO: &str = "
    const answers = await parallel(args.map((v, i) => () => agent('v' + i, {label: 'v' + i, schema: {type: 'object'}})))
    return {args, answers: answers.map(a => a.v), text: JSON.stringify(args)}";

/// Runs the values through args, answers and the returned value; gives what came back three times.
fn through(local: &Local, params: RunParams, values: &[Value]) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let args_json = Some(serde_json::to_string(values).unwrap());
    let params = RunParams { script: Some(script(ECHO)), args_json, max_calls: Some(5000), ..params };
    let (run, end) = local.run_with(&params);
    let output = value(end);
    let list = |v: &Value| v.as_array().unwrap().clone();
    let reparsed: Value = serde_json::from_str(output["text"].as_str().unwrap()).unwrap();
    // What was returned, what is on file and what another reader gets are one value.
    let file = local.place.home().join("runs").join(run.as_str()).join("output.json");
    let filed: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(filed, output);
    let read = local.place.store().run(&run).unwrap().unwrap().outcome.unwrap();
    assert_eq!(read.output, Some(output.clone()));
    (list(&output["args"]), list(&output["answers"]), list(&reparsed))
}

fn texts(values: &[Value]) -> Vec<String> {
    values.iter().map(canonical).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn json_survives_as_args_as_an_answer_and_as_the_returned_value(values in prop::collection::vec(json_value(), 1..60)) {
        let inside = values.clone();
        let provider = Scripted::new(move |request| {
            let index: usize = request.spec.label[1..].parse().unwrap();
            Ok(json!({ "v": inside[index].clone() }))
        });
        let local = Local::with(|o| o.registry = Some(provider.registry()));
        let params = RunParams { provider: Some("scripted".to_owned()), ..RunParams::default() };
        let (args, answers, reparsed) = through(&local, params, &values);
        let want = texts(&values);
        prop_assert_eq!(texts(&args), want.clone());
        prop_assert_eq!(texts(&answers), want.clone());
        prop_assert_eq!(texts(&reparsed), want);
    }

    #[test]
    fn json_survives_a_fixture_file(values in prop::collection::vec(json_value(), 1..40)) {
        let local = Local::new();
        let rule = |(i, v): (usize, &Value)| json!({"match": {"label": format!("v{i}")}, "json": {"v": v}});
        let rules: Vec<Value> = values.iter().enumerate().map(rule).collect();
        local.place.file("f.json", &json!({"owf_fixtures": 1, "rules": rules}).to_string());
        let params = RunParams { fixtures: Some("f.json".to_owned()), ..RunParams::default() };
        let (args, answers, _) = through(&local, params, &values);
        let want = texts(&values);
        prop_assert_eq!(texts(&answers), want.clone());
        prop_assert_eq!(texts(&args), want);
    }

    #[test]
    fn canonical_text_is_the_same_for_what_javascript_cannot_tell_apart(value in json_value()) {
        let text = canonical(&value);
        let again: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(canonical(&again), text);
        prop_assert_eq!(check_domain(&value), Ok(()));
    }
}

#[test]
fn a_value_of_the_greatest_depth_passes_and_a_deeper_one_is_refused_with_its_place() {
    let nested = |depth: usize| (1..depth).fold(json!(1), |v, _| json!([v]));
    let deepest = nested(MAX_DEPTH - 2);
    let provider = Scripted::new(|request| {
        let depth = if request.spec.label == "deep" { MAX_DEPTH + 1 } else { MAX_DEPTH - 1 };
        Ok(json!({"v": (2..depth).fold(json!(1), |v, _| json!([v]))}))
    });
    let local = Local::with(|o| o.registry = Some(provider.registry()));
    let params = RunParams { provider: Some("scripted".to_owned()), ..RunParams::default() };
    let (args, _, _) = through(&local, params.clone(), std::slice::from_ref(&deepest));
    assert_eq!(args, [deepest]);
    let body = "const r = await owf.agent('x', {label: 'deep', schema: {type: 'object'}}); return [r.ok, r.error.class, r.error.message]";
    let (_, end) = local.run_with(&RunParams { script: Some(script(body)), ..params.clone() });
    let seen = value(end);
    assert_eq!((&seen[0], &seen[1]), (&json!(false), &json!("schema")));
    assert!(seen[2].as_str().unwrap().contains("nested deeper than 100 levels"), "{seen}");
    let too_deep =
        RunParams { args_json: Some(nested(MAX_DEPTH + 1).to_string()), script: Some(script("return args")), ..params };
    let refused = local.engine.start(&too_deep, owf::engine::Execution::InProcess { linger_on_approvals: false });
    assert!(refused.unwrap_err().message.contains("nested deeper than 100 levels"));
}

#[test]
fn a_returned_value_of_the_greatest_depth_reads_back_and_a_deeper_one_fails_the_run() {
    let local = Local::new();
    let nest = |depth: usize| format!("let v = 1; for (let i = 1; i < {depth}; i++) v = [v]; return v");
    let (run, end) = local.run(&nest(MAX_DEPTH));
    let want = (1..MAX_DEPTH).fold(json!(1), |v, _| json!([v]));
    assert_eq!(value(end), want);
    assert_eq!(local.place.json(&["output", run.as_str(), "--json"])["output"], want);
    assert_eq!(local.place.json(&["status", run.as_str(), "--json"])["output"], want);
    let (_, end) = local.run(&nest(MAX_DEPTH + 2));
    let error = finished(end).error.unwrap();
    assert_eq!(
        (error.code, error.message.as_str()),
        (
            RunErrorCode::ResultNotJson,
            "the returned value cannot be stored as JSON: the value is nested deeper than 100 levels"
        )
    );
}

/// What a request of a script is hashed from, by name; `fixtures/keys.json` has their texts and hashes.
fn asks() -> Vec<(&'static str, CallKind, Ask)> {
    let schema = json!({"type": "object", "required": ["b", "a"], "properties": {"b": {"type": "number", "minimum": 1.0}, "a": {"const": "ä"}}});
    let plain = |prompt: &str| Ask { prompt: Some(prompt.to_owned()), ..Ask::default() };
    vec![
        ("a prompt", CallKind::Agent, plain("hello")),
        ("an empty prompt", CallKind::Agent, plain("")),
        ("letters beyond ASCII", CallKind::Agent, plain("ä\u{301}😀\u{2028}\n\0")),
        ("a schema", CallKind::Agent, Ask { schema: Some(schema), ..plain("hello") }),
        (
            "model and effort",
            CallKind::Agent,
            Ask { model: Some("opus".to_owned()), effort: Some("high".to_owned()), ..plain("hello") },
        ),
        (
            "scopes",
            CallKind::Agent,
            Ask {
                read_scope: Some(vec!["src".to_owned()]),
                write_scope: Some(vec!["out".to_owned()]),
                ..plain("hello")
            },
        ),
        (
            "system and provider",
            CallKind::Agent,
            Ask { system: Some("be brief".to_owned()), provider: Some("fake".to_owned()), ..plain("hello") },
        ),
    ]
}

/// A script whose calls have keys of every sort; the cache keys of its calls are pinned, too.
const KEYED: &str = "
    await agent('hello');
    await agent('hello');
    await agent('hello', {label: 'other', phase: 'P', timeoutMs: 5000, metadata: {a: 1}});
    await agent('hello', {model: 'opus', effort: 'high', system: 's', cacheNamespace: 'n'});
    await agent('hello', {schema: {type: 'object', properties: {n: {type: 'integer'}}}, provider: 'fake'});
    await agent('hello', {readScope: ['src'], tools: ['Read']});
    await agent('hello', {writeScope: ['out'], onLost: 'rerun'});
    await owf.sleep(1);
    return 1";

#[test]
fn keys_are_those_on_file() {
    let values = [
        json!(null),
        json!([true, false]),
        json!(-0.0),
        json!(1.0),
        json!(1e21),
        json!(1e-7),
        json!(0.1),
        json!(5e-324),
        json!(1_u64 << 60),
        json!({"b": 1, "a": {"\u{10ffff}": 1, "\u{ffff}": 2, "": 3, "__proto__": 4, "10": 5, "9": 6}}),
        json!("\u{0}\u{1f}\u{7f}\"\\/\u{2028}😀"),
    ];
    let canonical: Vec<Value> = values.iter().map(|v| json!([v, canonical(v)])).collect();
    let requests: Vec<Value> = asks()
        .into_iter()
        .map(
            |(name, kind, ask)| json!({"name": name, "text": request_text(kind, &ask), "key": request_key(kind, &ask)}),
        )
        .collect();
    let local = Local::new();
    let (run, end) = local.run(KEYED);
    value(end);
    let mut calls = Vec::new();
    for event in local.journal(&run) {
        match event {
            Event::CallRequested { call_id, key, occurrence, .. } => {
                calls.push(json!({"call": call_id.to_string(), "key": key, "occurrence": occurrence}));
            }
            Event::AttemptStarted { call_id, cache: Some(record), .. } => {
                let call = calls.iter_mut().find(|c| c["call"] == call_id.to_string()).unwrap();
                call["cache"] = json!({"key": record.key, "occurrence": record.occurrence, "parts": record.parts});
            }
            _ => {}
        }
    }
    let now = json!({"canonical": canonical, "requests": requests, "script": KEYED, "calls": calls});
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keys.json");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let on_file: Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(now, on_file, "keys have changed: every cache and every journal would miss. Now:\n{now:#}");
}
