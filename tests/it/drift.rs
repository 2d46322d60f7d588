//! What is generated or said twice is the same everywhere: schemas, the README's list of commands, completions.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use owf::cli::args::Cli;

use crate::support::cli::Place;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a directory by name.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

/// The commands a person sees.
fn commands() -> BTreeSet<String> {
    let command = Cli::command();
    command.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name().to_owned()).collect()
}

/// What stands in backticks in `text`.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn drift_the_committed_schemas_are_those_of_the_program() {
    let place = Place::new();
    let printed = place.owf(&["schema", "--output", "now"]);
    assert_eq!((printed.code, printed.out.as_str()), (0, "now\n"), "{printed:?}");
    let (now, committed) = (files(&place.path().join("now")), files(&repository().join("fixtures/schemas")));
    let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
    let again = "write them again: cargo run -- schema --output fixtures/schemas";
    assert_eq!(names(&now), names(&committed), "{again}");
    for (name, text) in &now {
        assert!(text == &committed[name], "fixtures/schemas/{name} is not what the program says; {again}");
    }
}

#[test]
fn drift_what_is_printed_as_json_fits_its_schema() {
    let place = Place::new();
    let all = place.json(&["schema", "--json"]);
    let fits = |name: &str, args: &[&str]| {
        let printed = place.owf(args);
        let value = printed.json();
        let schema = jsonschema::validator_for(&all[name]).unwrap();
        let faults: Vec<String> = schema.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(faults.is_empty(), "owf {args:?} does not fit `{name}`: {faults:?}\n{value:#}");
    };
    place.file(
        "asks.js",
        "export const meta = { name: 'asks', description: 'Asks.' }\nreturn await owf.approve({ message: 'Go?' })\n",
    );
    place.file("broken.js", "const x = 1\n");
    fits("run", &["run", "review", "--mood", "unhappy", "--json", "--detail", "full"]);
    for (name, command) in
        [("run", "status"), ("calls", "calls"), ("explain_cache", "explain-cache"), ("output", "output")]
    {
        fits(name, &[command, "--json"]);
    }
    fits("call", &["calls", "latest", "c0001", "--json"]);
    fits("artifacts", &["artifacts", "--json"]);
    fits("read_artifact", &["cat", "c0001", "--json"]);
    fits("export", &["export", "--json"]);
    fits("report", &["report", "--json"]);
    fits("run", &["resume", "--json"]);
    fits("run", &["wait", "--json"]);
    fits("run", &["run", "asks.js", "--json"]);
    fits("approvals", &["approvals", "--json"]);
    fits("list_runs", &["runs", "--json"]);
    fits("list_workflows", &["list", "--json"]);
    fits("new_workflow", &["new", "new.js", "--json"]);
    fits("validate", &["validate", "new.js", "--json"]);
    fits("validate", &["validate", "broken.js", "--json"]);
    fits("dry_run", &["dry-run", "review", "--json"]);
    fits("init", &["init", "--json"]);
    fits("doctor", &["doctor", "--json"]);
    fits("providers", &["providers", "--json"]);
    fits("prices", &["prices", "--json"]);
    fits("usage", &["usage", "--by", "workflow", "--json"]);
    fits("prune", &["prune", "--keep", "1", "--dry-run", "--json"]);
    fits("batches", &["batch", "list", "--json"]);
    fits("worktrees", &["worktree", "list", "--json"]);
    fits("cache_clear", &["cache", "clear", "--json"]);
    let events = place.owf(&["events"]);
    let schema = jsonschema::validator_for(&all["event"]).unwrap();
    for line in events.out.lines() {
        let event = serde_json::from_str(line).unwrap();
        assert!(schema.is_valid(&event), "{line}");
    }
}

#[test]
fn drift_the_readme_lists_every_command_and_no_other() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let table = readme.split("## Commands").nth(1).unwrap();
    let rows = table.lines().skip_while(|l| !l.starts_with("|---")).skip(1).take_while(|l| l.starts_with('|'));
    let mut listed = BTreeSet::new();
    for row in rows {
        for command in quoted(row.split('|').nth(1).unwrap()) {
            let name = command.split(' ').next().unwrap().to_owned();
            assert!(listed.insert(name), "`{command}` stands twice in the README's table of commands");
        }
    }
    assert_eq!(listed, commands(), "README.md, table of commands");
}

#[test]
fn drift_every_command_named_in_prose_exists() {
    let commands = commands();
    for file in ["README.md", "SECURITY.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(repository().join(file)).unwrap();
        let mut block = false;
        for line in text.lines() {
            block ^= line.starts_with("```");
            if block {
                continue;
            }
            for named in quoted(line).into_iter().filter_map(|code| code.strip_prefix("owf ")) {
                let name = named.split([' ', '|']).next().unwrap();
                assert!(
                    commands.contains(name) || name.starts_with('-'),
                    "{file} names `owf {named}`, which is no command"
                );
            }
        }
    }
}

#[test]
fn drift_completions_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let printed = place.owf(&["completions", shell]);
        assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{shell}");
        for command in commands() {
            assert!(printed.out.contains(&command), "{shell}: no `{command}`");
        }
        // The shell itself says whether it is a script, where it is installed.
        let file = place.file(&format!("completions.{shell}"), &printed.out);
        let known = Command::new(shell).arg("-n").arg(&file).stdin(Stdio::null()).output();
        if let Ok(output) = known {
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let refused = place.owf(&["completions", "tcsh"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("bash, elvish, fish, powershell, zsh"), "{refused:?}");
}

#[test]
fn drift_the_code_map_is_the_tree() {
    let text = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let map = text.split("## Code map").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = map.lines().filter(|line| line.starts_with("| `"));
    let named: Vec<&str> = rows.flat_map(|row| quoted(row.split('|').nth(1).unwrap())).collect();
    for path in &named {
        let there = repository().join(path);
        assert!(if path.ends_with('/') { there.is_dir() } else { there.exists() }, "the code map names {path}");
    }
    for path in quoted(&text).into_iter().filter(|p| p.starts_with("src/") || p.starts_with("tests/")) {
        assert!(repository().join(path).exists(), "ARCHITECTURE.md names {path}");
    }
    for entry in std::fs::read_dir(repository().join("src")).unwrap() {
        let name = format!("src/{}", entry.unwrap().file_name().to_string_lossy());
        assert!(named.iter().any(|path| path.starts_with(&name)), "the code map leaves out {name}");
    }
}

/// The environment variables of owf in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let pattern = regex::Regex::new(r"\bOWF_[A-Z]+(_[A-Z]+)*\b").unwrap();
    pattern.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn drift_the_settings_of_the_readme_are_those_the_program_reads() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let settings = readme.split("## Settings").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut read = BTreeSet::new();
    for entry in walkdir::WalkDir::new(repository().join("src")) {
        let path = entry.unwrap().into_path();
        if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
            // What the program reads stands in quotes; comments and messages name it, too.
            read.extend(code.split('"').skip(1).step_by(2).flat_map(variables));
        }
    }
    // One pattern stands for a variable of each provider.
    read.retain(|name| !name.starts_with("OWF_PROVIDER_"));
    // Set by owf for the processes it starts, not by people.
    read.remove("OWF_CALL_ID");
    read.remove("OWF_DETACHED");
    let mut listed = variables(settings);
    listed.retain(|name| !name.starts_with("OWF_PROVIDER_"));
    assert!(settings.contains("OWF_PROVIDER_<NAME>_CONCURRENCY"));
    assert_eq!(listed, read);
}
