//! The rules of the code base that the compiler does not know: layers, forbidden names, file sizes, module files.

#![expect(clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use crate::rust_source::{is_name, paths_in, without_comments_and_strings};

/// The top-level modules with their layer. A module uses itself and modules of lower layers, nothing else.
const LAYERS: &[(&str, u8)] = &[
    ("core", 0),
    ("process", 1),
    ("front", 2),
    ("store", 2),
    ("providers", 2),
    ("tools", 2),
    ("artifacts", 2),
    ("worktree", 2),
    ("engine", 3),
    ("app", 4),
    ("cli", 5),
    ("mcp", 5),
    ("main", 6),
];

/// Paths that are allowed in some places only: first segments of the path, then where it is allowed (prefixes below `src`).
const CONFINED: &[(&[&str], &[&str])] = &[
    (&["rusqlite"], &["store/"]),
    (&["rquickjs"], &["front/script/sandbox"]),
    (&["reqwest"], &["providers/http"]),
    (&["rustls"], &["providers/http"]),
    (&["rmcp"], &["mcp/wire/"]),
    (&["anyhow"], &["app", "cli/", "mcp/", "main.rs"]),
];

/// Paths that are forbidden in some places: first segments of the path, then where it is forbidden.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (&["tokio"], &["core/", "front/"]),
    (&["std", "time", "SystemTime"], &["core/"]),
    (&["std", "time", "Instant"], &["core/"]),
    (&["std", "fs"], &["core/"]),
    (&["std", "process"], &["core/"]),
    (&["std", "thread"], &["core/"]),
    (&["std", "env"], &["core/"]),
    (&["std", "net"], &["core/"]),
    (&["rand"], &["core/"]),
    (&["getrandom"], &["core/"]),
    (&["tempfile"], &["core/"]),
];

/// Lines a file may have before its tests.
const MAX_LINES: usize = 600;

/// Everything that is wrong with one file of `src`. `path` is relative to `src`, with forward slashes.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let first = text.lines().next().unwrap_or_default();
    if !first.starts_with("//! ") {
        found.push(format!("{path}:1: the first line must be a `//!` sentence that says what the file is for"));
    }
    let tests_at = first_test_line(text);
    if !is_test_file(path) && tests_at > MAX_LINES {
        found.push(format!("{path}: {tests_at} lines before its tests, {MAX_LINES} at most"));
    }
    let code = without_comments_and_strings(text);
    if (path == "lib.rs" || path.ends_with("/mod.rs")) && !holds_only_mod_and_use(&code) {
        found.push(format!("{path}: a module file holds docs, `mod` and `use` lines only"));
    }
    let own = top_module(path);
    for (line, used) in crate_edges(path, &code) {
        if let Some(problem) = edge_problem(own, &used) {
            found.push(format!("{path}:{line}: {problem}"));
        }
    }
    for (line, used) in paths_in(&code) {
        if is_test_file(path) || line > tests_at {
            continue;
        }
        let named = used.join("::");
        let starts = |wanted: &[&str]| used.len() >= wanted.len() && used.iter().zip(wanted).all(|(a, b)| a == b);
        for (wanted, places) in CONFINED {
            if starts(wanted) && !places.iter().any(|place| path.starts_with(place)) {
                found.push(format!("{path}:{line}: `{named}` may be named only in {}", places.join(", ")));
            }
        }
        for (wanted, places) in FORBIDDEN {
            if starts(wanted) && places.iter().any(|place| path.starts_with(place)) {
                found.push(format!("{path}:{line}: `{named}` may not be named in {}", places.join(", ")));
            }
        }
        if used[0].starts_with("oxc_") && !path.starts_with("front/script/") {
            found.push(format!("{path}:{line}: `{named}` may be named only in front/script/"));
        }
    }
    found
}

/// What is wrong with `own` using the top-level module `used`, if anything.
fn edge_problem(own: &str, used: &str) -> Option<String> {
    if own == "lib" || own == used {
        return None;
    }
    let layer = |name: &str| LAYERS.iter().find(|(module, _)| *module == name).map(|(_, layer)| *layer);
    match (layer(own), layer(used)) {
        (None, _) => Some(format!("module `{own}` has no layer: add it to the list in tests/it/layering.rs")),
        (_, None) => Some(format!("`crate::{used}` is not a module with a layer")),
        (Some(from), Some(to)) if from <= to => {
            Some(format!("`{own}` (layer {from}) may not use `{used}` (layer {to})"))
        }
        (Some(_), Some(_)) => None,
    }
}

/// The top-level module a file belongs to: `store/reader.rs` and `store.rs` are `store`.
fn top_module(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Whether a whole file is tests.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

/// How many lines stand before the test module at the end of a file.
fn first_test_line(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    (0..lines.len())
        .find(|&i| {
            lines[i].starts_with("#[cfg(test)]")
                && lines[i + 1..]
                    .iter()
                    .find(|line| !line.starts_with('#'))
                    .is_some_and(|line| line.contains("mod ") && line.trim_end().ends_with('{'))
        })
        .unwrap_or(lines.len())
}

/// Top-level modules of this crate that a file uses, with line numbers: by `crate::`, by `owf::` in the binary, and by a
/// chain of `super` that leaves the file's own top-level module.
fn crate_edges(path: &str, code: &str) -> Vec<(usize, String)> {
    let mut depth = path.trim_end_matches(".rs").split('/').count();
    if path.ends_with("/mod.rs") {
        depth -= 1;
    }
    paths_in(code)
        .into_iter()
        .filter_map(|(line, used)| {
            let supers = used.iter().take_while(|segment| *segment == "super").count();
            let target = if used[0] == "crate" || (used[0] == "owf" && path == "main.rs") {
                used.get(1)
            } else if supers >= depth && supers > 0 {
                used.get(supers).filter(|name| LAYERS.iter().any(|(module, _)| module == name))
            } else {
                None
            };
            target.filter(|name| *name != "self").map(|name| (line, name.clone()))
        })
        .collect()
}

/// Whether code (comments already blanked) holds nothing but attributes, `mod` and `use` items.
fn holds_only_mod_and_use(code: &str) -> bool {
    let mut rest = code.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('#') {
            let Some(end) = end_of_attribute(rest) else { return false };
            rest = rest[end..].trim_start();
            continue;
        }
        let Some((item, after)) = rest.split_once(';') else { return false };
        let mut item = item.trim();
        if let Some(visible) = item.strip_prefix("pub") {
            let visible = visible.trim_start();
            item = match visible.strip_prefix('(') {
                Some(scope) => scope.split_once(')').map_or("", |(_, item)| item.trim_start()),
                None => visible,
            };
        }
        let is_mod = item.strip_prefix("mod ").is_some_and(|name| name.trim().chars().all(is_name));
        if !is_mod && !item.starts_with("use ") {
            return false;
        }
        rest = after.trim_start();
    }
    true
}

fn end_of_attribute(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Test files and directories that the binary's root does not name. `entries` are the names in `tests/it`.
fn forgotten_tests(entries: &[String], main: &str) -> Vec<String> {
    let code = without_comments_and_strings(main);
    let named: BTreeSet<&str> =
        code.split(';').filter_map(|item| item.trim().rsplit_once("mod ").map(|(_, name)| name.trim())).collect();
    entries
        .iter()
        .filter(|entry| *entry != "main.rs" && !named.contains(entry.strip_suffix(".rs").unwrap_or(entry)))
        .cloned()
        .collect()
}

/// All `.rs` files below a directory, as paths relative to it with forward slashes, with their text.
fn rust_files(directory: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.expect("the source tree can be read");
        if entry.path().extension().is_some_and(|extension| extension == "rs") {
            let relative = entry.path().strip_prefix(directory).expect("a path below the directory");
            let name =
                relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
            files.push((name, std::fs::read_to_string(entry.path()).expect("a source file is text")));
        }
    }
    assert!(!files.is_empty(), "no source file below {}", directory.display());
    files
}

fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_source_keeps_the_rules_of_its_layers() {
    let found: Vec<String> =
        rust_files(&manifest_dir().join("src")).iter().flat_map(|(path, text)| violations(path, text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_test_file_says_what_it_is_for() {
    let silent: Vec<String> = rust_files(&manifest_dir().join("tests"))
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn no_test_file_is_forgotten() {
    let directory = manifest_dir().join("tests/it");
    let files = rust_files(&directory);
    let main = &files.iter().find(|(path, _)| path == "main.rs").expect("tests/it/main.rs").1;
    let entries: BTreeSet<String> =
        files.iter().map(|(path, _)| path.split('/').next().unwrap_or(path).to_owned()).collect();
    assert_eq!(forgotten_tests(&entries.into_iter().collect::<Vec<_>>(), main), Vec::<String>::new());
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = std::fs::read_to_string(manifest_dir().join("Cargo.toml")).expect("Cargo.toml");
    let mut silent = Vec::new();
    let (mut in_dependencies, mut explained) = (false, false);
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if line.is_empty() {
            explained = false;
        } else if in_dependencies && !explained && line.contains(" = ") {
            silent.push(line.to_owned());
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// The messages for one line of code in a file with a good first line.
fn found_in(path: &str, code: &str) -> Vec<String> {
    violations(path, &format!("//! A file.\n{code}\n"))
}

#[test]
fn an_edge_to_an_outer_layer_is_caught() {
    for (path, code) in [
        ("core/budget.rs", "use crate::store::Store;"),
        ("core/budget.rs", "fn f() -> crate::engine::Engine {}"),
        ("store/reader.rs", "use crate::providers::Provider;"),
        ("store/reader.rs", "use crate::{core::ids::RunId, front::driver::Driver};"),
        ("store/reader.rs", "use super::super::engine::Engine;"),
        ("front/script/mod.rs", "pub use super::super::store::Store;"),
        ("engine/run.rs", "use crate::app::App;"),
        ("cli/run.rs", "use crate::mcp::Server;"),
        ("mcp/run.rs", "use crate::cli;"),
        ("core/budget.rs", "use crate::util::now;"),
        ("util/time.rs", "use crate::core::ids::RunId;"),
    ] {
        assert_eq!(found_in(path, code).len(), 1, "{path}: {code}: {:?}", found_in(path, code));
    }
}

#[test]
fn an_edge_inward_is_allowed() {
    for (path, code) in [
        ("core/budget.rs", "use crate::core::ids::RunId;"),
        ("store/reader.rs", "use crate::core::{ids::RunId, event::Event as E};"),
        ("store/reader.rs", "use super::writer::Writer;"),
        ("store/reader.rs", "mod tests { use super::super::codec; }"),
        ("engine/run.rs", "use crate::{core, front::driver::Driver, store::Store};"),
        ("app.rs", "use crate::engine::Engine;"),
        ("cli/run.rs", "use crate::app::App; use crate::engine::RunView; use crate::core::ids::RunId;"),
        ("main.rs", "use owf::cli;"),
        ("core/budget.rs", "// use crate::store::Store;\nconst A: &str = \"crate::store\"; /* crate::engine::x */"),
        ("core/budget.rs", "const A: &str = r#\"crate::store::\"x\"#; const B: char = '\"'; fn f<'a>(a: &'a str) {}"),
    ] {
        assert_eq!(found_in(path, code), Vec::<String>::new(), "{path}: {code}");
    }
}

#[test]
fn a_name_in_the_wrong_place_is_caught() {
    for (path, code) in [
        ("engine/run.rs", "use rusqlite::Connection;"),
        ("engine/run.rs", "use ::rusqlite::Connection;"),
        ("front/script/parse.rs", "fn f(c: rquickjs::Ctx) {}"),
        ("front/document/parse.rs", "use oxc_parser::Parser;"),
        ("engine/run.rs", "use oxc_span;"),
        ("providers/fake/mod.rs", "pub use reqwest::Client;"),
        ("core/budget.rs", "use tokio::sync::mpsc;"),
        ("front/driver.rs", "use tokio;"),
        ("core/time.rs", "use std::time::{Duration, SystemTime};"),
        ("core/time.rs", "let now = std::time::Instant::now();"),
        ("core/run.rs", "use std::{collections::BTreeMap, fs};"),
        ("core/run.rs", "use std::process::Command;"),
        ("core/ids.rs", "let n: u64 = rand::random();"),
        ("engine/run.rs", "fn f() -> anyhow::Result<()> {}"),
    ] {
        assert_eq!(found_in(path, code).len(), 1, "{path}: {code}: {:?}", found_in(path, code));
    }
}

#[test]
fn a_name_in_its_place_is_allowed() {
    for (path, code) in [
        ("store/reader.rs", "use rusqlite::{Connection, params};"),
        ("front/script/sandbox/mod.rs", "use rquickjs::Ctx;"),
        ("front/script/sandbox.rs", "use rquickjs::Ctx;"),
        ("front/script/parse.rs", "use oxc_parser::Parser;"),
        ("providers/http/client.rs", "use reqwest::Client;"),
        ("cli/run.rs", "use anyhow::Context as _;"),
        ("main.rs", "fn main() -> anyhow::Result<()> {}"),
        ("core/time.rs", "use std::time::Duration;"),
        ("engine/run.rs", "use std::time::Instant;"),
        ("core/run.rs", "let rand = 1; let tokio = rand; let a = Foo::rusqlite::<u8>();"),
        ("core/run.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}"),
    ] {
        assert_eq!(found_in(path, code), Vec::<String>::new(), "{path}: {code}");
    }
}

#[test]
fn a_file_without_its_first_line_is_caught() {
    assert_eq!(
        violations("core/run.rs", "use std::fmt;\n"),
        vec!["core/run.rs:1: the first line must be a `//!` sentence that says what the file is for".to_owned()]
    );
    assert_eq!(violations("core/run.rs", "").len(), 1);
}

#[test]
fn a_long_file_is_caught_and_its_tests_do_not_count() {
    let lines = |n: usize| format!("//! A file.\n{}", "struct A;\n".repeat(n - 1));
    assert_eq!(violations("core/run.rs", &lines(600)), Vec::<String>::new());
    assert_eq!(
        violations("core/run.rs", &lines(601)),
        vec!["core/run.rs: 601 lines before its tests, 600 at most".to_owned()]
    );
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(500), "fn a() {}\n".repeat(500));
    assert_eq!(violations("core/run.rs", &tests), Vec::<String>::new());
    let declared = format!("#[cfg(test)]\nmod tests;\n{}", lines(700));
    assert_eq!(violations("core/run.rs", &format!("//! A file.\n{declared}")).len(), 1);
}

#[test]
fn a_module_file_with_code_is_caught() {
    for code in ["pub fn f() {}", "const A: u8 = 1;", "mod a { }", "impl A {}", "macro_rules! m { () => {} }"] {
        assert_eq!(found_in("core/mod.rs", code).len(), 1, "{code}");
    }
    let good = "#![allow(x)]\npub mod a;\nmod b;\n#[cfg(test)]\nmod tests;\npub(crate) mod c;\npub use a::{B, C};\nuse b as d;";
    assert_eq!(found_in("core/mod.rs", good), Vec::<String>::new());
}

#[test]
fn a_forgotten_test_file_is_caught() {
    let entries = ["main.rs", "layering.rs", "store", "readme.rs"].map(str::to_owned);
    let main = "//! Tests.\nmod layering;\n#[path = \"x\"]\nmod store;\n// mod readme;\n";
    assert_eq!(forgotten_tests(&entries, main), vec!["readme.rs".to_owned()]);
}
