//! Time points as the journal keeps them; `core` never asks a clock, it is told the time.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A time point: milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// RFC 3339 in UTC with milliseconds: `2026-05-28T14:32:01.204Z`.
    pub fn rfc3339(self) -> String {
        let at = UNIX_EPOCH + Duration::from_millis(self.0.max(0) as u64);
        humantime::format_rfc3339_millis(at).to_string()
    }

    /// The form run ids begin with: `20260528-143201`.
    pub fn compact(self) -> String {
        let text = self.rfc3339();
        let mut out: String = text[..19].chars().filter(|c| *c != '-' && *c != ':').collect();
        out = out.replace('T', "-");
        out
    }

    /// Milliseconds from `earlier` to `self`, never negative.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0 - earlier.0).unwrap_or(0)
    }

    /// This time point and `ms` milliseconds.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        assert_eq!(Millis(1_779_978_721_204).rfc3339(), "2026-05-28T14:32:01.204Z");
        assert_eq!(Millis(1_779_978_721_204).compact(), "20260528-143201");
    }
}
