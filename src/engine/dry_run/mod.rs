//! Rehearsals: the real script is executed in memory with generated answers; nothing is recorded, sent or waited for.

mod against;
mod ask;
mod child;
mod compare;
mod entry;
mod estimate;
mod fan_out;
mod record;
mod report;
mod rows;
mod shell;
mod stage;
#[cfg(test)]
mod tests;

pub(crate) use against::Against;
pub(crate) use entry::{DryRunInput, dry_run};
