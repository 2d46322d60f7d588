//! The model of the run machine, carried over: random workflows, crashes and resumes around the real machine.

mod journal;
mod lineage;
mod named;
mod program;
mod random;
pub(crate) mod rng;
mod setting;
mod shell;
mod turns;
mod world;
