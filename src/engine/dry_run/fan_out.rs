//! Fan-outs whose size comes from an answer: how many calls they made here, and what one more item adds.

use crate::core::run::RunOutcome;
use crate::engine::view::FanOut;
use crate::front::script::{FanOutKind, FanOutSize, Script};

use super::entry::DryRunInput;
use super::estimate::{Planned, Sum};
use super::record::Rehearsed;
use super::rows::common;
use super::stage::Stage;

/// Fan-outs that are tried with one item more.
const MOST_PROBES: usize = 3;
/// Calls of a rehearsal that may be repeated for it.
const MOST_CALLS: usize = 300;
/// Elements of a generated list.
const GENERATED: u32 = 2;

/// What the open fan-outs of a script did.
#[derive(Debug, Default)]
pub(super) struct Growth {
    pub(super) rows: Vec<FanOut>,
    /// The expected cost of one more item, of the dearest fan-out.
    pub(super) per_item_nanos: Option<u64>,
}

/// The agent calls of the root by place in the source.
pub(super) struct BySite<'c> {
    sites: Vec<Vec<&'c Rehearsed>>,
}

impl<'c> BySite<'c> {
    pub(super) fn of(script: &Script, calls: impl IntoIterator<Item = &'c Rehearsed>) -> Self {
        let mut sites = vec![Vec::new(); script.sites.len()];
        for call in calls {
            let place = call.spec.site.filter(|_| call.run == 0).and_then(|s| script.site_at(s.line, s.column));
            if let Some(calls) = place.and_then(|index| sites.get_mut(index)) {
                calls.push(call);
            }
        }
        Self { sites }
    }

    /// Whether a place was reached.
    pub(super) fn is_reached(&self, site: usize) -> bool {
        self.count(site) > 0
    }

    fn count(&self, site: usize) -> u64 {
        self.sites.get(site).map_or(0, |calls| calls.len() as u64)
    }
}

/// Looks at every open fan-out; those over a list of an answer are tried again with one item more.
pub(super) fn grow(input: &DryRunInput, script: &Script, stage: &Stage, planned: Planned<'_>) -> Growth {
    let reached = BySite::of(script, stage.record.agents());
    let total = Sum::of(stage.record.agents(), planned).expected_nanos();
    let mut growth = Growth::default();
    let mut probes = 0;
    for (index, fan_out) in script.fan_outs.iter().enumerate() {
        if fan_out.size != FanOutSize::Open || sites_in(script, index).next().is_none() {
            continue;
        }
        let calls = sites_in(script, index).map(|site| reached.count(site)).sum();
        let tried = (calls > 0 && probes < MOST_PROBES && outermost(script, index))
            .then(|| property(&fan_out.over))
            .flatten()
            .filter(|_| fan_out.kind != FanOutKind::Loop && stage.record.calls.len() <= MOST_CALLS)
            .and_then(|name| {
                probes += 1;
                probe(input, script, stage, &name, &reached, planned)
            })
            // Every list of that name got one item more: one for each time the fan-out was come to.
            .map(|probe| probe.each(total, fan_out.parent.map_or(1, |parent| items(script, parent, &reached))));
        let added = match &tried {
            Some(probe) => probe.added.clone(),
            None => at_rest(script, index, &reached),
        };
        let per_item = match &tried {
            Some(probe) => probe.nanos,
            None if outermost(script, index) => cost_at_rest(script, index, &reached, planned),
            None => None,
        };
        growth.per_item_nanos = growth.per_item_nanos.max(per_item);
        growth.rows.push(FanOut {
            line: fan_out.line,
            over: fan_out.over.clone(),
            calls,
            note: note(script, index, &reached, &added),
        });
    }
    growth
}

/// What a rehearsal with one item more did.
struct Probe {
    /// Calls added by place.
    added: Vec<(usize, u64)>,
    /// The expected cost of all its calls; after [`Probe::each`] of one item.
    nanos: Option<u64>,
}

impl Probe {
    /// What one of `lists` more items added, where all calls would have cost `total` without.
    fn each(self, total: Option<u64>, lists: u64) -> Self {
        let lists = lists.max(1);
        Self {
            added: self.added.into_iter().map(|(site, n)| (site, n.div_ceil(lists))).collect(),
            nanos: self.nanos.zip(total).map(|(more, total)| more.saturating_sub(total) / lists),
        }
    }
}

fn probe(
    input: &DryRunInput,
    script: &Script,
    stage: &Stage,
    property: &str,
    before: &BySite<'_>,
    planned: Planned<'_>,
) -> Option<Probe> {
    let mut more = Stage::new(input, std::sync::Arc::clone(&stage.abort));
    let size = more.assume.entry(property.to_owned()).or_insert(GENERATED);
    *size += 1;
    let _: RunOutcome = more.root(input, None);
    let after = BySite::of(script, more.record.agents());
    let added: Vec<(usize, u64)> = (0..script.sites.len())
        .map(|site| (site, after.count(site).saturating_sub(before.count(site))))
        .filter(|(_, n)| *n > 0)
        .collect();
    let nanos = Sum::of(more.record.agents(), planned).expected_nanos();
    (!added.is_empty()).then_some(Probe { added, nanos })
}

/// Places inside a fan-out, however deep.
fn sites_in(script: &Script, fan_out: usize) -> impl Iterator<Item = usize> {
    (0..script.sites.len()).filter(move |site| {
        let mut around = script.sites[*site].in_fan_out;
        while let Some(index) = around {
            if index == fan_out {
                return true;
            }
            around = script.fan_outs.get(index).and_then(|f| f.parent);
        }
        false
    })
}

fn outermost(script: &Script, fan_out: usize) -> bool {
    let mut around = script.fan_outs[fan_out].parent;
    while let Some(index) = around {
        let Some(parent) = script.fan_outs.get(index) else { break };
        if parent.size == FanOutSize::Open {
            return false;
        }
        around = parent.parent;
    }
    true
}

/// How many items a fan-out seems to have had: as often as its busiest place was reached.
fn items(script: &Script, fan_out: usize, reached: &BySite<'_>) -> u64 {
    let direct = |site: &usize| script.sites[*site].in_fan_out == Some(fan_out);
    let most = |sites: &mut dyn Iterator<Item = usize>| sites.map(|site| reached.count(site)).max().unwrap_or(0);
    match most(&mut sites_in(script, fan_out).filter(direct)) {
        0 => most(&mut sites_in(script, fan_out)),
        n => n,
    }
}

/// What one more item adds, judged by what the items there were did.
fn at_rest(script: &Script, fan_out: usize, reached: &BySite<'_>) -> Vec<(usize, u64)> {
    let items = items(script, fan_out, reached).max(1);
    let each = |site: usize| (site, reached.count(site).div_ceil(items));
    sites_in(script, fan_out).map(each).filter(|(_, n)| *n > 0).collect()
}

fn cost_at_rest(script: &Script, fan_out: usize, reached: &BySite<'_>, planned: Planned<'_>) -> Option<u64> {
    let items = items(script, fan_out, reached);
    if items == 0 {
        return None;
    }
    let calls = sites_in(script, fan_out).flat_map(|site| reached.sites[site].iter().copied());
    Sum::of(calls, planned).expected_nanos().map(|nanos| nanos / items)
}

fn note(script: &Script, fan_out: usize, reached: &BySite<'_>, added: &[(usize, u64)]) -> String {
    let (size, more) = match script.fan_outs[fan_out].kind {
        FanOutKind::Callback | FanOutKind::Pipeline => ("size comes from an answer", "item"),
        FanOutKind::Loop => ("goes on until its condition fails", "round"),
    };
    if added.is_empty() {
        return format!("{size}; no call was made here");
    }
    let inside: Vec<usize> = sites_in(script, fan_out).collect();
    let parts: Vec<String> = added
        .iter()
        .map(|(site, n)| {
            let label = name(script, *site, reached);
            // Only what stands directly in the fan-out follows its size; the rest depends on answers again.
            let about = if inside.contains(site) { "" } else { "about " };
            format!("{about}{n} {label}")
        })
        .collect();
    let calls = if added.last().is_some_and(|(_, n)| *n == 1) { "call" } else { "calls" };
    format!("{size}; each further {more} adds {} {calls}", parts.join(" and "))
}

/// What the calls of a place are called: what their label begins with.
fn name(script: &Script, site: usize, reached: &BySite<'_>) -> String {
    let labels: Vec<&str> = reached.sites[site].iter().map(|c| c.spec.label.as_str()).collect();
    let label = script.sites[site].label.clone().unwrap_or_else(|| common(&labels));
    let start = label.split('*').next().unwrap_or_default().trim_end_matches(|c: char| !c.is_alphanumeric());
    if start.is_empty() { format!("line-{}", script.sites[site].line) } else { start.to_owned() }
}

/// The property that a fan-out goes over: `files` of `scan.files ?? []`. None for what is no plain path.
fn property(over: &str) -> Option<String> {
    let path = over.split("??").next()?.split("||").next()?.trim().trim_start_matches('(');
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let mut last = None;
    for part in path.split('.') {
        let part = part.trim_end_matches(['?', ')', ' ']);
        if part.is_empty() || !part.chars().all(is_word) {
            break;
        }
        last = Some(part);
    }
    last.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_property_of_a_path_is_its_last_plain_name() {
        let of = |over| property(over);
        assert_eq!(of("files").as_deref(), Some("files"));
        assert_eq!(of("scan?.files ?? []").as_deref(), Some("files"));
        assert_eq!(of("(scan.files || [])").as_deref(), Some("files"));
        assert_eq!(of("found.filter(Boolean)").as_deref(), Some("found"));
        assert_eq!(of("[1, 2]"), None);
    }
}
