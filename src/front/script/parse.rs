//! One pass over a script's text: parse, semantic check, metadata, lints, facts; runs on the large stack.

use oxc_allocator::Allocator;
use oxc_ast::ast::Program;
use oxc_diagnostics::OxcDiagnostic;
use oxc_parser::{ParseOptions, Parser, ParserReturn};
use oxc_semantic::SemanticBuilder;
use oxc_span::{SourceType, Span};

use crate::core::run::WorkflowKind;
use crate::front::script::check::Findings;
use crate::front::script::diagnostic::{Diagnostic, Lines, Severity, ends_line};
use crate::front::script::meta::{self, Declared};
use crate::front::script::nesting::{self, Depth};
use crate::front::script::plan::Script;
use crate::front::script::tree::Tree;
use crate::front::script::{facts, grammar, lint_calls, lint_globals, lint_options, typescript};

/// The most diagnostics that are reported.
const MAX_DIAGNOSTICS: usize = 50;

/// Parses and lints `text`, whose depth has been measured.
pub(super) fn parse(text: &str, inline: bool, depth: &Depth) -> Findings {
    let lines = Lines::new(text);
    let allocator = Allocator::default();
    let parsed = parse_as(&allocator, text, SourceType::mjs());
    let typed = (!parsed.diagnostics.is_empty() && nesting::fits_typescript(text, depth))
        .then(|| parse_as(&allocator, text, SourceType::ts()))
        .and_then(|typed| Some((typescript::explain(&typed, &lines)?, typed)));
    let (explained, parsed) = match typed {
        Some((explained, typed)) => (explained, typed),
        None => (Vec::new(), parsed),
    };
    let mut out = explained;
    out.extend(parsed.diagnostics.iter().map(|d| syntax(d, &lines)));
    if parsed.panicked {
        // The tree is empty. The declaration of `meta` alone may still be whole.
        let meta = depth.first_close.and_then(|end| {
            let head = parse_as(&allocator, &text[..end], SourceType::mjs());
            meta::read(&head.program, &lines, &mut Vec::new())
        });
        return Findings { script: None, meta: meta.and_then(|d| d.meta), diagnostics: out };
    }
    let program = &parsed.program;
    let broken = out.iter().any(|d| d.code == "syntax");
    let declared = meta::read(program, &lines, &mut out);
    if broken {
        // What could not be read is not missing.
        out.retain(|d| d.code != "meta_missing");
    }
    let built = SemanticBuilder::new().with_check_syntax_error(true).with_build_nodes(true).build(program);
    out.extend(built.diagnostics.iter().map(|d| syntax(d, &lines)));
    let tree = Tree::new(&built.semantic, &lines);
    let meta_span = declared.as_ref().map(|d| d.span);
    grammar::check(&tree, meta_span, &mut out);
    lint_globals::check(&tree, inline, meta_span, &mut out);
    lint_calls::check(&tree, &mut out);
    lint_options::check(&tree, &mut out);
    // Whatever is cut off, errors stay.
    out.sort_by_key(|d| (d.severity, d.line, d.column));
    out.truncate(MAX_DIAGNOSTICS);
    let script = declared.as_ref().and_then(|d| script(text, program, d, &tree));
    Findings { script, meta: declared.and_then(|d| d.meta), diagnostics: out }
}

fn parse_as<'a>(allocator: &'a Allocator, text: &'a str, kind: SourceType) -> ParserReturn<'a> {
    let options =
        ParseOptions { allow_return_outside_function: true, parse_regular_expression: true, ..ParseOptions::default() };
    Parser::new(allocator, text, kind).with_options(options).parse()
}

/// A finding of the parser in our form.
fn syntax(found: &OxcDiagnostic, lines: &Lines<'_>) -> Diagnostic {
    // Of a redeclaration the last label is the second declaration.
    let label = found.labels.iter().max_by_key(|l| (l.primary(), l.offset()));
    let span = label.map_or((0, 0), |l| (l.span().start, l.span().end));
    let mut message = found.message.trim_end_matches('.').to_owned();
    let mut chars = message.chars();
    if let (Some(first), Some(second)) = (chars.next(), chars.next())
        && first.is_uppercase()
        && !second.is_uppercase()
    {
        message = first.to_lowercase().chain(message.chars().skip(1)).collect();
    }
    let mut out = lines.diagnostic(Severity::Error, "syntax", span, message);
    out.hint = found.help.as_ref().map(|h| h.trim_end_matches('.').to_owned());
    out
}

fn script(text: &str, program: &Program<'_>, declared: &Declared, tree: &Tree<'_, '_>) -> Option<Script> {
    let meta = declared.meta.clone()?;
    let mut blanks = vec![declared.span];
    blanks.extend(program.hashbang.as_ref().map(|h| h.span));
    let facts = facts::collect(tree);
    Some(Script {
        kind: WorkflowKind::Script,
        meta,
        body: blanked(text, &blanks),
        sites: facts.sites,
        fan_outs: facts.fan_outs,
        args_read: facts.args_read,
        providers_named: facts.providers_named,
        models_named: facts.models_named,
        agent_types_named: facts.agent_types_named,
        workflows_named: facts.workflows_named,
        asks: None,
        policies: super::plan::Policies::default(),
    })
}

/// The text with a space for every character of `spans`, line ends kept, so that all other positions stay.
fn blanked(text: &str, spans: &[Span]) -> String {
    let hidden = |at: usize| spans.iter().any(|s| (s.start as usize..s.end as usize).contains(&at));
    text.char_indices().map(|(at, c)| if hidden(at) && !ends_line(c) { ' ' } else { c }).collect()
}
