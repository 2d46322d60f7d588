//! Server-sent events as they come, in pieces of any size: the data of each, comments and names passed over.

/// What has come of a stream and is no whole event yet.
#[derive(Debug, Default)]
pub(super) struct Sse {
    line: Vec<u8>,
    /// A line feed that follows belongs to the end of the last line.
    after_return: bool,
    /// Whether a line was read: before the first there may be a byte order mark.
    begun: bool,
    data: Option<Vec<u8>>,
}

impl Sse {
    /// Takes bytes; gives the data of each event that they complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        for &byte in bytes {
            let ends = match byte {
                b'\n' if self.after_return => {
                    self.after_return = false;
                    continue;
                }
                b'\n' | b'\r' => true,
                _ => false,
            };
            self.after_return = byte == b'\r';
            if ends {
                events.extend(self.line());
            } else {
                self.line.push(byte);
            }
        }
        events
    }

    /// The data of an event that nothing came after, not even a blank line.
    pub(super) fn end(&mut self) -> Option<Vec<u8>> {
        self.line().or_else(|| self.data.take())
    }

    /// Takes the line that has ended; gives the data of the event that a blank one ends.
    fn line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            return self.data.take();
        }
        let value = match line.strip_prefix(b"data") {
            Some([]) => &[],
            Some([b':', value @ ..]) => value.strip_prefix(b" ").unwrap_or(value),
            // Comments, names, ids: the data says itself what it is.
            Some(_) | None => return None,
        };
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Sse;

    fn all(text: &str, size: usize) -> Vec<String> {
        let mut sse = Sse::default();
        let mut events: Vec<Vec<u8>> = text.as_bytes().chunks(size).flat_map(|piece| sse.take(piece)).collect();
        events.extend(sse.end());
        events.iter().map(|event| String::from_utf8_lossy(event).into_owned()).collect()
    }

    #[test]
    fn lines_end_in_three_ways_and_comments_and_names_say_nothing() {
        let text = "\u{feff}: hello\r\n\r\nevent: one\r\ndata: {\"a\":\r\ndata:1}\r\n\r\nid: 7\rdata:  ä\r\rdata\n\n: ping\n\n\n\
                    retry: 5\ndatabase: no\ndata: last";
        for size in 1..=text.len() {
            assert_eq!(all(text, size), ["{\"a\":\n1}", " ä", "", "last"], "in pieces of {size}");
        }
    }
}
