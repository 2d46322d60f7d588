//! The home: where it may be made, what lies in it, and which file systems cannot hold it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::core::ids::RunId;
use crate::store::error::StoreError;

/// The name of the database in a home.
pub(super) const DATABASE: &str = "workflow.sqlite";
const RUNS: &str = "runs";
const IGNORE: &str = ".gitignore";
const LOCK: &str = "owner.lock";

/// What was found where a home should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A store.
    Store,
    /// Nothing, or an empty directory.
    Room,
}

pub(super) fn database(home: &Path) -> PathBuf {
    home.join(DATABASE)
}

pub(super) fn run_dir(home: &Path, run: &RunId) -> PathBuf {
    home.join(RUNS).join(run.as_str())
}

pub(super) fn lock_file(home: &Path, root: &RunId) -> PathBuf {
    run_dir(home, root).join(LOCK)
}

/// Looks at `home` without changing anything.
pub(super) fn inspect(home: &Path) -> Result<Found, StoreError> {
    let refused = |why: &str, hint: String| StoreError::HomeNotAStore {
        home: home.display().to_string(),
        why: why.to_owned(),
        hint,
    };
    if let Some(fs) = network_file_system(home) {
        return Err(refused(
            &format!("lies on a network file system ({fs}), where locks cannot be trusted"),
            "choose a local directory with --home or OWF_HOME".to_owned(),
        ));
    }
    if database(home).is_file() {
        return Ok(Found::Store);
    }
    let entries = match std::fs::read_dir(home) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Room),
        Err(error) if error.kind() == ErrorKind::NotADirectory && home.is_file() => {
            return Err(refused("is a file", "a home is a directory of its own".to_owned()));
        }
        Err(error) => return Err(StoreError::file(home, &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| StoreError::file(home, &error))?;
        if entry.file_name() != IGNORE {
            // Another process may have made the store since it was looked for.
            if database(home).is_file() {
                return Ok(Found::Store);
            }
            return Err(refused(
                "holds other things and no store",
                format!("did you mean {}?", home.join(".workflows").display()),
            ));
        }
    }
    Ok(Found::Room)
}

/// Makes the directory of a home; its parents as the umask says, itself for the user alone.
pub(super) fn create(home: &Path) -> Result<(), StoreError> {
    let fail = |error: std::io::Error| StoreError::file(home, &error);
    if let Some(parent) = home.parent() {
        std::fs::create_dir_all(parent).map_err(fail)?;
    }
    make_dir(home).map_err(fail)?;
    ignore_file(home).map_err(fail)
}

/// Makes what else belongs into a home, where it is missing.
pub(super) fn furnish(home: &Path) -> Result<(), StoreError> {
    make_dir(&home.join(RUNS)).map_err(|error| StoreError::file(home, &error))
}

fn ignore_file(home: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(home.join(IGNORE)) {
        Ok(mut file) => file.write_all(b"*\n"),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates the database file empty, so that it is for the user alone from its first moment.
pub(super) fn touch_database(home: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(database(home)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::file(home, &error)),
    }
}

/// Makes the directory of a run.
pub(super) fn make_run_dir(home: &Path, run: &RunId) -> Result<(), StoreError> {
    furnish(home)?;
    make_dir(&run_dir(home, run)).map_err(|error| StoreError::file(home, &error))
}

fn make_dir(path: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// The name of the network file system that `path` (or its nearest existing ancestor) lies on.
fn network_file_system(path: &Path) -> Option<String> {
    let absolute = std::path::absolute(path).ok()?;
    let existing = absolute.ancestors().find(|p| p.exists())?;
    let name = file_system_name(existing)?;
    is_network(&name).then_some(name)
}

#[cfg(target_os = "linux")]
fn file_system_name(path: &Path) -> Option<String> {
    const FUSE: u64 = 0x6573_5546;
    let stat = rustix::fs::statfs(path).ok()?;
    // The magic number's low 32 bits; the field is signed on some machines.
    let magic = (stat.f_type as u64) & 0xffff_ffff;
    let name = match magic {
        0x6969 => "nfs",
        0x517b => "smb",
        0xff53_4d42 => "cifs",
        0xfe53_4d42 => "smb2",
        0x564c => "ncp",
        0x5346_414f => "afs",
        0x7375_7245 => "coda",
        0x00c3_6400 => "ceph",
        0x0bd0_0bd0 => "lustre",
        FUSE => return fuse_name(path),
        _ => return None,
    };
    Some(name.to_owned())
}

#[cfg(not(target_os = "linux"))]
fn file_system_name(path: &Path) -> Option<String> {
    let stat = rustix::fs::statfs(path).ok()?;
    let name: Vec<u8> = stat.f_fstypename.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
    String::from_utf8(name).ok()
}

/// What sort of FUSE file system it is: `fuse.sshfs`, by the longest mount point above `path`.
#[cfg(target_os = "linux")]
fn fuse_name(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let point = left.split(' ').nth(4)?.replace("\\040", " ");
            real.starts_with(&point).then(|| (point.len(), right.split(' ').next().unwrap_or_default().to_owned()))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, name)| name)
}

fn is_network(name: &str) -> bool {
    const NETWORK: [&str; 13] =
        ["nfs", "nfs4", "smb", "smb2", "smbfs", "cifs", "ncp", "afs", "afpfs", "webdav", "coda", "ceph", "lustre"];
    const FUSE: [&str; 9] = ["sshfs", "rclone", "s3fs", "gcsfuse", "glusterfs", "davfs", "curlftpfs", "goofys", "nfs"];
    match name.strip_prefix("fuse.") {
        Some(kind) => FUSE.contains(&kind),
        None => NETWORK.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_name_and_local_ones_are_not() {
        let network = ["nfs", "nfs4", "cifs", "smb2", "fuse.sshfs", "smbfs"];
        let local = ["ext4", "apfs", "tmpfs", "fuse", "fuse.ntfs-3g", "overlay", "9p"];
        assert!(network.iter().all(|n| is_network(n)) && !local.iter().any(|n| is_network(n)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_local_directory_is_not_taken_for_a_network_one() {
        assert_eq!(network_file_system(Path::new("/proc")), None);
    }
}
