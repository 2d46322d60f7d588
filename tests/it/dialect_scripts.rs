//! Every bundled workflow and every script of fixtures/scripts, through the real engine with the fake provider: each runs to
//! its end in every mood, replays without a provider call, and does the same twice.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use owf::core::call::CachePolicy;
use owf::core::run::{EngineLimits, RunErrorCode, RunStatus};
use owf::engine::params::{DryRunParams, MoodArg, ResumeParams, RunParams, ValidateParams};
use owf::engine::view::{DryOutcome, Severity};
use serde_json::Value;

use crate::dialect_lab::{Ended, Lab, Outfit};
use crate::support::volatile::masked;

const MOODS: [MoodArg; 3] = [MoodArg::Happy, MoodArg::Unhappy, MoodArg::Empty];

/// Scripts that end with an error of their own in a mood, because they say so when they have nothing to work with: the file,
/// the mood, the beginning of the message.
const THROWS: &[(&str, MoodArg, &str)] = &[
    ("compare.js", MoodArg::Empty, "nobody answered"),
    ("loop-until-budget.js", MoodArg::Empty, "there is no draft to improve"),
];

/// Scripts that start several children at once: each has a thread of its own, so which ends first is not fixed.
const CHILDREN_SIDE_BY_SIDE: &[&str] = &["workflows/nested.js"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The scripts, relative to the package.
fn scripts() -> Vec<String> {
    let mut out = Vec::new();
    for dir in ["fixtures/scripts", "fixtures/workflows"] {
        for entry in std::fs::read_dir(root().join(dir)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&name).extension().is_some_and(|end| end == "js") {
                out.push(format!("{dir}/{name}"));
            }
        }
    }
    out.sort();
    assert!(out.len() >= 27, "{out:?}");
    out
}

/// A lab with copies of the scripts where they expect each other, and a fixture file that only counts.
fn lab() -> Lab {
    // Files of calls are proven elsewhere; here they would only take time.
    let limits = EngineLimits { call_folders: 2, ..EngineLimits::default() };
    let lab = Lab::with(Outfit { limits: Some(limits), ..Outfit::default() });
    for script in scripts() {
        lab.file(&script, &std::fs::read_to_string(root().join(&script)).unwrap());
    }
    lab.file("count.yaml", "owf_fixtures: 1\ninvocation_log: log.jsonl\n");
    lab
}

fn start(script: &str, mood: MoodArg) -> RunParams {
    RunParams {
        path: Some(script.to_owned()),
        mood: Some(mood),
        fixtures: Some("count.yaml".to_owned()),
        cache_policy: Some(CachePolicy::Disabled),
        ..RunParams::default()
    }
}

/// How a run may end: done, or with the error the script itself throws.
fn assert_proper_end(script: &str, mood: MoodArg, ended: &Ended) {
    let throws = THROWS.iter().find(|(file, when, _)| script.ends_with(file) && *when == mood);
    match (throws, &ended.outcome.error) {
        (None, None) => assert_eq!(ended.outcome.status, RunStatus::Done, "{script} {mood:?}"),
        (Some((_, _, message)), Some(error)) => {
            assert_eq!(error.code, RunErrorCode::ScriptError, "{script} {mood:?}: {error:?}");
            assert!(error.message.starts_with(message), "{script} {mood:?}: {error:?}");
        }
        (expected, found) => panic!("{script} {mood:?}: expected {expected:?}, found {found:?}"),
    }
    let engine_words = ["BUG", "panicked", "cannot be executed yet"];
    let logs = ended.logs().join("\n");
    assert!(!engine_words.iter().any(|w| logs.contains(w)), "{script} {mood:?}: {logs}");
}

#[test]
fn every_script_runs_to_its_end_in_every_mood_and_replays_without_a_call() {
    let lab = lab();
    for script in scripts() {
        for mood in MOODS {
            let ended = lab.run(&start(&script, mood));
            assert_proper_end(&script, mood, &ended);
            let before = lab.invocations("log.jsonl");
            let resume = ResumeParams { run_id: Some(ended.run.clone()), ..ResumeParams::default() };
            let again = lab.resume(&resume).unwrap();
            assert_ne!(again.run, ended.run, "{script} {mood:?}");
            assert_eq!(lab.invocations("log.jsonl") - before, 0, "{script} {mood:?}: {:?}", again.statuses());
            assert_eq!(again.outcome.status, ended.outcome.status, "{script} {mood:?}");
            assert_eq!(again.outcome.output, ended.outcome.output, "{script} {mood:?}");
            assert_eq!(again.outcome.error, ended.outcome.error, "{script} {mood:?}");
        }
    }
}

/// What is shown of a run, without what differs between two: where the lab is, and what tells the two starts apart.
fn shown(lab: &Lab, ended: &Ended, settings_too: bool) -> Value {
    let place = ["workspace", "cwd", "fixtures", "concurrency"];
    let more = if settings_too { &place[..] } else { &place[..3] };
    masked(&serde_json::to_value(lab.view(&ended.run)).unwrap(), more)
}

#[test]
fn every_script_does_the_same_twice_and_shows_the_same_at_any_concurrency() {
    let (one, two) = (lab(), lab());
    for script in scripts() {
        for mood in MOODS {
            let first = one.run(&start(&script, mood));
            let second = two.run(&start(&script, mood));
            let side_by_side = CHILDREN_SIDE_BY_SIDE.iter().any(|file| script.ends_with(file));
            let order = |ended: &Ended| {
                let mut kinds = ended.kinds();
                if side_by_side {
                    kinds.sort_unstable();
                }
                kinds
            };
            assert_eq!(order(&first), order(&second), "{script} {mood:?}");
            assert_eq!(first.statuses(), second.statuses(), "{script} {mood:?}");
            assert_eq!(shown(&one, &first, false), shown(&two, &second, false), "{script} {mood:?}");
            if mood != MoodArg::Happy {
                continue;
            }
            let narrow = one.run(&RunParams { concurrency: Some(1), ..start(&script, mood) });
            assert_eq!(shown(&one, &first, true), shown(&one, &narrow, true), "{script} {mood:?}, one at a time");
        }
    }
}

#[test]
fn every_script_validates_without_an_error_and_can_be_rehearsed_in_every_mood() {
    let lab = lab();
    for script in scripts() {
        let params = ValidateParams { path: Some(script.clone()), ..ValidateParams::default() };
        let view = lab.engine.validate(&params).unwrap();
        assert!(view.ok, "{script}: {:?}", view.diagnostics);
        let errors = view.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        assert_eq!(errors, 0, "{script}: {:?}", view.diagnostics);
        for mood in MOODS {
            let params = DryRunParams { path: Some(script.clone()), mood: Some(mood), ..DryRunParams::default() };
            let view = lab.engine.dry_run(&params).unwrap();
            let throws = THROWS.iter().any(|(file, when, _)| script.ends_with(file) && *when == mood);
            let expected = if throws { DryOutcome::Threw } else { DryOutcome::Completed };
            assert_eq!(view.outcome, expected, "{script} {mood:?}: {:?}", view.error);
        }
    }
    assert_eq!(lab.invocations("log.jsonl"), 0);
}
