//! The only integration-test binary.

mod cli_args;
mod cli_screens;
mod cli_watch;
mod views;
