//! The call tree of a rehearsal: equal calls counted, labels generalised, phases summed up.

use std::collections::HashMap;

use crate::core::call::Site;
use crate::engine::view::{DryCallRow, DryPhase};
use crate::front::script::Script;

use super::estimate::prompt_bytes;
use super::record::Rehearsed;

/// What makes calls equal in the tree.
#[derive(PartialEq, Eq, Hash)]
struct Sort<'a> {
    child: bool,
    phase: Option<&'a str>,
    site: Option<Site>,
    /// Part of the sort only when every call is to be shown by its own label.
    label: Option<&'a str>,
    provider: Option<&'a str>,
    model: Option<&'a str>,
    schema: bool,
}

/// The rows of the tree in the order of their first calls: by place in the source, or with `each` by label. Calls of one
/// place whose labels differ get the label as the source has it, else what the labels share.
pub(super) fn tree<'c>(script: &Script, calls: impl IntoIterator<Item = &'c Rehearsed>, each: bool) -> Vec<DryCallRow> {
    let mut places: HashMap<Sort<'c>, usize> = HashMap::new();
    let mut rows: Vec<(DryCallRow, Vec<&'c str>, Option<&str>)> = Vec::new();
    for call in calls {
        let (spec, ask) = (&call.spec, &call.spec.ask);
        let sort = Sort {
            child: call.run > 0,
            phase: spec.phase.as_deref(),
            site: spec.site,
            label: (each || spec.site.is_none()).then_some(spec.label.as_str()),
            provider: ask.provider.as_deref(),
            model: ask.model.as_deref(),
            schema: ask.schema.is_some(),
        };
        let place = *places.entry(sort).or_insert_with(|| {
            let row = DryCallRow {
                phase: spec.phase.clone(),
                label: String::new(),
                count: 0,
                provider: ask.provider.clone(),
                model: ask.model.clone(),
                schema: ask.schema.is_some(),
                prompt_bytes: 0,
            };
            let place = spec.site.filter(|_| call.run == 0).and_then(|s| script.site_at(s.line, s.column));
            rows.push((row, Vec::new(), place.and_then(|index| script.sites[index].label.as_deref())));
            rows.len() - 1
        });
        let (row, labels, _) = &mut rows[place];
        row.count += 1;
        row.prompt_bytes = row.prompt_bytes.max(prompt_bytes(ask));
        if labels.last() != Some(&spec.label.as_str()) {
            labels.push(&spec.label);
        }
    }
    let named = |(row, labels, pattern): (DryCallRow, Vec<&str>, Option<&str>)| {
        let differ = labels.iter().any(|label| Some(label) != labels.first());
        let label = pattern.filter(|_| differ).map_or_else(|| common(&labels), str::to_owned);
        DryCallRow { label, ..row }
    };
    rows.into_iter().map(named).collect()
}

/// Calls by phase: the declared ones first, in their order, then others as they appear.
pub(super) fn phases<'c>(
    declared: impl IntoIterator<Item = String>,
    calls: impl IntoIterator<Item = &'c Rehearsed>,
) -> Vec<DryPhase> {
    let empty = |title: String| DryPhase { title, calls: 0, models: None, prompt_bytes: 0 };
    let mut phases: Vec<DryPhase> = declared.into_iter().map(empty).collect();
    for call in calls {
        let Some(title) = &call.spec.phase else { continue };
        let place = phases.iter().position(|p| p.title == *title).unwrap_or_else(|| {
            phases.push(empty(title.clone()));
            phases.len() - 1
        });
        let phase = &mut phases[place];
        phase.calls += 1;
        phase.prompt_bytes += prompt_bytes(&call.spec.ask);
        if let Some(model) = &call.spec.ask.model {
            let models = phase.models.get_or_insert_default();
            if !models.contains(model) {
                models.push(model.clone());
            }
        }
    }
    phases
}

/// One label for several: what they share, and `*` for what differs. Words are compared whole, so that numbers and names do
/// not leave stray letters.
pub(super) fn common(labels: &[&str]) -> String {
    let Some((first, rest)) = labels.split_first() else { return String::new() };
    if rest.iter().all(|label| label == first) {
        return (*first).to_owned();
    }
    let first = words(first);
    let rest: Vec<Vec<&str>> = rest.iter().map(|label| words(label)).collect();
    let shortest = rest.iter().map(Vec::len).chain([first.len()]).min().unwrap_or(0);
    let mut out = String::new();
    if rest.iter().all(|label| label.len() == first.len()) {
        for (i, word) in first.iter().enumerate() {
            if rest.iter().all(|label| label[i] == *word) {
                out.push_str(word);
            } else if !out.ends_with('*') {
                out.push('*');
            }
        }
        return out;
    }
    let start = (0..shortest).take_while(|&i| rest.iter().all(|label| label[i] == first[i])).count();
    let end = (0..shortest - start)
        .take_while(|&i| rest.iter().all(|label| label[label.len() - 1 - i] == first[first.len() - 1 - i]))
        .count();
    out.extend(first[..start].iter().copied());
    out.push('*');
    out.extend(first[first.len() - end..].iter().copied());
    out
}

/// Runs of letters and digits, and each other character alone.
fn words(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() {
            continue;
        }
        if start < at {
            out.push(&text[start..at]);
        }
        start = at + c.len_utf8();
        out.push(&text[at..start]);
    }
    if start < text.len() {
        out.push(&text[start..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_share_what_is_equal_and_star_what_differs() {
        assert_eq!(common(&["scan", "scan"]), "scan");
        assert_eq!(common(&["review:a.ts", "review:b.ts"]), "review:*.ts");
        assert_eq!(common(&["review:src/a.ts", "review:b.md"]), "review:*");
        assert_eq!(common(&["voter 1", "voter 12"]), "voter *");
        assert_eq!(common(&["plan", "act"]), "*");
        assert_eq!(common(&["explore:api [1/3]", "explore:docs [3/3]"]), "explore:* [*/3]");
        assert_eq!(common(&["combine d1 #0", "combine d2 #1"]), "combine * #*");
        assert_eq!(common(&[]), "");
    }
}
