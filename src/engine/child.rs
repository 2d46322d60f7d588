//! Child workflows: runs of their own, executed in their parent's process, sharing its ledger, permits and lease.

use std::path::Path;
use std::sync::Arc;

use crate::core::budget::Charge;
use crate::core::call::{CallSpec, WorkflowAsk, WorkflowTarget};
use crate::core::history::add_cost;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::machine::{Answer, AttemptReport, Input, PinNote, Plan};
use crate::core::outcome::{CacheNote, CacheStatus, CallError, CostSource, ErrorClass, ReasonCode, Usage};
use crate::core::run::{JOURNAL_FORMAT, ParentRef, RunErrorCode, RunOutcome, RunSpec, RunStatus, WorkflowKind};
use crate::front::script::{FindError, Origin};
use crate::front::workflow::{check, kind_of};
use crate::store::{Created, StoreError};

use super::execute::{Launch, launch};
use super::hooks::{Named, require};
use super::journal::now;
use super::run_end::RunEnd;
use super::run_loop::RunLoop;
use super::tree::Tree;

impl RunLoop {
    pub(super) fn plan_child(&mut self, call_id: CallId, spec: &CallSpec) -> Plan {
        match &spec.ask.workflow {
            Some(ask) => self.plan_run(call_id, &ask.target),
            None => Plan::Refuse(CallError::new(ErrorClass::Other, "the call names no workflow").throwing("Error")),
        }
    }

    /// The plan of a call that a run of its own carries out.
    pub(super) fn plan_run(&mut self, call_id: CallId, target: &WorkflowTarget) -> Plan {
        let limit = self.tree.settings.engine.nesting;
        if self.spec.depth + 1 > limit {
            let message =
                format!("workflow() may be nested {limit} deep; this call would be level {}", self.spec.depth + 1);
            return Plan::Refuse(CallError::new(ErrorClass::Policy, message).throwing("Error"));
        }
        match self.child_source(target) {
            Ok(pin) => Plan::Run {
                provider: None,
                model: None,
                real: false,
                note: CacheNote {
                    status: CacheStatus::Bypassed,
                    reason: Some(ReasonCode::Policy),
                    ..CacheNote::default()
                },
                record: None,
                child_run: Some(Tree::child_id(&self.run, call_id)),
                pin: Some(pin),
                permit: false,
                schema_attempts: None,
            },
            Err(message) => Plan::Refuse(CallError::new(ErrorClass::Other, message).throwing("Error")),
        }
    }

    /// The source of a child: as pinned, else as found now and put into the store.
    fn child_source(&self, target: &WorkflowTarget) -> Result<PinNote, String> {
        let name = target_text(target);
        let pinned = self.machine.history().pins.get(&("workflow".to_owned(), name.clone())).copied();
        if let Some(hash) = pinned {
            return Ok(PinNote { kind: "workflow".to_owned(), name, hash, path: None });
        }
        let cwd = Path::new(&self.spec.cwd);
        let (bytes, path) = match target {
            WorkflowTarget::Name(name) => {
                let found = crate::front::script::find(
                    name,
                    cwd,
                    self.tree.services.user_home.as_deref(),
                    super::source::BUNDLED,
                );
                match found {
                    Ok(found) => (found.bytes, found.path),
                    Err(FindError::NotFound { name, nearest, .. }) => {
                        let known = if nearest.is_empty() { "none".to_owned() } else { nearest.join(", ") };
                        return Err(format!("no workflow is named \"{name}\"; there are: {known}"));
                    }
                    Err(error @ FindError::Ambiguous { .. }) => return Err(error.to_string()),
                }
            }
            WorkflowTarget::Path(path) => {
                let full = cwd.join(path);
                let bytes =
                    super::source::read_bounded(&full).map_err(|e| format!("cannot read {}: {e}", full.display()))?;
                (bytes, full)
            }
        };
        let checked = check(&bytes, &Origin::File(path.clone()));
        if let Some(error) = checked.errors().next() {
            return Err(format!("{}:{}:{} {}", path.display(), error.line, error.column, error.message));
        }
        if let Some(script) = &checked.script {
            require(&self.tree.services, &Named::written(&script.policies)).map_err(|failure| {
                let hint = failure.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{}: {}{hint}", path.display(), failure.message)
            })?;
        }
        let bytes = match checked.script {
            Some(script) if script.kind == WorkflowKind::Document => script.body.into_bytes(),
            _ => bytes,
        };
        let hash = self.tree.store.put_source(&bytes).map_err(|e| format!("failed to store {name}: {e}"))?;
        Ok(PinNote { kind: "workflow".to_owned(), name, hash, path: Some(path.display().to_string()) })
    }

    pub(super) fn start_child(&mut self, call_id: CallId) {
        match self.launch_child(call_id) {
            Ok(child) => {
                self.children.insert(call_id, child);
            }
            Err(error @ (StoreError::LostOwnership { .. } | StoreError::Full(_) | StoreError::Io(_))) => {
                self.lost(error);
            }
            Err(error) => {
                let error = CallError::new(ErrorClass::Other, format!("failed to start the child: {error}"));
                self.child_report(call_id, Err(error.throwing("Error")), Totals::default());
            }
        }
    }

    fn launch_child(&mut self, call_id: CallId) -> Result<RunId, StoreError> {
        let child = Tree::child_id(&self.run, call_id);
        let store = &self.tree.store;
        if store.run(&child)?.is_none() {
            let spec = self.machine.spec(call_id).cloned();
            let ask = spec.as_ref().and_then(|spec| self.child_ask(spec));
            let Some((spec, ask)) = spec.zip(ask) else {
                return Err(StoreError::NotFound { what: "call", name: call_id.to_string(), nearest: Vec::new() });
            };
            let name = target_text(&ask.target);
            let hash = self.machine.history().pins.get(&("workflow".to_owned(), name)).copied();
            let source = match hash {
                Some(hash) => store.source(&hash)?.unwrap_or_default(),
                None => Vec::new(),
            };
            let origin = match &ask.target {
                WorkflowTarget::Path(path) => Origin::File(path.into()),
                WorkflowTarget::Name(_) => Origin::Inline,
            };
            let checked = check(&source, &origin);
            let meta = checked.meta.unwrap_or_default();
            // A child is judged by everything that judges its parent, and heard by whoever hears it.
            let (own, asks) = checked.script.map(|script| (script.policies, script.asks)).unwrap_or_default();
            let joined = |above: &[String], own: Vec<String>| {
                let mut all = above.to_vec();
                all.extend(own.into_iter().filter(|name| !above.contains(name)));
                all
            };
            let child_spec = RunSpec {
                format: JOURNAL_FORMAT,
                workflow_name: meta.name,
                description: meta.description,
                phases: meta.phases.into_iter().map(|p| p.title).collect(),
                kind: kind_of(&source, &origin),
                source_hash: Hash::of(&source),
                source_path: match ask.target {
                    WorkflowTarget::Path(path) => Some(Path::new(&self.spec.cwd).join(path).display().to_string()),
                    WorkflowTarget::Name(_) => None,
                },
                args: ask.args,
                workspace: self.spec.workspace.clone(),
                cwd: self.spec.cwd.clone(),
                settings: self.tree.settings.clone(),
                parent: Some(ParentRef { run_id: self.run.clone(), call_id }),
                root: Some(self.tree.root.clone()),
                depth: self.spec.depth + 1,
                resumed_from: self.recorded_child(call_id),
                diverged: None,
                started_by: format!("run {}", self.run),
                request_key: None,
                metadata: spec.metadata.clone(),
                principal: self.spec.principal.clone(),
                hooks: joined(&self.spec.hooks, own.hooks),
                events: joined(&self.spec.events, own.events),
                notices: Vec::new(),
                asks,
                cleanups: own.cleanups,
                budget_base: self.machine.spent(),
            };
            match store.create_run(&child, &child_spec, &source, now())? {
                Created::New | Created::Joined { .. } | Created::KeyConflict { .. } => {}
            }
        }
        let group = self.machine.spec(call_id).and_then(|s| s.phase.clone());
        let parent = (self.to_self.clone(), call_id);
        launch(Launch { tree: Arc::clone(&self.tree), run: child.clone(), parent: Some(parent), group })?;
        Ok(child)
    }

    /// What the call asks of a child: a tool's arguments are the child's, with the fixed ones.
    fn child_ask(&self, spec: &CallSpec) -> Option<WorkflowAsk> {
        let (Some(target), Some(ask)) = (spec.child_of_tool(), &spec.ask.tool) else {
            return spec.ask.workflow.clone();
        };
        let tool = self.tree.services.config.tools.get(&ask.name).ok()?;
        Some(WorkflowAsk { target: target.clone(), args: Some(tool.complete(&ask.args).0) })
    }

    /// The child run that the same call of the resumed run started.
    fn recorded_child(&self, call_id: CallId) -> Option<RunId> {
        let id = self.machine.identity(call_id)?;
        self.earlier_children.get(&id).cloned()
    }

    pub(super) fn child_ended(&mut self, call_id: CallId, end: RunEnd) {
        let child = self.children.remove(&call_id);
        match end {
            RunEnd::Finished(outcome) => {
                let totals = child.as_ref().map(|id| self.totals(id)).unwrap_or_default();
                let result = child_result(&outcome);
                self.child_report(call_id, result, totals);
            }
            RunEnd::Paused { reason, message } => self.feed(Input::ChildPaused { call_id, reason, message }),
            RunEnd::Diverged(detail) => {
                let message = format!("the child's replay left its journal: {detail}");
                let error = CallError::new(ErrorClass::Other, message).throwing("Error");
                self.child_report(call_id, Err(error), Totals::default());
            }
            RunEnd::Interrupted => self.end = Some(RunEnd::Interrupted),
            RunEnd::Lost(why) => self.lost(*why),
        }
    }

    fn totals(&self, child: &RunId) -> Totals {
        // The child's end is on disk, so its journal is complete.
        let mut totals = Totals::default();
        let mut after = 0;
        loop {
            let events = self.tree.store.events(child, after, 5_000).unwrap_or_default();
            let Some(last) = events.last() else { break };
            after = last.seq;
            for record in &events {
                if let crate::core::event::Event::CallFinished { outcome, .. } = &record.event {
                    totals.usage += outcome.usage;
                    totals.usage_unknown |= outcome.usage_unknown;
                    totals.cost_nanos = add_cost(totals.cost_nanos, outcome.cost_nanos);
                    totals.charge += outcome.charge;
                    totals.simulated |= outcome.simulated;
                    if outcome.cost_source != CostSource::Unknown {
                        totals.cost_source = outcome.cost_source;
                    }
                }
            }
        }
        totals
    }

    fn child_report(&mut self, call_id: CallId, result: Result<Answer, CallError>, totals: Totals) {
        let attempt = self.machine.attempt(call_id);
        let report = AttemptReport {
            usage: totals.usage,
            usage_unknown: totals.usage_unknown,
            cost_nanos: totals.cost_nanos,
            cost_source: totals.cost_source,
            simulated: totals.simulated,
            charge: totals.charge,
            ..AttemptReport::new(result)
        };
        self.report(call_id, attempt, Box::new(report));
    }
}

/// What a child's calls add up to.
#[derive(Debug, Default)]
struct Totals {
    usage: Usage,
    usage_unknown: bool,
    cost_nanos: Option<u64>,
    cost_source: CostSource,
    charge: Charge,
    simulated: bool,
}

fn child_result(outcome: &RunOutcome) -> Result<Answer, CallError> {
    match (&outcome.status, &outcome.error) {
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
        (_, None) => Err(CallError::new(ErrorClass::Other, "the child failed").throwing("Error")),
    }
}

fn target_text(target: &WorkflowTarget) -> String {
    match target {
        WorkflowTarget::Name(name) => name.clone(),
        WorkflowTarget::Path(path) => format!("path:{path}"),
    }
}

/// Whether a recorded child call may be reused whole: its run is done without gaps, and its source, and that of every child
/// below it, is still what its name or path means.
pub(crate) fn reusable_child(store: &crate::store::Store, child: &RunId, user_home: Option<&Path>) -> bool {
    let Ok(Some(row)) = store.run(child) else { return false };
    let clean = store.counts(child).is_ok_and(|c| c.failed == 0);
    let now = match &row.spec.source_path {
        Some(path) => std::fs::read(path).ok(),
        None => {
            let cwd = Path::new(&row.spec.cwd);
            let found = crate::front::script::find(&row.spec.workflow_name, cwd, user_home, super::source::BUNDLED);
            found.ok().map(|found| found.bytes)
        }
    };
    row.status == RunStatus::Done
        && clean
        && now.is_some_and(|bytes| Hash::of(bytes) == row.spec.source_hash)
        && store.children(child).is_ok_and(|below| below.iter().all(|c| reusable_child(store, &c.run_id, user_home)))
}
