//! Child workflows of a rehearsal: found as in a run, played in memory, sharing the ledger.

use std::path::{Path, PathBuf};

use crate::core::call::{CallSpec, WorkflowTarget};
use crate::core::ids::{CallId, RunId};
use crate::core::machine::{Answer, AttemptReport, Plan, Reuse};
use crate::core::outcome::{CacheNote, CallError, CostSource, ErrorClass};
use crate::core::run::{RunErrorCode, RunOutcome, RunStatus};
use crate::engine::source::BUNDLED;
use crate::front::script::{Checked, FindError, Origin, find};
use crate::front::workflow::check;

use super::against::Against;
use super::shell::{Played, Scene, Shell, Totals, play};
use super::stage::Stage;

impl Shell<'_> {
    pub(super) fn plan_child(&self, stage: &Stage, call_id: CallId, spec: &CallSpec) -> Plan {
        let limit = stage.settings.engine.nesting;
        let level = self.scene.depth + 1;
        if level > limit {
            let message = format!("workflow() may be nested {limit} deep; this call would be level {level}");
            return Plan::Refuse(CallError::new(ErrorClass::Policy, message).throwing("Error"));
        }
        match source(stage, spec) {
            Ok(_) => Plan::Run {
                provider: None,
                model: None,
                real: false,
                note: CacheNote::default(),
                record: None,
                child_run: Some(RunId::child(&self.scene.run, call_id)),
                pin: None,
                permit: false,
                schema_attempts: None,
            },
            Err(message) => Plan::Refuse(CallError::new(ErrorClass::Other, message).throwing("Error")),
        }
    }

    /// Plays the child of a `workflow` call to its end.
    pub(super) fn play_child(&self, stage: &mut Stage, call_id: CallId) -> AttemptReport {
        let found = self.machine.spec(call_id).map(|spec| (std::sync::Arc::clone(spec), source(stage, spec)));
        let (spec, (checked, path)) = match found {
            Some((spec, Ok(found))) => (spec, found),
            Some((_, Err(message))) => return report(Err(other(message)), Totals::default()),
            None => return report(Err(other("the call is unknown".to_owned())), Totals::default()),
        };
        let name = path.file_name().map_or_else(|| "workflow.js".to_owned(), |n| n.to_string_lossy().into_owned());
        let earlier = self.machine.identity(call_id).zip(self.against).and_then(|(id, a)| a.children.get(&id));
        let nothing = Against::nothing(RunId::child(&self.scene.run, call_id));
        // Below a comparison every call is compared, if only with nothing.
        let against = self.against.map(|_| earlier.unwrap_or(&nothing));
        let scene = Scene {
            run: RunId::child(&self.scene.run, call_id),
            kind: checked.script.as_ref().map(|s| s.kind).unwrap_or_default(),
            body: checked.script.map(|s| s.body).unwrap_or_default(),
            file_name: name,
            workflow: checked.meta.map(|m| m.name).unwrap_or_default(),
            source_hash: checked.hash,
            args: spec.ask.workflow.as_ref().and_then(|ask| ask.args.clone()),
            depth: self.scene.depth + 1,
            group: spec.phase.clone(),
            budget_base: self.machine.spent(),
            reuse: against.map_or_else(Reuse::default, |a| a.reuse.clone()),
        };
        let Played { outcome, totals } = play(stage, scene, against);
        report(result(&outcome), totals)
    }
}

fn other(message: String) -> CallError {
    CallError::new(ErrorClass::Other, message).throwing("Error")
}

/// The source of a child, as it is found now.
fn source(stage: &Stage, spec: &CallSpec) -> Result<(Checked, PathBuf), String> {
    let Some(ask) = &spec.ask.workflow else { return Err("the call names no workflow".to_owned()) };
    let (bytes, path) = match &ask.target {
        WorkflowTarget::Name(name) => match find(name, &stage.cwd, stage.user_home.as_deref(), BUNDLED) {
            Ok(found) => (found.bytes, found.path),
            Err(FindError::NotFound { name, nearest, broken: _ }) => {
                let known = if nearest.is_empty() { "none".to_owned() } else { nearest.join(", ") };
                return Err(format!("no workflow is named \"{name}\"; there are: {known}"));
            }
            Err(error @ FindError::Ambiguous { .. }) => return Err(error.to_string()),
        },
        WorkflowTarget::Path(path) => {
            let full = stage.cwd.join(path);
            (read(&full)?, full)
        }
    };
    let checked = check(&bytes, &Origin::File(path.clone()));
    if let Some(error) = checked.errors().next() {
        return Err(format!("{}:{}:{} {}", path.display(), error.line, error.column, error.message));
    }
    Ok((checked, path))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    crate::engine::source::read_bounded(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn result(outcome: &RunOutcome) -> Result<Answer, CallError> {
    match (outcome.status, &outcome.error) {
        (RunStatus::Done, _) => Ok(Answer { value: outcome.output.clone(), ..Answer::default() }),
        (RunStatus::Cancelled, _) => Err(CallError::new(ErrorClass::Cancelled, "the child was cancelled")),
        (_, Some(error)) => {
            let name = match error.code {
                RunErrorCode::BudgetExhausted => "WorkflowBudgetExceededError".to_owned(),
                RunErrorCode::CallCap => "WorkflowAgentCapError".to_owned(),
                _ => error.name.clone().unwrap_or_else(|| "Error".to_owned()),
            };
            Err(CallError::new(ErrorClass::Other, error.message.clone()).throwing(&name))
        }
        (_, None) => Err(other("the child failed".to_owned())),
    }
}

fn report(result: Result<Answer, CallError>, totals: Totals) -> AttemptReport {
    AttemptReport {
        usage: totals.usage,
        cost_nanos: totals.cost_nanos,
        cost_source: CostSource::Simulated,
        simulated: true,
        charge: totals.charge,
        ..AttemptReport::new(result)
    }
}
