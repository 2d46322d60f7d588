//! What names and words mean to the generator: which flags are bad news, which lists hold trouble, which words are good.

/// The lower-case words of a property name: `needsReview`, `needs_review` and `needs-review` are the same.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut previous_lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() {
            previous_lower = false;
            out.push(String::new());
            continue;
        }
        if out.is_empty() || (letter.is_uppercase() && previous_lower) {
            out.push(String::new());
        }
        if let Some(last) = out.last_mut() {
            last.extend(letter.to_lowercase());
        }
        previous_lower = letter.is_lowercase() || letter.is_numeric();
    }
    out.retain(|word| !word.is_empty());
    out
}

/// Beginnings of words that make a flag bad news when it is true.
const BAD_FLAGS: &[&str] = &[
    "abort",
    "blocked",
    "blocking",
    "broken",
    "bug",
    "conflict",
    "duplicate",
    "error",
    "fail",
    "invalid",
    "issue",
    "missing",
    "need",
    "outdated",
    "problem",
    "refute",
    "reject",
    "risk",
    "skip",
    "stale",
    "timeout",
    "unresolved",
    "unsafe",
    "violat",
    "vulnerab",
];

/// Beginnings of words that make a list one of troubles.
const BAD_LISTS: &[&str] = &[
    "blocker",
    "conflict",
    "deferred",
    "error",
    "fail",
    "missing",
    "rejected",
    "reject",
    "remaining",
    "skipped",
    "unresolved",
    "violat",
    "warning",
];

const GOOD_VALUES: &[&str] = &[
    "pass",
    "ok",
    "approve",
    "complete",
    "valid",
    "yes",
    "success",
    "done",
    "accept",
    "ready",
    "confirmed",
    "true",
    "clean",
    "resolved",
    "green",
    "lgtm",
    "merge",
    "keep",
];

const BAD_VALUES: &[&str] = &[
    "fail",
    "reject",
    "no",
    "invalid",
    "error",
    "block",
    "incomplete",
    "denied",
    "deny",
    "refute",
    "false",
    "abort",
    "needs",
    "request",
    "critical",
    "unresolved",
    "red",
    "broken",
    "skip",
    "drop",
];

fn starts_any(name: &str, beginnings: &[&str]) -> bool {
    words(name).iter().any(|word| beginnings.iter().any(|beginning| word.starts_with(beginning)))
}

/// Whether a flag of this name is bad news when it is true.
pub(super) fn is_bad_flag(name: &str) -> bool {
    let negated = words(name).iter().any(|word| matches!(word.as_str(), "no" | "not" | "without" | "non"));
    starts_any(name, BAD_FLAGS) != negated
}

/// Whether a list of this name holds trouble.
pub(super) fn is_bad_list(name: &str) -> bool {
    starts_any(name, BAD_LISTS)
}

/// How good a word is as an answer: lower is better; none when it says nothing.
fn rank(text: &str, list: &[&str]) -> Option<usize> {
    let words = words(text);
    let hit =
        |want: &&str| words.iter().any(|word| if want.len() <= 2 { word == want } else { word.starts_with(*want) });
    list.iter().position(hit)
}

/// The place of the best (or, for `good` false, of the worst) of some values; the first when none says anything.
pub(super) fn pick(values: &[Option<&str>], good: bool) -> usize {
    let (wanted, unwanted) = if good { (GOOD_VALUES, BAD_VALUES) } else { (BAD_VALUES, GOOD_VALUES) };
    let score = |text: &str| match (rank(text, wanted), rank(text, unwanted)) {
        (Some(place), None) => place,
        // `not approved`, `invalid pass`: both kinds of words make it no clear case.
        (Some(_), Some(_)) | (None, None) => 1000,
        (None, Some(_)) => 2000,
    };
    let scored = values.iter().enumerate().filter_map(|(i, value)| value.map(|text| (score(text), i)));
    let best = scored.min().filter(|(score, _)| *score < 1000);
    best.map(|(_, i)| i).or_else(|| values.iter().position(Option::is_some)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_words() {
        assert_eq!(words("hasIssues"), ["has", "issues"]);
        assert_eq!(words("needs_more-Work"), ["needs", "more", "work"]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn bad_news_is_recognised() {
        for name in ["blocked", "isStale", "needsChanges", "has_issues", "failed", "duplicate"] {
            assert!(is_bad_flag(name), "{name}");
        }
        for name in ["passed", "approved", "isReal", "no_errors", "ok"] {
            assert!(!is_bad_flag(name), "{name}");
        }
        assert!(is_bad_list("missingTests") && is_bad_list("skipped_files") && !is_bad_list("files"));
    }

    #[test]
    fn the_favourable_word_is_picked() {
        fn pick<'a>(words: &[&'a str], good: bool) -> &'a str {
            words[super::pick(&words.iter().copied().map(Some).collect::<Vec<_>>(), good)]
        }
        assert_eq!(pick(&["FAIL", "PASS"], true), "PASS");
        assert_eq!(pick(&["request_changes", "approve"], true), "approve");
        assert_eq!(pick(&["approve", "request_changes"], false), "request_changes");
        assert_eq!(pick(&["incomplete", "complete"], true), "complete");
        assert_eq!(pick(&["low", "high"], true), "low");
        assert_eq!(pick(&["low", "high"], false), "low");
        assert_eq!(pick(&["valid", "invalid"], false), "invalid");
    }
}
