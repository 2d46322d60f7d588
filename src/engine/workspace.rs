//! The state of the workspace, for providers that read it: what each file in a scope holds, committed or not.
//!
//! A state is the same for the same content: a commit of what was there already changes nothing. What it was made of is kept as
//! a small manifest (a git tree and the files that differ from it), so that a later difference can be named.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::core::ids::Hash;
use crate::core::run::RunSpec;
use crate::store::{Store, StoreError};
use crate::worktree::{Git, GitError};

/// Files that may differ from their commit before a workspace is too much in flux to be described.
const MOST_DIRTY: usize = 5_000;
/// Files that differ which a manifest names; of more, some differences cannot be named later.
const MOST_NAMED: usize = 500;
/// Files of more bytes count by size and time instead of content.
const BIG: u64 = 8 * 1024 * 1024;

/// A state with what it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The state: equal for equal content of the scope.
    pub(crate) state: String,
    /// The manifest, to be kept under its hash.
    pub(crate) manifest: Vec<u8>,
}

impl Seen {
    /// The hash of the manifest: by it an outcome tells what its answer rests on.
    pub(crate) fn id(&self) -> Hash {
        Hash::of(&self.manifest)
    }
}

/// What a state was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) state: String,
    /// The scope, relative to the workspace; empty = everything.
    #[serde(default)]
    pub(super) scope: Vec<String>,
    /// The tree of the commit that was checked out.
    #[serde(default)]
    pub(super) tree: Option<String>,
    /// Files that differed from it: what they held, nothing for one that was gone. Paths start at the repository's top.
    #[serde(default)]
    pub(super) dirty: BTreeMap<String, Option<String>>,
}

/// What `scope` (paths relative to `dir`; none = everything) holds now, `excluded` paths left out. None where git cannot tell,
/// or where too much has changed: then nothing that reads the workspace is cached.
pub(crate) fn look(dir: &Path, scope: Option<&[String]>, excluded: &[PathBuf]) -> Option<Seen> {
    let scope = scope.unwrap_or_default();
    let git = Git::at(dir);
    let top = git.path(&["rev-parse", "--show-toplevel"]).ok()?;
    let tree = match git.line(&["rev-parse", "--verify", "--quiet", "HEAD^{tree}"]) {
        Ok(tree) => Some(tree),
        Err(GitError::Failed { .. }) => None,
        Err(_) => return None,
    };
    let paths = pathspecs(scope)?;
    let with = |words: &[&'static str]| -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).chain(paths.iter().cloned()).collect()
    };
    let is_excluded = |path: &[u8]| {
        let path = top.join(OsStr::from_bytes(path));
        excluded.iter().any(|excluded| path.starts_with(excluded))
    };
    let status =
        ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty", "--"];
    let entries = git.run(&with(&status)).ok()?;
    let changed = entries.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..));
    let changed: Vec<Vec<u8>> = changed.filter(|path| !is_excluded(path)).map(<[u8]>::to_vec).collect();
    if changed.len() > MOST_DIRTY {
        return None;
    }
    let dirty = contents(&top, &changed)?;
    let listed = git.run(&with(&["ls-files", "--stage", "-z", "--full-name", "--"])).ok()?;
    // By path, so that it does not matter which files are committed.
    let mut held: BTreeMap<&[u8], String> = BTreeMap::new();
    for entry in listed.split(|byte| *byte == 0) {
        // Mode, object id and stage, then the path behind a tab.
        let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else { continue };
        let (facts, path) = (String::from_utf8_lossy(&entry[..tab]), &entry[tab + 1..]);
        let id = facts.split(' ').nth(1).unwrap_or_default();
        if facts.starts_with("160000 ") && !is_excluded(path) {
            // What is in a submodule cannot be told without running what its own configuration names.
            let mut inside = std::fs::read_dir(top.join(OsStr::from_bytes(path))).into_iter().flatten();
            if inside.next().is_some() {
                return None;
            }
        }
        if !is_excluded(path) {
            held.insert(path, id.to_owned());
        }
    }
    for (path, id) in &dirty {
        match id {
            Some(id) => held.insert(path, id.clone()),
            None => held.remove(path.as_slice()),
        };
    }
    let mut hasher = Sha256::new();
    for (path, id) in held {
        for part in [path, b"\0", id.as_bytes(), b"\0"] {
            hasher.update(part);
        }
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let state = Hash::from_bytes(digest).short();
    let named = dirty.into_iter().take(MOST_NAMED);
    let dirty = named.map(|(path, id)| (String::from_utf8_lossy(&path).into_owned(), id)).collect();
    let manifest = Manifest { format: 1, state: state.clone(), scope: scope.to_vec(), tree, dirty };
    Some(Seen { state, manifest: serde_json::to_vec(&manifest).ok()? })
}

/// A scope as git reads it; none for one that git would read as something else.
pub(super) fn pathspecs(scope: &[String]) -> Option<Vec<String>> {
    if scope.is_empty() {
        return Some(vec![".".to_owned()]);
    }
    let one = |entry: &String| {
        let path = entry.trim_start_matches("./");
        match path {
            "" => Some(".".to_owned()),
            path if path.starts_with(':') => None,
            path if path.contains("**") => Some(format!(":(glob){path}")),
            path => Some(path.to_owned()),
        }
    };
    scope.iter().map(one).collect()
}

/// What files below `top` hold: the ids git would give them; nothing for one that is gone. None for a directory, which is a
/// repository of its own.
fn contents(top: &Path, paths: &[Vec<u8>]) -> Option<BTreeMap<Vec<u8>, Option<String>>> {
    let mut found = BTreeMap::new();
    let mut asked: Vec<&Vec<u8>> = Vec::new();
    for path in paths {
        let file = top.join(OsStr::from_bytes(path));
        let Ok(facts) = std::fs::symlink_metadata(&file) else {
            found.insert(path.clone(), None);
            continue;
        };
        if facts.is_dir() {
            return None;
        }
        let id = if facts.is_symlink() {
            format!("link {}", Hash::of(std::fs::read_link(&file).ok()?.as_os_str().as_bytes()).short())
        } else if !facts.is_file() || facts.len() > BIG {
            format!("big {} {}.{}", facts.len(), facts.mtime(), facts.mtime_nsec())
        } else if path.contains(&b'\n') {
            format!("file {}", Hash::of(std::fs::read(&file).ok()?).short())
        } else {
            asked.push(path);
            continue;
        };
        found.insert(path.clone(), Some(id));
    }
    if !asked.is_empty() {
        let names: Vec<u8> = asked.iter().flat_map(|path| [path.as_slice(), b"\n"]).flatten().copied().collect();
        let ids = Git::at(top).feed(&["hash-object", "--stdin-paths"], Some(&names)).ok()?;
        let ids = String::from_utf8_lossy(&ids);
        let ids: Vec<&str> = ids.lines().collect();
        if ids.len() != asked.len() {
            return None;
        }
        found.extend(asked.into_iter().cloned().zip(ids.into_iter().map(|id| Some(id.to_owned()))));
    }
    Some(found)
}

/// Paths whose content says nothing about the workspace: the home, worktrees, workflow files.
pub(crate) fn excluded(store: &Store, spec: &RunSpec) -> Vec<PathBuf> {
    let workspace = PathBuf::from(&spec.workspace);
    let mut out = vec![PathBuf::from(super::reference::home(store))];
    out.extend([".claude/workflows", ".owf/workflows", ".claude/worktrees"].map(|dir| workspace.join(dir)));
    out.extend(spec.source_path.as_ref().map(PathBuf::from));
    out
}

/// Keeps the manifest of a state.
///
/// # Errors
/// What the store says.
pub(crate) fn keep(store: &Store, seen: &Seen) -> Result<Hash, StoreError> {
    store.put_source(&seen.manifest)
}

/// A kept manifest.
pub(super) fn manifest(store: &Store, id: &Hash) -> Option<Manifest> {
    serde_json::from_slice(&store.source(id).ok()??).ok()
}

/// Compares recorded answers with the workspace as it is now; each scope is looked at once.
pub(crate) struct Comparison<'a> {
    store: &'a Store,
    workspace: PathBuf,
    excluded: Vec<PathBuf>,
    now: std::cell::RefCell<BTreeMap<Vec<String>, Option<Seen>>>,
}

impl<'a> Comparison<'a> {
    /// With the workspace of a run.
    pub(crate) fn with(store: &'a Store, spec: &RunSpec) -> Self {
        let now = std::cell::RefCell::default();
        Self { store, workspace: PathBuf::from(&spec.workspace), excluded: excluded(store, spec), now }
    }

    /// Whether the files that an answer rests on are others now. `recorded` is what its outcome says of the workspace.
    pub(crate) fn changed(&self, recorded: Option<&str>) -> bool {
        let Some(recorded) = recorded else { return false };
        // What cannot be compared counts as changed.
        let Some(then) = self.then(recorded) else { return true };
        self.now(&then.scope).is_none_or(|now| now.state != then.state)
    }

    /// The files that differ, as far as they can be named.
    pub(crate) fn files(&self, recorded: &str) -> Vec<String> {
        let Some(then) = self.then(recorded) else { return Vec::new() };
        let now = self.now(&then.scope).and_then(|now| serde_json::from_slice(&now.manifest).ok());
        now.map_or_else(Vec::new, |now: Manifest| super::workspace_diff::files(&self.workspace, &then, &now))
    }

    fn then(&self, recorded: &str) -> Option<Manifest> {
        manifest(self.store, &recorded.parse().ok()?)
    }

    fn now(&self, scope: &[String]) -> Option<Seen> {
        let mut known = self.now.borrow_mut();
        let seen = known.entry(scope.to_vec()).or_insert_with(|| look(&self.workspace, Some(scope), &self.excluded));
        seen.clone()
    }
}

/// The top level of the git repository that `dir` lies in.
pub fn top_level(dir: &Path) -> Option<PathBuf> {
    Git::at(dir).path(&["rev-parse", "--show-toplevel"]).ok()
}

/// The main working tree of the repository that `dir` lies in, also from a linked worktree.
pub fn main_tree(dir: &Path) -> Option<PathBuf> {
    let common = Git::at(dir).path(&["rev-parse", "--path-format=absolute", "--git-common-dir"]).ok()?;
    if common.file_name().is_some_and(|n| n == ".git") {
        common.parent().map(Path::to_path_buf)
    } else {
        top_level(dir)
    }
}

/// A `.git` that decides what git says of the directories below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryMark {
    path: PathBuf,
    device: u64,
    number: u64,
    /// When a file that leads elsewhere was written; a directory changes all the time.
    written: Option<(i64, i64)>,
    /// Whether it is a repository already, and not yet an empty directory.
    begun: bool,
}

/// Every `.git` from `dir` upwards. As long as they are the same, [`top_level`] and [`main_tree`] are; asking git instead takes
/// a process.
pub fn marks(dir: &Path) -> Vec<RepositoryMark> {
    let mark = |dir: &Path| {
        let path = dir.join(".git");
        let found = std::fs::metadata(&path).ok()?;
        let (device, number) = (found.dev(), found.ino());
        let written = found.is_file().then(|| (found.mtime(), found.mtime_nsec()));
        let begun = path.join("HEAD").exists();
        Some(RepositoryMark { path, device, number, written, begun })
    };
    dir.ancestors().filter_map(mark).collect()
}
