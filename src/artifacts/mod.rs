//! Files of a run: a path guard that nothing leaves the run directory through, what a file is, and bounded reading.

mod dir;
mod kind;
mod path;
mod range;

pub use dir::{Entry, RunFiles};
pub use kind::{kind, mime_type};
pub use path::ArtifactPath;
pub use range::{Content, Encoding, Most, prefix_that_fits, read};
