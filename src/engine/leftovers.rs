//! Agent processes that outlived the owner of their run: found by the marker they carry, and ended before anything is judged that
//! they may still change.

use std::collections::BTreeMap;
use std::path::Path;

use crate::core::ids::RunId;
use crate::store::Store;
use crate::worktree::records;

use super::journal::now;

/// What still runs of run trees of this store that no process executes, by root.
pub(crate) fn leftovers(store: &Store, home: &Path) -> BTreeMap<RunId, Vec<u32>> {
    let mut found: BTreeMap<RunId, Vec<u32>> = BTreeMap::new();
    for (marker, pid) in crate::process::marked() {
        let Some(root) = marker.split('/').next().and_then(|root| root.parse::<RunId>().ok()) else { continue };
        found.entry(root).or_default().push(pid);
    }
    // A run of another home is none of ours; of one that was pruned a worktree may be left.
    let is_ours =
        |root: &RunId| store.run(root).is_ok_and(|row| row.is_some()) || !records(home, Some(root)).is_empty();
    found.retain(|root, _| is_ours(root) && !store.is_live(root));
    found
}

/// The root of the tree that a run belongs to.
pub(crate) fn root_of(store: &Store, run: &RunId) -> RunId {
    let root = store.run(run).ok().flatten().and_then(|row| row.spec.root);
    root.unwrap_or_else(|| run.clone())
}

/// Ends them, but for those of trees that cannot be held meanwhile: somebody takes them up, or nothing may be written. Gives one
/// sentence for each run tree.
pub(crate) fn end(store: &Store, home: &Path) -> Vec<String> {
    let mut said = Vec::new();
    for (root, pids) in leftovers(store, home) {
        let Ok(row) = store.run(&root) else { continue };
        // Held meanwhile, so that nobody takes the run up and has agents of its own ended. One that has ended nobody takes up.
        let held = match row {
            Some(row) if !row.status.is_ended() => match store.claim(&root, &super::process::info(), now()) {
                Ok(lease) => Some(lease),
                Err(_) => continue,
            },
            _ => None,
        };
        crate::process::sweep_below(root.as_str());
        drop(held);
        let many = if pids.len() == 1 { "1 process".to_owned() } else { format!("{} processes", pids.len()) };
        said.push(format!("{}: {many} of an owner that died: ended", root.short()));
    }
    said
}

/// `process 12` or `3 processes, the first 12`.
pub(crate) fn in_words(pids: &[u32]) -> String {
    match pids {
        [] => "no process".to_owned(),
        [one] => format!("process {one}"),
        [first, ..] => format!("{} processes, the first {first}", pids.len()),
    }
}
