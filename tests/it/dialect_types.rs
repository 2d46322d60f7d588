//! skill/owf/owf.d.ts declares what a script really finds: no more and no less.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use crate::support::script_harness::{run, value_of};

const DECLARED: &str = include_str!("../../skill/owf/owf.d.ts");
const PRELUDE: &str = include_str!("../../src/front/script/sandbox/prelude.js");

type Names = BTreeSet<String>;

fn names<'a>(list: impl IntoIterator<Item = &'a str>) -> Names {
    list.into_iter().map(str::to_owned).collect()
}

/// The text between `start` and the next line that is `end`.
fn block<'a>(start: &str, end: &str) -> Vec<&'a str> {
    let (_, after) = DECLARED.split_once(start).unwrap_or_else(|| panic!("no `{start}` in owf.d.ts"));
    after.lines().skip(1).take_while(|line| *line != end).collect()
}

/// The word a declaration begins with: `label?: string` gives `label`.
fn word(line: &str) -> String {
    line.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Members of a block, which stand at `indent` spaces; `readonly`, `function`, `const` and `static` are no names.
fn members(lines: &[&str], indent: usize) -> Names {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let plain = lines.iter().filter(|line| depth(line) == indent).map(|line| line.trim());
    plain
        .map(|line| {
            ["readonly ", "function ", "const ", "static "].iter().find_map(|w| line.strip_prefix(w)).unwrap_or(line)
        })
        .map(word)
        .filter(|name| !name.is_empty())
        .collect()
}

fn keys_of(expression: &str) -> Names {
    let value = value_of(&format!("return Object.keys({expression})"));
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_names_under_owf_are_those_declared() {
    let lines = block("declare namespace owf {", "}");
    let mut declared = members(&lines, 2);
    // Types have no value.
    declared.retain(|name| name != "interface" && name != "type");
    assert_eq!(declared, keys_of("owf"));
    assert_eq!(members(&block("  const budget: {", "  };"), 4), keys_of("owf.budget"));
    for account in ["tokens", "cost", "calls"] {
        assert_eq!(keys_of(&format!("owf.budget.{account}")), names(["total", "spent", "remaining"]));
    }
}

#[test]
fn the_globals_are_those_declared() {
    let mut declared = names(["owf"]);
    for line in DECLARED.lines() {
        for kind in ["declare function ", "declare const ", "declare class "] {
            declared.extend(line.strip_prefix(kind).map(word));
        }
    }
    let mut found = keys_of("globalThis");
    // Part of the language; `URL` does not show among the keys.
    assert!(found.remove("Date"));
    found.insert("URL".to_owned());
    assert_eq!(declared, found);
    assert_eq!(value_of("return typeof URL"), "function");
    assert_eq!(members(&block("declare const budget: {", "};"), 2), keys_of("budget"));
    assert_eq!(members(&block("declare const console: {", "};"), 2), keys_of("console"));
}

#[test]
fn the_options_of_agent_are_those_read() {
    let (_, list) = PRELUDE.split_once("const AGENT_OPTIONS = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let read = names(list.split(',').map(|entry| entry.trim().trim_matches('\'')).filter(|entry| !entry.is_empty()));
    // Read for the sake of existing files, and told to nobody: the client has not published them.
    let told: Names =
        read.into_iter().filter(|n| !["bashCommandClamp", "sharedHeadLength"].contains(&n.as_str())).collect();
    assert_eq!(members(&block("interface AgentOptions {", "}"), 2), told);
}

#[test]
fn the_options_of_a_retry_and_of_a_question_are_those_read() {
    assert_eq!(members(&block("interface Retry {", "}"), 2), names(["maxAttempts", "delayMs", "backoff", "on"]));
    let ran = run("await agent('p', { retry: { maxAttempts: 3, delayMs: 5, backoff: 2, on: ['timeout'] } })");
    let retry = ran.calls[0].retry.clone().unwrap();
    assert_eq!((retry.max_attempts, retry.delay_ms, retry.on), (3, 5, Some(vec!["timeout".to_owned()])));
    let asked = members(
        &block(
            "  function approve(question: string | {",
            "  }): Promise<{ decision: \"approve\" | \"deny\"; by: string; reason: string | null }>;",
        ),
        4,
    );
    assert_eq!(asked, names(["message", "metadata", "decider", "expiresInMs", "onTimeout"]));
}

#[test]
fn the_fields_of_a_result_are_those_declared() {
    let mut declared = members(&block("  interface Result<T = any> {", "  }"), 4);
    // Only where the fake provider answered.
    assert!(declared.remove("simulated"));
    let mut found = keys_of("await owf.agent('p')");
    found.extend(names(["requireOk", "valueOrRaise", "textOrRaise"]));
    assert_eq!(declared, found);
    assert_eq!(
        value_of(
            "const r = await owf.agent('p'); return ['requireOk', 'valueOrRaise', 'textOrRaise'].map(n => typeof r[n])"
        ),
        serde_json::json!(["function", "function", "function"])
    );
    let invalid = keys_of("await owf.agent('p', { schema: 1 })");
    assert_eq!(invalid, keys_of("await owf.agent('p')"), "what never was a call has the same fields");
    let line =
        block("  interface Result<T = any> {", "  }").into_iter().find(|l| l.trim().starts_with("usage:")).unwrap();
    for name in keys_of("(await owf.agent('p')).usage") {
        assert!(line.contains(&format!("{name}: number")), "{name} is missing in {line}");
    }
}

#[test]
fn the_members_of_url_are_those_declared() {
    let keys = |expression: &str| -> Names {
        let value = value_of(&format!("return Object.getOwnPropertyNames({expression})"));
        value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let mut found = keys("URL.prototype");
    found.extend(names(["canParse", "parse"]));
    assert_eq!(members(&block("declare class URL {", "}"), 2), found);
    let mut found = keys("Object.getPrototypeOf(new URL('https://example.org').searchParams)");
    assert!(found.remove("constructor"));
    assert_eq!(members(&block("interface URLSearchParams {", "}"), 2), found);
}
