//! A request that could not be served, for people.

use std::fmt::Write as _;

use super::text::{clean, wrap};
use super::validate;
use super::words::terminal;
use crate::cli::Terminal;
use crate::core::failure::Failure;
use crate::engine::view::Diagnostic;

const WIDTH: usize = 100;

/// `error: message`, each further fault, what would be accepted when nothing above says it, `  hint: ...`. Of a workflow with
/// errors every finding is shown instead, with its place.
pub fn failure(failure: &Failure, term: &Terminal) -> String {
    let paint = term.paint_err;
    let findings = failure.extra.get("diagnostics").cloned().unwrap_or_default();
    let findings: Vec<Diagnostic> = serde_json::from_value(findings).unwrap_or_default();
    if !findings.is_empty() {
        let script = failure.extra.get("script_path").and_then(|p| p.as_str());
        let mut out: String = findings.iter().map(|finding| validate::one(finding, script, term, paint)).collect();
        let _ = writeln!(out, "{}; nothing was started", validate::sums(&findings));
        return out;
    }
    let message = terminal(&clean(&failure.message));
    let hint = terminal(&clean(failure.hint.as_deref().unwrap_or_default()));
    let mut out = format!("{} {message}\n", paint.red("error:"));
    let further = failure.extra.get("errors").and_then(|errors| errors.as_array()).into_iter().flatten();
    for error in further {
        let text = terminal(&clean(error["message"].as_str().unwrap_or_default()));
        if !message.contains(&text) {
            let own = error["hint"].as_str().map(|hint| format!("  ({})", terminal(&clean(hint))));
            let text = format!("{text}{}", own.unwrap_or_default());
            let _ = writeln!(out, "{}", wrap(&format!("  {text}"), WIDTH, 4));
        }
    }
    let said = |item: &String| message.contains(item.as_str()) || hint.contains(item.as_str());
    if failure.allowed.iter().all(said) {
        // Nothing is said twice.
    } else if failure.allowed.iter().any(|item| item.contains(['/', ' ']) || item.len() > 20) {
        for item in failure.allowed.iter().filter(|item| !message.contains(item.as_str())) {
            let _ = writeln!(out, "  {}", clean(item));
        }
    } else {
        let _ = writeln!(out, "{}", wrap(&format!("  known: {}", clean(&failure.allowed.join(", "))), WIDTH, 9));
    }
    if !hint.is_empty() {
        let _ = writeln!(out, "{}", wrap(&format!("  hint: {hint}"), WIDTH, 8));
    }
    out
}
