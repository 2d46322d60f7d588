//! The only integration-test binary.

mod fixtures;
mod kill_harness;
mod layering;
mod rust_source;
mod scratch;
mod support;
