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
    let all: Vec<Span> = finder.places.iter().map(|place| place.strip).collect();
    let report = |place: &Place| {
        let span = (place.shown.start, place.shown.end);
        let mut found = lines.diagnostic(Severity::Error, "typescript", span, "TypeScript is not supported");
        found.hint = Some(match place.advice {
            Some(advice) => format!("write plain JavaScript: {advice}"),
            None => format!("write plain JavaScript: `{}`", without(lines, found.line, &all)),
        });
        found
    };
    Some(finder.places.iter().take(MAX_PLACES).map(report).collect())
}

/// One TypeScript-only part of the source.
struct Place {
    /// What is pointed at.
    shown: Span,
    /// What must go, white space before it included.
    strip: Span,
    /// What to do when that is not just leaving it out.
    advice: Option<&'static str>,
}

impl Place {
    fn new(span: Span) -> Self {
        Self { shown: span, strip: span, advice: None }
    }
}

/// A line without the parts of it that lie in `spans`, trimmed and bounded.
fn without(lines: &Lines<'_>, line: u32, spans: &[Span]) -> String {
    let start = lines.start_of(line);
    let hidden = |at: usize| spans.iter().any(|s| (s.start as usize..s.end as usize).contains(&at));
    let kept: String = lines.line(line).char_indices().filter(|(at, _)| !hidden(start + at)).map(|(_, c)| c).collect();
    let kept = kept.trim();
    if kept.chars().count() <= 100 { kept.to_owned() } else { kept.chars().take(99).chain(['…']).collect() }
}

/// Collects the outermost TypeScript-only parts.
struct Finder<'t> {
    text: &'t str,
    places: Vec<Place>,
    inside: u32,
}

impl Finder<'_> {
    fn place(&self, kind: AstKind<'_>) -> Option<Place> {
        let span = kind.span();
        let whole = |advice| {
            let shown = self.first_line(span);
            Some(Place { shown, strip: shown, advice: Some(advice) })
        };
        let gone = "remove this declaration";
        match kind {
            AstKind::TSTypeAnnotation(_)
            | AstKind::TSTypeParameterDeclaration(_)
            | AstKind::TSTypeParameterInstantiation(_)
            | AstKind::TSThisParameter(_)
            | AstKind::TSClassImplements(_)
            | AstKind::TSIndexSignature(_) => Some(Place::new(span)),
            AstKind::TSAsExpression(e) => Some(self.after(e.expression.span(), span)),
            AstKind::TSSatisfiesExpression(e) => Some(self.after(e.expression.span(), span)),
            AstKind::TSNonNullExpression(e) => Some(self.after(e.expression.span(), span)),
            AstKind::TSTypeAssertion(e) => Some(Place::new(Span::new(span.start, e.expression.span().start))),
            AstKind::TSEnumDeclaration(_) => whole("use an object instead of an enum"),
            AstKind::TSInterfaceDeclaration(_)
            | AstKind::TSTypeAliasDeclaration(_)
            | AstKind::TSExternalModuleDeclaration(_)
            | AstKind::TSNamespaceDeclaration(_)
            | AstKind::TSGlobalDeclaration(_)
            | AstKind::TSImportEqualsDeclaration(_)
            | AstKind::TSExportAssignment(_)
            | AstKind::TSNamespaceExportDeclaration(_) => whole(gone),
            AstKind::ImportDeclaration(import) if import.import_kind.is_type() => whole(gone),
            AstKind::Function(f) if f.declare || f.body.is_none() => whole(gone),
            AstKind::VariableDeclaration(d) if d.declare => whole(gone),
            AstKind::Class(class) if class.r#abstract => {
                let word = self.text.get(span.start as usize..).and_then(|t| t.find("abstract")).unwrap_or(0) as u32;
                Some(Place::new(Span::new(span.start + word, span.start + word + 8)))
            }
            AstKind::FormalParameter(p) if p.has_modifier() => {
                Some(Place::new(Span::new(span.start, p.pattern.span().start)))
            }
            AstKind::FormalParameter(p) if p.optional => {
                // `a?: T`: the annotation is found by itself.
                let end = p.pattern.span().end;
                let mark = self.text.get(end as usize..).and_then(|t| t.find('?')).unwrap_or(0) as u32 + end;
                Some(Place::new(Span::new(mark, mark + 1)))
            }
            AstKind::PropertyDefinition(p) if p.accessibility.is_some() || p.readonly || p.declare => {
                Some(Place::new(Span::new(span.start, p.key.span().start)))
            }
            AstKind::MethodDefinition(m) if m.accessibility.is_some() => {
                Some(Place::new(Span::new(span.start, m.key.span().start)))
            }
            _ => None,
        }
    }

    /// What stands in `outer` after `inner`, shown without the white space it begins with.
    fn after(&self, inner: Span, outer: Span) -> Place {
        let text = self.text.get(inner.end as usize..outer.end as usize).unwrap_or_default();
        let space = (text.len() - text.trim_start().len()) as u32;
        let strip = Span::new(inner.end, outer.end);
        Place { shown: Span::new(inner.end + space, outer.end), strip, advice: None }
    }

    fn first_line(&self, span: Span) -> Span {
        let text = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let length = text.find(['\n', '\r']).unwrap_or(text.len()) as u32;
        Span::new(span.start, span.start + length)
    }
}

impl<'a> Visit<'a> for Finder<'_> {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        if let Some(place) = self.place(kind) {
            let within = self.places.last().is_some_and(|last| last.strip.contains_inclusive(place.strip));
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
