//! Bounds of the server, each a setting.

use std::ops::RangeInclusive;

use crate::core::failure::{Code, Failure};
use crate::engine::Environment;

/// Seconds of the longest wait that may be set: a day.
const LONGEST_WAIT: u32 = 86_400;

/// What the server takes on at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Tool calls executed at a time, `OWF_MCP_MAX_CALLS`; further ones wait their turn.
    pub(crate) calls: usize,
    /// Requests taken in and not yet answered, `OWF_MCP_MAX_REQUESTS`; a few more are read and wait.
    pub(crate) requests: usize,
    /// Bytes of the requests taken in and not yet answered, `OWF_MCP_MAX_REQUEST_BYTES`; one is always taken.
    pub(crate) request_bytes: usize,
    /// Bytes of one line, `OWF_MCP_MAX_LINE_BYTES`; a longer one is refused.
    pub(crate) line_bytes: usize,
    /// Values in one line, `OWF_MCP_MAX_VALUES`: a parsed value takes many times the memory of its text.
    pub(crate) values: usize,
    /// The longest wait of a call in seconds, `OWF_MCP_MAX_WAIT_SECONDS`; none = what the client tolerates.
    pub(crate) wait_seconds: Option<u32>,
    /// Whether runs may become tasks: unless `OWF_MCP_TASKS` is 0.
    pub(crate) tasks: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls: 64,
            requests: 256,
            request_bytes: 32 * 1024 * 1024,
            line_bytes: 16 * 1024 * 1024,
            values: 500_000,
            wait_seconds: None,
            tasks: true,
        }
    }
}

impl Settings {
    /// The settings of an environment.
    ///
    /// # Errors
    /// A setting that is no whole number in its range: a limit that is silently not there is none.
    pub(crate) fn of(env: &Environment) -> Result<Self, Failure> {
        let mut settings = Self::default();
        for (variable, slot) in [
            ("OWF_MCP_MAX_CALLS", &mut settings.calls),
            ("OWF_MCP_MAX_REQUESTS", &mut settings.requests),
            ("OWF_MCP_MAX_REQUEST_BYTES", &mut settings.request_bytes),
            ("OWF_MCP_MAX_LINE_BYTES", &mut settings.line_bytes),
            ("OWF_MCP_MAX_VALUES", &mut settings.values),
        ] {
            let Some(text) = env.get(variable) else { continue };
            *slot = number(variable, text, 1..=1 << 30)? as usize;
        }
        let wait = env.get("OWF_MCP_MAX_WAIT_SECONDS");
        settings.wait_seconds =
            wait.map(|text| number("OWF_MCP_MAX_WAIT_SECONDS", text, 0..=LONGEST_WAIT)).transpose()?;
        settings.tasks = env.get("OWF_MCP_TASKS").map(str::trim) != Some("0");
        Ok(settings)
    }

    /// Processes that check or rehearse workflows at a time: one for each processor, and fewer than calls, so that those that
    /// only look still get their turn.
    pub(crate) fn rehearsals(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        processors.max(2).min(self.calls.saturating_sub(1)).max(1)
    }
}

fn number(variable: &str, text: &str, range: RangeInclusive<u32>) -> Result<u32, Failure> {
    text.trim().parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
        let message =
            format!("{variable} must be a whole number from {} to {}, got `{text}`", range.start(), range.end());
        Failure::new(Code::InvalidArguments, message).hint("correct it, or unset it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variable: &str, value: &str) -> Result<Settings, Failure> {
        Settings::of(&Environment::new([(variable.to_owned(), value.to_owned())]))
    }

    #[test]
    fn the_environment_sets_bounds_and_a_bad_one_is_refused_by_name() {
        let usual = Settings::default();
        assert_eq!(with("OWF_MCP_MAX_CALLS", " 7 "), Ok(Settings { calls: 7, ..usual }));
        assert_eq!(with("OWF_MCP_MAX_WAIT_SECONDS", "0"), Ok(Settings { wait_seconds: Some(0), ..usual }));
        assert_eq!(with("OWF_MCP_TASKS", "0"), Ok(Settings { tasks: false, ..usual }));
        for (variable, value, says) in [
            ("OWF_MCP_MAX_CALLS", "0", "from 1 to 1073741824, got `0`"),
            ("OWF_MCP_MAX_VALUES", "1e6", "from 1 to 1073741824, got `1e6`"),
            ("OWF_MCP_MAX_WAIT_SECONDS", "ten", "from 0 to 86400, got `ten`"),
            ("OWF_MCP_MAX_WAIT_SECONDS", "-1", "from 0 to 86400, got `-1`"),
            ("OWF_MCP_MAX_WAIT_SECONDS", "86401", "from 0 to 86400, got `86401`"),
        ] {
            let message = with(variable, value).map_err(|failure| failure.message);
            assert_eq!(message, Err(format!("{variable} must be a whole number {says}")));
        }
    }

    #[test]
    fn rehearsals_leave_calls_free() {
        assert!(Settings::default().rehearsals() >= 2);
        for calls in 1..10 {
            let most = Settings { calls, ..Settings::default() }.rehearsals();
            assert!(most >= 1 && (most < calls || calls == 1), "{calls}: {most}");
        }
    }
}
