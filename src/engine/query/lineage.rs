//! Earlier calls that a call can be compared with: those of the runs it resumes, then those of older runs of its workflow.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;

use crate::core::call::Site;
use crate::core::event::{CacheRecord, Event};
use crate::core::failure::Failure;
use crate::core::ids::{CallId, RunId};
use crate::core::outcome::CallStatus;
use crate::engine::workspace_diff;
use crate::store::{CallFilter, CallRequest, CallRow, CallState, RunFilter, RunRow, Store};

/// Runs of the chain that are looked at, and older runs of the same workflow.
const CHAIN: usize = 20;
const OLDER: usize = 10;
/// Calls of one earlier run that are compared with one call.
const CANDIDATES: usize = 64;

/// The calls of one earlier run, by place and by label.
struct Earlier {
    run: RunId,
    /// Whether the asking run resumes it, directly or not.
    chain: bool,
    calls: Vec<CallRow>,
    by_place: HashMap<(Site, String), Vec<usize>>,
    by_label: HashMap<String, Vec<usize>>,
    by_site: HashMap<Site, Vec<usize>>,
}

/// A call of an earlier run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found<'a> {
    pub(super) run: &'a RunId,
    pub(super) chain: bool,
    pub(super) call: &'a CallRow,
}

/// What an earlier run has of the very request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Same<'a> {
    /// The same request, as often as this one.
    Call(Found<'a>),
    /// The same request, but not as often: the last of them, and how many there were.
    Fewer(Found<'a>, u32),
}

/// Earlier runs, nearest first. Requests are read when they are asked for, once.
pub(super) struct Lineage<'a> {
    store: &'a Store,
    /// The workspace of the asking run.
    workspace: PathBuf,
    runs: Vec<Earlier>,
    requests: RefCell<HashMap<(RunId, CallId), Option<CallRequest>>>,
}

impl<'a> Lineage<'a> {
    /// What came before `row`: its chain, then the latest older runs of its workflow outside its tree.
    pub(super) fn of(store: &'a Store, row: &RunRow) -> Result<Self, Failure> {
        let mut runs: Vec<Earlier> = Vec::new();
        let mut next = row.resumed_from.clone();
        while let Some(id) = next.take()
            && runs.len() < CHAIN
            && let Some(earlier) = store.run(&id)?
        {
            next.clone_from(&earlier.resumed_from);
            runs.push(Earlier::load(store, id, true)?);
        }
        let filter = RunFilter {
            workflow: Some(row.spec.workflow_name.clone()),
            children: true,
            before: Some(row.position),
            limit: OLDER + CHAIN,
            ..RunFilter::default()
        };
        let older = store.runs(&filter)?.rows.into_iter().filter(|r| r.root != row.root);
        for earlier in older.take(OLDER) {
            if runs.iter().all(|r| r.run != earlier.run_id) {
                runs.push(Earlier::load(store, earlier.run_id, false)?);
            }
        }
        let workspace = PathBuf::from(&row.spec.workspace);
        Ok(Self { store, workspace, runs, requests: RefCell::default() })
    }

    /// What a call asked.
    pub(super) fn request(&self, run: &RunId, call: CallId) -> Result<Option<CallRequest>, Failure> {
        let id = (run.clone(), call);
        if let Some(known) = self.requests.borrow().get(&id) {
            return Ok(known.clone());
        }
        let request = self.store.request(run, call)?;
        self.requests.borrow_mut().insert(id, request.clone());
        Ok(request)
    }

    /// The cache key that an attempt of a call recorded; of a call taken over from elsewhere, that of the call it was taken from.
    pub(super) fn record(&self, run: &RunId, call: &CallRow) -> Result<Option<CacheRecord>, Failure> {
        let Some(seq) = call.cached_seq.filter(|seq| *seq > 0) else {
            let from = call.reused.as_ref().or(call.cache.as_ref().and_then(|note| note.from.as_ref()));
            return match from {
                // Whatever was taken over was executed there.
                Some(from) => match self.store.call(&from.run_id, from.call_id)? {
                    Some(there) if there.cached_seq.is_some() => self.record(&from.run_id, &there),
                    Some(_) | None => Ok(None),
                },
                None => Ok(None),
            };
        };
        let events = self.store.events(run, seq - 1, 1)?;
        Ok(events.into_iter().find_map(|e| match e.event {
            Event::AttemptStarted { cache, .. } => cache,
            _ => None,
        }))
    }

    /// The files that differ between the workspaces of two attempts, as far as they can be named.
    pub(super) fn files(&self, a: &CacheRecord, b: &CacheRecord) -> Vec<String> {
        match (&a.workspace, &b.workspace) {
            (Some(a), Some(b)) => workspace_diff::of_recorded(self.store, &self.workspace, a, b),
            _ => Vec::new(),
        }
    }

    /// The same request in the nearest run that has it.
    pub(super) fn same(&self, call: &CallRow, asked: &CallRequest) -> Result<Option<Same<'_>>, Failure> {
        let mut fewer: Option<(Found<'_>, u32)> = None;
        for earlier in &self.runs {
            let mut most = 0;
            let mut last = None;
            for found in earlier.same_or_at_site(call) {
                let Some(request) = self.request(&earlier.run, found.call_id)? else { continue };
                if request.key != asked.key {
                    continue;
                }
                let here = Found { run: &earlier.run, chain: earlier.chain, call: found };
                if request.occurrence == asked.occurrence {
                    return Ok(Some(Same::Call(here)));
                }
                if request.occurrence > most {
                    most = request.occurrence;
                    last = Some(here);
                }
            }
            if let Some(last) = last.filter(|_| fewer.is_none() && most < asked.occurrence) {
                fewer = Some((last, most));
            }
        }
        Ok(fewer.map(|(found, recorded)| Same::Fewer(found, recorded)))
    }

    /// The nearest call that is no such request: made at the same place, or with the same label; `nth` of those when the
    /// place was passed several times.
    pub(super) fn nearest(&self, call: &CallRow, nth: usize) -> Option<Found<'_>> {
        self.runs.iter().find_map(|earlier| {
            // One that was never begun was asked for nothing.
            let idle = |state| matches!(state, CallState::Ended(CallStatus::Cancelled | CallStatus::Skipped));
            let begun = |c: &&CallRow| c.attempts > 0 || !idle(c.state);
            let like: Vec<&CallRow> = earlier.like(call).into_iter().filter(begun).collect();
            let call = like.get(nth).or(like.last()).copied()?;
            Some(Found { run: &earlier.run, chain: earlier.chain, call })
        })
    }
}

impl Earlier {
    fn load(store: &Store, run: RunId, chain: bool) -> Result<Self, Failure> {
        let calls = store.calls(&run, &CallFilter::default())?;
        let mut earlier = Self {
            run,
            chain,
            calls: Vec::new(),
            by_place: HashMap::new(),
            by_label: HashMap::new(),
            by_site: HashMap::new(),
        };
        for (i, call) in calls.iter().enumerate() {
            if let Some(site) = call.site {
                earlier.by_place.entry((site, call.label.clone())).or_default().push(i);
                earlier.by_site.entry(site).or_default().push(i);
            }
            if !call.label.is_empty() {
                earlier.by_label.entry(call.label.clone()).or_default().push(i);
            }
        }
        earlier.calls = calls;
        Ok(earlier)
    }

    /// Those like it, then the others of its place: of a list in another order the same request has another label.
    fn same_or_at_site(&self, call: &CallRow) -> Vec<&CallRow> {
        let mut all = self.like(call);
        let there = call.site.and_then(|site| self.by_site.get(&site)).into_iter().flatten();
        let there: Vec<&CallRow> = there.filter_map(|i| self.calls.get(*i)).filter(|c| c.kind == call.kind).collect();
        let others = there.into_iter().filter(|c| all.iter().all(|known| known.call_id != c.call_id)).take(CANDIDATES);
        let others: Vec<&CallRow> = others.collect();
        all.extend(others);
        all
    }

    /// Calls of the same kind made at the same place with the same label, else with the same label (an edit moves places),
    /// else at the same place.
    fn like(&self, call: &CallRow) -> Vec<&CallRow> {
        let place = call.site.and_then(|site| self.by_place.get(&(site, call.label.clone())));
        let label = || self.by_label.get(&call.label);
        let site = || call.site.and_then(|site| self.by_site.get(&site));
        let Some(found) = place.or_else(label).or_else(site) else { return Vec::new() };
        let rows = found.iter().filter_map(|i| self.calls.get(*i)).filter(|c| c.kind == call.kind);
        rows.take(CANDIDATES).collect()
    }
}
