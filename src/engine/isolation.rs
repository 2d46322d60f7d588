//! Attempts in a git worktree of their own: made before the provider is asked, kept afterwards only when something changed.

use std::path::{Path, PathBuf};

use crate::core::ids::{CallId, RunId};
use crate::core::outcome::{CallError, ErrorClass, WorktreeNote};
use crate::store::Store;
use crate::worktree::{GitError, Plan, Record, State, Worktree, create, records};

/// The most bytes of a `diff.patch`: the worktree has the rest.
const PATCH: usize = 16 * 1024 * 1024;

/// What is to be made for an attempt.
pub(crate) struct Isolation {
    pub(super) home: PathBuf,
    pub(super) workspace: PathBuf,
    pub(super) run: RunId,
    pub(super) call_id: CallId,
    pub(super) attempt: u32,
    pub(super) label: String,
    /// Whether the one who asks waits: generated answers come in the order of their calls.
    pub(super) inline: bool,
    /// Where the difference is written for readers.
    pub(super) patch: Option<PathBuf>,
}

/// An attempt's worktree while it runs.
pub(crate) struct Isolated {
    home: PathBuf,
    record: Record,
    inline: bool,
    patch: Option<PathBuf>,
    /// The directory the agent works in.
    pub(super) cwd: PathBuf,
    /// What a reader of the run should know.
    pub(super) notice: Option<(String, String)>,
    /// Dropped before it was looked at: the attempt broke off.
    open: bool,
}

/// What became of a worktree.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(super) note: Option<WorktreeNote>,
    pub(super) changed_files: Vec<String>,
    /// What is to be said about the answer.
    pub(super) warning: Option<String>,
}

impl Isolation {
    /// Makes the worktree.
    ///
    /// # Errors
    /// Of class `worktree`, whatever was wrong: then the provider must not be asked.
    pub(super) async fn begin(self) -> Result<Isolated, CallError> {
        blocking(self.inline, move || self.make())
            .await
            .unwrap_or_else(|| Err(failed("it could not be made", &"the task broke off")))
    }

    fn make(self) -> Result<Isolated, CallError> {
        let Self { home, workspace, run, call_id, attempt, label, inline, patch } = self;
        let again = if attempt > 1 { format!("-{attempt}") } else { String::new() };
        let branch = format!("owf/{}/{call_id}{again}", run.short());
        let dir = home.join(format!("worktrees/{run}/{call_id}-{attempt}"));
        let plan = Plan { workspace, dir, branch };
        let no = |error: GitError| failed("a worktree cannot be made", &error);
        let tree = plan.worktree().map_err(no)?;
        let uncommitted = plan.uncommitted().map_err(no)?;
        let (branch, base, repository) = (tree.branch.clone(), tree.base.clone(), tree.repository.clone());
        let changed_files = Vec::new();
        let record = Record {
            run_id: run,
            call_id,
            attempt,
            label,
            branch,
            base,
            repository,
            state: State::Open,
            commits: 0,
            changed_files,
        };
        // First on disk, so that a worktree that is there is never one that nobody knows.
        record.write(&home).map_err(|error| failed("a worktree cannot be recorded", &error))?;
        let made = create(&plan, &tree).and_then(|()| plan.cwd());
        let cwd = made.map_err(|error| {
            record.forget(&home);
            no(error)
        })?;
        let notice = (uncommitted > 0).then(|| {
            let what = if uncommitted == 1 { "1 change is" } else { &format!("{uncommitted} changes are") };
            let commit = record.base.get(..10).unwrap_or(&record.base);
            let message = format!("worktrees start from commit {commit}: {what} not committed, and not in them");
            ("worktree_base".to_owned(), message)
        });
        Ok(Isolated { home, record, inline, patch, cwd, notice, open: true })
    }
}

impl Isolated {
    /// Looks at what became of the worktree, and keeps or removes it.
    pub(super) async fn end(mut self) -> Left {
        self.open = false;
        let (home, record, patch) = (self.home.clone(), self.record.clone(), self.patch.take());
        let tree = record.worktree(&home);
        blocking(self.inline, move || settle(&home, record, &tree, patch)).await.unwrap_or_default()
    }
}

impl Drop for Isolated {
    fn drop(&mut self) {
        if self.open {
            settle(&self.home, self.record.clone(), &self.record.worktree(&self.home), self.patch.take());
        }
    }
}

/// Keeps a worktree with its record when anything in it changed, else removes both. What cannot be looked at is kept.
fn settle(home: &Path, mut record: Record, tree: &Worktree, patch: Option<PathBuf>) -> Left {
    let changes = match tree.changes() {
        Ok(changes) if !changes.any => {
            return match tree.remove() {
                Ok(()) => {
                    record.forget(home);
                    Left::default()
                }
                // It stays open for housekeeping.
                Err(error) => {
                    tracing::warn!(%error, dir = %tree.dir.display(), "an unchanged worktree stays");
                    Left::default()
                }
            };
        }
        Ok(changes) => Ok(changes),
        Err(error) => Err(format!("its worktree could not be looked at, and is kept: {error}")),
    };
    let (changes, warning) = match changes {
        Ok(changes) => (changes, None),
        Err(warning) => (crate::worktree::Changes::default(), Some(warning)),
    };
    record.state = State::Kept;
    record.commits = changes.commits;
    record.changed_files.clone_from(&changes.files);
    if let Err(error) = record.write(home) {
        tracing::warn!(%error, "the record of a worktree is not up to date");
    }
    if let Some(path) = patch {
        write_patch(tree, &path);
    }
    let (path, branch, base, commits) = (record.path(), record.branch, record.base, record.commits);
    Left { note: Some(WorktreeNote { path, branch, base, commits }), changed_files: changes.files, warning }
}

fn write_patch(tree: &Worktree, path: &Path) {
    let written = tree.patch().map_err(|error| error.to_string()).and_then(|patch| {
        if patch.len() > PATCH {
            return Err(format!("{} bytes", patch.len()));
        }
        super::files::write(path, &patch).map_err(|error| error.to_string())
    });
    // It is a copy for readers; the worktree has it all.
    if let Err(error) = written {
        tracing::warn!(%error, path = %path.display(), "diff not written");
    }
}

/// Judges worktrees whose processes are gone: those of the tree that this process has just taken up. Call it once nothing
/// that was started for them runs any more.
pub(crate) fn harvest(store: &Store, root: &RunId) {
    let home = store.home();
    for record in records(home, None).into_iter().filter(|record| record.state == State::Open) {
        let ours = record.run_id == *root
            || store.run(&record.run_id).is_ok_and(|row| row.is_some_and(|row| row.spec.root.as_ref() == Some(root)));
        if ours {
            clear(store, record);
        }
    }
}

/// Judges one worktree that nobody works in.
pub(crate) fn clear(store: &Store, record: Record) -> bool {
    let home = store.home();
    if !record.dir(home).exists() {
        record.forget(home);
        return false;
    }
    let patch = store.run_dir(&record.run_id).join("calls").join(record.call_id.to_string());
    let patch = patch.is_dir().then(|| patch.join("diff.patch"));
    match known(store, &record, None) {
        Ok(tree) => settle(home, record, &tree, patch).note.is_some(),
        Err(error) => {
            tracing::warn!(%error, path = record.path(), "a worktree is kept as it is");
            let kept = Record { state: State::Kept, ..record };
            // What is not written down is looked at again the next time.
            let _ = kept.write(home);
            true
        }
    }
}

/// The worktree of a record that was read from the disk, where an agent may have written it: its repository is that of the
/// run's workspace, else of `here`, whatever the record says.
///
/// # Errors
/// The repository cannot be told.
pub(crate) fn known(store: &Store, record: &Record, here: Option<&Path>) -> Result<Worktree, GitError> {
    let of_run = store.run(&record.run_id).ok().flatten().map(|row| PathBuf::from(row.spec.workspace));
    let repository = match of_run.as_deref().or(here).map(crate::worktree::repository) {
        Some(Ok(repository)) => repository,
        Some(Err(GitError::Missing)) => return Err(GitError::Missing),
        Some(Err(_)) | None => return Err(GitError::Refused("the repository of its run cannot be told".to_owned())),
    };
    Ok(Worktree { repository: Some(repository), ..record.worktree(store.home()) })
}

fn failed(what: &str, why: &dyn std::fmt::Display) -> CallError {
    let mut error = CallError::new(ErrorClass::Worktree, format!("{what}: {why}"));
    error.hint = Some("isolation \"worktree\" needs git and a repository with a commit; nothing was asked".to_owned());
    error
}

/// Runs what waits for other processes away from the threads that must not wait. None when it panicked.
async fn blocking<T: Send + 'static>(inline: bool, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if inline {
        return Some(work());
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::error!(%error, "work on a worktree broke off");
            None
        }
    }
}
