//! Texts that look like keys, whoever they belong to: replaced in reports, which are sent to others. Never in prompts.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// Keys of the providers and of common services by their form, bearer tokens, and JSON Web Tokens.
const FORMS: &str = r"(?x)
    \b sk-(?:ant-|proj-|or-|svcacct-)? [A-Za-z0-9_-]{16,}
  | \b AIza [A-Za-z0-9_-]{30,}
  | \b xox[a-z]- [A-Za-z0-9-]{10,}
  | \b gh[a-z]_ [A-Za-z0-9]{20,}
  | \b github_pat_ [A-Za-z0-9_]{20,}
  | \b eyJ[A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{8,}
  | (?P<bearer> (?i: \b bearer) \s+) [A-Za-z0-9._~+/-]{16,} =*
";

static KEYS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(FORMS).ok());

/// The text without what looks like a key.
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
    match KEYS.as_ref() {
        Some(keys) => keys.replace_all(text, "${bearer}[key removed]"),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_key_is_replaced() {
        let long = "abcdefghijklmnopqrstuvwxyz0123456789";
        let jwt = format!("eyJ{long}.{long}.{long}");
        for key in [
            format!("sk-{long}"),
            format!("sk-ant-api03-{long}"),
            format!("sk-proj-{long}"),
            format!("AIza{long}"),
            "xoxb-1234567890-abc".to_owned(),
            format!("ghp_{long}"),
            format!("github_pat_{long}"),
            jwt,
        ] {
            assert_eq!(redacted(&format!("key \"{key}\" is wrong")), "key \"[key removed]\" is wrong", "{key}");
        }
        assert_eq!(redacted(&format!("authorization: Bearer {long}=")), "authorization: Bearer [key removed]");
    }

    #[test]
    fn ordinary_text_stays() {
        for text in ["ask-me-anything-about-this-long-task", "sk-short", "a bearer of news", "eyJ.a.b", "risk-free"] {
            assert_eq!(redacted(text), text);
        }
    }
}
