//! A run's files written again from the store, those left out at first included.

use std::path::{Path, PathBuf};

use crate::artifacts::RunFiles;
use crate::core::event::Event;
use crate::core::failure::{Code, Failure};
use crate::core::history::History;
use crate::core::ids::RunId;
use crate::engine::files;
use crate::engine::view::ExportView;

use super::handle::Query;

/// Events read at once.
const PAGE: usize = 2_000;

impl Query<'_> {
    /// Writes every file of a run that follows from the store into `dir`, or into the run directory. Into another directory
    /// the files that only exist as files (transcripts, logs, reports) are copied.
    ///
    /// # Errors
    /// `not_found`, `not_writable`.
    pub(crate) fn export(&self, run: &RunId, dir: Option<&Path>) -> Result<ExportView, Failure> {
        let row = self.row(run)?;
        let own = self.store.run_dir(run);
        let to = dir.map_or_else(|| own.clone(), Path::to_path_buf);
        let write = |path: PathBuf, bytes: &[u8]| {
            files::write(&path, bytes).map_err(|error| {
                Failure::new(Code::NotWritable, format!("{} cannot be written: {error}", path.display()))
                    .hint("check its permissions, or pass another output directory")
            })
        };
        if to != own
            && let Some(kept) = RunFiles::open(&own)
        {
            for entry in kept.entries() {
                let mut bytes = Vec::new();
                if let Ok(mut file) = kept.file(&entry.path)
                    && std::io::Read::read_to_end(&mut file, &mut bytes).is_ok()
                {
                    write(to.join(entry.path.as_str()), &bytes)?;
                }
            }
        }
        if let Some(source) = self.store.source(&row.spec.source_hash)? {
            write(to.join(row.spec.kind.source_file()), &source)?;
        }
        let mut history = History::default();
        let mut after = 0;
        loop {
            let events = self.store.events(run, after, PAGE)?;
            for record in &events {
                match &record.event {
                    Event::CallRequested { call_id, spec, .. } => {
                        if let Some(prompt) = &spec.ask.prompt_text() {
                            write(files::call_dir(&to, *call_id).join("prompt.txt"), prompt.as_bytes())?;
                        }
                    }
                    Event::CallFinished { call_id, outcome, .. } => {
                        for (name, bytes) in files::outcome_files(outcome) {
                            write(files::call_dir(&to, *call_id).join(name), &bytes)?;
                        }
                    }
                    _ => {}
                }
                if record.event.call_id().is_none() {
                    history.apply(record.at, &record.event);
                }
            }
            after = events.last().map_or(after, |record| record.seq);
            if events.len() < PAGE {
                break;
            }
        }
        write(to.join("manifest.json"), &files::manifest(run, &row.spec, &row.settings, history.finished.as_deref()))?;
        if let Some(outcome) = &history.finished {
            if let Some(output) = &outcome.output {
                write(to.join("output.json"), &files::pretty(output))?;
            }
            write(to.join("summary.md"), &files::summary(run, &row.spec, row.simulated, outcome))?;
        }
        let written = RunFiles::open(&to).map(|files| files.entries()).unwrap_or_default();
        let path = std::path::absolute(&to).unwrap_or(to).display().to_string();
        Ok(ExportView {
            run_id: run.clone(),
            path,
            files: written.len() as u64,
            size_bytes: written.iter().map(|entry| entry.size_bytes).sum(),
        })
    }
}
