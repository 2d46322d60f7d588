//! Fixture files of the fake provider: read with all their faults told at once.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::failure::{Code, Failure};
use crate::providers::fake::{FixtureProblem, Fixtures, parse};

use super::workflow::read;

/// Reads and checks a fixture file.
///
/// # Errors
/// The file cannot be read, or `invalid_arguments` with every fault of it, line and column included.
pub(crate) fn fixtures(path: &Path) -> Result<(Vec<u8>, Arc<Fixtures>), Failure> {
    let bytes = read(path)?;
    let parsed = parse(&bytes, path).map_err(|problems| faulty(path, &problems))?;
    Ok((bytes, Arc::new(parsed)))
}

/// The failure that tells every fault of a fixture file.
pub(super) fn faulty(path: &Path, problems: &[FixtureProblem]) -> Failure {
    let count = if problems.len() == 1 { "1 fault".to_owned() } else { format!("{} faults", problems.len()) };
    let first = problems.first().map_or_else(String::new, |p| format!(": {}:{} {}", p.line, p.column, said(p)));
    let mut failure =
        Failure::new(Code::InvalidArguments, format!("{count} in the fixture file {}{first}", path.display()));
    failure.hint = problems.first().and_then(|p| p.hint.clone());
    let errors: Vec<Value> = problems.iter().map(row).collect();
    failure.with("errors", errors)
}

fn said(problem: &FixtureProblem) -> String {
    if problem.path.is_empty() { problem.message.clone() } else { format!("{} {}", problem.path, problem.message) }
}

fn row(problem: &FixtureProblem) -> Value {
    let message = format!("{}:{} {}", problem.line, problem.column, said(problem));
    match &problem.hint {
        Some(hint) => json!({"path": "/fixtures", "message": message, "hint": hint}),
        None => json!({"path": "/fixtures", "message": message}),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_fault_is_told_with_line_and_column() {
        let fault = |line, path: &str, hint: Option<&str>| FixtureProblem {
            line,
            column: 5,
            path: path.to_owned(),
            message: "is unknown".to_owned(),
            hint: hint.map(str::to_owned),
        };
        let failure =
            faulty(Path::new("/f.yaml"), &[fault(3, "rules[0].txt", Some("did you mean text?")), fault(9, "", None)]);
        assert_eq!(failure.code, Code::InvalidArguments);
        assert_eq!(failure.message, "2 faults in the fixture file /f.yaml: 3:5 rules[0].txt is unknown");
        assert_eq!(failure.hint.as_deref(), Some("did you mean text?"));
        assert_eq!(
            failure.extra["errors"],
            json!([
                {"path": "/fixtures", "message": "3:5 rules[0].txt is unknown", "hint": "did you mean text?"},
                {"path": "/fixtures", "message": "9:5 is unknown"},
            ])
        );
    }

    #[test]
    fn a_good_file_comes_with_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.yaml");
        std::fs::write(&path, "owf_fixtures: 1\n").unwrap();
        let (bytes, fixtures) = super::fixtures(&path).unwrap();
        assert_eq!(bytes, b"owf_fixtures: 1\n");
        assert!(!fixtures.strict);
        assert!(super::fixtures(&dir.path().join("none.yaml")).is_err());
    }
}
