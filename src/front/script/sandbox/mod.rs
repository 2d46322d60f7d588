//! The JavaScript realm of scripts and the driver that runs them: the only place that names the JavaScript engine.

mod config;
mod deliver;
mod driver;
mod errors;
mod fields;
mod host;
mod requests;
mod result;
mod runtime;

pub use config::ScriptConfig;
pub use driver::ScriptDriver;
pub(in crate::front::script) use requests::EFFORTS;
