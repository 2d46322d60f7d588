//! Ownership and inbox: one owner at a time, and never a decision with nobody to act on it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Barrier};

use owf::core::call::{Decider, Decision};
use owf::core::event::Event;
use owf::core::ids::{ApprovalId, CallId, RunId};
use owf::core::run::{RunStatus, StatusReason};
use owf::store::{
    ApprovalState, Decided, InboxItem, InboxMessage, Lease, OpenMode, PauseResult, Sent, Store, StoreError,
};

use crate::store_support::{T0, append, continued, finish, me, question, run_id, spec, start, started};

fn approve() -> InboxMessage {
    InboxMessage::Decide {
        approval_id: ApprovalId(1),
        decision: Decision::Approve,
        content_hash: "0011aabb".into(),
        by: "ann".into(),
        via: "cli".into(),
        reason: None,
        person: true,
    }
}

fn paused(reason: StatusReason) -> Event {
    Event::RunPaused { reason, message: None }
}

#[test]
fn of_two_claimers_one_wins_and_the_other_is_told_who() {
    let store = Store::in_memory().unwrap();
    let run = run_id(1);
    store.create_run(&run, &spec("w"), b"w", T0).unwrap();
    let barrier = Arc::new(Barrier::new(2));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (home, run, barrier) = (store.home().to_owned(), run.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let store = Store::open(&home, OpenMode::Existing).unwrap();
                barrier.wait();
                let claimed = store.claim(&run, &me(), T0);
                barrier.wait();
                claimed.map(|lease| lease.epoch)
            })
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert_eq!(results.iter().filter(|r| **r == Ok(1)).count(), 1, "{results:?}");
    let loser = results.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(loser, StoreError::Live { owner: Some(row), .. } if row.owner.pid == 7 && row.since == T0));
    assert_eq!((store.owner(&run), store.is_live(&run)), (Ok(None), false), "the winner is gone by now");
}

#[test]
fn an_owner_whose_run_was_taken_over_writes_nothing_more() {
    let old = Store::in_memory().unwrap();
    let run = run_id(1);
    let lease = started(&old, &run, &spec("w"));
    let zombie = continued(&old, &lease, vec![finish(RunStatus::Done)]);
    drop(lease);
    let new = Store::open(old.home(), OpenMode::Existing).unwrap();
    let lease = new.claim(&run, &me(), T0).unwrap();
    assert_eq!(lease.epoch, 2);
    let lost = StoreError::LostOwnership { run: run.clone(), ours: 1, now: 2 };
    assert_eq!(old.append(zombie.clone()).wait(), Err(lost.clone()));
    assert_eq!(old.pause(zombie), Err(lost));
    append(&new, &lease, vec![start(2)]).unwrap();
    assert_eq!(new.run(&run).unwrap().unwrap().status, RunStatus::Running);
    assert_eq!(new.integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_gap_in_the_sequence_is_refused_and_so_is_everything_after_it() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    let mut gap = continued(&store, &lease, question(1, 1, None));
    let good = gap.clone();
    gap.records.remove(0);
    let error = StoreError::Sequence { run: run_id(1), last: 2, got: 4 };
    assert_eq!(store.append(gap).wait(), Err(error.clone()));
    assert_eq!(store.append(good).wait(), Err(error));
    assert_eq!(store.last_seq(&run_id(1)).unwrap(), 2);
}

#[test]
fn accept_084_of_concurrent_deciders_exactly_one_wins_and_a_second_decision_is_refused() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    append(&store, &lease, question(1, 1, None)).unwrap();
    let barrier = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (home, barrier) = (store.home().to_owned(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let store = Store::open(&home, OpenMode::Existing).unwrap();
                barrier.wait();
                store.send(&run_id(1), &approve(), T0.plus(5))
            })
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let sent = Sent { live_owner: true, status: RunStatus::Running };
    assert_eq!(results.iter().filter(|r| **r == Ok(sent)).count(), 1, "{results:?}");
    let decided = Decided {
        decision: Some(Decision::Approve),
        at: Some(T0.plus(5)),
        by: Some("ann".into()),
        via: Some("cli".into()),
    };
    let refused = Err(StoreError::AlreadyDecided(decided));
    assert_eq!(results.iter().filter(|r| **r == refused).count(), 3, "{results:?}");
    assert_eq!(store.inbox(&run_id(1), 0).unwrap().len(), 1);
    append(&store, &lease, vec![finish(RunStatus::Done)]).unwrap();
    assert_eq!(store.send(&run_id(1), &approve(), T0.plus(6)), refused, "also once the run has ended");
    // A denial stands like an approval.
    let lease = started(&store, &run_id(2), &spec("w"));
    append(&store, &lease, question(1, 1, None)).unwrap();
    let InboxMessage::Decide { approval_id, content_hash, by, via, reason, person, .. } = approve() else {
        unreachable!()
    };
    let deny = InboxMessage::Decide { approval_id, decision: Decision::Deny, content_hash, by, via, reason, person };
    assert!(store.send(&run_id(2), &deny, T0.plus(7)).is_ok());
    let second = store.send(&run_id(2), &approve(), T0.plus(8));
    let denied = |e: &StoreError| matches!(e, StoreError::AlreadyDecided(d) if d.decision == Some(Decision::Deny));
    assert!(second.as_ref().is_err_and(denied), "{second:?}");
}

#[test]
fn accept_085_a_decision_about_another_question_is_refused() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    append(&store, &lease, question(1, 1, None)).unwrap();
    let InboxMessage::Decide { approval_id, decision, by, via, reason, person, .. } = approve() else { unreachable!() };
    let other = InboxMessage::Decide { approval_id, decision, content_hash: "ff".into(), by, via, reason, person };
    assert_eq!(store.send(&run_id(1), &other, T0), Err(StoreError::ContentChanged { now: "0011aabb".into() }));
    assert_eq!(store.approvals(Some(&run_id(1)), Some(ApprovalState::Pending)).unwrap().len(), 1);
}

#[test]
fn only_a_person_decides_what_asks_for_a_person() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    let mut events = question(1, 1, None);
    if let Event::ApprovalAsked { approval } = &mut events[1] {
        approval.decider = Decider::Person;
    }
    append(&store, &lease, events).unwrap();
    let InboxMessage::Decide { approval_id, decision, content_hash, by, via, reason, .. } = approve() else {
        unreachable!()
    };
    let model = InboxMessage::Decide { approval_id, decision, content_hash, by, via, reason, person: false };
    assert_eq!(store.send(&run_id(1), &model, T0), Err(StoreError::PersonRequired));
    assert!(store.send(&run_id(1), &approve(), T0).is_ok());
}

#[test]
fn accept_087_an_expiry_applies_once_and_a_late_decision_is_refused() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    append(&store, &lease, question(1, 1, Some(T0.plus(100)))).unwrap();
    let at = |ms: u64| T0.plus(ms);
    assert_eq!(store.expire(&run_id(1), ApprovalId(1), at(99)), Ok(false), "not due");
    assert_eq!(
        store.send(&run_id(1), &approve(), at(100)),
        Err(StoreError::ApprovalExpired),
        "late by the clock alone"
    );
    assert_eq!(store.expire(&run_id(1), ApprovalId(1), at(100)), Ok(true));
    assert_eq!(store.expire(&run_id(1), ApprovalId(1), at(101)), Ok(false), "once");
    assert_eq!(store.send(&run_id(1), &approve(), at(50)), Err(StoreError::ApprovalExpired));
    let rows = store.inbox(&run_id(1), 0).unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    let InboxItem::Decide(input) = &row.item else { panic!("{row:?}") };
    assert_eq!((input.decision, input.expired, input.by.as_str()), (Decision::Deny, true, "timeout"));
}

#[test]
fn an_expiry_does_not_overrule_a_decision() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    append(&store, &lease, question(1, 1, Some(T0.plus(100)))).unwrap();
    store.send(&run_id(1), &approve(), T0.plus(99)).unwrap();
    assert_eq!(store.expire(&run_id(1), ApprovalId(1), T0.plus(200)), Ok(false));
}

#[test]
fn a_cancel_of_an_ended_run_or_an_unknown_call_is_refused() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    let cancel = |call_id| InboxMessage::Cancel { call_id, by: "ann".into(), reason: None };
    assert!(matches!(
        store.send(&run_id(1), &cancel(Some(CallId(9))), T0),
        Err(StoreError::NotFound { what: "call", .. })
    ));
    assert_eq!(store.send(&run_id(1), &cancel(None), T0), Ok(Sent { live_owner: true, status: RunStatus::Running }));
    assert!(store.run(&run_id(1)).unwrap().unwrap().cancel_requested, "seen before the owner has seen it");
    append(&store, &lease, vec![finish(RunStatus::Cancelled)]).unwrap();
    let ended = StoreError::RunEnded { run: run_id(1), status: RunStatus::Cancelled };
    assert_eq!(store.send(&run_id(1), &cancel(None), T0), Err(ended.clone()));
    drop(lease);
    assert_eq!(store.claim(&run_id(1), &me(), T0).map(|l| l.epoch), Err(ended));
}

#[test]
fn a_sender_is_told_when_the_owner_is_dead_although_its_row_stands() {
    let store = Store::in_memory().unwrap();
    drop(started(&store, &run_id(1), &spec("w")));
    let row = store.run(&run_id(1)).unwrap().unwrap();
    assert!(row.owner.is_some());
    assert_eq!(store.effective_status(&row, T0), (RunStatus::Interrupted, Some(StatusReason::OwnerGone)));
    let sent = store.send(&run_id(1), &InboxMessage::Pause { by: "ann".into() }, T0).unwrap();
    assert_eq!(sent, Sent { live_owner: false, status: RunStatus::Running });
}

#[test]
fn a_run_that_no_process_took_up_is_interrupted_after_ten_seconds() {
    let store = Store::in_memory().unwrap();
    store.create_run(&run_id(1), &spec("w"), b"w", T0).unwrap();
    let row = store.run(&run_id(1)).unwrap().unwrap();
    assert_eq!(store.effective_status(&row, T0.plus(9_999)), (RunStatus::Queued, None));
    assert_eq!(store.effective_status(&row, T0.plus(10_000)), (RunStatus::Interrupted, Some(StatusReason::NotStarted)));
}

/// An owner that pauses for an approval, step by step, as the engine does it.
struct Pausing {
    store: Store,
    lease: Option<Lease>,
    left: bool,
    acted: bool,
}

impl Pausing {
    fn step(&mut self, step: usize) {
        if self.left {
            return;
        }
        let Some(lease) = &self.lease else { return };
        match step {
            0 => {
                let rows = self.store.inbox(&lease.run, 0).unwrap();
                if !rows.is_empty() {
                    self.act(rows.iter().map(|row| row.id).collect());
                }
            }
            1 => {
                let append = continued(&self.store, lease, vec![paused(StatusReason::Approval)]);
                match self.store.pause(append).unwrap() {
                    PauseResult::Paused => {}
                    PauseResult::Pending(rows) => self.act(rows.iter().map(|row| row.id).collect()),
                }
            }
            _ => self.lease = None,
        }
    }

    fn act(&mut self, ids: Vec<i64>) {
        let Some(lease) = &self.lease else { return };
        let decided = Event::ApprovalDecided {
            approval_id: ApprovalId(1),
            decision: Decision::Approve,
            expired: false,
            by: "ann".into(),
            via: "cli".into(),
            reason: None,
        };
        let mut append = continued(&self.store, lease, vec![decided]);
        append.consumed = ids;
        self.store.append(append).wait().unwrap();
        (self.left, self.acted) = (true, true);
    }
}

/// All orders of `a` steps of one and `b` steps of the other; true = the first.
fn orders(a: usize, b: usize) -> Vec<Vec<bool>> {
    match (a, b) {
        (0, b) => vec![vec![false; b]],
        (a, 0) => vec![vec![true; a]],
        (a, b) => {
            let with = |first: bool, rest: Vec<Vec<bool>>| {
                rest.into_iter().map(move |mut order| {
                    order.insert(0, first);
                    order
                })
            };
            with(true, orders(a - 1, b)).chain(with(false, orders(a, b - 1))).collect()
        }
    }
}

#[test]
fn in_no_order_of_pausing_and_deciding_is_a_decision_left_with_nobody_to_act_on_it() {
    let store = Store::in_memory().unwrap();
    // Of the owner: poll, pause, let the lock go. Of the decider: send, act on the answer.
    let all = orders(3, 2);
    assert_eq!(all.len(), 10);
    for (n, order) in all.into_iter().enumerate() {
        let run = run_id(n as u8 + 1);
        let owning = Store::open(store.home(), OpenMode::Existing).unwrap();
        let lease = started(&owning, &run, &spec("w"));
        append(&owning, &lease, question(1, 1, None)).unwrap();
        let mut owner = Pausing { store: owning, lease: Some(lease), left: false, acted: false };
        let (mut owner_steps, mut decider_steps) = (0, 0);
        let mut sent: Option<Sent> = None;
        let mut restarts = false;
        for first in &order {
            if *first {
                owner.step(owner_steps);
                owner_steps += 1;
            } else {
                match decider_steps {
                    0 => sent = Some(store.send(&run, &approve(), T0).unwrap()),
                    _ => restarts = !sent.unwrap().live_owner,
                }
                decider_steps += 1;
            }
        }
        assert!(owner.acted || restarts, "the decision is lost in order {order:?}");
        assert!(!(owner.acted && restarts), "two act in order {order:?}");
        // The poll takes place once here: an owner that neither acted nor paused would still be running.
        owner.lease = None;
        if restarts {
            let lease = store.claim(&run, &me(), T0).unwrap();
            assert_eq!(lease.epoch, 2);
            assert_eq!(store.inbox(&run, 0).unwrap().len(), 1, "the new owner finds it, order {order:?}");
        } else {
            assert_eq!(store.inbox(&run, 0).unwrap(), Vec::new(), "order {order:?}");
        }
    }
}

#[test]
fn a_restart_waits_for_an_owner_that_has_paused_and_is_about_to_go() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    append(&store, &lease, question(1, 1, None)).unwrap();
    let pause = continued(&store, &lease, vec![paused(StatusReason::Approval)]);
    assert_eq!(store.pause(pause), Ok(PauseResult::Paused));
    let late = continued(&store, &lease, vec![paused(StatusReason::User)]);
    let lost = StoreError::LostOwnership { run: run_id(1), ours: 1, now: 1 };
    assert_eq!(store.append(late).wait(), Err(lost), "it has given the run up");
    let other = store.clone();
    let claimer = std::thread::spawn(move || other.claim(&run_id(1), &me(), T0).map(|lease| lease.epoch));
    drop(lease);
    assert_eq!(claimer.join().unwrap(), Ok(2));
}

#[test]
fn a_child_run_is_owned_with_its_root() {
    let store = Store::in_memory().unwrap();
    let root = run_id(1);
    let lease = started(&store, &root, &spec("w"));
    let child = RunId::child(&root, CallId(1));
    let mut child_spec = spec("child");
    child_spec.root = Some(root.clone());
    child_spec.parent = Some(owf::core::run::ParentRef { run_id: root.clone(), call_id: CallId(1) });
    store.create_run(&child, &child_spec, b"child", T0).unwrap();
    assert!(store.is_live(&child));
    assert_eq!(store.children(&root).unwrap().into_iter().map(|r| r.run_id).collect::<Vec<_>>(), vec![child.clone()]);
    store.send(&child, &InboxMessage::Pause { by: "ann".into() }, T0).unwrap();
    assert_eq!(store.inbox(&root, 0).unwrap()[0].run_id, child);
    drop(lease);
    assert_eq!(store.claim(&child, &me(), T0).map(|lease| (lease.run.clone(), lease.epoch)), Ok((root, 2)));
}
