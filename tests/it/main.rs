//! The only integration-test binary.

mod dialect_agent;
mod dialect_fanout;
mod dialect_hostile;
mod dialect_owf;
mod dialect_realm;
mod dialect_runs;
mod kill_harness;
mod layering;
mod machine_scenarios;
mod model;
mod rust_source;
mod scratch;
mod support;
