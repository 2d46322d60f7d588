//! `docs/providers-http.md` names tests that are there.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

#[test]
fn every_test_that_the_page_about_services_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/providers-http.md")).unwrap();
    let mut code = String::new();
    for dir in ["src/providers", "src/core", "src/tools", "src/engine", "tests/it"] {
        for entry in walkdir::WalkDir::new(root.join(dir)) {
            let entry = entry.unwrap();
            if entry.path().extension().is_some_and(|ending| ending == "rs") {
                code.push_str(&std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    let missing: Vec<&&str> =
        named.iter().filter(|name| !code.contains(&format!("fn {}(", name.rsplit("::").next().unwrap()))).collect();
    assert!(named.len() > 60, "{}", named.len());
    assert_eq!(missing, Vec::<&&str>::new());
}
