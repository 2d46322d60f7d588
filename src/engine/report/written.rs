//! A report as text, and its way into the run directory.

use std::io::Cursor;
use std::path::Path;

use crate::artifacts::{self, Most};
use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::core::run::RunStatus;
use crate::engine::files;
use crate::engine::params::ReportFormat;
use crate::engine::query::Query;
use crate::engine::view::ReportView;

use super::{gather, html, markdown};

/// Characters of the beginning that a reply shows.
const BEGINNING: usize = 8_000;

/// A report of a run. The same journal gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The run.
    pub run_id: RunId,
    /// Its status when it was read.
    pub status: RunStatus,
    /// What it is written as.
    pub format: ReportFormat,
    /// The whole text.
    pub text: String,
}

impl Report {
    /// The report of a run as it stands.
    pub(crate) fn of(query: Query<'_>, run: &RunId, format: ReportFormat) -> Result<Self, Failure> {
        let facts = gather::facts(query, run)?;
        let text = match format {
            ReportFormat::Markdown => markdown::render(&facts),
            ReportFormat::Html => html::render(&facts)?,
        };
        Ok(Self { run_id: run.clone(), status: facts.status, format, text })
    }

    /// Writes it into the run directory, over an earlier one.
    pub(crate) fn write(&self, query: Query<'_>) -> Result<ReportView, Failure> {
        let name = self.format.file_name();
        let path = query.store.run_dir(&self.run_id).join(name);
        files::write(&path, self.text.as_bytes()).map_err(|error| not_written(&path, &error))?;
        let file_path = format!("{}/{name}", query.run_dir(&self.run_id));
        self.view(name.to_owned(), file_path)
    }

    /// Writes it to a file of the caller's choice, over an earlier report. Any other file that is there stays.
    ///
    /// # Errors
    /// `path_refused` for a directory or something that is no plain file, `not_found` for a missing directory, `exists` for
    /// another file, `not_writable`.
    pub fn write_to(&self, given: &str, path: &Path) -> Result<ReportView, Failure> {
        let refused = |why: &str| Failure::new(Code::PathRefused, format!("{given} {why}"));
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                let name = Path::new(given).join(self.format.file_name());
                return Err(refused("is a directory").hint(format!("name the file: {}", name.display())));
            }
            Ok(meta) if !meta.is_file() => return Err(refused("is no plain file").hint("--stdout prints the report")),
            Ok(_) if !is_report(path) => {
                return Err(Failure::new(Code::Exists, format!("{given} exists and is no report"))
                    .hint("choose another path, or remove it first"));
            }
            Ok(_) | Err(_) => {}
        }
        let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !parent.is_dir() {
            return Err(Failure::new(Code::NotFound, format!("there is no directory {}", parent.display()))
                .hint("make it first, or choose another path")
                .with("what", "file"));
        }
        // A link is written through: it is the person's own.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        for_others(&target, self.text.as_bytes()).map_err(|error| not_written(path, &error))?;
        let file_path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        self.view(given.to_owned(), file_path.display().to_string())
    }

    fn view(&self, path: String, file_path: String) -> Result<ReportView, Failure> {
        let mut view = ReportView {
            run_id: self.run_id.clone(),
            status: self.status,
            format: self.format,
            path,
            file_path,
            size_bytes: self.text.len() as u64,
            content: None,
            truncated: false,
            next_offset: None,
        };
        if self.format == ReportFormat::Markdown {
            let beginning = artifacts::read(Cursor::new(self.text.as_bytes()), 0, Most::Json(BEGINNING))
                .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
            view.next_offset = beginning.next_offset();
            view.truncated = view.next_offset.is_some();
            view.content = Some(beginning.text);
        }
        Ok(view)
    }
}

/// Writes a file by way of a temporary one beside it, as readable as any file the person makes.
fn for_others(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let dir = path.parent().unwrap_or(path);
    let mode = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".owf-").permissions(mode).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn not_written(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::NotWritable, format!("{} cannot be written: {error}", path.display()))
        .hint("check its permissions, or choose another place with --out; --stdout prints the report")
}

/// Whether a file is a report, or empty: then a new one may take its place.
fn is_report(path: &Path) -> bool {
    use std::io::Read as _;
    let mut beginning = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(200).read_to_end(&mut beginning));
    let text = String::from_utf8_lossy(&beginning);
    read.is_ok() && (text.is_empty() || text.contains(super::facts::MARK))
}
