//! A pseudo terminal.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The side where keys are typed and the screen is read.
pub(crate) struct Pty {
    pub(crate) master: File,
    path: PathBuf,
}

impl Pty {
    pub(crate) fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        Self { master: File::from(master), path: PathBuf::from(name.into_string().unwrap()) }
    }

    /// The side of a command. Reading the other one ends when the last of them is closed.
    pub(crate) fn slave(&self) -> Stdio {
        OwnedFd::from(File::options().read(true).write(true).open(&self.path).unwrap()).into()
    }
}
