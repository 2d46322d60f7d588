//! Keeping the user's MCP servers, owf among them, out of the agents that owf starts.
//!
//! Codex merges `-c mcp_servers={}` with what is configured, so each server has to be switched off by its name.

use std::path::{Path, PathBuf};

use crate::core::environment::Environment;

/// Arguments that switch off every MCP server of the configuration files that Codex reads for this directory.
pub(super) fn keep_out(env: &Environment, cwd: &Path) -> Vec<String> {
    let home = env.get("CODEX_HOME").map(PathBuf::from);
    let home = home.or_else(|| env.get("HOME").map(|home| Path::new(home).join(".codex")));
    let own = home.map(|home| home.join("config.toml"));
    let project = cwd.ancestors().map(|dir| dir.join(".codex/config.toml"));
    let mut names: Vec<String> = Vec::new();
    for file in own.into_iter().chain(project) {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        match servers(&text) {
            Some(more) => names.extend(more),
            // What cannot be read here, or not be named on a command line, is left out as a whole.
            None => return vec!["--ignore-user-config".to_owned()],
        }
    }
    names.sort();
    names.dedup();
    names.iter().flat_map(|name| ["-c".to_owned(), format!("mcp_servers.{name}.enabled=false")]).collect()
}

/// The names of the servers in a configuration; none when it is not TOML or a name is not a plain one.
fn servers(text: &str) -> Option<Vec<String>> {
    let config: toml::Table = text.parse().ok()?;
    let Some(servers) = config.get("mcp_servers") else { return Some(Vec::new()) };
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let names: Vec<String> = servers.as_table()?.keys().cloned().collect();
    names.iter().all(|name| plain(name)).then_some(names)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn codex_row_mcp_servers_of_user_and_project_are_switched_off_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let (home, project) = (dir.path().join("home"), dir.path().join("project"));
        std::fs::create_dir_all(home.join(".codex")).unwrap();
        std::fs::create_dir_all(project.join(".codex")).unwrap();
        std::fs::create_dir_all(project.join("deep")).unwrap();
        let user = home.join(".codex/config.toml");
        std::fs::write(&user, "model = \"m\"\n[mcp_servers.owf]\ncommand = \"owf\"\n[mcp_servers.x-1]\n").unwrap();
        std::fs::write(project.join(".codex/config.toml"), "[mcp_servers.owf]\n[mcp_servers.p]\n").unwrap();
        let env = Environment::new([("HOME".to_owned(), home.to_string_lossy().into_owned())]);
        let off = |names: &[&str]| -> Vec<String> {
            names.iter().flat_map(|n| ["-c".to_owned(), format!("mcp_servers.{n}.enabled=false")]).collect()
        };
        assert_eq!(keep_out(&env, &project.join("deep")), off(&["owf", "p", "x-1"]));
        assert_eq!(keep_out(&env, &home.join("elsewhere")), off(&["owf", "x-1"]));
        std::fs::write(&user, "[mcp_servers.\"a.b\"]\n").unwrap();
        assert_eq!(keep_out(&env, &project), ["--ignore-user-config"]);
        std::fs::write(&user, "not toml at all").unwrap();
        assert_eq!(keep_out(&env, &project), ["--ignore-user-config"]);
        let other =
            Environment::new([("CODEX_HOME".to_owned(), dir.path().join("none").to_string_lossy().into_owned())]);
        assert_eq!(keep_out(&other, dir.path()), Vec::<String>::new());
    }
}
