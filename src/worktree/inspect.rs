//! What became of a worktree: commits and status together, so that neither hides the other.

use std::collections::BTreeSet;
use std::path::Path;

use super::create::Worktree;
use super::git::{Git, GitError};

/// What differs from the commit a worktree started from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Commits made since.
    pub commits: u32,
    /// Paths that differ now, relative to the worktree, sorted. A renamed file counts with both names.
    pub files: Vec<String>,
    /// Whether anything at all is to be kept: also a commit that changes no file, or another commit checked out.
    pub any: bool,
}

impl Worktree {
    /// Looks at everything that may have changed.
    ///
    /// # Errors
    /// Git cannot tell; then the worktree is to be kept.
    pub fn changes(&self) -> Result<Changes, GitError> {
        let git = self.untouched()?;
        let status = git.records(&[
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=all",
            "--no-renames",
            "--ignore-submodules=dirty",
        ])?;
        let head = git.line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?;
        let branch = self.tip(&git);
        let inner = filled_links(&git, &self.dir)?;
        let moved = head != self.base || branch.as_ref().is_some_and(|tip| *tip != self.base);
        let mut files: BTreeSet<String> = BTreeSet::new();
        if moved || !status.is_empty() {
            // Tracked files as they are now, committed or not.
            let args = [
                "diff",
                "--name-only",
                "-z",
                "--no-renames",
                "--no-relative",
                "--no-ext-diff",
                "--no-textconv",
                "--ignore-submodules=dirty",
                &self.base,
                "--",
            ];
            files.extend(git.records(&args)?.iter().map(|path| String::from_utf8_lossy(path).into_owned()));
            let untracked = status.iter().filter_map(|entry| entry.strip_prefix(b"?? "));
            files.extend(untracked.map(|path| String::from_utf8_lossy(path).into_owned()));
        }
        let mut commits = 0;
        if moved {
            let mut args = vec!["rev-list", "--count", &head];
            args.extend(branch.as_deref());
            let not = format!("^{}", self.base);
            args.push(&not);
            commits = git.line(&args)?.parse().unwrap_or(1);
        }
        let any = moved || !status.is_empty() || !inner.is_empty();
        files.extend(inner);
        Ok(Changes { commits, files: files.into_iter().collect(), any })
    }

    /// Whether every change in it is committed and on its branch.
    ///
    /// # Errors
    /// Git cannot tell.
    pub fn is_committed(&self) -> Result<bool, GitError> {
        let git = self.untouched()?;
        let status = git.records(&["status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames"])?;
        let head = git.line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?;
        Ok(status.is_empty() && self.tip(&git) == Some(head))
    }

    /// The last commit of its work: what is checked out in it, or the end of its branch when its directory is gone.
    pub fn last_commit(&self) -> Option<String> {
        if self.dir.is_dir() {
            return self.untouched().ok()?.line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).ok();
        }
        self.tip(&Git::at(&self.common().ok()?))
    }

    /// The commit its branch is at; none when the branch is gone.
    fn tip(&self, git: &Git) -> Option<String> {
        let name = format!("refs/heads/{}^{{commit}}", self.branch);
        git.line(&["rev-parse", "--verify", "--quiet", &name]).ok()
    }
}

/// Submodules that somebody has put files into: they are made empty. Git is not asked about what is in them, since that would
/// run what their own configuration names; so all of it counts as work.
fn filled_links(git: &Git, dir: &Path) -> Result<Vec<String>, GitError> {
    let holds = |path: &String| std::fs::read_dir(dir.join(path)).is_ok_and(|mut entries| entries.next().is_some());
    Ok(links(git)?.into_iter().filter(holds).collect())
}

/// The paths that are submodules in the index.
pub(super) fn links(git: &Git) -> Result<Vec<String>, GitError> {
    let listed = git.records(&["ls-files", "--stage", "-z", "--full-name"])?;
    let path = |entry: &Vec<u8>| {
        let entry = entry.strip_prefix(b"160000 ")?;
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        Some(String::from_utf8_lossy(&entry[tab + 1..]).into_owned())
    };
    Ok(listed.iter().filter_map(path).collect())
}
