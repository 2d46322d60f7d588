//! Documents run in this process, and how their tasks ended.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use owf::core::failure::Failure;
use owf::engine::params::{ResumeParams, RunParams};
use owf::engine::{Execution, Started};
use owf::front::script::{Checked, Origin};
use serde_json::Value;

use crate::acca_support::Desk;

/// A desk for documents.
pub(crate) struct Paper {
    pub(crate) desk: Desk,
}

impl Paper {
    /// A desk with this document as `flow.yaml`.
    pub(crate) fn new(text: &str) -> Self {
        let paper = Self { desk: Desk::new() };
        paper.write(text);
        paper
    }

    /// The same with rules of answers.
    pub(crate) fn answered(text: &str, rules: &str) -> Self {
        let paper = Self::new(text);
        paper.desk.answers(rules);
        paper
    }

    pub(crate) fn write(&self, text: &str) {
        self.desk.place.file("flow.yaml", text);
    }

    pub(crate) fn start(&self, args: Option<Value>) -> Result<Started, Failure> {
        let fixtures = self.desk.place.path().join("answers.yaml").exists().then(|| "answers.yaml".to_owned());
        let args = args.map(|args| args.as_object().unwrap().clone());
        let params = RunParams { path: Some("flow.yaml".to_owned()), fixtures, args, ..RunParams::default() };
        self.desk.engine.start(&params, Execution::InProcess { linger_on_approvals: false })
    }

    /// Runs the document to its end.
    pub(crate) fn run(&self) -> Value {
        self.desk.finish(self.start(None).unwrap())
    }

    pub(crate) fn run_args(&self, args: Value) -> Value {
        self.desk.finish(self.start(Some(args)).unwrap())
    }

    pub(crate) fn resume(&self) -> Value {
        self.desk.resume(ResumeParams::default())
    }

    /// How the tasks of the latest run ended, by label; of several calls with one label the last counts.
    pub(crate) fn states(&self) -> BTreeMap<String, String> {
        self.ends().into_iter().map(|(label, status, _)| (label, status)).collect()
    }

    /// Label, status and message of every outcome of the latest run, in order.
    pub(crate) fn ends(&self) -> Vec<(String, String, String)> {
        let events = self.desk.events(self.latest().as_str());
        let mut labels = BTreeMap::new();
        let mut out = Vec::new();
        for event in events {
            let id = event["call_id"].to_string();
            match event["type"].as_str().unwrap() {
                "call_requested" => {
                    labels.insert(id, event["spec"]["label"].as_str().unwrap().to_owned());
                }
                "call_finished" => {
                    let outcome = &event["outcome"];
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    out.push((labels[&id].clone(), text(&outcome["status"]), text(&outcome["error"]["message"])));
                }
                _ => {}
            }
        }
        out
    }

    /// The latest run.
    pub(crate) fn latest(&self) -> String {
        self.desk.status("latest")["run_id"].as_str().unwrap().to_owned()
    }

    /// What the latest run returned.
    pub(crate) fn output(&self) -> Value {
        self.desk.output()
    }

    /// The messages of the log lines of the latest run.
    pub(crate) fn log(&self) -> Vec<String> {
        let events = self.desk.events(&self.latest());
        events.iter().filter(|e| e["type"] == "log").map(|e| e["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The prompts that were asked, in order.
    pub(crate) fn prompts(&self) -> Vec<String> {
        let events = self.desk.events(&self.latest());
        let asked = events.iter().filter_map(|e| e["spec"]["ask"]["prompt"].as_str());
        asked.map(str::to_owned).collect()
    }
}

/// What a check of a document finds.
pub(crate) fn check(text: &str) -> Checked {
    owf::front::document::check(text.as_bytes(), &Origin::File("flow.yaml".into()))
}

/// Line, column, code and message of every finding.
pub(crate) fn found(text: &str) -> Vec<(u32, u32, String, String)> {
    check(text).diagnostics.into_iter().map(|d| (d.line, d.column, d.code, d.message)).collect()
}

/// Line and code of every finding.
pub(crate) fn codes(text: &str) -> Vec<(u32, String)> {
    found(text).into_iter().map(|(line, _, code, _)| (line, code)).collect()
}

/// A map from label to status, written shortly.
pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(label, status)| ((*label).to_owned(), (*status).to_owned())).collect()
}
