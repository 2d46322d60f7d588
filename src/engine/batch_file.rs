//! The prompts of a batch as a file of lines: each a JSON object or a bare string; and the records of what was submitted.

use std::collections::HashSet;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::core::failure::{Code, Failure};
use crate::core::ids::Hash;
use crate::providers::http::{BatchRow, is_id};

/// Wrong lines that are named.
const NAMED: usize = 20;

/// A line as it may be written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    prompt: String,
    #[serde(default)]
    custom_id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    max_tokens: Option<u64>,
}

/// Reads the prompts; `model` gives the model that a line means.
///
/// # Errors
/// `invalid_arguments` with every bad line by its number, or for a file without a prompt.
pub(super) fn rows(text: &str, model: impl Fn(Option<&str>) -> Option<String>) -> Result<Vec<BatchRow>, Failure> {
    let mut rows = Vec::new();
    let mut wrong: Vec<(usize, String)> = Vec::new();
    let mut seen = HashSet::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = at + 1;
        match row(line, number, &model) {
            Ok(row) if seen.insert(row.custom_id.clone()) => rows.push(row),
            Ok(row) => wrong.push((number, format!("custom_id \"{}\" stands there a second time", row.custom_id))),
            Err(why) => wrong.push((number, why)),
        }
    }
    if !wrong.is_empty() {
        let told: Vec<String> = wrong.iter().take(5).map(|(number, why)| format!("line {number}: {why}")).collect();
        let more =
            if wrong.len() > told.len() { format!(" and {} more", wrong.len() - told.len()) } else { String::new() };
        let count =
            if wrong.len() == 1 { "1 line is wrong".to_owned() } else { format!("{} lines are wrong", wrong.len()) };
        let errors: Vec<Value> = wrong
            .iter()
            .take(NAMED)
            .map(|(number, why)| json!({"path": format!("line {number}"), "message": why}))
            .collect();
        return Err(Failure::new(
            Code::InvalidArguments,
            format!("{count}: {}{more}; nothing was sent", told.join("; ")),
        )
        .hint("a line is a JSON string, or an object with prompt and, if wanted, custom_id, model, system, max_tokens")
        .with("errors", errors));
    }
    if rows.is_empty() {
        return Err(
            Failure::new(Code::InvalidArguments, "the file holds no prompt").hint("one JSON string or object a line")
        );
    }
    Ok(rows)
}

fn row(line: &str, number: usize, model: &impl Fn(Option<&str>) -> Option<String>) -> Result<BatchRow, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    let line = match value {
        Value::String(prompt) => Line { prompt, custom_id: None, model: None, system: None, max_tokens: None },
        value @ Value::Object(_) => serde_json::from_value(value).map_err(|error| error.to_string())?,
        _ => return Err("neither a string nor an object".to_owned()),
    };
    if line.prompt.trim().is_empty() {
        return Err("the prompt is empty".to_owned());
    }
    if line.max_tokens == Some(0) {
        return Err("max_tokens must be at least 1".to_owned());
    }
    let custom_id = line.custom_id.unwrap_or_else(|| format!("line-{number}"));
    if !is_id(&custom_id) || custom_id.len() > 64 {
        return Err("custom_id must be 1 to 64 letters, digits, _ or -".to_owned());
    }
    if line.model.as_ref().is_some_and(|model| model.trim().is_empty()) {
        return Err("model must not be empty; without it the provider's default is asked".to_owned());
    }
    let model = model(line.model.as_deref()).ok_or("no model is named, and the provider has no default one")?;
    Ok(BatchRow { custom_id, prompt: line.prompt, model, system: line.system, max_tokens: line.max_tokens })
}

/// What is remembered of a batch, for the user and not for a store: its id is all that is needed later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The version of the form, 1.
    pub(super) owf_batch: u32,
    /// The service's id; none while it is not known whether the service has taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) batch_id: Option<String>,
    /// The provider.
    pub(super) provider: String,
    /// When it was submitted.
    pub(super) created_at: String,
    /// Hash of what was submitted.
    pub(super) content: Hash,
    /// The service's last word for where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) word: Option<String>,
    /// The ids of the prompts, in the order of the file.
    pub(super) custom_ids: Vec<String>,
}

/// The records below a directory.
#[derive(Debug)]
pub(super) struct Records(pub(super) PathBuf);

impl Records {
    fn path(&self, record: &Record) -> PathBuf {
        let name = match &record.batch_id {
            Some(id) => id.clone(),
            None => format!("sending-{}", record.content.short()),
        };
        self.0.join(format!("{name}.json"))
    }

    /// Writes a record; returns when it is on disk. A first one, without an id of the service, is not written over another unless
    /// `again`.
    pub(super) fn write(&self, record: &Record, again: bool) -> Result<PathBuf, Failure> {
        let path = self.path(record);
        let write = || -> std::io::Result<()> {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            let mut file = tempfile::Builder::new().prefix(".owf-").tempfile_in(&self.0)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            file.as_file().sync_all()?;
            if record.batch_id.is_none() && !again {
                // Of two that send the same at once, one does.
                file.persist_noclobber(&path).map_err(|error| error.error)?;
            } else {
                file.persist(&path).map_err(|error| error.error)?;
            }
            Ok(())
        };
        write().map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                return Failure::new(Code::Exists, "another process sends these prompts now")
                    .hint("owf batch list shows what was sent");
            }
            Failure::new(Code::NotWritable, format!("{} cannot be written: {error}", path.display()))
        })?;
        Ok(path)
    }

    pub(super) fn remove(&self, record: &Record) {
        // One that stays says that a batch may have been sent: the safe side.
        let _ = std::fs::remove_file(self.path(record));
    }

    /// All records, the latest first.
    pub(super) fn all(&self) -> Vec<Record> {
        let files = std::fs::read_dir(&self.0).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        let mut all: Vec<Record> = files
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
            .collect();
        all.sort_by(|a: &Record, b: &Record| (&b.created_at, &b.batch_id).cmp(&(&a.created_at, &a.batch_id)));
        all
    }

    /// The record of a batch.
    pub(super) fn find(&self, id: &str) -> Result<Record, Failure> {
        let all = self.all();
        let ids: Vec<String> = all.iter().filter_map(|record| record.batch_id.clone()).collect();
        all.into_iter().find(|record| record.batch_id.as_deref() == Some(id)).ok_or_else(|| {
            Failure::new(Code::NotFound, format!("no batch `{id}` was submitted here"))
                .hint("owf batch list shows those that were")
                .with("what", "batch")
                .allowed(ids.into_iter().take(20).collect::<Vec<_>>())
        })
    }
}

/// Where records are: in the user's data directory.
pub(super) fn directory(data: Option<&str>, user_home: Option<&Path>) -> Option<Records> {
    let data = data.map(PathBuf::from).or_else(|| user_home.map(|home| home.join(".local/share")))?;
    Some(Records(data.join("owf/batches")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn of_two_that_send_the_same_at_once_one_does() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records(dir.path().to_owned());
        let record = Record {
            owf_batch: 1,
            batch_id: None,
            provider: "openai".into(),
            created_at: "2026-01-01T00:00:00.000Z".into(),
            content: Hash::of("the same"),
            word: None,
            custom_ids: Vec::new(),
        };
        records.write(&record, false).unwrap();
        assert_eq!(records.write(&record, false).unwrap_err().code, Code::Exists);
        assert!(records.write(&record, true).is_ok());
    }

    #[test]
    fn lines_are_strings_or_objects_and_every_bad_one_is_named() {
        let model = |asked: Option<&str>| Some(asked.unwrap_or("plain").to_owned());
        let good =
            "\"One.\"\n\n{\"prompt\": \"Two.\", \"custom_id\": \"two\", \"model\": \"big\", \"max_tokens\": 7}\n";
        let row = |id: &str, prompt: &str, model: &str, max_tokens| BatchRow {
            custom_id: id.into(),
            prompt: prompt.into(),
            model: model.into(),
            system: None,
            max_tokens,
        };
        assert_eq!(
            rows(good, model).unwrap(),
            [row("line-1", "One.", "plain", None), row("two", "Two.", "big", Some(7))]
        );
        let bad = "{\n\"ok\"\n7\n{\"prompt\": \"a\", \"temperature\": 1}\n{\"prompt\": \" \"}\n{\"prompt\": \"b\", \"custom_id\": \"a b\"}\n{\"prompt\": \"c\", \"custom_id\": \"line-2\"}";
        let failure = rows(bad, model).unwrap_err();
        let lines: Vec<&str> =
            failure.extra["errors"].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
        assert_eq!(lines, ["line 1", "line 3", "line 4", "line 5", "line 6", "line 7"]);
        assert!(failure.message.starts_with("6 lines are wrong: line 1: no JSON"), "{}", failure.message);
        assert_eq!(rows("\n", model).unwrap_err().message, "the file holds no prompt");
        assert!(rows("\"x\"", |_| None).is_err());
    }
}
