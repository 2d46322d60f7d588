//! Just enough of Rust's grammar for the tests of the source itself: which paths a file names, comments and literals aside.

/// Every path in the code, `use` groups expanded, with its line: `use a::{b, c::d}` gives `a::b` and `a::c::d`. A single
/// name counts when it stands alone after `use`.
pub(crate) fn paths_in(code: &str) -> Vec<(usize, Vec<String>)> {
    let text: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    let mut line = 1;
    let mut after_use = false;
    while at < text.len() {
        let c = text[at];
        if is_name(c) {
            let start = at;
            let mut leaves = Vec::new();
            let continues =
                start >= 2 && text[start - 1] == ':' && text[start - 2] == ':' && !starts_path(&text, start);
            at = read_path(&text, start, &[], &mut leaves);
            let single = leaves.len() == 1 && leaves[0].len() == 1;
            let word = if single { leaves[0][0].clone() } else { String::new() };
            if !continues && (!single || after_use) && !c.is_ascii_digit() {
                found.extend(leaves.into_iter().map(|leaf| (line, leaf)));
            }
            after_use = word == "use";
            line += text[start..at].iter().filter(|c| **c == '\n').count();
        } else {
            line += usize::from(c == '\n');
            after_use &= c.is_whitespace() || c == ':';
            at += 1;
        }
    }
    found
}

/// Whether the `::` before `start` begins a path (`use ::rusqlite`), instead of going on after a type or a group.
fn starts_path(text: &[char], start: usize) -> bool {
    start < 3 || !(is_name(text[start - 3]) || text[start - 3] == '>')
}

/// Whether a character belongs to a name.
pub(crate) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Reads one path that starts with a name at `at`, adds its leaves, and gives the position after it.
fn read_path(text: &[char], mut at: usize, before: &[String], leaves: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        let start = at;
        while at < text.len() && is_name(text[at]) {
            at += 1;
        }
        path.push(text[start..at].iter().collect());
        if !text[at..].starts_with(&[':', ':']) {
            leaves.push(path);
            return at;
        }
        let next = skip_space(text, at + 2);
        match text.get(next) {
            Some('{') => return read_group(text, next + 1, &path, leaves),
            Some(c) if is_name(*c) => at = next,
            // A glob or type arguments: the path so far is what counts.
            _ => {
                leaves.push(path);
                return next;
            }
        }
    }
}

/// Reads the rest of a `use` group after its brace, and gives the position after the closing one.
fn read_group(text: &[char], mut at: usize, before: &[String], leaves: &mut Vec<Vec<String>>) -> usize {
    while at < text.len() {
        match text[at] {
            '}' => return at + 1,
            c if is_name(c) => {
                at = read_path(text, at, before, leaves);
                // `as name` is no path.
                let next = skip_space(text, at);
                if text[next..].starts_with(&['a', 's', ' ']) {
                    at = next + 3;
                    while at < text.len() && is_name(text[at]) {
                        at += 1;
                    }
                }
            }
            '*' => {
                leaves.push(before.to_vec());
                at += 1;
            }
            _ => at += 1,
        }
    }
    at
}

fn skip_space(text: &[char], mut at: usize) -> usize {
    while at < text.len() && text[at].is_whitespace() {
        at += 1;
    }
    at
}

/// The code with comments and the contents of literals blanked; line breaks stay.
pub(crate) fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    // Blanks everything up to `end`, line breaks excepted.
    let blank = |out: &mut String, from: usize, end: usize| {
        out.extend(chars[from..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
    };
    while at < chars.len() {
        let rest = &chars[at..];
        let end = if rest.starts_with(&['/', '/']) {
            at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
        } else if rest.starts_with(&['/', '*']) {
            end_of_block_comment(&chars, at)
        } else if rest[0] == '"' {
            end_of_string(&chars, at + 1)
        } else if let Some(end) = end_of_raw_string(&chars, at) {
            end
        } else if rest[0] == '\'' {
            end_of_char(&chars, at).unwrap_or(at)
        } else {
            at
        };
        if end > at {
            blank(&mut out, at, end);
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if chars[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_raw_string(chars: &[char], start: usize) -> Option<usize> {
    if chars[start] != 'r' || (start > 0 && is_name(chars[start - 1]) && chars[start - 1] != 'b') {
        return None;
    }
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(start + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    let from = start + 2 + hashes;
    let length = chars[from..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(chars.len(), |length| from + length + close.len()))
}

/// The end of a character literal, or nothing for a lifetime.
fn end_of_char(chars: &[char], start: usize) -> Option<usize> {
    match chars.get(start + 1)? {
        '\\' => {
            let length = chars[start + 3..].iter().position(|c| *c == '\'')?;
            Some(start + 3 + length + 1)
        }
        _ => (chars.get(start + 2) == Some(&'\'')).then_some(start + 3),
    }
}

/// The paths of one line, joined.
fn joined(code: &str) -> Vec<String> {
    paths_in(&without_comments_and_strings(code)).into_iter().map(|(_, path)| path.join("::")).collect()
}

#[test]
fn groups_are_expanded_and_single_names_count_only_after_use() {
    assert_eq!(joined("use a::{b, c::{d as e, f}, *};"), ["a::b", "a::c::d", "a::c::f", "a"]);
    assert_eq!(joined("use a; let b = c; d::e(f::<g::H>());"), ["a", "d::e", "g::H"]);
    assert_eq!(joined("<A as b::B>::c(); ::d::e(); A::<u8>::f();"), ["b::B", "d::e"]);
}

#[test]
fn comments_and_literals_hold_no_paths() {
    for code in [
        "// a::b",
        "/* a::b /* c::d */ e::f */",
        "\"a::b \\\" c::d\"",
        "r#\"a::b \" c::d\"#",
        "b\"a::b\"",
        "'\"'",
        "'\\''",
    ] {
        assert_eq!(joined(code), Vec::<String>::new(), "{code}");
        assert_eq!(joined(&format!("{code}\nx::y")), ["x::y"], "{code}");
    }
}

#[test]
fn lines_are_counted_through_literals_and_groups() {
    let code = "a::b\n/*\n*/ c::d;\nuse e::{\n    f,\n};\ng::h";
    let lines: Vec<usize> = paths_in(&without_comments_and_strings(code)).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [1, 3, 4, 7]);
}
