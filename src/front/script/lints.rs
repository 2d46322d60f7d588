//! Findings about a script that parses: mistakes that would show only when it runs, and idioms worth knowing.
use crate::front::script::diagnostic::Diagnostic;
use crate::front::script::tree::Tree;
pub(super) fn check(_tree: &Tree<'_, '_>, _inline: bool, _out: &mut Vec<Diagnostic>) {}
