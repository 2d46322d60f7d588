//! A run as a task of the tasks extension: answered from the store, so that it outlives the server.

use serde_json::Value;

use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::core::run::RunStatus;
use crate::engine::Engine;
use crate::engine::view::RunView;

use super::elicit::Question;
use super::refused::Refused;
use super::tools::progress_line;

/// How long a task of this kind is polled quickly.
const YOUNG_MS: u64 = 60_000;
/// How often a young task is worth a look, in milliseconds.
const SOON_MS: u64 = 2_000;
/// How often an older one is.
const LATER_MS: u64 = 5_000;
/// The longest first wait of a call that may become a task, in seconds: what ends within it is answered at once.
pub(crate) const FIRST_WAIT: u64 = 1;

/// Where a task stands, with what its state carries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Working,
    /// Questions for the client's dialog.
    InputRequired(Vec<Question>),
    /// The view of the run is the result, also of a run that failed.
    Completed(Value),
    Cancelled,
}

/// A task as it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) state: State,
    pub(crate) message: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) poll_ms: u64,
}

/// Whether a call may become a task. One that names a home may not: a task id does not say where its run is. Nor one that
/// asks not to wait, or to be woken before the end.
pub(crate) fn may_be_task(tool: &str, arguments: &Value) -> bool {
    let waits = |key: &str| arguments.get(key).and_then(Value::as_u64) != Some(0);
    let at_home = arguments.get("home").is_none_or(Value::is_null);
    at_home
        && match tool {
            "owf_run_workflow" | "owf_resume" => waits("wait_seconds"),
            "owf_wait" => waits("timeout_seconds") && arguments.get("until").and_then(Value::as_str) == Some("end"),
            _ => false,
        }
}

/// The arguments with a first wait that is short: if the run goes on after it, the call becomes a task.
pub(crate) fn shortened(tool: &str, mut arguments: Value) -> Value {
    let key = if tool == "owf_wait" { "timeout_seconds" } else { "wait_seconds" };
    if let Value::Object(map) = &mut arguments {
        let fits = |given: &Value| given.as_u64().is_none_or(|seconds| seconds <= FIRST_WAIT);
        // What is no number is left for the tool to refuse.
        let left = map.get(key).is_some_and(|given| !given.is_null() && fits(given));
        if !left {
            map.insert(key.to_owned(), FIRST_WAIT.into());
        }
    }
    arguments
}

/// The state of a run as that of a task. `questions` are those that the client's dialog can still be asked.
///
/// A paused run without such a question is `completed`, not `input_required`: a client that has nothing to ask would poll for
/// ever, and the model would never learn that a login or a person at a terminal is needed.
pub(crate) fn state(status: RunStatus, questions: Vec<Question>, view: Value) -> State {
    match status {
        RunStatus::Queued | RunStatus::Running => State::Working,
        RunStatus::Paused if !questions.is_empty() => State::InputRequired(questions),
        RunStatus::Paused | RunStatus::Done | RunStatus::Failed | RunStatus::Interrupted => State::Completed(view),
        RunStatus::Cancelled => State::Cancelled,
    }
}

/// The line of progress notifications, and what a paused run waits for.
pub(crate) fn message(view: &RunView) -> String {
    let line = progress_line(view);
    match (view.status, view.status_reason) {
        (RunStatus::Paused, Some(reason)) => format!("{line} · paused ({})", reason.as_str()),
        (RunStatus::Paused, None) => format!("{line} · paused"),
        _ => line,
    }
}

/// The run that a task id names. Only whole ids: a task is not guessed.
///
/// # Errors
/// Another form, or a run that is not in the store.
pub(crate) fn run_of(engine: &Engine, task_id: &str) -> Result<RunId, Refused> {
    let unknown = || {
        let shown: String = task_id.chars().filter(|c| !c.is_control()).take(80).collect();
        Refused::Params(format!("there is no task {shown}; a task is named by its run_id"))
    };
    let run: RunId = task_id.parse().map_err(|_| unknown())?;
    match engine.status_of(&run) {
        Ok(_) => Ok(run),
        Err(failure) if failure.code == Code::NotFound => Err(unknown()),
        Err(failure) => Err(failure.into()),
    }
}

/// The task of a run. `view` is the bounded view that the tools give.
///
/// # Errors
/// What the store says.
pub(crate) fn of_run(
    engine: &Engine,
    view: Value,
    ask: impl FnOnce(&RunView) -> Vec<Question>,
) -> Result<Task, Failure> {
    let typed: RunView = serde_json::from_value(view.clone())
        .map_err(|error| Failure::new(Code::Internal, format!("the view of the run cannot be read: {error}")))?;
    let run = typed.run_id.as_str();
    let at = |after: u64| -> Result<String, Failure> {
        let events = engine.events(run, after, 1)?;
        Ok(events.first().map(|record| record.at.rfc3339()).unwrap_or_default())
    };
    let created_at = at(0)?;
    let last: u64 = typed.next_cursor.parse().unwrap_or(1);
    let updated_at = at(last.saturating_sub(1)).map(|at| if at.is_empty() { created_at.clone() } else { at })?;
    let questions = if typed.status == RunStatus::Paused { ask(&typed) } else { Vec::new() };
    Ok(Task {
        id: run.to_owned(),
        message: message(&typed),
        created_at,
        updated_at,
        poll_ms: if typed.elapsed_ms < YOUNG_MS { SOON_MS } else { LATER_MS },
        state: state(typed.status, questions, view),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::core::run::StatusReason;
    use crate::engine::view::{PhaseRow, Usd};
    use serde_json::json;

    #[test]
    fn only_calls_that_wait_for_the_end_of_a_run_in_this_home_become_tasks() {
        for (tool, arguments, expected) in [
            ("owf_run_workflow", json!({"name": "hello"}), true),
            ("owf_run_workflow", json!({"name": "hello", "wait_seconds": 0}), false),
            ("owf_run_workflow", json!({"name": "hello", "home": "/elsewhere"}), false),
            ("owf_resume", json!({}), true),
            ("owf_wait", json!({"until": "end"}), true),
            ("owf_wait", json!({"until": "end", "timeout_seconds": 0}), false),
            ("owf_wait", json!({}), false),
            ("owf_status", json!({}), false),
        ] {
            assert_eq!(may_be_task(tool, &arguments), expected, "{tool} {arguments}");
        }
    }

    #[test]
    fn the_first_wait_is_short_and_nothing_else_changes() {
        let short = |tool: &str, given: Value| shortened(tool, given);
        assert_eq!(short("owf_run_workflow", json!({"name": "a"})), json!({"name": "a", "wait_seconds": 1}));
        assert_eq!(short("owf_resume", json!({"wait_seconds": 300})), json!({"wait_seconds": 1}));
        assert_eq!(short("owf_wait", json!({"timeout_seconds": 300})), json!({"timeout_seconds": 1}));
        assert_eq!(short("owf_wait", json!({"timeout_seconds": "soon"})), json!({"timeout_seconds": "soon"}));
        assert_eq!(short("owf_wait", json!([1])), json!([1]));
    }

    #[test]
    fn a_run_is_a_task_as_agreed() {
        let question = crate::mcp::elicit::tests::question();
        let of = |status, questions: &[Question]| state(status, questions.to_vec(), json!({"a": 1}));
        assert_eq!(of(RunStatus::Queued, &[]), State::Working);
        assert_eq!(of(RunStatus::Running, &[]), State::Working);
        assert_eq!(of(RunStatus::Paused, std::slice::from_ref(&question)), State::InputRequired(vec![question]));
        for status in [RunStatus::Paused, RunStatus::Done, RunStatus::Failed, RunStatus::Interrupted] {
            assert_eq!(of(status, &[]), State::Completed(json!({"a": 1})));
        }
        assert_eq!(of(RunStatus::Cancelled, &[]), State::Cancelled);
    }

    #[test]
    fn the_message_is_one_line_that_says_how_far_it_is() {
        let mut view = RunView::new("20260528-143201-k7q2mvx4".parse().unwrap(), RunStatus::Running);
        assert_eq!(message(&view), "0 done, 0 running");
        view.counts.done = 12;
        view.counts.running = 8;
        view.counts.failed = 1;
        let phase = |title: &str, running| PhaseRow { title: title.into(), total: 9, running, ..PhaseRow::default() };
        view.phases = vec![phase("Scan", 0), phase("Review", 8), phase("Verify", 0)];
        view.usage.cost_usd = Some(Usd::new(1.468));
        assert_eq!(message(&view), "12 done, 8 running, 1 failed · Review · $1.47");
        view.status = RunStatus::Paused;
        view.status_reason = Some(StatusReason::Approval);
        assert!(message(&view).ends_with(" · paused (approval)"));
    }
}
