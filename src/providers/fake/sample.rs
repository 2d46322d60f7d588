//! Texts that fit a schema: by format, by name, by pattern, within length.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Value, json};

use super::words::words;
use crate::core::ids::Hash;
use crate::core::run::Mood;
use crate::providers::schema::compile;

/// Longer texts are not made, whatever a schema asks for.
const LONGEST: usize = 100_000;

/// What a text is for.
pub(super) struct Wanted<'a> {
    /// The name of the property, or of the list it stands in.
    pub(super) key: &'a str,
    /// Its number among its siblings, from 1.
    pub(super) ordinal: usize,
    /// Which of several fitting texts.
    pub(super) salt: usize,
    pub(super) mood: Mood,
    pub(super) seed: &'a Hash,
}

/// A text that fits the string keywords of `shape`, as well as it can be found.
pub(super) fn text(shape: &Map<String, Value>, wanted: &Wanted<'_>) -> String {
    let bound = |key: &str| shape.get(key).and_then(Value::as_f64).map(|n| n.max(0.0) as usize);
    let min = bound("minLength").unwrap_or(0).min(LONGEST);
    let max = bound("maxLength").unwrap_or(usize::MAX).max(min);
    let format = shape.get("format").and_then(Value::as_str).and_then(|format| by_format(format, wanted));
    let plain = match (wanted.mood, format) {
        (Mood::Empty, _) if wanted.salt > 0 => wanted.salt.to_string(),
        (Mood::Empty, _) => String::new(),
        (Mood::Happy | Mood::Unhappy | Mood::Fail, Some(text)) => text,
        (Mood::Happy | Mood::Unhappy | Mood::Fail, None) => by_name(wanted),
    };
    let plain = fit(&plain, min, max);
    let Some(pattern) = shape.get("pattern").and_then(Value::as_str) else { return plain };
    let checker = compile(&json!({"type": "object", "properties": {"text": {"pattern": pattern}}})).ok();
    let fits = |text: &str| {
        let length = text.chars().count();
        let matches = checker.as_ref().is_none_or(|checker| checker.accepts(&json!({ "text": text })));
        (min..=max).contains(&length) && matches
    };
    if fits(&plain) {
        return plain;
    }
    from_pattern(pattern, wanted, min, &fits)
        .or_else(|| COMMON.iter().map(|text| fit(text, min, max)).find(|text| fits(text)))
        .unwrap_or(plain)
}

/// Texts that often satisfy patterns which cannot be taken apart (look-around, back references).
const COMMON: &[&str] = &[
    "sample-1",
    "sample1",
    "sample",
    "Sample1",
    "SAMPLE",
    "SAMPLE-1",
    "1",
    "123",
    "1.0.0",
    "v1.0.0",
    "a",
    "A",
    "Sample1!",
    "aA1!aA1!",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "src/sample.ts",
    "https://example.com/sample",
    "sample@example.com",
    "#ffffff",
    "0x1f",
    "00000000-0000-4000-8000-000000000001",
    "PASS",
    "yes",
    "sample text",
    "Sample text.",
];

/// Cuts from the front, because the number that tells siblings apart stands at the end; or repeats the last letter.
fn fit(text: &str, min: usize, max: usize) -> String {
    let length = text.chars().count();
    if length > max {
        return text.chars().skip(length - max).collect();
    }
    let mut out = text.to_owned();
    out.extend(std::iter::repeat_n('x', min.saturating_sub(length)));
    out
}

fn day(n: usize) -> String {
    format!("2026-{:02}-{:02}", 1 + (n / 28) % 12, 1 + n % 28)
}

fn number(wanted: &Wanted<'_>) -> usize {
    wanted.ordinal + wanted.salt
}

fn by_format(format: &str, wanted: &Wanted<'_>) -> Option<String> {
    let n = number(wanted);
    Some(match format {
        "date-time" => format!("{}T00:00:00Z", day(n - 1)),
        "date" => day(n - 1),
        "time" => format!("00:{:02}:00Z", n % 60),
        "duration" => format!("P{n}D"),
        "email" | "idn-email" => format!("sample{n}@example.com"),
        "hostname" | "idn-hostname" => format!("sample{n}.example.com"),
        "uri" | "url" | "iri" => format!("https://example.com/sample/{n}"),
        "uri-reference" | "iri-reference" | "uri-template" | "json-pointer" => format!("/sample/{n}"),
        "uuid" => format!("00000000-0000-4000-8000-{n:012x}"),
        "ipv4" => format!("192.0.2.{}", n % 256),
        "ipv6" => format!("2001:db8::{:x}", n % 0xffff),
        "regex" => format!("^sample{n}$"),
        _ => return None,
    })
}

fn by_name(wanted: &Wanted<'_>) -> String {
    let n = number(wanted);
    let words = words(wanted.key);
    let has = |names: &[&str]| words.iter().any(|word| names.contains(&word.as_str()));
    let slug = if words.is_empty() { "sample".to_owned() } else { words.join("-") };
    if has(&["sha", "commit", "hash", "digest", "checksum"]) {
        let digest = Hash::of(format!("{}\n{}\n{n}", wanted.seed, wanted.key)).to_string();
        return digest.get(..40).unwrap_or(&digest).to_owned();
    }
    if has(&["url", "uri", "link", "href", "homepage"]) {
        return format!("https://example.com/{slug}/{n}");
    }
    if has(&["path", "paths", "file", "files", "filename", "filepath"]) {
        return format!("src/sample{n}.ts");
    }
    if has(&["dir", "directory", "folder"]) {
        return format!("src/sample{n}");
    }
    if has(&["date", "day", "deadline"]) {
        return day(n - 1);
    }
    if has(&["timestamp", "datetime"]) || words.last().is_some_and(|word| word == "at" && words.len() > 1) {
        return format!("{}T00:00:00Z", day(n - 1));
    }
    if has(&["email"]) {
        return format!("sample{n}@example.com");
    }
    if has(&["version"]) {
        return format!("1.0.{n}");
    }
    if has(&["id", "ids", "uuid", "slug", "key"]) {
        return format!("{slug}-{n}");
    }
    let key = if wanted.key.is_empty() { "value" } else { wanted.key };
    format!("sample {key} {n}")
}

/// A text made by walking the pattern, longer and longer until it fits.
fn from_pattern(pattern: &str, wanted: &Wanted<'_>, min: usize, fits: &dyn Fn(&str) -> bool) -> Option<String> {
    let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
    let stretches = (0..=8).chain([12, 16, 24, 32, 64, min, min.saturating_sub(1)]);
    for stretch in stretches {
        for turn in 0..4 {
            let mut walk = Walk { out: String::new(), stretch, turn: wanted.ordinal + wanted.salt - 1 + turn };
            walk.go(&hir, 0);
            if fits(&walk.out) {
                // Siblings differ by their number where the pattern lets them.
                let numbered = format!("{}{}", walk.out, number(wanted));
                return Some(if number(wanted) > 1 && fits(&numbered) { numbered } else { walk.out });
            }
        }
    }
    None
}

struct Walk {
    out: String,
    /// How often something that may be repeated at will is repeated beyond its minimum.
    stretch: usize,
    /// Which alternative, and which letter of a class.
    turn: usize,
}

impl Walk {
    fn go(&mut self, hir: &Hir, depth: usize) {
        if self.out.len() > LONGEST || depth > 100 {
            return;
        }
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.out.push_str(&String::from_utf8_lossy(&literal.0)),
            HirKind::Class(class) => {
                let letter = self.letter(class);
                self.out.extend(letter);
            }
            HirKind::Repetition(repetition) => {
                let least = repetition.min as usize;
                let most = repetition.max.map_or(usize::MAX, |max| max as usize);
                let count = least.saturating_add(self.stretch).min(most).min(LONGEST);
                for _ in 0..count {
                    self.go(&repetition.sub, depth + 1);
                    if self.out.len() > LONGEST {
                        break;
                    }
                }
            }
            HirKind::Capture(capture) => self.go(&capture.sub, depth + 1),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.go(part, depth + 1)),
            HirKind::Alternation(branches) => {
                if let Some(branch) = branches.get(self.turn % branches.len().max(1)) {
                    self.go(branch, depth + 1);
                }
            }
        }
    }

    fn letter(&self, class: &Class) -> Option<char> {
        let ranges: Vec<(char, char)> = match class {
            Class::Unicode(unicode) => unicode.ranges().iter().map(|range| (range.start(), range.end())).collect(),
            Class::Bytes(bytes) => {
                bytes.ranges().iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
            }
        };
        let within = |letter: &char| ranges.iter().any(|(from, to)| (*from..=*to).contains(letter));
        let liked: Vec<char> = "abcdefghij123456789ABCDEFGHIJ0-_. ".chars().filter(within).collect();
        // Within one kind of letters, so that neighbours look alike.
        let nice = liked.len().min(9);
        if nice > 0 { liked.get(self.turn % nice).copied() } else { ranges.first().map(|(from, _)| *from) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn made(shape: &Value, key: &str, ordinal: usize) -> String {
        let wanted = Wanted { key, ordinal, salt: 0, mood: Mood::Happy, seed: &Hash::of("seed") };
        text(shape.as_object().unwrap(), &wanted)
    }

    #[test]
    fn names_decide_what_a_text_looks_like() {
        assert_eq!(made(&json!({}), "claim", 2), "sample claim 2");
        assert_eq!(made(&json!({}), "filePath", 1), "src/sample1.ts");
        assert_eq!(made(&json!({}), "source_url", 1), "https://example.com/source-url/1");
        assert_eq!(made(&json!({}), "createdAt", 1), "2026-01-01T00:00:00Z");
        assert_eq!(made(&json!({}), "commitSha", 1).len(), 40);
        assert_eq!(made(&json!({"format": "email"}), "x", 1), "sample1@example.com");
    }

    #[test]
    fn length_and_pattern_are_kept() {
        assert_eq!(made(&json!({"maxLength": 5}), "claim", 1), "aim 1");
        assert_eq!(made(&json!({"minLength": 16}), "claim", 1), "sample claim 1xx");
        for pattern in [
            "^[A-Z]{2,4}-\\d+$",
            "^(low|medium|high)$",
            "^v?\\d+\\.\\d+\\.\\d+(-[a-z]+)?$",
            "^[0-9a-f]{40}$",
            "^\\S+@\\S+\\.\\S+$",
            "^(?!.*bad)[a-z]+$",
            "^#[0-9A-Fa-f]{6}$",
            "foo",
        ] {
            let shape = json!({"pattern": pattern});
            let schema = json!({"type": "object", "properties": {"t": shape}});
            let text = made(&shape, "anything", 1);
            assert!(compile(&schema).unwrap().accepts(&json!({ "t": text })), "{pattern}: {text}");
        }
        assert_eq!(made(&json!({"pattern": "^[a-z]+$", "minLength": 20, "maxLength": 20}), "x", 1).len(), 20);
    }
}
