//! Replies and failures as a model reads them: bounded, and in the words of tools.

use serde::Serialize;
use serde_json::Value;

use crate::core::failure::{Code, Failure};
use crate::engine::{fit, size};

/// Characters that a failure stays under: clients show only the beginning.
const FAILURE: usize = 2_000;

/// Texts that name a command of the terminal or a flag, and what they are to a client of tools; longer ones first.
const WORDS: &[(&str, &str)] = &[
    ("owf run FILE, or --home for another store", "owf_run_workflow starts one; home names another store"),
    ("start the workflow again with owf run", "start the workflow again with owf_run_workflow"),
    ("free some space (owf prune), then owf resume", "free some space (a person runs owf prune), then owf_resume"),
    ("owf doctor says what is damaged", "a person runs owf doctor, which says what is damaged"),
    ("choose another place with --out; --stdout prints the report", "owf_status and owf_output show what it would say"),
    ("--stdout prints the report", "owf_status and owf_output show what it would say"),
    ("with --home or OWF_HOME", "with home"),
    ("; --home names", "; home names"),
    ("or use --home", "or use home"),
    ("(owf approvals)", "(owf_approvals)"),
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

/// A failure as a client of tools is told it, in words of tools and under its bound. Told once more, it stays as it is.
pub(crate) fn told(mut failure: Failure) -> Failure {
    let words = |text: &str| WORDS.iter().fold(text.to_owned(), |text, (command, tool)| text.replace(command, tool));
    failure.message = words(&failure.message);
    failure.hint = failure.hint.map(|hint| words(&hint));
    if failure.code == Code::StoreNewer {
        failure.hint = Some("restart the MCP server: owf was upgraded meanwhile".to_owned());
    }
    while size(&failure.to_json()) >= FAILURE && shorten(&mut failure) {
        failure.extra.insert("truncated".to_owned(), true.into());
    }
    failure
}

/// Takes away what is worth least: rows beyond the first, then the ends of texts, then whatever is largest. False when nothing
/// is left to take.
fn shorten(failure: &mut Failure) -> bool {
    let lists = failure.extra.values_mut().filter_map(Value::as_array_mut);
    if let Some(rows) = lists.filter(|rows| rows.len() > 3).max_by_key(size) {
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
    if let Some(text) = texts.into_iter().max_by_key(|text| text.len()).filter(|text| text.len() > 40) {
        let keep = text.chars().count() * 2 / 3;
        *text = text.chars().take(keep).chain(['…']).collect();
        return true;
    }
    let largest = failure.extra.iter().filter(|(_, value)| !value.is_boolean()).max_by_key(|(_, value)| size(value));
    match largest.map(|(key, _)| key.clone()) {
        Some(key) => failure.extra.shift_remove(&key).is_some(),
        None => false,
    }
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
    use serde_json::json;

    use super::*;

    /// What the engine and the store say to people at a terminal.
    const SAID: [&str; 16] = [
        "owf run FILE, or --home for another store",
        "owf_list_runs shows all runs; --home names another store",
        "start the workflow again with owf run",
        "free some space (owf prune), then owf resume the run",
        "check the disk, then owf resume the run",
        "check its permissions, or use --home",
        "check its permissions, or choose another place with --out; --stdout prints the report",
        "--stdout prints the report",
        "choose a local directory with --home or OWF_HOME",
        "owf doctor says what is damaged",
        "read the question again (owf approvals), then decide",
        "the run is recorded; owf resume takes it up",
        "the run is kept as far as it got; owf resume goes on",
        "owf resume makes a new run that reuses its finished calls",
        "owf resume k7q2mvx4 goes on with that answer",
        "owf status k7q2mvx4 shows how the run went on",
    ];

    #[test]
    fn messages_and_hints_name_tools_and_no_flags() {
        for text in SAID {
            let failure = told(Failure::new(Code::NotFound, text).hint(text));
            for said in [&failure.message, failure.hint.as_ref().unwrap_or(&failure.message)] {
                let for_people = said.replace("a person runs owf ", "");
                assert!(!for_people.contains("owf ") && !for_people.contains("--"), "{text}: {said}");
            }
        }
    }

    #[test]
    fn a_failure_stays_under_its_bound_whatever_it_is_made_of_and_keeps_its_code() {
        let rows: Vec<_> =
            (0..500).map(|n| json!({ "path": format!("/{n}"), "message": "must be \"a\" number" })).collect();
        let wide: serde_json::Map<String, Value> = (0..900).map(|n| (n.to_string(), n.into())).collect();
        let failure = Failure::new(Code::InvalidArguments, "é\"\n".repeat(3_000))
            .hint("h".repeat(5_000))
            .allowed(vec!["ü".repeat(900); 40])
            .with("errors", rows)
            .with("owner", json!({ "host": "x".repeat(9_000) }))
            .with("wide", wide);
        let once = told(failure);
        let value = once.to_json();
        assert!(size(&value) < FAILURE, "{}", size(&value));
        assert_eq!(value["error"]["code"], "invalid_arguments");
        assert_eq!(value["error"]["truncated"], true);
        assert_eq!(value["error"]["errors"][0]["path"], "/0");
        assert_eq!(told(once.clone()), once);
    }

    #[test]
    fn a_short_failure_is_told_as_it_is() {
        let failure = Failure::new(Code::NotFound, "no run").hint("look").with("what", "run");
        assert_eq!(told(failure.clone()), failure);
    }
}
