//! `write_file`: a file as a whole, in one step.

use std::fs::File;
use std::io::Write as _;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::files::{Arguments, Files};
use super::path::Below;
use super::tree::{Tree, said};

/// The name under which a file is written before it takes its own.
const TEMPORARY: &str = ".owf-writing-";

impl Files {
    pub(super) fn write(&self, arguments: &Arguments<'_>) -> Result<String, String> {
        let (text, content) = (arguments.text("path")?, arguments.text("content")?);
        let path = Below::parse(text).map_err(|why| format!("{text} {why}"))?;
        let Some((dir, name)) = path.split() else { return Err("the path names no file".to_owned()) };
        if !self.in_write_scope(&path) {
            return Err(format!("{} is outside of what may be written", path.shown()));
        }
        self.allowed(&path)?;
        if content.len() > self.bounds.write_bytes {
            let most = self.bounds.write_bytes;
            return Err(format!("the content is too long: {} bytes, {most} at most", content.len()));
        }
        let dir = Tree::open(self.dir())?.dir_made(&dir)?;
        let mode = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Some(Mode::from_raw_mode(stat.st_mode & 0o777))
            }
            Ok(_) => return Err(format!("{} is there and is no plain file", path.shown())),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(said(&path, error)),
        };
        let temporary = format!("{TEMPORARY}{name}");
        // Left by a process that died while it wrote.
        let _ = unlinkat(&dir, &temporary, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |what: String| {
            let _ = unlinkat(&dir, &temporary, AtFlags::empty());
            format!("{} cannot be written: {what}", path.shown())
        };
        let file = openat(&dir, &temporary, flags, Mode::from_raw_mode(0o666)).map_err(|error| said(&path, error))?;
        if let Some(mode) = mode {
            fchmod(&file, mode).map_err(|error| failed(error.to_string()))?;
        }
        File::from(file).write_all(content.as_bytes()).map_err(|error| failed(error.to_string()))?;
        renameat(&dir, &temporary, &dir, name).map_err(|error| failed(error.to_string()))?;
        self.note_changed(&path);
        Ok(format!("wrote {} bytes to {}", content.len(), path.shown()))
    }
}
