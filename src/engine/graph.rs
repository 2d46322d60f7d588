//! Drawing: a document before it runs, any run by its journal. Nothing is executed.

use std::collections::BTreeMap;

use super::engine::Engine;
use super::params::{GraphFormat, GraphParams};
use super::query::Query;
use super::source::{Reference, load, require};
use super::view::{GraphEdge, GraphNode, GraphView};
use crate::core::event::Event;
use crate::core::failure::{Code, Failure};
use crate::core::ids::{CallId, RunId};
use crate::core::run::WorkflowKind;
use crate::front::document::{self, Drawing, Edge, Node};

/// Events read at once.
const PAGE: usize = 5_000;

/// Calls of a script's run that are drawn.
const MOST: usize = 2_000;

impl Engine {
    /// Draws a document, or a run.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `invalid_workflow`; `invalid_arguments` for a script, which has no graph before it runs.
    pub fn graph(&self, params: &GraphParams) -> Result<GraphView, Failure> {
        let format = params.format.unwrap_or_default();
        let named = params.path.is_some() || params.name.is_some() || params.script.is_some();
        if params.run_id.is_some() || !named {
            return self.query(|q| of_run(&q, params.run_id.as_deref(), format));
        }
        let services = self.services();
        let (cwd, _) = super::services::directories(services, params.workspace.as_deref());
        let reference = Reference::new(params.path.as_ref(), params.name.as_ref(), params.script.as_ref());
        let workflow = load(&reference, &cwd, services.user_home.as_deref())?;
        let script = require(&workflow)?;
        if script.kind == WorkflowKind::Script {
            let message = format!("`{}` is a script: what it will call is known only when it runs", script.meta.name);
            return Err(Failure::new(Code::InvalidArguments, message)
                .hint("owf dry-run rehearses it; owf graph RUN draws a run of it"));
        }
        Ok(view(&drawing(&script.body, &BTreeMap::new())?, None, format, false))
    }
}

fn drawing(text: &str, states: &BTreeMap<String, String>) -> Result<Drawing, Failure> {
    let plan = document::plan(text).map_err(|message| Failure::new(Code::InvalidWorkflow, message))?;
    Ok(Drawing::of(&plan, states))
}

fn of_run(q: &Query<'_>, run: Option<&str>, format: GraphFormat) -> Result<GraphView, Failure> {
    let run = q.resolve(run)?;
    let traced = trace(q, &run)?;
    let row = q.store.run(&run)?.ok_or_else(|| Failure::new(Code::NotFound, format!("there is no run {run}")))?;
    if row.spec.kind == WorkflowKind::Document {
        let source = q.store.source(&row.spec.source_hash)?.unwrap_or_default();
        let drawing = drawing(&String::from_utf8_lossy(&source), &traced.states())?;
        return Ok(view(&drawing, Some(&run), format, false));
    }
    let truncated = traced.calls.len() > MOST;
    let drawing = traced.drawing(&row.spec.workflow_name);
    Ok(view(&drawing, Some(&run), format, truncated))
}

fn view(drawing: &Drawing, run: Option<&RunId>, format: GraphFormat, truncated: bool) -> GraphView {
    let node = |n: &Node| GraphNode {
        id: n.id.clone(),
        kind: n.kind.clone(),
        description: n.description.clone(),
        agent: n.agent.clone(),
        approval: n.approval,
        repeats: n.repeats.map(str::to_owned),
        status: n.status.clone(),
    };
    let edge =
        |e: &Edge| GraphEdge { from: e.from.clone(), to: e.to.clone(), kind: e.kind.to_owned(), key: e.key.clone() };
    GraphView {
        workflow: drawing.name.clone(),
        run_id: run.map(ToString::to_string),
        nodes: drawing.nodes.iter().map(node).collect(),
        edges: drawing.edges.iter().map(edge).collect(),
        text: match format {
            GraphFormat::Mermaid => Some(drawing.mermaid()),
            GraphFormat::Dot => Some(drawing.dot()),
            GraphFormat::Json => None,
        },
        truncated,
    }
}

/// One call as the journal tells it.
struct Traced {
    id: CallId,
    label: String,
    kind: &'static str,
    status: Option<&'static str>,
    waits: bool,
    /// The call whose outcome came before it was requested.
    led_by: Option<CallId>,
}

/// The calls of a run, in request order.
struct Trace {
    calls: Vec<Traced>,
}

fn trace(q: &Query<'_>, run: &RunId) -> Result<Trace, Failure> {
    let mut calls: Vec<Traced> = Vec::new();
    let mut last = None;
    let mut after = 0;
    loop {
        let events = q.store.events(run, after, PAGE)?;
        let Some(end) = events.last() else { break };
        after = end.seq;
        for record in &events {
            match &record.event {
                Event::CallRequested { call_id, spec, .. } => calls.push(Traced {
                    id: *call_id,
                    label: spec.label.clone(),
                    kind: spec.kind.as_str(),
                    status: None,
                    waits: false,
                    led_by: last,
                }),
                Event::ApprovalAsked { approval } => {
                    if let Some(call) = calls.get_mut((approval.call_id.0 as usize).wrapping_sub(1)) {
                        call.waits = true;
                    }
                }
                Event::CallFinished { call_id, outcome, .. } => {
                    if let Some(call) = calls.get_mut((call_id.0 as usize).wrapping_sub(1)) {
                        call.status = Some(outcome.status.as_str());
                    }
                    last = Some(*call_id);
                }
                _ => {}
            }
        }
    }
    Ok(Trace { calls })
}

impl Traced {
    fn word(&self) -> &'static str {
        self.status.unwrap_or(if self.waits { "waiting" } else { "running" })
    }
}

impl Trace {
    /// How each task of a document ended: of several calls with its name the last counts; of a list, the worst of its items.
    fn states(&self) -> BTreeMap<String, String> {
        let mut out: BTreeMap<String, String> = BTreeMap::new();
        let mut items: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
        for call in &self.calls {
            match call.label.split_once('[') {
                Some((task, _)) => items.entry(task).or_default().push(call.word()),
                None => drop(out.insert(call.label.clone(), call.word().to_owned())),
            }
        }
        for (task, words) in items {
            let worst = ["running", "waiting"].into_iter().find(|w| words.contains(w));
            let failed = || words.iter().find(|w| !matches!(**w, "done" | "skipped" | "cancelled")).copied();
            let word = worst.or_else(failed).or(words.last().copied()).unwrap_or("done");
            out.entry(task.to_owned()).or_insert_with(|| word.to_owned());
        }
        out
    }

    /// The calls of a script's run: what each outcome led to.
    fn drawing(&self, name: &str) -> Drawing {
        let shown = &self.calls[..self.calls.len().min(MOST)];
        let nodes = shown
            .iter()
            .map(|call| Node {
                description: (!call.label.is_empty()).then(|| call.label.clone()),
                approval: call.kind == "approval",
                status: Some(call.word().to_owned()),
                ..Node::new(call.id.to_string(), call.kind)
            })
            .collect();
        let edge = |call: &Traced| {
            let from = call.led_by?.to_string();
            Some(Edge { from, to: call.id.to_string(), kind: "led_to", key: None })
        };
        Drawing { name: name.to_owned(), nodes, edges: shown.iter().filter_map(edge).collect() }
    }
}
