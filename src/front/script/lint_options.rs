//! Lints about the options of agent calls: typing errors in names, schemas whose root is no object.

use oxc_ast::AstKind;
use oxc_ast::ast::{Expression, ObjectExpression, ObjectPropertyKind};
use oxc_span::GetSpan;

use crate::front::script::diagnostic::{Diagnostic, Severity};
use crate::front::script::facts::option;
use crate::front::script::meta::text;
use crate::front::script::nearest::nearest;
use crate::front::script::sandbox::EFFORTS;
use crate::front::script::tree::{Hook, Tree};

/// Options of the dialect and ours.
const OPTIONS: &[&str] = &[
    "label",
    "phase",
    "schema",
    "model",
    "effort",
    "isolation",
    "agentType",
    "disallowedTools",
    "bashCommandClamp",
    "sharedHeadLength",
    "provider",
    "timeoutMs",
    "retry",
    "cache",
    "cacheNamespace",
    "readScope",
    "writeScope",
    "system",
    "messages",
    "tools",
    "mode",
    "metadata",
    "onLost",
];

/// Words that are used for an option elsewhere.
const ALIASES: &[(&str, &str)] = &[
    ("timeout", "timeoutMs"),
    ("retries", "retry"),
    ("systemPrompt", "system"),
    ("history", "messages"),
    ("allowedTools", "tools"),
    ("subagentType", "agentType"),
    ("subagent_type", "agentType"),
    ("outputSchema", "schema"),
    ("output_schema", "schema"),
    ("reasoningEffort", "effort"),
];

/// Options of the fan-outs under `owf`.
const FAN_OUT_OPTIONS: &[&str] = &["concurrency", "failFast", "stopOnError"];

/// Looks at the options of every call.
pub(super) fn check(tree: &Tree<'_, '_>, out: &mut Vec<Diagnostic>) {
    for node in tree.nodes().iter() {
        let AstKind::CallExpression(call) = node.kind() else { continue };
        match tree.hook(call) {
            Some(Hook::Agent) => {
                let Some(options) = tree.object_argument(call, 1) else { continue };
                typing_errors(tree, options, OPTIONS, ALIASES, out);
                values(tree, options, out);
                if let Some(schema) = option(tree, options, "schema") {
                    out.extend(schema_root(tree, schema));
                }
            }
            Some(Hook::Parallel | Hook::Pipeline) if call.arguments.len() > 1 => {
                if let Some(options) = tree.object_argument(call, call.arguments.len() - 1) {
                    typing_errors(tree, options, FAN_OUT_OPTIONS, &[], out);
                }
            }
            Some(Hook::Parallel | Hook::Pipeline | Hook::Workflow | Hook::Other) | None => {}
        }
    }
}

fn typing_errors(
    tree: &Tree<'_, '_>,
    options: &ObjectExpression<'_>,
    known: &[&'static str],
    aliases: &[(&'static str, &'static str)],
    out: &mut Vec<Diagnostic>,
) {
    let names: Vec<_> = options.properties.iter().filter_map(ObjectPropertyKind::as_property).collect();
    for property in names.iter().filter(|p| !p.computed) {
        let Some(name) = property.key.static_name() else { continue };
        if known.contains(&&*name) {
            continue;
        }
        let alias = aliases.iter().find(|(alias, _)| *alias == name).map(|(_, meant)| *meant);
        let Some(meant) = alias.or_else(|| nearest(&name, known.iter().copied(), 2).first().copied()) else { continue };
        // Both written: the other one is meant for somebody else.
        if names.iter().any(|p| p.key.is_specific_static_name(meant)) {
            continue;
        }
        let message = format!("the option `{name}` is ignored: nothing knows it");
        let hint = format!("did you mean `{meant}`?");
        out.push(tree.diagnostic(Severity::Warning, "unknown_option", property.key.span(), message, hint));
    }
}

/// Values of options that cannot mean anything: the dialect ignores some, and the call throws for others.
fn values<'a>(tree: &Tree<'_, 'a>, options: &'a ObjectExpression<'a>, out: &mut Vec<Diagnostic>) {
    let mut warn = |value: &Expression<'_>, message: String, hint: &str| {
        out.push(tree.diagnostic(Severity::Warning, "option_value", value.span(), message, hint));
    };
    if let Some(value) = option(tree, options, "isolation")
        && let Some(word) = text(value)
    {
        match word.as_str() {
            "worktree" => {}
            "remote" => warn(
                value,
                "the isolation \"remote\" does not exist here: a TypeError when it runs".to_owned(),
                "write `isolation: 'worktree'`",
            ),
            _ => warn(
                value,
                format!("the isolation \"{word}\" is ignored: the agent works in the workspace itself"),
                "the only isolation there is: `isolation: 'worktree'`",
            ),
        }
    }
    if let Some(value) = option(tree, options, "effort")
        && let Some(word) = text(value)
        && !EFFORTS.contains(&word.as_str())
    {
        warn(value, format!("the effort \"{word}\" is ignored"), "there are low, medium, high, xhigh and max");
    }
    if let Some(value) = option(tree, options, "timeoutMs") {
        let wrong = match value {
            Expression::NumericLiteral(number) => number.value <= 0.0,
            Expression::UnaryExpression(_) => false,
            _ => text(value).is_some(),
        };
        if wrong {
            let message = "`timeoutMs` must be a positive number of milliseconds: a TypeError when it runs";
            warn(value, message.to_owned(), "write `timeoutMs: 60_000`");
        }
    }
}

/// The root of a schema must say `type: 'object'`.
fn schema_root(tree: &Tree<'_, '_>, schema: &Expression<'_>) -> Option<Diagnostic> {
    let message = "the root of a schema must say `type: 'object'`: this call throws when it runs";
    let wrap = "put the answer into a property: `{ type: 'object', properties: { items: ... }, required: ['items'] }`";
    let found = |hint: &str| Some(tree.diagnostic(Severity::Warning, "schema_root", schema.span(), message, hint));
    match schema {
        Expression::ObjectExpression(object) => {
            let spread = object.properties.iter().any(|p| matches!(p, ObjectPropertyKind::SpreadProperty(_)));
            match crate::front::script::meta::get(object, "type") {
                None if spread => None,
                None => found("add `type: 'object'`"),
                Some(value) => match (text(value), value) {
                    (Some(word), _) if word == "object" => None,
                    (Some(_), _) | (None, Expression::ArrayExpression(_)) => found(wrap),
                    (None, _) => None,
                },
            }
        }
        Expression::ArrayExpression(_) | Expression::StringLiteral(_) | Expression::BooleanLiteral(_) => found(wrap),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::script::lint_calls::OWF;
    use crate::front::script::lint_globals::HOOKS;

    const DECLARATIONS: &str = include_str!("../../../skill/owf/owf.d.ts");

    #[test]
    fn the_declaration_file_declares_what_the_lints_know() {
        for hook in HOOKS {
            let forms = ["function", "const", "class", "namespace"].map(|form| format!("declare {form} {hook}"));
            assert!(forms.iter().any(|form| DECLARATIONS.contains(form)), "{hook}");
        }
        let namespace = DECLARATIONS.split_once("declare namespace owf {").map(|parts| parts.1).unwrap_or_default();
        for member in OWF.iter().filter(|member| **member != "tool") {
            let forms = ["function", "const"].map(|form| format!("  {form} {member}"));
            assert!(forms.iter().any(|form| namespace.contains(form)), "{member}");
        }
        let options = DECLARATIONS.split_once("interface AgentOptions {").and_then(|parts| parts.1.split_once("\n}\n"));
        let lines = options.map(|parts| parts.0.lines()).into_iter().flatten();
        let declared: Vec<&str> = lines.filter_map(|line| Some(line.trim().split_once("?: ")?.0)).collect();
        // These two are in no published text.
        let known = OPTIONS.iter().copied().filter(|o| !matches!(*o, "bashCommandClamp" | "sharedHeadLength"));
        assert_eq!(declared, known.collect::<Vec<_>>());
    }

    #[test]
    fn the_declaration_file_is_typescript() {
        let allocator = oxc_allocator::Allocator::default();
        let parsed = oxc_parser::Parser::new(&allocator, DECLARATIONS, oxc_span::SourceType::d_ts()).parse();
        assert_eq!(parsed.diagnostics.into_vec(), []);
    }
}
