//! Included documents: one text that holds them all, so that what is pinned with a run is complete.

use std::io::{ErrorKind, Read as _};

use super::check::MAX_DOCUMENT;
use super::compile::is_id;
use crate::core::located::{At, Data, Node};
use crate::front::script::Origin;

/// What begins an included document in a text that holds several: `PREFIX PATH` follow.
const MARK: &str = "--- # owf-include: ";

/// An included document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// What stands before the ids of its tasks.
    pub(super) prefix: String,
    /// Its file, as it was named.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
    /// Lines of the whole text before it.
    pub(super) lines_before: u32,
}

/// A text as its own part and those it holds besides.
pub(super) fn split(whole: &str) -> (&str, Vec<Part>) {
    let mut parts: Vec<Part> = Vec::new();
    let mut own = whole.len();
    let mut at = 0;
    for (number, line) in whole.split_inclusive('\n').enumerate() {
        if let Some((prefix, path)) = line.strip_prefix(MARK).and_then(|rest| rest.trim_end().split_once(' ')) {
            own = own.min(at);
            let (prefix, path) = (prefix.to_owned(), path.to_owned());
            parts.push(Part { prefix, path, text: String::new(), lines_before: number as u32 + 1 });
        } else if let Some(part) = parts.last_mut() {
            part.text.push_str(line);
        }
        at += line.len();
    }
    (&whole[..own], parts)
}

/// The file and the line there of a line of a text that holds several documents; none of the one that includes the others.
pub fn in_part(whole: &str, line: u32) -> Option<(String, u32)> {
    let part = split(whole).1.into_iter().rev().find(|part| line > part.lines_before)?;
    Some((part.path, line - part.lines_before))
}

/// The text with every document that `root` includes behind it. A text that holds them already is whole.
///
/// # Errors
/// Where an include stands that cannot be followed, and why.
pub(super) fn gather(text: &str, root: &Node, origin: &Origin) -> Result<String, (At, String)> {
    let mut out = text.to_owned();
    let Some((at, include)) = root.entry("include") else { return Ok(out) };
    let Origin::File(file) = origin else {
        return Err((at, "`include` needs a document in a file: paths start from its directory".to_owned()));
    };
    for (at, prefix, path) in include.entries() {
        let Data::Text(path) = &path.data else { continue };
        if !is_id(prefix) {
            return Err((
                *at,
                format!("`{prefix}` is no prefix: letters, digits and underscores, not beginning with a digit"),
            ));
        }
        let full = file.parent().map_or_else(|| path.into(), |dir| dir.join(path));
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&full).and_then(|f| {
            if f.metadata()?.is_file() {
                f.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)
            } else {
                Err(ErrorKind::InvalidInput.into())
            }
        });
        read.map_err(|error| {
            let shown = full.display();
            let why = match error.kind() {
                ErrorKind::NotFound => {
                    format!("there is no file {shown}: a path of `include` starts from the directory of this document")
                }
                ErrorKind::InvalidInput => format!("{shown} is no file"),
                _ => format!("cannot read {shown}: {error}"),
            };
            (*at, why)
        })?;
        if (bytes.len() + out.len()) as u64 > MAX_DOCUMENT {
            return Err((*at, format!("with {path} the document has more than {MAX_DOCUMENT} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| (*at, format!("{path} is not UTF-8")))?;
        if text.contains(MARK) {
            return Err((*at, format!("{path} holds other documents")));
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&format!("{MARK}{prefix} {path}\n{text}"));
    }
    Ok(out)
}
