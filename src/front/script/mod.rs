//! The script front-end: from the bytes of a script to a checked plan, and where scripts and personas are found.

mod args_read;
mod check;
mod diagnostic;
mod discover;
mod facts;
mod fan_out;
mod grammar;
mod lint_calls;
mod lint_globals;
mod lint_options;
mod meta;
mod nearest;
mod nesting;
mod parse;
mod personas;
mod plan;
pub mod sandbox;
mod tree;
mod typescript;

pub use check::{Checked, Limits, MAX_SCRIPT, Origin, ScriptText, check, check_within};
pub(in crate::front) use diagnostic::Lines;
pub use diagnostic::{Diagnostic, Severity};
pub use discover::{Bundled, FindError, Found, Scope, discover, find};
pub use nearest::{close, near};
pub use personas::{PersonaFile, PersonaWarning, personas, personas_and_warnings};
pub use plan::{AgentSite, FanOut, FanOutKind, FanOutSize, Meta, PhaseMeta, Policies, Script};
