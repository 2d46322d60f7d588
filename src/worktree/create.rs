//! Making a worktree for an attempt: at the workspace's commit, on a branch of its own.

use std::path::{Path, PathBuf};

use super::git::{Git, GitError};
use super::lock::alone;

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The directory agents work in: somewhere in a working tree.
    pub workspace: PathBuf,
    /// Where the worktree goes; nothing is there yet.
    pub dir: PathBuf,
    /// The branch it gets; another of like name when there is one already.
    pub branch: String,
}

/// A worktree on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worktree {
    /// Its top directory.
    pub dir: PathBuf,
    /// Its branch.
    pub branch: String,
    /// The commit it started from.
    pub base: String,
    /// The common directory of its repository; unknown for one that was made before this was recorded.
    pub repository: Option<PathBuf>,
}

impl Plan {
    /// Looks at the repository and says what the worktree will be. Nothing is made yet.
    ///
    /// # Errors
    /// Git is missing, there is no repository, or nothing has been committed in it.
    pub fn worktree(&self) -> Result<Worktree, GitError> {
        let git = Git::at(&self.workspace);
        match git.line(&["rev-parse", "--is-inside-work-tree"]) {
            Ok(inside) if inside == "true" => {}
            Ok(_) => return Err(GitError::Refused("the workspace is in no working tree".to_owned())),
            Err(GitError::Failed { said, .. }) if said.starts_with("not a git repository") => {
                return Err(GitError::Refused("the workspace is in no git repository".to_owned()));
            }
            Err(error) => return Err(error),
        }
        let base = git.line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).map_err(|error| match error {
            GitError::Failed { .. } => GitError::Refused(
                "nothing is committed in the repository yet, so there is no state to start from".into(),
            ),
            other => other,
        })?;
        let common = repository(&self.workspace)?;
        Ok(Worktree { dir: self.dir.clone(), branch: self.free_branch(&git)?, base, repository: Some(common) })
    }

    /// Where in the worktree an agent works: the same place as the workspace has in its own tree.
    ///
    /// # Errors
    /// Git cannot tell.
    pub fn cwd(&self) -> Result<PathBuf, GitError> {
        let prefix = Git::at(&self.workspace).path(&["rev-parse", "--show-prefix"])?;
        Ok(if prefix.as_os_str().is_empty() { self.dir.clone() } else { self.dir.join(prefix) })
    }

    /// How many entries of the workspace's tree are not as its commit has them.
    ///
    /// # Errors
    /// Git cannot tell.
    pub fn uncommitted(&self) -> Result<usize, GitError> {
        let git = Git::at(&self.workspace);
        Ok(git.records(&["status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames"])?.len())
    }

    fn free_branch(&self, git: &Git) -> Result<String, GitError> {
        let names = std::iter::once(self.branch.clone()).chain((2..100).map(|n| format!("{}.{n}", self.branch)));
        for name in names {
            let found = git.run(&["show-ref", "--verify", "--quiet", &format!("refs/heads/{name}")]);
            match found {
                Ok(_) => {}
                Err(GitError::Failed { .. }) => return Ok(name),
                Err(error) => return Err(error),
            }
        }
        Err(GitError::Refused(format!("there are too many branches named {}", self.branch)))
    }
}

/// The common directory of the repository that a directory lies in.
///
/// # Errors
/// Git cannot tell.
pub fn repository(workspace: &Path) -> Result<PathBuf, GitError> {
    Git::at(workspace).path(&["rev-parse", "--path-format=absolute", "--git-common-dir"])
}

/// Makes what [`Plan::worktree`] has found out. What was begun is undone when it fails.
///
/// # Errors
/// The directory exists, or git said no.
pub fn create(plan: &Plan, tree: &Worktree) -> Result<(), GitError> {
    if tree.dir.exists() {
        return Err(GitError::Refused(format!("{} is there already", tree.dir.display())));
    }
    let name: &std::ffi::OsStr = tree.branch.as_ref();
    let base: &std::ffi::OsStr = tree.base.as_ref();
    let words = ["worktree", "add", "--quiet", "--no-track", "--no-checkout", "-b"].map(std::ffi::OsStr::new);
    let dashes = std::ffi::OsStr::new("--");
    let args = [&words[..], &[name, dashes, tree.dir.as_os_str(), base]].concat();
    let reference = format!("refs/heads/{}", tree.branch);
    let added = alone(&plan.workspace, |git| {
        let added = git.run(&args);
        if added.is_err() {
            // The branch may have come about before it failed, and would be in the way of another try.
            let _ = git.run(&["update-ref", "-d", &reference, &tree.base]);
        }
        added
    });
    // The files come without the lock: there may be many.
    let added = added.and_then(|_| Git::at(&tree.dir).run(&["reset", "--hard", "--quiet", "--no-recurse-submodules"]));
    let made = added.and_then(|_| {
        let cwd = plan.cwd()?;
        // A directory that holds nothing committed is not there.
        std::fs::create_dir_all(&cwd).map_err(|error| GitError::Io(format!("{}: {error}", cwd.display())))
    });
    if made.is_err() {
        let _ = tree.remove_from(&plan.workspace);
    }
    made
}
