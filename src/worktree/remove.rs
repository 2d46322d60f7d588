//! Removing a worktree: its directory, what git knows of it, and its branch.

use std::path::Path;

use super::create::Worktree;
use super::git::{Git, GitError};
use super::lock::alone;

impl Worktree {
    /// Removes directory and branch, whatever they hold.
    ///
    /// # Errors
    /// The directory cannot be removed.
    pub fn remove(&self) -> Result<(), GitError> {
        let repository = self.common()?;
        self.remove_from(&repository)
    }

    /// Removes the directory only; the branch keeps what was committed.
    ///
    /// # Errors
    /// The directory cannot be removed.
    pub fn remove_directory(&self) -> Result<(), GitError> {
        let repository = self.common()?;
        self.take_away(&repository)
    }

    /// Removes it by way of a directory of the same repository.
    pub(super) fn remove_from(&self, repository: &Path) -> Result<(), GitError> {
        self.take_away(repository)?;
        let name = format!("refs/heads/{}", self.branch);
        let git = Git::at(repository);
        if git.run(&["show-ref", "--verify", "--quiet", &name]).is_ok() {
            git.run(&["update-ref", "-d", &name])?;
        }
        Ok(())
    }

    fn take_away(&self, repository: &Path) -> Result<(), GitError> {
        let args = ["worktree", "remove", "--force", "--force", "--"].map(std::ffi::OsStr::new);
        let args = [&args[..], &[self.dir.as_os_str()]].concat();
        alone(repository, |git| {
            let asked = git.run(&args);
            if self.dir.exists() {
                if let Err(error) = std::fs::remove_dir_all(&self.dir) {
                    return Err(GitError::Io(format!("{}: {error}", self.dir.display())));
                }
                if asked.is_err() {
                    git.run(&["worktree", "prune"])?;
                }
            }
            Ok(())
        })?;
        // The folder of the run, and that of all worktrees, go with the last one.
        for parent in self.dir.ancestors().skip(1).take(2) {
            if std::fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }
}
