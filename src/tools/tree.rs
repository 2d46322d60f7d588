//! A directory as the only way to its files: each name on the way is opened relative to the one before, links refused.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;

use super::path::Below;

/// An open directory.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
}

/// One thing in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) is_dir: bool,
}

const COMMON: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

impl Tree {
    /// Opens a directory.
    pub(super) fn open(dir: &Path) -> Result<Self, String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, dir, flags, Mode::empty());
        opened.map(|root| Self { root }).map_err(|error| format!("the working directory cannot be opened: {error}"))
    }

    /// Opens a directory below this one.
    pub(super) fn dir(&self, path: &Below) -> Result<OwnedFd, String> {
        let mut at: Option<OwnedFd> = None;
        for name in path.names() {
            let from = at.as_ref().map_or_else(|| self.root.as_fd(), AsFd::as_fd);
            at = Some(openat(from, name, COMMON | OFlags::DIRECTORY, Mode::empty()).map_err(|e| said(path, e))?);
        }
        match at {
            Some(dir) => Ok(dir),
            None => self.root.try_clone().map_err(|error| format!("the directory cannot be opened: {error}")),
        }
    }

    /// The same; directories that are not there yet are made.
    pub(super) fn dir_made(&self, path: &Below) -> Result<OwnedFd, String> {
        let mut at = self.root.try_clone().map_err(|error| format!("the directory cannot be opened: {error}"))?;
        for name in path.names() {
            match mkdirat(&at, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(said(path, error)),
            }
            at = openat(&at, name, COMMON | OFlags::DIRECTORY, Mode::empty()).map_err(|e| said(path, e))?;
        }
        Ok(at)
    }

    /// Opens a plain file for reading. The check and the opening are one: a name that becomes a link in between is refused.
    pub(super) fn file(&self, path: &Below) -> Result<File, String> {
        let Some((dir, name)) = path.split() else { return Err(format!("{} is a directory", path.shown())) };
        let dir = self.dir(&dir)?;
        plain(dir.as_fd(), path, name)
    }
}

fn plain(dir: BorrowedFd<'_>, path: &Below, name: &str) -> Result<File, String> {
    let file = openat(dir, name, COMMON, Mode::empty()).map_err(|error| said(path, error))?;
    let mode = fstat(&file).map_err(|error| said(path, error))?.st_mode;
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => Ok(File::from(file)),
        FileType::Directory => Err(format!("{} is a directory", path.shown())),
        _ => Err(format!("{} is no plain file", path.shown())),
    }
}

/// Plain files and directories in an open directory, by name. Links and names that are no text are left out.
pub(super) fn items(dir: &OwnedFd) -> Result<Vec<Item>, String> {
    let failed = |error: Errno| format!("the directory cannot be read: {error}");
    let mut found = Vec::new();
    for entry in Dir::read_from(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => rustix::fs::statat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
            known => known,
        };
        if matches!(kind, FileType::RegularFile | FileType::Directory) {
            found.push(Item { name: name.to_owned(), is_dir: kind == FileType::Directory });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// What went wrong, for a model.
pub(super) fn said(path: &Below, error: Errno) -> String {
    let path = path.shown();
    match error {
        Errno::NOENT => format!("there is no {path}"),
        // A link at a place where a directory is wanted is reported as the latter.
        Errno::LOOP | Errno::MLINK | Errno::NOTDIR => {
            format!("{path} is a link or leads through one, or is no directory")
        }
        Errno::ACCESS | Errno::PERM => format!("{path} may not be opened"),
        Errno::NXIO => format!("{path} is no plain file"),
        other => format!("{path} cannot be opened: {other}"),
    }
}
