//! What can go wrong with the store, grouped by what a caller can do about it, and its one translation into a failure.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::core::call::Decision;
use crate::core::event::Owner;
use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::core::run::RunStatus;
use crate::core::time::Millis;

/// A store written by a newer owf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewerStore {
    /// The format it has.
    pub format: u32,
    /// The newest format this program knows.
    pub known: u32,
    /// The version that wrote it.
    pub written_by: String,
}

/// Who executes a run, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRow {
    /// The process and its epoch.
    pub owner: Owner,
    /// When it took the run up.
    pub since: Millis,
}

/// An approval that is no longer open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The decision; none when the question was withdrawn with its call or run.
    pub decision: Option<Decision>,
    /// When.
    pub at: Option<Millis>,
    /// Who decided.
    pub by: Option<String>,
    /// Through what.
    pub via: Option<String>,
}

/// Why the store did not do what it was asked. Every text fits after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no store in the home.
    #[error("no store in {home}")]
    NoStore {
        /// The home.
        home: String,
    },
    /// The directory holds something else, or lies on a network file system.
    #[error("{home} {why}")]
    HomeNotAStore {
        /// The home.
        home: String,
        /// What is wrong with it.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The home or its database cannot be written.
    #[error("{home} cannot be written: {cause}")]
    NotWritable {
        /// The home.
        home: String,
        /// What the system said.
        cause: String,
    },
    /// The store has a newer format.
    #[error("this store was written by owf {} (format {}); this owf knows format {}", .0.written_by, .0.format, .0.known)]
    Newer(NewerStore),
    /// Other processes held the store for too long.
    #[error("the store is locked by another process")]
    Busy,
    /// No space is left.
    #[error("the store is full: {0}")]
    Full(String),
    /// The disk failed.
    #[error("the store's disk failed: {0}")]
    Io(String),
    /// The database is damaged.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The journal of a run, or a question in it, is not as owf wrote it.
    #[error("what is stored of run {run} was changed by something other than owf")]
    Altered {
        /// The run.
        run: RunId,
    },
    /// Somebody else owns the run now: nothing may be written for it any more.
    #[error("run {run} is no longer owned by this process (epoch {now}, ours was {ours})")]
    LostOwnership {
        /// The root of the run tree.
        run: RunId,
        /// The epoch of the writer.
        ours: u64,
        /// The epoch in the store.
        now: u64,
    },
    /// A live process executes the run.
    #[error("run {run} is executed by {}", named(owner.as_ref()))]
    Live {
        /// The root of the run tree.
        run: RunId,
        /// Who, as far as it is recorded.
        owner: Option<OwnerRow>,
    },
    /// The run has ended.
    #[error("run {run} has ended: {}", .status.as_str())]
    RunEnded {
        /// The run.
        run: RunId,
        /// How.
        status: RunStatus,
    },
    /// A run with this id is there already.
    #[error("run {0} exists already")]
    RunExists(RunId),
    /// The approval was decided before.
    #[error("the approval is decided already")]
    AlreadyDecided(Decided),
    /// The approval has expired.
    #[error("the approval has expired")]
    ApprovalExpired,
    /// The question differs from the one the decision names.
    #[error("the question has changed since it was read: its hash is {now}")]
    ContentChanged {
        /// The hash of the question as it is.
        now: String,
    },
    /// Only a person may decide.
    #[error("only a person may decide this approval")]
    PersonRequired,
    /// What was named is not there.
    #[error("there is no {what} {name}")]
    NotFound {
        /// The kind: `run`, `call`, `approval`.
        what: &'static str,
        /// The name as given.
        name: String,
        /// The nearest names that exist.
        nearest: Vec<String>,
    },
    /// What was named is there more than once.
    #[error("`{name}` stands for {} runs", candidates.len())]
    Ambiguous {
        /// The name as given.
        name: String,
        /// What it may mean.
        candidates: Vec<String>,
    },
    /// The journal would get a hole or a second history.
    #[error("event {got} of run {run} does not follow event {last}")]
    Sequence {
        /// The run.
        run: RunId,
        /// The last event on disk.
        last: u64,
        /// The event to append.
        got: u64,
    },
    /// A fault of owf itself.
    #[error("the store met a fault of its own: {0}")]
    Internal(String),
}

/// The owner of a run, for a message.
fn named(owner: Option<&OwnerRow>) -> String {
    owner.map_or_else(
        || "a live process".to_owned(),
        |row| format!("process {} on {} since {}", row.owner.pid, row.owner.host, row.since.rfc3339()),
    )
}

impl StoreError {
    /// Whether the database itself failed, so that nothing else of its transaction can be trusted to be written.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Io(_) | Self::Corrupt(_) | Self::Busy | Self::NotWritable { .. })
    }

    pub(super) fn no_run(run: &RunId) -> Self {
        Self::NotFound { what: "run", name: run.to_string(), nearest: Vec::new() }
    }

    pub(super) fn file(home: &Path, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Self::Full(error.to_string());
        }
        Self::NotWritable { home: home.display().to_string(), cause: error.to_string() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(text),
            Some(ErrorCode::SystemIoFailure) => Self::Io(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NotWritable { home: "the store".to_owned(), cause: text }
            }
            _ => Self::Internal(text),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() || error.is_syntax() || error.is_eof() {
            Self::Corrupt(format!("a stored value does not read: {error}"))
        } else {
            Self::Internal(error.to_string())
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::NoStore { home } => Self::new(Code::NotFound, format!("no runs yet in {home}"))
                .hint("owf run FILE, or --home for another store")
                .with("what", "run")
                .with("home", home),
            StoreError::HomeNotAStore { home, hint, .. } => {
                Self::new(Code::HomeNotAStore, text).hint(hint).with("home", home)
            }
            StoreError::NotWritable { home, .. } => {
                Self::new(Code::NotWritable, text).hint("check its permissions, or use --home").with("home", home)
            }
            StoreError::Newer(_) => {
                Self::new(Code::StoreNewer, text).hint("upgrade owf; reading still works (runs, status, output)")
            }
            StoreError::Busy => Self::new(Code::StoreBusy, text).hint("try again"),
            StoreError::Full(_) => {
                Self::new(Code::StoreFull, text).hint("free some space (owf prune), then owf resume the run")
            }
            StoreError::Io(_) => Self::new(Code::NotWritable, text).hint("check the disk, then owf resume the run"),
            StoreError::Corrupt(_) => Self::new(Code::StoreCorrupt, text).hint("owf doctor says what is damaged"),
            StoreError::Altered { run } => Self::new(Code::StoreCorrupt, text)
                .hint(
                    "nothing is done on its word: put the database back as it was, or start the workflow again with owf run; \
                     owf doctor names each such run",
                )
                .with("run_id", run.to_string()),
            StoreError::LostOwnership { run, .. } => Self::new(Code::RunIsLive, text).with("run_id", run.to_string()),
            StoreError::Live { run, owner } => {
                let mut failure = Self::new(Code::RunIsLive, text).hint("wait for it, or cancel it first");
                if let Some(row) = owner {
                    failure = failure.with(
                        "owner",
                        serde_json::json!({
                            "pid": row.owner.pid, "host": row.owner.host, "since": row.since.rfc3339()
                        }),
                    );
                }
                failure.with("run_id", run.to_string())
            }
            StoreError::RunEnded { run, status } => Self::new(Code::RunEnded, text)
                .hint("owf resume makes a new run that reuses its finished calls")
                .with("run_id", run.to_string())
                .with("status", status.as_str()),
            StoreError::RunExists(run) => Self::new(Code::Exists, text).with("run_id", run.to_string()),
            StoreError::AlreadyDecided(decided) => {
                let what = decided.decision.map_or("withdrawn", |d| match d {
                    Decision::Approve => "approved",
                    Decision::Deny => "denied",
                });
                let by = decided.by.map(|by| format!(" by {by}")).unwrap_or_default();
                let at = decided.at.map(|at| format!(" at {}", at.rfc3339())).unwrap_or_default();
                Self::new(Code::AlreadyDecided, format!("the approval was {what}{by}{at}"))
            }
            StoreError::ApprovalExpired => Self::new(Code::ApprovalExpired, text),
            StoreError::ContentChanged { .. } => {
                Self::new(Code::ContentChanged, text).hint("read the question again (owf approvals), then decide")
            }
            StoreError::PersonRequired => {
                Self::new(Code::PersonRequired, text).hint("a person decides it: owf approve or owf deny at a terminal")
            }
            StoreError::NotFound { what, nearest, .. } => {
                let failure = Self::new(Code::NotFound, text).allowed(nearest).with("what", what);
                if what == "approval" { failure.hint("owf_approvals lists the questions") } else { failure }
            }
            StoreError::Ambiguous { candidates, .. } => {
                Self::new(Code::Ambiguous, text).hint("give more characters").allowed(candidates)
            }
            StoreError::Sequence { .. } | StoreError::Internal(_) => Self::new(Code::Internal, text),
        }
    }
}
