//! What agents used over all runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::failure::Failure;
use crate::core::outcome::CostSource;
use crate::core::time::Millis;
use crate::engine::params::UsageParams;
use crate::engine::view::{UsageBy, UsageReport, UsageSum, Usd};
use crate::store::{UsageRow, runs_in};

use super::handle::Query;
use super::money::Spent;
use super::runs::moment;

impl Query<'_> {
    /// What agents used, added up.
    ///
    /// # Errors
    /// `invalid_arguments` for a bad time, store errors.
    pub(crate) fn usage(&self, params: &UsageParams) -> Result<UsageReport, Failure> {
        let since = params.since.as_deref().map(|text| moment(text, self.env.now)).transpose()?;
        let rows = self.store.usage(since)?;
        let by = params.by.unwrap_or_default();
        let mut groups: BTreeMap<String, Vec<&UsageRow>> = BTreeMap::new();
        for row in &rows {
            groups.entry(name(row, by)).or_default().push(row);
        }
        let mut usage: Vec<UsageSum> = groups.into_iter().map(|(name, rows)| sum(name, &rows)).collect();
        if by != UsageBy::Day {
            let dear = |sum: &UsageSum| (sum.cost_usd.map_or(0, |usd| (usd.get() * 1e6) as u64), sum.output_tokens);
            usage.sort_by_key(|sum| std::cmp::Reverse(dear(sum)));
        }
        let total = sum("total".to_owned(), &rows.iter().collect::<Vec<_>>());
        Ok(UsageReport { home: self.home(), by, since: since.map(Millis::rfc3339), usage, total })
    }
}

fn name(row: &UsageRow, by: UsageBy) -> String {
    let provider = row.provider.as_deref().unwrap_or("unknown");
    match by {
        UsageBy::Provider => provider.to_owned(),
        UsageBy::Model => format!("{provider}/{}", row.model.as_deref().unwrap_or("unknown")),
        UsageBy::Workflow => row.workflow.clone(),
        UsageBy::Day => row.day.rfc3339().chars().take(10).collect(),
    }
}

fn sum(name: String, rows: &[&UsageRow]) -> UsageSum {
    let mut spent = Spent::default();
    let (mut calls, mut reported, mut estimated) = (0, 0_u64, 0_u64);
    for row in rows {
        calls += row.calls;
        spent.add(Spent {
            usage: row.usage,
            cost_nanos: row.cost_nanos,
            source: row.cost_source,
            unpriced: row.unpriced,
            untold: row.untold,
        });
        match row.cost_source {
            CostSource::Reported => reported += row.cost_nanos.unwrap_or(0),
            CostSource::Estimated => estimated += row.cost_nanos.unwrap_or(0),
            CostSource::Mixed | CostSource::Simulated | CostSource::Unknown => {}
        }
    }
    let days: BTreeSet<&String> = rows.iter().filter_map(|row| row.prices_as_of.as_ref()).collect();
    let is_mixed = spent.source == CostSource::Mixed;
    let part = |nanos: u64| (is_mixed && nanos > 0).then(|| Usd::from_nanos(nanos));
    UsageSum {
        name,
        runs: runs_in(rows.iter().copied()),
        calls,
        input_tokens: spent.usage.input_tokens,
        output_tokens: spent.usage.output_tokens,
        cache_read_tokens: spent.usage.cache_read_tokens,
        cache_write_tokens: spent.usage.cache_write_tokens,
        cache_write_1h_tokens: spent.usage.hour(),
        reasoning_tokens: spent.usage.reasoning(),
        usage_unknown_calls: (spent.untold > 0).then_some(spent.untold),
        cost_usd: spent.cost_nanos.map(Usd::from_nanos),
        cost_source: spent.source,
        prices_as_of: days.into_iter().cloned().collect(),
        reported_usd: part(reported),
        estimated_usd: part(estimated),
        unpriced_calls: (spent.unpriced > 0).then_some(spent.unpriced),
    }
}
