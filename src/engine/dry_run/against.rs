//! What an earlier run and its lineage offer a rehearsal: outcomes to reuse, and requests to compare with.

use std::collections::{HashMap, HashSet};

use crate::core::call::{Ask, CallKind, CallSpec, Site};
use crate::core::event::{Event, EventRecord};
use crate::core::history::History;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::machine::Reuse;
use crate::core::outcome::{CallStatus, Outcome};

/// A request key with its occurrence.
pub(super) type Identity = (Hash, u32);

/// A call of an earlier run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EarlierCall {
    /// Its request.
    pub(crate) spec: Box<CallSpec>,
    /// How it ended; none = it never did.
    pub(crate) status: Option<CallStatus>,
    /// Whether the fake provider answered.
    pub(crate) simulated: bool,
}

/// The runs a rehearsal is compared with.
#[derive(Debug, Clone)]
pub(crate) struct Against {
    /// The run that would be resumed.
    pub(crate) run_id: RunId,
    /// What a resume would take over.
    pub(crate) reuse: Reuse,
    /// Calls by identity; of several runs the nearest counts.
    pub(crate) earlier: HashMap<Identity, EarlierCall>,
    /// The same for the child runs that earlier `workflow` calls started, by the identity of those calls. The caller fills
    /// it with children that are not reused whole.
    pub(crate) children: HashMap<Identity, Against>,
    by_label: HashMap<String, Vec<Identity>>,
    by_site: HashMap<Site, Vec<Identity>>,
}

impl Against {
    /// A comparison with nothing: every call is made for the first time.
    pub(crate) fn nothing(run_id: RunId) -> Self {
        Self {
            run_id,
            reuse: Reuse::default(),
            earlier: HashMap::new(),
            children: HashMap::new(),
            by_label: HashMap::new(),
            by_site: HashMap::new(),
        }
    }

    /// A comparison with the journals of a run and of those it resumes, nearest first. `usable` may turn outcomes down, as in
    /// [`Reuse::add`]. None when there is no run.
    pub(crate) fn new(
        chain: &[(RunId, Vec<EventRecord>)],
        mut usable: impl FnMut(CallKind, &Outcome) -> bool,
    ) -> Option<Self> {
        let (run_id, _) = chain.first()?;
        let mut against = Self::nothing(run_id.clone());
        for (distance, (run_id, events)) in chain.iter().enumerate() {
            let history = History::of(events.iter().map(|record| (record.at, &record.event)));
            against.reuse.add(distance as u32, run_id, &history, &mut usable);
            against.compare_with(events);
        }
        Some(against)
    }

    fn compare_with(&mut self, events: &[EventRecord]) {
        let mut ids: HashMap<CallId, Identity> = HashMap::new();
        for record in events {
            match &record.event {
                Event::CallRequested { call_id, key, occurrence, spec } => {
                    let id = (*key, *occurrence);
                    if self.earlier.contains_key(&id) {
                        continue;
                    }
                    ids.insert(*call_id, id);
                    self.by_label.entry(spec.label.clone()).or_default().push(id);
                    if let Some(site) = spec.site {
                        self.by_site.entry(site).or_default().push(id);
                    }
                    self.earlier.insert(id, EarlierCall { spec: spec.clone(), status: None, simulated: false });
                }
                Event::CallFinished { call_id, outcome, .. } => {
                    if let Some(call) = ids.get(call_id).and_then(|id| self.earlier.get_mut(id)) {
                        call.status = Some(outcome.status);
                        call.simulated = outcome.simulated;
                    }
                }
                _ => {}
            }
        }
    }

    /// The earlier call that a changed request most likely was: same label, else same place in the source. Calls in `taken`
    /// are accounted for already.
    pub(super) fn nearest(&self, spec: &CallSpec, taken: &HashSet<Identity>) -> Option<(Identity, &EarlierCall)> {
        let by_label = self.by_label.get(&spec.label).into_iter().flatten();
        let by_site = spec.site.and_then(|site| self.by_site.get(&site)).into_iter().flatten();
        by_label
            .chain(by_site)
            .filter(|id| !taken.contains(*id))
            .filter_map(|id| Some((*id, self.earlier.get(id)?)))
            .find(|(_, call)| call.spec.kind == spec.kind)
    }
}

/// The words for what differs between two requests, as replies use them.
pub(super) fn changed(was: &Ask, is: &Ask) -> Vec<String> {
    let differs = [
        ("prompt", was.prompt != is.prompt || was.messages != is.messages || was.workflow != is.workflow),
        ("system", was.system != is.system),
        ("schema", was.schema != is.schema),
        ("provider", was.provider != is.provider),
        ("model", was.model != is.model),
        ("effort", was.effort != is.effort),
        ("persona", was.agent_type != is.agent_type || was.persona != is.persona),
        ("tools", was.tools != is.tools || was.disallowed_tools != is.disallowed_tools || was.extra != is.extra),
        (
            "scopes",
            was.read_scope != is.read_scope || was.write_scope != is.write_scope || was.isolation != is.isolation,
        ),
        ("namespace", was.namespace != is.namespace),
    ];
    differs.iter().filter(|(_, is)| *is).map(|(word, _)| (*word).to_owned()).collect()
}
