//! A call of a tool around its serving: the client's dialog before a decision and at a question, and runs that become tasks.

use serde_json::Value;

use crate::core::call::{Decider, Decision};
use crate::core::failure::{Code, Failure};
use crate::engine::Engine;
use crate::engine::params::ApprovalsParams;
use crate::engine::view::{ApprovalRow, ApprovalState};

use super::elicit::{self, Question, RoundState, TurnedAway};
use super::refused::Refused;
use super::{Call, Tool, tasks, tools};

/// What the client that calls can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Offers {
    /// It follows tasks, and the server may answer with them.
    pub(crate) tasks: bool,
    /// It asks its person in a dialog.
    pub(crate) dialog: bool,
}

/// What a call comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The reply, or the failure, of the tool.
    Reply(Result<Value, Failure>),
    /// The person is asked first.
    Ask(Box<Ask>),
    /// The run goes on as a task; this is its view.
    Task(Value),
}

/// A question to put to the person, and the state that comes back with the answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    pub(crate) question: Question,
    pub(crate) state: RoundState,
}

/// Serves calls of tools with what surrounds them. Blocks: for threads, not for tasks.
pub(crate) struct Flow<'a> {
    pub(crate) call: &'a Call<'a>,
    pub(crate) offers: Offers,
    pub(crate) turned_away: &'a TurnedAway,
}

impl Flow<'_> {
    /// Serves a call that comes for the first time.
    pub(crate) fn first(&self, tool: &Tool, arguments: Value) -> Step {
        if self.offers.dialog
            && tool.name == "owf_decide"
            && let Some(ask) = self.before_decision(&arguments)
        {
            return Step::Ask(Box::new(ask));
        }
        let task = self.offers.tasks && tasks::may_be_task(tool.name, &arguments);
        let arguments = if task { tasks::shortened(tool.name, arguments) } else { arguments };
        match (tool.serve)(self.call, arguments) {
            Ok(view) => self.after(tool.name, view, task),
            Err(failure) => Step::Reply(Err(failure)),
        }
    }

    /// Serves a call that comes again with the answer to `ask`. `state` is what came back with it.
    ///
    /// # Errors
    /// A state that this server cannot have given. Without one the call cannot be served: it may have started a run already.
    pub(crate) fn again(
        &self,
        tool: &Tool,
        arguments: Value,
        state: &str,
        answer: Option<&Value>,
    ) -> Result<Step, Refused> {
        let forged = || Refused::Params("requestState is none that this server gave for this call".to_owned());
        let state = RoundState::parse(state, tool.name).ok_or_else(forged)?;
        let engine = self.engine(&arguments)?;
        if matches!(tool.name, "owf_wait" | "owf_decide") {
            // These name their run, so that the state cannot lead to another one.
            let named = arguments.get("run_id").and_then(Value::as_str).unwrap_or("latest");
            let same = named == "latest" || engine.resolve(named).is_ok_and(|run| run.as_str() == state.run_id);
            if !same {
                return Err(forged());
            }
        }
        if engine.resolve(&state.run_id).is_err() {
            return Err(forged());
        }
        Ok(self.answered(tool, arguments, &state, answer))
    }

    /// Goes on with a call once its question was answered, or was not.
    pub(crate) fn answered(&self, tool: &Tool, arguments: Value, state: &RoundState, answer: Option<&Value>) -> Step {
        let decided = match self.decide(&arguments, state, answer) {
            Ok(decided) => decided,
            // Somebody was faster, or it is too late: a decision says so, other calls show how the run stands.
            Err(failure) if tool.name == "owf_decide" => return Step::Reply(Err(failure)),
            Err(_) => None,
        };
        match (decided, tool.name) {
            (None, "owf_decide") => Step::Reply((tool.serve)(self.call, arguments)),
            (Some(decision), "owf_decide") => {
                Step::Reply(self.look(&arguments, &state.run_id, Some(0)).map(|mut view| {
                    if let Value::Object(map) = &mut view {
                        map.insert("decision".to_owned(), decision);
                    }
                    view
                }))
            }
            (None, _) => Step::Reply(self.look(&arguments, &state.run_id, Some(0))),
            (Some(_), name) => {
                let task = self.offers.tasks && tasks::may_be_task(name, &arguments);
                let given = arguments.get("timeout_seconds").or_else(|| arguments.get("wait_seconds"));
                let seconds = if task { Some(tasks::FIRST_WAIT) } else { given.and_then(Value::as_u64) };
                match self.look(&arguments, &state.run_id, seconds) {
                    Ok(view) => self.after(name, view, task),
                    Err(failure) => Step::Reply(Err(failure)),
                }
            }
        }
    }

    /// Records the answer when it is one and its question is still open. None when nothing was decided.
    fn decide(&self, arguments: &Value, state: &RoundState, answer: Option<&Value>) -> Result<Option<Value>, Failure> {
        let Some(answer) = answer.and_then(elicit::read) else {
            self.turned_away.remember(&state.question);
            return Ok(None);
        };
        let engine = self.engine(arguments)?;
        match state.question.open(&engine, &state.run_id)? {
            None => Ok(None),
            Some(_) => elicit::decide(&engine, &state.question, &answer, self.call.client).map(Some),
        }
    }

    /// What a served call comes to: a question for the dialog, a task, or its reply.
    fn after(&self, tool: &str, view: Value, task: bool) -> Step {
        let follows = matches!(tool, "owf_run_workflow" | "owf_resume" | "owf_wait");
        if follows && self.offers.dialog {
            let rows: Vec<ApprovalRow> =
                view.get("approvals").and_then(|rows| serde_json::from_value(rows.clone()).ok()).unwrap_or_default();
            if let (Some(row), Some(run)) = (self.turned_away.askable(&rows).next(), view["run_id"].as_str()) {
                let question = elicit::dialog(row, None);
                let state =
                    RoundState { tool: tool.to_owned(), run_id: run.to_owned(), question: question.which.clone() };
                return Step::Ask(Box::new(Ask { question, state }));
            }
        }
        if task && matches!(view["status"].as_str(), Some("queued" | "running")) {
            return Step::Task(view);
        }
        Step::Reply(Ok(view))
    }

    /// The dialog of a question that only a person may decide, when that is what a call of `owf_decide` is about. Everything
    /// that is wrong with the call is left for the tool to say.
    fn before_decision(&self, arguments: &Value) -> Option<Ask> {
        let text = |key: &str| arguments.get(key).and_then(Value::as_str);
        let decision: Decision = serde_json::from_value(arguments.get("decision")?.clone()).ok()?;
        let (run, approval, hash) = (text("run_id")?, text("approval_id")?, text("content_hash")?);
        if run == "latest" {
            return None;
        }
        let engine = self.engine(arguments).ok()?;
        let run = engine.resolve(run).ok()?.to_string();
        let asked = ApprovalsParams { run_id: Some(run.clone()), ..ApprovalsParams::default() };
        let rows = engine.approvals(&asked).ok()?.approvals;
        let mut alike = rows.iter().filter(|row| {
            row.approval_id == approval
                && row.content_hash == hash
                && row.decider == Decider::Person
                && row.state == ApprovalState::Pending
        });
        let (row, None) = (alike.next()?, alike.next()) else { return None };
        let question = elicit::dialog(row, Some((decision, text("reason").unwrap_or_default())));
        let state = RoundState { tool: "owf_decide".to_owned(), run_id: run, question: question.which.clone() };
        Some(Ask { question, state })
    }

    /// The view of a run as `owf_wait` gives it, after at most so many seconds.
    fn look(&self, arguments: &Value, run: &str, seconds: Option<u64>) -> Result<Value, Failure> {
        let mut asked = serde_json::Map::new();
        asked.insert("run_id".to_owned(), run.into());
        for key in ["home", "detail", "cursor", "until"] {
            if let Some(given) = arguments.get(key) {
                asked.insert(key.to_owned(), given.clone());
            }
        }
        if let Some(seconds) = seconds {
            asked.insert("timeout_seconds".to_owned(), seconds.into());
        }
        view(self.call, Value::Object(asked))
    }

    /// The engine that the call names, as the tool would find it.
    fn engine(&self, arguments: &Value) -> Result<Engine, Failure> {
        tools::ground(self.call, arguments.get("home").and_then(Value::as_str), None)
    }
}

/// The bounded view of a run, by the tool that gives it.
///
/// # Errors
/// As the tool; `internal` when this server has none.
pub(crate) fn view(call: &Call<'_>, arguments: Value) -> Result<Value, Failure> {
    let tool = tools::all().iter().find(|tool| tool.name == "owf_wait");
    let tool = tool.ok_or_else(|| Failure::new(Code::Internal, "there is no owf_wait"))?;
    (tool.serve)(call, arguments)
}
