//! What may be said of a service's error: bounded, and without anything that is or looks like a key.

use std::sync::LazyLock;

use regex::Regex;

use crate::core::environment::Environment;

/// The most characters of an error that are kept.
const MOST: usize = 600;
/// Shorter values are no keys: replacing them would tear ordinary text apart.
const SHORTEST: usize = 8;

/// Keys by their form.
const FORMS: &str = r"(?x)
    \b sk-(?:ant-|proj-|or-|svcacct-)? [A-Za-z0-9_*.-]{8,}
  | \b AIza [A-Za-z0-9_-]{20,}
  | \b xox[a-z]- [A-Za-z0-9-]{10,}
  | \b gh[a-z]_ [A-Za-z0-9]{20,}
  | \b eyJ[A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{8,}
  | (?P<bearer> (?i: \b bearer) \s+) [A-Za-z0-9._~+/-]{8,} =*
";

static KEYS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(FORMS).ok());

/// Removes keys from texts: exact values, also as they stand in addresses and in base64, and whatever has the form of a key.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    values: Vec<(String, String)>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Redactor").field(&self.values.len()).finish()
    }
}

impl Redactor {
    /// One for the values that `variables` have in `env`.
    pub(super) fn new<'a>(env: &Environment, variables: impl Iterator<Item = &'a str>) -> Self {
        let mut values = Vec::new();
        for name in variables {
            let Some(value) = env.get(name).map(str::trim).filter(|value| value.len() >= SHORTEST) else { continue };
            for form in [value.to_owned(), url_encoded(value), base64(value.as_bytes())] {
                values.push((form, format!("[{name}]")));
            }
        }
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values }
    }

    /// The text in one line, without keys, and no longer than a reader needs.
    pub(super) fn clean(&self, text: &str) -> String {
        // A key must not survive because the cut goes through it: everything is replaced before.
        let mut text = text.to_owned();
        for (value, name) in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), name);
            }
        }
        if let Some(keys) = KEYS.as_ref() {
            text = keys.replace_all(&text, "${bearer}[key removed]").into_owned();
        }
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(MOST) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

fn url_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Base64 without padding, so that it is found with and without.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        for i in 0..=chunk.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * i)) as usize & 63]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_values_are_replaced_also_encoded() {
        let env =
            Environment::new([("THE_KEY".to_owned(), "canary/+=0123".to_owned()), ("S".to_owned(), "short".into())]);
        let redactor = Redactor::new(&env, ["THE_KEY", "S", "NONE"].into_iter());
        let text = "a canary/+=0123 b canary%2F%2B%3D0123 c Y2FuYXJ5Lys9MDEyMw== d short";
        assert_eq!(redactor.clean(text), "a [THE_KEY] b [THE_KEY] c [THE_KEY]== d short");
        assert!(!format!("{redactor:?}").contains("canary"));
    }

    #[test]
    fn forms_of_keys_are_replaced_and_the_rest_is_bounded() {
        let redactor = Redactor::default();
        assert_eq!(
            redactor.clean("Incorrect API key provided: sk-proj-ab**********wxyz.\n Bearer abcdefgh1234 eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl AIzaSyA1234567890abcdefghijk"),
            "Incorrect API key provided: [key removed] Bearer [key removed] [key removed] [key removed]"
        );
        let long = redactor.clean(&"ä".repeat(5_000));
        assert_eq!(long.chars().count(), 601);
        let at_the_cut = format!("{}sk-0123456789abcdef", "x ".repeat(298));
        assert!(!redactor.clean(&at_the_cut).contains("sk-0"), "{}", redactor.clean(&at_the_cut));
    }
}
