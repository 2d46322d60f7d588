//! Configured providers: tables of files and variables of the environment, merged field by field, each checked on its own.

use std::collections::{BTreeMap, BTreeSet};

use super::base_url;
use super::registry::{self, builtin};
use super::setup::Entry;
use crate::core::environment::Environment;
use crate::core::redact::patterns;

/// What the files and the environment say about providers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Configured {
    /// Entries in order, by canonical lower-case name.
    pub(super) entries: BTreeMap<String, Entry>,
    /// Providers that cannot be used as they are configured, with what is wrong.
    pub(super) broken: BTreeMap<String, String>,
    /// What is wrong with whole sources, one sentence each.
    pub(super) problems: Vec<String>,
    /// Variables that entries name as holders of keys, of broken entries too.
    pub(super) keys: BTreeSet<String>,
}

/// The table `providers` of a providers file.
///
/// # Errors
/// One sentence fragment: no TOML (or JSON), no such table, other tables besides.
pub fn providers_table(text: &str, json: bool) -> Result<toml::Table, String> {
    let table: toml::Table = if json {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        toml::from_str(text).map_err(|error: toml::de::Error| at_line(text, &error))?
    };
    let mut rest = table;
    let providers = match rest.remove("providers") {
        None => return Err("has no table `providers`".to_owned()),
        Some(toml::Value::Table(providers)) => providers,
        Some(_) => return Err("`providers` must be a table of providers by name".to_owned()),
    };
    match rest.keys().next() {
        None => Ok(providers),
        Some(other) => Err(format!("has `{other}` besides `providers`")),
    }
}

/// A TOML error with its line.
pub fn at_line(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
    format!("line {line}: {}", in_words(error))
}

/// What is wrong, without the value that is: it may be a key in the wrong place.
pub fn in_words(error: &toml::de::Error) -> String {
    let message = error.message().trim().trim_end_matches('.');
    match message.split_once(", expected ") {
        Some((_, expected)) if message.starts_with("invalid ") => format!("the value must be {}", kind(expected)),
        Some(_) | None => patterns(message).into_owned(),
    }
}

/// What a value must be, for people: the reader has the words of programs.
fn kind(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "i8" | "i16" | "i32" | "i64" => "a whole number, which may be negative",
        "f32" | "f64" => "a number",
        "a sequence" => "a list: [\"one\", \"two\"]",
        "a map" => "a table",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "path string" => "a text in quotes",
        _ if expected.starts_with("struct ") => "a table",
        other => other,
    }
}

/// The fields of a provider that a variable can set: the ending of its name.
const FIELDS: [&str; 5] = ["_BASE_URL", "_API_KEY_ENV", "_MODEL", "_KIND", "_CONCURRENCY"];

/// The variables whose values the table of an entry hands to its program: they may be keys.
fn handed_on(entry: &Entry) -> Vec<String> {
    let Some(table) = entry.cli.as_ref() else { return Vec::new() };
    let listed = table.get("pass_env").and_then(toml::Value::as_array).into_iter().flatten();
    let named = table.get("key_env").into_iter().chain(listed).filter_map(toml::Value::as_str);
    named.filter(|variable| is_variable(variable)).map(str::to_owned).collect()
}

impl Configured {
    /// Merges tables of providers, each with where it comes from; later ones win, the environment wins over all.
    pub(super) fn of(tables: &[(String, toml::Table)], env: &Environment) -> Self {
        let mut all = Self::default();
        for (origin, table) in tables {
            for (name, value) in table {
                all.take(origin, name, value);
            }
        }
        all.environment(env);
        let names: Vec<String> = all.entries.keys().cloned().collect();
        for name in names {
            let Some(entry) = all.entries.get_mut(&name) else { continue };
            all.keys.extend(entry.api_key_env.clone().filter(|variable| is_variable(variable)));
            all.keys.extend(handed_on(entry));
            if let Err(what) = check(&name, entry) {
                all.broken.entry(name.clone()).or_insert(what);
            }
        }
        for name in all.broken.keys() {
            all.entries.remove(name);
        }
        all
    }

    fn take(&mut self, origin: &str, name: &str, value: &toml::Value) {
        let Some(name) = canonical(name) else {
            self.problems.push(format!(
                "{origin}: a provider's name must be of letters, digits, `-` and `_`; one that is not was left out"
            ));
            return;
        };
        match value.clone().try_into::<Entry>() {
            Ok(entry) => merge(self.entries.entry(name).or_default(), entry),
            Err(error) => {
                self.broken.insert(name, format!("{} (in {origin})", in_words(&error)));
            }
        }
    }

    /// Takes `OWF_PROVIDER_<NAME>_<FIELD>`.
    fn environment(&mut self, env: &Environment) {
        let mut vars: Vec<(&str, &str)> = env.iter().filter(|(_, value)| !value.trim().is_empty()).collect();
        vars.sort_unstable();
        for (variable, value) in vars {
            let Some(rest) = variable.strip_prefix("OWF_PROVIDER_") else { continue };
            let Some((name, field)) = FIELDS.iter().find_map(|field| Some((rest.strip_suffix(field)?, *field))) else {
                continue;
            };
            let Some(name) = canonical(name) else { continue };
            let known = |candidate: &String| candidate.replace('-', "_") == name.replace('-', "_");
            let name = self.entries.keys().chain(self.broken.keys()).find(|n| known(n)).cloned().unwrap_or(name);
            let entry = self.entries.entry(name).or_default();
            let value = value.trim();
            match field {
                "_BASE_URL" => entry.base_url = Some(value.to_owned()),
                "_API_KEY_ENV" => entry.api_key_env = Some(value.to_owned()),
                "_MODEL" => entry.default_model = Some(value.to_owned()),
                "_KIND" => entry.kind = Some(value.to_owned()),
                // What is no number is refused where the registry is made.
                _ => entry.concurrency = value.parse().ok().or(entry.concurrency),
            }
        }
    }
}

/// The canonical name that a configured name means; none when it cannot be a name.
fn canonical(name: &str) -> Option<String> {
    let name = name.trim().to_lowercase();
    let good = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    good.then(|| registry::alias(&name).map_or(name, str::to_owned))
}

fn is_variable(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.starts_with(|c: char| !c.is_ascii_digit())
}

fn merge(into: &mut Entry, over: Entry) {
    let Entry { kind, base_url, api_key_env, default_model, concurrency, models, stream, cli } = over;
    into.kind = kind.or(into.kind.take());
    into.base_url = base_url.or(into.base_url.take());
    into.api_key_env = api_key_env.or(into.api_key_env.take());
    into.default_model = default_model.or(into.default_model.take());
    into.concurrency = concurrency.or(into.concurrency);
    into.models.extend(models);
    into.stream = stream.or(into.stream);
    into.cli = cli.or(into.cli.take());
}

/// Brings an entry into its one form, or says what is wrong with it.
fn check(name: &str, entry: &mut Entry) -> Result<(), String> {
    let known = builtin(name);
    if let Some(kind) = &entry.kind {
        entry.kind = Some(dialect(kind)?.to_owned());
    }
    if entry.concurrency == Some(0) {
        return Err("concurrency must be at least 1".to_owned());
    }
    if let Some(url) = &entry.base_url {
        base_url::check(url).map_err(|what| format!("base_url {what}"))?;
    }
    if entry.api_key_env.as_ref().is_some_and(|variable| !is_variable(variable)) {
        return Err("api_key_env must be the name of an environment variable; the key itself belongs there".to_owned());
    }
    let is_cli = entry.kind.as_deref() == Some("cli");
    match known {
        Some(super::ProviderKind::Fake) => {
            let Entry { kind, base_url, api_key_env, default_model, concurrency: _, models, stream, cli } = &*entry;
            let other = kind.is_some() || base_url.is_some() || api_key_env.is_some() || default_model.is_some();
            if other || !models.is_empty() || stream.is_some() || cli.is_some() {
                return Err("fake invents answers: only its concurrency can be set".to_owned());
            }
        }
        Some(super::ProviderKind::Cli) if entry.kind.as_deref().is_some_and(|kind| kind != "cli") => {
            return Err(format!("{name} is a program: its kind cannot be changed"));
        }
        Some(super::ProviderKind::Http) if is_cli || entry.cli.is_some() => {
            return Err(format!("{name} is a service: it cannot become a program"));
        }
        Some(_) => {}
        None if is_cli || entry.cli.is_some() => {
            if entry.kind.as_deref().is_some_and(|kind| kind != "cli") {
                return Err("it has a table `cli`, but its kind is that of a service".to_owned());
            }
            if entry.cli.is_none() {
                return Err("a provider of kind cli needs a table `cli`".to_owned());
            }
            entry.kind = Some("cli".to_owned());
        }
        None if entry.base_url.is_none() => return Err("base_url is missing".to_owned()),
        None => {
            entry.kind.get_or_insert_with(|| "openai".to_owned());
        }
    }
    let of_program = known == Some(super::ProviderKind::Cli) || entry.kind.as_deref() == Some("cli");
    if of_program && entry.stream.is_some() {
        return Err("stream is for services: what a program says comes in pieces as it is".to_owned());
    }
    Ok(())
}

/// The one word for a kind.
fn dialect(kind: &str) -> Result<&'static str, String> {
    match kind.trim().to_lowercase().replace('_', "-").as_str() {
        "openai" | "openai-chat" => Ok("openai"),
        "openai-responses" => Ok("openai-responses"),
        "anthropic" | "anthropic-messages" => Ok("anthropic"),
        "gemini" | "gemini-generate" | "google" => Ok("gemini"),
        "cli" => Ok("cli"),
        _ => Err("kind must be one of openai, openai-responses, anthropic, gemini, cli".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Environment {
        Environment::new(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn of(toml: &str, vars: &[(&str, &str)]) -> Configured {
        Configured::of(&[("providers.toml".to_owned(), providers_table(toml, false).unwrap())], &env(vars))
    }

    #[test]
    fn accept_046_the_environment_wins_over_the_file_field_by_field() {
        let file = "[providers.Local]\nbase_url = \"http://127.0.0.1:1/v1\"\ndefault_model = \"a\"\nconcurrency = 3\n";
        let vars = [("OWF_PROVIDER_LOCAL_MODEL", "b"), ("OWF_PROVIDER_LOCAL_API_KEY_ENV", "LOCAL_KEY")];
        let found = of(file, &vars);
        let entry = Entry {
            kind: Some("openai".to_owned()),
            base_url: Some("http://127.0.0.1:1/v1".to_owned()),
            api_key_env: Some("LOCAL_KEY".to_owned()),
            default_model: Some("b".to_owned()),
            concurrency: Some(3),
            ..Entry::default()
        };
        assert_eq!(found.entries, BTreeMap::from([("local".to_owned(), entry)]));
        assert_eq!(found.broken, BTreeMap::new());
        assert_eq!(found.keys, BTreeSet::from(["LOCAL_KEY".to_owned()]));
    }

    #[test]
    fn accept_046_one_broken_entry_does_not_break_the_others() {
        let file = "[providers.good]\nbase_url = \"https://good.example/v1\"\n[providers.odd]\nbase_ulr = \"x\"\n\
                    [providers.open]\nbase_url = \"http://open.example\"\n[providers.none]\nmodel = \"m\"\n\
                    [providers.leak]\nbase_url = \"https://x.example\"\napi_key_env = \"sk-0123456789\"\n\
                    [providers.paste]\nconcurrency = \"hunter2-hunter2\"\n[providers.fake]\nmodel = \"m\"\n[providers.claude]\nkind = \"openai\"\n[providers.\"a b\"]\n";
        let found = of(file, &[]);
        assert_eq!(found.entries.keys().collect::<Vec<_>>(), ["good"]);
        let words: Vec<String> = found.broken.iter().map(|(name, what)| format!("{name}: {what}")).collect();
        assert_eq!(
            words,
            [
                "claude: claude is a program: its kind cannot be changed",
                "fake: fake invents answers: only its concurrency can be set",
                "leak: api_key_env must be the name of an environment variable; the key itself belongs there",
                "none: base_url is missing",
                "odd: unknown field `base_ulr`, expected one of `kind`, `base_url`, `api_key_env`, `default_model`, \
                 `model`, `concurrency`, `models`, `stream`, `cli` (in providers.toml)",
                "open: base_url must begin with https:// unless its host is this machine",
                "paste: the value must be a whole number (in providers.toml)",
            ]
        );
        assert_eq!(
            found.problems,
            ["providers.toml: a provider's name must be of letters, digits, `-` and `_`; one that is not was left out"]
        );
    }

    #[test]
    fn names_have_no_case_and_aliases_mean_the_built_in_provider() {
        let found = of("[providers.Google]\nmodel = \"g\"\n", &[("OWF_PROVIDER_GEMINI_CONCURRENCY", "2")]);
        let entry = Entry { default_model: Some("g".to_owned()), concurrency: Some(2), ..Entry::default() };
        assert_eq!(found.entries, BTreeMap::from([("gemini".to_owned(), entry)]));
    }

    #[test]
    fn a_variable_finds_the_name_with_a_hyphen_and_makes_new_providers() {
        let file = "[providers.my-llm]\nbase_url = \"https://a.example\"\n";
        let vars = [
            ("OWF_PROVIDER_MY_LLM_KIND", "Anthropic-Messages"),
            ("OWF_PROVIDER_OTHER_BASE_URL", "http://localhost:9/v1"),
            ("OWF_PROVIDER_", "x"),
            ("OWF_PROVIDERS_FILE", "x"),
        ];
        let found = of(file, &vars);
        let kinds: Vec<_> = found.entries.iter().map(|(name, e)| (name.as_str(), e.kind.as_deref())).collect();
        assert_eq!(kinds, [("my-llm", Some("anthropic")), ("other", Some("openai"))]);
    }

    #[test]
    fn json_is_read_like_toml() {
        let json = r#"{"providers": {"x": {"base_url": "https://x.example", "api_key_env": "X_KEY", "default_model": "m",
                       "kind": "openai-responses", "concurrency": 4}, "y": {"kind": "cli", "cli": {"program": "y"}}}}"#;
        let found = Configured::of(&[("providers.json".to_owned(), providers_table(json, true).unwrap())], &env(&[]));
        assert_eq!(found.broken, BTreeMap::new());
        assert_eq!(found.entries["x"].kind.as_deref(), Some("openai-responses"));
        assert_eq!(found.entries["x"].concurrency, Some(4));
        assert_eq!(found.entries["y"].kind.as_deref(), Some("cli"));
    }

    #[test]
    fn a_file_that_is_none_says_where() {
        let wrong = |text: &str, json| providers_table(text, json).unwrap_err();
        assert!(
            wrong("[providers.x]\na = \n", false).starts_with("line 2: "),
            "{}",
            wrong("[providers.x]\na = \n", false)
        );
        assert_eq!(wrong("a = 1", false), "has no table `providers`");
        assert_eq!(wrong("providers = 1", false), "`providers` must be a table of providers by name");
        assert_eq!(wrong("b = 1\n[providers]\n", false), "has `b` besides `providers`");
        assert!(wrong("{", true).contains("EOF"));
    }
}
