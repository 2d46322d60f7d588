//! Words and numbers of a report; texts of others made harmless to look at, and cut.

use serde::Serialize;

use crate::core::redact::patterns;
use crate::engine::query::grouped;
use crate::engine::view::Usd;

/// A text of a script or an agent, in full or its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct Text {
    /// What is shown.
    pub(super) shown: String,
    /// The size of the whole, for a reader.
    pub(super) size: String,
    /// Whether something is left out.
    pub(super) cut: bool,
    /// Where the whole is, below the run directory.
    pub(super) file: Option<String>,
}

impl Text {
    /// The text within `room`, with the place of the whole.
    pub(super) fn new(text: &str, room: usize, file: Option<String>) -> Self {
        let (shown, cut) = block(text, room);
        Self { shown, size: bytes(text.len() as u64), cut, file }
    }

    /// The words under a text that was cut.
    pub(super) fn note(&self) -> Option<String> {
        let place = self.file.as_ref().map_or_else(String::new, |file| format!(": all of it is in {file}"));
        self.cut.then(|| format!("cut, {} in all{place}", self.size))
    }
}

/// What one character takes at most once it is escaped.
fn weight(c: char) -> usize {
    match c {
        '<' | '>' | '&' | '"' | '\'' | '/' => 6,
        _ => c.len_utf8(),
    }
}

/// Whether a character could drive a terminal, reorder a line, or hide.
fn is_risky(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text whose control characters are shown instead of obeyed; `lines` keeps line breaks and tabs.
fn visible(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\t' if lines => out.push(c),
            '\r' if lines => out.push('\n'),
            '\n' | '\t' | '\r' => out.push(' '),
            // Joins the parts of one picture; alone it does nothing.
            '\u{200d}' => out.push(c),
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            c if is_risky(c) => out.push_str(&format!("[U+{:04X}]", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The beginning of a text that takes at most `room` once escaped, and whether that is not all.
fn fit(text: &str, room: usize) -> (&str, bool) {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += weight(c);
        if used > room {
            return (&text[..at], true);
        }
    }
    (text, false)
}

/// Several lines of others.
pub(super) fn block(text: &str, room: usize) -> (String, bool) {
    // Keys at the cut are whole in what is looked at.
    let (near, far) = fit(text, room + 512);
    let clean = visible(&patterns(near), true);
    let (shown, cut) = fit(&clean, room);
    (shown.to_owned(), cut || far)
}

/// One line of others, with `…` when it is cut.
pub(super) fn line(text: &str, room: usize) -> String {
    let (near, far) = fit(text.trim(), room + 512);
    let clean = visible(&patterns(near), false);
    let (shown, cut) = fit(&clean, room);
    if cut || far { format!("{}…", shown.trim_end()) } else { shown.to_owned() }
}

/// A number of things: `1 call`, `40 calls`.
pub(super) fn plural(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(n)) }
}

/// `7ms`, `0.4s`, `12.4s`, `4m12s`, `2h05m`, `3d4h`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = (ms + 500) / 1000;
    match ms {
        0..=99 => format!("{ms}ms"),
        100..=59_949 => {
            let tenths = (ms + 50) / 100;
            format!("{}.{}s", tenths / 10, tenths % 10)
        }
        _ if seconds < 3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `812 bytes`, `3.2 KB`, `1.4 MB`.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..=999 => plural(n, "byte"),
        1_000..=999_949 => format!("{:.1} KB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

/// `$2.38`, `$0.0031`; `unknown` when nothing is known.
pub(super) fn money(usd: Option<Usd>) -> String {
    match usd.map(Usd::get) {
        None => "unknown".to_owned(),
        Some(0.0) => "$0".to_owned(),
        Some(amount) if amount < 0.0001 => "<$0.0001".to_owned(),
        Some(amount) if amount < 0.1 => format!("${amount:.4}"),
        Some(amount) => format!("${amount:.2}"),
    }
}

/// A time point of a view to the second: `2026-05-28 14:32:01 UTC`.
pub(super) fn when(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => rfc3339.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_a_terminal_or_reorder_a_line_is_shown() {
        assert_eq!(line("a\u{1b}[31mb\u{202e}c\nd", 100), "a␛[31mb[U+202E]c d");
        assert_eq!(block("a\r\nb\rc\td\0", 100).0, "a\nb\nc\td␀");
        assert_eq!(line("👩‍💻 ok", 100), "👩‍💻 ok");
    }

    #[test]
    fn texts_are_cut_by_what_they_take_once_escaped() {
        assert_eq!(block("<<<<", 12), ("<<".to_owned(), true));
        assert_eq!(block("äöü", 6), ("äöü".to_owned(), false));
        assert_eq!(line("one two three", 4), "one…");
    }

    #[test]
    fn a_key_is_removed_also_where_the_text_is_cut() {
        let text = format!("{} sk-ant-{}", "x".repeat(90), "k".repeat(60));
        assert!(!block(&text, 110).0.contains("sk-ant-k"), "{:?}", block(&text, 110));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [7, 400, 12_400, 252_000, 7_500_000, 97_200_000].map(duration),
            ["7ms", "0.4s", "12.4s", "4m12s", "2h05m", "1d3h"]
        );
        assert_eq!([1, 12_345, 2_000_000].map(bytes), ["1 byte", "12.3 KB", "2.0 MB"]);
        let usd = |n| money(Some(Usd::new(n)));
        assert_eq!(
            [usd(0.0), usd(0.000_01), usd(0.0031), usd(2.376), money(None)],
            ["$0", "<$0.0001", "$0.0031", "$2.38", "unknown"]
        );
    }
}
