//! What is found in a document, each with its place in the text.

use crate::core::located::At;
use crate::front::script::{Diagnostic, Lines, Severity};

/// The most errors of one document that are reported, and the most warnings.
const MOST: usize = 100;

/// The findings so far.
pub(super) struct Report<'s> {
    text: &'s str,
    lines: Lines<'s>,
    pub(super) found: Vec<Diagnostic>,
    errors: usize,
}

impl<'s> Report<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Self { text, lines: Lines::new(text), found: Vec::new(), errors: 0 }
    }

    /// Something that keeps the document from running.
    pub(super) fn error(&mut self, at: At, code: &str, message: impl Into<String>) {
        self.add(Severity::Error, at, code, message.into());
    }

    /// The same, with what to do about it where something is known.
    pub(super) fn maybe_hinted(&mut self, at: At, code: &str, message: impl Into<String>, hint: Option<String>) {
        match hint {
            Some(hint) => self.hinted(at, code, message, hint),
            None => self.error(at, code, message),
        }
    }

    /// The same, with what to do about it.
    pub(super) fn hinted(&mut self, at: At, code: &str, message: impl Into<String>, hint: String) {
        let before = self.found.len();
        self.error(at, code, message);
        if let Some(found) = self.found.get_mut(before) {
            found.hint = Some(hint);
        }
    }

    /// Something that is probably not meant.
    pub(super) fn warning(&mut self, at: At, code: &str, message: impl Into<String>) {
        self.add(Severity::Warning, at, code, message.into());
    }

    fn add(&mut self, severity: Severity, at: At, code: &str, message: String) {
        let is_error = severity == Severity::Error;
        // Warnings take no place from errors: a document with an error that nobody sees would run.
        let before = if is_error { self.errors } else { self.found.len() - self.errors.min(MOST) };
        self.errors += usize::from(is_error);
        if before < MOST {
            let start = self.lines.offset(at.line, at.column);
            self.found.push(self.lines.diagnostic(severity, code, (start, start + 1), message));
        }
    }

    /// Whether there is an error.
    pub(super) fn failed(&self) -> bool {
        self.errors > 0
    }

    /// Where `needle` stands at or after `from`, within the next `lines` lines; else `from`.
    pub(super) fn seek(&self, from: At, needle: &str, lines: usize) -> At {
        let start = self.lines.offset(from.line, from.column) as usize;
        let rest = self.text.get(start..).unwrap_or_default();
        let end = rest.match_indices('\n').nth(lines).map_or(rest.len(), |(at, _)| at);
        match rest[..end].find(needle) {
            Some(found) => {
                let (line, column) = self.lines.position((start + found) as u32);
                At { line, column }
            }
            None => from,
        }
    }
}
