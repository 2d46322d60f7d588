//! Runs with child runs, over hand-made journals.

#![expect(clippy::unwrap_used, reason = "tests")]

use crate::core::call::{Ask, CallKind, CallSpec};
use crate::core::event::Event;
use crate::core::ids::RunId;
use crate::engine::params::Detail;

use super::RunScope;
use super::testing::{Book, spec};

#[test]
fn a_run_whose_child_is_about_to_be_recorded_can_be_looked_at() {
    let mut book = Book::new();
    let mut run = book.run(&spec("review"));
    let call_id = run.ask(CallSpec::new(CallKind::Workflow, Ask::default()));
    run.event(Event::AttemptStarted {
        call_id,
        attempt: 1,
        provider: None,
        model: None,
        cache: None,
        due_at: None,
        child_run: Some(RunId::child(&run.id, call_id)),
        reserve_nanos: 0,
        reserve_tokens: 0,
    });
    let view = book.query().run_view(&run.id, &RunScope::Start { detail: Detail::Full }).unwrap();
    assert_eq!((view.approvals, view.counts.running), (Vec::new(), 1));
}
