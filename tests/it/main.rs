//! The only integration-test binary.

mod layering;
mod machine_scenarios;
mod model;
mod rust_source;
