//! Ownership of a run tree: an exclusive lock on a file as proof of life, an epoch in the store against those who lost it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, params};
use rustix::fs::{FlockOperation, flock};

use crate::core::event::Owner;
use crate::core::ids::RunId;
use crate::core::time::Millis;
use crate::store::error::{OwnerRow, StoreError};
use crate::store::home;
use crate::store::journal;
use crate::store::rows;
use crate::store::runs::root_of;
use crate::store::store::Store;

/// How long a lock may stay held by somebody who only looks at it.
const GLANCE: Duration = Duration::from_millis(150);
/// How long an owner that has given the run up may take to let go of the lock.
const LEAVING: Duration = Duration::from_secs(5);
/// How long a new owner may take from its lock to its row, which is its predecessor's until then.
const NAMING: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(2);

/// A process as the store records it, for messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessInfo {
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// Boot id of the machine.
    pub boot_id: String,
    /// Start time of the process, in the system's own unit.
    pub process_start: u64,
}

/// The right to execute a run tree. Dropping it lets go of the lock: for everybody else the owner is dead then.
#[derive(Debug)]
pub struct Lease {
    /// The root of the run tree.
    pub run: RunId,
    /// Which owner of the run this is, from 1.
    pub epoch: u64,
    store: Store,
    /// Held for its lock.
    lock: File,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = self.store.0.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.get(&self.run) == Some(&self.epoch) {
            leases.remove(&self.run);
        }
        // Closing alone is not enough: a child that another thread is about to start shares the open file until it executes its
        // program, and would hold the lock for that long.
        if let Err(error) = flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!(run = %self.run, %error, "a lock was not let go of at once");
        }
    }
}

/// Opens a lock file and takes its lock; none when somebody holds it.
pub(super) fn try_lock(path: &Path, operation: FlockOperation) -> std::io::Result<Option<File>> {
    // The standard library opens files close-on-exec.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match flock(&file, operation) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // The file may have been removed with its run while it was opened: a lock on that one proves nothing.
    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(theirs) if theirs.ino() == ours.ino() && theirs.dev() == ours.dev() => Ok(Some(file)),
        _ => Ok(None),
    }
}

/// Takes the lock of a root without waiting, for housekeeping; none when somebody holds it.
pub(super) fn lock_now(home: &Path, root: &RunId) -> Result<Option<File>, StoreError> {
    try_lock(&home::lock_file(home, root), FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| StoreError::file(home, &error))
}

/// Whether a process holds the lock of a root now.
pub(super) fn held(home: &Path, root: &RunId) -> bool {
    let Ok(file) = File::open(home::lock_file(home, root)) else { return false };
    // A shared lock, so that two who look do not see each other.
    matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
}

/// Checks that `owner` is the owner in the store, and has not given the run up.
pub(super) fn check(db: &Connection, root: i64, owner: &(RunId, u64)) -> Result<(), StoreError> {
    let mut select = db.prepare_cached("SELECT epoch, pid IS NOT NULL FROM lease WHERE root = ?1")?;
    let row = select.query_row([root], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))).optional()?;
    let (now, owned) = row.map_or((0, false), |(epoch, owned)| (epoch as u64, owned));
    if now == owner.1 && owned {
        Ok(())
    } else {
        Err(StoreError::LostOwnership { run: owner.0.clone(), ours: owner.1, now })
    }
}

/// How many owners a root has had.
pub(super) fn epoch(db: &Connection, root: i64) -> Result<u64, StoreError> {
    let mut select = db.prepare_cached("SELECT epoch FROM lease WHERE root = ?1")?;
    Ok(select.query_row([root], |row| row.get::<_, i64>(0)).optional()?.unwrap_or(0) as u64)
}

/// The recorded owner, whether alive or not.
pub(super) fn recorded(db: &Connection, root: i64) -> Result<Option<OwnerRow>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT epoch, pid, host, boot_id, process_start, since FROM lease WHERE root = ?1 AND pid IS NOT NULL",
    )?;
    let row = select.query_row([root], |row| {
        let owner = Owner {
            epoch: row.get::<_, i64>(0)? as u64,
            pid: row.get(1)?,
            host: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
            boot_id: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
            process_start: row.get::<_, Option<i64>>(4)?.unwrap_or(0) as u64,
        };
        Ok(OwnerRow { owner, since: Millis(row.get::<_, Option<i64>>(5)?.unwrap_or(0)) })
    });
    Ok(row.optional()?)
}

/// Whether a process with the owner's number is there. Good for messages only: numbers are used again, and those of another
/// container mean nothing here.
fn is_alive(row: &OwnerRow) -> bool {
    let pid = i32::try_from(row.owner.pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// Records that nobody owns the root any more, if `epoch` still does.
pub(super) fn clear(db: &Connection, root: i64, epoch: u64) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE lease SET pid = NULL, host = NULL, boot_id = NULL, process_start = NULL, since = NULL \
         WHERE root = ?1 AND epoch = ?2",
    )?
    .execute(params![root, epoch as i64])?;
    Ok(())
}

impl Store {
    /// Takes a run tree over: its lock first, then a new epoch in the store. `run` may be any run of the tree.
    ///
    /// # Errors
    /// `Live` when another process holds the lock, `RunEnded` when the root has ended, `NotFound`.
    pub fn claim(&self, run: &RunId, me: &ProcessInfo, at: Millis) -> Result<Lease, StoreError> {
        self.writable()?;
        let root = self.read(|db| root_of(db, run))?;
        home::make_run_dir(self.home(), &root)?;
        let lock = self.lock(&root)?;
        let (owner, id) = (me.clone(), root.clone());
        let epoch = self.write("claim", move |tx| {
            // Rows kept from an earlier ownership of this process may be out of date.
            tx.folder.clear();
            let no = tx.number(&id)?;
            let row = rows::load_run(tx.db, no)?.ok_or_else(|| StoreError::no_run(&id))?;
            if row.status.is_ended() {
                return Err(StoreError::RunEnded { run: id, status: row.status });
            }
            let epoch: i64 = tx.db.query_row(
                "INSERT INTO lease (root, epoch, pid, host, boot_id, process_start, since) \
                 VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (root) DO UPDATE SET epoch = epoch + 1, pid = excluded.pid, host = excluded.host, \
                 boot_id = excluded.boot_id, process_start = excluded.process_start, since = excluded.since \
                 RETURNING epoch",
                params![no, owner.pid, owner.host, owner.boot_id, owner.process_start as i64, at.0],
                |row| row.get(0),
            )?;
            Ok(epoch as u64)
        })?;
        self.0.leases.lock().unwrap_or_else(PoisonError::into_inner).insert(root.clone(), epoch);
        Ok(Lease { run: root, epoch, store: self.clone(), lock })
    }

    fn lock(&self, root: &RunId) -> Result<File, StoreError> {
        let begun = Instant::now();
        loop {
            if let Some(file) = lock_now(self.home(), root)? {
                return Ok(file);
            }
            // Held by an owner, by somebody who looks, or by an owner that has said it leaves.
            let owner = self.read(|db| {
                let no = journal::number(db, root)?.ok_or_else(|| StoreError::no_run(root))?;
                recorded(db, no)
            })?;
            let patience = match &owner {
                Some(row) if is_alive(row) => GLANCE,
                Some(_) => NAMING,
                None => LEAVING,
            };
            if begun.elapsed() >= patience {
                return Err(StoreError::Live { run: root.clone(), owner });
            }
            std::thread::sleep(STEP);
        }
    }

    /// Gives a run tree up: the store says so, then the lock goes.
    ///
    /// # Errors
    /// When it cannot be recorded; the lock is let go all the same.
    pub fn release(&self, lease: Lease) -> Result<(), StoreError> {
        let (root, epoch) = (lease.run.clone(), lease.epoch);
        let result = self.write("release", move |tx| {
            let no = tx.number(&root)?;
            clear(tx.db, no, epoch)
        });
        drop(lease);
        result
    }

    /// The owner of a run's tree, while its process is alive.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn owner(&self, run: &RunId) -> Result<Option<OwnerRow>, StoreError> {
        let begun = Instant::now();
        loop {
            let (root, row) = self.read(|db| {
                let root = root_of(db, run)?;
                let no = journal::number(db, &root)?.ok_or_else(|| StoreError::no_run(run))?;
                Ok((root, recorded(db, no)?))
            })?;
            let Some(row) = row.filter(|_| held(self.home(), &root)) else { return Ok(None) };
            // The lock is held, and not by the dead: its holder is about to say who it is.
            if is_alive(&row) || begun.elapsed() >= NAMING {
                return Ok(Some(row));
            }
            std::thread::sleep(STEP);
        }
    }

    /// Whether a process executes the run's tree now.
    pub fn is_live(&self, run: &RunId) -> bool {
        self.read(|db| root_of(db, run)).is_ok_and(|root| held(self.home(), &root))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_dropped_lease_lets_go_even_while_a_forked_child_shares_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("owner.lock");
        let take = || try_lock(&path, FlockOperation::NonBlockingLockExclusive).unwrap();
        let lock = take().unwrap();
        // What a child has between its fork and its program: the same open file.
        let shared = lock.try_clone().unwrap();
        let run = "20260528-143201-k7q2mvx4".parse().unwrap();
        let lease = Lease { run, epoch: 1, store: Store::in_memory().unwrap(), lock };
        assert!(take().is_none());
        drop(lease);
        assert!(take().is_some());
        drop(shared);
    }
}
