//! Broken documents: each gives exactly these findings, several at once, with line and column.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::path::Path;

use owf::front::script::Origin;

#[test]
fn every_broken_document_gives_its_findings() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/documents/bad");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 50, "{}", files.len());
    let mut out = String::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let checked = owf::front::document::check(&std::fs::read(&file).unwrap(), &Origin::File(name.clone().into()));
        assert!(checked.script.is_none(), "{name} can run");
        for found in &checked.diagnostics {
            let (severity, code) = (found.severity.as_str(), &found.code);
            writeln!(out, "{name}:{}:{} {severity} {code}: {}", found.line, found.column, found.message).unwrap();
            if let Some(hint) = &found.hint {
                writeln!(out, "    {hint}").unwrap();
            }
        }
    }
    insta::assert_snapshot!("bad_documents", out);
}
