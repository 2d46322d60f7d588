//! Large and deep inputs: scripts, prompts and values at their limits pass unharmed, beyond them is a diagnostic.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use owf::core::event::Event;
use serde_json::{Value, json};

use crate::robust_local::script;
use crate::support::cli::{Place, Printed};

/// Text of `bytes` bytes with letters of one to four bytes, line ends and quotes, no two lines alike.
fn long_text(bytes: usize) -> String {
    let mut out = String::new();
    let mut line = 0;
    while out.len() < bytes {
        writeln!(out, "{line}\t\"é\" 漢字 😀 \\ ' `${{x}}` </script> \u{2028} \0 end").unwrap();
        line += 1;
    }
    while out.len() > bytes {
        out.pop();
    }
    while out.len() < bytes {
        out.push('.');
    }
    out
}

#[test]
fn a_script_of_485_kilobytes_parses_and_runs() {
    let place = Place::new();
    let mut body = String::new();
    let mut n = 0;
    while body.len() < 484_800 {
        writeln!(body, "const value{n} = {{ name: 'item {n}', list: [1, 2, {n}], f: x => x + {n} }} // filler é")
            .unwrap();
        n += 1;
    }
    write!(body, "return [value{}.f(1), await agent(value0.name, {{label: 'x'}}) !== null]", n - 1).unwrap();
    let text = script(&body);
    assert!((484_000..=524_288).contains(&text.len()), "{}", text.len());
    place.file("big.js", &text);
    assert_eq!(place.json(&["validate", "big.js", "--json"])["ok"], true);
    let view = place.json(&["run", "big.js", "--no-input", "--json"]);
    assert_eq!(view["output"], json!([n, true]));
    let run = view["run_id"].as_str().unwrap();
    let pinned = std::fs::read_to_string(place.home().join("runs").join(run).join("source.js")).unwrap();
    assert!(pinned == text, "the pinned source is another");
    let over = text + &" ".repeat(524_288);
    place.file("over.js", &over);
    let refused = place.owf(&["validate", "over.js", "--json"]);
    let shown = refused.json().to_string();
    assert!(refused.code == 2 && shown.contains("524288"), "{}", &shown[..shown.len().min(500)]);
}

#[test]
fn a_prompt_of_250_kilobytes_and_a_value_of_a_megabyte_pass_unharmed() {
    let place = Place::new();
    let prompt = long_text(250_000);
    let answer = long_text(1_000_000);
    place.file(
        "big.js",
        &script("const answer = await agent(args.prompt, {label: 'big'}); return {answer, prompt: args.prompt}"),
    );
    place.file("args.json", &json!({ "prompt": prompt }).to_string());
    let fixtures = json!({"owf_fixtures": 1, "rules": [{"match": {"label": "big", "prompt": prompt[..100]}, "text": answer.replace("${x}", "x")}]});
    let answer = answer.replace("${x}", "x");
    place.file("f.json", &fixtures.to_string());
    // A command line holds no more than 128 KB an argument: what is longer comes in pieces here, as it would from a program.
    let halves: Vec<String> = prompt.lines().map(|l| format!("{l}\n")).collect();
    let (one, two) = halves.split_at(halves.len() / 3);
    let (two, three) = two.split_at(two.len() / 2);
    let mut three = three.concat();
    if !prompt.ends_with('\n') {
        three.pop();
    }
    let parts = [one.concat(), two.concat(), three].map(|p| p.replace('\0', "\\0"));
    let joined = "const p = (args.a + args.b + args.c).replaceAll('\\\\0', '\\0'); const answer = await agent(p, {label: 'big'}); return {answer, prompt: p}";
    place.file("big.js", &script(joined));
    let [a, b, c] = parts;
    let view = place.owf(&[
        "run",
        "big.js",
        "--fixtures",
        "f.json",
        "--no-input",
        "--json",
        "--quiet",
        "--arg",
        &format!("a={a}"),
        "--arg",
        &format!("b={b}"),
        "--arg",
        &format!("c={c}"),
    ]);
    assert_eq!(view.code, 0, "{}", &view.err);
    let view = view.json();
    let run = view["run_id"].as_str().unwrap().to_owned();
    let want = json!({"answer": answer, "prompt": prompt});
    assert!(view["output"] == want, "the view");
    assert!(place.json(&["output", &run, "--json"])["output"] == want, "the output");
    assert!(place.owf(&["output", &run, "/answer"]).out == format!("{answer}\n"), "the output as text");
    assert!(place.owf(&["cat", &format!("{run}/c0001"), "--prompt"]).out == prompt, "the prompt by cat");
    assert!(place.owf(&["cat", &format!("{run}/c0001")]).out == answer, "the answer by cat");
    let dir = place.home().join("runs").join(&run);
    let read = |path: &str| std::fs::read_to_string(dir.join(path)).unwrap();
    assert!(serde_json::from_str::<Value>(&read("output.json")).unwrap() == want, "output.json");
    assert!(read("calls/c0001/prompt.txt") == prompt, "prompt.txt");
    assert!(read("calls/c0001/output.txt") == answer, "output.txt");
    let mut in_journal = Vec::new();
    for record in place.store().events(&run.parse().unwrap(), 0, 1000).unwrap() {
        match record.event {
            Event::CallRequested { spec, .. } => in_journal.push(json!(spec.ask.prompt)),
            Event::CallFinished { outcome, .. } => in_journal.push(outcome.value.unwrap()),
            Event::RunFinished { outcome } => in_journal.push(outcome.output.unwrap()),
            _ => {}
        }
    }
    assert!(in_journal == [json!(prompt), json!(answer), want], "the journal");
    // And by a replay, to the byte.
    let again = place.json(&["resume", &run, "--no-input", "--json", "--quiet"]);
    assert!(again["output"]["answer"] == json!(answer), "the reused answer");
    assert_eq!(again["counts"]["replayed"], 1);
}

fn validate(place: &Place, body: &str) -> Printed {
    place.file("deep.js", &script(body));
    place.owf(&["validate", "deep.js", "--json"])
}

#[test]
fn what_is_nested_or_chained_without_end_is_a_diagnostic_of_the_real_program() {
    let place = Place::new();
    let deep = |open: &str, middle: &str, close: &str, n: usize| {
        format!("return {}{middle}{}", open.repeat(n), close.repeat(n))
    };
    let cases = [
        ("parentheses", deep("(", "1", ")", 100_000)),
        ("parentheses that never close", deep("(", "1", "", 100_000)),
        ("lists", deep("[", "", "]", 100_000)),
        ("objects", deep("{a:", "1", "}", 50_000)),
        ("functions", deep("(() => ", "1", ")", 40_000)),
        ("templates", deep("`${", "1", "}`", 50_000)),
        ("blocks", format!("{}{}", "{".repeat(100_000), "}".repeat(100_000))),
        ("ifs", format!("{}1", "if (1) ".repeat(50_000))),
        ("elses", format!("{}1", "if (0) 1; else ".repeat(30_000))),
        ("additions", format!("return 1{}", " + 1".repeat(20_000))),
        ("additions of text", format!("return ''{}", " + 'x'".repeat(20_000))),
        ("powers", format!("return 1{}", " ** 1".repeat(20_000))),
        ("logic", format!("return 1{}", " && 1".repeat(20_000))),
        ("ternaries", format!("return 1{}", " ? 1 : 1".repeat(20_000))),
        ("commas", format!("return (1{})", ", 1".repeat(20_000))),
        ("members", format!("return args{}", ".a".repeat(20_000))),
        ("calls", format!("return args{}", "()".repeat(20_000))),
        ("negations", format!("return {}1", "!".repeat(100_000))),
        ("minuses", format!("return {}1", "- ".repeat(100_000))),
        ("assignments", format!("let a; {}1", "a = ".repeat(20_000))),
        ("arrows", format!("return {}1", "a => ".repeat(20_000))),
        ("awaits", format!("return {}1", "await ".repeat(20_000))),
        (
            "labels",
            (0..20_000).fold(String::new(), |mut out, i| {
                write!(out, "l{i}: ").unwrap();
                out
            }) + "1",
        ),
        ("a pattern", format!("return /{}{}/", "(".repeat(50_000), ")".repeat(50_000))),
    ];
    for (name, body) in cases {
        let printed = validate(&place, &body);
        // A chain that is no deeper for the parser may as well be fine; what may not be is a crash.
        assert!(matches!(printed.code, 0 | 2), "{name}: code {}, {}", printed.code, &printed.err);
        let view = printed.json();
        let found = view["diagnostics"].as_array().unwrap();
        assert_eq!(view["ok"], printed.code == 0, "{name}");
        for finding in found {
            let text = finding["message"].as_str().unwrap();
            assert!(!text.is_empty() && text.len() < 500, "{name}: {text}");
            assert!(finding["excerpt"].as_str().is_none_or(|e| e.len() < 500), "{name}");
        }
        if name.starts_with("parentheses") || name == "additions" {
            assert_eq!(printed.code, 2, "{name}");
            assert!(found[0]["line"].as_u64().is_some_and(|l| l >= 1), "{name}: {found:?}");
        }
        // What validates also runs to an end of its own.
        if printed.code == 0 {
            let run = place.owf(&["run", "deep.js", "--no-input", "--json", "--quiet"]);
            assert!(matches!(run.code, 0 | 1), "{name}: {run:?}");
        }
    }
}

#[test]
fn bytes_that_are_no_script_and_no_fixture_file_are_refused_by_the_real_program() {
    let place = Place::new();
    place.file("ok.js", &script("return await agent('x')"));
    let junk: [&[u8]; 8] = [
        b"",
        b"\0\0\0\0",
        &[0xff, 0xfe, 0x00, 0xd8],
        b"\x7fELF\x02\x01\x01",
        "\u{feff}\u{feff}".as_bytes(),
        b"---\n&a [*a, *a]\n",
        b"owf_fixtures: 1\nrules: !!binary aGVsbG8=\n",
        b"{\"owf_fixtures\": 1, \"rules\": [[[[[[[[",
    ];
    for bytes in junk {
        std::fs::write(place.path().join("junk.js"), bytes).unwrap();
        let validated = place.owf(&["validate", "junk.js", "--json"]);
        assert_eq!(validated.code, 2, "{bytes:?}: {validated:?}");
        validated.json();
        let run = place.owf(&["run", "junk.js", "--json"]);
        assert_eq!((run.code, &run.json()["error"]["code"]), (2, &json!("invalid_workflow")), "{bytes:?}");
        std::fs::write(place.path().join("junk.yaml"), bytes).unwrap();
        let fixed = place.owf(&["run", "ok.js", "--fixtures", "junk.yaml", "--json"]);
        assert_eq!(fixed.code, 2, "{bytes:?}: {fixed:?}");
        assert!(fixed.json()["error"]["message"].is_string());
    }
    let bomb = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |mut out, i| {
        writeln!(out, "a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 9].join(", ")).unwrap();
        out
    });
    place.file("bomb.yaml", &format!("owf_fixtures: 1\n{bomb}"));
    let refused = place.owf(&["run", "ok.js", "--fixtures", "bomb.yaml", "--json"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(
        !place.home().join("runs").exists() || std::fs::read_dir(place.home().join("runs")).unwrap().next().is_none()
    );
}
