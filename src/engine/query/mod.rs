//! Queries: what the views show, read from the store. Nothing here changes a run; what is unknown is absent.

mod approvals;
mod artifacts;
mod bounds;
mod calls;
mod cursor;
mod detail;
mod diff;
mod doctor;
mod explain;
mod export;
mod gaps;
mod handle;
mod housekeeping;
mod lineage;
mod money;
mod outline;
mod output;
mod reuse;
mod run_view;
mod runs;
mod snapshot;
mod tally;
mod usage;
mod warnings;
mod woke;
mod worktrees;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod children_tests;
#[cfg(test)]
mod files_tests;
#[cfg(test)]
mod report_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use bounds::{Bound, fit, size};
pub(crate) use detail::PREVIEW;
pub(crate) use doctor::{doctor_of_damaged_store, doctor_without_store};
pub(crate) use handle::{Query, QueryEnv};
pub(crate) use outline::grouped;
pub(crate) use run_view::RunScope;
pub(crate) use runs::runs_cursor;
