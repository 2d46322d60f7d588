//! Bounds of the server, each a setting.

use crate::core::failure::{Code, Failure};
use crate::engine::Environment;

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls: 64,
            requests: 256,
            request_bytes: 32 * 1024 * 1024,
            line_bytes: 16 * 1024 * 1024,
            values: 500_000,
        }
    }
}

impl Settings {
    /// The settings of an environment.
    ///
    /// # Errors
    /// A setting that is no whole number of at least 1: a limit that is silently not there is none.
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
            *slot = text.trim().parse().ok().filter(|n| (1..=1 << 30).contains(n)).ok_or_else(|| {
                let message = format!("{variable} must be a whole number from 1 to 1073741824, got `{text}`");
                Failure::new(Code::InvalidArguments, message).hint("correct it, or unset it")
            })?;
        }
        Ok(settings)
    }
}
