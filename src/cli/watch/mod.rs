//! Following a run: one loop for `run`, `resume` and `wait`, over the committed events of the run.

mod ask;
mod flags;
mod follow;
mod live;
mod plain;
mod redraw;
mod screen;
mod watcher;

pub use flags::{FollowFlags, ShowFlags};
pub use follow::{Before, Goal, Job, Seen, follow, follow_started};
pub use live::{Failed, Live, LiveCall, PhaseTally, Stage};
pub use plain::lines;
pub use screen::screen;
