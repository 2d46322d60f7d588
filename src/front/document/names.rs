//! What templates speak of, checked before anything runs: tasks that come before, declared inputs, known names.

use serde_json::Value;

use super::compile::unknown_task;
use super::plan::{Outputs, Plan};
use super::refs::{PARTS, Ref, no_part};
use super::report::Report;
use super::template::Template;
use super::values::slug;
use crate::core::located::{Data, Node};
use crate::front::script::close;

/// The names a template may begin with.
const ROOTS: &[&str] = &["input", "tasks", "state", "run", "item", "loop", "output"];

/// What `run` holds.
const RUN: &[&str] = &["id", "mode", "workflow"];

/// What `loop` holds.
const LOOP: &[&str] = &["iteration", "previous", "feedback"];

/// Where a template stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// In which task.
    pub(super) task: usize,
    /// Whether there is an `item`.
    pub(super) item: bool,
    /// Whether there is a `loop`.
    pub(super) looped: bool,
    /// Whether the task's own result is there.
    pub(super) output: bool,
}

/// Reports every path of a task's template that leads nowhere.
pub(super) fn check_refs(plan: &mut Plan, template: &Template, place: Place, node: &Node, report: &mut Report<'_>) {
    let own = plan.tasks[place.task].id.clone();
    for found in template.refs() {
        let problem = match found.root.as_str() {
            "tasks" => task_ref(plan, found, place),
            "item" if !place.item => Some(("no_item", no_item(plan, place).to_owned())),
            "loop" if !place.looped => Some((
                "no_loop",
                "`loop` is there only in a task with `until` or `max_visits`, or one that a guard runs again"
                    .to_owned(),
            )),
            "loop" => one_of("loop", LOOP, found),
            "output" if !place.output => {
                Some(("no_output", "`output` is there only in `until`, `set`, `outcome` and `route`".to_owned()))
            }
            _ => common(plan, found, &own),
        };
        let here = ROOTS.iter().filter(|root| match **root {
            "item" => place.item,
            "loop" => place.looped,
            "output" => place.output,
            _ => true,
        });
        let hint = problem.as_ref().and_then(|(code, _)| hint(plan, code, found, here.copied().collect()));
        tell(problem, hint, found, node, report);
    }
}

/// Why there is no `item` in a place.
fn no_item(plan: &Plan, place: Place) -> &'static str {
    match plan.tasks[place.task].for_each {
        Some(_) => {
            "`item` is there only in what is done for each item; this is said once, of the whole task: to leave items out, filter the list of `for_each`"
        }
        None => "`item` is there only in a task with `for_each`",
    }
}

/// What to write instead of a path that leads nowhere.
fn hint(plan: &Plan, code: &str, found: &Ref, here: Vec<&str>) -> Option<String> {
    match code {
        "unknown_task" => Some(tasks_hint(plan)),
        "unknown_input" => {
            let properties = plan.inputs.as_ref()?.get("properties").and_then(Value::as_object);
            let names: Vec<&str> = properties.into_iter().flat_map(|p| p.keys()).map(String::as_str).collect();
            let name = found.path.first()?;
            Some(match names[..] {
                [] => format!("`inputs` is a JSON Schema: inputs: {{properties: {{{name}: {{type: string}}}}}}"),
                _ => format!("declared are {}", names.join(", ")),
            })
        }
        "unknown_name" if found.root.starts_with("secret") => {
            Some("a secret is in the environment of the program, $NAME; no text ever holds it".to_owned())
        }
        "unknown_name" if !ROOTS.contains(&found.root.as_str()) => {
            let quoted = if found.path.is_empty() { "; in an expression a text stands in quotes" } else { "" };
            Some(format!("names here: {}{quoted}", here.join(", ")))
        }
        _ => None,
    }
}

/// The tasks there are, as far as they fit on a line.
pub(super) fn tasks_hint(plan: &Plan) -> String {
    let ids: Vec<&str> = plan.tasks.iter().map(|task| task.id.as_str()).collect();
    let more = if ids.len() > 12 { ", ..." } else { "" };
    format!("tasks are {}{more}", ids[..ids.len().min(12)].join(", "))
}

/// Reports every path of the result that leads nowhere.
pub(super) fn check_result(plan: &mut Plan, template: &Template, node: &Node, report: &mut Report<'_>) {
    for found in template.refs() {
        let problem = match found.root.as_str() {
            "tasks" => found.path.first().and_then(|id| match plan.by_id.get(id) {
                None => Some(("unknown_task", unknown_task(plan, id))),
                Some(index) => part(plan, *index, found),
            }),
            "item" | "loop" | "output" => Some(("unknown_name", format!("`{}` is there only in a task", found.root))),
            _ => common(plan, found, "result"),
        };
        let here = ROOTS.iter().copied().filter(|root| !["item", "loop", "output"].contains(root)).collect();
        let hint = problem.as_ref().and_then(|(code, _)| hint(plan, code, found, here));
        tell(problem, hint, found, node, report);
    }
}

fn tell(
    problem: Option<(&'static str, String)>,
    hint: Option<String>,
    found: &Ref,
    node: &Node,
    report: &mut Report<'_>,
) {
    if let Some((code, message)) = problem {
        let lines = match &node.data {
            Data::Text(text) => text.matches('\n').count() + 1,
            _ => 40,
        };
        let needle: String = match found.path.first() {
            Some(first) => format!("{}.{first}", found.root),
            None => found.root.clone(),
        };
        report.maybe_hinted(report.seek(node.at, &needle, lines), code, message, hint);
    }
}

fn task_ref(plan: &Plan, found: &Ref, place: Place) -> Option<(&'static str, String)> {
    let id = found.path.first()?;
    let prefix = plan.tasks[place.task].prefix.as_deref();
    let Some(index) = plan.find(prefix, id) else { return Some(("unknown_task", unknown_task(plan, id))) };
    let own = &plan.tasks[place.task].id;
    if index == place.task {
        if place.output {
            return None;
        }
        return Some(("undeclared_dependency", format!("`{own}` has no result yet while it is being asked")));
    }
    if plan.is_before(index, place.task) {
        return part(plan, index, found);
    }
    let message = if plan.is_before(place.task, index) {
        format!("`{id}` comes after `{own}`, so it has no result yet")
    } else {
        format!("`{own}` does not come after `{id}`: add it to `after`")
    };
    Some(("undeclared_dependency", message))
}

/// A part of a task is one of those that all have, or the short name of a file that it makes.
fn part(plan: &Plan, index: usize, found: &Ref) -> Option<(&'static str, String)> {
    let (id, name) = (found.path.first()?, found.path.get(1).filter(|name| !PARTS.contains(&name.as_str()))?);
    let task = &plan.tasks[index];
    let fixed = match &task.outputs {
        Some(Outputs::Files(files)) => files.iter().map(Template::fixed).collect::<Option<Vec<_>>>(),
        Some(Outputs::Pattern(_) | Outputs::From(_)) => None,
        None if task.makes_files() => None,
        None => return Some(("unknown_part", no_part(id, name))),
    };
    // Names with templates in them, and files that are found later, are known only then.
    let slugs: Vec<String> = fixed?.iter().map(|file| slug(file)).collect();
    if slugs.contains(name) {
        return None;
    }
    let message = format!("{}, or a file of its outputs: {}", no_part(id, name), slugs.join(", "));
    Some(("unknown_part", message))
}

fn one_of(root: &str, known: &[&str], found: &Ref) -> Option<(&'static str, String)> {
    let first = found.path.first()?;
    (!known.contains(&first.as_str()))
        .then(|| ("unknown_name", format!("`{root}` has {}, no `{first}`", known.join(", "))))
}

fn common(plan: &mut Plan, found: &Ref, by: &str) -> Option<(&'static str, String)> {
    let first = found.path.first();
    match found.root.as_str() {
        "input" => {
            let name = first?;
            let Some(schema) = &plan.inputs else {
                if !found.optional && !plan.needed.iter().any(|(known, _)| known == name) {
                    plan.needed.push((name.clone(), by.to_owned()));
                }
                return None;
            };
            let properties = schema.get("properties").and_then(Value::as_object);
            let open = schema.get("additionalProperties").is_some_and(|a| *a != Value::Bool(false));
            let declared = properties.is_some_and(|p| p.contains_key(name));
            if declared || open {
                return None;
            }
            let known: Vec<&str> = properties.into_iter().flat_map(|p| p.keys()).map(String::as_str).collect();
            let meant = close(name, known.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            Some(("unknown_input", format!("`inputs` declares no `{name}`{}", meant.unwrap_or_default())))
        }
        "state" => {
            let name = first?;
            let written = plan.tasks.iter().any(|t| t.set.iter().any(|(key, _)| key == name));
            (!plan.state.contains_key(name) && !written && !found.optional)
                .then(|| ("unknown_state", format!("nothing writes `state.{name}`, and it is not in `state.initial`")))
        }
        "run" => one_of("run", RUN, found),
        "item" | "loop" | "output" => None,
        other => {
            let meant = close(other, ROOTS.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            Some(("unknown_name", format!("there is no `{other}` here{}", meant.unwrap_or_default())))
        }
    }
}
