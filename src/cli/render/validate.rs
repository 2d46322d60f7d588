//! `owf validate`.

use std::fmt::Write as _;

use super::text::{Paint, cut_end, plural, relative, width};
use crate::cli::Terminal;
use crate::engine::view::{Diagnostic, Severity, ValidateView};

/// Every finding with its place; the source line for errors and warnings; the sums.
pub fn screen(view: &ValidateView, term: &Terminal) -> String {
    let mut out = String::new();
    let mut sums = [0_u64; 3];
    for finding in &view.diagnostics {
        sums[finding.severity as usize] += 1;
        out.push_str(&one(finding, view.script_path.as_deref(), term, term.paint));
    }
    let words: Vec<_> = ["error", "warning", "note"]
        .into_iter()
        .zip(sums)
        .filter(|(_, n)| *n > 0)
        .map(|(word, n)| plural(n, word))
        .collect();
    if view.ok {
        let name = view.workflow.as_ref().map_or("workflow", |w| w.name.as_str());
        let args =
            if view.args_read.is_empty() { String::new() } else { format!("   args: {}", view.args_read.join(", ")) };
        let sites = plural(u64::from(view.agent_sites), "place");
        let tail = if words.is_empty() { String::new() } else { format!("   {}", words.join(", ")) };
        let verb = if view.agent_sites == 1 { "calls" } else { "call" };
        let _ = writeln!(out, "{} {name}: {sites} {verb} an agent{args}{tail}", term.paint.green("ok"));
    } else if words.is_empty() {
        let message = view.error.as_ref().map_or("the workflow is invalid", |e| e.message.as_str());
        let _ = writeln!(out, "{} {message}", term.paint.red("error:"));
    } else {
        let _ = writeln!(out, "{}", words.join(", "));
    }
    out
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
    if finding.severity != Severity::Note && !finding.excerpt.is_empty() {
        let number = finding.line.to_string();
        let gutter = " ".repeat(number.len());
        let (text, column) = window(&visible(&finding.excerpt), finding.column as usize, term.width - number.len() - 3);
        let marks = underline(&text, column);
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

/// Marks from the column to the end of the word that stands there.
fn underline(line: &str, column: usize) -> String {
    let rest = line.chars().skip(column - 1);
    let length = rest.take_while(|c| !c.is_whitespace()).count().max(1);
    "^".repeat(length.min(40))
}
