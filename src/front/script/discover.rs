//! Where workflows are found by name: project directories nearest first, then the user's, then the bundled ones.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::front::document::MAX_DOCUMENT;
use crate::front::script::check::{Checked, MAX_SCRIPT, Origin};
use crate::front::script::nearest::distance;
use crate::front::script::plan::Meta;
use crate::front::workflow::check;

/// A workflow that is part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundled {
    /// Its `meta.name`.
    pub name: &'static str,
    /// Its source.
    pub source: &'static str,
}

/// Whose workflow it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Of a directory from the working directory up to the repository root.
    Project,
    /// Of the user's home directory.
    User,
    /// Of the program.
    Bundled,
}

/// A workflow file, usable or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its `meta.name`; of a file without readable metadata, its file name.
    pub name: String,
    /// Its metadata; none = it cannot be found by name.
    pub meta: Option<Meta>,
    /// The file; of a bundled one `bundled:NAME`.
    pub path: PathBuf,
    /// Whose it is.
    pub scope: Scope,
    /// Its bytes, empty when it could not be read.
    pub bytes: Vec<u8>,
    /// What is wrong with it, in one sentence.
    pub problem: Option<String>,
    /// Files of the same name that it hides.
    pub shadows: Vec<PathBuf>,
    /// Properties of args it reads.
    pub args_read: Vec<String>,
}

/// Why a name leads to no workflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// No workflow has the name.
    #[error("no workflow is named {name:?}")]
    NotFound {
        /// The name.
        name: String,
        /// Names that exist, nearest first, at most 20.
        nearest: Vec<String>,
        /// Files that may have been meant but cannot be found by name, each with why; at most 5.
        broken: Vec<(PathBuf, String)>,
    },
    /// Two files of one directory have the name.
    #[error("two workflows are named {name:?} in one directory")]
    Ambiguous {
        /// The name.
        name: String,
        /// The files.
        paths: Vec<PathBuf>,
    },
}

/// One file or bundled source, before copies of one name are compared.
struct Candidate {
    found: Found,
    /// The number of its directory, nearest 0.
    level: usize,
    /// Whether it has an error.
    broken: bool,
}

/// All workflow files, nearest first, in one directory by file name. Of several copies of a name only the one that counts is
/// there, with what it hides. Files that cannot be used by name are there with their problem.
pub fn discover(cwd: &Path, user_home: Option<&Path>, bundled: &[Bundled]) -> Vec<Found> {
    let all = candidates(cwd, user_home, bundled);
    let mut out = Vec::new();
    for (index, candidate) in all.iter().enumerate() {
        let found = &candidate.found;
        if found.meta.is_none() {
            out.push(found.clone());
            continue;
        }
        match choose(&found.name, &all) {
            Choice::One(chosen) if chosen == index => out.push(with_shadows(chosen, &all)),
            Choice::Several(chosen) if chosen.contains(&index) => {
                let problem = format!("two workflows are named {:?} in this directory", found.name);
                out.push(Found { problem: Some(problem), ..found.clone() });
            }
            // A broken copy that was passed over is shown, a hidden one is not.
            Choice::One(chosen) if all[chosen].level > candidate.level => {
                let why = found.problem.as_deref().unwrap_or("it does not parse");
                let problem = format!("passed over for {}: {why}", all[chosen].found.path.display());
                out.push(Found { problem: Some(problem), ..found.clone() });
            }
            Choice::One(_) | Choice::Several(_) | Choice::None => {}
        }
    }
    out
}

/// The workflow of a name, exact and case-sensitive.
///
/// # Errors
/// There is none, or more than one in the nearest directory that has it.
pub fn find(name: &str, cwd: &Path, user_home: Option<&Path>, bundled: &[Bundled]) -> Result<Found, FindError> {
    let all = candidates(cwd, user_home, bundled);
    match choose(name, &all) {
        Choice::One(chosen) => Ok(with_shadows(chosen, &all)),
        Choice::Several(chosen) => {
            let paths = chosen.into_iter().map(|index| all[index].found.path.clone()).collect();
            Err(FindError::Ambiguous { name: name.to_owned(), paths })
        }
        Choice::None => {
            let mut names: Vec<&str> = all.iter().filter(|c| c.found.meta.is_some()).map(|c| &*c.found.name).collect();
            names.sort_unstable();
            names.dedup();
            let near = |other: &str| distance(&name.to_lowercase(), &other.to_lowercase(), 20).unwrap_or(usize::MAX);
            names.sort_by_key(|other| (!other.contains(name), near(other)));
            let nearest = names.into_iter().take(20).map(str::to_owned).collect();
            let meant = |c: &&Candidate| c.found.meta.is_none() && c.found.path.file_stem().is_some_and(|s| s == name);
            let why = |c: &Candidate| (c.found.path.clone(), c.found.problem.clone().unwrap_or_default());
            let broken = all.iter().filter(meant).map(why).take(5).collect();
            Err(FindError::NotFound { name: name.to_owned(), nearest, broken })
        }
    }
}

enum Choice {
    None,
    One(usize),
    Several(Vec<usize>),
}

/// Which candidate a name means: those of the nearest directory that has it; a broken one of the user gives way to a copy
/// further away that parses.
fn choose(name: &str, all: &[Candidate]) -> Choice {
    let named = |c: &&Candidate| c.found.meta.is_some() && c.found.name == name;
    let gives_way = |c: &Candidate| {
        let better = |other: &&Candidate| named(other) && other.level > c.level && !other.broken;
        c.broken && c.found.scope == Scope::User && all.iter().any(|other| better(&other))
    };
    let Some(level) = all.iter().filter(named).filter(|c| !gives_way(c)).map(|c| c.level).min() else {
        return Choice::None;
    };
    let chosen: Vec<usize> = (0..all.len()).filter(|i| named(&&all[*i]) && all[*i].level == level).collect();
    match chosen[..] {
        [one] => Choice::One(one),
        _ => Choice::Several(chosen),
    }
}

fn with_shadows(chosen: usize, all: &[Candidate]) -> Found {
    let found = &all[chosen].found;
    let hidden = |c: &&Candidate| c.found.meta.is_some() && c.found.name == found.name && c.level > all[chosen].level;
    let shadows = all.iter().filter(hidden).map(|c| c.found.path.clone()).collect();
    Found { shadows, ..found.clone() }
}

/// The directories that may hold `below`, nearest first: from `cwd` up to the repository root, then the user's.
pub(super) fn directories(cwd: &Path, user_home: Option<&Path>, below: &[&str]) -> Vec<(PathBuf, Scope)> {
    let root = cwd.ancestors().find(|d| d.join(".git").exists());
    // Outside a repository nothing says where the project ends.
    let levels: Vec<&Path> = match root {
        Some(root) => cwd.ancestors().take_while(|d| d.starts_with(root)).collect(),
        None => vec![cwd],
    };
    let mut out: Vec<(PathBuf, Scope)> = Vec::new();
    let project = levels.into_iter().map(|d| (d, Scope::Project));
    for (directory, scope) in project.chain(user_home.map(|d| (d, Scope::User))) {
        for part in below {
            let path = directory.join(part);
            // The home directory may be the repository itself.
            if !out.iter().any(|(known, _)| *known == path) {
                out.push((path, scope));
            }
        }
    }
    out
}

/// The regular files of a directory, links followed, by name.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    // Anything but a regular file is left alone: reading a pipe would wait for ever.
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_file()).collect();
    files.sort();
    files
}

/// The bytes of a file, one more than `limit` at most.
pub(super) fn read_bounded(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn candidates(cwd: &Path, user_home: Option<&Path>, bundled: &[Bundled]) -> Vec<Candidate> {
    let directories = directories(cwd, user_home, &[".owf/workflows", ".claude/workflows"]);
    let mut out = Vec::new();
    for (level, (directory, scope)) in directories.iter().enumerate() {
        for path in files(directory) {
            out.extend(candidate(path, *scope, level));
        }
    }
    for source in bundled {
        let path = PathBuf::from(format!("bundled:{}", source.name));
        let checked = check(source.source.as_bytes(), &Origin::File(path.clone()));
        let bytes = source.source.as_bytes().to_vec();
        out.push(describe(path, Scope::Bundled, directories.len(), bytes, checked));
    }
    out
}

fn candidate(path: PathBuf, scope: Scope, level: usize) -> Option<Candidate> {
    let unusable = |path: PathBuf, problem: String| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let (bytes, shadows, args_read) = (Vec::new(), Vec::new(), Vec::new());
        let found = Found { name, meta: None, path, scope, bytes, problem: Some(problem), shadows, args_read };
        Some(Candidate { found, level, broken: true })
    };
    let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
    match extension.as_deref() {
        Some(ending @ ("js" | "yaml" | "yml" | "json")) => match read_bounded(&path, limit(ending)) {
            Ok(bytes) => {
                let checked = check(&bytes, &Origin::File(path.clone()));
                Some(describe(path, scope, level, bytes, checked))
            }
            Err(error) => unusable(path, format!("it cannot be read: {error}")),
        },
        Some("mjs" | "cjs" | "ts") => {
            unusable(path, "only files ending in .js, .yaml, .yml or .json are workflows: rename it".to_owned())
        }
        Some(_) | None => None,
    }
}

/// Bytes of a workflow file that are read.
fn limit(ending: &str) -> u64 {
    if ending == "js" { MAX_SCRIPT } else { MAX_DOCUMENT }
}

fn describe(path: PathBuf, scope: Scope, level: usize, bytes: Vec<u8>, checked: Checked) -> Candidate {
    let error = checked.errors().next();
    let problem = error.map(|d| format!("{}:{} {}", d.line, d.column, d.message));
    let file_name = || path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = checked.meta.as_ref().map_or_else(file_name, |m| m.name.clone());
    let broken = checked.script.is_none();
    let args_read = checked.script.map(|s| s.args_read).unwrap_or_default();
    let found = Found { name, meta: checked.meta, path, scope, bytes, problem, shadows: Vec::new(), args_read };
    Candidate { found, level, broken }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn put(root: &Path, path: &str, name: &str, body: &str) -> PathBuf {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("export const meta = {{ name: '{name}', description: 'd' }}\n{body}")).unwrap();
        path
    }

    fn repo() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("repo/.git")).unwrap();
        std::fs::create_dir_all(dir.path().join("repo/a/b")).unwrap();
        dir
    }

    #[test]
    fn the_nearest_copy_counts_and_says_what_it_hides() {
        let dir = repo();
        let (root, home) = (dir.path().join("repo"), dir.path().join("home"));
        let near = put(&root, "a/.claude/workflows/x.js", "review", "return args.base");
        let owf = put(&root, ".owf/workflows/y.js", "review", "");
        let claude = put(&root, ".claude/workflows/z.js", "review", "");
        let user = put(&home, ".claude/workflows/r.js", "review", "");
        put(dir.path(), ".claude/workflows/outside.js", "outside", "");
        put(&root, ".claude/workflows/deep/er.js", "deeper", "");
        let bundled = [Bundled { name: "review", source: "export const meta = {name:'review',description:'d'}" }];
        let found = find("review", &root.join("a/b"), Some(&home), &bundled).unwrap();
        assert_eq!((&found.path, found.scope, &found.args_read[..]), (&near, Scope::Project, &["base".to_owned()][..]));
        assert_eq!(found.shadows, [owf.clone(), claude, user.clone(), PathBuf::from("bundled:review")]);
        assert_eq!(find("review", &root, Some(&home), &bundled).unwrap().path, owf);
        assert_eq!(find("review", dir.path(), Some(&home), &bundled).unwrap().path, user);
        let names = |found: Vec<Found>| found.into_iter().map(|f| f.name).collect::<Vec<_>>();
        assert_eq!(names(discover(&root.join("a/b"), Some(&home), &bundled)), ["review"]);
        assert_eq!(names(discover(&root.join("a/b"), None, &[])), ["review"]);
    }

    #[test]
    fn two_of_one_name_in_one_directory_are_refused() {
        let dir = repo();
        let root = dir.path().join("repo");
        let paths = [put(&root, ".claude/workflows/1.js", "x", ""), put(&root, ".claude/workflows/2.js", "x", "")];
        let error = find("x", &root, None, &[]).unwrap_err();
        assert_eq!(error, FindError::Ambiguous { name: "x".to_owned(), paths: paths.to_vec() });
        let problems: Vec<_> = discover(&root, None, &[]).into_iter().map(|f| f.problem.is_some()).collect();
        assert_eq!(problems, [true, true]);
        // A nearer copy settles it.
        let near = put(&root, ".owf/workflows/3.js", "x", "");
        assert_eq!(find("x", &root, None, &[]).unwrap().path, near);
    }

    #[test]
    fn bad_files_are_noted_and_a_broken_override_of_the_user_gives_way() {
        let dir = repo();
        let (root, home) = (dir.path().join("repo"), dir.path().join("home"));
        put(&root, ".claude/workflows/typed.ts", "typed", "");
        put(&root, ".claude/workflows/nometa.js", "", "");
        put(&root, ".claude/workflows/body.js", "body", "let = ;");
        put(&root, ".claude/workflows/notes.txt", "notes", "");
        let broken = put(&home, ".claude/workflows/b.js", "hello", "let = ;");
        let bundled = [Bundled { name: "hello", source: "export const meta = {name:'hello',description:'d'}" }];
        let found = find("hello", &root, Some(&home), &bundled).unwrap();
        assert_eq!((found.scope, found.shadows), (Scope::Bundled, vec![]));
        let body = find("body", &root, Some(&home), &bundled).unwrap();
        assert!(body.problem.is_some());
        let list: Vec<(String, bool)> =
            discover(&root, Some(&home), &bundled).into_iter().map(|f| (f.name, f.problem.is_some())).collect();
        let expected = [("body", true), ("nometa.js", true), ("typed.ts", true), ("hello", true), ("hello", false)];
        assert_eq!(list, expected.map(|(name, bad)| (name.to_owned(), bad)));
        let error = find("typed", &root, Some(&home), &bundled).unwrap_err();
        let FindError::NotFound { nearest, broken: files, .. } = error else { unreachable!() };
        assert_eq!((nearest.len(), files.len()), (2, 1));
        assert!(find("hello", &root, Some(&home), &[]).is_ok_and(|f| f.path == broken));
    }
}
