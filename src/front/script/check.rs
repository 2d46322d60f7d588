//! Checking a script: decoding its bytes, then parsing and linting on a thread whose stack fits what the nesting check lets through.

use std::path::PathBuf;

use crate::core::ids::Hash;
use crate::front::script::diagnostic::{Diagnostic, Lines, Severity};
use crate::front::script::nesting;
use crate::front::script::parse;
use crate::front::script::plan::{Meta, Script};

/// The greatest size of a script: bytes of a file, characters of inline text.
pub const MAX_SCRIPT: u64 = 524_288;

/// Stack of the parsing thread. Only what is used is ever backed by memory. [`nesting::MAX_DEPTH`] levels of the hungriest
/// construct found take less than a fifth of it without optimisation.
const STACK: usize = 256 << 20;

/// Where a script comes from; some rules hold only for inline text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Text given with the request.
    Inline,
    /// A file.
    File(PathBuf),
}

/// What a script may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file, characters of inline text.
    pub script: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { script: MAX_SCRIPT }
    }
}

/// The text of a script, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptText {
    /// The text, byte order mark dropped.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The hash of the bytes as given.
    pub hash: Hash,
    /// How many bytes were given.
    pub size_bytes: u64,
}

/// What checking found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The script; there exactly when no diagnostic is an error.
    pub script: Option<Script>,
    /// Its metadata, also when something else is wrong with it.
    pub meta: Option<Meta>,
    /// What was found, in source order.
    pub diagnostics: Vec<Diagnostic>,
    /// The hash of the bytes as given.
    pub hash: Hash,
    /// How many bytes were given.
    pub size_bytes: u64,
}

impl Checked {
    /// The errors among the diagnostics.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error)
    }
}

/// Parses and lints a script. Any bytes give an answer: this never panics and never overflows the stack.
pub fn check(bytes: &[u8], origin: &Origin) -> Checked {
    check_within(bytes, origin, &Limits::default())
}

/// [`check`] with other limits.
pub fn check_within(bytes: &[u8], origin: &Origin, limits: &Limits) -> Checked {
    let hash = Hash::of(bytes);
    let size_bytes = bytes.len() as u64;
    let mut found = match ScriptText::decode(bytes, origin, limits) {
        Ok(text) => on_large_stack(&text.text, origin),
        Err(problem) => Findings { diagnostics: vec![*problem], ..Findings::default() },
    };
    if let Origin::File(path) = origin {
        let file = path.display().to_string();
        found.diagnostics.iter_mut().for_each(|d| d.file = Some(file.clone()));
    }
    found.diagnostics.sort_by(|a, b| {
        (a.line, a.column, a.severity, &a.code, &a.message).cmp(&(b.line, b.column, b.severity, &b.code, &b.message))
    });
    found.diagnostics.dedup();
    let failed = found.diagnostics.iter().any(|d| d.severity == Severity::Error);
    let script = found.script.filter(|_| !failed);
    Checked { script, meta: found.meta, diagnostics: found.diagnostics, hash, size_bytes }
}

/// What one pass over the text found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) script: Option<Script>,
    pub(super) meta: Option<Meta>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl ScriptText {
    /// Decodes the bytes of a script and refuses what no script may hold.
    ///
    /// # Errors
    /// One diagnostic: too large, not UTF-8, or a character that is not allowed.
    pub fn decode(bytes: &[u8], origin: &Origin, limits: &Limits) -> Result<Self, Box<Diagnostic>> {
        let refuse = |text: &str, at: usize, code: &str, message: String, hint: &str| {
            let span = (at as u32, at as u32 + 1);
            let mut problem = Lines::new(text).diagnostic(Severity::Error, code, span, message);
            problem.hint = (!hint.is_empty()).then(|| hint.to_owned());
            Err(Box::new(problem))
        };
        let too_large = |size: u64, unit: &str| {
            let message = format!("the script has {size} {unit}, more than the {} allowed", limits.script);
            refuse("", 0, "too_large", message, "move long texts into args or into child workflows")
        };
        if matches!(origin, Origin::File(_)) && bytes.len() as u64 > limits.script {
            return too_large(bytes.len() as u64, "bytes");
        }
        // No text of n characters (UTF-16 units) has more than 3n bytes of UTF-8.
        if bytes.len() as u64 > limits.script.saturating_mul(3) {
            return too_large(bytes.len() as u64 / 3, "characters or more");
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let message = format!("the file is not UTF-8: byte {} cannot be decoded", error.valid_up_to());
                return refuse(&valid, valid.len(), "not_utf8", message, "save the file as UTF-8");
            }
        };
        let units = || text.encode_utf16().count() as u64;
        if matches!(origin, Origin::Inline) && bytes.len() as u64 > limits.script && units() > limits.script {
            return too_large(units(), "characters");
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(at) = text.find('\0') {
            let message = "the script holds a NUL character".to_owned();
            return refuse(text, at, "control_character", message, "remove it, or write `\\0` inside a string");
        }
        let hidden = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n');
        if let (Origin::Inline, Some((at, c))) = (origin, text.char_indices().find(|(_, c)| hidden(*c))) {
            let message = format!("inline text holds the control character U+{:04X}", u32::from(c));
            let hint = if c == '\r' { "use line feeds alone as line ends, or pass a file" } else { "remove it" };
            return refuse(text, at, "control_character", message, hint);
        }
        let size_bytes = bytes.len() as u64;
        Ok(Self { text: text.to_owned(), origin: origin.clone(), hash: Hash::of(bytes), size_bytes })
    }
}

/// Runs the parser where its recursion fits.
fn on_large_stack(text: &str, origin: &Origin) -> Findings {
    let depth = nesting::measure(text);
    if let Some(problem) = depth.problem {
        let lines = Lines::new(text);
        let mut found = lines.diagnostic(Severity::Error, problem.code, (problem.at, problem.at + 1), problem.message);
        found.hint = Some(problem.hint.to_owned());
        return Findings { diagnostics: vec![found], ..Findings::default() };
    }
    let broken = |what: &str| {
        let message = format!("the parser {what} on this text");
        let found = Lines::new(text).diagnostic(Severity::Error, "parser_failed", (0, 1), message);
        Findings { diagnostics: vec![found], ..Findings::default() }
    };
    let inline = matches!(origin, Origin::Inline);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("owf-parse".to_owned()).stack_size(STACK);
        match thread.spawn_scoped(scope, || parse::parse(text, inline, &depth)) {
            Ok(handle) => handle.join().unwrap_or_else(|_| broken("stopped")),
            Err(_) => broken("could not be started"),
        }
    })
}
