//! Configuration: files of the user, of a project, of providers, and the environment; what wins, and what a project cannot do.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, printed};

/// Runs a command with the user's configuration directory at `user/.config/owf` and more variables.
fn owf(place: &Place, args: &[&str], vars: &[(&str, &str)]) -> Printed {
    let mut command = place.command(args);
    command.env_remove("OWF_CONFIG").envs(vars.iter().copied());
    printed(&command.output().unwrap())
}

fn json(place: &Place, args: &[&str], vars: &[(&str, &str)]) -> Value {
    let printed = owf(place, args, vars);
    assert_eq!(printed.code, 0, "{args:?}: {printed:?}");
    printed.json()
}

/// The row of a provider in `owf providers`.
fn provider(place: &Place, name: &str, vars: &[(&str, &str)]) -> Value {
    let all = json(place, &["providers", "--json"], vars);
    let row = all["providers"].as_array().unwrap().iter().find(|row| row["name"] == name);
    row.cloned().unwrap_or_else(|| panic!("no {name} in {all:#}"))
}

const FILE: &str = "user/.config/owf/providers.toml";

#[test]
fn accept_046_a_provider_of_the_file_is_listed_with_what_the_environment_changes() {
    let place = Place::new();
    place.file(
        FILE,
        "[providers.Local]\nbase_url = \"http://127.0.0.1:9/v1\"\ndefault_model = \"a\"\nconcurrency = 3\n\
         api_key_env = \"LOCAL_KEY\"\n[providers.odd]\nbase_ulr = \"x\"\n",
    );
    let vars = [("OWF_PROVIDER_LOCAL_MODEL", "b"), ("LOCAL_KEY", "canary-0123456789")];
    let row = provider(&place, "local", &vars);
    assert_eq!(
        (&row["host"], &row["default_model"], &row["concurrency"], &row["keys"]),
        (&json!("127.0.0.1:9"), &json!("b"), &json!(3), &json!([{"variable": "LOCAL_KEY", "present": true}]))
    );
    let odd = provider(&place, "odd", &[]);
    assert_eq!(odd["available"], json!(false));
    let message = odd["message"].as_str().unwrap();
    assert!(message.starts_with("provider \"odd\" is configured wrongly: unknown field `base_ulr`"), "{message}");
    let text = owf(&place, &["providers"], &vars);
    assert!(!text.out.contains("canary") && text.out.contains("LOCAL_KEY is set"), "{text:?}");
}

#[test]
fn nothing_of_the_users_is_read_when_the_configuration_is_none() {
    let place = Place::new();
    place.file(FILE, "[providers.local]\nbase_url = \"http://127.0.0.1:9/v1\"\n");
    let names = |printed: Printed| {
        let rows = printed.json()["providers"].as_array().unwrap().clone();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(names(owf(&place, &["providers", "--json"], &[])).contains(&"local".to_owned()));
    assert!(!names(owf(&place, &["providers", "--json"], &[("OWF_CONFIG", "none")])).contains(&"local".to_owned()));
    let named = place.file("mine.json", r#"{"providers": {"other": {"base_url": "https://other.example/v1"}}}"#);
    let vars = [("OWF_CONFIG", "none"), ("OWF_PROVIDERS_FILE", named.to_str().unwrap())];
    assert!(names(owf(&place, &["providers", "--json"], &vars)).contains(&"other".to_owned()));
}
