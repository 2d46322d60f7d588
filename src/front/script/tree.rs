//! Questions about a parsed script that several checks ask: what a name refers to, which hook a call calls.

use std::cell::OnceCell;
use std::collections::HashSet;

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, BindingPattern, CallExpression, Expression, IdentifierReference, ObjectExpression, VariableDeclarator,
};
use oxc_semantic::{AstNodes, NodeId, Scoping, Semantic, SymbolId};
use oxc_span::{GetSpan, Span};

use crate::front::script::diagnostic::{Diagnostic, Lines, Severity};

/// A hook of the dialect, or its counterpart under `owf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Agent,
    Parallel,
    Pipeline,
    Workflow,
    /// Any other member of `owf` that gives a promise.
    Other,
}

/// A parsed script with its names resolved.
pub(super) struct Tree<'t, 'a> {
    semantic: &'t Semantic<'a>,
    pub(super) lines: &'t Lines<'t>,
    /// The variables that hold args; filled by `args_read` when it is first asked.
    pub(super) args_holders: OnceCell<HashSet<SymbolId>>,
}

impl<'t, 'a> Tree<'t, 'a> {
    pub(super) fn new(semantic: &'t Semantic<'a>, lines: &'t Lines<'t>) -> Self {
        Self { semantic, lines, args_holders: OnceCell::new() }
    }

    pub(super) fn nodes(&self) -> &'t AstNodes<'a> {
        self.semantic.nodes()
    }

    pub(super) fn scoping(&self) -> &'t Scoping {
        self.semantic.scoping()
    }

    /// What a name refers to; none = a global.
    pub(super) fn symbol(&self, name: &IdentifierReference<'_>) -> Option<SymbolId> {
        name.reference_id.get().and_then(|id| self.scoping().get_reference(id).symbol_id())
    }

    /// Whether an expression is the global of this name.
    pub(super) fn is_global(&self, expression: &Expression<'_>, name: &str) -> bool {
        matches!(expression.without_parentheses(), Expression::Identifier(id)
            if id.name == name && self.symbol(id).is_none())
    }

    /// Which hook a call calls.
    pub(super) fn hook(&self, call: &CallExpression<'_>) -> Option<Hook> {
        let name = match call.callee.without_parentheses() {
            Expression::Identifier(id) if self.symbol(id).is_none() => match id.name.as_str() {
                "agent" | "parallel" | "pipeline" | "workflow" => id.name.as_str(),
                _ => return None,
            },
            Expression::StaticMemberExpression(member) if self.is_global(&member.object, "owf") => {
                match member.property.name.as_str() {
                    // There is only the global one.
                    "workflow" => return None,
                    name => name,
                }
            }
            _ => return None,
        };
        match name {
            "agent" => Some(Hook::Agent),
            "parallel" => Some(Hook::Parallel),
            "pipeline" => Some(Hook::Pipeline),
            "workflow" => Some(Hook::Workflow),
            "approve" | "tool" | "sleep" => Some(Hook::Other),
            _ => None,
        }
    }

    /// The declarator that gives a symbol its value, when it is declared once, by a plain name, and never assigned again.
    pub(super) fn constant(&self, symbol: SymbolId) -> Option<&'a VariableDeclarator<'a>> {
        if self.scoping().symbol_is_mutated(symbol) {
            return None;
        }
        match self.nodes().kind(self.scoping().symbol_declaration(symbol)) {
            AstKind::VariableDeclarator(declarator) => {
                matches!(declarator.id, BindingPattern::BindingIdentifier(_)).then_some(declarator)
            }
            _ => None,
        }
    }

    /// An expression, or what the constant it names was set to.
    pub(super) fn resolved(&self, expression: &'a Expression<'a>) -> &'a Expression<'a> {
        let inner = expression.get_inner_expression();
        let Expression::Identifier(id) = inner else { return inner };
        let declarator = self.symbol(id).and_then(|symbol| self.constant(symbol));
        declarator.and_then(|d| d.init.as_ref()).map_or(inner, Expression::get_inner_expression)
    }

    /// The n-th argument of a call as an object literal, also through a constant.
    pub(super) fn object_argument(&self, call: &'a CallExpression<'a>, n: usize) -> Option<&'a ObjectExpression<'a>> {
        match self.resolved(call.arguments.get(n).and_then(Argument::as_expression)?) {
            Expression::ObjectExpression(object) => Some(object),
            _ => None,
        }
    }

    /// The nodes around a node, innermost first.
    pub(super) fn around(&self, node: NodeId) -> impl Iterator<Item = AstKind<'a>> + 't {
        self.nodes().ancestor_kinds(node)
    }

    /// A diagnostic about a span.
    pub(super) fn diagnostic(
        &self,
        severity: Severity,
        code: &str,
        span: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Diagnostic {
        let mut found = self.lines.diagnostic(severity, code, (span.start, span.end), message);
        found.hint = Some(hint.into()).filter(|h| !h.is_empty());
        found
    }

    /// The source text of something, white space collapsed, cut to `limit` characters.
    pub(super) fn source(&self, of: &impl GetSpan, limit: usize) -> String {
        let span = of.span();
        let words: Vec<&str> = self.lines.slice(span.start, span.end).split_whitespace().collect();
        let text = words.join(" ");
        if text.chars().count() <= limit { text } else { text.chars().take(limit - 1).chain(['…']).collect() }
    }
}
