//! The document front-end: from the text of a YAML or JSON document to a checked plan, its driver, and its drawing.

mod bounds;
mod bundle;
mod check;
mod compile;
mod draw;
mod driver;
mod ends;
mod graph;
mod inputs;
mod kinds;
mod names;
mod plan;
mod progress;
mod refs;
mod report;
mod schemas;
mod shape;
mod shared;
mod template;
mod travel;
mod tries;
mod types;
mod values;

pub use bundle::in_part;
pub use check::{MAX_DOCUMENT, check, plan};
pub use draw::{Drawing, Edge, Node};
pub use driver::{DocumentConfig, DocumentDriver};
pub use inputs::check_args;
pub use plan::{Plan, ToolUse};
pub use shape::schema;
pub use types::Document;
