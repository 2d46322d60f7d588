//! What agents used over all runs: by provider, model, workflow and day.

use std::collections::BTreeSet;

use rusqlite::params;

use crate::core::outcome::{CostSource, Usage};
use crate::core::time::Millis;
use crate::store::error::StoreError;
use crate::store::rows::{SIMULATED, UNTOLD};
use crate::store::store::Store;
use crate::store::words::cost_source;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// What calls of one kind used: the same run, provider, model, day and source of the cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The run's number in the store, to count runs by.
    pub run: i64,
    /// The workflow.
    pub workflow: String,
    /// The provider, when one was asked.
    pub provider: Option<String>,
    /// The model that answered, when it is known.
    pub model: Option<String>,
    /// Midnight (UTC) of the day the calls were requested.
    pub day: Millis,
    /// Calls that were executed.
    pub calls: u64,
    /// Their tokens.
    pub usage: Usage,
    /// Their cost as far as it is known, in billionths of a US dollar.
    pub cost_nanos: Option<u64>,
    /// Where the cost comes from.
    pub cost_source: CostSource,
    /// The day of the prices that they were estimated with.
    pub prices_as_of: Option<String>,
    /// Calls whose cost is not known although they used tokens.
    pub unpriced: u64,
    /// Calls that used tokens whose number nobody knows.
    pub untold: u64,
}

impl Store {
    /// What executed agent calls used, of all runs, those of children included.
    ///
    /// # Errors
    /// What the database says.
    pub fn usage(&self, since: Option<Millis>) -> Result<Vec<UsageRow>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(&format!(
                "SELECT call.id >> 32, run.workflow_name, call.provider, call.model, call.requested_at / {DAY_MS}, \
                 call.cost_source, count(*), sum(call.input_tokens), sum(call.output_tokens), \
                 sum(call.cache_read_tokens), sum(call.cache_write_tokens), sum(call.cost_nanos), \
                 sum(call.cost_nanos IS NULL AND call.flags & {SIMULATED} = 0 AND (call.flags & {UNTOLD} <> 0 OR \
                 call.input_tokens + call.output_tokens + call.cache_read_tokens + call.cache_write_tokens > 0)), \
                 call.prices_as_of, sum(call.cache_write_1h_tokens), sum(call.reasoning_tokens), \
                 sum(call.flags & {UNTOLD} <> 0) \
                 FROM call JOIN run ON run.no = call.id >> 32 \
                 WHERE call.kind = 'agent' AND call.attempts > 0 \
                 AND coalesce(call.cache_status, 'miss') NOT IN ('hit', 'replayed') \
                 AND (?1 IS NULL OR call.requested_at >= ?1) GROUP BY 1, 2, 3, 4, 5, 6, 14 ORDER BY 1, 3, 4, 5, 6, 14"
            ))?;
            let mut rows = select.query(params![since.map(|at| at.0)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let number = |i: usize| row.get::<_, i64>(i).map(|n| n.max(0) as u64);
                found.push(UsageRow {
                    run: row.get(0)?,
                    workflow: row.get(1)?,
                    provider: row.get(2)?,
                    model: row.get(3)?,
                    day: Millis(row.get::<_, i64>(4)? * DAY_MS),
                    cost_source: cost_source(row.get(5)?),
                    calls: number(6)?,
                    usage: Usage {
                        input_tokens: number(7)?,
                        output_tokens: number(8)?,
                        cache_read_tokens: number(9)?,
                        cache_write_tokens: number(10)?,
                        cache_write_1h_tokens: number(14)?,
                        reasoning_tokens: number(15)?,
                    },
                    cost_nanos: row.get::<_, Option<i64>>(11)?.map(|n| n.max(0) as u64),
                    unpriced: number(12)?,
                    prices_as_of: row.get(13)?,
                    untold: number(16)?,
                });
            }
            Ok(found)
        })
    }
}

/// How many runs there are in rows.
pub fn runs_in<'a>(rows: impl IntoIterator<Item = &'a UsageRow>) -> u64 {
    rows.into_iter().map(|row| row.run).collect::<BTreeSet<_>>().len() as u64
}
