//! Stacks and exceptions of a script, as a run's error shows them.

use rquickjs::Value as JsValue;

use super::host::Thrown;
use crate::core::call::Site;
use crate::core::ids::CallId;
use crate::core::run::{RunError, RunErrorCode};

/// What stands before the body on its first line: the body is the default export of a module, so that it is read with the
/// goal it was parsed with and text cannot close the function around it.
pub(super) const BODY_PREFIX: &str = "export default async()=>{ ";
/// What stands after the body.
pub(super) const BODY_SUFFIX: &str = "\n};";
/// The file name of the prelude, which no stack shows.
pub(super) const PRELUDE_NAME: &str = "owf:prelude";

/// Frames of a run's error at most.
const MAX_FRAMES: usize = 5;

/// Reads stacks of one script.
#[derive(Debug, Clone)]
pub(super) struct Frames {
    file: String,
    throws_null: bool,
}

impl Frames {
    /// For the script `body`, shown as `file`.
    pub(super) fn new(file: &str, body: &str) -> Self {
        // A thrown `null` is the engine's last word on memory, unless the script says it itself.
        let text: String = body.split_whitespace().collect();
        let throws_null = text.contains("thrownull") || text.contains("reject(null");
        Self { file: file.to_owned(), throws_null }
    }

    /// The first place in the script that `stack` names.
    pub(super) fn site(&self, stack: &str) -> Option<Site> {
        stack.lines().find_map(|line| self.place(line).map(|(_, site)| site))
    }

    /// Up to five frames, without those of the prelude.
    pub(super) fn shown(&self, stack: &str) -> Vec<String> {
        stack
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("at ") && !line.contains(PRELUDE_NAME))
            .take(MAX_FRAMES)
            .map(|line| match self.place(line) {
                Some((before, site)) => {
                    let end = if line.ends_with(')') { ")" } else { "" };
                    format!("{before}{}:{}:{}{end}", self.file, site.line, site.column)
                }
                None => line.to_owned(),
            })
            .collect()
    }

    /// The text before the place in a frame, and the place: `at f (review.js:3:7)`.
    fn place<'a>(&self, line: &'a str) -> Option<(&'a str, Site)> {
        let text = line.trim_end().strip_suffix(')').unwrap_or(line.trim_end());
        let mut parts = text.rsplitn(3, ':');
        let column: u32 = parts.next()?.parse().ok()?;
        let row: u32 = parts.next()?.parse().ok()?;
        let before = parts.next()?.strip_suffix(self.file.as_str())?;
        if !(before.ends_with('(') || before.ends_with("at ")) {
            return None;
        }
        // The engine counts columns from 1, but from 0 on the first line.
        let shift = if row == 1 { BODY_PREFIX.len() as u32 - 1 } else { 0 };
        Some((before, Site { line: row, column: column.saturating_sub(shift).max(1) }))
    }

    /// The error of a run whose body ended with `thrown`.
    pub(super) fn run_error(&self, thrown: Thrown, memory_bytes: u64) -> RunError {
        let exhausted = (thrown.null && !self.throws_null) || is_memory_error(thrown.name.as_deref(), &thrown.message);
        if exhausted {
            return out_of_memory(memory_bytes);
        }
        let (code, message) = match thrown.name.as_deref() {
            _ if thrown.by_result => (
                RunErrorCode::ResultNotJson,
                format!("the returned value cannot be stored as JSON: {}", thrown.message),
            ),
            Some("WorkflowBudgetExceededError") => (RunErrorCode::BudgetExhausted, thrown.message),
            Some("WorkflowAgentCapError") => (RunErrorCode::CallCap, thrown.message),
            _ => (RunErrorCode::ScriptError, thrown.message),
        };
        let site = if thrown.by_result { None } else { self.site(&thrown.stack) };
        RunError {
            name: thrown.name,
            line: site.map(|site| site.line),
            column: site.map(|site| site.column),
            stack: if thrown.by_result { Vec::new() } else { self.shown(&thrown.stack) },
            call_id: thrown.call,
            ..RunError::new(code, message)
        }
    }

    /// The error of a body that cannot be compiled.
    pub(super) fn compile_error(&self, exception: &JsValue<'_>) -> RunError {
        let thrown = describe(exception);
        self.run_error(thrown, 0)
    }
}

/// The name, message and stack of an exception that the engine itself raised.
fn describe(exception: &JsValue<'_>) -> Thrown {
    let read = |name: &str| {
        let found = exception.as_object().and_then(|object| object.get::<_, rquickjs::Value<'_>>(name).ok());
        found.and_then(|value| value.as_string().and_then(|text| text.to_string().ok()))
    };
    let message = read("message").unwrap_or_else(|| {
        let text =
            exception.ctx().json_stringify(exception.clone()).ok().flatten().and_then(|text| text.to_string().ok());
        text.unwrap_or_else(|| "unknown exception".to_owned())
    });
    Thrown {
        by_result: false,
        name: read("name"),
        message,
        stack: read("stack").unwrap_or_default(),
        call: None::<CallId>,
        null: exception.is_null(),
    }
}

/// Whether an exception is the engine's word for exhausted memory.
pub(super) fn is_memory_exception(value: &JsValue<'_>) -> bool {
    value.is_null()
        || value.as_exception().is_some_and(|exception| {
            exception.message().is_some_and(|message| is_memory_error(Some("InternalError"), &message))
        })
}

fn is_memory_error(name: Option<&str>, message: &str) -> bool {
    name == Some("InternalError") && message == "out of memory"
}

/// The error of a run whose script used up its memory.
pub(super) fn out_of_memory(memory_bytes: u64) -> RunError {
    let message = match memory_bytes / (1024 * 1024) {
        0 => "the script used up its memory".to_owned(),
        mb => format!("the script used up its memory of {mb} MB"),
    };
    RunError::new(RunErrorCode::OutOfMemory, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_past_the_prelude_and_without_the_wrapper() {
        let frames = Frames::new("a:b.js", "");
        let stack = "    at agent (owf:prelude:10:4)\n    at map (native)\n    at f (a:b.js:1:30)\n    at <anonymous> (a:b.js:7:2)\n";
        assert_eq!(frames.site(stack), Some(Site { line: 1, column: 5 }));
        assert_eq!(frames.shown(stack), ["at map (native)", "at f (a:b.js:1:5)", "at <anonymous> (a:b.js:7:2)"]);
        assert_eq!(frames.site("    at x (other.js:1:1)\n    at y (xa:b.js:1:1)\n"), None);
        assert_eq!(frames.site("    at a:b.js:3:9\n"), Some(Site { line: 3, column: 9 }));
    }
}
