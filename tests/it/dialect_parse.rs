//! The dialect's conformance list as far as it shows before anything runs: grammar, metadata, discovery, hostile input.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use owf::front::script::{
    Bundled, Checked, FindError, Meta, Origin, PhaseMeta, Scope, Severity, check, discover, find,
};
use proptest::prelude::*;

const META: &str = "export const meta = { name: 'n', description: 'd' }";

fn file(text: &str) -> Checked {
    check(text.as_bytes(), &Origin::File(PathBuf::from("x.js")))
}

fn inline(text: &str) -> Checked {
    check(text.as_bytes(), &Origin::Inline)
}

/// Codes of the errors, in order.
fn errors(checked: &Checked) -> Vec<&str> {
    checked.diagnostics.iter().filter(|d| d.severity == Severity::Error).map(|d| d.code.as_str()).collect()
}

/// Codes of the errors of a file with good metadata and this body.
fn body(text: &str) -> Vec<String> {
    let checked = file(&format!("{META}\n{text}"));
    assert_eq!(checked.script.is_some(), errors(&checked).is_empty());
    assert_eq!(checked.meta.as_ref().map(|m| m.name.as_str()), Some("n"), "{text}");
    errors(&checked).into_iter().map(str::to_owned).collect()
}

/// Messages of a file whose metadata is this literal.
fn meta(literal: &str) -> Vec<String> {
    let checked = file(&format!("export const meta = {literal}\n"));
    checked.diagnostics.into_iter().map(|d| d.message).collect()
}

fn with(more: &str) -> String {
    format!("{{ name: 'n', description: 'd', {more} }}")
}

#[test]
fn dialect_01_only_comments_and_a_hash_bang_may_stand_before_meta() {
    for before in ["", "\n\n", "// c\n", "/* a\nb */ ", "#!/usr/bin/env node\n// c\n", "\u{feff}", "\u{feff}#!x\n"] {
        assert_eq!(errors(&file(&format!("{before}{META}"))), [""; 0], "{before:?}");
    }
    for before in ["'use strict'\n", "let a\n", "log('x');", "{}\n", ";", "function f() {}\n"] {
        assert_eq!(errors(&file(&format!("{before}{META}"))), ["meta_not_first"], "{before:?}");
    }
    assert_eq!(errors(&file(&format!("\n#!x\n{META}"))), ["syntax"]);
}

#[test]
fn dialect_02_meta_is_one_const_with_an_object_literal() {
    let object = "{ name: 'n', description: 'd' }";
    for text in [
        format!("export let meta = {object}"),
        format!("export var meta = {object}"),
        format!("export const meta = {object}, b = 1"),
        format!("export const meta = Object.freeze({object})"),
        "export const meta = other".to_owned(),
        "export const meta = null".to_owned(),
        format!("export const meta = {object} && {object}"),
    ] {
        assert_eq!(errors(&file(&text)), ["meta_form"], "{text}");
    }
    for text in ["", "log('x')", "const meta = {}", "// nothing", "export const other = {}"] {
        assert_eq!(errors(&file(text)).first(), Some(&"meta_missing"), "{text}");
    }
    assert_eq!(errors(&file(&format!("export const meta = ({object})"))), [""; 0]);
    assert_eq!(errors(&file(&format!("export const meta = (({object}));"))), [""; 0]);
}

#[test]
fn dialect_03_name_and_description_are_non_empty_strings() {
    assert_eq!(meta("{ description: 'd' }"), ["`meta` has no `name`"]);
    assert_eq!(meta("{ name: 'n' }"), ["`meta` has no `description`"]);
    assert_eq!(meta("{ name: '', description: 'd' }"), ["`name` of `meta` must be a non-empty string"]);
    for value in ["3", "null", "[]", "{}", "``", "true", "-1"] {
        let messages = meta(&format!("{{ name: 'n', description: {value} }}"));
        assert_eq!(messages, ["`description` of `meta` must be a non-empty string"], "{value}");
    }
    let free = file("export const meta = { 'name': `A b/C`, description: \"d\", whenToUse: 'w' }");
    let expected = Meta {
        name: "A b/C".to_owned(),
        description: "d".to_owned(),
        when_to_use: Some("w".to_owned()),
        phases: vec![],
    };
    assert_eq!(free.meta, Some(expected));
}

#[test]
fn dialect_04_meta_holds_literals_only() {
    for more in [
        "...other",
        "[key]: 1",
        "f() {}",
        "get f() { return 1 }",
        "a: 'x' + 'y'",
        "a: x",
        "a: undefined",
        "a: f()",
        "a: `${1}`",
        "a: [1, , 2]",
        "a: [...x]",
        "a: { b: { c: x } }",
        "a",
        "a: +1",
        "a: -x",
        "a: () => 1",
        "a: !0",
        "a: new Date(0)",
        "a: x ? 1 : 2",
        "a: x.y",
        "a: class {}",
        "a: tag`x`",
    ] {
        assert_eq!(errors(&file(&format!("export const meta = {}", with(more)))), ["meta_not_literal"], "{more}");
    }
    let fine = with("a: -1, b: /x/g, c: 10n, d: [[1, ['x']], { e: null }], f: true, 'g h': `t`, 3: 1.5, i: (2)");
    assert_eq!(errors(&file(&format!("export const meta = {fine}"))), [""; 0]);
}

#[test]
fn dialect_05_dangerous_keys_fail() {
    for key in ["__proto__", "'constructor'", "prototype"] {
        for more in [format!("{key}: 1"), format!("a: [{{ {key}: 1 }}]")] {
            let checked = file(&format!("export const meta = {}", with(&more)));
            assert_eq!(errors(&checked), ["meta_not_literal"], "{more}");
        }
    }
}

#[test]
fn dialect_06_unknown_keys_are_ignored_and_phases_are_read_leniently() {
    let phases = "phases: ['a', { detail: 'x' }, { title: 3 }, { title: 'T', detail: 'D', model: 'm', x: 1 }, null, { title: 'U' }]";
    let text = format!("export const meta = {}", with(&format!("model: 'x', extra: {{ a: 1 }}, {phases}")));
    let phase = |title: &str, detail: Option<&str>, model: Option<&str>| PhaseMeta {
        title: title.to_owned(),
        detail: detail.map(str::to_owned),
        model: model.map(str::to_owned),
    };
    let script = file(&text).script.unwrap();
    assert_eq!(script.meta.phases, [phase("T", Some("D"), Some("m")), phase("U", None, None)]);
    for other in ["'x'", "3", "{ title: 'T' }", "null"] {
        let checked = file(&format!("export const meta = {}", with(&format!("phases: {other}"))));
        assert_eq!(checked.script.unwrap().meta.phases, [], "{other}");
    }
}

#[test]
fn dialect_07_meta_is_not_visible_and_only_it_cannot_be_declared_again() {
    for text in ["const meta = 1", "let meta", "var meta", "function meta() {}", "class meta {}"] {
        assert_eq!(body(text), ["syntax"], "{text}");
    }
    for text in [
        "const agent = 1",
        "const args = 2",
        "var phase",
        "function log() {}",
        "let budget, parallel, pipeline, owf",
        "{ const meta = 1 }",
        "const f = (meta) => meta",
        "return typeof meta",
    ] {
        assert_eq!(body(text), [""; 0], "{text}");
    }
    let script = file(&format!("{META}\nreturn typeof meta")).script.unwrap();
    assert_eq!(script.body, format!("{}\nreturn typeof meta", " ".repeat(META.len())));
    let seen = file(&format!("{META}\nlog(meta.name)"));
    assert_eq!(seen.diagnostics[0].code, "meta_not_visible");
}

#[test]
fn dialect_08_return_and_await_stand_anywhere_at_top_level() {
    for text in [
        "",
        "return 1",
        "await 1",
        "if (args) { return await agent('x') }",
        "for (const a of [1]) { await a; return }",
        "for await (const a of []) {}",
        "try { return 1 } finally { await 2 }",
        "l: { return }",
        "using x = null",
    ] {
        assert_eq!(body(text), [""; 0], "{text}");
    }
    assert_eq!(body("function f() { await 1 }"), ["syntax"]);
}

#[test]
fn dialect_09_modules_with_and_typescript_fail_before_anything_starts() {
    for text in [
        "export const b = 1",
        "export default 1",
        "export {}",
        "export * from 'x'",
        "import 'x'",
        "import a from 'x'",
        "await import('x')",
        "log(import.meta.url)",
        "if (0) { import('x') }",
    ] {
        assert_eq!(body(text), ["module_syntax"], "{text}");
    }
    assert_eq!(body("with (Math) {}"), ["syntax"]);
    assert_eq!(body("await using a = null"), ["unsupported"]);
    let checked = file(&format!("{META}\n\nconst files: string[] = []\nconst x = args as any"));
    let found: Vec<_> = checked.diagnostics.iter().map(|d| (d.code.as_str(), d.line, d.column, d.end_column)).collect();
    assert_eq!(found, [("typescript", 3, 12, Some(22)), ("typescript", 4, 16, Some(22))]);
    assert_eq!(checked.diagnostics[0].message, "TypeScript is not supported");
    assert_eq!(checked.diagnostics[0].excerpt, "const files: string[] = []");
    assert_eq!(checked.diagnostics[0].carets(), (11, 10));
    assert_eq!(checked.diagnostics[0].hint.as_deref(), Some("write plain JavaScript: `const files = []`"));
    assert_eq!(checked.diagnostics[1].hint.as_deref(), Some("write plain JavaScript: `const x = args`"));
    for text in
        ["interface A {}", "type A = 1", "enum A { B }", "function f(a?: number) {}", "let a = b!", "f<T>(x as T)"]
    {
        assert!(body(text).iter().all(|code| code == "typescript") && !body(text).is_empty(), "{text}");
    }
}

#[test]
fn dialect_10_a_file_with_byte_order_mark_and_crlf_passes_and_size_is_limited() {
    let text = format!("\u{feff}#!x\r\n{META}\r\nlog('ä')\r\n");
    let script = file(&text).script.unwrap();
    assert_eq!(script.body, format!("   \r\n{}\r\nlog('ä')\r\n", " ".repeat(META.len())));

    let sized = |bytes: usize, unit: &str| format!("{META}\n// {}", unit.repeat((bytes - META.len() - 4) / unit.len()));
    let exact = format!("{META}\n//{}", "x".repeat(524_288 - META.len() - 3));
    assert_eq!(errors(&file(&exact)), [""; 0]);
    assert_eq!(errors(&file(&format!("{exact}x"))), ["too_large"]);
    assert_eq!(errors(&inline(&exact)), [""; 0]);
    assert_eq!(errors(&inline(&format!("{exact}x"))), ["too_large"]);
    // Inline text counts characters, a file bytes.
    let wide = sized(1_000_000, "ä");
    assert_eq!((errors(&file(&wide)), errors(&inline(&wide))), (vec!["too_large"], vec![]));
    assert_eq!(errors(&inline(&"ä".repeat(3_000_000))), ["too_large"]);
    assert_eq!(errors(&inline(&format!("{META}\r\n"))), ["control_character"]);
    assert_eq!(errors(&inline(&format!("\u{feff}{META}\n\tlog('\u{200b}')"))), [""; 0]);
}

#[test]
fn dialect_11_meta_and_body_on_one_line_need_a_semicolon() {
    assert_eq!(errors(&file(&format!("{META} log('x')"))), ["syntax"]);
    assert_eq!(errors(&file(&format!("{META}; log('x')"))), [""; 0]);
    assert_eq!(errors(&file(&format!("{META};;;\n;log('x')"))), [""; 0]);
    let script = file(&format!("{META}; log('x')")).script.unwrap();
    assert_eq!(script.body, format!("{}log('x')", " ".repeat(META.len() + 2)));
}

#[test]
fn dialect_12_clock_and_chance_are_refused_inline_only() {
    for text in ["const f = Date.now", "if (false) { new Date() }", "const f = () => Math.random()", "new Date"] {
        let text = format!("{META}\n{text}");
        assert_eq!(errors(&inline(&text)), ["nondeterministic"], "{text}");
        let of_file = file(&text);
        assert!(of_file.script.is_some() && of_file.diagnostics[0].severity == Severity::Warning, "{text}");
    }
    for text in [
        "// Date.now()",
        "log('Math.random()')",
        "log(`new Date()`)",
        "const f = o => o.Math.random()",
        "Date['now']()",
        "globalThis.Date.now()",
        "new Date(0)",
        "Date.parse('x')",
        "Math.max(1)",
        "const f = x => x instanceof Date",
    ] {
        assert_eq!(errors(&inline(&format!("{META}\n{text}"))), [""; 0], "{text}");
    }
}

fn put(path: &Path, name: &str) -> PathBuf {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("export const meta = {{ name: '{name}', description: 'd' }}")).unwrap();
    path.to_owned()
}

#[test]
fn dialect_45_a_name_is_looked_up_exactly_and_an_unknown_one_lists_what_exists() {
    let dir = tempfile::tempdir().unwrap();
    let path = put(&dir.path().join(".claude/workflows/file-name.js"), "Deep Review");
    put(&dir.path().join(".claude/workflows/other.js"), "audit");
    assert_eq!(find("Deep Review", dir.path(), None, &[]).unwrap().path, path);
    for name in ["deep review", "Deep", "file-name", "Deep Review "] {
        let error = find(name, dir.path(), None, &[]).unwrap_err();
        let FindError::NotFound { nearest, .. } = error else { panic!("{error}") };
        assert_eq!(nearest.len(), 2, "{name}");
    }
    let error = find("Audit", dir.path(), None, &[]).unwrap_err();
    let nearest = vec!["audit".to_owned(), "Deep Review".to_owned()];
    assert_eq!(error, FindError::NotFound { name: "Audit".to_owned(), nearest, broken: vec![] });
}

#[test]
fn dialect_54_the_nearest_project_directory_beats_the_user_who_beats_the_built_in() {
    let dir = tempfile::tempdir().unwrap();
    let (root, home) = (dir.path().join("repo"), dir.path().join("home"));
    std::fs::create_dir_all(root.join(".git")).unwrap();
    let bundled = [Bundled { name: "w", source: "export const meta = { name: 'w', description: 'd' }" }];
    let deep = root.join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    let scope = |from: &Path| find("w", from, Some(&home), &bundled).unwrap();
    assert_eq!(scope(&deep).scope, Scope::Bundled);
    let user = put(&home.join(".claude/workflows/w.js"), "w");
    assert_eq!(scope(&deep).path, user);
    let top = put(&root.join(".claude/workflows/w.js"), "w");
    assert_eq!(scope(&deep).path, top);
    let near = put(&root.join("a/.claude/workflows/w.js"), "w");
    let found = scope(&deep);
    assert_eq!((found.path, found.shadows), (near, vec![top.clone(), user, PathBuf::from("bundled:w")]));
    assert_eq!(scope(&root).path, top);

    put(&root.join(".claude/workflows/sub/deeper.js"), "deeper");
    put(&root.join(".claude/workflows/module.mjs"), "module");
    for name in ["deeper", "module"] {
        assert!(find(name, &root, Some(&home), &bundled).is_err(), "{name}");
    }
    let listed: Vec<String> = discover(&root, Some(&home), &bundled).into_iter().map(|f| f.name).collect();
    assert_eq!(listed, ["module.mjs", "w"]);
}

#[test]
fn bytes_that_are_no_text_are_diagnostics() {
    let of = |bytes: &[u8]| {
        let checked = check(bytes, &Origin::Inline);
        checked.diagnostics.iter().map(|d| (d.code.clone(), d.line, d.column)).collect::<Vec<_>>()
    };
    assert_eq!(of(b"ab\n\xff"), [("not_utf8".to_owned(), 2, 1)]);
    assert_eq!(of(format!("{META}\nlog('\0')").as_bytes()), [("control_character".to_owned(), 2, 6)]);
    assert_eq!(of(format!("{META}\nlog('\u{1b}')").as_bytes()), [("control_character".to_owned(), 2, 6)]);
}

#[test]
fn what_nests_too_deep_is_a_diagnostic_and_what_just_fits_is_parsed() {
    for unit in [
        "(",
        "[",
        "{",
        "{a:",
        "!",
        "- ",
        "a+",
        "a.b.",
        "f(",
        "x=>",
        "a?b:",
        "a?",
        "typeof ",
        "await ",
        "if(1)",
        "if(1){}else ",
        "a:",
        "x=",
        "`${",
        "new ",
        "do ",
        "for(;;)",
        "()=>{",
        "a**",
        "function f(){",
        "class A{a(){",
        "class A extends ",
        "try{",
        "switch(1){case 1:",
        "async()=>{",
        "[...",
        "({...",
        "let[",
        "({a=",
        "a,",
        "a??",
        "x=y=>",
        "f`",
        "(a=",
        "async(",
        "a[",
        "a?.[",
        "/(",
        "a<",
        "<T>",
        "as any ",
        "import(",
    ] {
        for count in [100_000, 20_000, 4_100, 3_900, 1_950, 1_300, 950] {
            let text = format!("{META}\n{}", unit.repeat(count));
            let checked = file(&text);
            if count == 100_000 {
                assert!(!checked.diagnostics.is_empty(), "{unit}");
            }
        }
    }
    // Whole programs, so that every later step sees them too.
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "", "]"),
        ("{", "", "}"),
        ("f(", "", ")"),
        ("!", "1", ""),
        ("1+", "1", ""),
        ("x=>", "1", ""),
        ("()=>{", "", "}"),
        ("if(1)", ";", ""),
        ("1?1:", "1", ""),
        ("`${", "1", "}`"),
        ("({a:", "1", "})"),
        ("if(1){}else ", ";", ""),
        ("await ", "1", ""),
        ("(function(){", "", "})"),
        ("items.map(x=>", "1", ")"),
        ("parallel([()=>", "1", "])"),
        ("a.", "a", ""),
        ("class extends ", "A", "{}"),
        ("agent('x',{schema:", "1", "})"),
        ("args??", "args", ""),
        ("'a'+", "'a'", ""),
        ("a=", "1", ""),
    ] {
        for count in [3_900, 1_950, 1_300, 900, 600] {
            let text = format!("{META}\nlet a, f, items; ({}{middle}{})", open.repeat(count), close.repeat(count));
            let statements = format!("{META}\nlet a, f, items; {}{middle}{}", open.repeat(count), close.repeat(count));
            for text in [text, statements] {
                let checked = file(&text);
                assert_eq!(checked.script.is_some(), errors(&checked).is_empty());
            }
        }
    }
    let parentheses = format!("{META}\n{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(errors(&file(&parentheses)), ["too_deep"]);
    let operators = format!("{META}\nreturn 1{}", "+1".repeat(20_000));
    assert_eq!(errors(&file(&operators)), ["too_deep"]);
    let lines = format!("{META}\nreturn [\n{}].join('')", "  'a' + 'b',\n".repeat(20_000));
    assert_eq!(errors(&file(&lines)), [""; 0]);
}

/// Pieces that make syntactically interesting texts.
fn piece() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "`",
        "${",
        "'",
        "\"",
        "/",
        "//",
        "/*",
        "*/",
        "\\",
        "\n",
        "\r",
        "\u{2028}",
        ";",
        ",",
        ".",
        "?.",
        "=>",
        "=",
        "+",
        "-",
        "!",
        "<",
        ">",
        ":",
        "?",
        "...",
        "#",
        "@",
        "0",
        "1n",
        "0x",
        "a",
        "args",
        "agent",
        "meta",
        "export ",
        "const ",
        "import ",
        "await ",
        "async ",
        "function ",
        "class ",
        "return ",
        "new ",
        "if",
        "for",
        "of ",
        "in ",
        "typeof ",
        "yield ",
        "as ",
        "type ",
        "interface ",
        "enum ",
        "parallel",
        ".map",
        ".filter(Boolean)",
        "label",
        "schema",
        "owf",
        "Date",
        ".now",
        "é",
        "😀",
        "\u{feff}",
        META,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let checked = check(&bytes, &Origin::Inline);
        prop_assert_eq!(checked.script.is_some(), checked.errors().next().is_none());
    }

    #[test]
    fn any_tokens_give_an_answer_whose_positions_lie_in_the_text(pieces in proptest::collection::vec(piece(), 0..60)) {
        let text = format!("{META}\n{}", pieces.concat());
        let checked = file(&text);
        prop_assert_eq!(checked.script.is_some(), checked.errors().next().is_none());
        for found in &checked.diagnostics {
            let (skip, width) = found.carets();
            prop_assert!(skip <= found.excerpt.chars().count() && width >= 1);
            prop_assert!(found.line >= 1 && found.column >= 1 && !found.message.is_empty());
        }
        if let Some(script) = checked.script {
            prop_assert_eq!(script.body.chars().count(), text.trim_start_matches('\u{feff}').chars().count());
        }
    }
}

#[test]
fn a_text_that_is_one_long_line_of_findings_is_checked_in_bounded_time() {
    let started = std::time::Instant::now();
    for unit in ["agent();", "import.meta;", "ä.x=1;", "agent('é', { lable: 1 });", "new Date;", "a1=1;"] {
        let checked = inline(&format!("{META};{}", unit.repeat(80_000 / unit.len())));
        assert!(!checked.diagnostics.is_empty() && checked.diagnostics.len() <= 50, "{unit}");
    }
    let many = (0..10_000).map(|n| format!("x{n}();")).collect::<Vec<_>>().concat();
    assert!(inline(&format!("{META};{many}")).script.is_some());
    // Generous for a slow machine; work that grows with the square of the line would not fit.
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}
