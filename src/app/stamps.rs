//! Whether the files of the configuration are still those an engine was wired from: cheap to look at, nothing is read.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::config::Places;
use super::project;
use crate::core::environment::Environment;

/// Files of the user's configuration directory that decide something, beside the configuration itself.
const OF_USER: [&str; 4] = ["providers.toml", "providers.json", "trust.json", "prices.json"];

/// One file, as far as a change of it can be seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    path: PathBuf,
    /// Inode, length, and the times of content and inode in nanoseconds; none = not there.
    seen: Option<(u64, u64, i128, i128)>,
}

impl Stamp {
    fn of(path: PathBuf) -> Self {
        let nanos = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        let seen = std::fs::metadata(&path).ok().map(|meta| {
            (meta.ino(), meta.len(), nanos(meta.mtime(), meta.mtime_nsec()), nanos(meta.ctime(), meta.ctime_nsec()))
        });
        Self { path, seen }
    }
}

/// The files that configure an engine working in `dir`: those of the user's directory, those the environment names (relative to
/// `base`), and those of a project above `dir`.
pub(super) fn of(env: &Environment, base: &Path, dir: &Path) -> Vec<Stamp> {
    let places = Places::of(env, base);
    let mut paths: Vec<PathBuf> = places.file.into_iter().collect();
    paths.extend(env.get("OWF_PROVIDERS_FILE").map(|file| base.join(file)));
    if let Some(of_user) = places.dir {
        paths.extend(OF_USER.iter().map(|name| of_user.join(name)));
    }
    paths.extend(dir.ancestors().map(|above| above.join(project::FILE)));
    paths.sort();
    paths.dedup();
    paths.into_iter().map(Stamp::of).collect()
}
