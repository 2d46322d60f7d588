//! TypeScript in a script: found by parsing it as TypeScript, explained with what to write instead.

use oxc_ast::AstKind;
use oxc_ast_visit::Visit;
use oxc_parser::ParserReturn;
use oxc_span::{GetSpan, Span};

use crate::front::script::diagnostic::{Diagnostic, Lines, Severity};

/// The most places that are reported.
const MAX_PLACES: usize = 20;

/// One diagnostic per place, when the text is TypeScript.
pub(super) fn explain(parsed: &ParserReturn<'_>, lines: &Lines<'_>) -> Option<Vec<Diagnostic>> {
    if parsed.panicked {
        return None;
    }
    let mut finder = Finder { text: parsed.program.source_text, places: Vec::new(), inside: 0 };
    finder.visit_program(&parsed.program);
    if finder.places.is_empty() {
        return None;
    }
    let all: Vec<Span> = finder.places.iter().map(|(span, _)| *span).collect();
    let report = |(span, declaration): &(Span, bool)| {
        let message = "TypeScript is not supported";
        let mut found = lines.diagnostic(Severity::Error, "typescript", (span.start, span.end), message);
        found.hint = Some(if *declaration {
            "write plain JavaScript: remove this declaration".to_owned()
        } else {
            format!("write plain JavaScript: `{}`", without(lines, found.line, &all))
        });
        found
    };
    Some(finder.places.iter().take(MAX_PLACES).map(report).collect())
}

/// A line without the parts of it that lie in `spans`, trimmed and bounded.
fn without(lines: &Lines<'_>, line: u32, spans: &[Span]) -> String {
    let start = lines.start_of(line);
    let hidden = |at: usize| spans.iter().any(|s| (s.start as usize..s.end as usize).contains(&at));
    let kept: String = lines.line(line).char_indices().filter(|(at, _)| !hidden(start + at)).map(|(_, c)| c).collect();
    let kept = kept.trim();
    if kept.chars().count() <= 100 { kept.to_owned() } else { kept.chars().take(99).chain(['…']).collect() }
}

/// Collects the outermost TypeScript-only parts, each with whether it is a whole declaration.
struct Finder<'t> {
    text: &'t str,
    places: Vec<(Span, bool)>,
    inside: u32,
}

impl Finder<'_> {
    fn place(&self, kind: AstKind<'_>) -> Option<(Span, bool)> {
        let span = kind.span();
        let part = |start: u32, end: u32| Some((self.with_space_before(start, end), false));
        match kind {
            AstKind::TSTypeAnnotation(_) | AstKind::TSTypeParameterDeclaration(_) => Some((span, false)),
            AstKind::TSTypeParameterInstantiation(_) | AstKind::TSThisParameter(_) => Some((span, false)),
            AstKind::TSAsExpression(e) => part(e.expression.span().end, span.end),
            AstKind::TSSatisfiesExpression(e) => part(e.expression.span().end, span.end),
            AstKind::TSNonNullExpression(e) => part(e.expression.span().end, span.end),
            AstKind::TSTypeAssertion(e) => part(span.start, e.expression.span().start),
            AstKind::TSClassImplements(_) | AstKind::TSIndexSignature(_) => Some((span, false)),
            AstKind::TSInterfaceDeclaration(_)
            | AstKind::TSTypeAliasDeclaration(_)
            | AstKind::TSEnumDeclaration(_)
            | AstKind::TSExternalModuleDeclaration(_)
            | AstKind::TSNamespaceDeclaration(_)
            | AstKind::TSGlobalDeclaration(_)
            | AstKind::TSImportEqualsDeclaration(_)
            | AstKind::TSExportAssignment(_)
            | AstKind::TSNamespaceExportDeclaration(_) => Some((self.first_line(span), true)),
            AstKind::FormalParameter(p) if p.optional => {
                // `a?: T`: the annotation is found by itself.
                let end = p.pattern.span().end;
                let mark = self.text.get(end as usize..).and_then(|t| t.find('?')).unwrap_or(0) as u32 + end;
                Some((Span::new(mark, mark + 1), false))
            }
            AstKind::FormalParameter(p) if p.accessibility.is_some() || p.readonly => {
                Some((Span::new(span.start, p.pattern.span().start), false))
            }
            AstKind::Function(f) if f.declare || f.body.is_none() => Some((self.first_line(span), true)),
            AstKind::VariableDeclaration(d) if d.declare => Some((self.first_line(span), true)),
            _ => None,
        }
    }

    fn first_line(&self, span: Span) -> Span {
        let text = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let length = text.find(['\n', '\r']).unwrap_or(text.len()) as u32;
        Span::new(span.start, span.start + length)
    }

    /// The span without the white space it begins with.
    fn with_space_before(&self, start: u32, end: u32) -> Span {
        let text = self.text.get(start as usize..end as usize).unwrap_or_default();
        let space = (text.len() - text.trim_start().len()) as u32;
        Span::new(start + space, end)
    }
}

impl<'a> Visit<'a> for Finder<'_> {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        if let Some(place) = self.place(kind) {
            let within = self.places.last().is_some_and(|(last, _)| last.contains_inclusive(place.0));
            if self.inside == 0 && !within {
                self.places.push(place);
            }
        }
        self.inside += u32::from(is_type(kind));
    }

    fn leave_node(&mut self, kind: AstKind<'a>) {
        self.inside -= u32::from(is_type(kind));
    }
}

/// Whether everything inside is TypeScript too.
fn is_type(kind: AstKind<'_>) -> bool {
    matches!(
        kind,
        AstKind::TSTypeAnnotation(_)
            | AstKind::TSTypeParameterDeclaration(_)
            | AstKind::TSTypeParameterInstantiation(_)
            | AstKind::TSInterfaceDeclaration(_)
            | AstKind::TSTypeAliasDeclaration(_)
            | AstKind::TSEnumDeclaration(_)
            | AstKind::TSNamespaceDeclaration(_)
            | AstKind::TSExternalModuleDeclaration(_)
            | AstKind::TSGlobalDeclaration(_)
    )
}
