//! The only integration-test binary.

mod scratch;
