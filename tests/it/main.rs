//! The only integration-test binary.

mod machine_scenarios;
mod model;
