//! Reading calls: rows, details, and counts over a run.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::core::call::{CallKind, CallSpec, Site};
use crate::core::event::Event;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::outcome::{CacheNote, CacheStatus, CallRef, CallStatus, CostSource, ErrorClass, Outcome, Usage};
use crate::core::time::Millis;
use crate::store::error::StoreError;
use crate::store::journal;
use crate::store::projection::CallState;
use crate::store::rows::{self, CALL_COLUMNS};
use crate::store::store::Store;
use crate::store::words::{call_id, cost_source, packed, part_of, run_of, word};

/// A call, as its journal tells it. Its request is read by [`Store::request`], its outcome by [`Store::outcome`].
#[derive(Debug, Clone, PartialEq)]
pub struct CallRow {
    /// Its id, which is its index.
    pub call_id: CallId,
    /// Its kind.
    pub kind: CallKind,
    /// Where it stands.
    pub state: CallState,
    /// What people call it.
    pub label: String,
    /// The phase it is shown under.
    pub phase: Option<String>,
    /// Where it was made.
    pub site: Option<Site>,
    /// The cache's part in it, once it has ended: `replayed` when another run's journal had its outcome.
    pub cache: Option<CacheNote>,
    /// The provider asked, or that answered.
    pub provider: Option<String>,
    /// The model asked for, or that answered.
    pub model: Option<String>,
    /// Attempts over the lineage.
    pub attempts: u32,
    /// Tokens this run paid for it; none for a reused or cached answer.
    pub usage: Usage,
    /// Whether it used tokens beside these whose number nobody knows.
    pub usage_unknown: bool,
    /// What this run paid for it, in billionths of a US dollar, when known.
    pub cost_nanos: Option<u64>,
    /// Where the cost comes from.
    pub cost_source: CostSource,
    /// The day of the prices that the cost was estimated with.
    pub prices_as_of: Option<String>,
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// When it was requested.
    pub requested_at: Millis,
    /// When an attempt first started.
    pub started_at: Option<Millis>,
    /// Its last error: class, and message cut at 400 characters.
    pub error: Option<(ErrorClass, String)>,
    /// The run of a child workflow.
    pub child_run: Option<RunId>,
    /// The call of another run whose recorded outcome it reused.
    pub reused: Option<CallRef>,
    /// Whether the fake provider answered.
    pub simulated: bool,
    /// Whether nobody awaited it at the end.
    pub abandoned: bool,
    /// Whether its attempts may change something outside the run.
    pub mutating: bool,
    /// The number of its request in the journal.
    pub requested_seq: u64,
    /// The number of the event that recorded its cache key.
    pub cached_seq: Option<u64>,
    /// The number of its outcome in the journal.
    pub finished_seq: Option<u64>,
    /// The number of the last event that touched it.
    pub changed_seq: u64,
}

/// Which calls to read, by index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFilter {
    /// States by word (`queued`, `running`, `done`, ...); empty = all.
    pub status: Vec<String>,
    /// Cache statuses; empty = all.
    pub cache_status: Vec<CacheStatus>,
    /// The phase.
    pub phase: Option<String>,
    /// A part of the label.
    pub label: Option<String>,
    /// Touched by an event after this one.
    pub changed_since_seq: Option<u64>,
    /// Go on after this call.
    pub after: Option<CallId>,
    /// How many at most; 0 = no limit.
    pub limit: usize,
    /// Whether the last calls come first; `after` then goes on towards the first call.
    pub newest_first: bool,
}

/// What a call asked.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRequest {
    /// Hash of what was asked.
    pub key: Hash,
    /// The how-manieth request with this key in its run, from 1.
    pub occurrence: u32,
    /// The request.
    pub spec: CallSpec,
}

/// How many calls of a run stand where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// By state word.
    pub by_status: BTreeMap<String, u64>,
    /// By phase, in the order of their first calls.
    pub phases: Vec<PhaseCounts>,
    /// All calls.
    pub total: u64,
    /// Calls with a failing status.
    pub failed: u64,
    /// Done calls whose outcome another run's journal had.
    pub replayed: u64,
    /// Done calls answered by the cache.
    pub hit: u64,
    /// By cache status word.
    pub by_cache: BTreeMap<String, u64>,
    /// Tokens of executed calls.
    pub usage: Usage,
    /// Cost of executed calls as far as known, in billionths of a US dollar.
    pub cost_nanos: Option<u64>,
    /// Where that cost comes from.
    pub cost_source: CostSource,
    /// Executed calls whose cost is not known.
    pub unpriced: u64,
}

impl Counts {
    /// Calls with this state word.
    pub fn of(&self, status: &str) -> u64 {
        self.by_status.get(status).copied().unwrap_or(0)
    }
}

/// How many calls of a phase stand where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhaseCounts {
    /// The phase; none = calls outside any.
    pub title: Option<String>,
    /// By state word.
    pub by_status: BTreeMap<String, u64>,
    /// All calls.
    pub total: u64,
    /// Calls with a failing status.
    pub failed: u64,
}

fn call_row(row: &Row<'_>) -> Result<CallRow, StoreError> {
    let key: i64 = row.get(0)?;
    let fold = rows::read_call(row)?;
    Ok(CallRow {
        call_id: call_id(part_of(key)),
        kind: fold.kind,
        state: fold.state,
        label: fold.label,
        phase: fold.phase,
        site: fold.site.map(|(line, column)| Site { line, column }),
        cache: fold.cache,
        provider: fold.provider,
        model: fold.model,
        attempts: fold.attempts,
        usage: fold.spent.usage,
        usage_unknown: fold.untold,
        cost_nanos: fold.spent.cost_nanos,
        cost_source: cost_source(fold.spent.cost_sources),
        prices_as_of: fold.prices_as_of,
        duration_ms: fold.duration_ms,
        requested_at: fold.requested_at,
        started_at: fold.started_at,
        error: fold.error,
        child_run: fold.child_run,
        reused: fold.reused,
        simulated: fold.simulated,
        abandoned: fold.abandoned,
        mutating: fold.mutating,
        requested_seq: fold.requested_seq,
        cached_seq: fold.cached_seq,
        finished_seq: fold.finished_seq,
        changed_seq: fold.changed_seq,
    })
}

const MATCHES: &str = "id > ?1 AND id < ?2 AND (?3 IS NULL OR phase = ?3) AND (?4 IS NULL OR instr(lower(label), ?4) > 0) \
     AND (?5 IS NULL OR changed_seq > ?5) AND (?6 IS NULL OR instr(?6, ',' || status || ',') > 0) \
     AND (?7 IS NULL OR instr(?7, ',' || cache_status || ',') > 0)";

/// Words as one text that a word can be looked up in.
fn listed<'a>(words: impl ExactSizeIterator<Item = &'a str>) -> Option<String> {
    let some = words.len() > 0;
    let list = words.fold(",".to_owned(), |list, word| list + word + ",");
    some.then_some(list)
}

impl Store {
    /// Calls of a run that match the filter.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn calls(&self, run: &RunId, filter: &CallFilter) -> Result<Vec<CallRow>, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let order = if filter.newest_first { "DESC" } else { "ASC" };
            let sql = format!("SELECT {CALL_COLUMNS} FROM call WHERE {MATCHES} ORDER BY id {order} LIMIT ?8");
            let limit = if filter.limit == 0 { -1 } else { i64::try_from(filter.limit).unwrap_or(-1) };
            let after = filter.after.map(|call| packed(no, u64::from(call.0)));
            let (from, to) = (packed(no, 0), packed(no + 1, 0));
            let (from, to) =
                if filter.newest_first { (from, after.unwrap_or(to)) } else { (after.unwrap_or(from), to) };
            query(db, &sql, from, to, filter, Some(limit), |rows| {
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(call_row(row)?);
                }
                Ok(found)
            })
        })
    }

    /// One call.
    ///
    /// # Errors
    /// `NotFound` for the run, or what the database says.
    pub fn call(&self, run: &RunId, call: CallId) -> Result<Option<CallRow>, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let mut select = db.prepare_cached(&format!("SELECT {CALL_COLUMNS} FROM call WHERE id = ?1"))?;
            select.query_row([packed(no, u64::from(call.0))], |row| Ok(call_row(row))).optional()?.transpose()
        })
    }

    /// What a call asked.
    ///
    /// # Errors
    /// `NotFound` for the run, or what the database says.
    pub fn request(&self, run: &RunId, call: CallId) -> Result<Option<CallRequest>, StoreError> {
        self.call_event(run, call, "requested_seq", |event| match event {
            Event::CallRequested { key, occurrence, spec, .. } => Some(CallRequest { key, occurrence, spec: *spec }),
            _ => None,
        })
    }

    /// How a call ended, as recorded.
    ///
    /// # Errors
    /// `NotFound` for the run, or what the database says.
    pub fn outcome(&self, run: &RunId, call: CallId) -> Result<Option<Outcome>, StoreError> {
        self.call_event(run, call, "finished_seq", |event| match event {
            Event::CallFinished { outcome, .. } => Some(*outcome),
            _ => None,
        })
    }

    fn call_event<T>(
        &self,
        run: &RunId,
        call: CallId,
        column: &str,
        pick: impl FnOnce(Event) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let key = packed(no, u64::from(call.0));
            let sql = format!(
                "SELECT event.body FROM call JOIN event ON event.id = (call.id >> 32 << 32) + call.{column} \
                 WHERE call.id = ?1"
            );
            let body: Option<String> = db.prepare_cached(&sql)?.query_row([key], |row| row.get(0)).optional()?;
            let Some(body) = body else { return Ok(None) };
            let picked = pick(serde_json::from_str(&body)?);
            picked.map(Some).ok_or_else(|| {
                StoreError::Corrupt(format!("call {call} of run number {} points at another event", run_of(key)))
            })
        })
    }

    /// How many calls of a run stand where, and what they cost.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn counts(&self, run: &RunId) -> Result<Counts, StoreError> {
        self.read(|db| {
            let no = journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?;
            let fold = rows::load_run(db, no)?.ok_or_else(|| StoreError::no_run(run))?;
            let mut counts = Counts {
                total: fold.calls,
                failed: fold.failed,
                usage: fold.spent.usage,
                cost_nanos: fold.spent.cost_nanos,
                cost_source: cost_source(fold.spent.cost_sources),
                unpriced: fold.unpriced,
                ..Counts::default()
            };
            let mut select = db.prepare_cached(
                "SELECT phase, status, cache_status, count(*) FROM call WHERE id > ?1 AND id < ?2 \
                 GROUP BY phase, status, cache_status ORDER BY min(id)",
            )?;
            let mut rows = select.query([packed(no, 0), packed(no + 1, 0)])?;
            while let Some(row) = rows.next()? {
                let text = |i: usize| row.get_ref(i).and_then(|v| Ok(v.as_str_or_null()?));
                let (phase, status, cache) = (text(0)?, text(1)?.unwrap_or_default(), text(2)?);
                counts.add(phase, status, cache, row.get::<_, i64>(3)? as u64);
            }
            Ok(counts)
        })
    }
}

impl Counts {
    fn add(&mut self, phase: Option<&str>, status: &str, cache: Option<&str>, n: u64) {
        *self.by_status.entry(status.to_owned()).or_default() += n;
        if let Some(cache) = cache {
            *self.by_cache.entry(cache.to_owned()).or_default() += n;
        }
        let done = status == CallStatus::Done.as_str();
        match cache {
            Some("replayed") if done => self.replayed += n,
            Some("hit") if done => self.hit += n,
            _ => {}
        }
        let index = self.phases.iter().position(|p| p.title.as_deref() == phase).unwrap_or_else(|| {
            self.phases.push(PhaseCounts { title: phase.map(str::to_owned), ..PhaseCounts::default() });
            self.phases.len() - 1
        });
        let slot = &mut self.phases[index];
        *slot.by_status.entry(status.to_owned()).or_default() += n;
        slot.total += n;
        if word::<CallStatus>(status).is_ok_and(CallStatus::is_failing) {
            slot.failed += n;
        }
    }
}

fn query<T>(
    db: &Connection,
    sql: &str,
    from: i64,
    to: i64,
    filter: &CallFilter,
    limit: Option<i64>,
    read: impl FnOnce(&mut rusqlite::Rows<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let status = listed(filter.status.iter().map(String::as_str));
    let cache = listed(filter.cache_status.iter().map(|status| status.as_str()));
    let label = filter.label.as_ref().map(|label| label.to_lowercase());
    let changed = filter.changed_since_seq.map(|seq| seq as i64);
    let mut select = db.prepare_cached(sql)?;
    let mut rows = match limit {
        Some(limit) => select.query(params![from, to, filter.phase, label, changed, status, cache, limit])?,
        None => select.query(params![from, to, filter.phase, label, changed, status, cache])?,
    };
    read(&mut rows)
}
