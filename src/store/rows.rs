//! Reading and writing of projection rows: the only place that knows their columns.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::core::call::CallKind;
use crate::core::ids::{ApprovalId, CallId};
use crate::core::outcome::{CacheNote, CacheStatus, CallRef, CallStatus, ErrorClass, ReasonCode, Usage};
use crate::core::time::Millis;
use crate::store::error::StoreError;
use crate::store::projection::{Answered, ApprovalFold, CallFold, CallState, RunFold, Spent};
use crate::store::words::{call_id, millis, optional_word, run_id, word};

pub(super) const SIMULATED: i64 = 1;
const ABANDONED: i64 = 2;
const MUTATING: i64 = 4;
const ASKED: i64 = 8;
pub(super) const UNTOLD: i64 = 16;

macro_rules! run_columns {
    () => {
        "no, root, parent, parent_call, resumed_from, workflow_name, request_key, status, status_reason, message, \
         cancel_requested, created_at, started_at, completed_at, last_at, owned_since, owned_ms, last_seq, settings_seq, \
         finished_seq, calls, failed, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_nanos, \
         cost_sources, unpriced, simulated, cache_write_1h_tokens, reasoning_tokens, untold, seal"
    };
}

macro_rules! call_columns {
    () => {
        "id, kind, status, label, phase, line, col, cache_status, cache_note, provider, model, attempts, input_tokens, \
         output_tokens, cache_read_tokens, cache_write_tokens, cost_nanos, cost_source, duration_ms, requested_at, \
         started_at, error_class, error_message, child_run, reused_run, reused_call, flags, requested_seq, cached_seq, \
         finished_seq, changed_seq, prices_as_of, cache_write_1h_tokens, reasoning_tokens"
    };
}

macro_rules! approval_columns {
    () => {
        "run, approval_id, note, asked_at, state, decision, decided_at, decided_by, decided_via, reason"
    };
}

/// The columns of `call`, for a query of one's own read by [`read_call`].
pub(super) const CALL_COLUMNS: &str = call_columns!();
/// The columns of `approval`, for a query of one's own read by [`read_approval`].
pub(super) const APPROVAL_COLUMNS: &str = approval_columns!();

pub(super) fn load_run(db: &Connection, no: i64) -> Result<Option<RunFold>, StoreError> {
    let mut select = db.prepare_cached(concat!("SELECT ", run_columns!(), " FROM run WHERE no = ?1"))?;
    select.query_row([no], |row| Ok(read_run(row))).optional()?.transpose()
}

pub(super) fn read_run(row: &Row<'_>) -> Result<RunFold, StoreError> {
    let parent: Option<i64> = row.get(2)?;
    let parent_call: Option<u32> = row.get(3)?;
    let resumed_from: Option<&str> = row.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    let usage = usage(row, 22, 30)?;
    let cost_sources: i64 = row.get(27)?;
    let cost: Option<u64> = row.get::<_, Option<i64>>(26)?.map(|n| n as u64);
    Ok(RunFold {
        no: row.get(0)?,
        root: row.get(1)?,
        parent: parent.zip(parent_call.map(CallId)),
        resumed_from: resumed_from.map(run_id).transpose()?,
        workflow_name: row.get(5)?,
        request_key: row.get(6)?,
        status: word(row.get_ref(7)?.as_str().map_err(rusqlite::Error::from)?)?,
        status_reason: optional_word(row.get_ref(8)?.as_str_or_null().map_err(rusqlite::Error::from)?)?,
        message: row.get(9)?,
        cancel_requested: row.get(10)?,
        created_at: Millis(row.get(11)?),
        started_at: millis(row.get(12)?),
        completed_at: millis(row.get(13)?),
        last_at: Millis(row.get(14)?),
        owned_since: millis(row.get(15)?),
        owned_ms: row.get::<_, i64>(16)? as u64,
        last_seq: row.get::<_, i64>(17)? as u64,
        settings_seq: row.get::<_, i64>(18)? as u64,
        finished_seq: row.get::<_, Option<i64>>(19)?.map(|n| n as u64),
        calls: row.get::<_, i64>(20)? as u64,
        failed: row.get::<_, i64>(21)? as u64,
        spent: Spent { usage, cost_nanos: cost, cost_sources },
        unpriced: row.get::<_, i64>(28)? as u64,
        untold: row.get::<_, i64>(32)? as u64,
        simulated: row.get(29)?,
        seal: row.get(33)?,
    })
}

/// The tokens in four columns from `first` on and two from `later` on.
fn usage(row: &Row<'_>, first: usize, later: usize) -> Result<Usage, StoreError> {
    let at = |i: usize| -> Result<u64, StoreError> { Ok(row.get::<_, i64>(i)? as u64) };
    Ok(Usage {
        input_tokens: at(first)?,
        output_tokens: at(first + 1)?,
        cache_read_tokens: at(first + 2)?,
        cache_write_tokens: at(first + 3)?,
        cache_write_1h_tokens: at(later)?,
        reasoning_tokens: at(later + 1)?,
    })
}

pub(super) fn save_run(db: &Connection, run: &RunFold) -> Result<(), StoreError> {
    let mut insert = db.prepare_cached(concat!(
        "INSERT OR REPLACE INTO run (",
        run_columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
         ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)"
    ))?;
    let usage = run.spent.usage;
    insert.execute(params![
        run.no,
        run.root,
        run.parent.map(|(no, _)| no),
        run.parent.map(|(_, call)| call.0),
        run.resumed_from.as_ref().map(crate::core::ids::RunId::as_str),
        run.workflow_name,
        run.request_key,
        run.status.as_str(),
        run.status_reason.map(crate::core::run::StatusReason::as_str),
        run.message,
        run.cancel_requested,
        run.created_at.0,
        run.started_at.map(|at| at.0),
        run.completed_at.map(|at| at.0),
        run.last_at.0,
        run.owned_since.map(|at| at.0),
        run.owned_ms as i64,
        run.last_seq as i64,
        run.settings_seq as i64,
        run.finished_seq.map(|seq| seq as i64),
        run.calls as i64,
        run.failed as i64,
        usage.input_tokens as i64,
        usage.output_tokens as i64,
        usage.cache_read_tokens as i64,
        usage.cache_write_tokens as i64,
        run.spent.cost_nanos.map(|n| n as i64),
        run.spent.cost_sources,
        run.unpriced as i64,
        run.simulated,
        usage.cache_write_1h_tokens as i64,
        usage.reasoning_tokens as i64,
        run.untold as i64,
        run.seal,
    ])?;
    Ok(())
}

pub(super) fn load_call(db: &Connection, key: i64) -> Result<Option<CallFold>, StoreError> {
    let mut select = db.prepare_cached(concat!("SELECT ", call_columns!(), " FROM call WHERE id = ?1"))?;
    select.query_row([key], |row| Ok(read_call(row))).optional()?.transpose()
}

pub(super) fn read_call(row: &Row<'_>) -> Result<CallFold, StoreError> {
    let text = |i: usize| -> Result<Option<&str>, StoreError> {
        Ok(row.get_ref(i)?.as_str_or_null().map_err(rusqlite::Error::from)?)
    };
    let number = |i: usize| -> Result<Option<u64>, StoreError> { Ok(row.get::<_, Option<i64>>(i)?.map(|n| n as u64)) };
    let status = text(2)?.unwrap_or_default();
    let state = match status {
        "queued" => CallState::Queued,
        "running" => CallState::Running,
        ended => CallState::Ended(word::<CallStatus>(ended)?),
    };
    let site: Option<(u32, u32)> = row.get::<_, Option<u32>>(5)?.zip(row.get(6)?);
    let cache = read_note(text(7)?, text(8)?)?;
    let error: Option<ErrorClass> = optional_word(text(21)?)?;
    let reused = match (text(24)?, number(25)?) {
        (Some(run), Some(call)) => Some(CallRef { run_id: run_id(run)?, call_id: call_id(call) }),
        _ => None,
    };
    let flags: i64 = row.get(26)?;
    Ok(CallFold {
        kind: word::<CallKind>(text(1)?.unwrap_or_default())?,
        state,
        label: row.get(3)?,
        phase: row.get(4)?,
        site,
        cache,
        provider: row.get(9)?,
        model: row.get(10)?,
        attempts: row.get(11)?,
        spent: Spent { usage: usage(row, 12, 32)?, cost_nanos: number(16)?, cost_sources: row.get(17)? },
        untold: flags & UNTOLD != 0,
        duration_ms: row.get::<_, i64>(18)? as u64,
        requested_at: Millis(row.get(19)?),
        started_at: millis(row.get(20)?),
        error: error.zip(row.get(22)?),
        child_run: text(23)?.map(run_id).transpose()?,
        reused,
        simulated: flags & SIMULATED != 0,
        abandoned: flags & ABANDONED != 0,
        mutating: flags & MUTATING != 0,
        asked: flags & ASKED != 0,
        requested_seq: row.get::<_, i64>(27)? as u64,
        cached_seq: number(28)?,
        finished_seq: number(29)?,
        changed_seq: row.get::<_, i64>(30)? as u64,
        prices_as_of: row.get(31)?,
    })
}

/// A note with nothing but a status and a reason is kept as two words, any other as JSON.
fn write_note(note: &CacheNote) -> Result<Option<String>, StoreError> {
    let plain = CacheNote { status: note.status, reason: note.reason, ..CacheNote::default() };
    if *note == plain { Ok(note.reason.map(|r| r.as_str().to_owned())) } else { Ok(Some(serde_json::to_string(note)?)) }
}

fn read_note(status: Option<&str>, note: Option<&str>) -> Result<Option<CacheNote>, StoreError> {
    let Some(status) = optional_word::<CacheStatus>(status)? else { return Ok(None) };
    let note = match note {
        Some(json) if json.starts_with('{') => serde_json::from_str(json)?,
        reason => CacheNote { status, reason: optional_word::<ReasonCode>(reason)?, ..CacheNote::default() },
    };
    Ok(Some(note))
}

pub(super) fn save_call(db: &Connection, key: i64, call: &CallFold) -> Result<(), StoreError> {
    let mut insert = db.prepare_cached(concat!(
        "INSERT OR REPLACE INTO call (",
        call_columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
         ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)"
    ))?;
    let usage = call.spent.usage;
    let flag = |on: bool, bit: i64| if on { bit } else { 0 };
    insert.execute(params![
        key,
        call.kind.as_str(),
        call.state.as_str(),
        call.label,
        call.phase,
        call.site.map(|(line, _)| line),
        call.site.map(|(_, column)| column),
        call.cache.as_ref().map(|note| note.status.as_str()),
        call.cache.as_ref().map(write_note).transpose()?.flatten(),
        call.provider,
        call.model,
        call.attempts,
        usage.input_tokens as i64,
        usage.output_tokens as i64,
        usage.cache_read_tokens as i64,
        usage.cache_write_tokens as i64,
        call.spent.cost_nanos.map(|n| n as i64),
        call.spent.cost_sources,
        call.duration_ms as i64,
        call.requested_at.0,
        call.started_at.map(|at| at.0),
        call.error.as_ref().map(|(class, _)| class.as_str()),
        call.error.as_ref().map(|(_, message)| message),
        call.child_run.as_ref().map(crate::core::ids::RunId::as_str),
        call.reused.as_ref().map(|r| r.run_id.as_str()),
        call.reused.as_ref().map(|r| r.call_id.0),
        flag(call.simulated, SIMULATED)
            | flag(call.abandoned, ABANDONED)
            | flag(call.mutating, MUTATING)
            | flag(call.asked, ASKED)
            | flag(call.untold, UNTOLD),
        call.requested_seq as i64,
        call.cached_seq.map(|seq| seq as i64),
        call.finished_seq.map(|seq| seq as i64),
        call.changed_seq as i64,
        call.prices_as_of,
        usage.cache_write_1h_tokens as i64,
        usage.reasoning_tokens as i64,
    ])?;
    Ok(())
}

pub(super) fn load_approval(db: &Connection, run: i64, id: ApprovalId) -> Result<Option<ApprovalFold>, StoreError> {
    let mut select = db.prepare_cached(concat!(
        "SELECT ",
        approval_columns!(),
        " FROM approval WHERE run = ?1 AND approval_id = ?2"
    ))?;
    select.query_row(params![run, id.0], |row| Ok(read_approval(row))).optional()?.transpose()
}

/// The open questions of a run, all or those of one call.
pub(super) fn open_approvals(db: &Connection, run: i64, call: Option<CallId>) -> Result<Vec<ApprovalFold>, StoreError> {
    let mut select = db.prepare_cached(concat!(
        "SELECT ",
        approval_columns!(),
        " FROM approval WHERE run = ?1 AND state = 'pending' AND (?2 IS NULL OR call_id = ?2)"
    ))?;
    let mut rows = select.query(params![run, call.map(|c| c.0)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_approval(row)?);
    }
    Ok(found)
}

pub(super) fn read_approval(row: &Row<'_>) -> Result<ApprovalFold, StoreError> {
    let text = |i: usize| -> Result<Option<&str>, StoreError> {
        Ok(row.get_ref(i)?.as_str_or_null().map_err(rusqlite::Error::from)?)
    };
    let answer = match (optional_word(text(5)?)?, millis(row.get(6)?)) {
        (Some(decision), Some(at)) => Some(Answered {
            decision,
            at,
            by: text(7)?.unwrap_or_default().to_owned(),
            via: text(8)?.unwrap_or_default().to_owned(),
            reason: row.get(9)?,
        }),
        _ => None,
    };
    Ok(ApprovalFold {
        note: serde_json::from_str(text(2)?.unwrap_or_default())?,
        asked_at: Millis(row.get(3)?),
        state: word(text(4)?.unwrap_or_default())?,
        answer,
    })
}

pub(super) fn save_approval(db: &Connection, run: i64, approval: &ApprovalFold) -> Result<(), StoreError> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO approval (run, approval_id, call_id, note, content_hash, expires_at, asked_at, state, \
         decision, decided_at, decided_by, decided_via, reason) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let answer = approval.answer.as_ref();
    insert.execute(params![
        run,
        approval.note.approval_id.0,
        approval.note.call_id.0,
        serde_json::to_string(&approval.note)?,
        approval.note.content_hash,
        approval.note.expires_at.map(|at| at.0),
        approval.asked_at.0,
        approval.state.as_str(),
        answer.map(|a| a.decision.as_str()),
        answer.map(|a| a.at.0),
        answer.map(|a| &a.by),
        answer.map(|a| &a.via),
        answer.and_then(|a| a.reason.as_ref()),
    ])?;
    Ok(())
}
