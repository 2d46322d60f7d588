//! The only integration-test binary.

mod layering;
mod rust_source;
