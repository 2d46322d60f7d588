//! Claude Code as a provider: `claude -p` with a stream of JSON events.

use std::sync::Arc;

use crate::core::environment::Environment;
use crate::core::outcome::{CallError, ErrorClass};
use crate::process::find_program;
use crate::providers::prices::Prices;
use crate::providers::{AttemptRequest, Entry, Progress, Setup};

use super::agent::{Agent, Invocation, MOST_ARGUMENT, Reader, prompt};
use super::claude_events::{ClaudeReader, StopAt};
use super::claude_schema::CliSchema;
use super::options::Options;
use super::profile::Profile;

/// The variables that may hold its key, in the order in which one is taken: the adapter passes one, never all.
const KEYS: &[&str] = &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

/// How variables begin that send it to the clouds of others (`CLAUDE_CODE_USE_BEDROCK`), which have prices of their own.
const ELSEWHERE: &str = "CLAUDE_CODE_USE_";

/// Where it looks for the service when nothing is said.
const VENDOR: &str = "https://api.anthropic.com";

/// The system prompt of the lean profile, when the call has none.
const LEAN_SYSTEM: &str = "You carry out one step of a larger workflow. Answer the request completely and directly, without \
                           questions, preamble or closing remarks.";

/// The variable that keeps keys from the programs that an agent starts.
const SCRUB: &str = "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB";

/// Tools that start programs; `default` means all tools.
const SHELLS: &[&str] = &["Bash", "PowerShell", "default"];

/// Tools that change files.
const EDITS: &[&str] = &["Edit", "MultiEdit", "Write", "NotebookEdit"];

/// Claude Code.
pub(super) struct Claude {
    entry: Entry,
    options: Options,
    env: Environment,
    prices: Arc<Prices>,
}

impl Claude {
    /// The adapter as configured.
    ///
    /// # Errors
    /// What is wrong with its configuration.
    pub(super) fn new(setup: &Setup) -> Result<Self, String> {
        let entry = setup.entry("claude");
        let options = Options::read("claude", entry.cli.as_ref())?;
        Ok(Self { entry, options, env: setup.env.clone(), prices: Arc::clone(&setup.prices) })
    }

    /// The service it is told to use, when it is not the vendor's own choice.
    fn base_url(&self) -> Option<String> {
        self.entry.base_url.clone().or_else(|| self.env.get("ANTHROPIC_BASE_URL").map(str::to_owned))
    }

    /// Whether what it says about cost is the vendor's price.
    fn is_vendor(&self) -> bool {
        let elsewhere = |name: &&String| name.starts_with(ELSEWHERE) && self.env.get(name).is_some_and(|on| on != "0");
        self.base_url().is_none_or(|url| url.trim_end_matches('/') == VENDOR)
            && !self.options.pass_env.iter().any(|name| elsewhere(&name))
    }

    /// The one key it gets, under the name the CLI knows it by.
    fn key(&self) -> Option<(String, String)> {
        if let Some(name) = &self.entry.api_key_env {
            let own = KEYS.iter().find(|key| *key == name).copied().unwrap_or(KEYS[0]);
            return self.env.get(name).map(|value| (own.to_owned(), value.to_owned()));
        }
        KEYS.iter().find_map(|name| Some(((*name).to_owned(), self.env.get(name)?.to_owned())))
    }

    /// The tools of an attempt, and what was left out of those asked for.
    fn tools(&self, request: &AttemptRequest, profile: Profile) -> (Vec<String>, Vec<String>) {
        let mut dropped = Vec::new();
        let mut tools: Vec<String> = Vec::new();
        let mut add = |tool: String| {
            if !tools.contains(&tool) {
                tools.push(tool);
            }
        };
        match (profile, request.tools()) {
            (Profile::Lean, _) => {}
            (Profile::Read, Some(named)) => {
                for tool in named.iter().map(|tool| own_name(tool)) {
                    if EDITS.contains(&tool) { dropped.push(tool.to_owned()) } else { add(tool.to_owned()) }
                }
            }
            (Profile::Read, None) => {
                for tool in ["Read", "Grep", "Glob"] {
                    add(tool.to_owned());
                }
            }
            (Profile::Write, Some(named)) => {
                for tool in named {
                    add(own_name(tool).to_owned());
                }
            }
            (Profile::Write, None) => {
                for tool in ["Read", "Grep", "Glob", "Edit", "Write"] {
                    add(tool.to_owned());
                }
                for rule in &self.options.allow {
                    add(rule.split('(').next().unwrap_or(rule).to_owned());
                }
            }
        }
        (tools, dropped)
    }

    /// Where it is to stop: at what is configured, or at what a cost budget of the run leaves it, when the prices it counts by are
    /// those of the budget. A stop, not a cap: it looks after each answer of its model.
    fn stop(&self, request: &AttemptRequest) -> Option<StopAt> {
        let own = self.options.max_budget_usd;
        let left = request.budget.and_then(|budget| budget.left_nanos).filter(|_| self.is_vendor());
        // In millionths, cut off: not more than is left. It takes no nothing, and too little is no leave to spend anything.
        let left = left.map(|nanos| (nanos / 1_000).max(1) as f64 / 1e6);
        match (own, left) {
            (own, Some(usd)) if own.is_none_or(|own| usd < own) => Some(StopAt { usd, is_share: true }),
            (own, _) => own.map(|usd| StopAt { usd, is_share: false }),
        }
    }

    fn environment(&self, request: &AttemptRequest, tools: &[String]) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let retries = self.options.max_retries.unwrap_or(1).to_string();
        let mut env = vec![
            // The engine retries, and each of its attempts is in the journal; by default the CLI tries ten times.
            pair("CLAUDE_CODE_MAX_RETRIES", &retries),
            pair("API_TIMEOUT_MS", &request.timeout_ms.to_string()),
            pair("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            pair("DISABLE_AUTOUPDATER", "1"),
        ];
        if let Some(url) = self.base_url() {
            env.push(pair("ANTHROPIC_BASE_URL", &url));
        }
        let key = self.key();
        // The shell of an agent sees the key otherwise. The CLI refuses to start with this where there is no bubblewrap.
        let bubblewrap = || find_program("bwrap", self.env.get("PATH").unwrap_or_default()).is_some();
        if key.is_some() && has_shell(tools) && bubblewrap() {
            env.push(pair(SCRUB, "1"));
        }
        env.extend(key);
        env
    }
}

/// Whether a shell is among the tools, with a pattern or without.
fn has_shell(tools: &[String]) -> bool {
    tools.iter().any(|tool| SHELLS.iter().any(|shell| tool.split('(').next() == Some(shell)))
}

/// Why an attempt whose shell would see the key is not made.
fn exposed(key: &str) -> CallError {
    let message =
        format!("the shell of this agent would see {key}: bubblewrap (bwrap), which can hide it, is not installed");
    let hint = "install bubblewrap, leave Bash out of the tools, or accept it: shell_sees_key = true in [providers.claude.cli]";
    let mut error = CallError::new(ErrorClass::Policy, message);
    error.hint = Some(hint.to_owned());
    error
}

/// A tool by the CLI's name for it; owf's own names for the same things are known, too.
fn own_name(tool: &str) -> &str {
    match tool {
        "read_file" => "Read",
        "write_file" => "Write",
        "list_files" => "Glob",
        "search_files" => "Grep",
        other => other,
    }
}

impl Agent for Claude {
    fn name(&self) -> &'static str {
        "claude"
    }

    fn program(&self) -> &str {
        self.options.program.as_deref().unwrap_or("claude")
    }

    fn passes(&self) -> Vec<&str> {
        let own = self.options.pass_env.iter().map(String::as_str);
        ["CLAUDE_CONFIG_DIR"].into_iter().chain(own).collect()
    }

    fn profile(&self, request: &AttemptRequest) -> Profile {
        Profile::of(request, self.options.profile)
    }

    fn configuration(&self) -> Option<String> {
        let Options { args, profile, allow, max_turns, mcp_config, .. } = &self.options;
        let anything = !args.is_empty()
            || profile.is_some()
            || !allow.is_empty()
            || max_turns.is_some()
            || mcp_config.is_some()
            || !self.is_vendor();
        let url = if self.is_vendor() { None } else { self.base_url() };
        anything.then(|| format!("{args:?} {profile:?} {allow:?} {max_turns:?} {mcp_config:?} {url:?}"))
    }

    fn default_model(&self) -> Option<String> {
        self.entry.default_model.clone()
    }

    fn model(&self, request: &AttemptRequest) -> Option<String> {
        let model = request.model.as_ref()?;
        Some(self.entry.models.get(model).unwrap_or(model).clone())
    }

    fn schema_attempts(&self) -> Option<u32> {
        // It asks its model again itself, five times.
        Some(1)
    }

    fn invoke(&self, request: &AttemptRequest, profile: Profile) -> Result<Invocation, CallError> {
        let ask = &request.spec.ask;
        let (tools, dropped) = self.tools(request, profile);
        let mut input = prompt(request);
        let mut args: Vec<String> = Vec::new();
        let mut add = |more: &[&str]| args.extend(more.iter().map(|arg| (*arg).to_owned()));
        add(&["-p", "--output-format", "stream-json", "--verbose", "--no-session-persistence"]);
        // Without an explicit list it loads the project's servers: owf itself, maybe.
        let servers = self.options.mcp_config.as_deref().unwrap_or("{\"mcpServers\":{}}");
        add(&["--strict-mcp-config", "--mcp-config", servers]);
        add(&["--setting-sources", "", "--disable-slash-commands"]);
        add(&["--permission-mode", if profile == Profile::Write { "acceptEdits" } else { "dontAsk" }]);
        add(&["--tools", &tools.join(",")]);
        if profile != Profile::Lean && !self.options.allow.is_empty() {
            add(&["--allowedTools", &self.options.allow.join(",")]);
        }
        if let Some(denied) = ask.disallowed_tools.as_deref().filter(|denied| !denied.is_empty()) {
            let denied: Vec<&str> = denied.iter().map(|tool| own_name(tool)).collect();
            add(&["--disallowedTools", &denied.join(",")]);
        }
        if let Some(model) = self.model(request) {
            add(&["--model", &model]);
        }
        let effort = ask.effort.as_deref();
        let known = |word: &str| ["low", "medium", "high", "xhigh", "max"].contains(&word);
        if let Some(word) = effort.filter(|word| known(word)) {
            add(&["--effort", word]);
        }
        if let Some(turns) = self.options.max_turns {
            add(&["--max-turns", &turns.to_string()]);
        }
        if let Some(stop) = self.stop(request) {
            add(&["--max-budget-usd", &stop.usd.to_string()]);
        }
        let system = request.system();
        let flag = if profile == Profile::Lean { "--system-prompt" } else { "--append-system-prompt" };
        match system.as_deref() {
            Some(long) if long.len() > MOST_ARGUMENT => {
                input = format!("<instructions>\n{long}\n</instructions>\n\n{input}");
                if profile == Profile::Lean {
                    add(&[flag, LEAN_SYSTEM]);
                }
            }
            Some(text) => add(&[flag, text]),
            None if profile == Profile::Lean => add(&[flag, LEAN_SYSTEM]),
            None => {}
        }
        if let Some(schema) = &ask.schema {
            let text = CliSchema::of(schema).schema.to_string();
            if text.len() > MOST_ARGUMENT {
                let message = format!("the schema has {} bytes, more than claude can be given", text.len());
                return Err(CallError::new(ErrorClass::BadRequest, message));
            }
            add(&["--json-schema", &text]);
        }
        args.extend(self.options.args.iter().cloned());
        let mut warnings: Vec<String> = dropped
            .iter()
            .map(|tool| format!("the tool {tool} was left out: the call has no write scope and no worktree"))
            .collect();
        if let Some(word) = effort.filter(|word| !known(word)) {
            warnings.push(format!("the effort \"{word}\" is unknown to claude and was left out"));
        }
        let env = self.environment(request, &tools);
        if has_shell(&tools)
            && let Some((key, _)) = self.key()
            && !env.iter().any(|(name, _)| name == SCRUB)
        {
            if !self.options.shell_sees_key {
                return Err(exposed(&key));
            }
            warnings.push(format!("the agent's shell can see {key}: bubblewrap (bwrap) is not installed"));
        }
        let schema_mode = ask.schema.is_some().then_some("native");
        Ok(Invocation { args, env, input, schema_mode, warnings, files: None })
    }

    fn reader(&self, request: &AttemptRequest, progress: Progress) -> Box<dyn Reader> {
        let schema = request.spec.ask.schema.as_ref().map(CliSchema::of);
        let prices = Arc::clone(&self.prices);
        let (vendor, fail_on_denial) = (self.is_vendor(), self.options.fail_on_denial);
        let reader =
            ClaudeReader::new(self.name(), schema, progress, vendor, prices, fail_on_denial, request.cwd.clone());
        Box::new(reader.stopping(self.stop(request)))
    }
}
