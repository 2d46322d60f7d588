//! `owf validate`.

use std::fmt::Write as _;

use super::text::{Paint, cut_end, plural, relative, width};
use crate::cli::Terminal;
use crate::engine::view::{Diagnostic, Severity, ValidateView};

/// Every finding with its place; the source line for errors and warnings; the sums.
pub fn screen(view: &ValidateView, term: &Terminal) -> String {
    let mut out = String::new();
    for finding in &view.diagnostics {
        out.push_str(&one(finding, view.script_path.as_deref(), term, term.paint));
    }
    let words = sums(&view.diagnostics);
    if view.ok {
        let name = view.workflow.as_ref().map_or("workflow", |w| w.name.as_str());
        let args =
            if view.args_read.is_empty() { String::new() } else { format!("   args: {}", view.args_read.join(", ")) };
        let sites = plural(u64::from(view.agent_sites), "place");
        let tail = if words.is_empty() { String::new() } else { format!("   {words}") };
        let verb = if view.agent_sites == 1 { "calls" } else { "call" };
        let _ = writeln!(out, "{} {name}: {sites} {verb} an agent{args}{tail}", term.paint.green("ok"));
    } else if words.is_empty() {
        let message = view.error.as_ref().map_or("the workflow is invalid", |e| e.message.as_str());
        let _ = writeln!(out, "{} {message}", term.paint.red("error:"));
    } else {
        let _ = writeln!(out, "{words}");
    }
    out
}

/// `1 error, 2 notes`; empty when there is no finding.
pub(super) fn sums(findings: &[Diagnostic]) -> String {
    let mut sums = [0_u64; 3];
    for finding in findings {
        sums[finding.severity as usize] += 1;
    }
    let words = ["error", "warning", "note"].into_iter().zip(sums).filter(|(_, n)| *n > 0);
    words.map(|(word, n)| plural(n, word)).collect::<Vec<_>>().join(", ")
}

/// One finding: what, where, the source line, what to do.
pub(super) fn one(finding: &Diagnostic, script: Option<&str>, term: &Terminal, paint: Paint) -> String {
    let head = format!("{}:", finding.severity.as_str());
    let head = match finding.severity {
        Severity::Error => paint.red(&head),
        Severity::Warning => paint.yellow(&head),
        Severity::Note => paint.dim(&head),
    };
    let file = finding.file.as_deref().or(script).map_or_else(|| "script".to_owned(), |f| relative(f, &term.cwd));
    let mut out = format!("{head} {}\n --> {file}:{}:{}\n", visible(&finding.message), finding.line, finding.column);
    // Of a very long line only the beginning is there, which may end before the place.
    let shows = (finding.column as usize) <= width(&finding.excerpt) + 1;
    if finding.severity != Severity::Note && !finding.excerpt.is_empty() && shows {
        let number = finding.line.to_string();
        let gutter = " ".repeat(number.len());
        let (text, column) = window(&visible(&finding.excerpt), finding.column as usize, term.width - number.len() - 3);
        let marks = underline(&text, column, finding.code == "typescript");
        let _ = writeln!(out, "{gutter} |\n{number} | {text}\n{gutter} | {}{marks}", " ".repeat(column - 1));
    }
    if let Some(hint) = &finding.hint {
        let _ = writeln!(out, "  hint: {}", visible(hint));
    }
    out
}

/// Text of others on one line; a tab is one column, so that the mark stands right.
fn visible(text: &str) -> String {
    super::text::clean(text)
}

/// The part of a long line around `column` (1-based), and the column in it.
fn window(line: &str, column: usize, max: usize) -> (String, usize) {
    let column = column.clamp(1, width(line) + 1);
    if width(line) <= max {
        return (line.to_owned(), column);
    }
    let start = column.saturating_sub(max / 2).saturating_sub(1);
    let rest: String = line.chars().skip(start).collect();
    (cut_end(&rest, max), column - start)
}

/// Marks from the column to the end of the word that stands there; of a type annotation, to its end.
fn underline(line: &str, column: usize, annotation: bool) -> String {
    let rest: String = line.chars().skip(column - 1).collect();
    let word = if annotation && rest.starts_with(':') {
        rest.split(['=', ',', ')', ';', '{']).next().unwrap_or_default().trim_end()
    } else {
        rest.split(char::is_whitespace).next().unwrap_or_default()
    };
    "^".repeat(word.chars().count().clamp(1, 40))
}
