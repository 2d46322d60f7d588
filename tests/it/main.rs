//! The only integration-test binary.

mod fixtures;
