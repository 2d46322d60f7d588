//! Cursors as texts: the journal's sequence number for waits, opaque ones with a letter for lists.

use crate::core::failure::{Code, Failure};

/// The sequence number that a wait goes on after; 0 without a cursor.
pub(super) fn sequence(cursor: Option<&str>) -> Result<u64, Failure> {
    match cursor.map(str::trim) {
        None | Some("") => Ok(0),
        Some(text) => text.parse().map_err(|_| bad(text)),
    }
}

/// The cursor of a list: after row `n` of the list with this letter.
pub(super) fn list(letter: char, n: i64) -> String {
    format!("{letter}{n}")
}

/// The row that a list goes on after.
pub(super) fn of_list(letter: char, cursor: Option<&str>) -> Result<Option<i64>, Failure> {
    let Some(text) = cursor.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let digits = text.strip_prefix(letter).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or_else(|| bad(text))
}

fn bad(text: &str) -> Failure {
    let shown: String = text.chars().take(40).collect();
    Failure::new(Code::InvalidArguments, format!("`{shown}` is no cursor of this list"))
        .hint("pass next_cursor of the last reply, or none to begin")
        .with("errors", serde_json::json!([{"path": "/cursor", "message": "is no cursor of this list", "got": shown}]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_another_lists_cursor_is_refused() {
        assert_eq!(of_list('c', Some(&list('c', 25))), Ok(Some(25)));
        assert_eq!((of_list('c', None), sequence(None), sequence(Some("47"))), (Ok(None), Ok(0), Ok(47)));
        for bad in
            [of_list('c', Some("p25")), of_list('c', Some("c-1")), of_list('c', Some("c")), of_list('c', Some("25"))]
        {
            assert_eq!(bad.map_err(|f| f.code), Err(Code::InvalidArguments));
        }
        assert_eq!(sequence(Some("soon")).map_err(|f| f.code), Err(Code::InvalidArguments));
    }
}
