//! The only integration-test binary.

mod model;
