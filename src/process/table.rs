//! The processes of this machine: who started whom, and which of them carry the marker of an attempt.

use super::run::{DETACHED, MARKER};

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// When it started, in the system's own unit: with the id it is one process and no later one. 0 when not known.
    pub(super) started: u64,
    /// The marker in its environment.
    pub(super) marker: Option<String>,
    /// Whether it says that it is on its own: neither it nor what it starts belongs to whoever started it.
    pub(super) detached: bool,
}

/// All processes that this user may look at. Zombies are left out.
pub(super) fn rows() -> Vec<Row> {
    match std::fs::read_dir("/proc") {
        Ok(entries) if std::path::Path::new("/proc/self/environ").exists() => {
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(from_proc).collect()
        }
        Ok(_) | Err(_) => from_ps(),
    }
}

/// The process of this id now, if there is one.
pub(super) fn row(pid: u32) -> Option<Row> {
    if std::path::Path::new("/proc/self/stat").exists() {
        return from_proc(pid);
    }
    from_ps().into_iter().find(|row| row.pid == pid)
}

fn from_proc(pid: u32) -> Option<Row> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and parentheses; fields are counted from behind it: state, parent, ..., start time (22).
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let marker = environ.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    });
    let detached = environ.split(|byte| *byte == 0).any(says_detached);
    Some(Row { pid, parent, started, marker, detached })
}

/// Whether an entry of an environment says that a process is on its own.
fn says_detached(entry: &[u8]) -> bool {
    entry.strip_prefix(DETACHED.as_bytes()).is_some_and(|rest| rest == b"=1")
}

/// Where there is no /proc: `ps` tells parents everywhere, and the environment where `-E` is known (macOS, BSD).
fn from_ps() -> Vec<Row> {
    let ask = |args: &[&str]| {
        let output = std::process::Command::new("ps").args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let with_environment = ask(&["-A", "-E", "-ww", "-o", "pid=,ppid=,command="]);
    let listed = with_environment.or_else(|| ask(&["-A", "-o", "pid=,ppid="])).unwrap_or_default();
    listed.lines().filter_map(ps_line).collect()
}

fn ps_line(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace();
    let pid = words.next()?.parse().ok()?;
    let parent = words.next()?.parse().ok()?;
    let words: Vec<&str> = words.collect();
    let marker = words.iter().find_map(|word| word.strip_prefix(MARKER)?.strip_prefix('=')).map(str::to_owned);
    let detached = words.iter().any(|word| says_detached(word.as_bytes()));
    Some(Row { pid, parent, started: 0, marker, detached })
}

/// `of` and everything it started that still has its parent and is not on its own; children after their parents.
pub(super) fn descendants(rows: &[Row], of: u32) -> Vec<Row> {
    let mut found: Vec<Row> = rows.iter().filter(|row| row.pid == of).cloned().collect();
    let mut next = vec![of];
    while let Some(parent) = next.pop() {
        for row in rows.iter().filter(|row| row.parent == parent && row.pid != of && !row.detached) {
            if !found.iter().any(|known| known.pid == row.pid) {
                found.push(row.clone());
                next.push(row.pid);
            }
        }
    }
    found
}

/// This process and those above it.
pub(super) fn ancestors(rows: &[Row]) -> Vec<u32> {
    let mut found = vec![std::process::id()];
    while let Some(row) = found.last().and_then(|pid| rows.iter().find(|row| row.pid == *pid)) {
        if row.parent == 0 || found.contains(&row.parent) {
            break;
        }
        found.push(row.parent);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(pid: u32, parent: u32) -> Row {
        Row { pid, parent, started: 0, marker: None, detached: false }
    }

    #[test]
    fn descendants_are_found_through_generations() {
        let rows = [made(1, 0), made(5, 1), made(7, 6), made(6, 5), made(8, 1)];
        let pids = |of| descendants(&rows, of).iter().map(|row| row.pid).collect::<Vec<_>>();
        assert_eq!(pids(5), [5, 6, 7]);
        assert_eq!(pids(9), Vec::<u32>::new());
        let alone = rows.clone().map(|row| Row { detached: row.pid == 6, ..row });
        assert_eq!(descendants(&alone, 5).iter().map(|row| row.pid).collect::<Vec<_>>(), [5]);
        assert_eq!(descendants(&alone, 6).iter().map(|row| row.pid).collect::<Vec<_>>(), [6, 7]);
    }

    #[test]
    fn a_line_of_ps_is_read_with_and_without_an_environment() {
        assert_eq!(ps_line("  12   1"), Some(made(12, 1)));
        let marked = Row { marker: Some("a/b/1/1".into()), ..made(12, 1) };
        assert_eq!(ps_line("12 1 sleep 60 PATH=/bin OWF_CALL_ID=a/b/1/1 HOME=/"), Some(marked));
        assert!(ps_line("12 1 owf supervise OWF_DETACHED=1").is_some_and(|row| row.detached));
        assert_eq!(ps_line("PID PPID"), None);
    }
}
