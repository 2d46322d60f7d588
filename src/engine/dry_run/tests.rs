//! Rehearsals of real scripts.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Against, DryRunInput, dry_run};
use crate::core::failure::Code;
use crate::core::run::Settings;
use crate::engine::source::{Reference, load};
use crate::engine::view::{DryOutcome, DryRunView};
use crate::providers::Registry;
use crate::providers::fake::FakeProvider;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn input(reference: &Reference) -> DryRunInput {
    DryRunInput {
        workflow: load(reference, root(), None).unwrap(),
        args: None,
        provider: None,
        model: None,
        settings: Settings::default(),
        registry: Registry::new(Arc::new(FakeProvider::new(None, None, false))),
        fixtures: None,
        assume: std::collections::BTreeMap::new(),
        against: None,
        full: false,
        cwd: root().to_path_buf(),
        user_home: None,
        time_limit: Duration::from_secs(60),
    }
}

fn file(path: &str) -> DryRunInput {
    input(&Reference { path: Some(path.to_owned()), ..Reference::default() })
}

fn text(body: &str) -> DryRunInput {
    let script = format!("export const meta = {{ name: 't', description: 'Test.' }}\n{body}\n");
    input(&Reference { script: Some(script), ..Reference::default() })
}

fn run(input: DryRunInput) -> DryRunView {
    dry_run(input).unwrap()
}

#[test]
fn every_script_of_the_repository_is_rehearsed_to_its_end() {
    let mut failed = Vec::new();
    for dir in ["fixtures/workflows", "fixtures/scripts"] {
        let mut files: Vec<_> = std::fs::read_dir(root().join(dir)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for path in files {
            let view = run(file(path.to_str().unwrap()));
            println!(
                "{} {:?} calls {} sites {}/{} missing {:?} err {:?}",
                path.display(),
                view.outcome,
                view.calls_total,
                view.sites_reached,
                view.sites_total,
                view.args_missing,
                view.error.as_ref().map(|e| &e.message)
            );
            for f in &view.fan_outs {
                println!("   {} {} {} {}", f.line, f.over, f.calls, f.note);
            }
            for f in &view.calls {
                println!("     {:?} {} {} ", f.phase, f.label, f.count);
            }
            for f in &view.warnings {
                println!("   ! {} {} ", f.code, f.message);
            }
            for f in &view.unreached {
                println!("   unreached {f:?}");
            }
            if view.outcome != DryOutcome::Completed {
                failed.push((path, view.error));
            }
        }
    }
    assert_eq!(failed, []);
}
