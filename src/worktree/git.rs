//! The `git` program: no shell, English messages, no hooks, and only the variables of the environment that it needs: none that
//! points it elsewhere, and no key that a program named in some configuration could read.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

use crate::process::is_for_git;

/// Settings of every command: nothing of the repository is executed, nothing is tidied up beside the work.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
];

/// What kept git from answering.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GitError {
    /// The program is not there.
    #[error("git is not on PATH")]
    Missing,
    /// The program could not be started or read.
    #[error("git could not be run: {0}")]
    Io(String),
    /// It said no.
    #[error("git {command}: {said}")]
    Failed {
        /// Its subcommand.
        command: String,
        /// What it said, on one line.
        said: String,
    },
    /// What was asked for cannot be done here.
    #[error("{0}")]
    Refused(String),
}

/// Runs git in one directory.
#[derive(Debug, Clone)]
pub struct Git {
    dir: PathBuf,
    index: Option<PathBuf>,
    fixed: Option<Fixed>,
}

/// The repository of a worktree that an agent has worked in: nothing in the worktree decides what git reads.
#[derive(Debug, Clone)]
struct Fixed {
    git_dir: PathBuf,
    common: PathBuf,
}

impl Git {
    /// Git in `dir`.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), index: None, fixed: None }
    }

    /// Git in the worktree `dir` whose own git directory is `git_dir`, in the repository `common`; a `.git` in `dir` is not read.
    pub(super) fn fixed(dir: &Path, git_dir: PathBuf, common: PathBuf) -> Self {
        Self { fixed: Some(Fixed { git_dir, common }), ..Self::at(dir) }
    }

    /// The same with an index file of its own, so that the real one stays as it is.
    #[must_use]
    pub(super) fn with_index(mut self, index: PathBuf) -> Self {
        self.index = Some(index);
        self
    }

    /// Runs a command to its end and gives what it printed.
    ///
    /// # Errors
    /// Git is missing, cannot be run, or said no.
    pub fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Result<Vec<u8>, GitError> {
        self.feed(args, None)
    }

    /// The same with something on its standard input.
    ///
    /// # Errors
    /// As [`Git::run`].
    pub fn feed<A: AsRef<OsStr>>(&self, args: &[A], input: Option<&[u8]>) -> Result<Vec<u8>, GitError> {
        let mut command = Command::new("git");
        command.env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_for_git)));
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        command
            .arg("-C")
            .arg(&self.dir)
            .args(args)
            .env("LC_ALL", "C")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(fixed) = &self.fixed {
            command
                .env("GIT_DIR", &fixed.git_dir)
                .env("GIT_COMMON_DIR", &fixed.common)
                .env("GIT_WORK_TREE", &self.dir)
                .env("GIT_NO_LAZY_FETCH", "1");
        }
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if self.dir.is_dir() || !self.dir.exists() => GitError::Missing,
            _ => GitError::Io(error.to_string()),
        })?;
        let feeder = input.zip(child.stdin.take()).map(|(input, mut stdin)| {
            let input = input.to_vec();
            // Git may stop reading when it has seen enough; it says so itself.
            std::thread::spawn(move || drop(stdin.write_all(&input)))
        });
        let output = child.wait_with_output().map_err(|error| GitError::Io(error.to_string()))?;
        if let Some(feeder) = feeder {
            // It ends with the pipe.
            let _ = feeder.join();
        }
        if output.status.success() {
            return Ok(output.stdout);
        }
        let words: Vec<String> = args.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
        let settings = words.iter().position(|word| word != "-c" && !word.contains('=')).unwrap_or(0);
        let command = words.get(settings).cloned().unwrap_or_default();
        Err(GitError::Failed { command, said: said(&output.stderr) })
    }

    /// Runs a command and gives the one line it printed.
    ///
    /// # Errors
    /// As [`Git::run`].
    pub fn line(&self, args: &[&str]) -> Result<String, GitError> {
        let mut out = self.run(args)?;
        if out.last() == Some(&b'\n') {
            out.pop();
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// Runs a command and gives the one path it printed.
    ///
    /// # Errors
    /// As [`Git::run`].
    pub fn path(&self, args: &[&str]) -> Result<PathBuf, GitError> {
        let mut out = self.run(args)?;
        if out.last() == Some(&b'\n') {
            out.pop();
        }
        Ok(PathBuf::from(OsString::from_vec(out)))
    }

    /// Runs a command and gives the records it printed, which end with a zero byte each.
    ///
    /// # Errors
    /// As [`Git::run`].
    pub fn records(&self, args: &[&str]) -> Result<Vec<Vec<u8>>, GitError> {
        let out = self.run(args)?;
        Ok(out.split(|byte| *byte == 0).filter(|record| !record.is_empty()).map(<[u8]>::to_vec).collect())
    }
}

/// The last words of git's complaint, without its prefix.
fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = |line: &&&str| line.starts_with("fatal: ") || line.starts_with("error: ");
    let line = lines.iter().find(told).or(lines.last()).copied().unwrap_or("no reason given");
    let line = line.trim_start_matches("fatal: ").trim_start_matches("error: ");
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_one_line_without_its_prefix() {
        assert_eq!(said(b"Preparing\nfatal: not a git repository\n"), "not a git repository");
        assert_eq!(said(b"error: patch failed: a:1\nerror: a: patch does not apply\n"), "patch failed: a:1");
        assert_eq!(said(b""), "no reason given");
    }
}
