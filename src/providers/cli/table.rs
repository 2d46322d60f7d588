//! Any other CLI as a provider: called and read by a table, shipped or the user's own.

use std::path::Path;
use std::sync::Arc;

use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::{AttemptRequest, Entry, Progress, Setup};

use super::agent::{Agent, Invocation, MOST_ARGUMENT, Reader, prompt, schema_in_prompt};
use super::claude_events::ClaudeReader;
use super::claude_schema::CliSchema;
use super::profile::Profile;
use super::table_form::{Extra, Shape, Table, fill};
use super::table_read::TableReader;

/// The tables inside the binary.
pub(super) const SHIPPED: &[(&str, &str)] = &[
    ("opencode", include_str!("tables/opencode.toml")),
    ("gemini-cli", include_str!("tables/gemini-cli.toml")),
    ("qwen-code", include_str!("tables/qwen-code.toml")),
];

/// A CLI by its table.
pub(super) struct TableAgent {
    name: String,
    entry: Entry,
    table: Arc<Table>,
    setup: Setup,
}

impl TableAgent {
    /// The adapter of a name: by the shipped table, with the user's keys over it.
    ///
    /// # Errors
    /// What is wrong with the table.
    pub(super) fn new(name: &str, setup: &Setup) -> Result<Self, String> {
        let shipped = SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        let entry = setup.entry(name);
        let table = Arc::new(Table::read(name, shipped, entry.cli.as_ref())?);
        Ok(Self { name: name.to_owned(), entry, table, setup: setup.clone() })
    }

    /// What is added for a call in this directory: by its profile, and by the trust in the project.
    fn extras(&self, profile: Profile, cwd: &Path) -> [&Extra; 2] {
        let table = &self.table;
        let by_profile = match profile {
            Profile::Lean => &table.lean,
            Profile::Read => &table.read,
            Profile::Write => &table.write,
        };
        [by_profile, if self.setup.trusts(cwd) { &table.trusted } else { &table.untrusted }]
    }

    /// The variable that holds its key, when it has one.
    fn key(&self) -> Option<(String, String)> {
        let holder = self.entry.api_key_env.as_ref().or(self.table.key_env.as_ref())?;
        let value = self.setup.env.get(holder)?;
        Some((self.table.key_env.as_ref().unwrap_or(holder).clone(), value.to_owned()))
    }

    fn environment(&self, extras: [&Extra; 2]) -> Vec<(String, String)> {
        let table = &self.table;
        let added = extras.into_iter().flat_map(|extra| &extra.env);
        let fixed = table.env.iter().chain(added).map(|(name, value)| (name.clone(), value.clone()));
        let mut env: Vec<(String, String)> = fixed.collect();
        env.extend(self.key());
        if let Some(variable) = &table.base_url_env {
            let url = self.entry.base_url.clone().or_else(|| self.setup.env.get(variable).map(str::to_owned));
            env.extend(url.map(|url| (variable.clone(), url)));
        }
        env
    }
}

/// Writes a file for one attempt, in a directory that goes with it; gives its path.
fn file(dir: &mut Option<tempfile::TempDir>, name: &str, text: &str) -> Result<String, CallError> {
    let failed = |e: std::io::Error| CallError::new(ErrorClass::Other, format!("{name} could not be written: {e}"));
    if dir.is_none() {
        *dir = Some(tempfile::Builder::new().prefix("owf-files").tempdir().map_err(failed)?);
    }
    let path = dir.as_ref().map(|dir| dir.path().join(name)).unwrap_or_default();
    std::fs::write(&path, text).map_err(failed)?;
    Ok(path.to_string_lossy().into_owned())
}

impl Agent for TableAgent {
    fn name(&self) -> &str {
        &self.name
    }

    fn program(&self) -> &str {
        &self.table.program
    }

    fn version_args(&self) -> Vec<String> {
        self.table.version_args.clone()
    }

    fn passes(&self) -> Vec<&str> {
        self.table.pass_env.iter().map(String::as_str).collect()
    }

    fn profile(&self, request: &AttemptRequest) -> Profile {
        Profile::of(request, None)
    }

    fn configuration(&self) -> Option<String> {
        let own = self.entry.cli.is_some() || self.entry.base_url.is_some();
        own.then(|| format!("{:?} {:?}", self.table, self.entry.base_url))
    }

    fn default_model(&self) -> Option<String> {
        self.entry.default_model.clone()
    }

    fn model(&self, request: &AttemptRequest) -> Option<String> {
        let model = request.model.as_ref()?;
        Some(self.entry.models.get(model).unwrap_or(model).clone())
    }

    fn schema_attempts(&self) -> Option<u32> {
        None
    }

    fn invoke(&self, request: &AttemptRequest, profile: Profile) -> Result<Invocation, CallError> {
        let (ask, table) = (&request.spec.ask, &self.table);
        let mut input = prompt(request);
        let system = request.system();
        let system_flag = !table.system_args.is_empty() && system.as_ref().is_some_and(|s| s.len() <= MOST_ARGUMENT);
        if let Some(text) = system.as_ref().filter(|_| !system_flag) {
            input = format!("<instructions>\n{text}\n</instructions>\n\n{input}");
        }
        let model = self.model(request);
        let mut files = None;
        let mut schema = None;
        let mut schema_file = None;
        if let Some(asked) = &ask.schema {
            if table.schema_args.is_empty() {
                input.push_str(&schema_in_prompt(asked));
            } else {
                let text = match table.output {
                    Shape::Claude => CliSchema::of(asked).schema.to_string(),
                    Shape::Json | Shape::JsonArray | Shape::Jsonl | Shape::Text => asked.to_string(),
                };
                schema_file = Some(file(&mut files, "schema.json", &text)?);
                schema = Some(text);
            }
        }
        let extras = self.extras(profile, &request.cwd);
        let mut env = self.environment(extras);
        for (variable, text) in extras.into_iter().flat_map(|extra| &extra.files) {
            let path = file(&mut files, &format!("{variable}.json"), text)?;
            env.push((variable.clone(), path));
        }
        let prompted = input.clone();
        let value = |word: &str| match word {
            "model" => model.clone(),
            "system" => system.clone(),
            "effort" => ask.effort.clone(),
            "schema" => schema.clone(),
            "schema_file" => schema_file.clone(),
            "prompt" => Some(prompted.clone()),
            "cwd" => Some(request.cwd.to_string_lossy().into_owned()),
            _ => None,
        };
        let in_args = !table.prompt_args.is_empty();
        let parts = [
            (&table.args, true),
            (&extras[0].args, true),
            (&extras[1].args, true),
            (&table.key_args, self.key().is_some()),
            (&table.model_args, model.is_some()),
            (&table.system_args, system_flag),
            (&table.effort_args, ask.effort.is_some()),
            (&table.schema_args, schema.is_some()),
            (&table.prompt_args, in_args),
        ];
        let wanted = parts.into_iter().filter(|(_, wanted)| *wanted);
        let args: Vec<String> = wanted.flat_map(|(part, _)| part).map(|arg| fill(arg, &value)).collect();
        if let Some(long) = args.iter().find(|arg| arg.len() > MOST_ARGUMENT) {
            let message = format!("an argument of {} would have {} bytes", self.name, long.len());
            return Err(CallError::new(ErrorClass::BadRequest, message));
        }
        let mut warnings = Vec::new();
        if let Some(effort) = ask.effort.as_ref().filter(|_| table.effort_args.is_empty()) {
            warnings.push(format!("{} has no setting for the effort \"{effort}\"", self.name));
        }
        let schema_mode = ask.schema.as_ref().map(|_| if schema.is_some() { "native" } else { "prompt" });
        let input = if in_args { String::new() } else { input };
        Ok(Invocation { args, env, input, schema_mode, warnings, files })
    }

    fn reader(&self, request: &AttemptRequest, progress: Progress) -> Box<dyn Reader> {
        let prices = Arc::clone(&self.setup.prices);
        let structured = request.spec.ask.schema.as_ref().filter(|_| !self.table.schema_args.is_empty());
        if self.table.output == Shape::Claude {
            let schema = structured.map(CliSchema::of);
            return Box::new(ClaudeReader::new(
                &self.name,
                schema,
                progress,
                false,
                prices,
                false,
                request.cwd.clone(),
            ));
        }
        let model = self.model(request);
        Box::new(TableReader::new(&self.name, Arc::clone(&self.table), structured.is_some(), model, prices, progress))
    }
}
