//! The only integration-test binary.

mod cli_args;
mod cli_screens;
mod cli_watch;
mod dialect_agent;
mod dialect_fanout;
mod dialect_hostile;
mod dialect_owf;
mod dialect_parse;
mod dialect_realm;
mod dialect_runs;
mod drift;
mod dry_run;
mod fixtures;
mod kill_harness;
mod layering;
mod machine_scenarios;
mod model;
mod readme;
mod rust_source;
mod script_lints;
mod store_home;
mod store_journal;
mod store_owner;
mod store_support;
mod support;
mod views;
