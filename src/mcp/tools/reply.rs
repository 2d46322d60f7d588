//! Replies and failures as a model reads them: bounded, and in the words of tools.

use serde::Serialize;
use serde_json::Value;

use crate::core::failure::{Code, Failure};
use crate::engine::{fit, size};

/// Characters of a failure.
const FAILURE: usize = 2_000;

/// Hints that name a command of the terminal, and what they are to a client of tools.
const WORDS: &[(&str, &str)] = &[
    ("owf run FILE, or --home for another store", "owf_run_workflow starts one; home names another store"),
    (
        "owf_list_runs shows all runs; --home names another store",
        "owf_list_runs shows all runs; home names another store",
    ),
    ("start the workflow again with owf run", "start the workflow again with owf_run_workflow"),
    (
        "free some space (owf prune), then owf resume the run",
        "free some space (a person runs owf prune), then owf_resume",
    ),
    ("check the disk, then owf resume the run", "check the disk, then owf_resume"),
    ("check its permissions, or use --home", "check its permissions, or use home"),
    ("(owf approvals)", "(owf_approvals)"),
    ("the run is recorded; owf resume takes it up", "the run is recorded; owf_resume takes it up"),
    ("owf resume", "owf_resume"),
    ("owf status", "owf_status"),
];

/// A view as the reply of a tool, within the bound of replies unless a part was asked for by its size.
///
/// # Errors
/// `internal` when the view is no JSON, which would be a fault of owf.
pub(super) fn reply(view: &impl Serialize, bounded: bool) -> Result<Value, Failure> {
    let value = serde_json::to_value(view)
        .map_err(|error| Failure::new(Code::Internal, format!("the reply is no JSON: {error}")))?;
    Ok(if bounded { fit(value) } else { value })
}

/// A failure as a client of tools is told it, within its bound.
pub(super) fn told(mut failure: Failure) -> Failure {
    let words = |text: &str| WORDS.iter().fold(text.to_owned(), |text, (command, tool)| text.replace(command, tool));
    failure.hint = failure.hint.map(|hint| words(&hint));
    if failure.code == Code::StoreNewer {
        failure.hint = Some("restart the MCP server: owf was upgraded meanwhile".to_owned());
    }
    while size(&failure.to_json()) > FAILURE {
        if !shorten(&mut failure) {
            break;
        }
    }
    failure
}

/// Takes away what is worth least. False when there is nothing left to take.
fn shorten(failure: &mut Failure) -> bool {
    let longest = failure.extra.values_mut().filter_map(Value::as_array_mut).filter(|rows| rows.len() > 3);
    if let Some(rows) = longest.max_by_key(size) {
        rows.truncate(rows.len() * 2 / 3);
        return true;
    }
    if failure.allowed.len() > 5 {
        failure.allowed.truncate(failure.allowed.len() * 2 / 3);
        return true;
    }
    let mut texts: Vec<&mut String> = vec![&mut failure.message];
    texts.extend(failure.hint.as_mut());
    texts.extend(failure.allowed.iter_mut());
    texts.extend(failure.extra.values_mut().flat_map(texts_of));
    let Some(text) = texts.into_iter().max_by_key(|text| text.len()).filter(|text| text.len() > 40) else {
        return false;
    };
    let keep = text.chars().count() * 2 / 3;
    *text = text.chars().take(keep).chain(['…']).collect();
    true
}

fn texts_of(value: &mut Value) -> Vec<&mut String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter_mut().flat_map(texts_of).collect(),
        Value::Object(map) => map.values_mut().flat_map(texts_of).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_tools_and_failures_are_short() {
        let failure = Failure::new(Code::NotFound, "x").hint("owf run FILE, or --home for another store");
        assert_eq!(told(failure).hint.as_deref(), Some("owf_run_workflow starts one; home names another store"));
        let failure = Failure::new(Code::NotFound, "ü".repeat(5_000)).with("a", vec!["\"".repeat(900); 40]);
        assert!(size(&told(failure).to_json()) <= FAILURE);
    }
}
