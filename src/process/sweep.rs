//! Ending what an attempt left behind: processes that carry its marker, wherever they went.
//!
//! Agents start shells in sessions of their own, so a signal to the agent's process group does not reach those; the marker in
//! their environment does. Where the system has no /proc, `ps` is asked, and where that cannot show environments only the
//! process group and the known descendants are ended.

use std::collections::BTreeSet;

use rustix::process::{Pid, Signal};

use super::table::{Row, ancestors, descendants, row, rows};

/// A process may start another while it is being ended; after so many looks there is nothing left, or it multiplies.
const LOOKS: usize = 20;

/// Kills every process that carries exactly this marker, and everything below it. Gives how many were found.
pub fn sweep(marker: &str) -> usize {
    sweep_where(|found| found == marker, rows())
}

/// Kills every process whose marker begins with `root` and a slash: what is left of a run tree whose owner died. This process
/// and those above it are spared.
pub fn sweep_below(root: &str) -> usize {
    sweep_where(|found| found.strip_prefix(root).is_some_and(|rest| rest.starts_with('/')), rows())
}

/// Every process that carries a marker, with it; this process and those above it left out.
pub fn marked() -> Vec<(String, u32)> {
    let listed = rows();
    let spared = ancestors(&listed);
    let others = listed.into_iter().filter(|row| !spared.contains(&row.pid));
    others.filter_map(|row| Some((row.marker?, row.pid))).collect()
}

/// Like [`sweep`] for several markers, with the processes as they were listed a moment ago.
pub(super) fn sweep_listed(markers: BTreeSet<String>, listed: Vec<Row>) -> usize {
    sweep_where(|found| markers.contains(found), listed)
}

fn sweep_where(is_it: impl Fn(&str) -> bool, mut listed: Vec<Row>) -> usize {
    let spared = ancestors(&listed);
    let mut killed: Vec<(u32, u64)> = Vec::new();
    // One of them may be owf, whose own agents carry markers of theirs: they go with it, as it has nobody to end them then.
    let mut below: BTreeSet<String> = BTreeSet::new();
    for _ in 0..LOOKS {
        let is_meant = |row: &&Row| row.marker.as_deref().is_some_and(|found| is_it(found) || below.contains(found));
        let marked = listed.iter().filter(is_meant).filter(|row| !spared.contains(&row.pid));
        let found: Vec<Row> = marked.flat_map(|row| descendants(&listed, row.pid)).collect();
        if found.is_empty() {
            break;
        }
        for row in found {
            // A killed process may still be listed for a moment.
            if kill(&row) && !killed.contains(&(row.pid, row.started)) {
                killed.push((row.pid, row.started));
            }
            below.extend(row.marker);
        }
        listed = rows();
    }
    killed.len()
}

/// Kills one process, unless its id belongs to another one by now. Whether it was there.
pub(super) fn kill(known: &Row) -> bool {
    let same = row(known.pid).is_some_and(|now| now.started == known.started);
    same && id(known.pid).is_some_and(|pid| rustix::process::kill_process(pid, Signal::KILL).is_ok())
}

/// Kills a process group.
pub(super) fn kill_group(leader: u32) {
    signal_group(leader, Signal::KILL);
}

/// Sends a signal to a process group. One that is gone needs none.
pub(super) fn signal_group(leader: u32, signal: Signal) {
    if let Some(pid) = id(leader) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Sends a signal to one process that has not been collected yet.
pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = id(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn id(pid: u32) -> Option<Pid> {
    // 0 and 1 are never meant: the own group, and everything.
    if pid < 2 { None } else { Pid::from_raw(i32::try_from(pid).ok()?) }
}
