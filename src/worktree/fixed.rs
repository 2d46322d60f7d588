//! Which repository a worktree belongs to, told from the repository's side: an agent may have done anything to the `.git` in it.

use std::path::{Path, PathBuf};

use super::create::Worktree;
use super::git::{Git, GitError};

impl Worktree {
    /// Git in this worktree, whatever became of its `.git`.
    pub(super) fn git(&self) -> Result<Git, GitError> {
        let common = self.common()?;
        let git_dir = entry(&common, &self.dir)
            .ok_or_else(|| GitError::Refused("its repository does not know it any more".to_owned()))?;
        Ok(Git::fixed(&self.dir, git_dir, common))
    }

    /// The same where the `.git` in it is still the file that git has made; another may have a history of its own.
    pub(super) fn untouched(&self) -> Result<Git, GitError> {
        let git = self.git()?;
        let common = self.common()?;
        let led = pointed(&self.dir).and_then(|dir| dir.canonicalize().ok());
        let known = entry(&common, &self.dir).and_then(|dir| dir.canonicalize().ok());
        if led.is_some() && led == known {
            Ok(git)
        } else {
            Err(GitError::Refused("the .git in it is gone or another".to_owned()))
        }
    }

    /// The common directory of its repository: as recorded, else as its own `.git` tells.
    pub(super) fn common(&self) -> Result<PathBuf, GitError> {
        let told = || Some(pointed(&self.dir)?.parent()?.parent()?.to_owned());
        let common = self.repository.clone().or_else(told);
        // What lies in the worktree is the agent's own.
        let elsewhere = |common: &PathBuf| match (common.canonicalize(), self.dir.canonicalize()) {
            (Ok(common), Ok(dir)) => !common.starts_with(dir),
            (Ok(_), Err(_)) => true,
            (Err(_), _) => false,
        };
        common.filter(elsewhere).ok_or_else(|| GitError::Refused("its repository cannot be told".to_owned()))
    }
}

/// Where the file `.git` of a worktree points; nothing when it is no such file.
fn pointed(dir: &Path) -> Option<PathBuf> {
    let path = dir.join(".git");
    if !std::fs::symlink_metadata(&path).ok()?.is_file() {
        return None;
    }
    let text = std::fs::read_to_string(&path).ok()?;
    Some(dir.join(text.strip_prefix("gitdir: ")?.trim_end_matches('\n')))
}

/// The directory that a repository has for the worktree in `dir`.
fn entry(common: &Path, dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    let is_its = |entry: &PathBuf| {
        let back = std::fs::read_to_string(entry.join("gitdir")).ok()?;
        let back = entry.join(back.trim_end_matches('\n'));
        Some(back.ends_with(".git") && back.parent()?.canonicalize().ok()? == dir)
    };
    let entries = std::fs::read_dir(common.join("worktrees")).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).find(|entry| is_its(entry) == Some(true))
}
