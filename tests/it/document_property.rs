//! Random acyclic documents: order respected, every task ends once, never more at once than allowed, resumed as if never stopped.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use owf::core::call::CallKind;
use owf::core::ids::CallId;
use owf::core::machine::BudgetView;
use owf::core::op::{DriverState, Op};
use owf::core::outcome::{CallError, CallStatus, ErrorClass, Outcome};
use owf::front::document::{DocumentConfig, DocumentDriver, plan};
use owf::front::driver::Driver;
use proptest::prelude::*;
use serde_json::json;

/// One random task: which earlier ones it comes after (as distances), what it is, whether it fails.
#[derive(Debug, Clone)]
struct Made {
    after: Vec<usize>,
    is_expr: bool,
    fails: bool,
    allowed: bool,
    when: bool,
}

fn task() -> impl Strategy<Value = Made> {
    let after = prop::collection::vec(1_usize..12, 0..3);
    (after, any::<bool>(), prop::bool::weighted(0.1), any::<bool>(), prop::bool::weighted(0.9))
        .prop_map(|(after, is_expr, fails, allowed, when)| Made { after, is_expr, fails, allowed, when })
}

fn before(made: &[Made], index: usize) -> Vec<usize> {
    let mut out: Vec<usize> = made[index].after.iter().filter_map(|back| index.checked_sub(*back)).collect();
    out.sort_unstable();
    out.dedup();
    out
}

fn text(made: &[Made], concurrency: usize) -> String {
    let mut out = format!("name: x\nconcurrency: {concurrency}\nresult: 1\ntasks:\n");
    for (index, task) in made.iter().enumerate() {
        let after: Vec<String> = before(made, index).iter().map(|i| format!("t{i}")).collect();
        let work = match (task.is_expr, task.fails) {
            (true, true) => "expr: '1 + []'".to_owned(),
            (true, false) => "expr: 1".to_owned(),
            (false, _) => format!("prompt: p{index}"),
        };
        let (allowed, when) = (task.allowed, task.when);
        out.push_str(&format!(
            "  t{index}: {{after: [{}], {work}, allow_failure: {allowed}, when: {when}}}\n",
            after.join(", ")
        ));
    }
    out
}

/// What runs a document, as a run with nothing given does.
pub(crate) fn driver(text: &str) -> DocumentDriver {
    DocumentDriver::new(DocumentConfig {
        plan: plan(text).unwrap(),
        run_id: "r".to_owned(),
        args: None,
        default_provider: "fake".to_owned(),
        personas: Vec::new(),
        fan_out: 4096,
    })
}

/// What happened: requests by label in order, then how each ended in the order of delivery.
#[derive(Debug, Default, PartialEq)]
struct Course {
    requested: Vec<String>,
    delivered: Vec<(u32, CallStatus)>,
    done: bool,
}

/// Plays a document: of the calls that are open the `pick`-th is answered next.
fn play(text: &str, made: &[Made], picks: &[usize], most: usize) -> Course {
    let mut driver = driver(text);
    let mut course = Course::default();
    let mut open: Vec<(CallId, Outcome, bool)> = Vec::new();
    let mut ends: BTreeMap<String, CallStatus> = BTreeMap::new();
    let mut decided = std::collections::BTreeSet::new();
    let mut step = driver.start();
    let mut count = 0;
    loop {
        for op in step.ops.drain(..) {
            let Op::Request(spec) = op else { continue };
            let call_id = CallId(course.requested.len() as u32 + 1);
            course.requested.push(spec.label.clone());
            let index: usize = spec.label[1..].parse().unwrap();
            let outcome = match &spec.known {
                Some(known) => Outcome { call_id, ..Outcome::clone(known) },
                None if made[index].fails => Outcome::failed(call_id, CallError::new(ErrorClass::Refusal, "no")),
                None => Outcome::done(call_id, Some(json!("ok"))),
            };
            // A task begins when all it comes after have ended; a cancelled one may be told earlier.
            if outcome.status != CallStatus::Cancelled {
                for earlier in before(made, index) {
                    let label = format!("t{earlier}");
                    assert!(ends.contains_key(&label) || decided.contains(&label), "t{index} before {label} had ended");
                }
            }
            if matches!(outcome.status, CallStatus::Skipped | CallStatus::Cancelled) {
                // Nothing has to be waited for to know it.
                decided.insert(spec.label.clone());
            }
            open.push((call_id, outcome, spec.kind == CallKind::Agent && spec.known.is_none()));
        }
        assert!(open.iter().filter(|(_, _, takes)| *takes).count() <= most);
        if open.is_empty() {
            break;
        }
        let (call_id, outcome, _) = open.remove(picks[count % picks.len()] % open.len());
        count += 1;
        let label = course.requested[call_id.0 as usize - 1].clone();
        assert_eq!(ends.insert(label.clone(), outcome.status), None, "{label} ended twice");
        course.delivered.push((call_id.0, outcome.status));
        step = driver.deliver(call_id, &outcome, &BudgetView::default());
    }
    assert_eq!(ends.len(), made.len(), "every task ends");
    for (index, _) in made.iter().enumerate() {
        let failed = |i: &usize| {
            let end = ends[&format!("t{i}")];
            let well = matches!(end, CallStatus::Done | CallStatus::Skipped);
            !well && (end == CallStatus::Cancelled || !made[*i].allowed)
        };
        let cancelled = ends[&format!("t{index}")] == CallStatus::Cancelled;
        assert_eq!(cancelled, before(made, index).iter().any(failed), "t{index}");
    }
    course.done = matches!(step.state, DriverState::Returned(_));
    let bad = made.iter().enumerate().any(|(i, m)| {
        let end = ends[&format!("t{i}")];
        !matches!(end, CallStatus::Done | CallStatus::Skipped | CallStatus::Cancelled) && !m.allowed
    });
    assert_eq!(course.done, !bad);
    course
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn random_documents_keep_their_order_and_replay_the_same(
        made in prop::collection::vec(task(), 1..200),
        picks in prop::collection::vec(0_usize..8, 1..40),
        most in 1_usize..6,
    ) {
        let text = text(&made, most);
        let first = play(&text, &made, &picks, most);
        // The same outcomes in the same order lead to the same requests: what a replay relies on.
        prop_assert_eq!(first, play(&text, &made, &picks, most));
    }
}
