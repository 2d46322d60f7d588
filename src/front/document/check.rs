//! Checking a document: decode, read as a located tree, check its form, compile it; all findings with their lines.

use serde_json::Value;

use super::bundle::{Part, gather, split};
use super::compile::{Source, compile};
use super::plan::{Kind, Plan};
use super::report::Report;
use super::shape;
use super::types::Document;
use crate::core::call::WorkflowTarget;
use crate::core::ids::Hash;
use crate::core::json::MAX_DEPTH;
use crate::core::located::{At, Node, read};
use crate::core::run::WorkflowKind;
use crate::front::script::{
    AgentSite, Checked, Diagnostic, FanOut, FanOutKind, FanOutSize, Limits, Meta, Origin, Script, ScriptText,
};

/// The greatest size of a document in bytes.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Stack of the thread that reads: documents of the greatest depth fit many times.
const STACK: usize = 64 << 20;

/// Reads and checks a document. Any bytes give an answer.
pub fn check(bytes: &[u8], origin: &Origin) -> Checked {
    let (hash, size_bytes) = (Hash::of(bytes), bytes.len() as u64);
    let (text, plan, meta, mut diagnostics) = match ScriptText::decode(bytes, origin, &Limits { script: MAX_DOCUMENT })
    {
        Err(problem) => (String::new(), None, None, vec![*problem]),
        Ok(decoded) => {
            let found = on_large_stack(&decoded.text, is_json(origin), Some(origin));
            (found.whole.unwrap_or(decoded.text), found.plan, found.meta, found.diagnostics)
        }
    };
    if let Origin::File(path) = origin {
        let file = path.display().to_string();
        for found in &mut diagnostics {
            found.file.get_or_insert_with(|| file.clone());
        }
    }
    diagnostics.sort_by(|a, b| {
        (a.line, a.column, a.severity, &a.code, &a.message).cmp(&(b.line, b.column, b.severity, &b.code, &b.message))
    });
    diagnostics.dedup();
    let script = plan.zip(meta.clone()).map(|(plan, meta)| facts(&plan, meta, text));
    Checked { script, meta, diagnostics, hash, size_bytes }
}

/// The plan of a text that was checked before.
///
/// # Errors
/// The first finding, when it no longer compiles.
pub fn plan(text: &str) -> Result<Plan, String> {
    let found = on_large_stack(text, false, None);
    found.plan.ok_or_else(|| {
        let first = found.diagnostics.iter().min_by_key(|d| d.severity);
        first.map_or_else(
            || "the document cannot be read".to_owned(),
            |d| format!("{}:{} {}", d.line, d.column, d.message),
        )
    })
}

fn is_json(origin: &Origin) -> bool {
    matches!(origin, Origin::File(path) if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")))
}

/// What one look at a text found.
#[derive(Default)]
struct Findings {
    plan: Option<Plan>,
    meta: Option<Meta>,
    diagnostics: Vec<Diagnostic>,
    /// The text with what it includes, when it includes something.
    whole: Option<String>,
}

fn on_large_stack(text: &str, json: bool, origin: Option<&Origin>) -> Findings {
    let broken = || {
        let mut report = Report::new(text);
        report.error(At { line: 1, column: 1 }, "parser_failed", "the document could not be read");
        Findings { diagnostics: report.found, ..Findings::default() }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("owf-document".to_owned()).stack_size(STACK);
        match thread.spawn_scoped(scope, || parse(text, json, origin)) {
            Ok(handle) => handle.join().unwrap_or_else(|_| broken()),
            Err(_) => broken(),
        }
    })
}

/// Reads a text; `origin` is where what it includes is looked for, none when the text is whole.
fn parse(text: &str, json: bool, origin: Option<&Origin>) -> Findings {
    let (own, parts) = split(text);
    let mut report = Report::new(text);
    let stopped = |report: Report<'_>| Findings { diagnostics: placed(report.found, &parts), ..Findings::default() };
    let Some(root) = tree(own, json, 0, &mut report) else { return stopped(report) };
    let meta = meta(&root);
    if let (Some(origin), true, Some(_)) = (origin, parts.is_empty(), root.entry("include")) {
        return match gather(text, &root, origin) {
            Ok(whole) => {
                let found = parse(&whole, json, None);
                Findings { whole: Some(whole), ..found }
            }
            Err((at, message)) => {
                report.error(at, "include", message);
                Findings { meta, ..stopped(report) }
            }
        };
    }
    let mut roots = vec![(None, root)];
    for part in &parts {
        if let Some(root) = tree(&part.text, false, part.lines_before, &mut report) {
            only_tasks(&root, &mut report);
            roots.push((Some(part.prefix.clone()), root));
        }
    }
    let mut sources = Vec::new();
    for (prefix, root) in &roots {
        let document = shape::check(root, &mut report).map(serde_json::from_value::<Document>);
        match document {
            Some(Ok(document)) => sources.push(Source { prefix: prefix.clone(), document, root }),
            Some(Err(error)) => report.error(root.at, "wrong_value", error.to_string()),
            None => {}
        }
    }
    let complete = sources.len() == roots.len() && roots.len() == parts.len() + 1;
    let plan = if complete { compile(&sources, &mut report) } else { None };
    let plan = plan.filter(|_| !report.failed());
    Findings { plan, meta, diagnostics: placed(report.found, &parts), whole: None }
}

/// The tree of a text that stands behind `lines` others.
fn tree(text: &str, json: bool, lines: u32, report: &mut Report<'_>) -> Option<Node> {
    let mut root = match read(text.as_bytes(), json) {
        Ok(root) => root,
        Err(problem) => {
            let at = At { line: problem.at.line + lines, ..problem.at };
            report.error(at, "syntax", problem.message);
            return None;
        }
    };
    root.move_down(lines);
    if root.depth() > MAX_DEPTH {
        report.error(root.at, "too_deep", format!("nested deeper than {MAX_DEPTH} levels"));
        return None;
    }
    Some(root)
}

/// An included document gives agents and tasks; all else is said by the one that includes it.
fn only_tasks(root: &Node, report: &mut Report<'_>) {
    const GIVES: [&str; 7] = ["$schema", "name", "description", "version", "metadata", "agents", "tasks"];
    for (at, key, _) in root.entries() {
        if !GIVES.contains(&key.as_str()) {
            let message =
                format!("an included document gives agents and tasks; `{key}` belongs to the one that includes it");
            report.error(*at, "include", message);
        }
    }
}

/// The findings with the file and line of the document each is in.
fn placed(mut found: Vec<Diagnostic>, parts: &[Part]) -> Vec<Diagnostic> {
    for diagnostic in &mut found {
        if let Some(part) = parts.iter().rev().find(|p| diagnostic.line > p.lines_before) {
            diagnostic.line -= part.lines_before;
            diagnostic.file = Some(part.path.clone());
        }
    }
    found
}

/// What a document says about itself, also when something else is wrong with it.
fn meta(root: &Node) -> Option<Meta> {
    let text = |key: &str| root.entry(key).and_then(|(_, node)| node.to_value().as_str().map(str::to_owned));
    let name = text("name").filter(|name| !name.is_empty())?;
    Some(Meta { name, description: text("description").unwrap_or_default(), when_to_use: None, phases: Vec::new() })
}

/// What is known of a document before it runs, in the form every workflow has.
fn facts(plan: &Plan, meta: Meta, text: String) -> Script {
    let mut script = Script {
        kind: WorkflowKind::Document,
        meta,
        body: text,
        sites: Vec::new(),
        fan_outs: Vec::new(),
        args_read: Vec::new(),
        providers_named: Vec::new(),
        models_named: Vec::new(),
        agent_types_named: Vec::new(),
        workflows_named: Vec::new(),
        asks: None,
        policies: plan.policies.clone(),
    };
    // A child or a tool may ask whoever it likes.
    let named = plan.tasks.iter().all(|task| match &task.kind {
        Kind::Agent { ask, .. } => ask.provider.is_some(),
        Kind::Workflow { .. } | Kind::Tool { .. } => false,
        Kind::Command(_) | Kind::Expr { .. } | Kind::Approval => true,
    });
    let declared = plan.inputs.as_ref().and_then(|s| s.get("properties")).and_then(Value::as_object);
    // Those with a default need not be given.
    let asked = declared.into_iter().flatten().filter(|(_, schema)| schema.get("default").is_none());
    script.args_read.extend(asked.map(|(name, _)| name.clone()));
    for (name, _) in &plan.needed {
        note(&mut script.args_read, name.clone());
    }
    for task in &plan.tasks {
        let mut in_fan_out = None;
        if task.for_each.is_some() || task.until.is_some() {
            in_fan_out = Some(script.fan_outs.len());
            let kind = if task.for_each.is_some() { FanOutKind::Callback } else { FanOutKind::Loop };
            let size = if task.for_each.as_ref().is_some_and(|t| t.refs().iter().all(|r| r.root == "input")) {
                FanOutSize::Args
            } else {
                FanOutSize::Open
            };
            let over = task.id.clone();
            script.fan_outs.push(FanOut { line: task.at.line, column: task.at.column, kind, over, size, parent: None });
        }
        match &task.kind {
            Kind::Agent { ask, .. } => {
                let (line, column) = (task.at.line, task.at.column);
                script.sites.push(AgentSite {
                    line,
                    column,
                    end_line: line,
                    end_column: column + task.id.chars().count() as u32,
                    label: Some(task.id.clone()),
                    phase: None,
                    schema: ask.schema.is_some(),
                    in_fan_out,
                });
                ask.provider.iter().for_each(|p| note(&mut script.providers_named, p.clone()));
                ask.model.iter().for_each(|m| note(&mut script.models_named, m.clone()));
                ask.agent_type.iter().for_each(|t| note(&mut script.agent_types_named, t.clone()));
            }
            Kind::Workflow { target, .. } => {
                let target: &WorkflowTarget = target;
                note(&mut script.workflows_named, target.clone());
            }
            Kind::Command(_) | Kind::Tool { .. } | Kind::Expr { .. } | Kind::Approval => {}
        }
    }
    script.asks = named.then(|| script.providers_named.clone());
    script
}

fn note<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
