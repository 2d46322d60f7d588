//! Layer 4: the command line. A command is parse, engine, render.

pub mod args;
pub mod commands;
mod context;
mod exit;
pub mod flags;
mod main;
mod out;
pub mod render;
pub mod watch;

pub use context::{Context, Outcome, Terminal};
pub use exit::Exit;
pub use main::{Serve, main};
pub use out::Out;
