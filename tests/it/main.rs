//! The only integration-test binary.

mod layering;
