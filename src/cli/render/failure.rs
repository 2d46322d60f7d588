//! A request that could not be served, for people.

use std::fmt::Write as _;

use super::text::{clean, wrap};
use super::validate;
use crate::cli::Terminal;
use crate::core::failure::Failure;
use crate::engine::view::Diagnostic;

/// `error: message`, what would be accepted when the hint does not say it, `  hint: ...`; each finding of a workflow that
/// does not parse.
pub fn failure(failure: &Failure, term: &Terminal) -> String {
    let paint = term.paint_err;
    let findings = failure.extra.get("diagnostics").cloned().unwrap_or_default();
    let findings: Vec<Diagnostic> = serde_json::from_value(findings).unwrap_or_default();
    let script = failure.extra.get("script_path").and_then(|p| p.as_str());
    let mut out: String = findings.iter().map(|finding| validate::one(finding, script, term, paint)).collect();
    let _ = writeln!(out, "{} {}", paint.red("error:"), clean(&failure.message));
    for item in failure.allowed.iter().filter(|a| !failure.message.contains(*a)) {
        let named = failure.hint.as_deref().is_some_and(|hint| hint.contains(item.as_str()));
        if !named {
            out.push_str("  ");
            out.push_str(&clean(item));
            out.push('\n');
        }
    }
    if let Some(hint) = failure.hint.as_deref().filter(|h| !h.is_empty()) {
        out.push_str(&wrap(&format!("  hint: {}", clean(hint)), 100, 8));
        out.push('\n');
    }
    out
}
