//! Resources: the output, the report and the files of a run, read through the same guard as the tools.

use crate::core::failure::Code;
use crate::core::run::RunStatus;
use crate::engine::Engine;
use crate::engine::params::{ListRunsParams, OutputParams, ReadArtifactParams};
use crate::engine::view::{ReadArtifactView, RunRow};

use super::refused::Refused;
use super::uri::Address;

/// Bytes of a resource that is read whole; of a larger one `owf_read_artifact` reads parts.
const MOST: u64 = 200_000;
/// Runs on one page of the list.
const RUNS: u32 = 20;
/// How long the output of an ended run may be kept by a client, in milliseconds: it never changes.
const SETTLED_MS: u64 = 3_600_000;

/// A resource as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) uri: String,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) mime_type: String,
    pub(crate) size: u64,
}

/// One page of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) resources: Vec<Listed>,
    pub(crate) next_cursor: Option<String>,
}

/// A form of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) uri: &'static str,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) mime_type: Option<&'static str>,
}

/// What a resource holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Text(String),
    /// Bytes that are no text, as base64.
    Blob(String),
}

/// A resource that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    /// As it was asked for.
    pub(crate) uri: String,
    pub(crate) mime_type: String,
    pub(crate) body: Body,
    /// How long it stays as it is, in milliseconds.
    pub(crate) ttl_ms: u64,
}

/// The forms of addresses; they make one page.
///
/// # Errors
/// A cursor: there is no second page.
pub(crate) fn templates(cursor: Option<&str>) -> Result<&'static [Template], Refused> {
    only_page(cursor)?;
    Ok(&[
        Template {
            uri: "owf://runs/{run_id}/output",
            name: "output",
            description: "What a finished run returned, as JSON. run_id: an id from owf_list_runs, or latest.",
            mime_type: Some("application/json"),
        },
        Template {
            uri: "owf://runs/{run_id}/report",
            name: "report",
            description: "The report of a run, once owf_report has written it.",
            mime_type: None,
        },
        Template {
            uri: "owf://runs/{run_id}/artifacts/{+path}",
            name: "artifact",
            description: "A file of a run by its path from owf_artifacts: prompts, answers, errors, transcripts.",
            mime_type: None,
        },
    ])
}

/// Refuses the cursor of a list that has one page.
///
/// # Errors
/// Any cursor.
pub(crate) fn only_page(cursor: Option<&str>) -> Result<(), Refused> {
    match cursor {
        None => Ok(()),
        Some(text) => {
            let shown: String = text.chars().take(40).collect();
            Err(Refused::Params(format!("\"{shown}\" is no cursor of this list: it has one page; leave cursor out")))
        }
    }
}

/// Outputs and reports of recent runs, newest first. A home without a store has none.
///
/// # Errors
/// A bad cursor; what the store says.
pub(crate) fn list(engine: &Engine, cursor: Option<&str>) -> Result<Page, Refused> {
    if cursor.is_some_and(|text| text.trim().is_empty()) {
        return Err(Refused::Params("an empty text is no cursor of this list".to_owned()));
    }
    let asked = ListRunsParams { limit: Some(RUNS), cursor: cursor.map(str::to_owned), ..ListRunsParams::default() };
    let page = engine.list_runs(&asked)?;
    let mut resources = Vec::new();
    for row in &page.runs {
        let of_run = |path: &str| head(engine, row, path);
        if row.status == RunStatus::Done
            && let Some(file) = of_run("output.json")
        {
            let address = Address::Output { run: row.run_id.to_string() };
            resources.push(listed(row, &address, "output", &file));
        }
        if let Some(file) = of_run("report.md").or_else(|| of_run("report.html")) {
            let address = Address::Report { run: row.run_id.to_string() };
            resources.push(listed(row, &address, "report", &file));
        }
    }
    Ok(Page { resources, next_cursor: page.next_cursor })
}

/// A file without its content; none when it cannot be read.
fn head(engine: &Engine, row: &RunRow, path: &str) -> Option<ReadArtifactView> {
    engine.read_artifact(&part(row.run_id.as_str(), path, 0)).ok()
}

fn part(run: &str, path: &str, most: u64) -> ReadArtifactParams {
    let (run_id, path) = (Some(run.to_owned()), path.to_owned());
    ReadArtifactParams { run_id, path, offset: None, max_bytes: Some(most), home: None }
}

fn listed(row: &RunRow, address: &Address, what: &str, file: &ReadArtifactView) -> Listed {
    let workflow: String = row.workflow_name.chars().take(80).collect();
    let simulated = if row.simulated { ", FAKE answers" } else { "" };
    Listed {
        uri: address.to_string(),
        name: format!("{what} of {}", row.run_id.short()),
        title: format!("{workflow}: {what} ({}{simulated})", row.status.as_str()),
        mime_type: file.mime_type.clone(),
        size: file.size_bytes,
    }
}

/// Reads a resource whole.
///
/// # Errors
/// An address of another form, a run or a file that is not there, a path that the guard refuses, a file that is too large.
pub(crate) fn read(engine: &Engine, uri: &str) -> Result<Contents, Refused> {
    match Address::parse(uri)? {
        Address::Output { run } => output(engine, uri, &run),
        Address::Report { run } => match file(engine, uri, &run, "report.md") {
            Err(Refused::Resource(_)) => file(engine, uri, &run, "report.html").map_err(|refused| match refused {
                Refused::Resource(text) if text.contains("report.html") => {
                    Refused::Resource(format!("run {run} has no report yet; owf_report writes one"))
                }
                other => other,
            }),
            other => other,
        },
        Address::Artifact { run, path } => file(engine, uri, &run, &path),
    }
}

fn output(engine: &Engine, uri: &str, run: &str) -> Result<Contents, Refused> {
    let asked = OutputParams { run_id: Some(run.to_owned()), ..OutputParams::default() };
    let view = engine.output(&asked)?;
    let Some(value) = view.output.filter(|_| view.has_output) else {
        return Err(Refused::Resource(format!("run {} has no output. {}", view.run_id, view.next)));
    };
    let text = value.to_string();
    if text.len() as u64 > MOST {
        let run = &view.run_id;
        return Err(Refused::Params(format!(
            "the output of run {run} has {} bytes, and a resource {MOST} at most; owf_output with run_id {run} and a pointer or an offset \
             reads parts, owf_read_artifact with path \"output.json\" as well",
            text.len()
        )));
    }
    Ok(Contents {
        uri: uri.to_owned(),
        mime_type: "application/json".into(),
        body: Body::Text(text),
        ttl_ms: SETTLED_MS,
    })
}

fn file(engine: &Engine, uri: &str, run: &str, path: &str) -> Result<Contents, Refused> {
    let view = engine.read_artifact(&part(run, path, MOST)).map_err(|failure| match failure.code {
        // The hint of the guard speaks of the list of artifacts already.
        Code::NotFound if failure.hint.is_none() => failure.hint("owf_artifacts lists the files of a run").into(),
        _ => Refused::from(failure),
    })?;
    if view.truncated {
        return Err(Refused::Params(format!(
            "\"{path}\" has {} bytes, and a resource {MOST} at most; owf_read_artifact with run_id {}, path \"{path}\" and an offset reads \
             parts, or read {} yourself",
            view.size_bytes, view.run_id, view.file_path
        )));
    }
    let body = if view.encoding == "base64" { Body::Blob(view.content) } else { Body::Text(view.content) };
    Ok(Contents { uri: uri.to_owned(), mime_type: view.mime_type, body, ttl_ms: 0 })
}
