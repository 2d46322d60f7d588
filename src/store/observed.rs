//! Bytes of text per token, as observed with models: a few of the latest of each, for estimates.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::core::time::Millis;
use crate::store::error::StoreError;
use crate::store::store::Store;

/// Observations of a model that are kept: enough for a median, few enough to follow a change.
const KEPT: i64 = 31;

/// What was observed with a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The provider's canonical name.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Thousandths of bytes per token: the median of the latest observations.
    pub milli_bytes_per_token: u64,
}

impl Store {
    /// Adds an observation. Nobody waits for it, and nothing depends on it.
    pub fn observe(&self, provider: &str, model: &str, milli_bytes_per_token: u64, at: Millis) {
        let (provider, model) = (provider.to_owned(), model.to_owned());
        let milli = i64::try_from(milli_bytes_per_token).unwrap_or(i64::MAX);
        let ticket = self.queue_work("observe", move |tx| {
            tx.db
                .prepare_cached("INSERT INTO observed (provider, model, milli, at) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![provider, model, milli, at.0])?;
            tx.db
                .prepare_cached(
                    "DELETE FROM observed WHERE provider = ?1 AND model = ?2 AND id <= \
                     (SELECT id FROM observed WHERE provider = ?1 AND model = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
                )?
                .execute(params![provider, model, KEPT])?;
            Ok(())
        });
        drop(ticket);
    }

    /// What was observed with every model.
    ///
    /// # Errors
    /// What the database says; a store of an older format that is only read has no such table.
    pub fn observed(&self) -> Result<Vec<Observed>, StoreError> {
        self.read_one(|db| {
            let mut select =
                db.prepare_cached("SELECT provider, model, milli FROM observed ORDER BY provider, model")?;
            let mut rows = select.query([])?;
            let mut all: BTreeMap<(String, String), Vec<i64>> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                all.entry((row.get(0)?, row.get(1)?)).or_default().push(row.get(2)?);
            }
            let median = |((provider, model), mut values): ((String, String), Vec<i64>)| {
                values.sort_unstable();
                let milli_bytes_per_token = values[values.len() / 2].max(0) as u64;
                Observed { provider, model, milli_bytes_per_token }
            };
            Ok(all.into_iter().map(median).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::OpenMode;

    #[test]
    fn the_median_of_the_latest_observations_of_each_model_counts() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("home"), OpenMode::Create).unwrap();
        assert_eq!(store.observed().unwrap(), []);
        for milli in [4_000, 1_000, 3_900] {
            store.observe("openai", "a", milli, Millis(1));
        }
        for n in 0..100 {
            store.observe("openai", "b", if n < 60 { 1_000 } else { 3_000 }, Millis(1));
        }
        store.flush().unwrap();
        let of = |model: &str, milli_bytes_per_token| Observed {
            provider: "openai".to_owned(),
            model: model.to_owned(),
            milli_bytes_per_token,
        };
        assert_eq!(store.observed().unwrap(), [of("a", 3_900), of("b", 3_000)]);
    }
}
