//! Files of a run: listed from the run directory, read through its guard.

use std::fs::File;
use std::io::Read as _;

use sha2::{Digest, Sha256};

use crate::artifacts::{ArtifactPath, Entry, Most, RunFiles, kind, mime_type, read};
use crate::core::failure::{Code, Failure};
use crate::core::ids::{CallId, Hash};
use crate::engine::params::{ArtifactsParams, ReadArtifactParams};
use crate::engine::view::{ArtifactRow, ArtifactsView, ReadArtifactView};

use super::bounds::{Bound, MAX_BYTES, PAGE, Room, finish};
use super::cursor;
use super::handle::Query;

/// Files greater than this are read without their hash.
const HASHED: u64 = 64 << 20;

fn hash_of(mut file: &File) -> std::io::Result<Hash> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Hash::from_bytes(hasher.finalize().into())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn row(files: &RunFiles, entry: &Entry) -> Option<ArtifactRow> {
    let path = entry.path.as_str();
    let (kind, call_id) = kind(path);
    let file = files.file(&entry.path).ok()?;
    // What is listed and what is hashed are one file, also when it grew since the walk.
    let size_bytes = file.metadata().ok()?.len();
    Some(ArtifactRow {
        path: path.to_owned(),
        kind: kind.to_owned(),
        call_id: call_id.map(|id| id.to_string()),
        size_bytes,
        sha256: hash_of(&file).ok()?,
        mime_type: mime_type(path).to_owned(),
        created_at: entry.modified.rfc3339(),
    })
}

impl Query<'_> {
    /// The files of a run, by path.
    ///
    /// # Errors
    /// `not_found`, `invalid_arguments` for a bad cursor or call.
    pub(crate) fn artifacts(&self, params: &ArtifactsParams) -> Result<ArtifactsView, Failure> {
        let (run, call): (_, Option<CallId>) = match &params.call_id {
            Some(call) => {
                let (run, call) = self.resolve_call(params.run_id.as_deref(), call)?;
                (run, Some(call))
            }
            None => (self.resolve(params.run_id.as_deref())?, None),
        };
        let after = cursor::of_list('f', params.cursor.as_deref())?.map_or(0, |n| n as usize);
        let files = RunFiles::open(&self.store.run_dir(&run));
        let mut entries = files.as_ref().map(RunFiles::entries).unwrap_or_default();
        entries.retain(|entry| {
            let (of_kind, of_call) = kind(entry.path.as_str());
            params.kind.as_ref().is_none_or(|wanted| wanted == of_kind) && call.is_none_or(|c| Some(c) == of_call)
        });
        let total = entries.len();
        let limit = self.env.bound.rows(params.limit, 60);
        let page = entries.iter().skip(after).take(limit);
        let mut rows: Vec<ArtifactRow> =
            files.as_ref().map(|files| page.filter_map(|entry| row(files, entry)).collect()).unwrap_or_default();
        let mut view = ArtifactsView {
            run_dir: self.run_dir(&run),
            run_id: run,
            artifacts: Vec::new(),
            artifacts_total: total as u64,
            truncated: false,
            next_cursor: None,
        };
        let cut = Room::beside(self.env.bound, &view).keep(&mut rows);
        let last = rows.last().and_then(|row| entries.iter().position(|e| e.path.as_str() == row.path));
        let shown = last.map_or(after, |last| last + 1);
        view.truncated = cut || after.saturating_add(limit) < total;
        view.next_cursor = (view.truncated && shown > after).then(|| cursor::list('f', shown as i64));
        view.artifacts = rows;
        Ok(finish(self.env.bound, view))
    }

    /// Part of one file of a run. Ranges that follow one another by `next_offset` make up the file.
    ///
    /// # Errors
    /// `path_refused`, `not_found`.
    pub(crate) fn read_artifact(&self, params: &ReadArtifactParams) -> Result<ReadArtifactView, Failure> {
        let run = self.resolve(params.run_id.as_deref())?;
        let path = ArtifactPath::parse(&params.path)?;
        let files = RunFiles::open(&self.store.run_dir(&run)).ok_or_else(|| {
            Failure::new(Code::NotFound, format!("run {run} has no files yet")).with("what", "artifact")
        })?;
        let file = files.file(&path)?;
        let most = match (params.max_bytes, self.env.bound) {
            (Some(bytes), _) => Most::Bytes(bytes.min(MAX_BYTES)),
            (None, Bound::Model) => Most::Json(PAGE),
            (None, Bound::None) => Most::All,
        };
        let failed =
            |error: std::io::Error| Failure::new(Code::Internal, format!("\"{path}\" cannot be read: {error}"));
        let content = read(&file, params.offset.unwrap_or(0), most).map_err(failed)?;
        let sha256 = if content.size <= HASHED {
            use std::io::{Seek as _, SeekFrom};
            (&file).seek(SeekFrom::Start(0)).and_then(|_| hash_of(&file)).ok()
        } else {
            None
        };
        let view = ReadArtifactView {
            file_path: format!("{}/{path}", self.run_dir(&run)),
            run_id: run,
            path: path.to_string(),
            mime_type: mime_type(path.as_str()).to_owned(),
            encoding: content.encoding.as_str().to_owned(),
            size_bytes: content.size,
            sha256,
            offset: content.offset,
            returned_bytes: content.bytes,
            truncated: content.next_offset().is_some(),
            next_offset: content.next_offset(),
            content: content.text,
        };
        if params.max_bytes.is_some() { Ok(view) } else { Ok(finish(self.env.bound, view)) }
    }
}
