//! Words and numbers on a terminal: colours, cut labels, durations, tokens, money, sketches of values.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::core::outcome::CostSource;
use crate::core::time::Millis;
use crate::engine::view::Usd;

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours when `on`.
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether there are colours.
    pub fn is_on(self) -> bool {
        self.on
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What went wrong.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What went well.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What needs a look.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What stands back.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
}

/// Text of others on one line: control and direction characters, which could drive the terminal, become spaces.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let risky =
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
        out.push(if risky { ' ' } else { c });
    }
    out
}

/// Columns of one character: none for marks that join others, two for wide scripts and pictures.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Number of columns.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The beginning of `text`, on at most `max` columns.
fn start_of(text: &str, max: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += columns(c);
        if used > max {
            return &text[..at];
        }
    }
    text
}

/// The end of `text`, on at most `max` columns.
fn end_of(text: &str, max: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        used += columns(c);
        if used > max {
            return &text[at + c.len_utf8()..];
        }
    }
    text
}

/// A label on at most `max` columns, cut in the middle; the cut moves to a `/` when one is near.
pub fn cut_middle(text: &str, max: usize) -> String {
    let text = clean(text);
    if width(&text) <= max {
        return text;
    }
    if max < 8 {
        return cut_end(&text, max);
    }
    let mut tail = end_of(&text, (max - 1) / 2);
    if let Some(at) = tail.find('/').filter(|at| width(&tail[..*at]) < width(tail) / 2) {
        tail = &tail[at..];
    }
    format!("{}…{tail}", start_of(&text, max - 1 - width(tail)))
}

/// Text on at most `max` columns, cut at the end.
pub fn cut_end(text: &str, max: usize) -> String {
    if width(text) <= max { text.to_owned() } else { format!("{}…", start_of(text, max.saturating_sub(1))) }
}

/// Text on at most `max` columns, cut with three dots: the beginning of something longer.
pub fn cut_dots(text: &str, max: usize) -> String {
    if width(text) <= max { text.to_owned() } else { format!("{}...", start_of(text, max.saturating_sub(3))) }
}

/// `text` and spaces up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    let fill = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(fill))
}

/// Spaces and `text` up to `columns`.
pub fn pad_left(text: &str, columns: usize) -> String {
    let fill = columns.saturating_sub(width(text));
    format!("{}{text}", " ".repeat(fill))
}

/// Breaks a line between words so that none passes `max` columns; further lines begin with `indent` spaces.
pub fn wrap(text: &str, max: usize, indent: usize) -> String {
    let lead: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut out = lead.clone();
    let mut column = width(&lead);
    let mut first = true;
    for word in text.trim_start_matches(' ').split(' ') {
        let size = width(word);
        if !first && column + 1 + size > max && column > indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += size;
        first = false;
    }
    out
}

/// `1 call`, `40 calls`.
pub fn plural(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// A duration: `0.4s`, `12.4s`, `4m12s`, `2h05m`.
pub fn duration(ms: u64) -> String {
    if ms < 59_950 {
        let tenths = (ms + 50) / 100;
        format!("{}.{}s", tenths / 10, tenths % 10)
    } else {
        whole_duration(ms)
    }
}

/// A duration in whole seconds: `58s`, `1m41s`, `2h05m`.
pub fn whole_duration(ms: u64) -> String {
    let seconds = (ms + 500) / 1000;
    if seconds < 60 {
        format!("{seconds}s")
    } else if seconds < 3600 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60)
    }
}

/// An age in one unit: `12s`, `18m`, `2h`, `1d`.
pub fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m", seconds / 60),
        3600..=86_399 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A time point of a view; none when it does not have the form.
pub fn instant(text: &str) -> Option<Millis> {
    let at = humantime::parse_rfc3339(text).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Millis)
}

/// How long ago a time point of a view was.
pub fn ago(text: &str, now: Millis) -> String {
    instant(text).map_or_else(|| text.to_owned(), |at| format!("{} ago", age(now.since(at))))
}

/// The time of day of a time point of a view: `14:32`.
pub fn hour_minute(text: &str) -> &str {
    text.get(11..16).unwrap_or(text)
}

/// A number in few characters: `402`, `3.2k`, `412k`, `1.4M`.
pub fn count(n: u64) -> String {
    let tenths = |unit: u64| {
        let t = (n + unit / 20) / (unit / 10);
        (t / 10, t % 10)
    };
    match n {
        0..=999 => n.to_string(),
        1000..=9949 => {
            let (whole, tenth) = tenths(1000);
            format!("{whole}.{tenth}k")
        }
        9950..=999_499 => format!("{}k", (n + 500) / 1000),
        _ => {
            let (whole, tenth) = tenths(1_000_000);
            format!("{whole}.{tenth}M")
        }
    }
}

/// A number of tokens with one decimal: `0.4k`, `31.0k`, `1.4M`; under a hundred as it is.
pub fn kilo(n: u64) -> String {
    if n < 100 {
        return n.to_string();
    }
    let (unit, sign) = if n < 999_950 { (1000, 'k') } else { (1_000_000, 'M') };
    let tenths = (n + unit / 20) / (unit / 10);
    format!("{}.{}{sign}", tenths / 10, tenths % 10)
}

/// A size: `27 B`, `3.2 KB`, `1.4 MB`.
pub fn size(bytes: u64) -> String {
    let tenths = |unit: u64| {
        let t = (bytes * 10 + unit / 2) / unit;
        format!("{}.{}", t / 10, t % 10)
    };
    match bytes {
        0..=999 => format!("{bytes} B"),
        1000..=999_949 => format!("{} KB", tenths(1000)),
        999_950..=999_949_999 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

/// An amount: `$1.92`, `$0.006`.
pub fn dollars(usd: Usd) -> String {
    let amount = usd.get();
    if amount > 0.0 && amount < 0.01 {
        let text = format!("{amount:.6}");
        format!("${}", text.trim_end_matches('0'))
    } else {
        format!("${amount:.2}")
    }
}

/// A cost with its source: `$1.92`, `≈$0.11` (estimated, or partly), `$?` (unknown).
pub fn cost(usd: Option<Usd>, source: CostSource) -> String {
    match (usd, source) {
        (None, _) => "$?".to_owned(),
        (Some(usd), CostSource::Reported | CostSource::Simulated) => dollars(usd),
        (Some(usd), CostSource::Estimated | CostSource::Mixed) => format!("≈{}", dollars(usd)),
        (Some(usd), CostSource::Unknown) => format!("{} or more", dollars(usd)),
    }
}

/// What the sign of an estimate means, as a line of its own; empty when nothing was estimated by a table of prices.
pub fn estimates(days: &[String]) -> String {
    if days.is_empty() {
        return String::new();
    }
    format!("≈ {}\n", clean(&CostSource::Estimated.words(days)))
}

/// A path relative to `base` when it lies below it.
pub fn relative(path: &str, base: &Path) -> String {
    match Path::new(path).strip_prefix(base) {
        Ok(below) if !below.as_os_str().is_empty() && !base.as_os_str().is_empty() => below.display().to_string(),
        Ok(_) | Err(_) => path.to_owned(),
    }
}

/// A value in at most `max` columns: small ones whole, else its shape (`{"findings": [17 items]}`). The flag says whether
/// something was left out.
pub fn sketch(value: &Value, max: usize) -> (String, bool) {
    let whole = spaced(value);
    if width(&whole) <= max {
        return (whole, false);
    }
    let text = match value {
        Value::Object(map) => {
            let mut out = String::from("{");
            for (i, (key, item)) in map.iter().enumerate() {
                let part = format!("{}{}: {}", if i > 0 { ", " } else { "" }, Value::from(clean(key)), shape(item));
                if width(&out) + width(&part) + 4 > max {
                    out.push_str(if i > 0 { ", …" } else { "…" });
                    break;
                }
                out.push_str(&part);
            }
            out.push('}');
            out
        }
        Value::Array(items) => format!("[{}]", plural(items.len() as u64, "item")),
        Value::String(_) => cut_end(&whole, max),
        Value::Null | Value::Bool(_) | Value::Number(_) => whole,
    };
    (text, true)
}

/// A value for a pipe: a string as it is, anything else as indented JSON.
pub fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    }
}

fn shape(value: &Value) -> String {
    match value {
        Value::Array(items) if !items.is_empty() => format!("[{}]", plural(items.len() as u64, "item")),
        Value::Object(map) if !map.is_empty() => format!("{{{}}}", plural(map.len() as u64, "key")),
        Value::String(_) => {
            let whole = spaced(value);
            if width(&whole) <= 24 { whole } else { format!("{}\"", cut_end(&whole, 23)) }
        }
        other => other.to_string(),
    }
}

/// Compact JSON with a space after `:` and `,`.
fn spaced(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                let _ = write!(out, "{}{}: {}", if i > 0 { ", " } else { "" }, Value::from(clean(key)), spaced(item));
            }
            out.push('}');
        }
        Value::Array(items) => {
            let list: Vec<_> = items.iter().map(spaced).collect();
            let _ = write!(out, "[{}]", list.join(", "));
        }
        Value::String(text) => out = clean(&Value::from(text.as_str()).to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) => out = value.to_string(),
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_cut_in_the_middle_at_a_slash() {
        assert_eq!(cut_middle("review:src/legacy/parser.ts", 24), "review:src/le…/parser.ts");
        assert_eq!(cut_middle("scan", 24), "scan");
        assert_eq!(cut_middle("ä".repeat(30).as_str(), 11), "äääää…äääää");
        assert_eq!(cut_middle("a\u{1b}[31mb", 24), "a [31mb");
        let wide = cut_middle(&"漢字".repeat(20), 20);
        assert!(width(&wide) <= 20 && wide.contains('…'), "{wide}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [402, 1500, 3249, 9949, 9950, 41_000, 412_113, 999_499, 999_500, 1_400_000].map(count),
            ["402", "1.5k", "3.2k", "9.9k", "10k", "41k", "412k", "999k", "1.0M", "1.4M"]
        );
        assert_eq!([12, 402, 15_210, 31_020, 1_400_000].map(kilo), ["12", "0.4k", "15.2k", "31.0k", "1.4M"]);
        assert_eq!(
            [0, 400, 12_400, 59_949, 59_950, 252_000, 3_900_000].map(duration),
            ["0.0s", "0.4s", "12.4s", "59.9s", "1m00s", "4m12s", "1h05m"]
        );
        assert_eq!(whole_duration(58_000), "58s");
        assert_eq!([12_000, 120_000, 7_200_000, 90_000_000].map(age), ["12s", "2m", "2h", "1d"]);
    }

    #[test]
    fn money_says_how_sure_it_is() {
        let usd = |x| Some(Usd::new(x));
        assert_eq!(cost(usd(1.92), CostSource::Reported), "$1.92");
        assert_eq!(cost(usd(0.11), CostSource::Estimated), "≈$0.11");
        assert_eq!(cost(None, CostSource::Unknown), "$?");
        assert_eq!(cost(usd(0.006), CostSource::Reported), "$0.006");
        assert_eq!(cost(usd(0.0), CostSource::Simulated), "$0.00");
    }

    #[test]
    fn values_are_sketched() {
        let items: Vec<_> = (0..17).map(|i| json!({ "file": format!("src/file{i}.ts"), "line": i })).collect();
        assert_eq!(sketch(&json!({ "findings": items }), 60), ("{\"findings\": [17 items]}".to_owned(), true));
        assert_eq!(sketch(&json!({ "b": 1, "a": [2] }), 60), ("{\"b\": 1, \"a\": [2]}".to_owned(), false));
        assert_eq!(sketch(&json!("x".repeat(100)), 10).0, "\"xxxxxxxx…");
        assert_eq!(sketch(&json!(null), 10), ("null".to_owned(), false));
    }

    #[test]
    fn long_lines_break_between_words() {
        let line = "14:34:31 FAIL c0009 review:src/legacy/parser.ts schema_failed /findings/0/line must be integer, got \"around 120\"";
        assert_eq!(
            wrap(line, 80, 9),
            "14:34:31 FAIL c0009 review:src/legacy/parser.ts schema_failed /findings/0/line\n         must be integer, got \"around 120\""
        );
    }
}
