//! One change to the list of a repository's worktrees at a time: git reads half-made entries of others and gives up on them.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use super::git::{Git, GitError};

/// Tries of a change that somebody else's git got into the way of.
const TRIES: u32 = 5;

/// Held while the list changes.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that another thread is about to start shares the open file: closing alone would not be enough.
        let _ = self.0.unlock();
    }
}

/// Runs `change` on the repository that `dir` belongs to while nobody else of us changes its list of worktrees; again when
/// another program's change got into its way.
pub(super) fn alone<T>(dir: &Path, mut change: impl FnMut(&Git) -> Result<T, GitError>) -> Result<T, GitError> {
    let git = Git::at(dir);
    let common = git.path(&["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
    let path = common.join("owf-worktrees.lock");
    let io = |error: std::io::Error| GitError::Io(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
    file.lock().map_err(io)?;
    let _lock = Lock(file);
    let mut tries = 1;
    loop {
        match change(&git) {
            Err(GitError::Failed { said, .. }) if tries < TRIES && is_passing(&said) => {
                std::thread::sleep(Duration::from_millis(20 << tries));
                tries += 1;
            }
            done => return done,
        }
    }
}

/// Whether a complaint is about something that another git is doing right now.
fn is_passing(said: &str) -> bool {
    ["failed to read", "could not lock", "cannot lock ref", "Unable to create", "File exists", "index.lock"]
        .iter()
        .any(|sign| said.contains(sign))
}
