//! The only integration-test binary.

mod store_home;
mod store_journal;
mod store_owner;
mod store_support;
