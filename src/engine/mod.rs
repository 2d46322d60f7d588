//! Layer 2: the asynchronous shell around the core, and the whole API of the product.

mod answer;
mod begin;
mod cache_key;
mod child;
mod collapse;
mod control;
mod dry_run;
#[expect(clippy::module_inception, reason = "the handle has the name of its module")]
mod engine;
mod execute;
mod executor;
mod files;
mod gates;
mod inbox;
mod journal;
mod limits;
mod lookups;
mod message;
pub mod params;
mod personas;
mod prepare;
mod process;
mod query;
mod reads;
mod reference;
mod rehearse;
mod resume;
mod run_end;
mod run_loop;
mod services;
mod source;
mod start;
mod supervise;
mod tree;
mod validate;
pub mod view;
mod watchdog;
mod workflows;
mod workspace;

pub use engine::{Engine, Execution, Started};
pub use execute::RunHandle;
pub use limits::limits;
pub use run_end::RunEnd;
pub use services::{Defaults, Environment, Services};
pub use workspace::{main_tree as git_main_tree, top_level as git_top_level};
