//! A run directory as the only way to its files: each name on the way is opened relative to the one before, links refused.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::path::ArtifactPath;
use crate::core::failure::{Code, Failure};
use crate::core::time::Millis;

/// A file of a run, as the directory lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: ArtifactPath,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When it was written last.
    pub modified: Millis,
}

/// An open run directory.
#[derive(Debug)]
pub struct RunFiles {
    root: OwnedFd,
    dir: PathBuf,
}

impl RunFiles {
    /// Opens the directory; none when there is none yet.
    pub fn open(dir: &Path) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, dir, flags, Mode::empty()).ok()?;
        Some(Self { root, dir: dir.to_owned() })
    }

    /// Opens a file for reading. The check and the opening are one: a name that becomes a link in between is refused, and
    /// so is anything but a plain file (a pipe is not waited for).
    ///
    /// # Errors
    /// `not_found`, or `path_refused` for a link, a directory, a pipe or a device.
    pub fn file(&self, path: &ArtifactPath) -> Result<File, Failure> {
        let refused = |why: &str| Failure::new(Code::PathRefused, format!("\"{path}\" {why}"));
        let failed = |error: Errno| match error {
            Errno::NOENT => Failure::new(Code::NotFound, format!("the run has no file \"{path}\""))
                .hint("owf_artifacts lists its files")
                .with("what", "artifact"),
            // A link at a place where a directory is wanted is reported as the latter.
            Errno::LOOP | Errno::MLINK | Errno::NOTDIR => refused("is a link, or leads through one"),
            Errno::ACCESS | Errno::PERM => refused("may not be read"),
            Errno::NXIO => refused("is no plain file"),
            other => Failure::new(Code::Internal, format!("\"{path}\" cannot be read: {other}")),
        };
        let common = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut dir: Option<OwnedFd> = None;
        let mut names = path.names().peekable();
        while let Some(name) = names.next() {
            let at = dir.as_ref().map_or_else(|| self.root.as_fd(), AsFd::as_fd);
            if names.peek().is_some() {
                dir = Some(openat(at, name, common | OFlags::DIRECTORY, Mode::empty()).map_err(failed)?);
                continue;
            }
            let file = openat(at, name, common, Mode::empty()).map_err(failed)?;
            let mode = fstat(&file).map_err(failed)?.st_mode;
            return match FileType::from_raw_mode(mode) {
                FileType::RegularFile => Ok(File::from(file)),
                FileType::Directory => Err(refused("is a directory")),
                _ => Err(refused("is no plain file")),
            };
        }
        Err(refused("names no file"))
    }

    /// The plain files of the run, by path. What is only there for a moment or for the engine is left out.
    pub fn entries(&self) -> Vec<Entry> {
        let mut found = Vec::new();
        for entry in walkdir::WalkDir::new(&self.dir).follow_links(false).min_depth(1) {
            // A file that goes while we look was not meant to stay.
            let Ok(entry) = entry else { continue };
            let Ok(meta) = entry.metadata() else { continue };
            let Ok(below) = entry.path().strip_prefix(&self.dir) else { continue };
            let hidden = entry.file_name().to_string_lossy().starts_with(".owf-");
            if !meta.is_file() || hidden || below == Path::new("owner.lock") {
                continue;
            }
            let Some(Ok(path)) = below.to_str().map(ArtifactPath::parse) else { continue };
            let since = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            let modified = Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
            found.push(Entry { path, size_bytes: meta.len(), modified });
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn run() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("run");
        std::fs::create_dir_all(dir.join("calls/c0001")).unwrap();
        std::fs::write(dir.join("calls/c0001/prompt.txt"), "hello").unwrap();
        std::fs::write(home.path().join("secret"), "secret").unwrap();
        (home, dir)
    }

    fn read(dir: &Path, path: &str) -> Result<String, Code> {
        let mut text = String::new();
        let path = ArtifactPath::parse(path).map_err(|f| f.code)?;
        RunFiles::open(dir).unwrap().file(&path).map_err(|f| f.code)?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn a_plain_file_is_read_and_listed() {
        let (_home, dir) = run();
        std::fs::write(dir.join("owner.lock"), "").unwrap();
        std::fs::write(dir.join("calls/.owf-x"), "half").unwrap();
        assert_eq!(read(&dir, "calls/c0001/prompt.txt"), Ok("hello".to_owned()));
        assert_eq!(read(&dir, "calls/c0002/prompt.txt"), Err(Code::NotFound));
        let listed: Vec<_> =
            RunFiles::open(&dir).unwrap().entries().into_iter().map(|e| (e.path.to_string(), e.size_bytes)).collect();
        assert_eq!(listed, [("calls/c0001/prompt.txt".to_owned(), 5)]);
        assert!(RunFiles::open(&dir.join("nowhere")).is_none());
    }

    #[test]
    fn links_lead_nowhere_wherever_they_stand() {
        let (home, dir) = run();
        symlink(home.path().join("secret"), dir.join("out")).unwrap();
        symlink("calls/c0001/prompt.txt", dir.join("inside")).unwrap();
        symlink(home.path(), dir.join("up")).unwrap();
        symlink("calls", dir.join("again")).unwrap();
        symlink("nowhere", dir.join("dangling")).unwrap();
        let all = ["out", "inside", "up/secret", "again/c0001/prompt.txt", "dangling"].map(|path| read(&dir, path));
        assert_eq!(all, [const { Err(Code::PathRefused) }; 5]);
        let listed: Vec<_> = RunFiles::open(&dir).unwrap().entries().into_iter().map(|e| e.path.to_string()).collect();
        assert_eq!(listed, ["calls/c0001/prompt.txt"]);
    }

    #[test]
    fn a_file_swapped_for_a_link_after_the_listing_is_refused() {
        let (home, dir) = run();
        let files = RunFiles::open(&dir).unwrap();
        let listed = files.entries();
        std::fs::remove_file(dir.join("calls/c0001/prompt.txt")).unwrap();
        symlink(home.path().join("secret"), dir.join("calls/c0001/prompt.txt")).unwrap();
        assert_eq!(files.file(&listed[0].path).map(|_| ()).map_err(|f| f.code), Err(Code::PathRefused));
        std::fs::rename(dir.join("calls"), dir.join("moved")).unwrap();
        symlink(home.path(), dir.join("calls")).unwrap();
        assert_eq!(files.file(&listed[0].path).map(|_| ()).map_err(|f| f.code), Err(Code::PathRefused));
    }

    #[test]
    fn only_plain_files_are_opened_and_a_pipe_is_not_waited_for() {
        let (_home, dir) = run();
        rustix::fs::mknodat(CWD, dir.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let all = ["pipe", "calls", "calls/c0001/prompt.txt/x"].map(|path| read(&dir, path));
        assert_eq!(all, [const { Err(Code::PathRefused) }; 3]);
    }
}
