//! The configuration in force: the user's file, the project's, the providers file and the environment, brought together once.
//!
//! Later wins: built-in defaults, the user's file, the project's file, the environment, flags and arguments. Of limits the lowest
//! wins. What a project may say is decided in `project`, whatever the files say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::policies::{self, HookForm, SinkForm};
use super::project::{self, Project};
use super::trust::Trust;
use crate::core::call::Decider;
use crate::core::environment::Environment;
use crate::core::failure::{Code, Failure};
use crate::core::file_rules::FileRules;
use crate::engine::view::{DoctorCheck, Health};
use crate::engine::{Ceilings, Configured, Defaults};
use crate::providers::prices::Prices;
use crate::providers::{Setup, at_line, in_words, providers_table};
use crate::tools::{McpServer, Tools};

/// The most a configuration file may hold.
const MOST_BYTES: u64 = 256 * 1024;

/// A configuration file: the user's, or that of a project which the user trusts.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    /// The provider of runs that name none.
    pub(super) provider: Option<String>,
    /// The model of runs that name none.
    pub(super) model: Option<String>,
    /// Other names of models, by provider.
    pub(super) aliases: BTreeMap<String, BTreeMap<String, String>>,
    /// What no run may exceed.
    pub(super) limits: Limits,
    /// Providers, as in the providers file.
    pub(super) providers: toml::Table,
    /// What the file tools may touch.
    pub(super) files: FileRules,
    /// Whether workflows may run commands.
    pub(super) commands: bool,
    /// Tools that workflows may use.
    pub(super) tools: BTreeMap<String, toml::Value>,
    /// Programs that lend tools over the Model Context Protocol.
    pub(super) mcp_servers: BTreeMap<String, toml::Value>,
    /// Questions to a person.
    pub(super) approvals: Approvals,
    /// Programs that judge calls.
    pub(super) hooks: BTreeMap<String, HookForm>,
    /// Who hears of events.
    pub(super) events: BTreeMap<String, SinkForm>,
}

/// Who decides questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Approvals {
    /// `person`: never a client's model, whatever a script says.
    decider: Decider,
}

/// Limits of a configuration file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    max_calls: Option<u64>,
    concurrency: Option<u32>,
    budget_tokens: Option<u64>,
    budget_cost_usd: Option<f64>,
}

impl Limits {
    /// As the engine keeps them.
    ///
    /// # Errors
    /// One sentence fragment that names the first that is no limit.
    pub(super) fn ceilings(self) -> Result<Ceilings, String> {
        let least = |what: &str, n: Option<u64>| match n {
            Some(0) => Err(format!("limits.{what} must be at least 1")),
            other => Ok(other),
        };
        least("max_calls", self.max_calls)?;
        least("concurrency", self.concurrency.map(u64::from))?;
        let cost_nanos = match self.budget_cost_usd {
            None => None,
            Some(usd) if usd.is_finite() && (0.0..=1e9).contains(&usd) => Some((usd * 1e9).round() as u64),
            Some(_) => return Err("limits.budget_cost_usd must be a number of dollars from 0 to 1e9".to_owned()),
        };
        Ok(Ceilings {
            max_calls: self.max_calls,
            concurrency: self.concurrency,
            budget_tokens: self.budget_tokens,
            budget_cost_nanos: cost_nanos,
        })
    }
}

/// Where the user's configuration is; nothing when `OWF_CONFIG=none`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The directory of the user's files: configuration, providers, trusted projects, prices.
    pub dir: Option<PathBuf>,
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Whether the environment names the file, which then has to be there.
    named: bool,
}

impl Places {
    /// `OWF_CONFIG`, else `owf/config.toml` in the user's configuration directory.
    pub fn of(env: &Environment, cwd: &Path) -> Self {
        match env.get("OWF_CONFIG") {
            Some("none") => Self::default(),
            Some(path) => {
                let file = cwd.join(path);
                Self { dir: file.parent().map(Path::to_path_buf), file: Some(file), named: true }
            }
            None => {
                let base = env.get("XDG_CONFIG_HOME").map(PathBuf::from);
                let base = base.or_else(|| env.get("HOME").map(|home| PathBuf::from(home).join(".config")));
                let dir = base.map(|dir| dir.join("owf"));
                Self { file: dir.as_ref().map(|dir| dir.join("config.toml")), dir, named: false }
            }
        }
    }
}

/// Everything that is configured.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    pub(super) defaults: Defaults,
    pub(super) config: Configured,
}

fn fact(name: &str, health: Health, message: String, hint: Option<&str>) -> DoctorCheck {
    DoctorCheck { name: name.to_owned(), health, message, hint: hint.map(str::to_owned) }
}

/// Brings the configuration together for a workspace.
///
/// # Errors
/// `invalid_arguments` for a file of the user's that cannot be read or is wrong. A file of a project is left aside instead, with
/// a word in the facts: a project must not be able to keep owf from working.
pub(super) fn configuration(env: &Environment, cwd: &Path, workspace: &Path) -> Result<Configuration, Failure> {
    let places = Places::of(env, cwd);
    let mut facts = Vec::new();
    let user = user_file(&places, &mut facts)?;
    let mut tables = Vec::new();
    if !user.providers.is_empty() {
        tables.push(("config.toml".to_owned(), user.providers.clone()));
    }
    let mut problems = Vec::new();
    if let Some((path, table)) = providers_file(env, cwd, &places) {
        let shown = path.display().to_string();
        match table {
            Ok(table) => {
                facts.push(fact("providers file", Health::Ok, shown, None));
                tables.push(("the providers file".to_owned(), table));
            }
            Err(what) => problems.push(format!("the providers file {shown}: {what}")),
        }
    }
    let prices = || Prices::of_user(places.dir.as_deref());
    let own = Setup::configured(env.clone(), &tables).with_prices(prices());
    let found = project::read(workspace);
    let project_dir = found.as_ref().map(|found| PathBuf::from(&found.dir));
    let Project { file, trusted, facts: of_project, notices } = match found {
        None => Project::default(),
        Some(found) => {
            let trust = places.dir.as_deref().map(Trust::of).unwrap_or_default();
            let default = env.get("OWF_PROVIDER").or(user.provider.as_deref());
            project::admit(&found, trust.covers(&found), &own, default)
        }
    };
    facts.extend(of_project);
    let mut setup = if file.providers.is_empty() {
        own
    } else {
        // What the user's own files and the environment say wins over what a project brings.
        tables.insert(0, ("the project's file".to_owned(), file.providers.clone()));
        Setup::configured(env.clone(), &tables).with_prices(prices())
    };
    let refused = problems.first().cloned();
    setup.problems.splice(0..0, problems);
    setup.trusted_project = project_dir.filter(|_| trusted);
    setup.add_aliases(user.aliases.clone());
    setup.add_aliases(file.aliases.clone());
    let wrong = |what: String| Failure::new(Code::InvalidArguments, format!("the configuration is wrong: {what}"));
    let ceilings = user.limits.ceilings().map_err(wrong)?;
    let ceilings = ceilings.lowest(file.limits.ceilings().unwrap_or_default());
    let defaults = defaults(env, &user, &file, &setup, &mut facts);
    setup.most_at_once = ceilings.concurrency;
    facts.extend(ceilings.in_words().map(|text| fact("limits", Health::Ok, text, None)));
    let files = if trusted { rules(user.files, file.files) } else { user.files };
    facts.extend(of_files(&files));
    let commands = user.commands || (trusted && file.commands);
    if commands {
        facts.push(fact("commands", Health::Ok, "workflows may run them".to_owned(), None));
    }
    let (theirs, lent) = if trusted { (file.tools, file.mcp_servers) } else { Default::default() };
    let tools = Tools::new(read(user.tools, theirs), read(user.mcp_servers, lent));
    facts.extend(tools.servers().map(|(name, server)| match server {
        Ok(McpServer { command, .. }) => fact("MCP server", Health::Ok, format!("{name}: {command}"), None),
        Err(what) => fact("MCP server", Health::Warn, format!("{name}: {what}"), None),
    }));
    facts.extend(tools.problems().map(|(name, what)| fact("tool", Health::Warn, format!("{name}: {what}"), None)));
    let person_decides = [user.approvals, file.approvals].iter().any(|a| a.decider == Decider::Person);
    if person_decides {
        facts.push(fact("approvals", Health::Ok, "only a person decides".to_owned(), None));
    }
    let hooks = policies::hooks(user.hooks, file.hooks).map_err(wrong)?;
    facts.extend(hooks.iter().map(|hook| {
        let when = if hook.always { "every run" } else { "documents that name it" };
        fact(
            "hooks",
            Health::Ok,
            format!("{}: {}, for {when}", hook.name, hook.command.first().map_or("", String::as_str)),
            None,
        )
    }));
    let sinks = policies::sinks(user.events, file.events).map_err(wrong)?;
    facts.extend(sinks.iter().map(|sink| {
        let when = if sink.always { "every run" } else { "documents that name it" };
        fact("event sinks", Health::Ok, format!("{}, for {when}", sink.name), None)
    }));
    let config = Configured {
        sinks,
        tools,
        commands,
        hooks,
        person_decides,
        setup,
        ceilings,
        refused,
        notices,
        files: std::sync::Arc::new(files),
        facts,
        dir: places.dir,
    };
    Ok(Configuration { defaults, config })
}

/// The tables of both files as what they are to be; what the user's own says wins. One that is wrong says so when it is used.
fn read<T: serde::de::DeserializeOwned>(
    user: BTreeMap<String, toml::Value>,
    project: BTreeMap<String, toml::Value>,
) -> BTreeMap<String, Result<T, String>> {
    let mut all = project;
    all.extend(user);
    let read = |(name, value): (String, toml::Value)| (name, value.try_into::<T>().map_err(|error| in_words(&error)));
    all.into_iter().map(read).collect()
}

/// The rules of both files: what either refuses is refused; a trusted project may add roots.
fn rules(user: FileRules, project: FileRules) -> FileRules {
    let extensions = match (user.extensions, project.extensions) {
        (Some(mine), Some(theirs)) => Some(mine.into_iter().filter(|ending| theirs.contains(ending)).collect()),
        (mine, theirs) => mine.or(theirs),
    };
    let deny = user.deny.into_iter().chain(project.deny).collect();
    FileRules { extensions, deny, roots: user.roots.into_iter().chain(project.roots).collect() }
}

/// What the rules for files say, when they say anything.
fn of_files(rules: &FileRules) -> Option<DoctorCheck> {
    let endings = rules.extensions.as_ref().map(|list| match list.as_slice() {
        [] => "no file has an ending that is allowed".to_owned(),
        list => format!("only files that end in {}", list.join(", ")),
    });
    let deny = (!rules.deny.is_empty()).then(|| format!("refused: {}", rules.deny.join(", ")));
    let gone = |root: &Path| if root.is_dir() { "" } else { " (no directory is there)" };
    let roots: Vec<String> = rules.roots.iter().map(|root| format!("{}{}", root.display(), gone(root))).collect();
    let roots = (!roots.is_empty()).then(|| format!("also read: {}", roots.join(", ")));
    let said: Vec<String> = [endings, deny, roots].into_iter().flatten().collect();
    let health = if rules.roots.iter().all(|root| root.is_dir()) { Health::Ok } else { Health::Warn };
    (!said.is_empty()).then(|| fact("files", health, said.join("; "), None))
}

/// Provider and model of runs that name none, and where they come from.
fn defaults(env: &Environment, user: &File, project: &File, setup: &Setup, facts: &mut Vec<DoctorCheck>) -> Defaults {
    let from = |variable: &str, theirs: &Option<String>, mine: &Option<String>| {
        let of_env = env.get(variable).map(|value| (value.to_owned(), variable.to_owned()));
        of_env
            .or_else(|| theirs.clone().map(|value| (value, "the project's file".to_owned())))
            .or_else(|| mine.clone().map(|value| (value, "the user's file".to_owned())))
    };
    let provider = from("OWF_PROVIDER", &project.provider, &user.provider);
    let mut model = from("OWF_MODEL", &project.model, &user.model);
    // A model belongs to the provider it was configured with, or below it.
    let rank = |source: &str| ["the user's file", "the project's file"].iter().position(|s| *s == source).unwrap_or(2);
    if let (Some((_, of_provider)), Some((_, of_model))) = (&provider, &model)
        && rank(of_model) < rank(of_provider)
    {
        model = None;
    }
    let text = match &provider {
        None => "fake, which invents answers: nothing is configured".to_owned(),
        Some((name, source)) => match &model {
            None => format!("{name}, from {source}"),
            Some((model, of)) if of == source => format!("{name} with {model}, from {source}"),
            Some((model, of)) => format!("{name}, from {source}; {model}, from {of}"),
        },
    };
    let unknown = provider.as_ref().filter(|(name, _)| !setup.knows(name));
    let empty = model.as_ref().filter(|(model, _)| model.trim().is_empty());
    facts.push(match (unknown, empty) {
        (Some((name, _)), _) => {
            let why = setup.broken.get(name).map_or("there is no such provider".to_owned(), Clone::clone);
            fact("default provider", Health::Warn, format!("{text}: {why}"), Some("owf providers lists what there is"))
        }
        (None, Some((_, source))) => {
            let hint = "leave the model out for the default one of the provider";
            fact("default provider", Health::Warn, format!("{text}: the model from {source} is empty"), Some(hint))
        }
        (None, None) => fact("default provider", Health::Ok, text, None),
    });
    Defaults { provider: provider.map(|(value, _)| value), model: model.map(|(value, _)| value) }
}

fn user_file(places: &Places, facts: &mut Vec<DoctorCheck>) -> Result<File, Failure> {
    let Some(path) = &places.file else {
        let text = "OWF_CONFIG is none: nothing of the user's is read".to_owned();
        facts.push(fact("configuration", Health::Ok, text, None));
        return Ok(File::default());
    };
    if !places.named && !path.exists() {
        facts.push(fact("configuration", Health::Ok, format!("{}: not there", path.display()), None));
        return Ok(File::default());
    }
    let wrong = |what: String| {
        Failure::new(Code::InvalidArguments, format!("the configuration {} is wrong in {what}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Code::InvalidArguments, format!("failed to read the configuration {}: {error}", path.display()))
    })?;
    let file: File = toml::from_str(&text).map_err(|error: toml::de::Error| wrong(at_line(&text, &error)))?;
    file.files.check().map_err(wrong)?;
    facts.push(fact("configuration", Health::Ok, path.display().to_string(), None));
    Ok(file)
}

/// A providers file with its table, or with what is wrong with it.
type ProvidersFile = (PathBuf, Result<toml::Table, String>);

/// `OWF_PROVIDERS_FILE`, else `providers.toml` or `providers.json` beside the configuration.
fn providers_file(env: &Environment, cwd: &Path, places: &Places) -> Option<ProvidersFile> {
    let path = match env.get("OWF_PROVIDERS_FILE") {
        Some("none") => return None,
        Some(path) => cwd.join(path),
        None => {
            let dir = places.dir.as_ref()?;
            ["providers.toml", "providers.json"].iter().map(|name| dir.join(name)).find(|path| path.exists())?
        }
    };
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let table = read_bounded(&path).and_then(|text| providers_table(&text, is_json));
    Some((path, table))
}

/// The text of a plain file of bearable size.
///
/// # Errors
/// One sentence fragment after the file's name.
pub(super) fn read_bounded(path: &Path) -> Result<String, String> {
    let meta = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !meta.is_file() {
        return Err("is no file".to_owned());
    }
    if meta.len() > MOST_BYTES {
        return Err(format!("is larger than {MOST_BYTES} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}
