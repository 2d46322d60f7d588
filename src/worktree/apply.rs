//! Taking work over: a patch onto a working tree, all of it or nothing.

use std::path::Path;

use super::git::{Git, GitError};

/// How an application went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// The tree has the changes now, uncommitted.
    Yes,
    /// It would conflict; nothing was changed.
    Conflict {
        /// What git said about it.
        said: String,
    },
}

/// Applies a patch to the working tree that `workspace` lies in. The index stays as it is.
///
/// # Errors
/// Git cannot be run there.
pub fn apply(workspace: &Path, patch: &[u8]) -> Result<Applied, GitError> {
    let top = Git::at(workspace).path(&["rev-parse", "--show-toplevel"])?;
    let git = Git::at(&top);
    if patch.is_empty() {
        return Ok(Applied::Yes);
    }
    for check in [true, false] {
        let mut args = vec!["-c", "apply.ignoreWhitespace=no", "apply", "--whitespace=nowarn", "--binary"];
        args.extend(check.then_some("--check"));
        args.push("-");
        match git.feed(&args, Some(patch)) {
            Ok(_) => {}
            Err(GitError::Failed { said, .. }) => return Ok(Applied::Conflict { said }),
            Err(error) => return Err(error),
        }
    }
    Ok(Applied::Yes)
}
