//! The configuration file of a project, which came with the project and may be hostile: what it may say, and what only counts
//! when the user trusts it.

use std::path::{Path, PathBuf};

use super::config::{File, Limits, read_bounded};
use crate::core::ids::Hash;
use crate::engine::view::{DoctorCheck, Health};
use crate::providers::{Setup, at_line, in_words};

/// Where it is, below the workspace.
pub(super) const FILE: &str = ".owf/config.toml";

/// Names that are shown of a file that is not trusted.
const SHOWN: usize = 8;

/// A project's file as it lies there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// The directory of the project, with links resolved: the name of the project for trust.
    pub(super) dir: String,
    /// The file.
    pub(super) path: PathBuf,
    /// Its text, or why there is none.
    pub(super) text: Result<String, String>,
    /// The hash of its text.
    pub(super) hash: Hash,
}

/// What counts of a project's file.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) file: File,
    pub(super) trusted: bool,
    pub(super) facts: Vec<DoctorCheck>,
    /// What runs say: limits that were meant and do not count.
    pub(super) notices: Vec<String>,
}

/// The file of the project in `workspace`, when there is one.
pub(super) fn read(workspace: &Path) -> Option<Found> {
    let dir = workspace.canonicalize().ok()?;
    let path = dir.join(FILE);
    path.symlink_metadata().ok()?;
    let text = read_bounded(&path);
    let hash = super::trust::hash(text.as_deref().unwrap_or_default());
    Some(Found { dir: dir.display().to_string(), path, text, hash })
}

/// The whole file, as it counts when it is trusted.
///
/// # Errors
/// What is wrong with it.
pub(super) fn whole(found: &Found) -> Result<File, String> {
    let text = found.text.clone()?;
    let file: File = toml::from_str(&text).map_err(|error: toml::de::Error| at_line(&text, &error))?;
    file.limits.ceilings()?;
    file.files.check()?;
    super::policies::hooks(file.hooks.clone(), std::collections::BTreeMap::new())?;
    super::policies::sinks(file.events.clone(), std::collections::BTreeMap::new())?;
    Ok(file)
}

/// What counts of a file: everything when it is trusted, else the names of providers and models that the user has, other names
/// for such models, and lower limits. What does not count is named, never followed.
pub(super) fn admit(found: &Found, trusted: bool, user: &Setup, default: Option<&str>) -> Project {
    let shown = found.path.display();
    let say = |health, message: String, hint: Option<&str>| DoctorCheck {
        name: "project file".to_owned(),
        health,
        message,
        hint: hint.map(str::to_owned),
    };
    if trusted {
        return match whole(found) {
            Ok(file) => {
                let facts = vec![say(Health::Ok, format!("{shown}: trusted"), None)];
                Project { file, trusted, facts, notices: Vec::new() }
            }
            Err(what) => left_aside(&say, found, &what),
        };
    }
    let table: Result<toml::Table, String> = found
        .text
        .clone()
        .and_then(|text| toml::from_str(&text).map_err(|error: toml::de::Error| at_line(&text, &error)));
    let table = match table {
        Ok(table) => table,
        Err(what) => return left_aside(&say, found, &what),
    };
    let mut admitted = Admitted { user, table: &table, file: File::default(), refused: Vec::new(), wrong: Vec::new() };
    for (key, value) in &table {
        admitted.take(key, value);
    }
    admitted.model(&table, default);
    let Admitted { file, refused, wrong, .. } = admitted;
    let notices: Vec<String> = wrong
        .iter()
        .filter(|what| what.starts_with("limits"))
        .map(|what| format!("a limit of the project's file {shown} does not count: {what}"))
        .collect();
    let mut facts = Vec::new();
    if !wrong.is_empty() {
        facts.push(say(Health::Warn, format!("{shown}: wrong, and does not count: {}", wrong.join("; ")), None));
    }
    let fact = if refused.is_empty() {
        say(Health::Ok, format!("{shown}: not trusted, and needs no trust"), None)
    } else {
        let more = refused.len().saturating_sub(SHOWN);
        let mut names = refused.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if more > 0 {
            names.push_str(&format!(" and {more} more"));
        }
        let hint = "owf trust DIR lets it count as it is now; read it first";
        say(Health::Warn, format!("{shown}: not trusted; left out: {names}"), Some(hint))
    };
    if !refused.is_empty() || wrong.is_empty() {
        facts.insert(0, fact);
    }
    Project { file, trusted, facts, notices }
}

/// A file of which nothing counts. It may have meant to lower a limit, so runs say it, too.
fn left_aside(say: &impl Fn(Health, String, Option<&str>) -> DoctorCheck, found: &Found, what: &str) -> Project {
    let message = format!("{}: left aside: {what}", found.path.display());
    let notices = vec![format!("nothing in the project's file counts, limits included: {message}")];
    Project { facts: vec![say(Health::Warn, message, None)], notices, ..Project::default() }
}

/// The names of everything a file says.
pub(super) fn names(found: &Found) -> Vec<String> {
    let table: toml::Table = found.text.as_deref().ok().and_then(|text| toml::from_str(text).ok()).unwrap_or_default();
    let mut names = Vec::new();
    for (key, value) in &table {
        match value {
            toml::Value::Table(inner) if !inner.is_empty() => names.extend(deep(key, inner)),
            _ => names.push(key.clone()),
        }
    }
    names
}

/// The names in a table, two levels deep.
fn deep(key: &str, table: &toml::Table) -> Vec<String> {
    let of = |(name, value): (&String, &toml::Value)| match value {
        toml::Value::Table(inner) if !inner.is_empty() => {
            inner.keys().map(|last| format!("{key}.{name}.{last}")).collect()
        }
        _ => vec![format!("{key}.{name}")],
    };
    table.iter().flat_map(of).collect()
}

/// A file on its way through.
struct Admitted<'a> {
    user: &'a Setup,
    table: &'a toml::Table,
    file: File,
    /// What would count with trust.
    refused: Vec<String>,
    /// What would not, one sentence fragment each.
    wrong: Vec<String>,
}

impl Admitted<'_> {
    fn take(&mut self, key: &str, value: &toml::Value) {
        match (key, value) {
            ("provider", toml::Value::String(name)) if self.user.knows(name) => self.file.provider = Some(name.clone()),
            ("provider", toml::Value::String(name)) if !self.brings(name) => {
                self.wrong.push(format!("there is no provider {name:?}; owf providers lists what there is"));
            }
            // Looked at when the provider is known.
            ("model", toml::Value::String(_)) => {}
            ("aliases", toml::Value::Table(providers)) => {
                for (provider, names) in providers {
                    self.aliases(provider, names);
                }
            }
            ("limits", toml::Value::Table(limits)) => self.limits(limits),
            ("limits", _) => self.wrong.push("limits must be a table".to_owned()),
            (_, toml::Value::Table(inner)) if !inner.is_empty() => self.refused.extend(deep(key, inner)),
            _ => self.refused.push(key.to_owned()),
        }
    }

    /// Whether the file itself says what this provider is.
    fn brings(&self, name: &str) -> bool {
        let same = |key: &String| key.trim().eq_ignore_ascii_case(name.trim());
        self.table.get("providers").and_then(toml::Value::as_table).is_some_and(|all| all.keys().any(same))
    }

    /// They only ever lower, the lowest of all wins: so each counts by itself, and one that is wrong takes no other with it.
    fn limits(&mut self, limits: &toml::Table) {
        let mut good = toml::Table::new();
        for (name, value) in limits {
            let one = toml::Table::from_iter([(name.clone(), value.clone())]);
            match one
                .try_into::<Limits>()
                .map_err(|error| in_words(&error))
                .and_then(|limit| limit.ceilings().map(drop))
            {
                Ok(()) => drop(good.insert(name.clone(), value.clone())),
                Err(what) if what.starts_with("limits.") => self.wrong.push(what),
                Err(what) => self.wrong.push(format!("limits.{name}: {what}")),
            }
        }
        self.file.limits = good.try_into().unwrap_or_default();
    }

    fn model(&mut self, table: &toml::Table, default: Option<&str>) {
        let Some(toml::Value::String(model)) = table.get("model") else { return };
        let provider = self.file.provider.as_deref().or(default);
        if provider.is_some_and(|provider| self.user.knows_model(provider, model)) {
            self.file.model = Some(model.clone());
        } else {
            self.refused.push("model".to_owned());
        }
    }

    fn aliases(&mut self, provider: &str, names: &toml::Value) {
        let toml::Value::Table(names) = names else { return self.refused.push(format!("aliases.{provider}")) };
        for (name, target) in names {
            match target {
                // A name that means something already keeps its meaning.
                toml::Value::String(target)
                    if self.user.knows_model(provider, target) && !self.user.knows_model(provider, name) =>
                {
                    let names = self.file.aliases.entry(provider.to_owned()).or_default();
                    names.insert(name.clone(), target.clone());
                }
                _ => self.refused.push(format!("aliases.{provider}.{name}")),
            }
        }
    }
}
