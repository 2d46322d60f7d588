//! Lines of bounded length out of bytes.

use super::input::Input;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end; also the last one, whether it has an end or not.
    Text(Vec<u8>),
    /// A line beyond the bound, told as soon as it is known; the rest of it is skipped. The beginning may show its id.
    TooLong { beginning: Vec<u8> },
}

/// Bytes of a line that is too long that are kept to find its id.
const BEGINNING: usize = 4096;

/// Reads lines. Cancel-safe: what was read is kept here.
pub(super) struct Lines {
    input: Input,
    max: usize,
    buffer: Vec<u8>,
    /// Where the next line starts.
    start: usize,
    /// How far its end has been looked for.
    seen: usize,
    skipping: bool,
    ended: bool,
}

impl Lines {
    pub(super) fn new(input: Input, max: usize) -> Self {
        Self { input, max, buffer: Vec::new(), start: 0, seen: 0, skipping: false, ended: false }
    }

    /// The next line; none at the end of the input. A read error is an end.
    pub(super) async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.take() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            // What was taken is dropped before more is read, so that the buffer holds one unfinished line only.
            self.buffer.drain(..self.start);
            self.seen -= self.start;
            self.start = 0;
            if self.buffer.is_empty() && self.buffer.capacity() > 1 << 20 {
                self.buffer = Vec::new();
            }
            match self.input.read(&mut self.buffer).await {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!("reading stdin failed: {error}");
                    self.ended = true;
                }
            }
        }
    }

    /// A line out of what is there.
    fn take(&mut self) -> Option<Line> {
        loop {
            let Some(found) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') else {
                self.seen = self.buffer.len();
                return self.take_unended();
            };
            let end = self.seen + found;
            let line = &self.buffer[self.start..end];
            let result = if std::mem::take(&mut self.skipping) { None } else { Some(bounded(line, self.max)) };
            self.start = end + 1;
            self.seen = self.start;
            if result.is_some() {
                return result;
            }
        }
    }

    /// Decides on a line whose end is not there yet.
    fn take_unended(&mut self) -> Option<Line> {
        let line = &self.buffer[self.start..];
        if self.skipping {
            self.start = self.seen;
            return None;
        }
        if line.len() > self.max {
            let result = bounded(line, self.max);
            self.skipping = true;
            self.start = self.seen;
            return Some(result);
        }
        if self.ended && !line.is_empty() {
            let result = Line::Text(line.to_vec());
            self.start = self.seen;
            return Some(result);
        }
        None
    }
}

fn bounded(line: &[u8], max: usize) -> Line {
    if line.len() > max {
        Line::TooLong { beginning: line[..BEGINNING.min(line.len())].to_vec() }
    } else {
        Line::Text(line.to_vec())
    }
}
