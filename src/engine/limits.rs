//! The engine's limits as the environment sets them.

use std::ops::RangeInclusive;

use crate::core::environment::Environment;
use crate::core::failure::Failure;
use crate::core::run::EngineLimits;

use super::start::invalid;

/// Milliseconds of one synchronous stretch of a script.
const SYNC: &str = "OWF_SYNC_LIMIT_MS";
/// Megabytes of JavaScript memory.
const MEMORY: &str = "OWF_MEMORY_LIMIT_MB";
/// Attempts at a structured answer.
const SCHEMA: &str = "OWF_SCHEMA_ATTEMPTS";
/// Levels of child workflows.
const NESTING: &str = "OWF_NESTING";
/// Failures in a row to reach a provider after which it is left alone.
const FAILURES: &str = "OWF_BREAKER_FAILURES";
/// Milliseconds for which it is.
const OPEN: &str = "OWF_BREAKER_OPEN_MS";
/// Milliseconds that a provider may ask to be left alone for.
const CEILING: &str = "OWF_RETRY_CEILING_MS";
/// Milliseconds within which a call is tried again.
const TOTAL: &str = "OWF_RETRY_TOTAL_MS";
/// Milliseconds for which the answer to an idempotency key counts.
const IDEMPOTENCY: &str = "OWF_IDEMPOTENCY_MS";

/// `base` with what the environment sets: `OWF_SYNC_LIMIT_MS`, `OWF_MEMORY_LIMIT_MB`, `OWF_NESTING`, `OWF_SCHEMA_ATTEMPTS`,
/// `OWF_BREAKER_FAILURES`, `OWF_BREAKER_OPEN_MS`, `OWF_RETRY_CEILING_MS`, `OWF_RETRY_TOTAL_MS`, `OWF_IDEMPOTENCY_MS`.
///
/// # Errors
/// `invalid_arguments` for values that are no numbers in range, all at once.
pub fn limits(env: &Environment, base: EngineLimits) -> Result<EngineLimits, Failure> {
    let mut wrong = Vec::new();
    let mut read = |name: &str, range: RangeInclusive<u64>| {
        let text = env.get(name)?;
        let number = text.trim().parse().ok().filter(|n| range.contains(n));
        if number.is_none() {
            let message = format!("must be a whole number from {} to {}", range.start(), range.end());
            wrong.push(serde_json::json!({"path": name, "message": message, "got": text}));
        }
        number
    };
    let sync_ms = read(SYNC, 1..=3_600_000);
    let memory_mb = read(MEMORY, 8..=65_536);
    let nesting = read(NESTING, 0..=5);
    let schema = read(SCHEMA, 1..=20);
    let failures = read(FAILURES, 1..=1_000_000);
    let open_ms = read(OPEN, 1..=60_000);
    let ceiling_ms = read(CEILING, 0..=86_400_000);
    let total_ms = read(TOTAL, 0..=86_400_000);
    let idempotency_ms = read(IDEMPOTENCY, 0..=31_536_000_000);
    if !wrong.is_empty() {
        return Err(invalid(wrong));
    }
    Ok(EngineLimits {
        sync_ms: sync_ms.unwrap_or(base.sync_ms),
        memory_bytes: memory_mb.map_or(base.memory_bytes, |mb| mb << 20),
        schema_attempts: schema.map_or(base.schema_attempts, |n| n as u32),
        schema_attempts_set: schema.is_some() || base.schema_attempts_set,
        nesting: nesting.map_or(base.nesting, |n| n as u32),
        breaker_failures: failures.map_or(base.breaker_failures, |n| n as u32),
        breaker_open_ms: open_ms.unwrap_or(base.breaker_open_ms),
        retry_ceiling_ms: ceiling_ms.unwrap_or(base.retry_ceiling_ms),
        retry_total_ms: total_ms.unwrap_or(base.retry_total_ms),
        idempotency_ms: idempotency_ms.unwrap_or(base.idempotency_ms),
        ..base
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn with(vars: &[(&str, &str)]) -> Result<EngineLimits, Failure> {
        let env = Environment::new(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        limits(&env, EngineLimits::default())
    }

    #[test]
    fn the_environment_sets_limits_and_every_bad_value_is_named() {
        let base = EngineLimits::default();
        assert_eq!(with(&[]).unwrap(), base);
        let set = with(&[(SYNC, "200"), (MEMORY, "64"), (NESTING, "5")]).unwrap();
        assert_eq!(set, EngineLimits { sync_ms: 200, memory_bytes: 64 << 20, nesting: 5, ..base });
        let failure = with(&[(SYNC, "0"), (MEMORY, "lots"), (NESTING, "6")]).unwrap_err();
        assert_eq!(
            failure.message,
            "3 arguments are wrong: OWF_SYNC_LIMIT_MS must be a whole number from 1 to 3600000; OWF_MEMORY_LIMIT_MB must be \
             a whole number from 8 to 65536; OWF_NESTING must be a whole number from 0 to 5"
        );
    }
}
