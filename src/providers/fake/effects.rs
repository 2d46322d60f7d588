//! What a rule does besides answering: files in the call's directory, the invocation log, transcripts, the end of this
//! process.

use std::io::{Read as _, Write as _};
use std::path::{Component, Path};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use serde_json::json;

use super::fixtures::Rule;
use super::matcher::Glob;
use super::template;
use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::provider::AttemptRequest;

/// The most bytes of a line of the invocation log, its end included: so much is appended in one piece.
const LINE: usize = 4096;

/// The most bytes of a transcript.
const TRANSCRIPT: u64 = 8 * 1024 * 1024;

/// Checks that a text names something below the directory it starts from, as far as the text tells; links are the business
/// of the directory handle.
pub(super) fn plain_path(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("is no path");
    }
    if text.contains('\0') || text.contains('\\') {
        return Err("is no plain path");
    }
    let mut names = 0;
    for part in Path::new(text).components() {
        match part {
            Component::Normal(_) => names += 1,
            Component::CurDir => {}
            Component::ParentDir => return Err("leaves its directory"),
            Component::RootDir | Component::Prefix(_) => return Err("must be relative"),
        }
    }
    if names == 0 || text.ends_with('/') { Err("names no file") } else { Ok(()) }
}

fn fixture(message: impl Into<String>) -> CallError {
    CallError::new(ErrorClass::Fixture, message)
}

/// Writes and deletes what the rule says, and returns the changed paths, sorted.
pub(super) fn change_files(
    rule: &Rule,
    number: u32,
    request: &AttemptRequest,
    variables: &serde_json::Value,
) -> Result<Vec<String>, CallError> {
    if !rule.changes_files() {
        return Ok(Vec::new());
    }
    let ask = &request.spec.ask;
    let whole = [".".to_owned()];
    let scope = match (ask.write_scope.as_deref().unwrap_or_default(), ask.isolation) {
        // A worktree is the call's own: without a scope it may write everywhere in it.
        ([], Some(_)) => &whole[..],
        (scope, _) => scope,
    };
    if scope.is_empty() {
        return Err(fixture(format!("rule {number} changes files, but the call has no write scope")));
    }
    if rule.commit.is_some() && ask.isolation.is_none() {
        return Err(fixture(format!("rule {number} commits, but the call has no worktree")));
    }
    let paths = rule.write.iter().map(|(path, _)| path).chain(&rule.delete);
    if let Some(outside) = paths.into_iter().find(|path| !in_scope(scope, path)) {
        return Err(fixture(format!("rule {number}: `{outside}` is outside the write scope {}", scope.join(", "))));
    }
    // All templates first: a rule that fails changes nothing.
    let mut contents = Vec::new();
    for (path, content) in &rule.write {
        let content = template::render(content, variables)
            .map_err(|why| fixture(format!("rule {number}: the template of `{path}` failed: {why}")))?;
        contents.push((path, content));
    }
    let failed = |path: &str, error: &std::io::Error| fixture(format!("rule {number}: `{path}`: {error}"));
    let dir = Dir::open_ambient_dir(&request.cwd, ambient_authority())
        .map_err(|error| failed(&request.cwd.to_string_lossy(), &error))?;
    let mut changed = Vec::new();
    for (path, content) in contents {
        let parent = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or(Ok(()), |parent| dir.create_dir_all(parent)).map_err(|error| failed(path, &error))?;
        dir.write(path, content).map_err(|error| failed(path, &error))?;
        changed.push(path.clone());
    }
    for path in &rule.delete {
        dir.remove_file(path).map_err(|error| failed(path, &error))?;
        changed.push(path.clone());
    }
    if let Some(message) = &rule.commit {
        commit(&request.cwd, message).map_err(|why| fixture(format!("rule {number}: the commit failed: {why}")))?;
    }
    changed.sort();
    changed.dedup();
    Ok(changed)
}

/// Commits everything in a worktree, as an agent would that has a name of its own.
fn commit(dir: &Path, message: &str) -> Result<(), String> {
    let settings = ["user.name=fake", "user.email=fake@localhost", "commit.gpgSign=false", "core.hooksPath=/dev/null"];
    for args in [&["add", "--all"][..], &["commit", "--quiet", "--allow-empty", "--message", message]] {
        let mut git = std::process::Command::new("git");
        // The repository may name programs that git starts: they see no key, and nothing leads git elsewhere.
        git.arg("-C").arg(dir).env_clear();
        git.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(crate::process::is_for_git)));
        for setting in settings {
            git.args(["-c", setting]);
        }
        let output = git.args(args).stdin(std::process::Stdio::null()).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
    }
    Ok(())
}

/// Whether a path is one of a scope's entries, below one, or matches one with `*`.
fn in_scope(scope: &[String], path: &str) -> bool {
    let clean = |text: &str| text.trim_start_matches("./").trim_end_matches('/').to_owned();
    let path = clean(path);
    scope.iter().any(|entry| {
        let entry = clean(entry);
        let entry = entry.strip_suffix("/**").map_or(entry.clone(), str::to_owned);
        entry.is_empty()
            || entry == "."
            || entry == "**"
            || path == entry
            || path.strip_prefix(&entry).is_some_and(|rest| rest.starts_with('/'))
            || (entry.contains('*') && Glob::new(&entry).matches(&path))
    })
}

/// Appends the line of one invocation to the log below `dir`.
pub(super) fn log_invocation(
    dir: &Path,
    log: &str,
    request: &AttemptRequest,
    rule: u32,
    answer: &str,
) -> Result<(), CallError> {
    let failed = |error: std::io::Error| fixture(format!("the invocation log `{log}` cannot be written: {error}"));
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let handle = Dir::open_ambient_dir(dir, ambient_authority()).map_err(failed)?;
    if let Some(parent) = Path::new(log).parent().filter(|parent| !parent.as_os_str().is_empty()) {
        handle.create_dir_all(parent).map_err(failed)?;
    }
    let mut file = handle.open_with(log, OpenOptions::new().create(true).append(true)).map_err(failed)?;
    // One write, so that lines of many processes do not mix.
    file.write_all(line(request, rule, answer).as_bytes()).map_err(failed)
}

fn line(request: &AttemptRequest, rule: u32, answer: &str) -> String {
    let mut label = request.spec.label.as_str();
    label = &label[..label.floor_char_boundary(LINE)];
    loop {
        let key = request.request_key.to_string();
        let text = json!({
            "call_id": request.call_id.to_string(),
            "call_index": request.call_id.0,
            "label": label,
            "occurrence": request.occurrence,
            "attempt": request.attempt,
            "request_key": key.get(..12).unwrap_or(&key),
            "rule": rule,
            "answer": answer,
            "run_id": request.run_id.as_str(),
        })
        .to_string();
        if text.len() < LINE || label.is_empty() {
            return text + "\n";
        }
        // Escapes may take six bytes for one: cut by the excess, and look again.
        let keep = label.len().saturating_sub(((text.len() + 1 - LINE) / 6).max(1));
        label = &label[..label.floor_char_boundary(keep)];
    }
}

/// The text of a transcript below `dir`.
pub(super) fn read_transcript(dir: &Path, path: &str) -> Result<String, CallError> {
    let failed = |error: std::io::Error| fixture(format!("the transcript `{path}` cannot be read: {error}"));
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let handle = Dir::open_ambient_dir(dir, ambient_authority()).map_err(failed)?;
    let mut text = String::new();
    handle.open(path).map_err(failed)?.take(TRANSCRIPT).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Ends this process at once, as a crash does: nothing is cleaned up.
pub(super) fn crash() -> CallError {
    let sent = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // Not reached, unless the signal could not be sent.
    fixture(match sent {
        Ok(()) => "the process was to end here".to_owned(),
        Err(error) => format!("the process could not be ended: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_directory_are_plain() {
        for good in ["a", "a/b.txt", "./a", "a..b", "\u{e4}/\u{fc}"] {
            assert_eq!(plain_path(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "../a", "a/../../b", "/etc/passwd", "a\0b", "a/", "..\\a"] {
            assert!(plain_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scope_covers_what_lies_below_its_entries() {
        let scope = |entries: &[&str], path: &str| {
            in_scope(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>(), path)
        };
        assert!(scope(&["src"], "src/a.rs"));
        assert!(scope(&["src/"], "./src/a/b.rs"));
        assert!(scope(&["src/**"], "src/a.rs"));
        assert!(scope(&["docs/*.md"], "docs/a.md"));
        assert!(scope(&["."], "anything"));
        assert!(!scope(&["src"], "srcs/a.rs"));
        assert!(!scope(&["docs/*.md"], "docs/a.rs"));
        assert!(!scope(&[], "a"));
    }
}
