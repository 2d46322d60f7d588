//! The only integration-test binary.

mod dialect_parse;
mod script_lints;
