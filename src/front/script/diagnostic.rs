//! Diagnostics of a script, and the map from byte offsets to lines and columns they are made with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The script is refused.
    Error,
    /// Most likely a mistake; the script runs.
    Warning,
    /// Worth knowing; many good scripts have it.
    Note,
}

impl Severity {
    /// The word in replies and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding about a script. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// A stable word for the kind of finding.
    pub code: String,
    /// One sentence without a full stop.
    pub message: String,
    /// The file, absent for inline text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
    /// Column after the last character it is about, on the same line; absent when that is one character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_column: Option<u32>,
    /// The source line, without white space around it; of a long line the part around the column.
    pub excerpt: String,
    /// Column of the excerpt's first character; absent when that is the first column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt_column: Option<u32>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Where the caret line stands below [`Self::excerpt`]: characters to skip, and how many carets, at least one and never
    /// past the excerpt's end by more than one.
    pub fn carets(&self) -> (usize, usize) {
        let length = self.excerpt.chars().count();
        let skip = self.column.saturating_sub(self.excerpt_column.unwrap_or(1)) as usize;
        let skip = skip.min(length);
        let width = self.end_column.map_or(1, |end| end.saturating_sub(self.column)) as usize;
        (skip, width.min(length - skip).max(1))
    }
}

/// The greatest number of characters of an excerpt.
const EXCERPT: usize = 120;

/// Maps byte offsets of one source text to lines and columns.
#[derive(Debug)]
pub(in crate::front) struct Lines<'s> {
    text: &'s str,
    /// The byte offset of each line.
    starts: Vec<usize>,
    /// How many characters stand before each multiple of [`STEP`] bytes: columns stay cheap in a text that is one line.
    counts: Vec<usize>,
}

/// Bytes between two entries of [`Lines::counts`].
const STEP: usize = 1024;

/// Whether a character ends a line in JavaScript.
pub(super) fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

impl<'s> Lines<'s> {
    pub(in crate::front) fn new(text: &'s str) -> Self {
        let mut starts = vec![0];
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            // A carriage return before a line feed is the same line's end.
            if ends_line(c) && !(c == '\r' && chars.peek().is_some_and(|(_, next)| *next == '\n')) {
                starts.push(at + c.len_utf8());
            }
        }
        let mut counts = vec![0];
        for chunk in text.as_bytes().chunks(STEP) {
            counts.push(counts.last().copied().unwrap_or(0) + starting(chunk));
        }
        Self { text, starts, counts }
    }

    /// Line and column of a byte offset; an offset past the end is the end.
    pub(in crate::front) fn position(&self, offset: u32) -> (u32, u32) {
        let offset = self.floor(offset as usize);
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let column = self.characters(offset) - self.characters(self.starts[line - 1]) + 1;
        (line as u32, column as u32)
    }

    /// The byte offset of a line and column, at most the end of the line.
    pub(in crate::front) fn offset(&self, line: u32, column: u32) -> u32 {
        let start = self.starts.get(line.saturating_sub(1) as usize).copied().unwrap_or(self.text.len());
        let text = self.line(line);
        let within = text.char_indices().nth(column.saturating_sub(1) as usize).map_or(text.len(), |(at, _)| at);
        (start + within) as u32
    }

    /// How many characters stand before a byte offset.
    fn characters(&self, offset: usize) -> usize {
        let step = offset / STEP;
        self.counts[step] + starting(&self.text.as_bytes()[step * STEP..offset])
    }

    /// The text between two byte offsets.
    pub(super) fn slice(&self, start: u32, end: u32) -> &'s str {
        let start = self.floor(start as usize);
        &self.text[start..self.floor(end as usize).max(start)]
    }

    /// A line without its end, by its number from 1.
    pub(super) fn line(&self, line: u32) -> &'s str {
        let index = (line as usize).clamp(1, self.starts.len()) - 1;
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[self.starts[index]..end].trim_end_matches(ends_line)
    }

    /// The byte offset where a line begins, by its number from 1.
    pub(super) fn start_of(&self, line: u32) -> usize {
        self.starts[(line as usize).clamp(1, self.starts.len()) - 1]
    }

    fn floor(&self, offset: usize) -> usize {
        (0..=offset.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }

    /// A diagnostic about the bytes from `start` to `end`.
    pub(in crate::front) fn diagnostic(
        &self,
        severity: Severity,
        code: &str,
        (start, end): (u32, u32),
        message: impl Into<String>,
    ) -> Diagnostic {
        let (line, column) = self.position(start);
        let (end_line, end_column) = self.position(end.max(start));
        let text = self.line(line);
        let line_start = self.starts[line as usize - 1];
        let end_column = if end_line == line { end_column } else { self.position((line_start + text.len()) as u32).1 };
        let (excerpt, first) = excerpt(text, self.floor(start as usize) - line_start);
        let first = self.position((line_start + first) as u32).1;
        Diagnostic {
            severity,
            code: code.to_owned(),
            message: message.into(),
            file: None,
            line,
            column,
            end_column: (end_column > column + 1).then_some(end_column),
            excerpt,
            excerpt_column: (first > 1).then_some(first),
            hint: None,
        }
    }
}

/// How many characters begin in these bytes of UTF-8.
fn starting(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| (**b as i8) >= -0x40).count()
}

/// The part of a line that is shown around a byte offset in it, and the byte offset where that part begins.
fn excerpt(line: &str, at: usize) -> (String, usize) {
    let lead = line.len() - line.trim_start().len();
    let shown = line.trim();
    let at = shown.floor_char_boundary(at.saturating_sub(lead).min(shown.len()));
    let back = |from: usize, chars: usize| shown[..from].char_indices().rev().take(chars).last().map_or(from, |c| c.0);
    let fits = shown.chars().nth(EXCERPT).is_none();
    let near_start = shown[..at].chars().nth(EXCERPT * 2 / 3).is_none();
    let first = if fits || near_start {
        0
    } else {
        // The reader sees a little of what stands before, and at the end of a line as much as fits.
        back(at, EXCERPT / 3).min(back(shown.len(), EXCERPT))
    };
    let text = shown[first..].chars().take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    (text, lead + first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_counts_once() {
        let text = "a\nb\r\nc\rd\u{2028}é!";
        let lines = Lines::new(text);
        let at = |needle: char| lines.position(text.find(needle).unwrap_or_default() as u32);
        assert_eq!([at('a'), at('b'), at('c'), at('d'), at('!')], [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2)]);
        assert_eq!(lines.line(2), "b");
        assert_eq!(lines.position(9999), (5, 3));
    }

    #[test]
    fn an_excerpt_is_the_trimmed_line_and_carets_stand_below_the_text() {
        let text = "x\n  const files: string[] = []\n";
        let lines = Lines::new(text);
        let start = text.find(": string").unwrap_or_default() as u32;
        let found = lines.diagnostic(Severity::Error, "typescript", (start, start + 10), "m");
        assert_eq!((found.line, found.column, found.end_column), (2, 14, Some(24)));
        assert_eq!(found.excerpt, "const files: string[] = []");
        assert_eq!(found.carets(), (11, 10));
    }

    #[test]
    fn a_long_line_is_cut_around_the_column() {
        let text = format!("{}X{}", "a".repeat(1000), "b".repeat(1000));
        let found = Lines::new(&text).diagnostic(Severity::Note, "c", (1000, 1001), "m");
        assert_eq!(found.excerpt.chars().count(), EXCERPT);
        let (skip, width) = found.carets();
        assert_eq!((found.excerpt.chars().nth(skip), width), (Some('X'), 1));
    }
}
