//! What can be read off a script without running it: agent sites, and what agent calls name literally.

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, BinaryOperator, CallExpression, Expression, ObjectExpression, ObjectPropertyKind, TemplateLiteral,
};
use oxc_semantic::NodeId;

use crate::core::call::WorkflowTarget;
use crate::front::script::args_read;
use crate::front::script::fan_out::FanOuts;
use crate::front::script::meta::{get, text};
use crate::front::script::plan::{AgentSite, FanOut};
use crate::front::script::tree::{Hook, Tree};

/// The greatest length of a label pattern, in characters.
const MAX_LABEL: usize = 80;

/// The most names of one kind that are listed.
const MAX_NAMES: usize = 100;

/// Everything that was read off.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) sites: Vec<AgentSite>,
    pub(super) fan_outs: Vec<FanOut>,
    pub(super) args_read: Vec<String>,
    pub(super) providers_named: Vec<String>,
    pub(super) models_named: Vec<String>,
    pub(super) agent_types_named: Vec<String>,
    pub(super) workflows_named: Vec<WorkflowTarget>,
}

/// Reads a script.
pub(super) fn collect(tree: &Tree<'_, '_>) -> Facts {
    let mut facts = Facts { args_read: args_read::collect(tree), ..Facts::default() };
    let mut calls: Vec<(NodeId, &CallExpression<'_>, Hook)> = Vec::new();
    for node in tree.nodes().iter() {
        if let AstKind::CallExpression(call) = node.kind()
            && let Some(hook) = tree.hook(call)
        {
            calls.push((node.id(), call, hook));
        }
    }
    calls.sort_by_key(|(_, call, _)| (call.span.start, std::cmp::Reverse(call.span.end)));
    let agents: Vec<NodeId> = calls.iter().filter(|c| c.2 == Hook::Agent).map(|c| c.0).collect();
    let fan_outs = FanOuts::around(tree, &agents);
    for (node, call, hook) in calls {
        match hook {
            Hook::Agent => facts.agent(tree, call, fan_outs.index_of(node)),
            Hook::Workflow => facts.workflow(tree, call),
            Hook::Parallel | Hook::Pipeline | Hook::Other => {}
        }
    }
    facts.fan_outs = fan_outs.list;
    facts
}

impl Facts {
    fn agent<'a>(&mut self, tree: &Tree<'_, 'a>, call: &'a CallExpression<'a>, in_fan_out: Option<usize>) {
        let (line, column) = tree.lines.position(call.span.start);
        let (end_line, end_column) = tree.lines.position(call.span.end);
        let options = tree.object_argument(call, 1);
        let option = |key| options.and_then(|o| option(tree, o, key));
        let literal = |key| option(key).and_then(text);
        note(&mut self.providers_named, literal("provider"));
        note(&mut self.models_named, literal("model"));
        note(&mut self.agent_types_named, literal("agentType"));
        let schema = option("schema").is_some_and(|value| !value.is_null_or_undefined());
        let label = option("label").and_then(pattern);
        let phase = literal("phase");
        self.sites.push(AgentSite { line, column, end_line, end_column, label, phase, schema, in_fan_out });
    }

    fn workflow<'a>(&mut self, tree: &Tree<'_, 'a>, call: &'a CallExpression<'a>) {
        let Some(target) = call.arguments.first().and_then(Argument::as_expression) else { return };
        let target = tree.resolved(target);
        let named = match target {
            Expression::ObjectExpression(object) => get(object, "scriptPath").and_then(text).map(WorkflowTarget::Path),
            other => text(other).map(WorkflowTarget::Name),
        };
        note(&mut self.workflows_named, named);
    }
}

/// The value of an option, also of a constant object spread into the options.
pub(super) fn option<'a>(
    tree: &Tree<'_, 'a>,
    object: &'a ObjectExpression<'a>,
    key: &str,
) -> Option<&'a Expression<'a>> {
    object.properties.iter().rev().find_map(|property| match property {
        ObjectPropertyKind::ObjectProperty(p) if !p.computed && p.key.is_specific_static_name(key) => {
            Some(tree.resolved(&p.value))
        }
        ObjectPropertyKind::ObjectProperty(_) => None,
        ObjectPropertyKind::SpreadProperty(spread) => match tree.resolved(&spread.argument) {
            // One level only: an object cannot hold itself, but constants may refer to each other in a circle.
            Expression::ObjectExpression(inner) => get(inner, key),
            _ => None,
        },
    })
}

fn note<T: PartialEq>(list: &mut Vec<T>, item: Option<T>) {
    if let Some(item) = item
        && list.len() < MAX_NAMES
        && !list.contains(&item)
    {
        list.push(item);
    }
}

/// A text with `*` for every part that is known only at run time; none when nothing of it is known.
fn pattern(value: &Expression<'_>) -> Option<String> {
    let mut out = String::new();
    write_pattern(value, &mut out, 0);
    let out: String = out.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_LABEL).collect();
    out.chars().any(|c| c != '*').then_some(out)
}

fn write_pattern(value: &Expression<'_>, out: &mut String, depth: u32) {
    match value.get_inner_expression() {
        Expression::StringLiteral(literal) => out.push_str(&literal.value),
        Expression::NumericLiteral(literal) => out.push_str(&literal.value.to_string()),
        Expression::TemplateLiteral(template) => write_template(template, out, depth),
        Expression::BinaryExpression(binary) if binary.operator == BinaryOperator::Addition && depth < 50 => {
            write_pattern(&binary.left, out, depth + 1);
            write_pattern(&binary.right, out, depth + 1);
        }
        _ => star(out),
    }
}

fn write_template(template: &TemplateLiteral<'_>, out: &mut String, depth: u32) {
    for (index, quasi) in template.quasis.iter().enumerate() {
        out.push_str(quasi.value.cooked.as_ref().map_or("", |text| text.as_str()));
        if let Some(hole) = template.expressions.get(index) {
            match hole {
                Expression::StringLiteral(_) | Expression::NumericLiteral(_) if depth < 50 => {
                    write_pattern(hole, out, depth + 1);
                }
                _ => star(out),
            }
        }
    }
}

fn star(out: &mut String) {
    if !out.ends_with('*') {
        out.push('*');
    }
}
