//! The state of the workspace, for providers that read it: a hash of the git tree and of everything modified or untracked.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::core::ids::Hash;

/// The hash of what `scope` (paths relative to `dir`; none = everything) holds now, `excluded` paths left out. None where
/// git cannot tell: then nothing that reads the workspace is cached.
pub(crate) fn state(dir: &Path, scope: Option<&[String]>, excluded: &[PathBuf]) -> Option<String> {
    let top = PathBuf::from(text(&git(dir, &["rev-parse", "--show-toplevel"])?));
    let tree = match git(dir, &["rev-parse", "--verify", "-q", "HEAD^{tree}"]) {
        Some(tree) if scope.is_none_or(<[String]>::is_empty) => tree,
        Some(_) => {
            let mut args = vec!["ls-tree", "-r", "HEAD", "--"];
            args.extend(scope.unwrap_or_default().iter().map(String::as_str));
            git(dir, &args)?
        }
        None => Vec::new(),
    };
    let mut args = vec!["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--"];
    let all = [".".to_owned()];
    args.extend(scope.filter(|s| !s.is_empty()).unwrap_or(&all).iter().map(String::as_str));
    let status = git(dir, &args)?;
    let mut hasher = Sha256::new();
    hasher.update(&tree);
    for entry in status.split(|b| *b == 0).filter(|e| e.len() > 3) {
        let path = top.join(text(&entry[3..]));
        if excluded.iter().any(|e| path.starts_with(e)) {
            continue;
        }
        hasher.update(entry);
        hasher.update(b"\0");
        match std::fs::read(&path) {
            Ok(bytes) => hasher.update(Hash::of(bytes).as_bytes()),
            Err(_) => hasher.update(b"absent"),
        }
    }
    let digest: [u8; 32] = hasher.finalize().into();
    Some(Hash::from_bytes(digest).short())
}

/// The top level of the git repository that `dir` lies in.
pub fn top_level(dir: &Path) -> Option<PathBuf> {
    git(dir, &["rev-parse", "--show-toplevel"]).map(|out| PathBuf::from(text(&out)))
}

/// The main working tree of the repository that `dir` lies in, also from a linked worktree.
pub fn main_tree(dir: &Path) -> Option<PathBuf> {
    let common = PathBuf::from(text(&git(dir, &["rev-parse", "--path-format=absolute", "--git-common-dir"])?));
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

fn git(dir: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned()
}
