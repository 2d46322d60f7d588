//! Where each task of a running document stands, and what the outcomes of its calls do to it.

use minijinja::Value;
use serde_json::{Value as Json, json};

use super::driver::{DocumentDriver, Role};
use super::plan::{Kind, Outputs, Target, Task};
use super::template::{Template, absent, from_json, json_text};
use super::travel::Back;
use super::types::OnFailure;
use super::values::TaskResult;
use crate::core::call::{ApprovalAsk, Ask, CallKind, Decision};
use crate::core::event::LogLevel;
use crate::core::ids::CallId;
use crate::core::outcome::{CallStatus, ErrorClass, Outcome};
use crate::core::run::{RunError, RunErrorCode};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// It waits for others.
    Pending,
    /// It is asked about, queued or at work.
    Active,
    /// It has ended.
    Ended(End),
}

/// How a task ended, as far as others depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// What comes after it may go on; it leads to that task.
    Passed { to: Option<usize> },
    /// It was skipped, and what comes after it may go on.
    Skipped { to: Option<usize> },
    /// Nothing led to it: what only comes after such tasks is skipped too.
    Unvisited,
    /// It was skipped with everything after it.
    SkippedAll,
    /// What comes after it is cancelled.
    Failed,
}

/// The progress of one task.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub(super) stand: Stand,
    /// Raised when the task is taken back: outcomes of earlier calls no longer count.
    pub(super) generation: u32,
    /// How often it was begun.
    pub(super) visits: u32,
    /// Tasks of `after` that have not ended.
    pub(super) remaining: usize,
    /// Gates that may still lead here.
    pub(super) gates_left: usize,
    pub(super) gate_open: bool,
    /// A task before it that failed.
    pub(super) blocked: Option<usize>,
    /// A task before it that was skipped with everything after it.
    pub(super) skipped_by: Option<usize>,
    /// Tasks of `after` that nothing led to.
    pub(super) unvisited: usize,
    /// Calls of this generation without an outcome.
    pub(super) calls: Vec<CallId>,
    pub(super) items: Vec<Json>,
    /// What items gave, by place.
    given: Vec<Option<TaskResult>>,
    items_left: usize,
    /// The first item that failed: its call and message.
    item_failed: Option<(usize, Option<CallId>, String)>,
    failed_items: usize,
    iteration: u32,
    /// How often it asked to be done again in this pass.
    pub(super) tries: u32,
    pub(super) result: Option<TaskResult>,
    /// What it gave the time before.
    pub(super) previous: Option<Value>,
    /// What a guard said about it.
    pub(super) feedback: Option<String>,
    /// What it gave last, and how many times in a row.
    same: (String, u32),
}

impl Progress {
    /// A task that has not begun.
    pub(super) fn of(task: &Task) -> Self {
        Self {
            stand: Stand::Pending,
            generation: 0,
            visits: 0,
            remaining: task.after.len(),
            gates_left: task.gates.len(),
            gate_open: false,
            blocked: None,
            skipped_by: None,
            unvisited: 0,
            calls: Vec::new(),
            items: Vec::new(),
            given: Vec::new(),
            items_left: 0,
            item_failed: None,
            failed_items: 0,
            iteration: 1,
            tries: 0,
            result: None,
            previous: None,
            feedback: None,
            same: (String::new(), 0),
        }
    }

    /// Is done again in the same pass, knowing what it gave and what was said about it.
    pub(super) fn again(&mut self, gave: Value, feedback: Option<String>) {
        self.iteration = 1;
        (self.previous, self.feedback) = (Some(gave), feedback);
    }

    /// What `loop` stands for; the first time there is nothing that came before.
    pub(super) fn looped(&self) -> Value {
        let mut out = std::collections::BTreeMap::new();
        out.insert("iteration", Value::from(self.iteration.max(self.visits).max(self.tries + 1)));
        out.insert("previous", self.previous.clone().unwrap_or_else(absent));
        out.insert("feedback", self.feedback.as_ref().map_or_else(absent, |text| Value::from(text.as_str())));
        Value::from(out)
    }
}

impl DocumentDriver {
    /// Begins a task whose turn has come: its condition, its question, then its work.
    pub(super) fn begin(&mut self, task: usize) {
        self.tasks[task].stand = Stand::Active;
        self.tasks[task].visits += 1;
        let written = self.plan.tasks[task].clone();
        if let Some(when) = &written.when {
            match self.within(Some(task), None, None, |n| when.eval_true(n)) {
                Ok(true) => {}
                Ok(false) => {
                    let end = if written.skip_dependents { End::SkippedAll } else { End::Skipped { to: written.next } };
                    return self.skip(task, end, "`when` is false");
                }
                Err(message) => return self.fail_unseen(task, &format!("`when`: {message}")),
            }
        }
        match &written.approval {
            Some(approval) => {
                let message = self.within(Some(task), None, None, |n| approval.message.eval_text(n));
                let metadata = approval.metadata.as_ref().map(|m| self.eval(m, Some(task), None, None)).transpose();
                match (message, metadata) {
                    (Ok(message), Ok(metadata)) => {
                        let question = ApprovalAsk { message, metadata, ..approval.ask.clone() };
                        let ask = Ask { approval: Some(question), ..Ask::default() };
                        let spec = self.spec(task, CallKind::Approval, ask);
                        let generation = self.tasks[task].generation;
                        self.request(spec, Role::Approval { task, generation });
                    }
                    (Err(message), _) | (_, Err(message)) => self.fail_unseen(task, &format!("`approval`: {message}")),
                }
            }
            None => self.queue(task),
        }
    }

    /// Queues the work of a task.
    pub(super) fn queue(&mut self, task: usize) {
        if self.stopping {
            return self.halt(task);
        }
        let written = self.plan.tasks[task].clone();
        let Some(list) = &written.for_each else { return self.enqueue(task, 0) };
        let items = match self.eval(list, Some(task), None, None) {
            Ok(Json::Array(items)) => items,
            Ok(other) => {
                let message = format!("`for_each` needs a list, not {}", brief(&other));
                return self.fail_unseen(task, &message);
            }
            Err(message) => return self.fail_unseen(task, &format!("`for_each`: {message}")),
        };
        if items.len() > self.config.fan_out as usize {
            let message = format!("`for_each` has {} items, at most {} are allowed", items.len(), self.config.fan_out);
            return self.fail_unseen(task, &message);
        }
        let count = items.len();
        let progress = &mut self.tasks[task];
        progress.items = items;
        progress.given = vec![None; count];
        progress.items_left = count;
        (progress.item_failed, progress.failed_items) = (None, 0);
        if count == 0 {
            return self.done(task, TaskResult::joined(&[]), None);
        }
        (0..count).for_each(|item| self.enqueue(task, item));
    }

    fn enqueue(&mut self, task: usize, item: usize) {
        if matches!(self.plan.tasks[task].kind, Kind::Expr { .. }) {
            self.ready_free.insert((task, item));
        } else {
            self.ready.insert((task, item));
        }
    }

    /// Takes the answer to the question before a task.
    pub(super) fn decided(&mut self, task: usize, call_id: CallId, outcome: &Outcome) {
        let Some(note) = &outcome.decision else {
            let message = outcome.error.as_ref().map_or("the question was not answered", |e| &e.message).to_owned();
            return self.fail(task, outcome.status, Some(call_id), &message);
        };
        let written = &self.plan.tasks[task];
        let alone = matches!(written.kind, Kind::Approval);
        let routed = written.routes.as_ref().and_then(|r| r.get("deny")).is_some();
        match note.decision {
            Decision::Approve if !alone => self.queue(task),
            Decision::Approve => self.done(task, TaskResult::of(outcome), Some(call_id)),
            Decision::Deny if routed => {
                let result = TaskResult::of(outcome);
                self.tasks[task].result = Some(result);
                self.lead(task, "deny");
            }
            Decision::Deny => {
                let reason = note.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
                let message = format!("denied by {}{reason}", note.by);
                if !alone {
                    self.record(task, CallStatus::Denied, ErrorClass::Denied, &message);
                }
                self.fail(task, CallStatus::Denied, Some(call_id), &message);
            }
        }
    }

    /// Takes the outcome of a piece of work.
    pub(super) fn worked(&mut self, task: usize, item: usize, call_id: CallId, outcome: &Outcome) {
        let is_done = outcome.status == CallStatus::Done;
        let message = || match &outcome.error {
            Some(error) => error.message.clone(),
            None => outcome.status.as_str().to_owned(),
        };
        if self.stopping && outcome.status == CallStatus::Cancelled {
            return self.stopped(task);
        }
        if is_done
            && outcome.changed_files.is_empty()
            && let Some(Outputs::Pattern(pattern)) = &self.plan.tasks[task].outputs
        {
            let (id, what) =
                (&self.plan.tasks[task].id, pattern.fixed().map(|p| format!(" `{p}`")).unwrap_or_default());
            let (message, fields) =
                (format!("{id}: no file matches its pattern{what}"), json!({"task": id, "files": 0}));
            self.log(LogLevel::Warn, message, fields);
        }
        if self.plan.tasks[task].for_each.is_some() {
            let failed = (!is_done).then(|| (Some(call_id), message()));
            return self.item_done(task, item, if is_done { Ok(TaskResult::of(outcome)) } else { Err(failed) });
        }
        if is_done {
            self.done(task, TaskResult::of(outcome), Some(call_id));
        } else {
            self.fail(task, outcome.status, Some(call_id), &message());
        }
    }

    /// A piece of work that could not even be asked for.
    pub(super) fn not_made(&mut self, task: usize, item: usize, message: String) {
        if self.plan.tasks[task].for_each.is_some() {
            self.item_done(task, item, Err(Some((None, message))));
        } else {
            self.fail_unseen(task, &message);
        }
    }

    fn item_done(&mut self, task: usize, item: usize, given: Result<TaskResult, Option<(Option<CallId>, String)>>) {
        let id = self.plan.tasks[task].id.clone();
        let progress = &mut self.tasks[task];
        progress.items_left = progress.items_left.saturating_sub(1);
        match given {
            Ok(result) => progress.given[item] = Some(result),
            Err(failed) => {
                progress.failed_items += 1;
                if let (Some((call, message)), None) = (failed, &progress.item_failed) {
                    progress.item_failed = Some((item, call, message));
                }
            }
        }
        if progress.items_left > 0 {
            // Of a document that stops no further item begins.
            if self.stopping && progress.calls.is_empty() {
                self.halt(task);
            }
            return;
        }
        if let Some((item, call, message)) = progress.item_failed.clone() {
            let (failed, all) = (progress.failed_items, progress.items.len());
            let message = format!("{failed} of {all} items failed; the first is {id}[{item}]: {message}");
            self.record(task, CallStatus::Failed, ErrorClass::Document, &message);
            return self.fail(task, CallStatus::Failed, call, &message);
        }
        let given: Vec<TaskResult> = std::mem::take(&mut self.tasks[task].given).into_iter().flatten().collect();
        self.done(task, TaskResult::joined(&given), None);
    }

    /// The work of a task is done: writes, repetition, guard, then where it leads.
    fn done(&mut self, task: usize, result: TaskResult, call: Option<CallId>) {
        let written = self.plan.tasks[task].clone();
        let mut result = result;
        result.iterations = self.tasks[task].iteration;
        if let Some(outcome) = &written.outcome
            && self.ends_itself(task, outcome, &result, call)
        {
            return;
        }
        if let Err(message) = self.write(task, &written.set, &result) {
            return self.fail_done(task, call, &message);
        }
        if let Some(until) = &written.until {
            match self.within(Some(task), None, Some(&result), |n| until.eval_true(n)) {
                Err(message) => return self.fail_done(task, call, &format!("`until`: {message}")),
                Ok(true) => {}
                Ok(false) if self.tasks[task].iteration < written.max_iterations => {
                    let progress = &mut self.tasks[task];
                    progress.iteration += 1;
                    progress.previous = Some(result.value.clone());
                    return if self.stopping { self.halt(task) } else { self.enqueue(task, 0) };
                }
                Ok(false) => {
                    result.cap_reached = true;
                    let message = format!(
                        "{}: repeated {} times without its condition becoming true",
                        written.id, written.max_iterations
                    );
                    self.log(LogLevel::Warn, message, json!({"task": written.id, "cap_reached": true}));
                }
            }
        }
        let text = result.json.as_deref().map(json_text).unwrap_or_default();
        let same = &mut self.tasks[task].same;
        *same = if same.0 == text && same.1 > 0 { (text, same.1 + 1) } else { (text, 1) };
        self.tasks[task].result = Some(result.clone());
        if let Some(guard) = written.guard
            && let Some(feedback) = objection(&result)
        {
            let retried = &self.plan.tasks[guard.retry].id;
            let (visits, same) = (self.tasks[guard.retry].visits, self.tasks[guard.retry].same.1);
            let most = self.plan.tasks[guard.retry].max_visits;
            let why = if guard.stagnation.is_some_and(|most| same >= most) {
                format!("`{retried}` gave the same {same} times")
            } else if visits >= guard.max_attempts || (most > 1 && visits >= most) {
                format!("`{retried}` was run {visits} times")
            } else {
                let message = format!("{}: `{retried}` is run again: {feedback}", written.id);
                self.log(
                    LogLevel::Info,
                    message,
                    json!({"task": written.id, "retry_task": retried, "feedback": feedback}),
                );
                return self.go_back(guard.retry, Back::Guard { by: task, feedback });
            };
            return self.fail_done(task, call, &format!("the guard is not content, and {why}: {feedback}"));
        }
        let Some(routes) = &written.routes else {
            return self.ended(task, End::Passed { to: written.next });
        };
        let key = match (&routes.key, &written.kind) {
            (Some(key), _) => self.within(Some(task), None, Some(&result), |n| key.eval_text(n)),
            (None, Kind::Approval) => Ok("approve".to_owned()),
            (None, _) => Ok(result.text().trim().to_owned()),
        };
        match key {
            Ok(key) => self.lead(task, &key),
            Err(message) => self.fail_done(task, call, &format!("`route`: {message}")),
        }
    }

    /// Ends a task by its routes.
    fn lead(&mut self, task: usize, key: &str) {
        let written = self.plan.tasks[task].clone();
        let Some(routes) = &written.routes else { return };
        let call = None;
        match routes.get(key) {
            None => {
                let known: Vec<&str> = routes.targets.iter().map(|(key, _)| key.as_str()).collect();
                let message = format!("`{}` is no route: there are {}", clipped(key), known.join(", "));
                self.fail_done(task, call, &message);
            }
            Some(Target::End) => {
                self.log_route(&written.id, key, super::plan::END);
                self.ended(task, End::Passed { to: None });
                self.finish_early(task, key);
            }
            Some(Target::Task(to)) => {
                let target = &self.plan.tasks[to];
                if self.plan.goes_back(task, to) {
                    let (id, most) = (target.id.clone(), target.max_visits);
                    if self.tasks[to].visits >= most {
                        let message =
                            format!("route `{key}` leads back to `{id}`, which was run {most} times (max_visits)");
                        return self.fail_done(task, call, &message);
                    }
                    self.log_route(&written.id, key, &id);
                    return self.go_back(to, Back::Route { by: task });
                }
                let id = target.id.clone();
                self.log_route(&written.id, key, &id);
                self.ended(task, End::Passed { to: Some(to) });
            }
        }
    }

    fn log_route(&mut self, id: &str, key: &str, to: &str) {
        self.log(
            LogLevel::Info,
            format!("{id}: route `{key}` leads to {to}"),
            json!({"task": id, "route": key, "to": to}),
        );
    }

    /// Writes to the state: all or nothing.
    fn write(&mut self, task: usize, set: &[(String, Template)], result: &TaskResult) -> Result<(), String> {
        if set.is_empty() {
            return Ok(());
        }
        let mut writes = Vec::new();
        for (key, template) in set {
            let value = self.eval(template, Some(task), None, Some(result));
            writes.push((key.clone(), value.map_err(|message| format!("`set.{key}`: {message}"))?));
        }
        if let Some(check) = &self.state_check {
            let mut next = self.state.now().clone();
            next.extend(writes.iter().cloned());
            if let Some(error) = check.iter_errors(&Json::Object(next)).next() {
                let at = error.instance_path().to_string();
                let at = if at.is_empty() { at } else { format!(" at {at}") };
                return Err(format!("`set` breaks the schema of the state{at}: {error}"));
            }
        }
        self.state.write(task, writes);
        Ok(())
    }

    /// Takes back what a task wrote to the state in this pass.
    pub(super) fn unwrite(&mut self, task: usize) {
        if !self.plan.tasks[task].set.is_empty() {
            self.state.take_back(task);
        }
    }

    /// Fails a task whose calls do not show it.
    pub(super) fn fail_unseen(&mut self, task: usize, message: &str) {
        self.fail_done(task, None, message);
    }

    pub(super) fn fail_done(&mut self, task: usize, call: Option<CallId>, message: &str) {
        self.record(task, CallStatus::Failed, ErrorClass::Document, message);
        self.fail(task, CallStatus::Failed, call, message);
    }

    /// A task has failed; its writes are taken back.
    fn fail(&mut self, task: usize, status: CallStatus, call_id: Option<CallId>, message: &str) {
        self.unwrite(task);
        let written = &self.plan.tasks[task];
        let (id, at, next) = (written.id.clone(), written.at, written.next);
        let kept = self.tasks[task].result.take().filter(|_| status == CallStatus::Failed);
        let without = TaskResult::without(status, Some(message.to_owned()));
        // What a task gave before a rule of the document made it fail can still be looked at.
        self.tasks[task].result = Some(match kept {
            Some(kept) => kept.failed(status, message),
            None => without,
        });
        if written.allow_failure || self.plan.on_failure == OnFailure::BestEffort {
            return self.ended(task, End::Passed { to: next });
        }
        if self.error.is_none() {
            let verb = if status == CallStatus::Denied { "was" } else { "failed:" };
            let mut error = RunError::new(RunErrorCode::TaskFailed, format!("task `{id}` {verb} {message}"));
            (error.line, error.column, error.call_id) = (Some(at.line), Some(at.column), call_id);
            self.error = Some(error);
        }
        self.ended(task, End::Failed);
        if self.plan.on_failure == OnFailure::FailFast && !self.stopping {
            self.stop(task);
        }
    }

    /// Skips a task.
    pub(super) fn skip(&mut self, task: usize, end: End, reason: &str) {
        self.record(task, CallStatus::Skipped, ErrorClass::Skipped, reason);
        self.tasks[task].result = Some(TaskResult::without(CallStatus::Skipped, Some(reason.to_owned())));
        self.ended(task, end);
    }

    /// Begins a new pass of a task.
    pub(super) fn take_back(&mut self, task: usize) {
        let written = self.plan.tasks[task].clone();
        let old = std::mem::replace(&mut self.tasks[task], Progress::of(&written));
        let progress = &mut self.tasks[task];
        progress.generation = old.generation + 1;
        progress.visits = old.visits;
        progress.same = old.same;
        progress.previous = old.result.map(|r| r.value).or(old.previous);
    }
}

/// What a guard has to say against what it checked; none = nothing.
fn objection(result: &TaskResult) -> Option<String> {
    let json = result.json.as_deref()?;
    let refused = match json {
        Json::Bool(flag) => !flag,
        Json::Object(map) => map.get("ok").is_some_and(|ok| !from_json(ok).is_true()),
        Json::Null => true,
        _ => false,
    };
    let feedback = || match json.get("feedback") {
        Some(Json::String(text)) => text.clone(),
        Some(other) => json_text(other),
        None => json_text(json),
    };
    refused.then(feedback)
}

pub(super) fn brief(value: &Json) -> String {
    clipped(&json_text(value))
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
