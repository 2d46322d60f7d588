//! Reports of a run for people: Markdown, and HTML in one file.

mod calls;
mod facts;
mod gather;
mod html;
mod markdown;
mod texts;
mod timeline;
mod written;

pub use written::Report;
