//! The README is true: every command in it is run, in order, and what it shows is what is printed.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use regex::Regex;

use crate::support::cli::{Place, printed};

/// Commands that need no run of their own here, each with where it is shown to work.
const ELSEWHERE: [&str; 6] = [
    // This very test is part of it.
    "cargo test --locked",
    // Compiles the same package a second time.
    "cargo install --path . --locked",
    // Minutes; `.ci/run` compiles it.
    "cargo bench",
    // The real clients do it in `scripts/real-clients.mjs`.
    "claude mcp add owf -- owf mcp",
    "claude mcp list",
    "codex mcp add owf -- owf mcp",
];

/// Commands that end with another exit code than 0.
const ENDS: [(&str, i32); 2] = [("OWF_ALLOW_CRASH=1 owf run", KILLED), ("owf run migrate", 3)];

/// Ended by a signal.
const KILLED: i32 = -1;

/// A command of a console block and the lines shown below it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    command: String,
    lines: Vec<String>,
}

fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).unwrap()
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(word)) => open = Some((word == language, String::new())),
            (Some((wanted, block)), Some(_)) => {
                if *wanted {
                    out.push(block.clone());
                }
                open = None;
            }
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    out
}

fn commands(text: &str) -> Vec<Shown> {
    let mut out: Vec<Shown> = Vec::new();
    for line in blocks(text, "console").iter().flat_map(|block| block.lines()) {
        match line.strip_prefix("$ ") {
            Some(command) => out.push(Shown { command: command.to_owned(), lines: Vec::new() }),
            None => out.last_mut().unwrap().lines.push(line.to_owned()),
        }
    }
    out
}

/// The words of a command line; double quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (i, part) in line.split('"').enumerate() {
        if i % 2 == 1 {
            out.push(part.to_owned());
        } else {
            out.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    out
}

/// Without what differs from run to run: ids, times, ages, and the spaces that they move.
fn masked(line: &str, ids: &BTreeSet<String>) -> String {
    let mut text = line.to_owned();
    for id in ids {
        text = text.replace(id.as_str(), "ID").replace(id.rsplit('-').next().unwrap(), "SHORT");
    }
    for (pattern, word) in [
        (r"\b\d\d:\d\d:\d\d\b", "TIME"),
        (r"\b(\d+h)?(\d+m)?\d+(\.\d)?s\b", "DURATION"),
        (r"\b(DURATION|\d+[mhd]) ago\b", "AGO"),
        (r"\s+", " "),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text.trim().to_owned()
}

/// The run ids in a text.
fn ids(text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(r"\b\d{8}-\d{6}-[0-9a-z]{8}\b").unwrap();
    pattern.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// What is shown stands in what was printed, in this order; a line of three dots stands for any lines.
fn assert_shown(shown: &Shown, printed: &[String], context: &str) {
    let mut rest = printed.iter();
    for line in shown.lines.iter().filter(|line| line.as_str() != "...") {
        assert!(rest.any(|other| other == line), "`{}` does not print `{line}` here:\n{context}", shown.command);
    }
}

#[test]
fn every_command_of_the_readme_runs_and_prints_what_is_shown() {
    let text = readme();
    let place = Place::new();
    copy(&repository().join("fixtures"), &place.path().join("fixtures"));
    let mut run = 0;
    // Short ids without their long form would not be masked.
    let shown_ids: BTreeSet<String> = ids(&text);
    for shown in commands(&text) {
        if ELSEWHERE.contains(&shown.command.as_str()) {
            continue;
        }
        let mut line = words(&shown.command.replace("cargo run -- ", "owf "));
        let mut variables = Vec::new();
        while let Some((name, value)) = line[0].split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())) {
            variables.push((name, value));
            line.remove(0);
        }
        assert_eq!(line.remove(0), "owf", "`{}` is a command this test cannot run", shown.command);
        let home = place.path().join(".workflows/workflow.sqlite");
        let known = |place: &Place| {
            let mut listing = place.command(&["runs", "--json", "--children"]);
            printed(&listing.env_remove("OWF_HOME").output().unwrap()).out
        };
        if line.iter().any(|word| word == "RUN") {
            let listed: serde_json::Value = serde_json::from_str(&known(&place)).unwrap();
            let latest = listed["runs"][0]["run_id"].as_str().unwrap().to_owned();
            line.iter_mut().filter(|word| *word == "RUN").for_each(|word| word.clone_from(&latest));
        }
        let args: Vec<&str> = line.iter().map(String::as_str).collect();
        let mut command = place.command(&args);
        command.env_remove("OWF_HOME").env_remove("OWF_ALLOW_CRASH").envs(variables).stdin(Stdio::null());
        let got = printed(&command.output().unwrap());
        let context = format!("exit code {}\n{}{}", got.code, got.err, got.out);
        let expected = ENDS.iter().find(|(start, _)| shown.command.starts_with(start)).map_or(0, |(_, code)| *code);
        assert_eq!(got.code, expected, "`{}`: {context}", shown.command);
        let mut all_ids = ids(&context);
        if home.exists() {
            all_ids.extend(ids(&known(&place)));
        }
        let lines: Vec<String> = got.err.lines().chain(got.out.lines()).map(|line| masked(line, &all_ids)).collect();
        let masked_lines = shown.lines.iter().map(|line| masked(line, &shown_ids)).collect();
        let shown = Shown { command: shown.command, lines: masked_lines };
        assert_shown(&shown, &lines, &context);
        run += 1;
    }
    assert!(run >= 20, "only {run} commands were found");
}

#[test]
fn the_script_of_the_readme_runs() {
    let text = readme();
    let place = Place::new();
    let script = blocks(&text, "js").remove(0);
    place.file("dialect.js", &script);
    let checked = place.json(&["validate", "dialect.js", "--json"]);
    assert_eq!(checked["ok"], true, "{checked:#}");
    assert_eq!(place.owf(&["run", "dialect.js"]).code, 0);
}

#[test]
fn the_fixtures_of_the_readme_are_read_as_they_stand() {
    let place = Place::new();
    copy(&repository().join("fixtures"), &place.path().join("fixtures"));
    for block in blocks(&readme(), "yaml") {
        place.file("answers.yaml", &block);
        let args = ["run", "fixtures/workflows/review.js", "--fixtures", "answers.yaml", "--json"];
        let view = place.json(&args);
        assert_eq!(view["gaps_total"], 1, "{view:#}");
    }
}

#[test]
fn the_configuration_of_the_readme_is_read() {
    let place = Place::new();
    let ours = blocks(&readme(), "toml").into_iter().find(|block| block.contains("provider = ")).unwrap();
    let config = place.file("config.toml", &ours);
    let mut command = place.command(&["run", "hello", "--json"]);
    let got = printed(&command.env("OWF_CONFIG", config).output().unwrap());
    assert_eq!((got.code, &got.json()["status"]), (0, &"done".into()), "{got:?}");
    let facts = place.json(&["status", "--json"]);
    assert_eq!((&facts["run"]["provider"], &facts["run"]["model"]), (&"fake".into(), &"any".into()));
}

#[test]
fn every_file_the_documents_link_to_exists() {
    let link = Regex::new(r"\]\(([^)#]+)\)").unwrap();
    for file in ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(repository().join(file)).unwrap();
        for found in link.captures_iter(&text).map(|c| c[1].to_owned()).filter(|target| !target.contains("://")) {
            assert!(repository().join(&found).exists(), "{file} links to {found}");
        }
    }
}
