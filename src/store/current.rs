//! Whether an open store still is the one in its home: others may have removed, replaced or upgraded it meanwhile.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::store::home;
use crate::store::migrations::{self, FORMAT};
use crate::store::store::Store;

/// Which file a name led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    number: u64,
}

impl FileId {
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|found| Self { device: found.dev(), number: found.ino() })
    }
}

/// The files of an open store. As long as they are open, no other file gets their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) database: FileId,
    /// The log beside it, which stays as long as somebody has the database open.
    log: FileId,
}

impl Files {
    /// What lies in `home` now; none when something is missing.
    pub(super) fn of(home: &Path) -> Option<Self> {
        let mut log = home::database(home).into_os_string();
        log.push("-wal");
        Some(Self { database: Self::database_of(home)?, log: FileId::of(Path::new(&log))? })
    }

    /// The database alone.
    pub(super) fn database_of(home: &Path) -> Option<FileId> {
        FileId::of(&home::database(home))
    }
}

impl Store {
    /// Whether opening the home again would give this very store, in the format it was opened with. A handle that may not
    /// write never is: what kept it from writing may have changed.
    pub fn is_current(&self) -> bool {
        self.writes()
            && self.0.files.is_some()
            && Files::of(self.home()) == self.0.files
            && self.read_one(migrations::format).is_ok_and(|format| format == FORMAT)
    }

    /// Whether both are handles to one opening of a store.
    pub fn same(&self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&self.0, &other.0)
    }

    /// Forgets what is kept of runs between transactions to spare reading it again, leases aside.
    pub fn forget(&self) {
        self.forget_rows();
    }
}

#[cfg(test)]
impl Store {
    /// How much is kept of runs between transactions.
    pub(crate) fn kept(&self) -> Result<usize, crate::store::StoreError> {
        self.write("kept", |tx| Ok(tx.folder().1.kept()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use rusqlite::Connection;

    use super::*;
    use crate::store::OpenMode;

    fn open(home: &Path) -> Store {
        Store::open(home, OpenMode::Create).unwrap()
    }

    #[test]
    fn a_store_stays_current_whether_it_was_made_or_found_and_whoever_else_opens_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let made = open(&home);
        assert!(made.is_current());
        drop(open(&home));
        assert!(made.is_current());
        drop(made);
        let found = open(&home);
        assert!(found.is_current());
    }

    #[test]
    fn a_store_that_was_removed_replaced_or_upgraded_is_not_current() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let store = open(&home);
        std::fs::remove_dir_all(&home).unwrap();
        assert!(!store.is_current());
        let again = open(&home);
        assert!(!store.is_current() && again.is_current());
        std::fs::rename(&home, dir.path().join("away")).unwrap();
        drop(open(&home));
        assert!(!again.is_current());
        let third = open(&home);
        let other = Connection::open(home.join(home::DATABASE)).unwrap();
        other.execute("UPDATE meta SET value = '99' WHERE key = 'format'", []).unwrap();
        assert!(!third.is_current());
    }

    #[test]
    fn a_database_whose_log_was_taken_away_is_not_current() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        std::fs::remove_file(dir.path().join(format!("{}-wal", home::DATABASE))).unwrap();
        assert!(!store.is_current());
    }
}
