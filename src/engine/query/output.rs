//! What a run returned: whole, a part by pointer, or page by page.

use std::io::Cursor;

use serde_json::Value;

use crate::artifacts::{self, Content, Most};
use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::core::run::RunStatus;
use crate::engine::params::OutputParams;
use crate::engine::view::OutputView;

use super::bounds::{Bound, MAX_BYTES, VALUE, finish, size};
use super::handle::Query;
use super::outline;

/// The text that offsets count in: compact JSON, a string as it is.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Query<'_> {
    /// The value a run returned. Pages of its text, put together, are the text byte for byte.
    ///
    /// # Errors
    /// `not_found` for the run, or for a pointer that leads nowhere (with the keys that are there); `invalid_arguments`.
    pub(crate) fn output(&self, params: &OutputParams) -> Result<OutputView, Failure> {
        let run = self.resolve(params.run_id.as_deref())?;
        let row = self.row(&run)?;
        let (status, _) = self.store.effective_status(&row, self.env.now);
        let mut view = OutputView {
            run_id: run.clone(),
            status,
            simulated: row.simulated,
            has_output: false,
            output: None,
            output_text: None,
            offset: None,
            returned_bytes: None,
            size_bytes: None,
            truncated: false,
            next_offset: None,
            outline: None,
            pointer: params.pointer.clone().filter(|pointer| !pointer.is_empty()),
            file_path: None,
            next: String::new(),
        };
        let Some(whole) = row.outcome.as_ref().and_then(|outcome| outcome.output.as_ref()) else {
            view.next = nothing(&run, status);
            return Ok(view);
        };
        view.has_output = true;
        let value = match &view.pointer {
            None => whole,
            Some(pointer) => at(whole, pointer)?,
        };
        let file = self.store.run_dir(&run).join("output.json");
        view.file_path = file.is_file().then(|| format!("{}/output.json", self.run_dir(&run)));
        let text = text_of(value);
        view.size_bytes = Some(text.len() as u64);
        let bound = self.env.bound;
        let paged = params.offset.is_some() || params.max_bytes.is_some();
        if !paged && (bound == Bound::None || size(value) <= VALUE) {
            view.output = Some(value.clone());
            let whole = if view.pointer.is_some() { "This is the whole part." } else { "This is the whole value." };
            view.next = whole.into();
            return Ok(view);
        }
        let most = match (params.max_bytes, bound) {
            (Some(bytes), _) => Most::Bytes(bytes.min(MAX_BYTES)),
            (None, Bound::Model) => Most::Json(VALUE),
            (None, Bound::None) => Most::All,
        };
        let page = artifacts::read(Cursor::new(text.as_bytes()), params.offset.unwrap_or(0), most)
            .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
        if page.offset == 0 && page.bytes < page.size {
            view.outline = Some(outline::of(value));
        }
        view.next = more(value, &page, view.file_path.is_some(), view.pointer.as_deref());
        view.truncated = page.next_offset().is_some();
        view.next_offset = page.next_offset();
        view.offset = Some(page.offset);
        view.returned_bytes = Some(page.bytes);
        view.output_text = Some(page.text);
        if params.max_bytes.is_some() { Ok(view) } else { Ok(finish(bound, view)) }
    }
}

fn nothing(run: &RunId, status: RunStatus) -> String {
    match status {
        RunStatus::Queued | RunStatus::Running => format!("The run has not finished: owf_wait with run_id {run}."),
        RunStatus::Paused | RunStatus::Interrupted => {
            format!("The run is {}: owf_status with run_id {run} shows what it needs.", status.as_str())
        }
        RunStatus::Failed => format!("The run failed: owf_status with run_id {run} shows why."),
        RunStatus::Cancelled => "The run was cancelled before it returned.".to_owned(),
        RunStatus::Done => "The script returned undefined: there is no result.".to_owned(),
    }
}

fn more(value: &Value, page: &Content, file: bool, pointer: Option<&str>) -> String {
    let Some(offset) = page.next_offset() else { return "This is the end of the value.".to_owned() };
    let base = pointer.unwrap_or_default();
    let part = match value {
        Value::Object(map) => map.keys().next().map(|key| format!("{base}/{}", escaped(key))),
        Value::Array(items) if !items.is_empty() => Some(format!("{base}/0")),
        _ => None,
    };
    let by_part = part.map_or_else(String::new, |part| format!("pointer \"{part}\", or with "));
    let on_disk = if file { "; or read file_path yourself" } else { "" };
    format!("owf_output with {by_part}offset {offset}{on_disk}")
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The part of a value that a JSON Pointer names.
fn at<'v>(whole: &'v Value, pointer: &str) -> Result<&'v Value, Failure> {
    if !pointer.starts_with('/') {
        return Err(Failure::new(Code::InvalidArguments, format!("/pointer must begin with a slash, got `{pointer}`"))
            .hint("a JSON Pointer such as /findings/0"));
    }
    let mut here = whole;
    let mut walked = String::new();
    for part in pointer[1..].split('/') {
        let next = here.pointer(&format!("/{part}"));
        let Some(next) = next else { return Err(nowhere(here, &walked, part)) };
        walked.push('/');
        walked.push_str(part);
        here = next;
    }
    Ok(here)
}

fn nowhere(here: &Value, walked: &str, part: &str) -> Failure {
    let place = if walked.is_empty() { "the value".to_owned() } else { format!("\"{walked}\"") };
    let (what, keys): (String, Vec<String>) = match here {
        Value::Object(map) => ("has the keys listed here".to_owned(), map.keys().map(|key| escaped(key)).collect()),
        Value::Array(items) => {
            let shown = (0..items.len()).take(20).map(|i| i.to_string()).collect();
            (format!("is an array of {} items", items.len()), shown)
        }
        _ => ("has no parts".to_owned(), Vec::new()),
    };
    Failure::new(Code::NotFound, format!("the pointer leads nowhere at \"/{part}\": {place} {what}"))
        .hint("owf_output without a pointer shows the outline")
        .allowed(keys)
        .with("what", "pointer")
}
