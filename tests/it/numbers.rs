//! Every number of the dialect's conformance list and of the acceptance list has a test that carries it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

/// The numbers of the acceptance list that this version answers for.
const ACCEPTED: &[std::ops::RangeInclusive<u32>] =
    &[1..=20, 22..=24, 26..=34, 40..=42, 45..=45, 47..=47, 50..=50, 54..=54, 56..=104, 110..=111, 115..=115];

/// The numbers in the names of test functions that begin with `prefix`, over all sources.
fn numbers(prefix: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for dir in ["src", "tests"] {
        for entry in walkdir::WalkDir::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)) {
            let entry = entry.unwrap();
            if entry.path().extension().is_none_or(|e| e != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            // A name counts only where the attribute makes it a test.
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[") {
                    is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
                    continue;
                }
                let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ").unwrap_or_default();
                if is_test && let Some(rest) = name.strip_prefix(prefix) {
                    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    assert!(rest[digits.len()..].starts_with('_'), "{name} says nothing after its number");
                    found.insert(digits.parse().unwrap());
                }
                is_test &= line.is_empty() || line.starts_with("//");
            }
        }
    }
    found
}

#[test]
fn every_number_of_the_dialect_has_a_test() {
    let found = numbers("dialect_");
    let missing: Vec<u32> = (1..=62).filter(|n| !found.contains(n)).collect();
    assert_eq!(missing, Vec::<u32>::new());
    assert_eq!(found.iter().find(|n| !(1..=62).contains(*n)), None, "there is no such number");
}

#[test]
fn every_accepted_number_has_a_test() {
    let found = numbers("accept_");
    let missing: Vec<u32> = ACCEPTED.iter().cloned().flatten().filter(|n| !found.contains(n)).collect();
    assert_eq!(missing, Vec::<u32>::new());
}
