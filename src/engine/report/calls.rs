//! The calls of a report: rows of the run and of the runs below it, with what their journals tell.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use crate::core::event::{Event, EventRecord};
use crate::core::failure::Failure;
use crate::core::ids::RunId;
use crate::core::outcome::{CacheStatus, CallError};
use crate::core::time::Millis;
use crate::engine::params::{CallsParams, ExplainParams};
use crate::engine::query::{Query, grouped};
use crate::engine::view::{CallRow, CallState, ExplainRow};

use super::texts::{Text, bytes, duration, line, money};

/// Calls that a report lists.
pub(super) const ROWS: usize = 2_000;
/// Room for all prompts and answers together, for one of them at most, and at least.
const ALL_TEXTS: usize = 2 << 20;
const ONE_TEXT: usize = 16 << 10;
const SMALL_TEXT: usize = 400;
/// Room for labels and reasons.
pub(super) const LABEL: usize = 160;
const REASON: usize = 240;
/// Attempts that are listed of one call.
const ATTEMPTS: usize = 8;
/// Events read at once.
const PAGE: usize = 2_000;

/// One call of a report.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(super) struct Call {
    /// `c0003`, `c0003/c0001` for a call of a child run.
    pub(super) id: String,
    pub(super) anchor: String,
    pub(super) depth: u32,
    pub(super) kind: &'static str,
    pub(super) label: String,
    pub(super) state: &'static str,
    /// ok, bad, wait, idle, kept.
    pub(super) tone: &'static str,
    pub(super) phase: Option<String>,
    pub(super) cache: &'static str,
    pub(super) reason: String,
    pub(super) model: String,
    pub(super) tries: String,
    pub(super) input: String,
    pub(super) output: String,
    pub(super) cost: String,
    pub(super) cost_source: String,
    /// The day of the prices that its cost was estimated with.
    #[serde(skip)]
    pub(super) priced: Option<String>,
    pub(super) time: String,
    pub(super) cause: Option<String>,
    pub(super) prompt: Option<Text>,
    pub(super) answer: Option<Text>,
    pub(super) attempts: Vec<String>,
    pub(super) files: Vec<String>,
    /// Where the work is kept: branch, commits, directory below the home.
    pub(super) worktree: Option<String>,
    pub(super) child: Option<String>,
    #[serde(skip)]
    pub(super) asked_at: Option<Millis>,
    #[serde(skip)]
    pub(super) started_at: Option<Millis>,
    #[serde(skip)]
    pub(super) ended_at: Option<Millis>,
    #[serde(skip)]
    pub(super) failing: bool,
    #[serde(skip)]
    pub(super) error: Option<CallError>,
}

/// A run of the tree with its rows, before its journal is read.
struct Branch {
    run: RunId,
    prefix: String,
    depth: u32,
    rows: Vec<CallRow>,
}

/// The calls of a run and of the runs below it.
pub(super) struct Calls {
    pub(super) list: Vec<Call>,
    /// Runs of the tree that have rows here.
    pub(super) runs: Vec<(RunId, String)>,
    /// How many there are in all.
    pub(super) total: u64,
    /// When the run had no owner.
    pub(super) breaks: Breaks,
    /// Room for one prompt or answer.
    pub(super) per_text: usize,
}

/// Times without an owner: end of the last event, beginning of the next.
pub(super) type Breaks = Vec<(Millis, Millis)>;

/// What the journal of one run says of one call.
#[derive(Default)]
struct Told {
    prompt: Option<Text>,
    answer: Option<Text>,
    attempts: Vec<String>,
    files: Vec<String>,
    worktree: Option<String>,
    error: Option<CallError>,
    asked_at: Option<Millis>,
    started_at: Option<Millis>,
    ended_at: Option<Millis>,
}

impl Calls {
    /// Reads the calls of `run`.
    pub(super) fn of(query: Query<'_>, run: &RunId) -> Result<Self, Failure> {
        let mut branches = Vec::new();
        let mut total = 0;
        branch(query, run, String::new(), 0, &mut branches, &mut total)?;
        let shown = branches.iter().map(|b| b.rows.len()).sum::<usize>().max(1);
        let per_text = (ALL_TEXTS / (2 * shown)).clamp(SMALL_TEXT, ONE_TEXT);
        let mut breaks = Vec::new();
        let mut rows: HashMap<String, Vec<Call>> = HashMap::new();
        for part in &branches {
            let (mut told, gaps) = journal(query, &part.run, per_text)?;
            if part.depth == 0 {
                breaks = gaps;
            }
            let explained =
                query.explain(&ExplainParams { run_id: Some(part.run.to_string()), ..Default::default() })?;
            let mut why: HashMap<String, ExplainRow> =
                explained.calls.into_iter().map(|row| (row.call_id.clone(), row)).collect();
            let calls = part.rows.iter().map(|row| {
                let told = told.remove(&row.call_index).unwrap_or_default();
                call(row, part, told, why.remove(&row.call_id))
            });
            rows.insert(part.prefix.clone(), calls.collect());
        }
        let runs = branches.iter().map(|b| (b.run.clone(), b.prefix.clone())).collect();
        let mut list = Vec::with_capacity(shown);
        unfold("", &mut rows, &mut list);
        Ok(Self { list, runs, total, breaks, per_text })
    }
}

/// The rows of a run, then those of its children.
fn branch(
    query: Query<'_>,
    run: &RunId,
    prefix: String,
    depth: u32,
    into: &mut Vec<Branch>,
    total: &mut u64,
) -> Result<(), Failure> {
    let view = query.calls(&CallsParams { run_id: Some(run.to_string()), ..Default::default() })?;
    *total += view.calls_total;
    let taken: usize = into.iter().map(|b| b.rows.len()).sum();
    let mut rows = view.calls;
    rows.truncate(ROWS.saturating_sub(taken));
    let children: Vec<(RunId, String)> =
        rows.iter().filter_map(|row| Some((row.child_run_id.clone()?, format!("{prefix}{}/", row.call_id)))).collect();
    into.push(Branch { run: run.clone(), prefix, depth, rows });
    for (child, prefix) in children {
        // A child that was pruned, or is not recorded yet, has no rows.
        if query.store.run(&child)?.is_some() {
            branch(query, &child, prefix, depth + 1, into, total)?;
        }
    }
    Ok(())
}

/// Calls in order, those of a child run below the call that started it.
fn unfold(prefix: &str, rows: &mut HashMap<String, Vec<Call>>, into: &mut Vec<Call>) {
    for call in rows.remove(prefix).unwrap_or_default() {
        let below = format!("{}/", call.id);
        let phase = call.phase.clone();
        into.push(call);
        let from = into.len();
        unfold(&below, rows, into);
        // In the phases of the run its child's calls stand where the child does.
        for nested in &mut into[from..] {
            nested.phase.clone_from(&phase);
        }
    }
}

/// What the journal of a run says of each call, and when the run had no owner.
fn journal(query: Query<'_>, run: &RunId, room: usize) -> Result<(HashMap<u32, Told>, Breaks), Failure> {
    let mut calls: HashMap<u32, Told> = HashMap::new();
    let mut breaks = Vec::new();
    let (mut after, mut before, mut starts) = (0, None, 0);
    loop {
        let events = query.store.events(run, after, PAGE)?;
        for record in &events {
            if matches!(record.event, Event::RunStarted { .. }) {
                starts += 1;
                breaks.extend(before.filter(|_| starts > 1).map(|before| (before, record.at)));
            }
            before = Some(record.at);
            let id = record.event.call_id().map(|id| id.0);
            if let Some(id) = id.filter(|_| !matches!(record.event, Event::CancelRequested { .. })) {
                hear(calls.entry(id).or_default(), record, room);
            }
        }
        after = events.last().map_or(after, |record| record.seq);
        if events.len() < PAGE {
            return Ok((calls, breaks));
        }
    }
}

fn hear(told: &mut Told, record: &EventRecord, room: usize) {
    let at = record.at;
    match &record.event {
        Event::CallRequested { call_id, spec, .. } => {
            told.asked_at = Some(at);
            let ask = &spec.ask;
            let file = ask.prompt.as_ref().map(|_| format!("calls/{call_id}/prompt.txt"));
            let args = ask.workflow.as_ref().and_then(|w| w.args.as_ref()).map(|args| format!("{args:#}"));
            let question = ask.approval.as_ref().map(|a| a.message.clone());
            let text = ask.prompt.clone().or(question).or(args);
            told.prompt = text.map(|text| Text::new(&text, room, file));
        }
        Event::AttemptStarted { .. } => {
            told.started_at = told.started_at.or(Some(at));
            told.ended_at = None;
        }
        Event::AttemptFailed { attempt, error, duration_ms, retry_in_ms, .. } => {
            let again = retry_in_ms.map_or_else(String::new, |ms| format!("; again after {}", duration(ms)));
            let text = format!("try {attempt}: {} after {}: ", error.class.as_str(), duration(*duration_ms));
            if told.attempts.len() < ATTEMPTS {
                told.attempts.push(format!("{text}{}{again}", line(&error.message, REASON)));
            }
            told.error = Some(error.clone());
            told.ended_at = Some(at);
        }
        Event::CallFinished { call_id, outcome, .. } => {
            told.ended_at = Some(at);
            let (text, name) = match &outcome.value {
                Some(Value::String(text)) => (Some(text.clone()), "output.txt"),
                Some(value) => (Some(format!("{value:#}")), "output.json"),
                None => (outcome.text.clone(), "output.txt"),
            };
            let kept = outcome.value.is_some();
            told.answer = text.map(|text| Text::new(&text, room, kept.then(|| format!("calls/{call_id}/{name}"))));
            told.error.clone_from(&outcome.error);
            told.worktree = outcome.worktree.as_ref().map(|note| {
                let commits =
                    if note.commits == 1 { "1 commit".to_owned() } else { format!("{} commits", note.commits) };
                format!("{}, {commits}, in {}", note.branch, note.path)
            });
            told.files = outcome.changed_files.iter().take(50).map(|path| line(path, LABEL)).collect();
        }
        _ => {}
    }
}

/// The colour of a state.
pub(super) fn tone(state: CallState, reused: bool) -> &'static str {
    match state {
        CallState::Done if reused => "kept",
        CallState::Done => "ok",
        CallState::Queued | CallState::Running => "wait",
        CallState::Cancelled | CallState::Skipped | CallState::Denied => "idle",
        CallState::Failed
        | CallState::SchemaFailed
        | CallState::ProviderFailed
        | CallState::Timeout
        | CallState::WorktreeFailed
        | CallState::BudgetExhausted => "bad",
    }
}

fn call(row: &CallRow, part: &Branch, mut told: Told, why: Option<ExplainRow>) -> Call {
    let id = format!("{}{}", part.prefix, row.call_id);
    let reused = matches!(row.cache_status, Some(CacheStatus::Replayed | CacheStatus::Hit));
    let unknown = row.usage_unknown == Some(true);
    let tokens = |n: Option<u64>| match n {
        Some(n) if unknown => format!("{} or more", grouped(n)),
        Some(n) => grouped(n),
        None if unknown => "unknown".to_owned(),
        None => String::new(),
    };
    let known = row.cost_source.is_some();
    if part.depth > 0 {
        // Files of a child run lie in its own directory.
        for text in [&mut told.prompt, &mut told.answer].into_iter().flatten() {
            text.file = text.file.take().map(|file| format!("../{}/{file}", part.run));
        }
    }
    let error = told.error.filter(|_| row.status != CallState::Done);
    let model = match (&row.provider, &row.model) {
        (Some(provider), Some(model)) if provider != model => format!("{provider} {model}"),
        (Some(one), _) | (None, Some(one)) => one.clone(),
        (None, None) => String::new(),
    };
    Call {
        anchor: id.replace('/', "-"),
        depth: part.depth,
        kind: row.kind.as_str(),
        label: if row.label.is_empty() { row.kind.as_str().to_owned() } else { line(&row.label, LABEL) },
        state: row.status.as_str(),
        tone: tone(row.status, reused),
        phase: row.phase.as_ref().map(|phase| line(phase, LABEL)),
        cache: row.cache_status.map_or("", CacheStatus::as_str),
        reason: why.map(|why| line(&why.reason, REASON)).unwrap_or_default(),
        model: line(&model, LABEL),
        tries: row.attempts.to_string(),
        input: tokens(row.input_tokens),
        output: tokens(row.output_tokens),
        cost: if known { money(row.cost_usd) } else { String::new() },
        cost_source: row.cost_source.map(|source| source.words(row.prices_as_of.as_slice())).unwrap_or_default(),
        priced: row.prices_as_of.clone(),
        time: row.duration_ms.filter(|_| told.started_at.is_some()).map(duration).unwrap_or_default(),
        cause: error.as_ref().map(|error| format!("{}: {}", error.class.as_str(), line(&error.message, REASON))),
        prompt: told.prompt,
        answer: told.answer,
        attempts: told.attempts,
        files: told.files,
        worktree: told.worktree,
        child: row.child_run_id.as_ref().map(ToString::to_string),
        asked_at: told.asked_at,
        started_at: told.started_at,
        ended_at: told.ended_at,
        failing: row.status.is_failing(),
        error,
        id,
    }
}

/// How much of each text is shown, for a reader.
pub(super) fn per_text(room: usize) -> String {
    bytes(room as u64)
}
