//! What checking says about scripts that parse: lints, and the facts that are read off without running.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use owf::core::call::WorkflowTarget;
use owf::front::script::{FanOutKind, FanOutSize, Origin, Script, Severity, check};

const META: &str = "export const meta = { name: 'n', description: 'd' }\n";

/// Severity, code, line and column of everything found; the body begins on line 2.
fn found(body: &str) -> Vec<(Severity, String, u32, u32)> {
    let checked = check(format!("{META}{body}").as_bytes(), &Origin::File(PathBuf::from("x.js")));
    checked.diagnostics.into_iter().map(|d| (d.severity, d.code, d.line, d.column)).collect()
}

fn one(body: &str, severity: Severity, code: &str, line: u32, column: u32) {
    assert_eq!(found(body), [(severity, code.to_owned(), line, column)], "{body}");
}

fn hint(body: &str) -> String {
    let checked = check(format!("{META}{body}").as_bytes(), &Origin::Inline);
    checked.diagnostics.into_iter().find_map(|d| d.hint).unwrap()
}

fn script(body: &str) -> Script {
    check(format!("{META}{body}").as_bytes(), &Origin::Inline).script.unwrap()
}

#[test]
fn the_example_of_the_surface_reads_as_it_is_shown() {
    let body = "\
phase('Scan')
const scan = await agent('list the files', { label: 'scan', schema: S })
const files = scan.files
phase('Review')
const S = { type: 'object' }
const reviews = await parallel(
  files.map(f => () =>
    agent(`review ${f} against ${args.base}`, { label: `review:${f}`, phase: 'Review' })))
const found = reviews
  .filter(Boolean).flatMap(r => r.findings);
for (const x of found) await agent('verify', { label: 'verify:' + x.id })
return found";
    let checked = check(format!("{META}{body}").as_bytes(), &Origin::Inline);
    let note = &checked.diagnostics[0];
    assert_eq!((checked.diagnostics.len(), note.severity, note.code.as_str()), (1, Severity::Note, "nulls_dropped"));
    assert_eq!((note.line, note.column, note.excerpt.as_str()), (11, 3, ".filter(Boolean).flatMap(r => r.findings);"));
    let script = checked.script.unwrap();
    let sites: Vec<_> =
        script.sites.iter().map(|s| (s.line, s.column, s.label.as_deref(), s.schema, s.in_fan_out)).collect();
    assert_eq!(
        sites,
        [
            (3, 20, Some("scan"), true, None),
            (9, 5, Some("review:*"), false, Some(0)),
            (12, 30, Some("verify:*"), false, Some(1))
        ]
    );
    let fan_outs: Vec<_> = script.fan_outs.iter().map(|f| (f.line, f.kind, f.over.as_str(), f.size)).collect();
    assert_eq!(
        fan_outs,
        [(8, FanOutKind::Callback, "files", FanOutSize::Open), (12, FanOutKind::Loop, "found", FanOutSize::Open)]
    );
    assert_eq!(script.args_read, ["base"]);
    assert_eq!((script.site_at(9, 10), script.site_at(12, 30), script.site_at(1, 1)), (Some(1), Some(2), None));
}

#[test]
fn names_that_do_not_exist_are_warned_about_once_with_what_to_do() {
    one("await fetch('x'); fetch('y')", Severity::Warning, "undeclared", 2, 7);
    one("try { await fetch('x') } catch {}", Severity::Note, "undeclared", 2, 13);
    one("agnet('x')", Severity::Warning, "undeclared", 2, 1);
    one("x = 1", Severity::Warning, "undeclared", 2, 1);
    assert!(hint("agnet('x')").contains("`agent`"));
    assert!(hint("require('fs')").contains("no modules"));
    for body in [
        "if (typeof process !== 'undefined') log(process.env.X)",
        "new URL('http://x')",
        "globalThis.x?.y",
        "const fetch = () => 1; fetch()",
        "function f() { return later } const later = 1",
        "new Float16Array(1)",
        "owf.state.x = 1",
        "await owf.sleep(1)",
        "console.warn('x')",
        "Iterator.from([])",
    ] {
        assert_eq!(found(body), [], "{body}");
    }
    one("console.table([])", Severity::Warning, "console_method", 2, 1);
    one("await owf.aprove({})", Severity::Warning, "owf_member", 2, 7);
    one("eval('1')", Severity::Warning, "eval", 2, 1);
    one("new Function('return 1')", Severity::Warning, "eval", 2, 1);
}

#[test]
fn options_with_typing_errors_are_warned_about() {
    one("await agent('x', { timeoutMS: 1 })", Severity::Warning, "unknown_option", 2, 20);
    assert_eq!(hint("await agent('x', { timeoutMS: 1 })"), "did you mean `timeoutMs`?");
    assert_eq!(hint("const o = { lable: 'x' }; await owf.agent('x', o)"), "did you mean `label`?");
    assert_eq!(hint("await agent('x', { systemPrompt: 'x' })"), "did you mean `system`?");
    assert_eq!(hint("await owf.parallel([], { fail_fast: true })"), "did you mean `failFast`?");
    for body in [
        "await agent('x', { label: 'a', customThing: 1, note: 2 })",
        "await agent('x', { timeout: 1, timeoutMs: 2 })",
        "const agent = (a, b) => b; agent('x', { lable: 1 })",
    ] {
        assert_eq!(found(body), [], "{body}");
    }
}

#[test]
fn schemas_must_have_an_object_at_the_root() {
    for schema in ["{ type: 'array' }", "{}", "{ anyOf: [] }", "[]", "'x'", "true", "{ type: ['object', 'null'] }"] {
        one(&format!("await agent('x', {{ schema: {schema} }})"), Severity::Warning, "schema_root", 2, 28);
    }
    for body in [
        "await agent('x', { schema: { type: 'object' } })",
        "await agent('x', { schema: null })",
        "const base = args; await agent('x', { schema: { ...base } })",
        "await agent('x', { schema: args.schema })",
        "const S = { type: 'object', properties: {} }; await agent('x', { schema: S })",
    ] {
        assert_eq!(found(body), [], "{body}");
    }
}

#[test]
fn promises_where_functions_are_expected_are_warned_about() {
    one("await parallel([agent('a'), () => agent('b')])", Severity::Warning, "not_thunks", 2, 17);
    one("await parallel([1].map(x => agent(x)))", Severity::Warning, "not_thunks", 2, 24);
    one("await parallel([1].map(async x => { await agent(x) }))", Severity::Warning, "not_thunks", 2, 24);
    one("const t = [1].map(x => agent(x)); await parallel(t)", Severity::Warning, "not_thunks", 2, 19);
    one("await parallel(() => agent('a'), () => agent('b'))", Severity::Warning, "not_an_array", 2, 16);
    one("await pipeline([1], [x => x])", Severity::Warning, "stage_not_function", 2, 21);
    one("agent('x')", Severity::Note, "unawaited", 2, 1);
    one("await agent()", Severity::Warning, "no_prompt", 2, 7);
    for body in [
        "await parallel([1].map(x => () => agent(x)))",
        "await parallel([() => agent('a')])",
        "const p = agent('x'); await p",
        "await Promise.all([1].map(x => agent(x)))",
        "await pipeline([agent('x')], x => x)",
        "void agent('x')",
        "await parallel([1].map(x => async () => { await agent(x) }))",
        "'a b'.split(' ').filter(Boolean)",
        "return agent('x')",
        "const f = async x => agent(x); await f(1)",
    ] {
        assert_eq!(found(body), [], "{body}");
    }
}

#[test]
fn properties_of_args_are_found_however_they_are_read() {
    let cases: [(&str, &[&str]); 8] = [
        ("log(args.a, args?.b, args['c'], args.a)", &["a", "b", "c"]),
        ("const { a, b: c = 1, ...rest } = args ?? {}", &["a", "b"]),
        ("const input = typeof args === 'string' ? JSON.parse(args) : args\nlog(input.a)", &["a"]),
        ("const o = { x: 1, ...args }; log(o.y)", &["y"]),
        ("let o = {}; o = args || {}; log(o.z); ({ w: o.q } = args)", &["z", "w"]),
        ("args.map(x => x); log(args.length); args.filter", &["filter"]),
        ("const args = { a: 1 }; log(args.a)", &[]),
        ("if ('k' in args) log('x')", &["k"]),
    ];
    for (body, expected) in cases {
        assert_eq!(script(body).args_read, expected, "{body}");
    }
}

#[test]
fn fan_outs_say_what_they_go_over_also_through_functions() {
    let sizes = |body: &str| -> Vec<(String, FanOutSize, Option<usize>)> {
        script(body).fan_outs.into_iter().map(|f| (f.over, f.size, f.parent)).collect()
    };
    let one = |over: &str, size| vec![(over.to_owned(), size, None)];
    let cases = [
        (
            "const review = f => agent(f)\nawait parallel(args.files.map(f => () => review(f)))",
            one("args.files", FanOutSize::Args),
        ),
        (
            "async function go(x) { await agent(x) }\nfor (const x of ['a', 'b']) await go(x)",
            one("['a', 'b']", FanOutSize::Fixed(2)),
        ),
        ("const L = ['a', 'b', 'c']\nawait parallel(L.map(x => () => agent(x)))", one("L", FanOutSize::Fixed(3))),
        (
            "await pipeline(items(), x => agent(x), y => agent(y)); function items() { return [] }",
            one("items()", FanOutSize::Open),
        ),
        ("while (budget.remaining() > 1) await agent('x')", one("budget.remaining() > 1", FanOutSize::Open)),
        ("for (let i = 0; i < 4; i++) await agent('x')", one("i < 4", FanOutSize::Fixed(4))),
        (
            "await parallel(Array.from({ length: 5 }, (_, i) => () => agent(`${i}`)))",
            one("{ length: 5 }", FanOutSize::Fixed(5)),
        ),
        (
            "const { files = [] } = args\nawait parallel(files.slice(0, 9).map(f => () => agent(f)))",
            one("files.slice(0, 9)", FanOutSize::Args),
        ),
        ("await parallel([() => agent('a'), () => agent('b')]); [1].map(x => x)", vec![]),
        ("function f() { g() } function g() { f(); agent('x') } f()", vec![]),
    ];
    for (body, expected) in cases {
        assert_eq!(sizes(body), expected, "{body}");
    }
    let nested = "for (const a of x()) { await parallel(a.map(b => () => agent(b))) } function x() { return [] }";
    assert_eq!(
        sizes(nested),
        [("x()".to_owned(), FanOutSize::Open, None), ("a".to_owned(), FanOutSize::Open, Some(0))]
    );
}

#[test]
fn what_calls_name_literally_is_listed() {
    let script = script(
        "const codex = 'codex', base = { provider: 'claude', model: 'opus' }\n\
         await agent('a', { ...base, agentType: 'Explore' })\n\
         await owf.agent('b', { provider: codex, label: args.x })\n\
         await agent('c', base)\n\
         await workflow('child', {}); await workflow({ scriptPath: './x.js' }); await workflow(args.w)",
    );
    assert_eq!(script.providers_named, ["claude", "codex"]);
    assert_eq!((script.models_named, script.agent_types_named), (vec!["opus".to_owned()], vec!["Explore".to_owned()]));
    let targets = [WorkflowTarget::Name("child".to_owned()), WorkflowTarget::Path("./x.js".to_owned())];
    assert_eq!(script.workflows_named, targets);
    assert_eq!(script.sites.iter().map(|s| s.label.clone()).collect::<Vec<_>>(), [None, None, None]);
}

#[test]
fn everything_is_reported_at_once_in_source_order() {
    let text =
        "export const meta = { name: '', description: 1 }\nimport 'x'\nlet a; let a\nconst b: string = ''\nDate.now()";
    let checked = check(text.as_bytes(), &Origin::Inline);
    let lines: Vec<(u32, String)> = checked.diagnostics.into_iter().map(|d| (d.line, d.code)).collect();
    let expected = [
        (1, "meta_field"),
        (1, "meta_field"),
        (2, "module_syntax"),
        (3, "syntax"),
        (4, "typescript"),
        (5, "nondeterministic"),
    ];
    assert_eq!(lines, expected.map(|(line, code)| (line, code.to_owned())));
}

#[test]
fn values_of_options_that_mean_nothing_are_said() {
    for (options, column) in [
        ("isolation: 'worktre'", 38),
        ("isolation: 'docker'", 38),
        ("isolation: 'remote'", 38),
        ("effort: 'hgih'", 35),
        ("timeoutMs: 'abc'", 38),
        ("timeoutMs: 0", 38),
    ] {
        let body = format!("return await agent('p', {{ {options} }})");
        one(&body, Severity::Warning, "option_value", 2, column);
    }
    for good in [
        "isolation: 'worktree', effort: 'xhigh', timeoutMs: 60_000",
        "isolation: args.how, effort: args.e, timeoutMs: args.t",
    ] {
        assert_eq!(found(&format!("return await agent('p', {{ {good} }})")), [], "{good}");
    }
}
