//! Layer 1: programs on this machine, started with little, read line by line, and ended with everything they started.

mod find;
mod pass;
mod run;
mod sweep;
mod table;
mod talk;

pub use find::{find_program, version_of};
pub use pass::{is_for_git, is_plain, passed};
pub use run::{DETACHED, Exit, Finished, MARKER, Program, end_running, run};
pub use sweep::{marked, sweep, sweep_below};
pub use talk::{Ended, Heard, Talk};
