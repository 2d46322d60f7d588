//! What may be said of a service's error: bounded, in one line, without keys and without parts of keys.

use std::sync::LazyLock;

use regex::Regex;

use crate::core::redact::Redactor;

/// The most characters of an error that are kept.
const MOST: usize = 600;

/// Keys that a service shows in part: `sk-proj-ab********wxyz`.
static MASKED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]*\*+[A-Za-z0-9_*-]*").ok());

/// The text as a reader may see it.
pub(super) fn clean(secrets: &Redactor, text: &str) -> String {
    // A key must not survive because the cut goes through it: everything is replaced before.
    let mut text = secrets.for_others(text);
    if let Some(masked) = MASKED.as_ref() {
        text = masked.replace_all(&text, "[key removed]").into_owned();
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::environment::Environment;

    #[test]
    fn keys_go_whole_or_in_part_and_the_rest_is_bounded() {
        let env = Environment::new([("THE_KEY".to_owned(), "canary-0123".to_owned())]);
        let secrets = Redactor::of(&env, ["THE_KEY"]);
        assert_eq!(
            clean(&secrets, "Incorrect API key provided: sk-proj-ab**********wxyz.\n You sent canary-0123"),
            "Incorrect API key provided: [key removed]. You sent [THE_KEY]"
        );
        assert_eq!(clean(&secrets, &"ä".repeat(5_000)).chars().count(), 601);
        let at_the_cut = clean(&secrets, &format!("{}sk-0123456789abcdef", "x ".repeat(298)));
        assert!(!at_the_cut.contains("sk-0"), "{at_the_cut}");
    }
}
