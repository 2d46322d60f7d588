//! Which project files the user trusts: by directory and by the hash of their content, so that an edit ends the trust.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config::{Places, read_bounded};
use super::project::{self, Found};
use crate::core::environment::Environment;
use crate::core::failure::{Code, Failure};
use crate::core::ids::Hash;
use crate::engine::view::{TrustRow, TrustView};

/// The file in the user's configuration directory.
const FILE: &str = "trust.json";

/// Trusted projects: the directory and the hash of the file that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trust {
    #[serde(default)]
    trusted: BTreeMap<String, String>,
}

impl Trust {
    /// The trusted projects of a user. A file that cannot be read trusts nothing.
    pub(super) fn of(dir: &Path) -> Self {
        let text = read_bounded(&dir.join(FILE)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Whether the user trusts a project's file as it is.
    pub(super) fn covers(&self, found: &Found) -> bool {
        self.trusted.get(&found.dir).is_some_and(|hash| *hash == found.hash.to_string())
    }

    fn write(&self, dir: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(format!("{:#}\n", serde_json::json!({ "trusted": self.trusted })).as_bytes())?;
        file.persist(dir.join(FILE))?;
        Ok(())
    }

    fn rows(&self) -> Vec<TrustRow> {
        let row = |(dir, hash): (&String, &String)| {
            let found = project::read(Path::new(dir));
            let state = match found {
                None => "gone",
                Some(found) if found.hash.to_string() == *hash => "trusted",
                Some(_) => "changed",
            };
            TrustRow { dir: dir.clone(), hash: hash.clone(), state: state.to_owned() }
        };
        self.trusted.iter().map(row).collect()
    }
}

/// What is asked about trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Trust the file of the project in a directory, as it is now.
    Add(PathBuf),
    /// Trust it no longer.
    Remove(PathBuf),
    /// Only show what is trusted.
    List,
}

/// Answers a person about trust.
///
/// # Errors
/// `not_found` without a project file or a trusted project, `invalid_arguments` with `OWF_CONFIG=none`, `not_writable`.
pub fn trust(env: &Environment, cwd: &Path, ask: &Ask) -> Result<TrustView, Failure> {
    let dir = Places::of(env, cwd).dir.ok_or_else(|| {
        Failure::new(Code::InvalidArguments, "OWF_CONFIG is none, so there is no place to keep what is trusted")
            .hint("unset it, or let it name the configuration file")
    })?;
    let mut trust = Trust::of(&dir);
    let mut counts = Vec::new();
    let changed = match ask {
        Ask::List => None,
        Ask::Add(project) => {
            let full = cwd.join(project);
            let found = project::read(&full).ok_or_else(|| {
                let place = full.canonicalize().unwrap_or_else(|_| full.clone()).join(project::FILE);
                Failure::new(Code::NotFound, format!("there is no {}", place.display()))
                    .hint("trust is for a directory whose project has a configuration file of its own")
                    .with("what", "file")
            })?;
            project::whole(&found).map_err(|what| {
                Failure::new(Code::InvalidArguments, format!("{} is wrong in {what}", found.path.display()))
            })?;
            trust.trusted.insert(found.dir.clone(), found.hash.to_string());
            counts = project::names(&found);
            Some(found.dir)
        }
        Ask::Remove(project) => {
            let full = cwd.join(project);
            let name = full.canonicalize().unwrap_or(full).display().to_string();
            if trust.trusted.remove(&name).is_none() {
                return Err(Failure::new(Code::NotFound, format!("{name} is not among the trusted projects"))
                    .with("what", "file")
                    .allowed(trust.trusted.keys().cloned()));
            }
            Some(name)
        }
    };
    if changed.is_some() {
        trust.write(&dir).map_err(|error| {
            let place = dir.join(FILE);
            Failure::new(Code::NotWritable, format!("{} cannot be written: {error}", place.display()))
        })?;
    }
    Ok(TrustView { trusted: trust.rows(), changed, counts })
}

/// The hash that trust is bound to.
pub(super) fn hash(text: &str) -> Hash {
    Hash::of(text)
}
