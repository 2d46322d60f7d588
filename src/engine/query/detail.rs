//! One call in full.

use serde_json::Value;

use crate::artifacts::{ArtifactPath, RunFiles};
use crate::core::event::{Event, EventRecord};
use crate::core::failure::{Code, Failure};
use crate::core::ids::{CallId, RunId};
use crate::core::outcome::{CallStatus, Outcome, Provenance, SchemaError, Usage};
use crate::core::run::RunStatus;
use crate::engine::params::CallsParams;
use crate::engine::view::{AttemptRow, CallDetail, CallDetailView, CallErrorView, CallFiles, CallState};
use crate::store::{CallRequest, CallRow};

use super::bounds::{Bound, Room, clip, finish};
use super::calls::RowContext;
use super::explain::Explainer;
use super::handle::Query;
use super::snapshot::Snapshot;

/// Characters of a preview, and of an error message in full.
pub(crate) const PREVIEW: usize = 1_000;
const MESSAGE: usize = 4_000;
/// Names in a list of a detail.
const NAMES: usize = 50;

impl Query<'_> {
    /// The call that `params.call_id` names, in full.
    ///
    /// # Errors
    /// `not_found` with the call, `invalid_arguments` when none is named.
    pub(crate) fn call_detail(&self, params: &CallsParams) -> Result<CallDetailView, Failure> {
        let named = params
            .call_id
            .as_deref()
            .ok_or_else(|| Failure::new(Code::InvalidArguments, "/call_id is missing").hint("c0009, 9 or RUN/c0009"))?;
        let (run, call_id) = self.resolve_call(params.run_id.as_deref(), named)?;
        let snapshot = self.snapshot(&run)?;
        let Some(call) = snapshot.calls.iter().find(|c| c.call_id == call_id) else {
            let last = snapshot.calls.last().map(|c| c.call_id.to_string());
            return Err(Failure::new(Code::NotFound, format!("run {run} has no call {call_id}"))
                .hint(last.map_or("it has no calls yet".to_owned(), |last| format!("its last call is {last}")))
                .with("what", "call")
                .with("home", self.home()));
        };
        let request = self.store.request(&run, call_id)?;
        let outcome = self.store.outcome(&run, call_id)?;
        let events = self.store.call_events(&run, call_id)?;
        let told = Some(call.usage).filter(|used| *used != Usage::default());
        let mut detail = CallDetail {
            row: RowContext::of(&snapshot, self).row(call),
            cache_read_tokens: told.map(|used| used.cache_read_tokens),
            cache_write_tokens: told.map(|used| used.cache_write_tokens),
            cache_write_1h_tokens: told.and_then(|used| used.hour()),
            reasoning_tokens: told.and_then(|used| used.reasoning()),
            attempts_list: attempts(&events),
            schema_errors: schema_errors(&events, outcome.as_ref()),
            prompt_preview: String::new(),
            prompt_bytes: 0,
            output_preview: None,
            output_bytes: None,
            files: self.files(&run, call_id),
            request_key: None,
            occurrence: None,
            agent_type: None,
            effort: None,
            isolation: None,
            read_scope: None,
            write_scope: None,
            tools: None,
            worktree_path: None,
            worktree_branch: None,
            changed_files: None,
            provider_version: None,
            profile: None,
            schema_mode: None,
            price: None,
            warnings: Vec::new(),
            possibly_repeated: possibly_repeated(&snapshot, &events, call),
            explain: Explainer::new(*self, &snapshot).row(call)?,
        };
        let error = outcome.as_ref().and_then(|o| o.error.as_ref()).or_else(|| last_error(&events));
        if let Some(error) = error.filter(|_| detail.row.status != CallState::Done) {
            let message = clip(&error.message, MESSAGE);
            detail.row.error = Some(CallErrorView { message, retry_at: retry_at(&events), ..error.into() });
        }
        if let Some(request) = &request {
            asked(&mut detail, request);
        }
        if let Some(outcome) = &outcome {
            answered(&mut detail, outcome);
            if let Some(note) = &outcome.worktree {
                detail.worktree_path = Some(self.home_dir().join(&note.path).display().to_string());
                detail.worktree_branch = Some(note.branch.clone());
            }
        }
        if call.mutating
            && detail.worktree_path.is_none()
            && let Some(left) = self.left_by(&run, call_id)
        {
            detail.worktree_path = Some(left.dir(&self.home_dir()).display().to_string());
            detail.worktree_branch = Some(left.branch);
            detail.changed_files = Some(left.changed_files);
        }
        let bound = self.env.bound;
        let next = next(&run, &detail);
        let attempts = std::mem::take(&mut detail.attempts_list);
        let mut view = CallDetailView {
            run_id: run,
            status: snapshot.status,
            simulated: snapshot.row.simulated,
            call: detail,
            next,
        };
        if bound == Bound::Model {
            shorten(&mut view.call);
        }
        let mut room = Room::beside(bound, &view);
        view.call.attempts_list = attempts;
        room.keep(&mut view.call.attempts_list);
        Ok(finish(bound, view))
    }

    /// The files of a call that are there.
    fn files(&self, run: &RunId, call_id: CallId) -> CallFiles {
        let Some(files) = RunFiles::open(&self.store.run_dir(run)) else { return CallFiles::default() };
        let there = |name: &str| {
            let path = ArtifactPath::parse(&format!("calls/{call_id}/{name}")).ok()?;
            files.file(&path).ok().map(|_| path.to_string())
        };
        CallFiles {
            prompt: there("prompt.txt"),
            output: there("output.txt").or_else(|| there("output.json")),
            error: there("error.txt"),
            transcript: there("transcript.jsonl"),
        }
    }
}

fn asked(detail: &mut CallDetail, request: &CallRequest) {
    let ask = &request.spec.ask;
    let tool = ask.tool.as_ref().map(|tool| format!("{} {}", tool.name, tool.args));
    let line = ask.command.as_ref().map(crate::core::work::CommandAsk::line).or(tool);
    let text = match (&ask.prompt, &ask.approval, line) {
        (Some(prompt), ..) => prompt.clone(),
        (None, Some(approval), _) => approval.message.clone(),
        (None, None, Some(line)) => line,
        (None, None, None) => String::new(),
    };
    detail.prompt_bytes = ask.prompt_text().map_or(text.len(), |whole| whole.len()) as u64;
    detail.prompt_preview = clip(&text, PREVIEW);
    detail.request_key = Some(request.key);
    detail.occurrence = Some(request.occurrence);
    detail.agent_type.clone_from(&ask.agent_type);
    detail.effort.clone_from(&ask.effort);
    detail.isolation = ask.isolation;
    detail.read_scope.clone_from(&ask.read_scope);
    detail.write_scope.clone_from(&ask.write_scope);
    detail.tools.clone_from(&ask.tools);
}

fn answered(detail: &mut CallDetail, outcome: &Outcome) {
    // The text the agent gave, also where a value was read from it; for an answer that broke its schema there is only that.
    let text = outcome.text.clone().or_else(|| match &outcome.value {
        Some(Value::String(text)) => Some(text.clone()),
        Some(value) => Some(value.to_string()),
        None => None,
    });
    detail.output_bytes = text.as_ref().map(|text| text.len() as u64);
    detail.output_preview = text.map(|text| clip(&text, PREVIEW));
    detail.changed_files = (!outcome.changed_files.is_empty()).then(|| outcome.changed_files.clone());
    let Provenance { provider_version, schema_mode, profile, warnings, price } = outcome.provenance.clone();
    // What was taken over cost nothing here.
    detail.price = price.filter(|_| detail.row.prices_as_of.is_some()).as_ref().map(Into::into);
    detail.provider_version = provider_version;
    detail.profile = profile;
    detail.schema_mode = schema_mode;
    detail.warnings = warnings;
}

/// Every try, from the call's events. One whose process died ends with the next one's beginning.
fn attempts(events: &[EventRecord]) -> Vec<AttemptRow> {
    let mut rows: Vec<AttemptRow> = Vec::new();
    for record in events {
        match &record.event {
            Event::AttemptStarted { attempt, .. } => {
                if let Some(open) = rows.last_mut().filter(|row| row.status == CallState::Running) {
                    open.status = CallState::Cancelled;
                    open.message = Some("lost with its process".to_owned());
                }
                rows.push(AttemptRow {
                    attempt: *attempt,
                    status: CallState::Running,
                    class: None,
                    message: None,
                    started_at: Some(record.at.rfc3339()),
                    duration_ms: None,
                    rule: None,
                    effects: Vec::new(),
                });
            }
            Event::ToolStarted { attempt, tool, target, .. } => {
                if let Some(row) = rows.iter_mut().rev().find(|row| row.attempt == *attempt) {
                    let target = target.as_deref().map(|target| format!(" {target}")).unwrap_or_default();
                    row.effects.push(clip(&format!("{tool}{target}"), 300));
                }
            }
            Event::ToolFinished { attempt, number, ok, message, .. } => {
                if let Some(row) = rows.iter_mut().rev().find(|row| row.attempt == *attempt)
                    && let Some(effect) = row.effects.get_mut((*number as usize).saturating_sub(1))
                {
                    let what = if *ok { message.clone() } else { format!("failed: {message}") };
                    *effect = clip(&format!("{effect}: {what}"), 300);
                }
            }
            Event::AttemptFailed { attempt, error, duration_ms, rule, .. } => {
                if let Some(row) = rows.iter_mut().rev().find(|row| row.attempt == *attempt) {
                    row.status = error.class.call_status().into();
                    row.class = Some(error.class);
                    row.message = Some(clip(&error.message, 300));
                    row.duration_ms = Some(*duration_ms);
                    row.rule = *rule;
                }
            }
            Event::CallFinished { outcome, reused: None, rule, .. } => {
                if let Some(row) = rows.last_mut().filter(|row| row.status == CallState::Running) {
                    row.status = outcome.status.into();
                    row.class = outcome.error.as_ref().map(|error| error.class);
                    row.message = outcome.error.as_ref().map(|error| clip(&error.message, 300));
                    row.rule = *rule;
                    row.duration_ms = started(events, row.attempt).map(|at| record.at.since(at));
                }
            }
            _ => {}
        }
    }
    rows
}

fn started(events: &[EventRecord], number: u32) -> Option<crate::core::time::Millis> {
    events.iter().rev().find_map(|record| match &record.event {
        Event::AttemptStarted { attempt, .. } if *attempt == number => Some(record.at),
        _ => None,
    })
}

/// When a call is tried again, as its last word has it: the wait it is in, or the one its provider asked for when it gave up.
fn retry_at(events: &[EventRecord]) -> Option<String> {
    let wait = |record: &EventRecord| match &record.event {
        Event::AttemptFailed { retry_in_ms, error, .. } => Some(retry_in_ms.or(error.retry_after_ms)),
        Event::CallFinished { outcome, .. } => Some(outcome.error.as_ref().and_then(|error| error.retry_after_ms)),
        _ => None,
    };
    let (at, wait) = events.iter().rev().find_map(|record| Some((record.at, wait(record)?)))?;
    wait.filter(|ms| *ms > 0).map(|ms| at.plus(ms).rfc3339())
}

fn last_error(events: &[EventRecord]) -> Option<&crate::core::outcome::CallError> {
    events.iter().rev().find_map(|record| match &record.event {
        Event::AttemptFailed { error, .. } => Some(error),
        _ => None,
    })
}

/// Where the last answer broke its schema.
fn schema_errors(events: &[EventRecord], outcome: Option<&Outcome>) -> Vec<SchemaError> {
    if outcome.is_some_and(|o| o.status == CallStatus::Done) {
        return Vec::new();
    }
    let settled = outcome.and_then(|o| o.error.as_ref());
    settled.or_else(|| last_error(events)).map(|error| error.schema_errors.clone()).unwrap_or_default()
}

/// Whether a mutating attempt was begun and its process ended before it did.
fn possibly_repeated(run: &Snapshot, events: &[EventRecord], call: &CallRow) -> Option<bool> {
    // What a process that is gone left behind: before the last start, or everything when nobody took over.
    let gone = if run.status == RunStatus::Interrupted { u64::MAX } else { run.starts.last_seq };
    let lost = |seq: u64| {
        let ended = events.iter().any(|e| {
            e.seq > seq
                && matches!(e.event, Event::AttemptFailed { .. } | Event::CallFinished { .. })
                && e.seq < gone.max(seq)
        });
        !ended && seq < gone
    };
    let starts = events.iter().filter(|e| matches!(e.event, Event::AttemptStarted { .. }));
    (call.mutating && starts.map(|e| e.seq).any(lost)).then_some(true)
}

/// For a model: long lists and long data are cut.
fn shorten(call: &mut CallDetail) {
    let lists = [&mut call.read_scope, &mut call.write_scope, &mut call.tools, &mut call.changed_files];
    for names in lists.into_iter().flatten() {
        names.truncate(NAMES);
        for name in names {
            *name = clip(name, 120);
        }
    }
    call.warnings.truncate(10);
    for warning in &mut call.warnings {
        *warning = clip(warning, 200);
    }
    if let Some(explain) = &mut call.explain {
        explain.reason = clip(&explain.reason, 300);
    }
    call.schema_errors.truncate(10);
    for error in &mut call.schema_errors {
        error.pointer = clip(&error.pointer, 200);
        error.message = clip(&error.message, 200);
        if let Some(got) = &error.got {
            let text = got.to_string();
            if text.chars().count() > 200 {
                error.got = Some(Value::String(clip(&text, 200)));
            }
        }
    }
}

fn next(run: &RunId, call: &CallDetail) -> String {
    let file = call.files.transcript.as_ref().or(call.files.output.as_ref()).or(call.files.error.as_ref());
    let read = file.map(|path| format!("owf_read_artifact with path \"{path}\""));
    match (call.row.status, read) {
        (CallState::Running, _) => format!("owf_wait with run_id {run}: it is still at work."),
        (CallState::Queued, _) => format!("owf_wait with run_id {run}: it has not begun."),
        (status, Some(read)) if status.is_failing() => {
            format!("{read}, or change what it asks and owf_resume with run_id {run}")
        }
        (status, None) if status.is_failing() => {
            format!("change what it asks, then owf_resume with run_id {run}")
        }
        (_, Some(read)) => format!("{read} shows all of it"),
        (_, None) => format!("owf_calls with run_id {run} lists the others"),
    }
}
