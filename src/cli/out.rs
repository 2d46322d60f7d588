//! The one place that prints: results to stdout, everything else to stderr. A reader that went away ends it quietly.

use std::io::{self, Write};

use serde::Serialize;

use crate::core::failure::{Code, Failure};

/// Where a command prints.
pub struct Out {
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    broken: bool,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Out {
    /// The process's own streams.
    pub fn std() -> Self {
        Self::to(Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Streams of the caller's choice.
    pub fn to(stdout: Box<dyn Write>, stderr: Box<dyn Write>) -> Self {
        Self { stdout, stderr, broken: false }
    }

    /// Whether nobody reads stdout any more.
    pub fn broken(&self) -> bool {
        self.broken
    }

    /// Text to stdout, ended by a line break unless it ends with one or is empty.
    pub fn result(&mut self, text: &str) {
        if !text.is_empty() {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            self.bytes(format!("{text}{end}").as_bytes());
        }
    }

    /// Bytes to stdout, as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        if self.stdout.write_all(bytes).and_then(|()| self.stdout.flush()).is_err() {
            self.broken = true;
        }
    }

    /// A value to stdout as one line of compact JSON.
    ///
    /// # Errors
    /// `internal` when the value is no JSON, which would be a fault of owf.
    pub fn json<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::new(Code::Internal, format!("the reply is no JSON: {error}")))?;
        self.result(&text);
        Ok(())
    }

    /// Text to stderr, ended by a line break. A stderr that is gone is no reason to stop.
    pub fn note(&mut self, text: &str) {
        if !text.is_empty() {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            self.raw_note(&format!("{text}{end}"));
        }
    }

    /// Text to stderr, as it is.
    pub fn raw_note(&mut self, text: &str) {
        let _ = self.stderr.write_all(text.as_bytes()).and_then(|()| self.stderr.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose reader went away.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_ends_printing_quietly() {
        let mut out = Out::to(Box::new(Gone), Box::new(io::sink()));
        assert!(!out.broken());
        out.result("x");
        out.result("y");
        assert!(out.broken());
    }
}
