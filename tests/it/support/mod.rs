//! What several tests share.

pub(crate) mod script_harness;
