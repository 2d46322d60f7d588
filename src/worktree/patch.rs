//! The work of a worktree as one patch, untracked files included, without touching its index.

use super::create::Worktree;
use super::git::{Git, GitError};
use super::inspect::links;

impl Worktree {
    /// Everything that differs from its base, as git's own patch with binary files in it.
    ///
    /// # Errors
    /// Git said no, or a temporary file could not be written.
    pub fn patch(&self) -> Result<Vec<u8>, GitError> {
        let io = |error: std::io::Error| GitError::Io(error.to_string());
        let git = self.git()?;
        let index = git.path(&["rev-parse", "--path-format=absolute", "--git-path", "index"])?;
        let scratch = tempfile::tempdir().map_err(io)?;
        let copy = scratch.path().join("index");
        if index.is_file() {
            std::fs::copy(&index, &copy).map_err(io)?;
            // By its time git knows which files may have changed since: a newer one would hide a change of the last moment.
            let written = index.metadata().and_then(|facts| facts.modified()).map_err(io)?;
            std::fs::File::options().write(true).open(&copy).and_then(|file| file.set_modified(written)).map_err(io)?;
        }
        let git = git.with_index(copy);
        stage(&git)?;
        git.run(&[
            "diff",
            "--cached",
            "--binary",
            "--full-index",
            "--no-renames",
            "--no-relative",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--ignore-submodules=dirty",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            &self.base,
            "--",
        ])
    }

    /// Commits what is not committed yet, so that the branch alone holds all of the work; whether there was any.
    ///
    /// # Errors
    /// Git said no.
    pub fn save(&self, message: &str) -> Result<bool, GitError> {
        let git = self.untouched()?;
        stage(&git)?;
        if git
            .records(&["diff", "--cached", "--name-only", "-z", "--no-ext-diff", "--no-textconv", "HEAD", "--"])?
            .is_empty()
        {
            return Ok(false);
        }
        git.run(&[
            "-c",
            "user.name=owf",
            "-c",
            "user.email=owf@localhost",
            "commit",
            "--quiet",
            "--no-verify",
            "--message",
            message,
        ])?;
        Ok(true)
    }
}

/// Puts everything into the index. Of a submodule only the commit it is at: git would look for changes in it otherwise, and run
/// what its own configuration names.
fn stage(git: &Git) -> Result<(), GitError> {
    let links = links(git)?;
    let mut add = ["-c", "core.safecrlf=false", "-c", "advice.addEmbeddedRepo=false", "add", "--all", "--", ":/"]
        .map(str::to_owned)
        .to_vec();
    add.extend(links.iter().map(|path| format!(":(exclude,top,literal){path}")));
    git.run(&add)?;
    if !links.is_empty() {
        let mut update = ["update-index", "--remove", "--replace", "--"].map(str::to_owned).to_vec();
        update.extend(links);
        git.run(&update)?;
    }
    Ok(())
}
