//! Layer 2: git worktrees: made for one attempt, looked at when it ends, kept when something in them changed, removed otherwise.
//!
//! Everything goes through the `git` program. Hooks of the repository never run for what is done here.

mod apply;
mod create;
mod fixed;
mod git;
mod inspect;
mod lock;
mod patch;
mod record;
mod remove;

pub use apply::{Applied, apply};
pub use create::{Plan, Worktree, create, repository};
pub use git::{Git, GitError};
pub use inspect::Changes;
pub use record::{Record, State, records};
