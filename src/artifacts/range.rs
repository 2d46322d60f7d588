//! Reading a range of bytes: text on character boundaries, base64 for what is no text, bounded.

use std::io::{Read, Result, Seek, SeekFrom};

use crate::core::base64;

/// How much of a file is returned at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Most {
    /// This many bytes of the file.
    Bytes(u64),
    /// As much as fits into a JSON string of this many characters (UTF-16 units).
    Json(usize),
    /// All of it.
    All,
}

/// How a range is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Utf8,
    /// It is no text.
    Base64,
}

impl Encoding {
    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Base64 => "base64",
        }
    }
}

/// A range that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Where it begins.
    pub offset: u64,
    /// Its size.
    pub bytes: u64,
    /// Size of the whole.
    pub size: u64,
    /// How it is carried.
    pub encoding: Encoding,
    /// The range.
    pub text: String,
}

impl Content {
    /// Where the next range begins, when more follows.
    pub fn next_offset(&self) -> Option<u64> {
        let end = self.offset + self.bytes;
        (end < self.size).then_some(end)
    }
}

/// Reads from `offset` (negative: from the end). Ranges that follow one another by [`Content::next_offset`] make up the
/// whole, byte for byte: a range of text ends before a character that would be cut, and has at least one character. One
/// counted from the end begins with the first whole character.
///
/// # Errors
/// What the system says.
pub fn read(mut from: impl Read + Seek, offset: i64, most: Most) -> Result<Content> {
    let size = from.seek(SeekFrom::End(0))?;
    let start = match u64::try_from(offset) {
        Ok(offset) => offset.min(size),
        Err(_) => size.saturating_sub(offset.unsigned_abs()),
    };
    let wanted = match most {
        Most::Bytes(most) => most,
        Most::Json(units) => units as u64,
        Most::All => u64::MAX,
    };
    from.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    // Three more bytes complete a character that the limit would cut.
    from.take(wanted.saturating_add(3)).read_to_end(&mut bytes)?;
    let skipped =
        if offset < 0 && start > 0 { bytes.iter().take(3).take_while(|b| **b & 0xc0 == 0x80).count() } else { 0 };
    bytes.drain(..skipped);
    let start = start + skipped as u64;
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(skipped);
    // A file that grew meanwhile counts with what was read of it.
    let size = size.max(start + bytes.len() as u64);
    if let Some(text) = text_of(&bytes, wanted, start + (bytes.len() as u64) == size) {
        let keep = match most {
            Most::Json(units) => prefix_that_fits(text, units),
            Most::Bytes(_) | Most::All => text.len(),
        };
        let text = text[..keep].to_owned();
        return Ok(Content { offset: start, bytes: text.len() as u64, size, encoding: Encoding::Utf8, text });
    }
    bytes.truncate(match most {
        Most::Json(units) => wanted.min(units / 4 * 3),
        Most::Bytes(_) | Most::All => wanted,
    });
    let text = base64::encode(&bytes);
    Ok(Content { offset: start, bytes: bytes.len() as u64, size, encoding: Encoding::Base64, text })
}

/// The text in the first `wanted` bytes, the last character whole; none when they are no text.
fn text_of(bytes: &[u8], wanted: usize, at_end: bool) -> Option<&str> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // What was read in excess may end within a character, and may be no text.
        Err(error) if error.valid_up_to() >= wanted.min(bytes.len()).saturating_sub(3) => {
            let text = std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?;
            let broken = error.error_len().is_some() || at_end;
            if broken && error.valid_up_to() < wanted {
                return None;
            }
            text
        }
        Err(_) => return None,
    };
    let mut end = wanted.min(valid.len());
    while !valid.is_char_boundary(end) {
        end -= 1;
    }
    if end == 0 && wanted > 0 {
        end = valid.chars().next().map_or(0, char::len_utf8);
    }
    (end > 0 || bytes.is_empty() || wanted == 0).then(|| &valid[..end])
}

/// Bytes of the longest prefix of `text` whose JSON string, without its quotes, has at most `units` UTF-16 units.
pub fn prefix_that_fits(text: &str, units: usize) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if (c as u32) < 0x20 => 6,
            c => c.len_utf16(),
        };
        if used > units {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::Cursor;

    use super::*;

    fn at(bytes: &[u8], offset: i64, most: Most) -> (u64, u64, Encoding, String) {
        let content = read(Cursor::new(bytes), offset, most).unwrap();
        assert_eq!(content.size, bytes.len() as u64);
        (content.offset, content.bytes, content.encoding, content.text)
    }

    #[test]
    fn any_range_of_text_comes_on_character_boundaries() {
        let text = "aäb€c".as_bytes();
        assert_eq!(at(text, 0, Most::All), (0, 8, Encoding::Utf8, "aäb€c".into()));
        assert_eq!(at(text, 0, Most::Bytes(2)), (0, 1, Encoding::Utf8, "a".into()));
        assert_eq!(at(text, 1, Most::Bytes(1)), (1, 2, Encoding::Utf8, "ä".into()), "one character at least");
        assert_eq!(at(text, 3, Most::Bytes(3)), (3, 1, Encoding::Utf8, "b".into()));
        assert_eq!(at(text, -3, Most::All), (7, 1, Encoding::Utf8, "c".into()));
        assert_eq!(at(text, -100, Most::All), (0, 8, Encoding::Utf8, "aäb€c".into()));
        assert_eq!(at(text, 100, Most::All), (8, 0, Encoding::Utf8, String::new()));
        assert_eq!(at(text, 2, Most::Bytes(1)), (2, 1, Encoding::Base64, "pA==".into()), "within a character");
        assert_eq!(at(b"", 0, Most::Json(10)), (0, 0, Encoding::Utf8, String::new()));
    }

    #[test]
    fn what_is_no_text_comes_as_base64() {
        assert_eq!(at(&[b'a', 0xff, b'b'], 0, Most::All), (0, 3, Encoding::Base64, "Yf9i".into()));
        assert_eq!(at(&[b'a', 0xff, b'b'], 0, Most::Bytes(1)), (0, 1, Encoding::Utf8, "a".into()));
        assert_eq!(at(&[b'a', 0xe2, 0x82], 0, Most::All), (0, 3, Encoding::Base64, "YeKC".into()), "cut at the end");
        assert_eq!(at(&[0xff; 9], 0, Most::Json(8)), (0, 6, Encoding::Base64, "////////".into()));
    }

    #[test]
    fn ranges_that_follow_one_another_make_up_the_whole() {
        let text = "\"q\" \u{1}\n😀é€ end ".repeat(40);
        for most in [Most::Bytes(1), Most::Bytes(7), Most::Json(9), Most::Json(64)] {
            let (mut offset, mut whole) = (0, String::new());
            loop {
                let content = read(Cursor::new(text.as_bytes()), offset, most).unwrap();
                assert_eq!(content.encoding, Encoding::Utf8);
                if let Most::Json(units) = most {
                    let quoted = serde_json::to_string(&content.text).unwrap();
                    assert!(quoted.encode_utf16().count() - 2 <= units);
                }
                whole.push_str(&content.text);
                let Some(next) = content.next_offset() else { break };
                offset = i64::try_from(next).unwrap();
            }
            assert_eq!(whole, text);
        }
    }
}
