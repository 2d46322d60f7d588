//! From a document whose form is right to a plan: every reference is followed, every template compiled, every rule checked.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::graph;
use super::inputs::inputs;
use super::names::{Place, check_refs, check_result};
use super::plan::{Approval, END, Guard, Kind, Outputs, Plan, Routes, Target, Task};
use super::report::Report;
use super::schemas::{check_schema, validator};
use super::template::{Template, has_marks};
use super::tries;
use super::types::{self, Agent, ApprovalForm, Condition, Document, ListForm, MessagesForm, OneOrMany};
use crate::core::call::{ApprovalAsk, Retry, Site};
use crate::core::located::{At, Data, Node};
use crate::front::script::close;

/// A document among those that become one plan; the first is the one that runs.
pub(super) struct Source<'n> {
    /// What stands before the ids of an included one.
    pub(super) prefix: Option<String>,
    pub(super) document: Document,
    pub(super) root: &'n Node,
}

/// A task as written, with its node.
pub(super) struct Written<'n> {
    pub(super) id: String,
    /// Which document it is of.
    source: usize,
    prefix: Option<String>,
    pub(super) at: At,
    pub(super) node: &'n Node,
    task: types::Task,
}

/// The agents of a document.
pub(super) type Agents = HashMap<String, Agent>;

/// Compiles; whatever is wrong is reported.
pub(super) fn compile(sources: &[Source<'_>], report: &mut Report<'_>) -> Option<Plan> {
    let (first, included) = sources.split_first()?;
    let (document, root) = (&first.document, first.root);
    let agents: Vec<Agents> = sources.iter().map(|s| agents(&s.document)).collect();
    for source in sources {
        no_templates(source.root, report);
    }
    let written = written(sources, report);
    let none = document.tasks.is_none() && document.steps.is_none();
    let both = document.tasks.is_some() && document.steps.is_some();
    if both || (none && included.is_empty()) {
        let message = match document.tasks {
            Some(_) => "a document has `tasks` or `steps`, not both",
            None => "a document needs `tasks` (by id) or `steps` (a list)",
        };
        report.error(root.at, "no_tasks", message);
        return None;
    }
    if written.is_empty() && !report.failed() {
        report.error(
            root.entry("tasks").or(root.entry("steps")).map_or(root.at, |(at, _)| at),
            "no_tasks",
            "there is no task",
        );
    }
    let by_id: HashMap<String, usize> = written.iter().enumerate().map(|(i, w)| (w.id.clone(), i)).collect();
    let is_steps = document.steps.is_some();
    let mut plan = Plan {
        name: document.name.clone(),
        mode: document.mode.clone(),
        inputs: inputs(document, root, report),
        needed: Vec::new(),
        state: document.state.as_ref().map(|s| s.initial.clone()).unwrap_or_default(),
        state_schema: document.state.as_ref().and_then(|s| s.schema.clone()).map(Value::Object),
        on_failure: document.on_failure.or(document.defaults.on_failure).unwrap_or_default(),
        concurrency: document.concurrency,
        policies: document.into(),
        tasks: Vec::with_capacity(written.len()),
        by_id,
        result: None,
        is_steps,
    };
    if let Some(schema) = &plan.state_schema {
        check_schema(schema, root.follow(["state", "schema"]), "the schema of the state", report);
        if let Ok(validator) = validator(schema)
            && let Some(error) = validator.iter_errors(&Value::Object(plan.state.clone())).next()
        {
            report.error(
                root.follow(["state", "initial"]).0,
                "bad_state",
                format!("the initial state breaks its schema: {error}"),
            );
        }
    }
    tries::defaults(&document.defaults, root, report);
    let mut route_places = Vec::new();
    for (index, one) in written.iter().enumerate() {
        let mut builder = Builder { document, agents: &agents, plan: &plan, one, report };
        let (task, places) = builder.task(index, written.len());
        route_places.push(places);
        plan.tasks.push(task);
    }
    for name in plan.tasks.iter().flat_map(|task| &task.cleanup) {
        if !plan.policies.cleanups.contains(name) {
            plan.policies.cleanups.push(name.clone());
        }
    }
    if report.failed() && plan.tasks.len() != written.len() {
        return None;
    }
    graph::reverse(&mut plan);
    if !graph::cycles(&plan, report) {
        graph::routes(&mut plan, &route_places, report);
        graph::unreachable(&plan, report);
    }
    guards(&plan, &written, report);
    visits(&plan, &written, report);
    let mut guarded = vec![false; plan.tasks.len()];
    plan.tasks.iter().filter_map(|t| t.guard).for_each(|g| guarded[g.retry] = true);
    for (index, one) in written.iter().enumerate() {
        references(&mut plan, index, guarded[index], one, report);
    }
    if let (Some(result), Some((_, node))) = (&document.result, root.entry("result")) {
        match Template::value(result) {
            Ok(template) => {
                check_result(&mut plan, &template, node, report);
                plan.result = Some(template);
            }
            Err(errors) => errors.into_iter().for_each(|e| report.error(node.at, "template", e)),
        }
    }
    (!report.failed()).then_some(plan)
}

fn agents(document: &Document) -> Agents {
    let parse = |(name, value): (&String, &Value)| Some((name.clone(), serde_json::from_value(value.clone()).ok()?));
    document.agents.iter().filter_map(parse).collect()
}

/// Warns of templates in the texts of agents, which are said as they stand: an agent is the same for all its tasks.
fn no_templates(root: &Node, report: &mut Report<'_>) {
    let agents = root.entry("agents").map_or(&[][..], |(_, agents)| agents.entries());
    for (_, name, agent) in agents {
        for (at, key, value) in agent.entries() {
            if let Data::Text(text) = &value.data
                && has_marks(text)
            {
                let message = format!(
                    "`{key}` of the agent `{name}` is used as it stands, braces and all: templates belong to the texts of tasks, such as `prompt`"
                );
                report.warning(*at, "no_template", message);
            }
        }
    }
}

fn written<'n>(sources: &[Source<'n>], report: &mut Report<'_>) -> Vec<Written<'n>> {
    let mut out: Vec<Written<'n>> = Vec::new();
    let mut seen: HashMap<String, u32> = HashMap::new();
    for (number, source) in sources.iter().enumerate() {
        write(number, source, &mut out, &mut seen, report);
    }
    out
}

fn write<'n>(
    number: usize,
    source: &Source<'n>,
    out: &mut Vec<Written<'n>>,
    seen: &mut HashMap<String, u32>,
    report: &mut Report<'_>,
) {
    let (document, root) = (&source.document, source.root);
    let mut push = |id: String, at: At, node: &'n Node, value: &Value, report: &mut Report<'_>| {
        if !is_id(&id) {
            let message = format!("`{id}` is no id: letters, digits and underscores, not beginning with a digit");
            return report.error(at, "bad_id", message);
        }
        if id == END {
            return report.error(at, "bad_id", "`END` ends a document; no task can have this id");
        }
        let id = source.prefix.as_ref().map_or_else(|| id.clone(), |prefix| format!("{prefix}_{id}"));
        if let Some(line) = seen.insert(id.clone(), at.line) {
            return report.error(at, "duplicate_id", format!("the id `{id}` is there already, in line {line}"));
        }
        match serde_json::from_value::<types::Task>(value.clone()) {
            Ok(task) => out.push(Written { id, source: number, prefix: source.prefix.clone(), at, node, task }),
            Err(error) => report.error(at, "wrong_value", error.to_string()),
        }
    };
    if let (Some(tasks), Some((_, node))) = (&document.tasks, root.entry("tasks")) {
        for (at, id, task) in node.entries() {
            if let Some(value) = tasks.get(id) {
                if let Some((at, _)) = task.entry("id") {
                    report.error(at, "unknown_field", "under `tasks` the id is the key; `id` belongs to `steps`");
                }
                push(id.clone(), *at, task, value, report);
            }
        }
    }
    if let (Some(steps), Some((_, node))) = (&document.steps, root.entry("steps")) {
        for (value, step) in steps.iter().zip(node.items()) {
            match value.get("id").and_then(Value::as_str) {
                Some(id) => push(id.to_owned(), step.entry("id").map_or(step.at, |(at, _)| at), step, value, report),
                None => report.error(step.at, "missing_field", "a step needs an `id`"),
            }
        }
    }
}

/// Whether a text can be the id of a task.
pub(super) fn is_id(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn guards(plan: &Plan, written: &[Written<'_>], report: &mut Report<'_>) {
    for (index, task) in plan.tasks.iter().enumerate() {
        if let Some(guard) = task.guard
            && !plan.is_before(guard.retry, index)
        {
            let at = written[index].node.follow(["guard", "retry_task"]).0;
            let message = format!(
                "`{}` does not come before `{}`, so it cannot be run again",
                plan.tasks[guard.retry].id, task.id
            );
            report.error(at, "bad_guard", message);
        }
    }
}

/// Warns of tasks that may be visited again, to which nothing leads back.
fn visits(plan: &Plan, written: &[Written<'_>], report: &mut Report<'_>) {
    for (index, task) in plan.tasks.iter().enumerate().filter(|(_, task)| task.max_visits > 1) {
        let leads_back = |(from, other): (usize, &Task)| {
            let mut targets = other.routes.iter().flat_map(|routes| &routes.targets);
            other.guard.is_some_and(|guard| guard.retry == index)
                || targets.any(|(_, to)| to.task() == Some(index) && plan.goes_back(from, index))
        };
        if !plan.tasks.iter().enumerate().any(leads_back) {
            let at = written[index].node.entry("max_visits").map_or(task.at, |(at, _)| at);
            report.warning(
                at,
                "no_way_back",
                format!("nothing leads back to `{}`: `max_visits` has no effect", task.id),
            );
        }
    }
}

/// Checks what the templates of a task speak of.
fn references(plan: &mut Plan, index: usize, guarded: bool, one: &Written<'_>, report: &mut Report<'_>) {
    let task = plan.tasks[index].clone();
    let node = |path: &[&str]| one.node.follow(path.iter().copied()).1;
    let loops = task.until.is_some() || task.max_visits > 1 || guarded || task.outcome.is_some();
    let before = Place { task: index, item: false, looped: loops, output: false };
    let inside = Place { item: task.for_each.is_some(), ..before };
    let behind = Place { output: true, ..before };
    let mut check = |template: &Template, place: Place, node: &Node| check_refs(plan, template, place, node, report);
    if let Some(when) = &task.when {
        check(when, before, node(&["when"]));
    }
    if let Some(approval) = &task.approval {
        check(&approval.message, before, node(&["approval"]));
        if let Some(metadata) = &approval.metadata {
            check(metadata, before, node(&["approval", "metadata"]));
        }
    }
    if let Some(list) = &task.for_each {
        check(list, before, node(&["for_each"]));
    }
    match &task.kind {
        Kind::Agent { prompt, .. } => check(prompt, inside, node(&["prompt"])),
        Kind::Command(command) => {
            for template in command.argv.iter().chain(&command.cwd).chain(&command.input) {
                check(template, inside, node(&["run"]));
            }
        }
        Kind::Expr { value, .. } => check(value, inside, node(&["expr"])),
        Kind::Tool { args: Some(args), .. } | Kind::Workflow { args: Some(args), .. } => {
            check(args, inside, node(&["args"]));
        }
        Kind::Tool { args: None, .. } | Kind::Workflow { args: None, .. } | Kind::Approval => {}
    }
    for template in task.outputs.iter().flat_map(Outputs::templates) {
        check(template, inside, node(&["outputs"]));
    }
    if let Some(key) = &task.idempotency_key {
        check(key, inside, node(&["idempotency_key"]));
    }
    if let Some(messages) = &task.messages {
        check(messages, inside, node(&["messages"]));
    }
    if let Some(outcome) = &task.outcome {
        check(outcome, behind, node(&["outcome"]));
    }
    if let Some(until) = &task.until {
        check(until, behind, node(&["until"]));
    }
    for (key, template) in &task.set {
        check(template, behind, node(&["set", key]));
    }
    if let Some(key) = task.routes.as_ref().and_then(|r| r.key.as_ref()) {
        check(key, behind, node(&["route"]));
    }
    same_key(&task, one, report);
}

/// A key that is the same for everything a task does.
fn same_key(task: &Task, one: &Written<'_>, report: &mut Report<'_>) {
    let Some(key) = &task.idempotency_key else { return };
    let speaks_of = |name: &str| key.refs().iter().any(|found| found.root == name);
    let message = if task.for_each.is_some() && !speaks_of("item") {
        "all items have the same key, so only one is done for them all: name `item` in it"
    } else if task.until.is_some() && !speaks_of("loop") {
        "every repetition has the same key, so all get what the first one gave: name `loop.iteration` in it"
    } else {
        return;
    };
    report.warning(one.node.entry("idempotency_key").map_or(one.at, |(at, _)| at), "same_key", message);
}

/// Builds one task.
pub(super) struct Builder<'b, 'n, 'r, 's> {
    document: &'b Document,
    agents: &'b [Agents],
    plan: &'b Plan,
    pub(super) one: &'b Written<'n>,
    pub(super) report: &'r mut Report<'s>,
}

impl Builder<'_, '_, '_, '_> {
    pub(super) fn at(&self, key: &str) -> At {
        self.one.node.entry(key).map_or(self.one.at, |(at, _)| at)
    }

    pub(super) fn known_agents(&self) -> impl Iterator<Item = &Agents> {
        self.agents.get(self.one.source).into_iter().chain(self.agents.first())
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.plan.find(self.one.prefix.as_deref(), name)
    }

    pub(super) fn error(&mut self, key: &str, code: &str, message: impl Into<String>) {
        let at = self.at(key);
        self.report.error(at, code, message);
    }

    pub(super) fn compiled(&mut self, key: &str, made: Result<Template, Vec<String>>) -> Template {
        match made {
            Ok(template) => template,
            Err(errors) => {
                let at = self.one.node.entry(key).map_or(self.one.at, |(_, value)| value.at);
                for error in errors {
                    self.report.error(at, "template", error);
                }
                Template::plain(Value::Null)
            }
        }
    }

    fn task(&mut self, index: usize, count: usize) -> (Task, Vec<At>) {
        let written = self.one.task.clone();
        let kind = self.kind(&written);
        self.misplaced(&written, &kind);
        let after = self.after(&written, index);
        let routes = self.routes(&written);
        let (routes, places) = routes.map_or((None, Vec::new()), |(routes, places)| (Some(routes), places));
        let falls_through = self.plan.is_steps && routes.is_none() && index + 1 < count;
        let previous = index.checked_sub(1).filter(|_| self.plan.is_steps);
        let gates = previous.filter(|p| self.plan.tasks.get(*p).is_some_and(|t| t.next == Some(index)));
        let condition = |c: &Condition| match c {
            Condition::Fixed(flag) => Ok(Template::plain(Value::Bool(*flag))),
            Condition::Expression(text) => Template::expression(text),
        };
        let when = written.when.as_ref().map(|c| self.compiled("when", condition(c)));
        let until = written.until.as_ref().map(|c| self.compiled("until", condition(c)));
        let for_each = written.for_each.as_ref().map(|list| match list {
            ListForm::Expression(text) => self.compiled("for_each", Template::expression(text)),
            ListForm::List(items) => self.compiled("for_each", Template::value(&Value::Array(items.clone()))),
        });
        let set =
            written.set.iter().flatten().map(|(k, v)| (k.clone(), self.compiled("set", Template::value(v)))).collect();
        let outcome = written.outcome.as_ref().map(|text| self.compiled("outcome", Template::expression(text)));
        let messages = written.messages.as_ref().map(|messages| match messages {
            MessagesForm::Expression(text) => self.compiled("messages", Template::expression(text)),
            MessagesForm::List(list) => {
                let list = serde_json::to_value(list).unwrap_or_default();
                self.compiled("messages", Template::value(&list))
            }
        });
        let approval = written.approval.as_ref().map(|form| self.approval(form));
        let guard = written.guard.as_ref().and_then(|guard| self.guard(guard));
        let is_agent = matches!(kind, Kind::Agent { .. });
        let is_work = is_agent || matches!(kind, Kind::Command(_) | Kind::Tool { .. });
        let site = Site { line: self.one.at.line, column: self.one.at.column };
        let task = Task {
            id: self.one.id.clone(),
            prefix: self.one.prefix.clone(),
            description: written.description.clone(),
            at: self.one.at,
            site,
            kind,
            after,
            gates: gates.into_iter().collect(),
            dependents: Vec::new(),
            leads_to: Vec::new(),
            next: falls_through.then_some(index + 1),
            when,
            skip_dependents: written.skip_dependents,
            approval,
            for_each,
            until,
            max_iterations: written.max_iterations.unwrap_or(1),
            routes,
            max_visits: written.max_visits.unwrap_or(1),
            set,
            guard,
            outcome,
            cleanup: written.cleanup.as_ref().map(OneOrMany::list).unwrap_or_default(),
            messages,
            allow_failure: written.allow_failure,
            retry: written.retry.as_ref().or(self.document.defaults.retry.as_ref().filter(|_| is_agent)).map(retry),
            timeout_ms: written.timeout.or(self.document.defaults.timeout.filter(|_| is_work)).map(|t| t.ms.max(1)),
            cache: written.cache.or(self.document.defaults.cache.filter(|_| is_agent)),
            idempotency_key: written
                .idempotency_key
                .as_ref()
                .map(|text| self.compiled("idempotency_key", Template::text(text))),
            metadata: written.metadata.clone(),
            outputs: self.outputs(&written),
        };
        (task, places)
    }

    fn after(&mut self, written: &types::Task, index: usize) -> Vec<usize> {
        let Some(names) = written.after.as_ref().map(OneOrMany::list) else { return Vec::new() };
        if self.plan.is_steps {
            self.error("after", "misplaced", "a step comes after the one before it; use `tasks` for another order");
            return Vec::new();
        }
        let mut out = Vec::new();
        for (number, name) in names.iter().enumerate() {
            let value = self.one.node.entry("after").map(|(_, value)| value);
            let at = value.map_or(self.one.at, |v| match &v.data {
                Data::List(items) => items.get(number).map_or(v.at, |i| i.at),
                _ => v.at,
            });
            match self.find(name) {
                Some(found) if found == index => {
                    self.report.error(at, "self_dependency", format!("`{name}` cannot come after itself"));
                }
                Some(found) if out.contains(&found) => {}
                Some(found) => out.push(found),
                None => {
                    let message = unknown_task(self.plan, name);
                    self.report.error(at, "unknown_task", message);
                }
            }
        }
        out
    }

    fn routes(&mut self, written: &types::Task) -> Option<(Routes, Vec<At>)> {
        let routes: &Map<String, Value> = written.routes.as_ref()?;
        let node = self.one.node.entry("routes").map(|(_, node)| node);
        let key = written.route.as_ref().map(|text| self.compiled("route", Template::expression(text)));
        let (mut targets, mut places) = (Vec::new(), Vec::new());
        for (key, value) in routes {
            let name = value.as_str().unwrap_or_default();
            let at = node.and_then(|n| n.entry(key)).map_or(self.one.at, |(at, _)| at);
            places.push(at);
            if name == END {
                targets.push((key.clone(), Target::End));
            } else if let Some(found) = self.find(name) {
                targets.push((key.clone(), Target::Task(found)));
            } else {
                targets.push((key.clone(), Target::End));
                let message = format!("route `{key}`: {}", unknown_task(self.plan, name));
                self.report.error(at, "unknown_task", message);
            }
        }
        Some((Routes { key, targets }, places))
    }

    fn approval(&mut self, form: &ApprovalForm) -> Approval {
        let (message, metadata, rest) = match form {
            ApprovalForm::Message(message) => (message.clone(), None, None),
            ApprovalForm::Full(full) => (full.message.clone(), full.metadata.clone(), Some(full)),
        };
        let template = self.compiled("approval", Template::text(&message));
        let metadata = metadata.map(|value| self.compiled("approval", Template::value(&value)));
        let ask = ApprovalAsk {
            message: String::new(),
            metadata: None,
            decider: rest.and_then(|r| r.decider).unwrap_or_default(),
            expires_in_ms: rest.and_then(|r| r.timeout).map(|t| t.ms.max(1)),
            on_timeout: rest.and_then(|r| r.on_timeout).unwrap_or_default(),
        };
        Approval { message: template, metadata, ask }
    }

    fn guard(&mut self, guard: &types::Guard) -> Option<Guard> {
        match self.find(&guard.retry_task) {
            Some(retry) => {
                Some(Guard { retry, max_attempts: guard.max_attempts.unwrap_or(2), stagnation: guard.stagnation })
            }
            None => {
                let message = unknown_task(self.plan, &guard.retry_task);
                self.error("guard", "unknown_task", message);
                None
            }
        }
    }
}

fn retry(retry: &types::Retry) -> Retry {
    Retry {
        max_attempts: retry.max_attempts,
        delay_ms: retry.delay.map_or(0, |d| d.ms),
        backoff: retry.backoff.unwrap_or(1.0),
        on: retry.on.as_ref().map(|classes| classes.iter().map(|c| c.as_str().to_owned()).collect()),
        max_delay_ms: retry.max_delay.map(|d| d.ms),
        jitter: retry.jitter == Some(types::Jitter::Full),
    }
}

/// What to say of a task that is not there.
pub(super) fn unknown_task(plan: &Plan, name: &str) -> String {
    match close(name, plan.by_id.keys().map(String::as_str)) {
        Some(near) => format!("there is no task `{name}`; did you mean `{near}`?"),
        None => format!("there is no task `{name}`"),
    }
}
