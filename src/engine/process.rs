//! This process, for owner rows and messages.

use std::sync::OnceLock;

use crate::core::event::Owner;
use crate::store::ProcessInfo;

/// Who this process is.
pub(crate) fn info() -> ProcessInfo {
    let owner = owner(0);
    ProcessInfo { pid: owner.pid, host: owner.host, boot_id: owner.boot_id, process_start: owner.process_start }
}

/// This process as the owner number `epoch` of a run.
pub(crate) fn owner(epoch: u64) -> Owner {
    static FACTS: OnceLock<(String, String, u64)> = OnceLock::new();
    let (host, boot_id, process_start) = FACTS.get_or_init(|| (host(), boot_id(), process_start())).clone();
    Owner { epoch, pid: std::process::id(), host, boot_id, process_start }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The boot id where the system has one (Linux); empty elsewhere.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|t| t.trim().to_owned()).unwrap_or_default()
}

/// The start time of this process in clock ticks since boot (Linux); 0 elsewhere.
fn process_start() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold spaces and parentheses; fields are counted from behind it. Start time is field 22.
    stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok()).unwrap_or(0)
}
