//! A run as the store keeps it, and what must hold of any journal by itself.

use std::collections::HashMap;
use std::rc::Rc;

use owf::core::call::{CallKind, CallSpec, Decision};
use owf::core::event::{ApprovalKind, Event, Owner};
use owf::core::history::History;
use owf::core::ids::{ApprovalId, CallId, Hash, RunId};
use owf::core::machine::{DecisionInput, Reuse};
use owf::core::outcome::{CallStatus, Outcome};
use owf::core::run::{JOURNAL_FORMAT, RunOutcome, RunSpec, Settings, WorkflowKind};
use owf::core::time::Millis;

use super::program::{Kind, Node};
use super::world::Asked;

pub(crate) type Journal = Vec<(Millis, Event)>;

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct SimRun {
    pub(crate) id: RunId,
    pub(crate) program: Rc<Node>,
    pub(crate) journal: Journal,
    /// Decisions as stored, consumed ones included.
    pub(crate) inbox: Vec<DecisionInput>,
    /// Attempts that reached a provider, in this run: the world remembers what a journal may lose.
    pub(crate) invocations: Vec<Asked>,
    /// The runs it resumes, nearest first.
    pub(crate) chain: Vec<(RunId, Journal)>,
}

impl SimRun {
    pub(crate) fn new(number: u8, program: &Rc<Node>) -> Self {
        let event = Event::RunCreated { spec: Box::new(run_spec()) };
        Self {
            id: RunId::new(Millis(1_779_978_721_000), [number; 5]),
            program: program.clone(),
            journal: vec![(Millis(1_000), event)],
            inbox: Vec::new(),
            invocations: Vec::new(),
            chain: Vec::new(),
        }
    }

    /// A new run that resumes `earlier`.
    pub(crate) fn resuming(number: u8, program: &Rc<Node>, earlier: &Self) -> Self {
        let mut chain = vec![(earlier.id.clone(), earlier.journal.clone())];
        chain.extend(earlier.chain.iter().cloned());
        Self { chain, ..Self::new(number, program) }
    }

    /// What the chain offers: all of it, nearest first.
    pub(crate) fn reuse(&self) -> Reuse {
        let mut reuse = Reuse::default();
        for (distance, (id, journal)) in self.chain.iter().enumerate() {
            let history = History::of(journal.iter().map(|(at, event)| (*at, event)));
            reuse.add(distance as u32, id, &history, |_, _| true);
        }
        reuse
    }

    /// Recorded outcomes in order.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (CallId, &Outcome)> {
        outcomes(&self.journal)
    }

    pub(crate) fn finished(&self) -> Option<&RunOutcome> {
        match self.journal.last() {
            Some((_, Event::RunFinished { outcome })) => Some(outcome),
            _ => None,
        }
    }

    /// How often the mutating call ran.
    pub(crate) fn mutations(&self, asked: &Asked) -> usize {
        self.invocations.iter().filter(|a| *a == asked).count()
    }

    /// How often a person agreed to repeat the call.
    pub(crate) fn granted_repeats(&self, call_id: CallId) -> usize {
        let asked = |id: &ApprovalId| {
            self.journal.iter().any(|(_, e)| {
                matches!(e, Event::ApprovalAsked { approval } if approval.approval_id == *id
                    && approval.call_id == call_id && approval.kind == ApprovalKind::Repeat)
            })
        };
        let granted = |e: &Event| matches!(e, Event::ApprovalDecided { approval_id, decision: Decision::Approve, .. } if asked(approval_id));
        self.journal.iter().filter(|(_, e)| granted(e)).count()
    }
}

/// Outcomes of a journal in order.
pub(crate) fn outcomes(journal: &Journal) -> impl Iterator<Item = (CallId, &Outcome)> {
    journal.iter().filter_map(|(_, event)| match event {
        Event::CallFinished { call_id, outcome, .. } => Some((*call_id, outcome.as_ref())),
        _ => None,
    })
}

/// The requests of a journal by call, as a script counts them.
pub(crate) fn requests(journal: &Journal) -> HashMap<CallId, Asked> {
    let requested = journal.iter().filter_map(|(_, event)| match event {
        Event::CallRequested { call_id, occurrence, spec, .. } => Some((*call_id, asked(spec, *occurrence))),
        _ => None,
    });
    requested.collect()
}

fn asked(spec: &CallSpec, occurrence: u32) -> Asked {
    let (prompt, kind) = match spec.kind {
        CallKind::Timer => (format!("timer:{}", spec.ask.timer_ms.unwrap_or(0)), Kind::Timer),
        CallKind::Approval => {
            (spec.ask.approval.as_ref().map_or_else(String::new, |a| a.message.clone()), Kind::Approval)
        }
        _ => {
            let kind = if spec.is_mutating() { Kind::Mut } else { Kind::Ro };
            (spec.ask.prompt.clone().unwrap_or_default(), kind)
        }
    };
    Asked { prompt, kind, occurrence }
}

/// The first thing wrong with a journal by itself: numbering, order, doubles.
pub(crate) fn malformed(journal: &Journal) -> Option<String> {
    #[derive(Default)]
    struct Seen {
        attempt: u32,
        finished: bool,
    }
    let mut calls: Vec<Seen> = Vec::new();
    let mut occurrences: HashMap<Hash, u32> = HashMap::new();
    let mut approvals: HashMap<ApprovalId, bool> = HashMap::new();
    for (place, (_, event)) in journal.iter().enumerate() {
        let fault = |what: &str| Some(format!("event {}: {what}: {event:?}", place + 1));
        if (place == 0) != matches!(event, Event::RunCreated { .. }) {
            return fault("the creation is the first event and only that");
        }
        if matches!(event, Event::RunFinished { .. }) && place + 1 != journal.len() {
            return fault("an event after the end");
        }
        if let Event::CallRequested { call_id, key, occurrence, .. } = event {
            let count = occurrences.entry(*key).or_default();
            *count += 1;
            if call_id.0 as usize != calls.len() + 1 || occurrence != count {
                return fault("calls and occurrences are numbered without gaps");
            }
            calls.push(Seen::default());
            continue;
        }
        if let Event::ApprovalDecided { approval_id, .. } = event
            && approvals.insert(*approval_id, true) != Some(false)
        {
            return fault("a decision answers one open question");
        }
        if matches!(event, Event::CancelRequested { .. }) {
            continue;
        }
        let Some(call_id) = event.call_id() else { continue };
        let Some(call) = calls.get_mut(call_id.0 as usize - 1) else { return fault("a call that was not requested") };
        if call.finished {
            return fault("an event of a call after its outcome");
        }
        match event {
            Event::AttemptStarted { attempt, .. } if *attempt <= call.attempt => {
                return fault("attempts are numbered upwards");
            }
            Event::AttemptStarted { attempt, .. } => call.attempt = *attempt,
            Event::CallFinished { .. } => call.finished = true,
            Event::ApprovalAsked { approval } => {
                if approval.approval_id.0 as usize != approvals.len() + 1 {
                    return fault("questions are numbered without gaps");
                }
                approvals.insert(approval.approval_id, false);
            }
            _ => {}
        }
    }
    if matches!(journal.last(), Some((_, Event::RunFinished { .. })))
        && let Some(open) = calls.iter().position(|c| !c.finished)
    {
        return Some(format!("the run ended and call {} has no outcome", open + 1));
    }
    None
}

/// Whether every outcome is ok and the run is done.
pub(crate) fn all_ok(run: &SimRun) -> bool {
    run.finished().is_some() && run.outcomes().all(|(_, o)| o.status == CallStatus::Done)
}

pub(crate) fn owner() -> Owner {
    Owner { epoch: 1, pid: 1, host: "host".to_owned(), boot_id: String::new(), process_start: 0 }
}

pub(crate) fn run_spec() -> RunSpec {
    RunSpec {
        format: JOURNAL_FORMAT,
        workflow_name: "model".to_owned(),
        description: String::new(),
        phases: Vec::new(),
        kind: WorkflowKind::Script,
        source_hash: Hash::of("source"),
        source_path: None,
        args: None,
        workspace: "/w".to_owned(),
        cwd: "/w".to_owned(),
        settings: Settings::default(),
        parent: None,
        root: None,
        depth: 0,
        resumed_from: None,
        diverged: None,
        started_by: "test".to_owned(),
        request_key: None,
        metadata: None,
        principal: None,
        hooks: Vec::new(),
        events: Vec::new(),
        notices: Vec::new(),
        asks: None,
        cleanups: Vec::new(),
        budget_base: owf::core::budget::Charge::default(),
    }
}
