//! A git repository for tests: made and looked at with the real program.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A working tree.
#[derive(Debug, Clone)]
pub(crate) struct Repo(pub(crate) PathBuf);

impl Repo {
    /// A repository in `dir` with one commit that holds `files`.
    pub(crate) fn new(dir: &Path, files: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let repo = Self(dir.canonicalize().unwrap());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        for (path, text) in files {
            repo.write(path, text);
        }
        repo.git(&["add", "--all"]);
        repo.git(&["commit", "--quiet", "--allow-empty", "--message=first"]);
        repo
    }

    /// Runs git in it and gives what it printed, without the last line end.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let (code, out, err) = self.try_git(args);
        assert_eq!(code, 0, "git {args:?}: {err}");
        out
    }

    pub(crate) fn try_git(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new("git")
            .arg("-C")
            .arg(&self.0)
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.invalid", "-c", "core.quotePath=false"])
            .args(["-c", "protocol.file.allow=always"])
            .args(args)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", &self.0)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.join(path)).unwrap()
    }

    /// What is not as its commit has it.
    pub(crate) fn status(&self) -> String {
        self.git(&["status", "--porcelain=v1", "--untracked-files=all"])
    }

    /// The branches that owf made.
    pub(crate) fn branches(&self) -> Vec<String> {
        let out = self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/owf"]);
        out.lines().map(str::to_owned).collect()
    }
}
