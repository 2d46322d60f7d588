//! A document that can be run: its graph, with everything in it compiled.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::template::Template;
use super::types::{Document, OnFailure};
use crate::core::call::{ApprovalAsk, Ask, CachePolicy, Retry, Site, WorkflowTarget};
use crate::core::located::At;
use crate::front::script::Policies;

/// The word that ends a document from a route.
pub(super) const END: &str = "END";

/// A compiled document.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name.
    pub(super) name: String,
    /// How the run is meant.
    pub(super) mode: Option<String>,
    /// The schema of its args.
    pub(super) inputs: Option<Value>,
    /// Inputs that are used without a default and not declared, with the task that needs each.
    pub(super) needed: Vec<(String, String)>,
    /// What tasks share, at the beginning.
    pub(super) state: Map<String, Value>,
    /// The schema of the state.
    pub(super) state_schema: Option<Value>,
    /// What a failed task does to the others.
    pub(super) on_failure: OnFailure,
    /// Agent and workflow calls at once.
    pub(super) concurrency: Option<u32>,
    /// Hooks and event sinks it names, and its metadata.
    pub(super) policies: Policies,
    /// The tasks, in the order they are written.
    pub(super) tasks: Vec<Task>,
    /// Where a task stands, by id.
    pub(super) by_id: HashMap<String, usize>,
    /// What the run returns.
    pub(super) result: Option<Template>,
    /// Whether the tasks are steps.
    pub(super) is_steps: bool,
}

impl From<&Document> for Policies {
    fn from(document: &Document) -> Self {
        let (hooks, events) = (document.hooks.clone(), document.events.clone());
        Self { hooks, cleanups: Vec::new(), events, metadata: document.metadata.clone() }
    }
}

/// One task of a plan.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: String,
    /// What the names in its templates and fields have before them, in an included document.
    pub(super) prefix: Option<String>,
    pub(super) description: Option<String>,
    /// Where its id stands.
    pub(super) at: At,
    pub(super) site: Site,
    pub(super) kind: Kind,
    /// Tasks that must have ended.
    pub(super) after: Vec<usize>,
    /// Tasks one of which must lead here; empty = none needs to.
    pub(super) gates: Vec<usize>,
    /// Tasks that have this one in `after`.
    pub(super) dependents: Vec<usize>,
    /// Tasks that have this one in `gates`.
    pub(super) leads_to: Vec<usize>,
    /// The step that follows when no route says otherwise.
    pub(super) next: Option<usize>,
    pub(super) when: Option<Template>,
    pub(super) skip_dependents: bool,
    pub(super) approval: Option<Approval>,
    pub(super) for_each: Option<Template>,
    pub(super) until: Option<Template>,
    pub(super) max_iterations: u32,
    pub(super) routes: Option<Routes>,
    pub(super) max_visits: u32,
    pub(super) set: Vec<(String, Template)>,
    pub(super) guard: Option<Guard>,
    /// What it says about its own end.
    pub(super) outcome: Option<Template>,
    /// Cleanups by name.
    pub(super) cleanup: Vec<String>,
    /// What was said before its prompt.
    pub(super) messages: Option<Template>,
    pub(super) allow_failure: bool,
    pub(super) retry: Option<Retry>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) cache: Option<CachePolicy>,
    /// What makes it a task that is carried out once.
    pub(super) idempotency_key: Option<Template>,
    pub(super) metadata: Option<Value>,
    pub(super) outputs: Option<Outputs>,
}

impl Task {
    /// Whether it may leave files that nobody has named before.
    pub(super) fn makes_files(&self) -> bool {
        match &self.kind {
            Kind::Agent { ask, .. } => ask.isolation.is_some() || ask.write_scope.is_some(),
            Kind::Expr { .. } | Kind::Command(_) | Kind::Tool { .. } | Kind::Workflow { .. } | Kind::Approval => false,
        }
    }
}

/// What a task does.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Asks an agent. The request is complete but for its prompt.
    Agent { agent: Option<String>, ask: Box<Ask>, prompt: Template },
    /// Computes a value.
    Expr {
        /// As written, for the request.
        source: Value,
        value: Template,
    },
    /// Runs a program. The request is complete but for its words.
    Command(Box<Command>),
    /// Uses a tool.
    Tool { name: String, args: Option<Template> },
    /// Runs a child.
    Workflow { target: WorkflowTarget, args: Option<Template> },
    /// Asks a person; the decision is its value.
    Approval,
}

impl Kind {
    /// The word for it in drawings.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Agent { .. } => "agent",
            Self::Expr { .. } => "expr",
            Self::Command(_) => "command",
            Self::Tool { .. } => "tool",
            Self::Workflow { .. } => "workflow",
            Self::Approval => "approval",
        }
    }
}

/// A program to be run.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) argv: Vec<Template>,
    pub(super) cwd: Option<Template>,
    pub(super) input: Option<Template>,
    pub(super) read_only: bool,
    /// The rest of the request.
    pub(super) ask: Ask,
}

/// Files that a task makes.
#[derive(Debug, Clone)]
pub(super) enum Outputs {
    Files(Vec<Template>),
    Pattern(Template),
    From(String),
}

impl Outputs {
    /// The templates in it.
    pub(super) fn templates(&self) -> &[Template] {
        match self {
            Self::Files(files) => files,
            Self::Pattern(pattern) => std::slice::from_ref(pattern),
            Self::From(_) => &[],
        }
    }
}

/// A question before a task.
#[derive(Debug, Clone)]
pub(super) struct Approval {
    pub(super) message: Template,
    pub(super) metadata: Option<Template>,
    /// The rest of the question.
    pub(super) ask: ApprovalAsk,
}

/// Where a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The end of the document.
    End,
    /// A task.
    Task(usize),
}

impl Target {
    /// The task.
    pub(super) fn task(self) -> Option<usize> {
        match self {
            Self::End => None,
            Self::Task(task) => Some(task),
        }
    }
}

/// Where a task leads to.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    /// The key, when it is not the task's own text.
    pub(super) key: Option<Template>,
    /// Key to target.
    pub(super) targets: Vec<(String, Target)>,
}

impl Routes {
    /// The target of a key.
    pub(super) fn get(&self, key: &str) -> Option<Target> {
        self.targets.iter().find(|(name, _)| name == key).map(|(_, target)| *target)
    }
}

/// What a checking task does when it is not content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    pub(super) retry: usize,
    pub(super) max_attempts: u32,
    pub(super) stagnation: Option<u32>,
}

impl Plan {
    /// A plan of nothing.
    pub(super) fn empty() -> Self {
        Self {
            name: String::new(),
            mode: None,
            inputs: None,
            needed: Vec::new(),
            state: Map::new(),
            state_schema: None,
            on_failure: OnFailure::ContinueIndependent,
            concurrency: None,
            policies: Policies::default(),
            tasks: Vec::new(),
            by_id: HashMap::new(),
            result: None,
            is_steps: false,
        }
    }

    /// The task that a name means to one with this prefix.
    pub(super) fn find(&self, prefix: Option<&str>, name: &str) -> Option<usize> {
        match prefix {
            Some(prefix) => self.by_id.get(&format!("{prefix}_{name}")).copied(),
            None => self.by_id.get(name).copied(),
        }
    }

    /// Whether `to` lies before `from`, or is it: a route there goes back.
    pub(super) fn goes_back(&self, from: usize, to: usize) -> bool {
        from == to || self.is_before(to, from)
    }

    /// Whether `earlier` is among what `later` comes after, over any number of tasks.
    pub(super) fn is_before(&self, earlier: usize, later: usize) -> bool {
        if self.tasks[later].after.contains(&earlier) || self.tasks[later].gates.contains(&earlier) {
            return true;
        }
        let mut seen = vec![false; self.tasks.len()];
        let mut open = vec![later];
        while let Some(at) = open.pop() {
            for before in self.tasks[at].after.iter().chain(&self.tasks[at].gates) {
                if *before == earlier {
                    return true;
                }
                if !std::mem::replace(&mut seen[*before], true) {
                    open.push(*before);
                }
            }
        }
        false
    }

    /// The ids of the tasks that run programs.
    pub fn commands(&self) -> Vec<&str> {
        self.tasks.iter().filter(|t| matches!(t.kind, Kind::Command(_))).map(|t| t.id.as_str()).collect()
    }

    /// The ids of the tasks that use tools, each with the tool.
    pub fn tools(&self) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        for task in &self.tasks {
            if let Kind::Tool { name, .. } = &task.kind {
                found.push((task.id.as_str(), name.as_str()));
            }
        }
        found
    }

    /// How the run is meant.
    pub fn mode(&self) -> Option<&str> {
        self.mode.as_deref()
    }

    /// What its tasks ask of tools, as far as it is written out.
    pub fn tool_uses(&self) -> Vec<ToolUse<'_>> {
        let mut found = Vec::new();
        for task in &self.tasks {
            if let Kind::Tool { name, args } = &task.kind {
                let (args, open) = args.as_ref().map_or_else(|| (json!({}), Vec::new()), Template::written_out);
                found.push(ToolUse { task: &task.id, at: task.at, tool: name, args, open });
            }
        }
        found
    }

    /// The requests of its agents, each with the task.
    pub fn agents(&self) -> Vec<(&str, &Ask)> {
        let mut found = Vec::new();
        for task in &self.tasks {
            if let Kind::Agent { ask, .. } = &task.kind {
                found.push((task.id.as_str(), ask.as_ref()));
            }
        }
        found
    }

    /// The names of all secrets that its tasks are given.
    pub fn secrets(&self) -> Vec<&str> {
        let asks = self.tasks.iter().filter_map(|task| match &task.kind {
            Kind::Agent { ask, .. } => Some(ask.as_ref()),
            Kind::Command(command) => Some(&command.ask),
            Kind::Expr { .. } | Kind::Tool { .. } | Kind::Workflow { .. } | Kind::Approval => None,
        });
        asks.filter_map(|ask| ask.secrets.as_ref()).flatten().map(String::as_str).collect()
    }

    /// The tasks nothing comes after.
    pub(super) fn last(&self) -> Vec<usize> {
        (0..self.tasks.len())
            .filter(|i| self.tasks[*i].dependents.is_empty() && self.tasks[*i].leads_to.is_empty())
            .collect()
    }
}

/// A task that uses a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolUse<'p> {
    /// The task.
    pub task: &'p str,
    /// Where it stands.
    pub at: At,
    /// The tool.
    pub tool: &'p str,
    /// The arguments that are written out; null stands for what a template gives.
    pub args: Value,
    /// Where those stand in `args`: JSON pointers.
    pub open: Vec<String>,
}
