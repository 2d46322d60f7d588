//! Why each call of a run was reused or asked again, worked out when somebody asks.

use crate::core::call::CallKind;
use crate::core::failure::Failure;
use crate::core::ids::RunId;
use crate::core::outcome::{CacheNote, CacheStatus, CallRef, CallStatus, ReasonCode};
use crate::engine::params::ExplainParams;
use crate::engine::view::{ExplainCounts, ExplainRow, ExplainView};
use crate::store::{CallRow, CallState};

use super::bounds::{Room, clip, finish};
use super::cursor;
use super::diff;
use super::gaps::LABEL;
use super::handle::Query;
use super::lineage::{Found, Lineage, Same};
use super::snapshot::{Snapshot, cache_status};

/// Explains the calls of one run. Earlier runs are read when the first miss needs them.
pub(super) struct Explainer<'a> {
    query: Query<'a>,
    run: &'a Snapshot,
    lineage: Option<Lineage<'a>>,
}

/// What is known of the reason for a row.
struct Why {
    code: ReasonCode,
    reason: String,
    changed: Vec<String>,
    files: Vec<String>,
    from: Option<CallRef>,
}

impl Why {
    fn new(code: ReasonCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), changed: Vec::new(), files: Vec::new(), from: None }
    }

    fn from(mut self, found: &CallRef) -> Self {
        self.from = Some(found.clone());
        self
    }
}

impl<'a> Explainer<'a> {
    pub(super) fn new(query: Query<'a>, run: &'a Snapshot) -> Self {
        Self { query, run, lineage: None }
    }

    /// The row of a call; none while it is open whether the cache is asked.
    pub(super) fn row(&mut self, call: &CallRow) -> Result<Option<ExplainRow>, Failure> {
        let Some(status) = cache_status(call, self.run.starts) else { return Ok(None) };
        let why = self.why(call, status)?;
        Ok(Some(ExplainRow {
            call_index: call.call_id.0,
            call_id: call.call_id.to_string(),
            label: clip(&call.label, LABEL),
            phase: call.phase.as_deref().map(|p| clip(p, LABEL)),
            cache_status: status,
            reason_code: why.code,
            reason: why.reason,
            changed: why.changed,
            files: why.files.into_iter().take(5).collect(),
            from: why.from.as_ref().map(Into::into),
        }))
    }

    fn why(&mut self, call: &CallRow, status: CacheStatus) -> Result<Why, Failure> {
        let note = call.cache.clone().unwrap_or_default();
        Ok(match status {
            CacheStatus::Replayed => match &call.reused {
                Some(from) => {
                    Why::new(ReasonCode::Replayed, format!("same request, from {}", self.name(from))).from(from)
                }
                None => Why::new(ReasonCode::Replayed, "its outcome stands in the journal of this run"),
            },
            CacheStatus::Hit if note.reason == Some(ReasonCode::IdempotencyKey) => {
                let by = note.from.as_ref().map_or_else(|| "an earlier run".to_owned(), |from| self.name(from));
                let why = Why::new(ReasonCode::IdempotencyKey, format!("same idempotency key: carried out by {by}"));
                note.from
                    .as_ref()
                    .map_or(Why::new(ReasonCode::IdempotencyKey, why.reason.clone()), |from| why.from(from))
            }
            CacheStatus::Bypassed if note.reason == Some(ReasonCode::IdempotencyKey) => Why::new(
                ReasonCode::IdempotencyKey,
                "carried out for its idempotency key, which the cache has no part in",
            ),
            CacheStatus::Hit => match &note.from {
                Some(from) => {
                    Why::new(ReasonCode::SameRequest, format!("same request, from {}", self.name(from))).from(from)
                }
                None => Why::new(ReasonCode::SameRequest, "same request in an earlier run"),
            },
            CacheStatus::Bypassed if call.child_run.is_some() => {
                Why::new(ReasonCode::Policy, "a child workflow is a run: its own calls are reused one by one")
            }
            CacheStatus::Bypassed => match call.kind {
                CallKind::Approval => Why::new(ReasonCode::Policy, "a question to a person is always asked"),
                CallKind::Timer => Why::new(ReasonCode::Policy, "a timer has nothing to reuse"),
                CallKind::Expr => Why::new(ReasonCode::Policy, "an expression is computed each time"),
                CallKind::Workflow => {
                    Why::new(ReasonCode::Policy, "a child workflow is a run: its own calls are reused one by one")
                }
                CallKind::Agent | CallKind::Tool | CallKind::Command | CallKind::Turn => {
                    if call.mutating || note.reason == Some(ReasonCode::Mutating) {
                        Why::new(ReasonCode::Mutating, "writes files, so it is never reused")
                    } else {
                        Why::new(ReasonCode::Policy, "reads files whose state git cannot tell, so it is not cached")
                    }
                }
            },
            CacheStatus::Disabled => Why::new(ReasonCode::Policy, "the cache is turned off"),
            CacheStatus::Miss => self.miss(call, &note)?,
        })
    }

    /// A call by name: with the run's short id when it is another run's.
    fn name(&self, from: &CallRef) -> String {
        if from.run_id == self.run.row.run_id {
            from.call_id.to_string()
        } else {
            format!("{} {}", from.run_id.short(), from.call_id)
        }
    }

    fn lineage(&mut self) -> Result<&Lineage<'a>, Failure> {
        let lineage = match self.lineage.take() {
            Some(lineage) => lineage,
            None => Lineage::of(self.query.store, &self.run.row)?,
        };
        Ok(self.lineage.insert(lineage))
    }

    fn miss(&mut self, call: &CallRow, note: &CacheNote) -> Result<Why, Failure> {
        if note.reason == Some(ReasonCode::Refresh) {
            return Ok(Why::new(ReasonCode::Refresh, "the cache policy is refresh: asked again"));
        }
        let first = || Why::new(ReasonCode::FirstTime, "first time this was asked");
        let run: &'a Snapshot = self.run;
        let lineage = self.lineage()?;
        let Some(asked) = lineage.request(&run.row.run_id, call.call_id)? else { return Ok(first()) };
        match lineage.same(call, &asked)? {
            Some(Same::Call(found)) => same_request(lineage, &run.row.run_id, call, &found),
            Some(Same::Fewer(found, recorded)) => {
                let answers = if recorded == 1 {
                    "1 answer to it is".to_owned()
                } else {
                    format!("{recorded} answers to it are")
                };
                let reason = format!("the same request for the {}. time; only {answers} recorded", asked.occurrence);
                Ok(Why::new(ReasonCode::Occurrence, reason).from(&reference(&found)))
            }
            None => {
                let like = |c: &&CallRow| c.call_id < call.call_id && (c.site, &c.label) == (call.site, &call.label);
                let nth = run.calls.iter().filter(like).count();
                let Some(found) = lineage.nearest(call, nth) else { return Ok(first()) };
                let changed = differences(lineage, &run.row.run_id, call, &found)?;
                if changed.names.is_empty() { Ok(first()) } else { Ok(changed_why(changed, &found)) }
            }
        }
    }
}

fn reference(found: &Found<'_>) -> CallRef {
    CallRef { run_id: found.run.clone(), call_id: found.call.call_id }
}

fn named(found: &Found<'_>) -> String {
    format!("{} {}", found.run.short(), found.call.call_id)
}

/// Why an earlier call of the very request was not used.
fn same_request(lineage: &Lineage<'_>, run: &RunId, call: &CallRow, found: &Found<'_>) -> Result<Why, Failure> {
    let from = reference(found);
    let name = named(found);
    let why = match found.call.state {
        CallState::Queued | CallState::Running => {
            Why::new(ReasonCode::EarlierCancelled, format!("no answer to reuse: {name} never ended"))
        }
        CallState::Ended(CallStatus::Cancelled) => {
            Why::new(ReasonCode::EarlierCancelled, format!("no answer to reuse: {name} was cancelled"))
        }
        CallState::Ended(CallStatus::Done) if found.call.simulated && !call.simulated => Why::new(
            ReasonCode::Simulated,
            format!("{name} was answered by the fake provider, which is not used for a real one"),
        ),
        CallState::Ended(CallStatus::Done) => {
            let mut changed = differences(lineage, run, call, found)?;
            if changed.names.is_empty() && found.chain && found.call.kind == CallKind::Agent {
                // A journal's answer to the same request is passed over for one reason only.
                changed.names = vec!["workspace".to_owned()];
            }
            if changed.names.is_empty() {
                Why::new(ReasonCode::Policy, format!("the answer of {name} was not kept in the cache"))
            } else {
                return Ok(changed_why(changed, found));
            }
        }
        CallState::Ended(status) => {
            Why::new(ReasonCode::EarlierFailed, format!("no answer to reuse: {name} {}", how_it_failed(status)))
        }
    };
    Ok(why.from(&from))
}

/// How a call without an answer ended, in a reader's words.
fn how_it_failed(status: CallStatus) -> &'static str {
    match status {
        CallStatus::Done => "is done",
        CallStatus::Failed => "failed",
        CallStatus::SchemaFailed => "gave no answer that satisfies its schema",
        CallStatus::ProviderFailed => "got no answer from its provider",
        CallStatus::Timeout => "got no answer in time",
        CallStatus::WorktreeFailed => "could not keep its work in a worktree",
        CallStatus::BudgetExhausted => "was refused by a limit",
        CallStatus::Denied => "was denied",
        CallStatus::Skipped => "was skipped",
        CallStatus::Cancelled => "was cancelled",
    }
}

fn changed_why(changed: Changed, found: &Found<'_>) -> Why {
    let name = named(found);
    let reason = match changed.names.as_slice() {
        [one] if one == "workspace" && !changed.files.is_empty() => match changed.files.as_slice() {
            [file, _, ..] => format!("workspace changed: {file} (+{})", files(changed.files.len() - 1)),
            _ => format!("workspace changed: {}", changed.files.join(", ")),
        },
        [one] if one == "workspace" => format!("workspace changed since {name}"),
        [one] if one.ends_with('s') => format!("{one} differ from {name}"),
        [one] => format!("{one} differs from {name}"),
        several => format!("{} differ from {name}", diff::listed(several)),
    };
    let mut why = Why::new(ReasonCode::Changed, reason).from(&reference(found));
    why.changed = changed.names;
    why.files = changed.files;
    why
}

fn files(n: usize) -> String {
    if n == 1 { "1 file".to_owned() } else { format!("{n} files") }
}

/// What differs between two calls.
#[derive(Default)]
struct Changed {
    /// Components by name.
    names: Vec<String>,
    /// Files, when the workspace differs.
    files: Vec<String>,
}

/// What differs: by recorded components, else by what was asked.
fn differences(lineage: &Lineage<'_>, run: &RunId, call: &CallRow, found: &Found<'_>) -> Result<Changed, Failure> {
    if let (Some(now), Some(then)) = (lineage.record(run, call)?, lineage.record(found.run, found.call)?) {
        let names = diff::of_parts(&now.parts, &then.parts);
        let workspace = names.iter().any(|name| name == "workspace");
        let files = if workspace { lineage.files(&then, &now) } else { Vec::new() };
        return Ok(Changed { names, files });
    }
    let now = lineage.request(run, call.call_id)?;
    let then = lineage.request(found.run, found.call.call_id)?;
    let names = now.zip(then).map(|(now, then)| diff::of_asks(&now.spec.ask, &then.spec.ask)).unwrap_or_default();
    Ok(Changed { names, files: Vec::new() })
}

impl Query<'_> {
    /// One row per call, in call order, with counts over all of them.
    ///
    /// # Errors
    /// `not_found`, `invalid_arguments` for a bad cursor.
    pub(crate) fn explain(&self, params: &ExplainParams) -> Result<ExplainView, Failure> {
        let run = self.resolve(params.run_id.as_deref())?;
        let after = cursor::of_list('c', params.cursor.as_deref())?.unwrap_or(0);
        let snapshot = self.snapshot(&run)?;
        let mut counts = ExplainCounts::default();
        for call in &snapshot.calls {
            match cache_status(call, snapshot.starts) {
                Some(CacheStatus::Replayed) => counts.replayed += 1,
                Some(CacheStatus::Hit) => counts.hit += 1,
                Some(CacheStatus::Miss) => counts.miss += 1,
                Some(CacheStatus::Bypassed) => counts.bypassed += 1,
                Some(CacheStatus::Disabled) => counts.disabled += 1,
                None => {}
            }
        }
        let saved_usd = self.saved(&snapshot)?;
        let limit = self.env.bound.rows(params.limit, 40);
        let mut explainer = Explainer::new(*self, &snapshot);
        let mut rows: Vec<ExplainRow> = Vec::new();
        let mut cut = false;
        for call in snapshot.calls.iter().filter(|c| i64::from(c.call_id.0) > after) {
            let status = cache_status(call, snapshot.starts);
            if status.is_none() || params.cache_status.is_some_and(|wanted| Some(wanted) != status) {
                continue;
            }
            if rows.len() == limit {
                cut = true;
                break;
            }
            rows.extend(explainer.row(call)?);
        }
        let mut view =
            ExplainView { run_id: run, counts, saved_usd, calls: Vec::new(), truncated: false, next_cursor: None };
        cut |= Room::beside(self.env.bound, &view).keep(&mut rows);
        view.truncated = cut;
        view.next_cursor = rows.last().filter(|_| cut).map(|row| cursor::list('c', i64::from(row.call_index)));
        view.calls = rows;
        Ok(finish(self.env.bound, view))
    }
}
