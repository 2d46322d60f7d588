//! Which properties of `args` a script reads by name, also through constants that hold args.

use std::collections::HashSet;

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, AssignmentOperator, AssignmentTarget, AssignmentTargetProperty, BindingPattern, CallExpression,
    Expression, ObjectPattern, ObjectPropertyKind,
};
use oxc_semantic::{NodeId, SymbolId};
use oxc_span::GetSpan;

use crate::front::script::tree::Tree;

/// Methods of arrays and strings: `args.map(…)` reads no property of the caller's.
const METHODS: &[&str] = &[
    "at",
    "concat",
    "endsWith",
    "entries",
    "every",
    "filter",
    "find",
    "findIndex",
    "flat",
    "flatMap",
    "forEach",
    "hasOwnProperty",
    "includes",
    "indexOf",
    "join",
    "keys",
    "map",
    "match",
    "pop",
    "push",
    "reduce",
    "replace",
    "replaceAll",
    "shift",
    "slice",
    "some",
    "sort",
    "splice",
    "split",
    "startsWith",
    "substring",
    "toLowerCase",
    "toString",
    "toUpperCase",
    "trim",
    "values",
];

/// How far values are followed.
const MAX_DEPTH: u32 = 20;

/// The properties, in source order, each once.
pub(super) fn collect(tree: &Tree<'_, '_>) -> Vec<String> {
    let holders = tree.args_holders.get_or_init(|| holders(tree));
    let mut found: Vec<(u32, String)> = Vec::new();
    for node in tree.nodes().iter() {
        match node.kind() {
            AstKind::StaticMemberExpression(member) if is_args(tree, &member.object, holders, 0) => {
                let name = member.property.name.as_str();
                let called = matches!(tree.nodes().parent_kind(node.id()), AstKind::CallExpression(call)
                    if call.callee.span() == member.span);
                if name != "length" && !is_written(tree, node.id()) && !(called && METHODS.contains(&name)) {
                    found.push((member.property.span.start, name.to_owned()));
                }
            }
            AstKind::ComputedMemberExpression(member) if is_args(tree, &member.object, holders, 0) => {
                if let Expression::StringLiteral(key) = &member.expression {
                    found.push((key.span.start, key.value.to_string()));
                }
            }
            AstKind::VariableDeclarator(declarator) => {
                if let (BindingPattern::ObjectPattern(pattern), Some(init)) = (&declarator.id, &declarator.init)
                    && is_args(tree, init, holders, 0)
                {
                    destructured(pattern, &mut found);
                }
            }
            AstKind::AssignmentExpression(assignment) if is_args(tree, &assignment.right, holders, 0) => {
                if let AssignmentTarget::ObjectAssignmentTarget(target) = &assignment.left {
                    for property in &target.properties {
                        let (at, name) = match property {
                            AssignmentTargetProperty::AssignmentTargetPropertyIdentifier(p) => {
                                (p.span.start, Some(p.binding.name.to_string()))
                            }
                            AssignmentTargetProperty::AssignmentTargetPropertyProperty(p) => {
                                (p.span.start, p.name.static_name().filter(|_| !p.computed).map(|n| n.to_string()))
                            }
                        };
                        found.extend(name.map(|name| (at, name)));
                    }
                }
            }
            AstKind::BinaryExpression(binary) if binary.operator == oxc_ast::ast::BinaryOperator::In => {
                if let Expression::StringLiteral(key) = &binary.left
                    && is_args(tree, &binary.right, holders, 0)
                {
                    found.push((key.span.start, key.value.to_string()));
                }
            }
            _ => {}
        }
    }
    found.sort();
    let mut seen = HashSet::new();
    found.into_iter().map(|(_, name)| name).filter(|name| seen.insert(name.clone())).collect()
}

/// Whether a member is only assigned to.
fn is_written(tree: &Tree<'_, '_>, member: NodeId) -> bool {
    let span = tree.nodes().kind(member).span();
    match tree.nodes().parent_kind(member) {
        AstKind::AssignmentExpression(assignment) => {
            assignment.operator == AssignmentOperator::Assign && assignment.left.span() == span
        }
        AstKind::AssignmentTargetPropertyProperty(_) | AstKind::ArrayAssignmentTarget(_) => true,
        AstKind::AssignmentTargetWithDefault(target) => target.binding.span() == span,
        _ => false,
    }
}

fn destructured(pattern: &ObjectPattern<'_>, found: &mut Vec<(u32, String)>) {
    let names = pattern.properties.iter().filter(|p| !p.computed);
    found.extend(names.filter_map(|p| Some((p.span.start, p.key.static_name()?.to_string()))));
}

/// Whether a value comes from args: args itself, a part of it, or a constant that was taken from it.
pub(super) fn is_of_args<'a>(tree: &Tree<'_, 'a>, value: &'a Expression<'a>) -> bool {
    let holders = tree.args_holders.get_or_init(|| holders(tree));
    let mut value = value.get_inner_expression();
    for _ in 0..MAX_DEPTH {
        if is_args(tree, value, holders, 0) {
            return true;
        }
        value = match value {
            Expression::StaticMemberExpression(member) => member.object.get_inner_expression(),
            Expression::ComputedMemberExpression(member) => member.object.get_inner_expression(),
            Expression::LogicalExpression(logical) => logical.left.get_inner_expression(),
            Expression::CallExpression(call) => call.callee.get_inner_expression(),
            Expression::ChainExpression(chain) => match chain.expression.member_expression() {
                Some(member) => member.object().get_inner_expression(),
                None => return false,
            },
            Expression::Identifier(id) => {
                let Some(symbol) = tree.symbol(id) else { return false };
                match tree.nodes().kind(tree.scoping().symbol_declaration(symbol)) {
                    AstKind::VariableDeclarator(declarator) => match &declarator.init {
                        // `const files = args.files`, `const { files } = args`.
                        Some(init) => init.get_inner_expression(),
                        None => return false,
                    },
                    _ => return false,
                }
            }
            _ => return false,
        };
    }
    false
}

/// The variables that hold args.
fn holders(tree: &Tree<'_, '_>) -> HashSet<SymbolId> {
    let mut holders = HashSet::new();
    // A second pass finds what was taken from a variable declared further down.
    for _ in 0..2 {
        for node in tree.nodes().iter() {
            match node.kind() {
                AstKind::VariableDeclarator(declarator) => {
                    if let (BindingPattern::BindingIdentifier(id), Some(init)) = (&declarator.id, &declarator.init)
                        && is_args(tree, init, &holders, 0)
                    {
                        holders.extend(id.symbol_id.get());
                    }
                }
                AstKind::AssignmentExpression(assignment) => {
                    if let AssignmentTarget::AssignmentTargetIdentifier(id) = &assignment.left
                        && is_args(tree, &assignment.right, &holders, 0)
                    {
                        holders.extend(tree.symbol(id));
                    }
                }
                _ => {}
            }
        }
    }
    holders
}

/// Whether a value may be args itself.
fn is_args(tree: &Tree<'_, '_>, value: &Expression<'_>, holders: &HashSet<SymbolId>, depth: u32) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    let is = |value: &Expression<'_>| is_args(tree, value, holders, depth + 1);
    match value.get_inner_expression() {
        Expression::Identifier(id) => match tree.symbol(id) {
            None => id.name == "args",
            Some(symbol) => holders.contains(&symbol),
        },
        Expression::LogicalExpression(logical) => is(&logical.left) || is(&logical.right),
        Expression::ConditionalExpression(choice) => is(&choice.consequent) || is(&choice.alternate),
        Expression::ObjectExpression(object) => object.properties.iter().any(|property| match property {
            ObjectPropertyKind::SpreadProperty(spread) => is(&spread.argument),
            ObjectPropertyKind::ObjectProperty(_) => false,
        }),
        Expression::CallExpression(call) => {
            is_copy(tree, call) && { call.arguments.iter().filter_map(Argument::as_expression).any(is) }
        }
        _ => false,
    }
}

/// `JSON.parse(args)` and `Object.assign({}, args)`.
fn is_copy(tree: &Tree<'_, '_>, call: &CallExpression<'_>) -> bool {
    match call.callee.get_inner_expression() {
        Expression::StaticMemberExpression(member) => match member.property.name.as_str() {
            "parse" => tree.is_global(&member.object, "JSON"),
            "assign" | "freeze" => tree.is_global(&member.object, "Object"),
            _ => false,
        },
        _ => false,
    }
}
