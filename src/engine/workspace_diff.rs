//! Which files differ between two recorded states of a workspace, worked out when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::core::ids::Hash;
use crate::store::Store;
use crate::worktree::Git;

use super::workspace::{Manifest, manifest, pathspecs};

/// Files that are compared one by one.
const CANDIDATES: usize = 2_000;

/// The files whose content differs between two states of the same scope, sorted. Empty when that can no longer be told: the
/// trees of old commits may be gone.
pub(super) fn files(workspace: &Path, a: &Manifest, b: &Manifest) -> Vec<String> {
    let git = Git::at(workspace);
    let mut candidates: BTreeSet<String> = a.dirty.keys().chain(b.dirty.keys()).cloned().collect();
    if let (Some(from), Some(to)) = (&a.tree, &b.tree)
        && from != to
    {
        let mut args: Vec<String> =
            ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-relative", from, to, "--"]
                .map(Into::into)
                .into();
        args.extend(pathspecs(&a.scope).unwrap_or_default());
        let Ok(out) = git.run(&args) else { return Vec::new() };
        candidates.extend(names(&out));
    }
    let candidates: Vec<String> = candidates.into_iter().take(CANDIDATES).collect();
    let (Some(then), Some(now)) = (held(&git, a, &candidates), held(&git, b, &candidates)) else { return Vec::new() };
    candidates.into_iter().filter(|path| then.get(path) != now.get(path)).collect()
}

/// The same for two manifests that the store keeps.
pub(crate) fn of_recorded(store: &Store, workspace: &Path, a: &Hash, b: &Hash) -> Vec<String> {
    match (manifest(store, a), manifest(store, b)) {
        (Some(a), Some(b)) => files(workspace, &a, &b),
        _ => Vec::new(),
    }
}

fn names(out: &[u8]) -> impl Iterator<Item = String> {
    out.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned())
}

/// What each of these files held in a state.
fn held(git: &Git, manifest: &Manifest, paths: &[String]) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    if let Some(tree) = &manifest.tree {
        for some in paths.chunks(500) {
            let mut args: Vec<String> = ["ls-tree", "-r", "-z", "--full-tree", tree, "--"].map(Into::into).into();
            args.extend(some.iter().cloned());
            for entry in names(&git.run(&args).ok()?) {
                if let Some((facts, path)) = entry.split_once('\t') {
                    found.insert(path.to_owned(), facts.split(' ').nth(2).unwrap_or_default().to_owned());
                }
            }
        }
    }
    for (path, id) in &manifest.dirty {
        match id {
            Some(id) => found.insert(path.clone(), id.clone()),
            None => found.remove(path),
        };
    }
    Some(found)
}
