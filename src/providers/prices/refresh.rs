//! The user's own table: written whole or not at all, with the one before kept beside it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::cost::FILE;
use super::table::Table;

/// The table before the last refresh.
const PREVIOUS: &str = "prices.previous.json";

/// What a refresh wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The user's table.
    pub file: PathBuf,
    /// The one that was there before, when there was one.
    pub previous: Option<PathBuf>,
}

/// Writes a table to the user's configuration directory.
///
/// # Errors
/// What the file system says.
pub fn write(dir: &Path, table: &Table) -> std::io::Result<Written> {
    std::fs::create_dir_all(dir)?;
    let (file, before) = (dir.join(FILE), dir.join(PREVIOUS));
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    new.write_all(table.to_text().as_bytes())?;
    new.as_file().sync_all()?;
    let previous = match std::fs::read(&file) {
        Ok(old) => {
            let mut kept = tempfile::NamedTempFile::new_in(dir)?;
            kept.write_all(&old)?;
            kept.persist(&before)?;
            Some(before)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    new.persist(&file)?;
    Ok(Written { file, previous })
}
