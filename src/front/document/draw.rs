//! Drawings of a document: Mermaid, dot and JSON, byte for byte the same for the same document and states.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::plan::{END, Kind, Plan, Target, Task};

/// A drawing as data: what is drawn, before a format is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// The name of the workflow.
    pub name: String,
    /// The nodes, in the order of the document.
    pub nodes: Vec<Node>,
    /// The edges, by source, then target.
    pub edges: Vec<Edge>,
}

/// One node of a drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// agent, command, tool, expr, workflow, approval, end; of a script's run any kind of call.
    pub kind: String,
    /// What it is for.
    pub description: Option<String>,
    /// The agent that is asked.
    pub agent: Option<String>,
    /// Whether a person is asked before it.
    pub approval: bool,
    /// Whether it is done for every item of a list, or repeated.
    pub repeats: Option<&'static str>,
    /// How it ended, in a drawing of a run.
    pub status: Option<String>,
}

/// One edge of a drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// after, next, route, guard.
    pub kind: &'static str,
    /// The key of a route.
    pub key: Option<String>,
}

impl Node {
    /// A node of this id and kind.
    pub fn new(id: impl Into<String>, kind: &str) -> Self {
        let (id, kind) = (id.into(), kind.to_owned());
        Self { id, kind, description: None, agent: None, approval: false, repeats: None, status: None }
    }
}

impl Drawing {
    /// The drawing of a document; `states` says how tasks ended, for a run of it.
    pub fn of(plan: &Plan, states: &BTreeMap<String, String>) -> Self {
        let mut nodes: Vec<Node> = plan.tasks.iter().map(|task| node(task, states.get(&task.id).cloned())).collect();
        let mut edges = Vec::new();
        let id = |task: usize| plan.tasks[task].id.clone();
        let mut ends = false;
        for (index, task) in plan.tasks.iter().enumerate() {
            let from = || task.id.clone();
            edges.extend(task.dependents.iter().map(|to| Edge { from: from(), to: id(*to), kind: "after", key: None }));
            edges.extend(task.next.map(|to| Edge { from: from(), to: id(to), kind: "next", key: None }));
            for (key, target) in task.routes.iter().flat_map(|r| &r.targets) {
                ends |= *target == Target::End;
                let to = target.task().map_or_else(|| END.to_owned(), id);
                edges.push(Edge { from: from(), to, kind: "route", key: Some(key.clone()) });
            }
            if let Some(guard) = plan.tasks[index].guard {
                edges.push(Edge { from: from(), to: id(guard.retry), kind: "guard", key: None });
            }
        }
        if ends {
            nodes.push(Node::new(END, "end"));
        }
        Self { name: plan.name.clone(), nodes, edges }
    }

    fn place(&self, id: &str) -> usize {
        self.nodes.iter().position(|n| n.id == id).unwrap_or(usize::MAX)
    }

    /// As a Mermaid flow chart.
    pub fn mermaid(&self) -> String {
        let places: BTreeMap<&str, usize> = self.nodes.iter().enumerate().map(|(i, n)| (n.id.as_str(), i)).collect();
        let mut out = String::from("flowchart TD\n");
        for (index, node) in self.nodes.iter().enumerate() {
            let text = escaped(&caption(node));
            let (open, close) = match (node.kind.as_str(), node.approval) {
                ("end", _) => ("([\"", "\"])"),
                ("approval", _) | (_, true) => ("{{\"", "\"}}"),
                ("workflow", _) => ("[[\"", "\"]]"),
                ("expr", _) => ("(\"", "\")"),
                _ => ("[\"", "\"]"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  n{index}{open}{text}{close}");
        }
        for edge in &self.edges {
            let (from, to) = (places.get(edge.from.as_str()), places.get(edge.to.as_str()));
            let (Some(from), Some(to)) = (from, to) else { continue };
            let arrow = match (edge.kind, &edge.key) {
                ("route", Some(key)) => format!("-- \"{}\" -->", escaped(key)),
                ("guard", _) => "-. \"again\" .->".to_owned(),
                _ => "-->".to_owned(),
            };
            let _ = writeln!(out, "  n{from} {arrow} n{to}");
        }
        let mut by_status: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(status) = &node.status {
                by_status.entry(class(status)).or_default().push(format!("n{index}"));
            }
        }
        for (class, style) in [
            ("done", "fill:#d7f5dd,stroke:#2da44e"),
            ("failed", "fill:#ffd9d9,stroke:#cf222e"),
            ("skipped", "fill:#eeeeee,stroke:#999999,stroke-dasharray:4"),
            ("waiting", "fill:#fff5cc,stroke:#bf8700"),
        ] {
            if let Some(nodes) = by_status.get(class) {
                let _ = writeln!(out, "  classDef {class} {style}\n  class {} {class}", nodes.join(","));
            }
        }
        out
    }

    /// As a dot graph.
    pub fn dot(&self) -> String {
        let mut out = format!("digraph {} {{\n  rankdir=TB;\n", quoted(&self.name));
        for (index, node) in self.nodes.iter().enumerate() {
            let shape = match (node.kind.as_str(), node.approval) {
                ("end", _) => "doublecircle",
                ("approval", _) | (_, true) => "hexagon",
                ("workflow", _) => "box3d",
                ("expr", _) => "ellipse",
                _ => "box",
            };
            let _ = writeln!(out, "  n{index} [label={}, shape={shape}];", quoted(&caption(node)));
        }
        for edge in &self.edges {
            let (from, to) = (self.place(&edge.from), self.place(&edge.to));
            let label = match (edge.kind, &edge.key) {
                ("route", Some(key)) => format!(" [label={}]", quoted(key)),
                ("guard", _) => " [label=\"again\", style=dashed]".to_owned(),
                _ => String::new(),
            };
            let _ = writeln!(out, "  n{from} -> n{to}{label};");
        }
        out.push_str("}\n");
        out
    }
}

fn node(task: &Task, status: Option<String>) -> Node {
    let agent = match &task.kind {
        Kind::Agent { agent, .. } => agent.clone(),
        Kind::Command(_) | Kind::Tool { .. } | Kind::Expr { .. } | Kind::Workflow { .. } | Kind::Approval => None,
    };
    let repeats = match (&task.for_each, &task.until) {
        (Some(_), _) => Some("for_each"),
        (None, Some(_)) => Some("until"),
        (None, None) => None,
    };
    Node {
        description: task.description.clone(),
        agent,
        approval: task.approval.is_some(),
        repeats,
        status,
        ..Node::new(task.id.clone(), task.kind.word())
    }
}

fn caption(node: &Node) -> String {
    let mut out = node.id.clone();
    if node.kind != "end" {
        let agent = node.agent.as_ref().map(|agent| format!(" {agent}")).unwrap_or_default();
        let _ = write!(out, "\n{}{agent}", node.kind);
    }
    if node.approval && node.kind != "approval" {
        out.push_str(", approval");
    }
    if let Some(word) = node.repeats {
        let _ = write!(out, ", {word}");
    }
    if let Some(text) = &node.description {
        let short: String = text.chars().take(60).collect();
        let _ = write!(out, "\n{short}");
    }
    if let Some(status) = &node.status {
        let _ = write!(out, "\n{status}");
    }
    out
}

/// The look of a status.
fn class(status: &str) -> &'static str {
    match status {
        "done" => "done",
        "skipped" | "cancelled" => "skipped",
        "running" | "waiting" | "requested" => "waiting",
        _ => "failed",
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '\n' => out.push_str("<br/>"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}
