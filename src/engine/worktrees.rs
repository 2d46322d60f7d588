//! What a person does with the work that calls left in worktrees: look, take it over, throw it away.

use std::path::{Path, PathBuf};

use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::store::Store;
use crate::worktree::{Applied, GitError, Record, State, Worktree, records};

use super::engine::Engine;
use super::isolation;
use super::leftovers;
use super::params::WorktreeParams;
use super::reference;
use super::view::{
    WorktreeAppliedView, WorktreeDiffView, WorktreeEntry, WorktreeState, WorktreesRemovedView, WorktreesView,
};

impl Engine {
    /// The worktrees of a run, or of all. A home without a store has none.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, store errors.
    pub fn worktrees(&self, params: &WorktreeParams) -> Result<WorktreesView, Failure> {
        let store = match self.existing() {
            Err(failure) if failure.code == Code::NotFound && params.run_id.is_none() => {
                let home = reference::absolute(self.home());
                return Ok(WorktreesView { home, worktrees: Vec::new(), truncated: false });
            }
            store => store?,
        };
        let run = params.run_id.as_deref().map(|run| reference::resolve(&store, Some(run))).transpose()?;
        let home = home(&store);
        let found = there(&home, run.as_ref());
        let worktrees = found.iter().map(|record| entry(&store, &home, record)).collect();
        Ok(WorktreesView { home: home.display().to_string(), worktrees, truncated: false })
    }

    /// What differs in the worktree of a call.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, or what git says.
    pub fn worktree_diff(&self, params: &WorktreeParams) -> Result<WorktreeDiffView, Failure> {
        let (store, home) = self.with_home()?;
        let record = one(&store, &home, params)?;
        let tree = isolation::known(&store, &record, None).map_err(|error| of_git(&error))?;
        let patch = tree.patch().map_err(|error| of_git(&error))?;
        let patch = String::from_utf8_lossy(&patch).into_owned();
        Ok(WorktreeDiffView { worktree: entry(&store, &home, &record), patch })
    }

    /// Applies the work of a call to the working tree of its workspace, or to another. All of it or nothing.
    ///
    /// # Errors
    /// `content_changed` when it would conflict (then nothing is changed), `run_is_live` while an attempt works in it,
    /// `not_found`, `ambiguous`, or what git says.
    pub fn worktree_apply(&self, params: &WorktreeParams) -> Result<WorktreeAppliedView, Failure> {
        let (store, home) = self.with_home()?;
        let record = one(&store, &home, params)?;
        let worktree = entry(&store, &home, &record);
        idle(&worktree)?;
        let recorded = || store.run(&record.run_id).ok().flatten().map(|row| PathBuf::from(row.spec.workspace));
        let to = match &params.to {
            Some(dir) => self.services().cwd.join(dir),
            None => recorded().filter(|dir| dir.is_dir()).unwrap_or_else(|| self.services().workspace.clone()),
        };
        let tree = isolation::known(&store, &record, None).map_err(|error| of_git(&error))?;
        let patch = tree.patch().map_err(|error| of_git(&error))?;
        let name = format!("{}/{}", record.run_id.short(), record.call_id);
        match crate::worktree::apply(&to, &patch).map_err(|error| of_git(&error))? {
            Applied::Yes => Ok(WorktreeAppliedView {
                worktree,
                applied_to: to.display().to_string(),
                next: format!(
                    "look at it with git status and git diff (new files are in the former only); owf worktree remove {name} \
                     when it is no longer needed"
                ),
            }),
            Applied::Conflict { said } => Err(Failure::new(
                Code::ContentChanged,
                format!("the work of {name} does not fit {}: {said}; nothing was changed", to.display()),
            )
            .hint(merging(&tree, &name))),
        }
    }

    /// Removes the worktree of a call, or all of a run.
    ///
    /// # Errors
    /// `run_is_live` while an attempt works in it, `not_found`, `ambiguous`, or what git says.
    pub fn worktree_remove(&self, params: &WorktreeParams) -> Result<WorktreesRemovedView, Failure> {
        let (store, home) = self.with_home()?;
        let chosen = if params.call_id.is_some() {
            vec![one(&store, &home, params)?]
        } else {
            let run = params.run_id.as_deref().ok_or_else(|| {
                Failure::new(Code::InvalidArguments, "say which worktrees go: RUN/CALL, or a RUN for all of its")
            })?;
            there(&home, Some(&reference::resolve(&store, Some(run))?))
        };
        let branches_kept = params.keep_branch.unwrap_or(false);
        let mut removed = Vec::new();
        for record in chosen {
            let worktree = entry(&store, &home, &record);
            idle(&worktree)?;
            let tree =
                isolation::known(&store, &record, Some(&self.services().workspace)).map_err(|error| of_git(&error))?;
            let mut worktree = worktree;
            if !branches_kept {
                worktree.last_commit = held(&tree, &record);
            }
            let gone = if branches_kept {
                tree.save(&format!("work of {} {}", record.run_id, record.call_id))
                    .and_then(|_| tree.remove_directory())
            } else {
                tree.remove()
            };
            gone.map_err(|error| of_git(&error))?;
            record.forget(&home);
            removed.push(worktree);
        }
        Ok(WorktreesRemovedView { removed, branches_kept })
    }

    /// Clears up after owners that died: ends what still runs of their agents, then judges worktrees that nobody works in any
    /// more. Unchanged ones go, the work of others is kept for review; those of runs that are gone are committed to their
    /// branches. Gives one sentence each.
    ///
    /// # Errors
    /// Store errors.
    pub fn clear_worktrees(&self) -> Result<Vec<String>, Failure> {
        let store = match self.existing() {
            Err(failure) if failure.code == Code::NotFound => return Ok(Vec::new()),
            store => store?,
        };
        let home = home(&store);
        let here = self.services().workspace.clone();
        let mut said = leftovers::end(&store, &home);
        let alive = leftovers::leftovers(&store, &home);
        for record in orphans(&store, &home) {
            // What it has to say may not be written yet.
            let still = alive.get(&leftovers::root_of(&store, &record.run_id));
            said.push(match still {
                Some(pids) => {
                    let name = format!("{}/{}", record.run_id.short(), record.call_id);
                    format!("{name}: it stays, because {} of its run could not be ended", leftovers::in_words(pids))
                }
                None => cleared(&store, &home, &here, record),
            });
        }
        Ok(said)
    }

    fn with_home(&self) -> Result<(Store, PathBuf), Failure> {
        let store = self.existing()?;
        let home = home(&store);
        Ok((store, home))
    }
}

/// The commit that holds all of the work, made when part of it is not committed: what was removed can be brought back from it
/// until git collects what no branch names. None when there is no work, or git cannot tell.
fn held(tree: &Worktree, record: &Record) -> Option<String> {
    if tree.dir.is_dir() {
        tree.save(&format!("work of {} {}", record.run_id, record.call_id)).ok()?;
    }
    tree.last_commit().filter(|commit| *commit != record.base)
}

/// How work that does not fit as a patch is merged. Its branch holds only what is committed.
fn merging(tree: &Worktree, name: &str) -> String {
    let branch = &tree.branch;
    if tree.is_committed().unwrap_or(false) {
        return format!("commit what you have, then merge its branch: git merge {branch}");
    }
    let dir = quoted(&tree.dir);
    format!(
        "commit what you have, then merge its work, which is not committed yet: git -C {dir} add -A && git -C {dir} commit -m \
         'work of {name}' && git merge {branch}; or owf worktree diff {name} | git apply -3"
    )
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+@:".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn cleared(store: &Store, home: &Path, here: &Path, record: Record) -> String {
    let name = format!("{}/{}", record.run_id.short(), record.call_id);
    let branch = record.branch.clone();
    if !record.dir(home).exists() {
        return vanished(store, home, here, &record);
    }
    if store.run(&record.run_id).is_ok_and(|row| row.is_some()) {
        return if isolation::clear(store, record) {
            format!("{name}: it has changes, and is kept for review (owf worktree list)")
        } else {
            format!("{name}: nothing had changed in it, so it is gone")
        };
    }
    let tree = match isolation::known(store, &record, Some(here)) {
        Ok(tree) => tree,
        Err(error) => return format!("{name}: it stays, because {error}"),
    };
    let changed = tree.changes().map_or(true, |changes| changes.any);
    let gone = if changed {
        tree.save(&format!("work of {} {}", record.run_id, record.call_id)).and_then(|_| tree.remove_directory())
    } else {
        tree.remove()
    };
    match gone {
        Err(error) => format!("{name}: it stays, because {error}"),
        Ok(()) => {
            record.forget(home);
            if changed {
                format!("{name}: its run is gone; its work is on branch {branch}")
            } else {
                format!("{name}: its run is gone and nothing had changed in it")
            }
        }
    }
}

/// A worktree whose directory somebody removed: git's entry of it goes, and its branch unless something was committed on it.
fn vanished(store: &Store, home: &Path, here: &Path, record: &Record) -> String {
    let (name, branch) = (format!("{}/{}", record.run_id.short(), record.call_id), &record.branch);
    let gone = format!("{name}: its directory was gone already");
    let tree = match isolation::known(store, record, Some(here)) {
        Ok(tree) => tree,
        Err(error) => return format!("{gone}, and it stays on record, because {error}"),
    };
    let commit = tree.last_commit().filter(|commit| *commit != record.base);
    let cleared = if commit.is_some() { tree.remove_directory() } else { tree.remove() };
    if let Err(error) = cleared {
        return format!("{gone}, and it stays on record, because {error}");
    }
    record.forget(home);
    match commit {
        Some(_) => format!("{gone}; branch {branch} holds what was committed"),
        None => format!("{gone} and nothing had been committed, so branch {branch} is gone, too"),
    }
}

/// Worktrees that no live process works in and that nobody has judged, or whose run or directory is gone.
pub(crate) fn orphans(store: &Store, home: &Path) -> Vec<Record> {
    let orphaned = |record: &Record| !record.dir(home).is_dir() || state(store, record) == WorktreeState::Orphan;
    records(home, None).into_iter().filter(orphaned).collect()
}

fn state(store: &Store, record: &Record) -> WorktreeState {
    let known = store.run(&record.run_id).is_ok_and(|row| row.is_some());
    match record.state {
        State::Kept if known => WorktreeState::Kept,
        State::Open if known && store.is_live(&record.run_id) => WorktreeState::Running,
        State::Kept | State::Open => WorktreeState::Orphan,
    }
}

/// The home as a path that says where it starts.
fn home(store: &Store) -> PathBuf {
    PathBuf::from(reference::home(store))
}

fn there(home: &Path, run: Option<&RunId>) -> Vec<Record> {
    records(home, run).into_iter().filter(|record| record.dir(home).is_dir()).collect()
}

/// The worktree that the parameters name: of the call itself, or of the one whose answer it reused; the latest attempt's.
fn one(store: &Store, home: &Path, params: &WorktreeParams) -> Result<Record, Failure> {
    let env = super::query::QueryEnv::default();
    let query = super::query::Query { store, env: &env };
    let call = params
        .call_id
        .as_deref()
        .ok_or_else(|| Failure::new(Code::InvalidArguments, "/call_id is missing").hint("RUN/c0009, c0009 or 9"))?;
    let (run, call) = query.resolve_call(params.run_id.as_deref(), call)?;
    let own = |record: &Record| record.call_id == call && params.attempt.is_none_or(|n| n == record.attempt);
    if let Some(record) = there(home, Some(&run)).into_iter().rfind(own) {
        return Ok(record);
    }
    let reused = store.outcome(&run, call).ok().flatten().and_then(|outcome| outcome.worktree);
    let earlier = reused.as_ref().and_then(|note| note.path.split('/').nth(1)?.parse::<RunId>().ok());
    let found = earlier.and_then(|run| {
        let named = |record: &Record| {
            let is_it = reused.as_ref().is_some_and(|note| note.path == record.path());
            is_it && params.attempt.is_none_or(|n| n == record.attempt)
        };
        there(home, Some(&run)).into_iter().find(named)
    });
    found.ok_or_else(|| {
        let of = params.attempt.map(|n| format!(" of attempt {n}")).unwrap_or_default();
        Failure::new(Code::NotFound, format!("{run} {call} has no worktree{of}"))
            .hint("owf worktree list shows all there are")
            .with("what", "worktree")
            .with("home", home.display().to_string())
    })
}

fn idle(worktree: &WorktreeEntry) -> Result<(), Failure> {
    if worktree.state == WorktreeState::Running {
        let message = format!("an attempt of {} {} works in it now", worktree.run_id, worktree.call_id);
        return Err(Failure::new(Code::RunIsLive, message).hint("wait for the run, or cancel it"));
    }
    Ok(())
}

fn entry(store: &Store, home: &Path, record: &Record) -> WorktreeEntry {
    WorktreeEntry {
        run_id: record.run_id.clone(),
        call_id: record.call_id.to_string(),
        attempt: record.attempt,
        label: record.label.clone(),
        state: state(store, record),
        branch: record.branch.clone(),
        base: record.base.clone(),
        path: record.dir(home).display().to_string(),
        commits: record.commits,
        changed_files: record.changed_files.clone(),
        changed_total: record.changed_files.len() as u64,
        last_commit: None,
    }
}

fn of_git(error: &GitError) -> Failure {
    match error {
        GitError::Missing => Failure::new(Code::NotFound, "git is not on PATH").hint("install git"),
        GitError::Io(_) | GitError::Failed { .. } | GitError::Refused(_) => {
            Failure::new(Code::Internal, error.to_string())
        }
    }
}
