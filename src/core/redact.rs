//! Secrets out of texts: exact values of known variables before anything is recorded, what looks like a key in texts for others.
//!
//! The two are kept apart on purpose. An exact value is replaced everywhere, prompts and answers included. A form is only looked
//! for in logs, bodies of errors and reports: a prompt that talks about keys is left as it is.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::base64;
use super::environment::Environment;

/// Bytes of the shortest secret. Replacing shorter values would tear ordinary text apart.
pub const SHORTEST: usize = 8;

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

/// The text without what looks like a key, whoever it belongs to. For logs, bodies of errors and reports; never for prompts and
/// answers.
pub fn patterns(text: &str) -> Cow<'_, str> {
    match KEYS.as_ref() {
        Some(keys) => keys.replace_all(text, "${bearer}[key removed]"),
        None => Cow::Borrowed(text),
    }
}

/// The values of variables that hold secrets, in every form in which they are usually passed on. Cheap to clone. Prints the
/// names only.
#[derive(Clone, Default)]
pub struct Redactor {
    /// A form of a value and what stands in its place, longest first.
    values: Arc<[(String, String)]>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: BTreeSet<&str> = self.values.iter().map(|(_, name)| name.as_str()).collect();
        f.debug_set().entries(names).finish()
    }
}

impl Redactor {
    /// The values that `variables` have in `env`.
    pub fn of<'a>(env: &Environment, variables: impl IntoIterator<Item = &'a str>) -> Self {
        let mut values: Vec<(String, String)> = Vec::new();
        for variable in variables {
            // A key with a line break at its end is sent without it.
            let value = env.get(variable).unwrap_or_default().trim();
            if value.len() >= SHORTEST {
                values.extend(forms(value).into_iter().map(|form| (form, format!("[{variable}]"))));
            }
        }
        values.sort_by(|(a, name_a), (b, name_b)| b.len().cmp(&a.len()).then(name_a.cmp(name_b)));
        Self { values: values.into() }
    }

    /// What both know.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut values: Vec<(String, String)> = self.values.iter().chain(other.values.iter()).cloned().collect();
        values.sort_by(|(a, name_a), (b, name_b)| b.len().cmp(&a.len()).then(name_a.cmp(name_b)));
        values.dedup();
        Self { values: values.into() }
    }

    /// Whether no secret is known.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Replaces the known values.
    pub fn exact(&self, text: &mut String) {
        for (value, name) in self.values.iter() {
            if text.contains(value) {
                *text = text.replace(value, name);
            }
        }
    }

    /// The last place at or before `at` where the text can be cut without cutting a known value: half of one would be known no more.
    pub fn cut(&self, text: &str, at: usize) -> usize {
        let mut cut = at.min(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        loop {
            let through = |(value, _): &(String, String)| {
                let from = cut.saturating_sub(value.len() - 1);
                let from = (from..=cut).find(|at| text.is_char_boundary(*at))?;
                let to = text.len().min(cut + value.len() - 1);
                let to = (cut..=to).rev().find(|at| text.is_char_boundary(*at))?;
                text[from..to].match_indices(value.as_str()).map(|(start, _)| from + start).find(|start| *start < cut)
            };
            match self.values.iter().filter_map(through).min() {
                Some(start) => cut = start,
                None => return cut,
            }
        }
    }

    /// The text without the known values and without what looks like a key: for logs, bodies of errors and reports.
    pub fn for_others(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.exact(&mut text);
        match patterns(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => clean,
        }
    }
}

/// A value as it is, URL-encoded, inside a JSON string, and in Base64 wherever it begins in what was encoded.
fn forms(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([value.to_owned()]);
    for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
        forms.insert(url_encoded(value, digits));
    }
    let json = serde_json::Value::from(value).to_string();
    forms.insert(json[1..json.len() - 1].to_owned());
    for before in 0..3_usize {
        let bytes = [&b"\0\0"[..before], value.as_bytes()].concat();
        let encoded = base64::encode(&bytes);
        // Characters that also hold bits of the neighbours are left out: what is before is not known, nor what follows.
        let first = (8 * before).div_ceil(6);
        let last = 8 * bytes.len() / 6;
        let inner = &encoded[first..last];
        if inner.len() >= SHORTEST {
            forms.insert(inner.replace('+', "-").replace('/', "_"));
            forms.insert(inner.to_owned());
        }
    }
    forms
}

fn url_encoded(value: &str, digits: &[u8; 16]) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(digits[usize::from(byte >> 4)]));
            out.push(char::from(digits[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "canary/0123+4567=\"89";

    #[test]
    fn a_cut_goes_through_no_known_value() {
        let text = format!("ä {VALUE}{VALUE} and more");
        let (first, second) = (3, 3 + VALUE.len());
        let end = second + VALUE.len();
        let redactor = redactor();
        for at in 0..=text.len() + 5 {
            let wanted = match at {
                1 => 0,
                _ if at > first && at < second => first,
                _ if at > second && at < end => second,
                _ => at.min(text.len()),
            };
            assert_eq!(redactor.cut(&text, at), wanted, "{at}");
        }
        assert_eq!(Redactor::default().cut(&text, 7), 7);
        // Values that overlap.
        let vars = [("A_KEY".to_owned(), "abcdefghij".to_owned()), ("B_KEY".to_owned(), "hijklmnopq".to_owned())];
        let redactor = Redactor::of(&Environment::new(vars), ["A_KEY", "B_KEY"]);
        assert_eq!(redactor.cut("- abcdefghijklmnopq -", 14), 2);
    }

    fn redactor() -> Redactor {
        let vars = [("A_KEY", VALUE), ("SHORT_KEY", "1234567")].map(|(name, value)| (name.into(), value.into()));
        Redactor::of(&Environment::new(vars), ["A_KEY", "SHORT_KEY", "UNSET_KEY"])
    }

    fn exact(text: &str) -> String {
        let mut text = text.to_owned();
        redactor().exact(&mut text);
        text
    }

    #[test]
    fn a_known_value_is_replaced_as_it_is_and_as_others_encode_it() {
        assert_eq!(exact(&format!("x {VALUE} y 1234567")), "x [A_KEY] y 1234567");
        assert_eq!(exact("?key=canary%2F0123%2B4567%3D%2289&x"), "?key=[A_KEY]&x");
        assert_eq!(exact("?key=canary%2f0123%2b4567%3d%2289"), "?key=[A_KEY]");
        assert_eq!(exact(&serde_json::json!([VALUE]).to_string()), "[\"[A_KEY]\"]");
    }

    #[test]
    fn a_known_value_is_found_in_base64_wherever_it_begins() {
        for before in ["", "u", "us", "use", "user:"] {
            for after in ["", "!", "??", "..."] {
                let encoded = base64::encode(format!("{before}{VALUE}{after}").as_bytes());
                for text in [encoded.clone(), encoded.replace('+', "-").replace('/', "_")] {
                    assert!(exact(&text).contains("[A_KEY]"), "{before} {after}: {text}");
                }
            }
        }
    }

    #[test]
    fn a_redactor_never_prints_a_value() {
        assert_eq!(format!("{:?}", redactor()), "{\"[A_KEY]\"}");
        assert!(Redactor::default().is_empty());
    }

    #[test]
    fn texts_for_others_lose_known_values_and_what_looks_like_a_key() {
        let text = format!("{VALUE} and sk-abcdefghijklmnop1234");
        assert_eq!(redactor().for_others(&text), "[A_KEY] and [key removed]");
        assert_eq!(redactor().for_others("nothing here"), "nothing here");
    }

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
            assert_eq!(patterns(&format!("key \"{key}\" is wrong")), "key \"[key removed]\" is wrong", "{key}");
        }
        assert_eq!(patterns(&format!("authorization: Bearer {long}=")), "authorization: Bearer [key removed]");
    }

    #[test]
    fn ordinary_text_stays() {
        for text in ["ask-me-anything-about-this-long-task", "sk-short", "a bearer of news", "eyJ.a.b", "risk-free"] {
            assert_eq!(patterns(text), text);
        }
    }
}
