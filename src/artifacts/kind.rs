//! What a file of a run is, by its path.

use crate::core::ids::CallId;

/// The call a path belongs to and the kind of the file: prompt, output, error, transcript, diff, source, manifest, summary,
/// report, log, or file.
pub fn kind(path: &str) -> (&'static str, Option<CallId>) {
    let mut names = path.split('/');
    let (first, second, rest) = (names.next().unwrap_or(""), names.next(), names.next());
    if first == "calls" {
        let call_id = second.and_then(|name| name.strip_prefix('c')).and_then(|digits| digits.parse().ok());
        let kind = match rest {
            Some("prompt.txt") => "prompt",
            Some("output.txt" | "output.json") => "output",
            Some("error.txt") => "error",
            Some("transcript.jsonl") => "transcript",
            Some("diff.patch") => "diff",
            _ => "file",
        };
        return (kind, call_id);
    }
    let kind = match (first, second) {
        ("manifest.json", None) => "manifest",
        ("summary.md", None) => "summary",
        ("output.json", None) => "output",
        ("runner.log", None) => "log",
        ("report.md" | "report.html", None) => "report",
        (name, None) if name.starts_with("source.") => "source",
        _ => "file",
    };
    (kind, None)
}

/// The media type by the ending of the name.
pub fn mime_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("txt" | "log") => "text/plain",
        Some("md") => "text/markdown",
        Some("html" | "htm") => "text/html",
        Some("json") => "application/json",
        Some("jsonl") => "application/x-ndjson",
        Some("js" | "mjs") => "text/javascript",
        Some("yaml" | "yml") => "application/yaml",
        Some("csv") => "text/csv",
        Some("diff" | "patch") => "text/x-diff",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        Some("pdf") => "application/pdf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_what_a_file_is() {
        let of =
            ["calls/c0009/prompt.txt", "calls/c10000/output.json", "calls/x/y", "source.js", "runner.log", "a/b.csv"]
                .map(|path| (kind(path), mime_type(path)));
        assert_eq!(
            of,
            [
                (("prompt", Some(CallId(9))), "text/plain"),
                (("output", Some(CallId(10_000))), "application/json"),
                (("file", None), "application/octet-stream"),
                (("source", None), "text/javascript"),
                (("log", None), "text/plain"),
                (("file", None), "text/csv"),
            ]
        );
    }
}
