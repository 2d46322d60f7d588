//! Codex as a provider: `codex exec --json`.

use std::sync::Arc;

use serde_json::json;

use crate::core::environment::Environment;
use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::prices::Prices;
use crate::providers::schema::project::{Projection, openai_strict};
use crate::providers::{AttemptRequest, Entry, Progress, Setup};

use super::agent::{Agent, Invocation, MOST_ARGUMENT, Reader, prompt, schema_in_prompt};
use super::codex_events::CodexReader;
use super::codex_servers::keep_out;
use super::options::Options;
use super::profile::Profile;

/// The variables that may hold its key, in the order in which one is taken.
const KEYS: &[&str] = &["CODEX_API_KEY", "OPENAI_API_KEY"];

/// Codex.
pub(super) struct Codex {
    entry: Entry,
    options: Options,
    env: Environment,
    prices: Arc<Prices>,
}

impl Codex {
    /// The adapter as configured.
    ///
    /// # Errors
    /// What is wrong with its configuration.
    pub(super) fn new(setup: &Setup) -> Result<Self, String> {
        let entry = setup.entry("codex");
        let options = Options::read("codex", entry.cli.as_ref())?;
        Ok(Self { entry, options, env: setup.env.clone(), prices: Arc::clone(&setup.prices) })
    }

    /// The one key it gets: under its own name where it is told the name, else under the one it looks for.
    fn key(&self) -> Option<(String, String)> {
        let with = |name: &str| Some((name.to_owned(), self.env.get(name)?.to_owned()));
        match &self.entry.api_key_env {
            Some(name) if self.entry.base_url.is_some() => with(name),
            Some(name) => Some((KEYS[0].to_owned(), self.env.get(name)?.to_owned())),
            None => KEYS.iter().find_map(|name| with(name)),
        }
    }

    /// The service it is told to use, as configuration on the command line. Its own retries are off there: the engine's are
    /// journaled.
    fn service(&self) -> Vec<String> {
        let Some(url) = &self.entry.base_url else { return Vec::new() };
        let retries = self.options.max_retries.unwrap_or(0);
        let key = self.entry.api_key_env.as_ref().map_or_else(String::new, |name| format!(",env_key={}", quoted(name)));
        let provider = format!(
            "model_providers.owf={{name=\"owf\",base_url={},wire_api=\"responses\",request_max_retries={retries},\
             stream_max_retries={retries}{key}}}",
            quoted(url)
        );
        ["-c", "model_provider=\"owf\"", "-c", &provider].map(str::to_owned).to_vec()
    }
}

/// A text as TOML takes it: JSON's escapes are TOML's, but for one control character.
fn quoted(text: &str) -> String {
    json!(text.replace('\u{7f}', " ")).to_string()
}

/// The CLI's word for an effort; it takes any word without complaint.
fn effort(word: &str) -> Option<&str> {
    match word {
        "low" | "medium" | "high" | "xhigh" => Some(word),
        "max" => Some("xhigh"),
        _ => None,
    }
}

/// The schema of a request as the CLI is given it, when it can be held to it: it sends every schema as a strict one.
fn strict(request: &AttemptRequest) -> Option<Projection> {
    request.spec.ask.schema.as_ref().map(openai_strict).filter(|projection| projection.strict)
}

impl Agent for Codex {
    fn name(&self) -> &'static str {
        "codex"
    }

    fn program(&self) -> &str {
        self.options.program.as_deref().unwrap_or("codex")
    }

    fn passes(&self) -> Vec<&str> {
        let own = self.options.pass_env.iter().map(String::as_str);
        ["CODEX_HOME"].into_iter().chain(own).collect()
    }

    fn profile(&self, request: &AttemptRequest) -> Profile {
        Profile::of(request, self.options.profile)
    }

    fn configuration(&self) -> Option<String> {
        let Options { args, profile, .. } = &self.options;
        let url = &self.entry.base_url;
        let anything = !args.is_empty() || profile.is_some() || url.is_some();
        anything.then(|| format!("{args:?} {profile:?} {url:?}"))
    }

    fn default_model(&self) -> Option<String> {
        self.entry.default_model.clone()
    }

    fn model(&self, request: &AttemptRequest) -> Option<String> {
        let model = request.model.as_ref()?;
        Some(self.entry.models.get(model).unwrap_or(model).clone())
    }

    fn schema_attempts(&self) -> Option<u32> {
        // It does not look at its answer; the engine does, and asks again.
        None
    }

    fn invoke(&self, request: &AttemptRequest, profile: Profile) -> Result<Invocation, CallError> {
        let ask = &request.spec.ask;
        let mut input = prompt(request);
        let mut warnings = Vec::new();
        let mut args: Vec<String> = Vec::new();
        let mut add = |more: &[&str]| args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let cwd = request.cwd.to_string_lossy();
        let sandbox = if profile == Profile::Write { "workspace-write" } else { "read-only" };
        add(&["exec", "--json", "--ephemeral", "--skip-git-repo-check", "--color", "never"]);
        add(&["-C", &cwd, "-s", sandbox]);
        if let Some(model) = self.model(request) {
            add(&["-m", &model]);
        }
        match ask.effort.as_deref().map(|word| (word, effort(word))) {
            Some((_, Some(word))) => add(&["-c", &format!("model_reasoning_effort={}", quoted(word))]),
            Some((word, None)) => warnings.push(format!("the effort \"{word}\" is unknown to codex and was left out")),
            None => {}
        }
        if profile == Profile::Lean {
            add(&["-c", "features.shell_tool=false"]);
        }
        let key = self.key();
        // What an agent runs must not see the key; other variables, the marker among them, stay.
        // By default codex also hides what has KEY, SECRET or TOKEN in its name: a secret that the task was given is meant to be seen.
        let given = ask.secrets.as_ref().is_some_and(|names| !names.is_empty());
        add(&["-c", &format!("shell_environment_policy.ignore_default_excludes={given}")]);
        let hidden: Vec<&str> = key.iter().map(|(name, _)| name.as_str()).collect();
        add(&["-c", &format!("shell_environment_policy.exclude={}", json!(hidden))]);
        match request.system() {
            Some(long) if long.len() > MOST_ARGUMENT => {
                input = format!("<instructions>\n{long}\n</instructions>\n\n{input}");
            }
            Some(text) => add(&["-c", &format!("developer_instructions={}", quoted(&text))]),
            None => {}
        }
        let mut files = None;
        let mut schema_mode = None;
        if let Some(schema) = &ask.schema {
            if let Some(projection) = strict(request) {
                let failed = |e: std::io::Error| {
                    CallError::new(ErrorClass::Other, format!("the schema could not be written for codex: {e}"))
                };
                let dir = tempfile::Builder::new().prefix("owf-codex").tempdir().map_err(failed)?;
                let path = dir.path().join("schema.json");
                std::fs::write(&path, projection.schema.to_string()).map_err(failed)?;
                add(&["--output-schema", &path.to_string_lossy()]);
                files = Some(dir);
                schema_mode = Some("native_strict");
            } else {
                input.push_str(&schema_in_prompt(schema));
                schema_mode = Some("prompt");
            }
        }
        args.extend(keep_out(&self.env, &request.cwd));
        args.extend(self.service());
        args.extend(self.options.args.iter().cloned());
        args.push("-".to_owned());
        Ok(Invocation { args, env: key.into_iter().collect(), input, schema_mode, warnings, files })
    }

    fn reader(&self, request: &AttemptRequest, progress: Progress) -> Box<dyn Reader> {
        let schema = strict(request);
        let (model, prices) = (self.model(request), Arc::clone(&self.prices));
        Box::new(CodexReader::new(schema, progress, model, prices, request.cwd.clone()))
    }
}
