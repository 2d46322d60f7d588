//! What is known of a worktree beside it on disk, so that it can be judged when the process that made it is gone.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::create::Worktree;
use crate::core::ids::{CallId, RunId};

/// Where a worktree stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its attempt runs, or its process died.
    Open,
    /// Its attempt has ended and something in it changed.
    Kept,
}

/// The file `<call>-<attempt>.json` beside the directory `<call>-<attempt>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The run.
    pub run_id: RunId,
    /// The call.
    pub call_id: CallId,
    /// The attempt.
    pub attempt: u32,
    /// What people call the call.
    pub label: String,
    /// The branch.
    pub branch: String,
    /// The commit it started from.
    pub base: String,
    /// The common directory of its repository.
    #[serde(default)]
    pub repository: Option<PathBuf>,
    /// Where it stands.
    pub state: State,
    /// Commits made in it.
    #[serde(default)]
    pub commits: u32,
    /// Files that differ from its base.
    #[serde(default)]
    pub changed_files: Vec<String>,
}

impl Record {
    /// Its directory below `worktrees` of a home.
    pub fn dir(&self, home: &Path) -> PathBuf {
        home.join(self.path())
    }

    /// The same relative to the home.
    pub fn path(&self) -> String {
        format!("worktrees/{}/{}-{}", self.run_id, self.call_id, self.attempt)
    }

    /// The worktree itself.
    pub fn worktree(&self, home: &Path) -> Worktree {
        let (branch, base, repository) = (self.branch.clone(), self.base.clone(), self.repository.clone());
        Worktree { dir: self.dir(home), branch, base, repository }
    }

    /// Whether what it says can have been written for the file it was read from. Git is given its words later.
    fn is_sound(&self, home: &Path, read_from: &Path) -> bool {
        let is_commit = matches!(self.base.len(), 40 | 64) && self.base.bytes().all(|byte| byte.is_ascii_hexdigit());
        let stem = format!("owf/{}/{}", self.run_id.short(), self.call_id);
        let ending = self.branch.strip_prefix(&stem);
        let is_branch = ending.is_some_and(|ending| {
            ending.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte)) && !ending.contains("..")
        });
        let known = self.repository.as_deref();
        let is_outside = known.is_none_or(|dir| dir.is_absolute() && !dir.starts_with(home.join("worktrees")));
        is_commit && is_branch && is_outside && self.file(home) == read_from
    }

    fn file(&self, home: &Path) -> PathBuf {
        let mut name = self.dir(home).into_os_string();
        name.push(".json");
        PathBuf::from(name)
    }

    /// Writes it, by way of a temporary file.
    ///
    /// # Errors
    /// The disk said no.
    pub fn write(&self, home: &Path) -> std::io::Result<()> {
        let path = self.file(home);
        let dir = path.parent().unwrap_or(home);
        std::fs::create_dir_all(dir)?;
        let mut file = tempfile::Builder::new().prefix(".owf-").tempfile_in(dir)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes it, and the folders above that are empty then.
    pub fn forget(&self, home: &Path) {
        let path = self.file(home);
        // What is not there need not be removed.
        let _ = std::fs::remove_file(&path);
        for parent in path.ancestors().skip(1).take(2) {
            if std::fs::remove_dir(parent).is_err() {
                break;
            }
        }
    }
}

/// The records of a home, of one run or of all, in order. What cannot be read, or does not fit its place, is left out.
pub fn records(home: &Path, run: Option<&RunId>) -> Vec<Record> {
    let all = home.join("worktrees");
    let dirs = match run {
        Some(run) => vec![all.join(run.as_str())],
        None => entries(&all),
    };
    let mut found: Vec<Record> = dirs
        .iter()
        .flat_map(|dir| entries(dir))
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .filter_map(|path| read(home, &path))
        .collect();
    found.sort_by(|a: &Record, b: &Record| {
        (a.run_id.as_str(), a.call_id.0, a.attempt).cmp(&(b.run_id.as_str(), b.call_id.0, b.attempt))
    });
    found
}

fn read(home: &Path, path: &Path) -> Option<Record> {
    let record: Record = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    if record.is_sound(home, path) {
        return Some(record);
    }
    tracing::warn!(path = %path.display(), "a record of a worktree does not fit its place, and is not followed");
    None
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_forged_record_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let run_id: RunId = "20260528-143201-k7q2mvx4".parse().unwrap();
        let sound = Record {
            run_id: run_id.clone(),
            call_id: CallId(1),
            attempt: 1,
            label: "edit".to_owned(),
            branch: "owf/k7q2mvx4/c0001.2".to_owned(),
            base: "0".repeat(40),
            repository: Some(PathBuf::from("/repo/.git")),
            state: State::Kept,
            commits: 0,
            changed_files: Vec::new(),
        };
        sound.write(home.path()).unwrap();
        assert_eq!(records(home.path(), None), std::slice::from_ref(&sound));
        let forged = [
            Record { base: "--output=/home/u/.bashrc".to_owned(), ..sound.clone() },
            Record { branch: "main".to_owned(), ..sound.clone() },
            Record { branch: "owf/k7q2mvx4/c0002".to_owned(), ..sound.clone() },
            Record { repository: Some(home.path().join("worktrees/x")), ..sound.clone() },
        ];
        for record in forged {
            record.write(home.path()).unwrap();
            assert_eq!(records(home.path(), Some(&run_id)), [], "{record:?}");
        }
        // A sound one in the place of another.
        sound.write(home.path()).unwrap();
        let file = sound.file(home.path());
        std::fs::rename(&file, file.with_file_name("c0002-1.json")).unwrap();
        assert_eq!(records(home.path(), None), []);
    }
}
