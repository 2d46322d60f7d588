//! A request that could not be served, for people.

use super::text::{Paint, clean, wrap};
use crate::core::failure::Failure;

/// `error: message`, what would be accepted when the hint does not say it, `  hint: ...`.
pub fn failure(failure: &Failure, paint: &Paint) -> String {
    let mut out = format!("{} {}\n", paint.red("error:"), clean(&failure.message));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::failure::Code;

    #[test]
    fn an_ambiguous_name_lists_both_files_and_the_hint() {
        let shown = failure(
            &Failure::new(Code::Ambiguous, "two workflows are named \"review\" in one directory")
                .allowed([".claude/workflows/review.js", ".claude/workflows/review-old.js"])
                .hint("owf run .claude/workflows/review.js"),
            &Paint::new(false),
        );
        assert_eq!(
            shown,
            "error: two workflows are named \"review\" in one directory\n  .claude/workflows/review-old.js\n  hint: owf run .claude/workflows/review.js\n"
        );
    }
}
