//! Layer 0: everything owf decides about a run, pure and synchronous.

pub mod base64;
pub mod budget;
pub mod call;
pub mod environment;
pub mod event;
pub mod failure;
pub mod file_rules;
pub mod history;
pub mod identity;
pub mod ids;
pub mod json;
pub mod located;
pub mod machine;
pub mod op;
pub mod outcome;
pub mod price;
pub mod redact;
pub mod run;
pub mod schema;
pub mod time;
pub mod usage;
pub mod work;
