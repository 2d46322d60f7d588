//! Runs: making them, reading them, and what their status really is.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::core::event::Event;
use crate::core::ids::{Hash, RunId};
use crate::core::outcome::{CostSource, Usage};
use crate::core::run::{ParentRef, RunOutcome, RunSpec, RunStatus, Settings, StatusReason};
use crate::core::time::Millis;
use crate::store::error::{OwnerRow, StoreError};
use crate::store::home;
use crate::store::journal;
use crate::store::lease;
use crate::store::projection::RunFold;
use crate::store::rows;
use crate::store::sources;
use crate::store::store::Store;
use crate::store::words::{cost_source, packed, record, run_id};
use crate::store::writer::Tx;

/// How long after its end a run is still joined by a start with the same request key, in milliseconds.
const JOIN_MS: u64 = 3_600_000;
/// How long a run may wait for its process, in milliseconds.
const START_MS: u64 = 10_000;

/// What became of a request to make a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is there.
    New,
    /// An earlier start with the same request key and the same request stands for it.
    Joined {
        /// The earlier run.
        run_id: RunId,
    },
    /// The request key was used for another request.
    KeyConflict {
        /// The run it was used for.
        run_id: RunId,
    },
}

/// A run, as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// The run.
    pub run_id: RunId,
    /// The root of its tree, itself when it has no parent.
    pub root: RunId,
    /// The call that started it.
    pub parent: Option<ParentRef>,
    /// The run whose outcomes it reuses.
    pub resumed_from: Option<RunId>,
    /// The stored status; see [`Store::effective_status`] for what it amounts to.
    pub status: RunStatus,
    /// Why it is paused or cancelled.
    pub status_reason: Option<StatusReason>,
    /// What a provider said when it was paused.
    pub message: Option<String>,
    /// Its fixed facts.
    pub spec: RunSpec,
    /// The settings in force: the last start's, else those of `spec`.
    pub settings: Settings,
    /// When it was created.
    pub created_at: Millis,
    /// When a process first took it up.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub completed_at: Option<Millis>,
    /// When its last event was appended.
    pub last_at: Millis,
    /// How many owners its tree has had.
    pub epoch: u64,
    /// The recorded owner of its tree, dead or alive.
    pub owner: Option<OwnerRow>,
    /// The number of its last event.
    pub last_seq: u64,
    /// Milliseconds under owners that have let go.
    pub owned_ms: u64,
    /// Since when the present (or last, dead) owner has it.
    pub owned_since: Option<Millis>,
    /// How it ended; read by [`Store::run`] alone, none in lists.
    pub outcome: Option<RunOutcome>,
    /// Whether the fake provider answered a call.
    pub simulated: bool,
    /// Whether its end was asked for.
    pub cancel_requested: bool,
    /// Calls requested.
    pub calls: u64,
    /// Calls with a failing status.
    pub failed: u64,
    /// Tokens of the calls it executed itself.
    pub usage: Usage,
    /// Cost of the calls it executed itself, as far as known, in billionths of a US dollar.
    pub cost_nanos: Option<u64>,
    /// Where that cost comes from.
    pub cost_source: CostSource,
    /// Calls it executed whose cost is not known.
    pub unpriced: u64,
    /// Calls that used tokens whose number nobody knows.
    pub untold: u64,
    /// Open questions.
    pub pending_approvals: u64,
    /// The row's place in lists, for [`crate::store::RunFilter::before`].
    pub position: i64,
}

impl RunRow {
    /// Milliseconds it had an owner, up to `now` when it is `live`, else up to its last event.
    pub fn elapsed_ms(&self, live: bool, now: Millis) -> u64 {
        let open = self.owned_since.map_or(0, |since| if live { now.since(since) } else { self.last_at.since(since) });
        self.owned_ms.saturating_add(open)
    }
}

/// The id of a run by its number.
pub(super) fn id_of(db: &Connection, no: i64) -> Result<RunId, StoreError> {
    let mut select = db.prepare_cached("SELECT run_id FROM run_key WHERE no = ?1")?;
    let text: String = select.query_row([no], |row| row.get(0))?;
    run_id(&text)
}

/// The root of a run's tree.
pub(super) fn root_of(db: &Connection, run: &RunId) -> Result<RunId, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT root.run_id FROM run_key JOIN run ON run.no = run_key.no JOIN run_key AS root ON root.no = run.root \
         WHERE run_key.run_id = ?1",
    )?;
    let text: Option<String> = select.query_row([run.as_str()], |row| row.get(0)).optional()?;
    run_id(&text.ok_or_else(|| StoreError::no_run(run))?)
}

fn event(db: &Connection, no: i64, seq: u64) -> Result<Event, StoreError> {
    let mut select = db.prepare_cached("SELECT id, at, body FROM event WHERE id = ?1")?;
    let mut rows = select.query([packed(no, seq)])?;
    let Some(row) = rows.next()? else {
        return Err(StoreError::Corrupt(format!("event {seq} of run number {no} is missing")));
    };
    let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(record(row.get(0)?, row.get(1)?, body)?.event)
}

/// A whole row; the outcome only when asked for, because it holds the output.
pub(super) fn run_row(db: &Connection, fold: RunFold, with_outcome: bool) -> Result<RunRow, StoreError> {
    let no = fold.no;
    let broken = |what: &str| StoreError::Corrupt(format!("run number {no} has no {what} where it should be"));
    let Event::RunCreated { spec } = event(db, no, 1)? else { return Err(broken("first event")) };
    let settings = if fold.settings_seq == 1 {
        spec.settings.clone()
    } else {
        match event(db, no, fold.settings_seq)? {
            Event::SettingsChanged { settings } => *settings,
            _ => return Err(broken("settings")),
        }
    };
    let outcome = match fold.finished_seq.filter(|_| with_outcome) {
        Some(seq) => match event(db, no, seq)? {
            Event::RunFinished { outcome } => Some(*outcome),
            _ => return Err(broken("outcome")),
        },
        None => None,
    };
    let pending: i64 = db
        .prepare_cached("SELECT count(*) FROM approval WHERE run = ?1 AND state = 'pending'")?
        .query_row([no], |row| row.get(0))?;
    let asked: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM inbox WHERE root = ?1 AND consumed = 0 AND kind = 'cancel' AND run IN (?1, ?2) \
             AND json_extract(body, '$.call_id') IS NULL)",
        )?
        .query_row([fold.root, no], |row| row.get(0))?;
    Ok(RunRow {
        run_id: id_of(db, no)?,
        root: id_of(db, fold.root)?,
        parent: spec.parent.clone(),
        resumed_from: fold.resumed_from,
        status: fold.status,
        status_reason: fold.status_reason,
        message: fold.message,
        settings,
        spec: *spec,
        created_at: fold.created_at,
        started_at: fold.started_at,
        completed_at: fold.completed_at,
        last_at: fold.last_at,
        epoch: lease::epoch(db, fold.root)?,
        owner: lease::recorded(db, fold.root)?,
        last_seq: fold.last_seq,
        owned_ms: fold.owned_ms,
        owned_since: fold.owned_since,
        outcome,
        simulated: fold.simulated,
        cancel_requested: fold.cancel_requested || asked,
        calls: fold.calls,
        failed: fold.failed,
        usage: fold.spent.usage,
        cost_nanos: fold.spent.cost_nanos,
        cost_source: cost_source(fold.spent.cost_sources),
        unpriced: fold.unpriced,
        untold: fold.untold,
        pending_approvals: pending as u64,
        position: no,
    })
}

/// What a stored status amounts to, given whether a process holds the tree's lock.
pub(super) fn effective(
    status: RunStatus,
    reason: Option<StatusReason>,
    created_at: Millis,
    epoch: u64,
    live: impl Fn() -> bool,
    now: Millis,
) -> (RunStatus, Option<StatusReason>) {
    match status {
        RunStatus::Running if !live() => (RunStatus::Interrupted, Some(StatusReason::OwnerGone)),
        RunStatus::Queued if epoch > 0 && !live() => (RunStatus::Interrupted, Some(StatusReason::OwnerGone)),
        RunStatus::Queued if epoch == 0 && now.since(created_at) >= START_MS && !live() => {
            (RunStatus::Interrupted, Some(StatusReason::NotStarted))
        }
        RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Paused
        | RunStatus::Done
        | RunStatus::Failed
        | RunStatus::Cancelled
        | RunStatus::Interrupted => (status, reason),
    }
}

/// The latest run with the request key, if a start would join it.
fn joined(tx: &Tx<'_>, key: &str, hash: &Hash, at: Millis) -> Result<Option<Created>, StoreError> {
    let mut select = tx.db.prepare_cached("SELECT no FROM run WHERE request_key = ?1 ORDER BY no DESC LIMIT 1")?;
    let Some(no) = select.query_row([key], |row| row.get::<_, i64>(0)).optional()? else { return Ok(None) };
    let Some(fold) = rows::load_run(tx.db, no)? else { return Ok(None) };
    if fold.completed_at.is_some_and(|end| at.since(end) >= JOIN_MS) {
        return Ok(None);
    }
    let run_id = id_of(tx.db, no)?;
    let same = match event(tx.db, no, 1)? {
        Event::RunCreated { spec } => spec.request_key.is_some_and(|(_, theirs)| theirs == *hash),
        _ => false,
    };
    Ok(Some(if same { Created::Joined { run_id } } else { Created::KeyConflict { run_id } }))
}

impl Store {
    /// Makes a run in one transaction: pinned source, first event, row. A request key is decided in it: it joins a run that
    /// is unfinished or ended less than an hour ago. For a child run the ownership of its tree is checked, when this handle
    /// has it.
    ///
    /// # Errors
    /// `RunExists`, `LostOwnership`, or when it cannot be written.
    pub fn create_run(&self, run: &RunId, spec: &RunSpec, source: &[u8], at: Millis) -> Result<Created, StoreError> {
        self.writable()?;
        // First, because a store whose files cannot be made must not have the run.
        home::make_run_dir(self.home(), run)?;
        let lease = spec.root.as_ref().and_then(|root| {
            let leases = self.0.leases.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            leases.get(root).map(|epoch| (root.clone(), *epoch))
        });
        let (id, spec, source) = (run.clone(), spec.clone(), source.to_vec());
        let created = self.write("create run", move |tx| {
            if let Some(lease) = &lease {
                let root = tx.number(&lease.0)?;
                lease::check(tx.db, root, lease)?;
            }
            if let Some((key, hash)) = &spec.request_key
                && let Some(created) = joined(tx, key, hash, at)?
            {
                return Ok(created);
            }
            sources::put(tx.db, &spec.source_hash, &source)?;
            let (db, folder) = tx.folder();
            folder.create(db, &id, at, Event::RunCreated { spec: Box::new(spec) })?;
            Ok(Created::New)
        });
        if !matches!(created, Ok(Created::New) | Err(StoreError::RunExists(_))) {
            // Only an empty directory goes: another process may have made the run meanwhile.
            let _ = std::fs::remove_dir(self.run_dir(run));
        }
        created
    }

    /// A run with its outcome.
    ///
    /// # Errors
    /// What the database says.
    pub fn run(&self, run: &RunId) -> Result<Option<RunRow>, StoreError> {
        self.read(|db| {
            let Some(no) = journal::number(db, run)? else { return Ok(None) };
            rows::load_run(db, no)?.map(|fold| run_row(db, fold, true)).transpose()
        })
    }

    /// The status a reader should see: a run that should have a process and has none is interrupted.
    pub fn effective_status(&self, row: &RunRow, now: Millis) -> (RunStatus, Option<StatusReason>) {
        let live = || lease::held(self.home(), &row.root);
        effective(row.status, row.status_reason, row.created_at, row.epoch, live, now)
    }

    /// The child runs of a run, oldest first.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn children(&self, run: &RunId) -> Result<Vec<RunRow>, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let same_tree = "root = (SELECT root FROM run WHERE no = ?1)";
            many(db, &format!("SELECT no FROM run WHERE parent = ?1 AND {same_tree} ORDER BY no"), params![no])
        })
    }

    /// The runs that agents of a run started: below its calls, with owners of their own; oldest first.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn nested(&self, run: &RunId) -> Result<Vec<RunRow>, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            many(db, "SELECT no FROM run WHERE parent = ?1 AND root = no ORDER BY no", params![no])
        })
    }
}

fn many(db: &Connection, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<RunRow>, StoreError> {
    let mut select = db.prepare_cached(sql)?;
    let numbers: Vec<i64> = select.query_map(parameters, |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut found = Vec::with_capacity(numbers.len());
    for no in numbers {
        if let Some(fold) = rows::load_run(db, no)? {
            found.push(run_row(db, fold, false)?);
        }
    }
    Ok(found)
}
