//! What JavaScript modules allow and a script may not use: imports, further exports, `await using`; and what the sandbox does not know.

use oxc_ast::AstKind;
use oxc_ast::ast::VariableDeclarationKind;
use oxc_span::{GetSpan, Span};

use crate::front::script::diagnostic::{Diagnostic, Severity};
use crate::front::script::tree::Tree;

/// Refuses module syntax other than the declaration of `meta`, which stands at `meta`.
pub(super) fn check(tree: &Tree<'_, '_>, meta: Option<Span>, out: &mut Vec<Diagnostic>) {
    let no_modules = "a script has no modules: write what you need into it";
    let no_exports = "`meta` is the only export; a script's result is what it returns";
    for node in tree.nodes().iter() {
        let kind = node.kind();
        let span = kind.span();
        let (message, hint) = match kind {
            AstKind::ImportDeclaration(_) => ("`import` is not allowed", no_modules),
            AstKind::ImportExpression(_) => ("`import()` is not allowed", no_modules),
            AstKind::ImportMeta(_) => ("`import.meta` is not allowed", no_modules),
            AstKind::ExportDeclaration(_) if meta != Some(span) => ("a second `export` is not allowed", no_exports),
            AstKind::ExportNamedDeclaration(_)
            | AstKind::ExportFromDeclaration(_)
            | AstKind::ExportAllDeclaration(_) => ("a second `export` is not allowed", no_exports),
            AstKind::ExportDefaultDeclaration(_) => ("`export default` is not allowed", no_exports),
            AstKind::VariableDeclaration(declaration) if declaration.kind == VariableDeclarationKind::AwaitUsing => {
                ("`await using` is not allowed", "use `using`, or `try` and `finally`")
            }
            AstKind::Decorator(_) => ("decorators are not supported", "call the function yourself"),
            AstKind::AccessorProperty(_) => ("`accessor` is not supported", "write a getter and a setter"),
            _ => continue,
        };
        let head = Span::new(span.start, span.end.min(span.start + 6));
        let code = match kind {
            AstKind::Decorator(_) | AstKind::AccessorProperty(_) | AstKind::VariableDeclaration(_) => "unsupported",
            _ => "module_syntax",
        };
        out.push(tree.diagnostic(Severity::Error, code, head, message, hint));
    }
}
