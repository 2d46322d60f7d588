//! The loops and fan-outs around agent calls: what they go over, and what decides how often.

use std::collections::HashMap;

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, ArrayExpressionElement, BinaryOperator, BindingPattern, CallExpression, Expression, ForStatement,
    ForStatementInit, FunctionType, ObjectExpression,
};
use oxc_semantic::{NodeId, SymbolId};
use oxc_span::{GetSpan, Span};

use crate::front::script::args_read::is_of_args;
use crate::front::script::meta::get;
use crate::front::script::plan::{FanOut, FanOutKind, FanOutSize};
use crate::front::script::tree::{Hook, Tree};

/// How many functions deep a call is followed to the place that repeats it.
const MAX_HOPS: u32 = 6;

/// How many uses of a function are looked at.
const MAX_USES: usize = 64;

/// The greatest length of [`FanOut::over`] in characters.
const MAX_OVER: usize = 60;

/// The fan-outs of a script, and which one each agent call stands in.
pub(super) struct FanOuts {
    pub(super) list: Vec<FanOut>,
    of: HashMap<NodeId, usize>,
}

/// Something that repeats, before it has an index.
struct Around<'a> {
    node: NodeId,
    span: Span,
    kind: FanOutKind,
    over: Option<&'a Expression<'a>>,
    size: Option<u32>,
}

impl FanOuts {
    /// Finds what repeats each of `agents`, which are in source order.
    pub(super) fn around(tree: &Tree<'_, '_>, agents: &[NodeId]) -> Self {
        let mut found: HashMap<NodeId, (FanOut, Option<NodeId>)> = HashMap::new();
        let mut innermost = HashMap::new();
        for agent in agents {
            let chain = chain(tree, *agent);
            if let Some(first) = chain.first() {
                innermost.insert(*agent, first.node);
            }
            for (index, around) in chain.iter().enumerate() {
                let parent = chain.get(index + 1).map(|next| next.node);
                found.entry(around.node).or_insert_with(|| (around.describe(tree), parent));
            }
        }
        let mut order: Vec<NodeId> = found.keys().copied().collect();
        order.sort_by_key(|node| {
            let fan_out = &found[node].0;
            (fan_out.line, fan_out.column, *node)
        });
        let index: HashMap<NodeId, usize> = order.iter().enumerate().map(|(i, node)| (*node, i)).collect();
        let list = order.iter().filter_map(|node| {
            let (fan_out, parent) = found.get(node)?;
            let parent = parent.and_then(|p| index.get(&p).copied());
            Some(FanOut { parent, ..fan_out.clone() })
        });
        let of = innermost.into_iter().filter_map(|(agent, node)| Some((agent, *index.get(&node)?))).collect();
        Self { list: list.collect(), of }
    }

    /// The innermost fan-out around an agent call.
    pub(super) fn index_of(&self, agent: NodeId) -> Option<usize> {
        self.of.get(&agent).copied()
    }
}

/// Everything that repeats a node, innermost first, through the functions it stands in.
fn chain<'a>(tree: &Tree<'_, 'a>, from: NodeId) -> Vec<Around<'a>> {
    let mut out: Vec<Around<'a>> = Vec::new();
    let mut seen: Vec<SymbolId> = Vec::new();
    let mut from = Some(from);
    let mut hops = 0;
    while let Some(node) = from.take() {
        let mut child = node;
        for parent in tree.nodes().ancestor_ids(node) {
            if let Some(around) = repeats(tree, parent, child)
                && !out.iter().any(|known| known.node == around.node)
            {
                out.push(around);
            }
            if let Some(symbol) = function_name(tree, parent)
                && !seen.contains(&symbol)
                && hops < MAX_HOPS
            {
                // Calls of a named function count where it is used; the first use that repeats wins.
                seen.push(symbol);
                hops += 1;
                let uses = tree.scoping().get_resolved_references(symbol).map(oxc_semantic::Reference::node_id);
                let uses: Vec<NodeId> = uses.take(MAX_USES).collect();
                from = uses.iter().copied().find(|u| repeated(tree, *u)).or(uses.first().copied());
                if from.is_some() {
                    break;
                }
            }
            child = parent;
        }
    }
    out
}

fn repeated(tree: &Tree<'_, '_>, node: NodeId) -> bool {
    let mut child = node;
    tree.nodes().ancestor_ids(node).any(|parent| {
        let found = repeats(tree, parent, child).is_some();
        child = parent;
        found
    })
}

/// The name of the function that a node is, when it has one.
fn function_name(tree: &Tree<'_, '_>, node: NodeId) -> Option<SymbolId> {
    match tree.nodes().kind(node) {
        AstKind::Function(f) if f.r#type == FunctionType::FunctionDeclaration => f.id.as_ref()?.symbol_id.get(),
        AstKind::Function(_) | AstKind::ArrowFunctionExpression(_) => match tree.nodes().parent_kind(node) {
            AstKind::VariableDeclarator(declarator) => match &declarator.id {
                BindingPattern::BindingIdentifier(id) => id.symbol_id.get(),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Whether `parent` repeats its child `child`.
fn repeats<'a>(tree: &Tree<'_, 'a>, parent: NodeId, child: NodeId) -> Option<Around<'a>> {
    let kind = tree.nodes().kind(parent);
    let child_span = tree.nodes().kind(child).span();
    let looped = |over: Option<&'a Expression<'a>>, size: Option<u32>, body: Span| {
        let inside = body.contains_inclusive(child_span);
        inside.then_some(Around { node: parent, span: kind.span(), kind: FanOutKind::Loop, over, size })
    };
    match kind {
        AstKind::CallExpression(call) => called_back(tree, parent, call, child_span),
        AstKind::ForOfStatement(s) => looped(Some(&s.right), fixed(tree, &s.right), s.body.span()),
        AstKind::ForInStatement(s) => looped(Some(&s.right), None, s.body.span()),
        AstKind::WhileStatement(s) => looped(Some(&s.test), None, s.body.span()),
        AstKind::DoWhileStatement(s) => looped(Some(&s.test), None, s.body.span()),
        AstKind::ForStatement(s) => looped(s.test.as_ref(), counted(s), s.body.span()),
        _ => None,
    }
}

/// A callback of an array method, or a stage of `pipeline`.
fn called_back<'a>(tree: &Tree<'_, 'a>, node: NodeId, call: &'a CallExpression<'a>, child: Span) -> Option<Around<'a>> {
    let position = call.arguments.iter().position(|a| a.span().contains_inclusive(child))?;
    let around = |kind, span: Span, over: &'a Expression<'a>| {
        Some(Around { node, span, kind, over: Some(over), size: fixed(tree, over) })
    };
    if tree.hook(call) == Some(Hook::Pipeline) {
        let items = call.arguments.first().and_then(Argument::as_expression)?;
        return if position > 0 { around(FanOutKind::Pipeline, call.span, items) } else { None };
    }
    let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { return None };
    match member.property.name.as_str() {
        "from" | "fromAsync" if tree.is_global(&member.object, "Array") && position == 1 => {
            let items = call.arguments.first().and_then(Argument::as_expression)?;
            around(FanOutKind::Callback, call.span, items)
        }
        "map" | "flatMap" | "forEach" | "filter" | "reduce" | "some" | "every" | "find" if position == 0 => {
            around(FanOutKind::Callback, call.span, &member.object)
        }
        _ => None,
    }
}

/// How many elements a list has when the source says it.
fn fixed<'a>(tree: &Tree<'_, 'a>, list: &'a Expression<'a>) -> Option<u32> {
    match tree.resolved(list) {
        Expression::ArrayExpression(array) => {
            let whole = !array.elements.iter().any(ArrayExpressionElement::is_spread);
            // An empty list that is pushed to later says nothing.
            (whole && !array.elements.is_empty()).then_some(array.elements.len() as u32)
        }
        Expression::ObjectExpression(object) => length_of(object),
        Expression::CallExpression(call) => {
            let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { return None };
            match member.property.name.as_str() {
                "from" if tree.is_global(&member.object, "Array") => match call.arguments.first() {
                    Some(Argument::ObjectExpression(object)) => length_of(object),
                    Some(_) | None => None,
                },
                "entries" | "map" => match member.object.get_inner_expression() {
                    Expression::ArrayExpression(array) => Some(array.elements.len() as u32),
                    Expression::Identifier(_) => fixed_name(tree, &member.object),
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

fn fixed_name<'a>(tree: &Tree<'_, 'a>, name: &'a Expression<'a>) -> Option<u32> {
    match tree.resolved(name) {
        Expression::ArrayExpression(array) if !array.elements.is_empty() => {
            (!array.elements.iter().any(ArrayExpressionElement::is_spread)).then_some(array.elements.len() as u32)
        }
        _ => None,
    }
}

fn length_of(object: &ObjectExpression<'_>) -> Option<u32> {
    match get(object, "length") {
        Some(Expression::NumericLiteral(n)) if n.value >= 0.0 && n.value <= 1e6 => Some(n.value as u32),
        Some(_) | None => None,
    }
}

/// `for (let i = A; i < B; i++)` with literal bounds.
fn counted(statement: &ForStatement<'_>) -> Option<u32> {
    let Some(ForStatementInit::VariableDeclaration(declaration)) = &statement.init else { return None };
    let Some(Expression::NumericLiteral(from)) = declaration.declarations.first()?.init.as_ref() else { return None };
    let Some(Expression::BinaryExpression(test)) = &statement.test else { return None };
    let Expression::NumericLiteral(to) = &test.right else { return None };
    if !matches!(statement.update, Some(Expression::UpdateExpression(_))) {
        return None;
    }
    let count = match test.operator {
        BinaryOperator::LessThan => to.value - from.value,
        BinaryOperator::LessEqualThan => to.value - from.value + 1.0,
        _ => return None,
    };
    (0.0..1e6).contains(&count).then_some(count as u32)
}

impl Around<'_> {
    fn describe(&self, tree: &Tree<'_, '_>) -> FanOut {
        let (line, column) = tree.lines.position(self.span.start);
        let over = self.over.map_or_else(|| "for (;;)".to_owned(), |e| tree.source(e, MAX_OVER));
        let size = match (self.size, self.over) {
            (Some(count), _) => FanOutSize::Fixed(count),
            (None, Some(over)) if is_of_args(tree, over) => FanOutSize::Args,
            (None, _) => FanOutSize::Open,
        };
        FanOut { line, column, kind: self.kind, over, size, parent: None }
    }
}
