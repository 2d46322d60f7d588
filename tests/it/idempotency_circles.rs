//! Calls of several run trees that wait for one another's idempotency keys in a circle: one of them is refused, and none hangs.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::time::Duration;

use owf::core::ids::{CallId, Hash, RunId};
use owf::core::outcome::{CallError, CallRef, ErrorClass, Outcome};
use owf::core::run::{ParentRef, RunSpec};
use owf::store::{CallFilter, Created, Lease, Once, OnceClaim, PrunePlan, Store};
use serde_json::{Value, json};

use crate::idempotency_waits::{add, ends, requested};
use crate::store_support::{T0, append, finish, me, run_id, spec, start, started};
use crate::support::cli::{Place, eventually};

/// Trees of two runs each: a root, and a run below its first call. Run `n` of the tree `t` is `10 * t + n`.
struct Trees {
    store: Store,
    leases: HashMap<u8, Lease>,
}

impl Trees {
    fn new(trees: u8) -> Self {
        let store = Store::in_memory().unwrap();
        let mut leases = HashMap::new();
        for tree in 1..=trees {
            let (root, child) = (run_id(10 * tree), run_id(10 * tree + 1));
            let lease = started(&store, &root, &spec("w"));
            let parent = Some(ParentRef { run_id: root.clone(), call_id: CallId(1) });
            let below = RunSpec { parent, root: Some(root.clone()), depth: 1, ..spec("w") };
            assert_eq!(store.create_run(&child, &below, b"w", T0).unwrap(), Created::New);
            for run in [&root, &child] {
                add(&store, &lease, run, vec![requested(1), requested(2)]);
            }
            leases.insert(tree, lease);
        }
        Self { store, leases }
    }

    /// What the call 1 of a run, or another, finds for a key.
    fn claim(&self, run: u8, call: u32, key: &str) -> Once {
        let (key, params) = (Hash::of(key), Hash::of("p"));
        let claim = OnceClaim { key, params, run: run_id(run), call_id: CallId(call), may_repeat: false };
        self.store.claim_once(&claim, T0).unwrap()
    }

    /// Rows of those who wait.
    fn waits(&self) -> i64 {
        let db = rusqlite::Connection::open(self.store.home().join("workflow.sqlite")).unwrap();
        db.query_row("SELECT count(*) FROM once_wait", [], |row| row.get(0)).unwrap()
    }

    /// The roots have a key each, named as their trees are.
    fn held(self) -> Self {
        for tree in self.leases.keys() {
            assert_eq!(self.claim(10 * tree, 1, &tree.to_string()), Once::Claimed);
        }
        self
    }
}

fn by(run: u8, call: u32) -> CallRef {
    CallRef { run_id: run_id(run), call_id: CallId(call) }
}

fn busy(run: u8) -> Once {
    Once::Busy { by: by(run, 1), ours: false }
}

#[test]
fn who_would_close_a_circle_over_two_trees_is_refused_and_the_other_goes_on() {
    let trees = Trees::new(2).held();
    assert_eq!(trees.claim(11, 1, "2"), busy(20));
    assert_eq!(trees.claim(11, 1, "2"), busy(20), "it asks again");
    assert_eq!(trees.claim(21, 1, "1"), Once::Circle(by(10, 1)));
    // The other one waits for what ends now.
    assert_eq!(trees.claim(11, 1, "2"), busy(20));
    let failed = Outcome::failed(CallId(1), CallError::new(ErrorClass::Policy, "x"));
    add(&trees.store, &trees.leases[&2], &run_id(20), vec![ends(failed)]);
    assert_eq!(trees.claim(11, 1, "2"), Once::Claimed);
}

#[test]
fn a_circle_over_three_trees_and_one_over_waits_within_a_tree_are_found() {
    let trees = Trees::new(3).held();
    assert_eq!(trees.claim(11, 1, "2"), busy(20));
    assert_eq!(trees.claim(21, 1, "3"), busy(30));
    assert_eq!(trees.claim(31, 1, "1"), Once::Circle(by(10, 1)));

    // In the first tree a call waits for another of that tree, below which somebody waits for the second.
    let trees = Trees::new(2).held();
    let store = &trees.store;
    let beside = run_id(12);
    let parent = Some(ParentRef { run_id: run_id(10), call_id: CallId(2) });
    let below = RunSpec { parent, root: Some(run_id(10)), depth: 1, ..spec("w") };
    assert_eq!(store.create_run(&beside, &below, b"w", T0).unwrap(), Created::New);
    add(store, &trees.leases[&1], &beside, vec![requested(1)]);
    assert_eq!(trees.claim(10, 2, "beside"), Once::Claimed);
    assert_eq!(trees.claim(11, 1, "beside"), Once::Busy { by: by(10, 2), ours: true });
    assert_eq!(trees.claim(12, 1, "2"), busy(20));
    assert_eq!(trees.claim(21, 1, "1"), Once::Circle(by(10, 1)));
}

#[test]
fn runs_that_agents_of_one_tree_start_may_close_a_circle_too() {
    let trees = Trees::new(1).held();
    let store = &trees.store;
    assert_eq!(trees.claim(10, 2, "second"), Once::Claimed);
    let mut leases = Vec::new();
    for (run, call) in [(40, 1), (50, 2)] {
        let parent = Some(ParentRef { run_id: run_id(10), call_id: CallId(call) });
        leases.push(started(store, &run_id(run), &RunSpec { parent, ..spec("w") }));
        append(store, leases.last().unwrap(), vec![requested(1)]).unwrap();
    }
    assert_eq!(trees.claim(40, 1, "second"), Once::Busy { by: by(10, 2), ours: false });
    assert_eq!(trees.claim(50, 1, "1"), Once::Circle(by(10, 1)));
}

#[test]
fn who_no_longer_waits_closes_no_circle() {
    // A call that ended while it waited.
    let trees = Trees::new(2).held();
    assert_eq!(trees.claim(11, 1, "2"), busy(20));
    let cancelled = Outcome::failed(CallId(1), CallError::new(ErrorClass::Cancelled, "x"));
    add(&trees.store, &trees.leases[&1], &run_id(11), vec![ends(cancelled)]);
    assert_eq!(trees.waits(), 1);
    assert_eq!(trees.claim(21, 1, "1"), busy(10));
    assert_eq!(trees.waits(), 1, "it is forgotten, and another waits");

    // One whose process is gone; taken up, it waits again.
    let mut trees = Trees::new(2).held();
    assert_eq!(trees.claim(11, 1, "2"), busy(20));
    trees.leases.remove(&1);
    let lease = trees.store.claim(&run_id(10), &me(), T0).unwrap();
    append(&trees.store, &lease, vec![start(lease.epoch)]).unwrap();
    trees.leases.insert(1, lease);
    assert_eq!(trees.claim(10, 1, "1"), Once::Claimed);
    assert_eq!(trees.claim(21, 1, "1"), busy(10));
    assert_eq!(trees.claim(11, 1, "2"), Once::Circle(by(20, 1)));

    // One that found what it waited for.
    let trees = Trees::new(2).held();
    assert_eq!(trees.claim(11, 1, "2"), busy(20));
    assert_eq!(trees.claim(11, 1, "free"), Once::Claimed);
    assert_eq!(trees.claim(21, 1, "1"), busy(10));

    // One that waits for a call beside those it is a part of.
    let trees = Trees::new(2);
    assert_eq!(trees.claim(10, 2, "1"), Once::Claimed);
    assert_eq!(trees.claim(20, 1, "2"), Once::Claimed);
    assert_eq!(trees.claim(11, 1, "2"), busy(20));
    assert_eq!(trees.claim(21, 1, "1"), Once::Busy { by: by(10, 2), ours: false });
}

#[test]
fn what_a_pruned_run_waited_for_goes_with_it() {
    let mut trees = Trees::new(2).held();
    assert_eq!(trees.claim(11, 1, "2"), busy(20));
    let cancelled = || finish(owf::core::run::RunStatus::Cancelled);
    add(&trees.store, &trees.leases[&1], &run_id(11), vec![cancelled()]);
    add(&trees.store, &trees.leases[&1], &run_id(10), vec![cancelled()]);
    trees.leases.remove(&1);
    assert_eq!(trees.waits(), 1);
    let pruned = trees.store.prune(&PrunePlan { keep: Some(0), ..PrunePlan::default() }).unwrap();
    assert_eq!((pruned.runs, trees.waits()), (vec![run_id(10)], 0));
}

#[test]
fn two_runs_whose_children_want_each_others_keys_both_end_and_one_says_why() {
    let place = Place::new();
    place.file("user.toml", "[tools.one]\nworkflow = \"one.yaml\"\n[tools.two]\nworkflow = \"two.yaml\"\n");
    for (name, other) in [("one", "two"), ("two", "one")] {
        place.file(
            &format!("{name}.yaml"),
            &format!(
                "name: {name}\ninputs: {{properties: {{inner: {{default: false}}}}}}\nsteps:\n  \
                 - {{id: gate, when: input.inner, run: [sh, -c, 'echo x >> waits; until test -e go; do sleep 0.01; done']}}\n  \
                 - {{id: work, tool: {other}, args: {{inner: true}}, idempotency_key: k}}\n"
            ),
        );
    }
    let owf = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("OWF_CONFIG", place.path().join("user.toml")).env("OWF_NESTING", "3");
        command
    };
    let run = |name: &str| {
        let mut command = owf(&["run", name, "--allow-commands", "--detach", "--json"]);
        let printed: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        printed["run_id"].as_str().unwrap_or_else(|| panic!("{printed}")).parse::<RunId>().unwrap()
    };
    let runs = [run("one.yaml"), run("two.yaml")];
    let lines = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap_or_default().lines().count();
    eventually(Duration::from_secs(10), "both have their keys, and a child that waits", || lines("waits") == 2);
    place.file("go", "");
    let ended = |run: &RunId| {
        let printed: Value =
            serde_json::from_slice(&owf(&["status", run.as_str(), "--json"]).output().unwrap().stdout).unwrap();
        printed["status"] == json!("failed")
    };
    eventually(Duration::from_secs(20), "both end", || runs.iter().all(ended));
    let store = place.store();
    let mut said = Vec::new();
    let mut open = runs.to_vec();
    while let Some(run) = open.pop() {
        open.extend(store.children(&run).unwrap().into_iter().map(|child| child.run_id));
        let calls = store.calls(&run, &CallFilter::default()).unwrap();
        said.extend(calls.into_iter().filter_map(|call| call.error).map(|(_, message)| message));
    }
    let circle = |[holder, _]: [&RunId; 2], task: &str| {
        format!(
            "idempotency key \"k\" of task `work`: {holder}/{task} is at work for it, and waits in turn for a call of which this one \
             is a part"
        )
    };
    let [one, two] = &runs;
    let found: Vec<&String> =
        said.iter().filter(|text| text.starts_with("idempotency key") && text.contains("in turn")).collect();
    let expected = [circle([one, two], "c0002"), circle([two, one], "c0002")];
    assert!(found.len() == 1 && expected.contains(found[0]), "{said:?}");
}
