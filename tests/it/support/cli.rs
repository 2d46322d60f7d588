//! The real binary in a directory of its own, with an environment of its own.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A directory with a home and nothing from the user's configuration.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

/// What a command printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Printed {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Printed {
    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not one JSON document ({e}): {self:?}"))
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Writes a file below the directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_owf"));
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", self.path().join("user"))
            .env("OWF_HOME", self.home())
            .env("OWF_CONFIG", "none")
            .env("NO_COLOR", "1")
            .env("OWF_ALLOW_CRASH", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn owf(&self, args: &[&str]) -> Printed {
        printed(&self.command(args).output().unwrap())
    }

    /// Runs a command that must succeed and prints one JSON document.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let printed = self.owf(args);
        assert_eq!(printed.code, 0, "owf {args:?}: {printed:?}");
        printed.json()
    }

    /// Starts a command and leaves it running.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The store of this place.
    pub(crate) fn store(&self) -> owf::store::Store {
        owf::store::Store::open(&self.home(), owf::store::OpenMode::Existing).unwrap()
    }

    /// The lines of an invocation log below the directory, as JSON.
    pub(crate) fn log(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path().join(name)).unwrap_or_default();
        // A process killed while it wrote may leave half a line, which is no invocation.
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }
}

pub(crate) fn printed(output: &Output) -> Printed {
    Printed {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until `reached` holds, for ten times the figure it is expected to take.
pub(crate) fn eventually(figure: Duration, what: &str, mut reached: impl FnMut() -> bool) {
    let until = Instant::now() + 10 * figure;
    while !reached() {
        assert!(Instant::now() < until, "not within {:?}: {what}", 10 * figure);
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
