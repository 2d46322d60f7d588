//! Lints about calls of the hooks: functions expected and not given, answers nobody waits for, dropped nulls.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, ArrayExpressionElement, CallExpression, Expression};
use oxc_span::{GetSpan, Span};

use crate::front::script::diagnostic::{Diagnostic, Severity};
use crate::front::script::nearest::nearest;
use crate::front::script::tree::{Hook, Tree};

/// Members of `owf`.
pub(super) const OWF: &[&str] =
    &["agent", "parallel", "pipeline", "approve", "tool", "state", "sleep", "budget", "log"];

/// Methods of `console`.
const CONSOLE: &[&str] = &["log", "info", "debug", "error", "warn"];

/// How far values are followed.
const MAX_DEPTH: u32 = 20;

/// Looks at every call.
pub(super) fn check(tree: &Tree<'_, '_>, out: &mut Vec<Diagnostic>) {
    let mut dropped: Option<Span> = None;
    for node in tree.nodes().iter() {
        match node.kind() {
            AstKind::CallExpression(call) => {
                match tree.hook(call) {
                    Some(Hook::Parallel) => parallel(tree, call, out),
                    Some(Hook::Pipeline) => pipeline(tree, call, out),
                    Some(Hook::Agent) if call.arguments.is_empty() => {
                        let message = "this agent has no prompt: it is asked \"undefined\"";
                        let hint = "write `agent('what to do')`";
                        out.push(tree.diagnostic(Severity::Warning, "no_prompt", call.span, message, hint));
                    }
                    Some(Hook::Agent | Hook::Workflow | Hook::Other) | None => {}
                }
                if let Some(span) = drops_nulls(tree, call)
                    && dropped.is_none_or(|known| span.start < known.start)
                {
                    dropped = Some(span);
                }
            }
            AstKind::ExpressionStatement(statement) => out.extend(unawaited(tree, &statement.expression)),
            AstKind::StaticMemberExpression(member) => {
                let name = member.property.name.as_str();
                if tree.is_global(&member.object, "console") && !CONSOLE.contains(&name) {
                    let message = format!("`console.{name}` does not exist in a script");
                    let hint = "there are log, info, debug, warn and error";
                    out.push(tree.diagnostic(Severity::Warning, "console_method", member.span, message, hint));
                }
                if tree.is_global(&member.object, "owf") && !OWF.contains(&name) {
                    let message = format!("`owf.{name}` does not exist");
                    let near = nearest(name, OWF.iter().copied(), 2);
                    let hint = near.first().map(|n| format!("did you mean `owf.{n}`?")).unwrap_or_default();
                    out.push(tree.diagnostic(Severity::Warning, "owf_member", member.span, message, hint));
                }
            }
            _ => {}
        }
    }
    if let Some(span) = dropped {
        let message = "`.filter(Boolean)` drops failed calls; they will be listed as gaps of the run";
        out.push(tree.diagnostic(Severity::Note, "nulls_dropped", span, message, ""));
    }
}

/// `parallel` wants one array of functions.
fn parallel<'a>(tree: &Tree<'_, 'a>, call: &'a CallExpression<'a>, out: &mut Vec<Diagnostic>) {
    let Some(first) = call.arguments.first().and_then(Argument::as_expression) else { return };
    let list = tree.resolved(first);
    match list {
        Expression::ArrayExpression(array) => {
            let elements = array.elements.iter().filter_map(ArrayExpressionElement::as_expression);
            for element in elements.filter(|e| is_started(tree, e)) {
                let text = tree.source(element, 40);
                let message = "`parallel` takes functions; this call has already started: a TypeError when it runs";
                let hint = format!("write `() => {text}`");
                out.push(tree.diagnostic(Severity::Warning, "not_thunks", element.span(), message, hint));
            }
        }
        Expression::CallExpression(inner) => {
            if let Some(Hook::Agent) = tree.hook(inner) {
                not_an_array(tree, list.span(), out);
            } else if let Some(span) = mapped_to_promises(tree, inner) {
                let message = "`parallel` takes functions; this callback gives promises: a TypeError when it runs";
                let hint = "return a function from it: `x => () => agent(...)`";
                out.push(tree.diagnostic(Severity::Warning, "not_thunks", span, message, hint));
            }
        }
        Expression::ArrowFunctionExpression(_)
        | Expression::FunctionExpression(_)
        | Expression::ObjectExpression(_)
        | Expression::StringLiteral(_) => not_an_array(tree, first.span(), out),
        _ => {}
    }
}

fn not_an_array(tree: &Tree<'_, '_>, span: Span, out: &mut Vec<Diagnostic>) {
    let message = "`parallel` takes one array of functions: a TypeError when it runs";
    let hint = "write `parallel([() => agent(...), () => agent(...)])`";
    out.push(tree.diagnostic(Severity::Warning, "not_an_array", span, message, hint));
}

/// Whether an expression has called a hook already.
fn is_started(tree: &Tree<'_, '_>, expression: &Expression<'_>) -> bool {
    match expression.get_inner_expression() {
        Expression::CallExpression(call) => tree.hook(call).is_some(),
        Expression::AwaitExpression(await_) => is_started(tree, &await_.argument),
        _ => false,
    }
}

/// `items.map(x => agent(x))` and `items.map(async x => ...)`: the callback, when it gives promises.
fn mapped_to_promises(tree: &Tree<'_, '_>, call: &CallExpression<'_>) -> Option<Span> {
    match call.callee.get_inner_expression() {
        Expression::StaticMemberExpression(member) if member.property.name == "map" => {}
        _ => return None,
    }
    match call.arguments.first().and_then(Argument::as_expression)?.get_inner_expression() {
        Expression::ArrowFunctionExpression(arrow) => {
            let promise = arrow.r#async || arrow.get_expression().is_some_and(|body| is_started(tree, body));
            promise.then_some(arrow.span)
        }
        Expression::FunctionExpression(function) => function.r#async.then_some(function.span),
        _ => None,
    }
}

/// `pipeline` wants an array, then functions.
fn pipeline<'a>(tree: &Tree<'_, 'a>, call: &'a CallExpression<'a>, out: &mut Vec<Diagnostic>) {
    for stage in call.arguments.iter().skip(1).filter_map(Argument::as_expression) {
        let wrong = match tree.resolved(stage) {
            Expression::ArrayExpression(_) => Some("an array"),
            inner if is_started(tree, inner) => Some("a call that has already started"),
            _ => None,
        };
        if let Some(what) = wrong {
            let message = format!("a stage of `pipeline` must be a function, this is {what}: a TypeError when it runs");
            let hint = "write `pipeline(items, x => agent(...), y => agent(...))`";
            out.push(tree.diagnostic(Severity::Warning, "stage_not_function", stage.span(), message, hint));
        }
    }
}

/// A call as a statement of its own.
fn unawaited(tree: &Tree<'_, '_>, expression: &Expression<'_>) -> Option<Diagnostic> {
    let Expression::CallExpression(call) = expression.get_inner_expression() else { return None };
    let what = match tree.hook(call)? {
        Hook::Agent => "agent",
        Hook::Parallel | Hook::Pipeline => "fan-out",
        Hook::Workflow => "workflow",
        Hook::Other => "call",
    };
    let message = format!("nobody waits for this {what}: what still runs when the script returns is cancelled");
    Some(tree.diagnostic(Severity::Note, "unawaited", call.span, message, "write `await` before it"))
}

/// `.filter(Boolean)` or `.filter(x => x)` on what a fan-out gave: from the dot to the end.
fn drops_nulls<'a>(tree: &Tree<'_, 'a>, call: &'a CallExpression<'a>) -> Option<Span> {
    let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { return None };
    let [argument] = &call.arguments[..] else { return None };
    let truthy = match argument.as_expression()? {
        Expression::ArrowFunctionExpression(arrow) => match (arrow.get_expression(), &arrow.params.items[..]) {
            (Some(Expression::Identifier(body)), [parameter]) => {
                parameter.pattern.get_identifier_name().is_some_and(|name| name == body.name)
            }
            _ => false,
        },
        other => tree.is_global(other, "Boolean"),
    };
    let fits = truthy && member.property.name == "filter" && is_answers(tree, &member.object, 0);
    fits.then(|| Span::new(member.property.span.start.saturating_sub(1), call.span.end))
}

/// Whether a list is made of answers.
fn is_answers<'a>(tree: &Tree<'_, 'a>, list: &'a Expression<'a>, depth: u32) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match list.get_inner_expression() {
        Expression::AwaitExpression(await_) => is_answers(tree, &await_.argument, depth + 1),
        Expression::CallExpression(call) => match tree.hook(call) {
            Some(Hook::Parallel | Hook::Pipeline) => true,
            Some(Hook::Agent | Hook::Workflow | Hook::Other) => false,
            None => match call.callee.get_inner_expression() {
                Expression::StaticMemberExpression(member) => is_answers(tree, &member.object, depth + 1),
                _ => false,
            },
        },
        inner @ Expression::Identifier(_) => {
            let value = tree.resolved(inner);
            !matches!(value, Expression::Identifier(_)) && is_answers(tree, value, depth + 1)
        }
        _ => false,
    }
}
