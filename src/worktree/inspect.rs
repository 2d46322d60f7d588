//! What became of a worktree: commits and status together, so that neither hides the other.

use std::collections::BTreeSet;

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
        let git = Git::at(&self.dir);
        let status = git.records(&[
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=all",
            "--no-renames",
            "--ignore-submodules=none",
        ])?;
        let head = git.line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?;
        let branch = self.tip();
        let moved = head != self.base || branch.as_ref().is_some_and(|tip| *tip != self.base);
        let mut files: BTreeSet<String> = BTreeSet::new();
        if moved || !status.is_empty() {
            // Tracked files as they are now, committed or not.
            let args =
                ["diff", "--name-only", "-z", "--no-renames", "--no-relative", "--no-ext-diff", &self.base, "--"];
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
        let any = moved || !status.is_empty();
        Ok(Changes { commits, files: files.into_iter().collect(), any })
    }

    /// The commit its branch is at; none when the branch is gone.
    fn tip(&self) -> Option<String> {
        let name = format!("refs/heads/{}^{{commit}}", self.branch);
        Git::at(&self.dir).line(&["rev-parse", "--verify", "--quiet", &name]).ok()
    }
}
