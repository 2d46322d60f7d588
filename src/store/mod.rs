//! The store: journal, projections, ownership, inbox, cache and pinned sources in one SQLite database per home.

mod approvals;
mod cache;
mod calls;
mod current;
mod error;
mod events;
mod home;
mod inbox;
mod journal;
mod lease;
mod listing;
mod migrations;
mod observed;
mod once;
mod projection;
mod prune;
mod rebuild;
mod rows;
mod run_events;
mod runs;
mod seal;
mod sources;
#[expect(clippy::module_inception, reason = "the handle has the name of its module")]
mod store;
mod ticket;
mod turn;
mod usage;
mod words;
mod writer;

pub use approvals::ApprovalRow;
pub use cache::{CacheHit, KeyClaim};
pub use calls::{CallFilter, CallRequest, CallRow, Counts, PhaseCounts};
pub use error::{Decided, NewerStore, OwnerRow, StoreError};
pub use inbox::{InboxItem, InboxMessage, InboxRow, PauseResult, Sent};
pub use lease::{Lease, ProcessInfo};
pub use listing::{RunFilter, RunPage};
pub use observed::Observed;
pub use once::{Once, OnceClaim};
pub use projection::{ApprovalState, CallState};
pub use prune::{PrunePlan, Pruned};
pub use runs::{Created, RunRow};
pub use store::{OpenMode, Store, StoreOptions};
pub use ticket::Ticket;
pub use turn::Turn;
pub use usage::{UsageRow, runs_in};
pub use writer::{Append, CacheWrite};
