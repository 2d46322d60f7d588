//! Which models a service does not stream: it said so once, and is not asked again as long as the process lives.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Service, address and model.
static REFUSED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Whether a stream was refused.
pub(in super::super) fn refused(key: &str) -> bool {
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
}

/// Remembers that it was.
pub(in super::super) fn remember_refused(key: &str) {
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
}
