//! What is configured beside provider and model: the adapters' setup, limits no run exceeds, rules for file tools.

use std::path::PathBuf;
use std::sync::Arc;

use crate::core::budget::usd;
use crate::core::failure::{Code, Failure};
use crate::core::file_rules::FileRules;
use crate::core::run::Settings;
use crate::providers::Setup;
use crate::tools::Tools;

use super::view::DoctorCheck;

/// The configuration as the composition root found it.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// What the adapters are made of.
    pub setup: Setup,
    /// What no run may exceed.
    pub ceilings: Ceilings,
    /// What the file tools may touch.
    pub files: Arc<FileRules>,
    /// The tools that workflows may use.
    pub tools: Tools,
    /// Whether workflows may run commands.
    pub commands: bool,
    /// Programs that judge calls, in the order in which they are asked.
    pub hooks: Vec<super::hooks::Hook>,
    /// Files and programs that hear of events.
    pub sinks: Vec<super::sinks::Sink>,
    /// Whether only a person decides questions of runs.
    pub person_decides: bool,
    /// What keeps runs from starting: a file of the user's that cannot be read. Commands that look still work.
    pub refused: Option<String>,
    /// What every new run says of the configuration: limits of a project that do not count.
    pub notices: Vec<String>,
    /// What is in force and where it comes from, for `owf doctor`.
    pub facts: Vec<DoctorCheck>,
    /// The directory of the user's configuration; none when nothing of the user's is read.
    pub dir: Option<PathBuf>,
}

/// Limits that no run may exceed, whatever it asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Agent calls of a run and its children.
    pub max_calls: Option<u64>,
    /// Calls at once, per provider.
    pub concurrency: Option<u32>,
    /// Output tokens.
    pub budget_tokens: Option<u64>,
    /// Billionths of a US dollar.
    pub budget_cost_nanos: Option<u64>,
}

/// The lower of two limits.
fn lower<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

impl Ceilings {
    /// The lower limit of both, one by one.
    #[must_use]
    pub fn lowest(self, other: Self) -> Self {
        Self {
            max_calls: lower(self.max_calls, other.max_calls),
            concurrency: lower(self.concurrency, other.concurrency),
            budget_tokens: lower(self.budget_tokens, other.budget_tokens),
            budget_cost_nanos: lower(self.budget_cost_nanos, other.budget_cost_nanos),
        }
    }

    /// One line when anything is limited.
    pub fn in_words(&self) -> Option<String> {
        let parts: Vec<String> = [
            self.max_calls.map(|n| format!("{n} calls")),
            self.concurrency.map(|n| format!("{n} at once per provider")),
            self.budget_tokens.map(|n| format!("{n} output tokens")),
            self.budget_cost_nanos.map(|n| format!("{} USD", usd(n))),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then(|| format!("no run exceeds {}", parts.join(", ")))
    }

    /// Brings settings below the limits.
    ///
    /// # Errors
    /// `limit_exceeded` for one that was asked for and is above: it must not silently become another. What nobody asked for
    /// becomes the limit.
    pub(crate) fn keep(&self, settings: &mut Settings) -> Result<(), Failure> {
        let default = Settings::default();
        let over = |name: &str, limit: String, got: String| {
            let message = format!("{name} {got} is more than the configured limit, {limit}");
            Failure::new(Code::LimitExceeded, message)
                .hint("ask for less, or raise it in the configuration that owf doctor names")
                .with("limit", limit)
                .with("got", got)
        };
        if let Some(most) = self.max_calls.filter(|most| settings.max_calls > *most) {
            if settings.max_calls != default.max_calls {
                return Err(over("max_calls", most.to_string(), settings.max_calls.to_string()));
            }
            settings.max_calls = most;
        }
        if let (Some(most), Some(asked)) = (self.concurrency, settings.concurrency)
            && asked > most
        {
            return Err(over("concurrency", most.to_string(), asked.to_string()));
        }
        if let Some(most) = self.budget_tokens {
            match settings.limits.tokens {
                Some(asked) if asked > most => return Err(over("budget_tokens", most.to_string(), asked.to_string())),
                Some(_) => {}
                None => settings.limits.tokens = Some(most),
            }
        }
        if let Some(most) = self.budget_cost_nanos {
            match settings.limits.cost_nanos {
                Some(asked) if asked > most => return Err(over("budget_cost_usd", usd(most), usd(asked))),
                Some(_) => {}
                None => settings.limits.cost_nanos = Some(most),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_nobody_asked_for_becomes_the_limit_and_what_is_above_is_refused() {
        let ceilings = Ceilings {
            max_calls: Some(50),
            concurrency: Some(4),
            budget_tokens: Some(1000),
            budget_cost_nanos: Some(2_000_000_000),
        };
        let mut settings = Settings::default();
        ceilings.keep(&mut settings).unwrap();
        assert_eq!(settings.max_calls, 50);
        assert_eq!((settings.limits.tokens, settings.limits.cost_nanos), (Some(1000), Some(2_000_000_000)));
        let above = |change: &dyn Fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            ceilings.keep(&mut settings).unwrap_err().message
        };
        assert_eq!(above(&|s| s.max_calls = 51), "max_calls 51 is more than the configured limit, 50");
        assert_eq!(above(&|s| s.concurrency = Some(5)), "concurrency 5 is more than the configured limit, 4");
        assert_eq!(
            above(&|s| s.limits.tokens = Some(1001)),
            "budget_tokens 1001 is more than the configured limit, 1000"
        );
        assert_eq!(
            above(&|s| s.limits.cost_nanos = Some(2_500_000_000)),
            "budget_cost_usd 2.50 is more than the configured limit, 2.00"
        );
    }

    #[test]
    fn of_two_limits_the_lower_one_counts() {
        let mine = Ceilings { max_calls: Some(50), concurrency: Some(4), ..Ceilings::default() };
        let theirs =
            Ceilings { max_calls: Some(90), concurrency: Some(2), budget_tokens: Some(7), ..Ceilings::default() };
        let both =
            Ceilings { max_calls: Some(50), concurrency: Some(2), budget_tokens: Some(7), budget_cost_nanos: None };
        assert_eq!(mine.lowest(theirs), both);
        assert_eq!(
            both.in_words().as_deref(),
            Some("no run exceeds 50 calls, 2 at once per provider, 7 output tokens")
        );
    }
}
