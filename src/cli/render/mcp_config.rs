//! How a client is told to start `owf mcp`: the command or the piece of configuration that each of them wants.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde_json::json;

/// Whose form it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum McpClient {
    /// The command that registers owf with Claude Code
    Claude,
    /// The table for ~/.codex/config.toml
    Codex,
    /// The JSON object that most other clients read
    Json,
}

/// The text for a client, with the arguments that come after `owf`.
pub fn mcp_config(client: McpClient, args: &[String]) -> String {
    match client {
        McpClient::Claude => {
            let mut command = String::from("claude mcp add owf -- owf");
            for arg in args {
                // Writing to a string does not fail.
                let _ = write!(command, " {}", shell_word(arg));
            }
            command
        }
        // Codex waits 10 seconds for a start and about 2 minutes for a tool unless told otherwise; a wait may be longer.
        McpClient::Codex => {
            let args: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
            format!(
                "[mcp_servers.owf]\ncommand = \"owf\"\nargs = [{}]\nstartup_timeout_sec = 20\ntool_timeout_sec = 600",
                args.join(", ")
            )
        }
        McpClient::Json => {
            let config = json!({ "mcpServers": { "owf": { "command": "owf", "args": args } } });
            format!("{config:#}")
        }
    }
}

/// A string as TOML writes it: its escapes are those of JSON, but it wants one for DEL, too.
fn quoted(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007f")
}

/// An argument as a POSIX shell reads it back.
fn shell_word(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) { arg.to_owned() } else { format!("'{}'", arg.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn every_client_gets_its_own_form() {
        let args = words("mcp");
        assert_eq!(mcp_config(McpClient::Claude, &args), "claude mcp add owf -- owf mcp");
        assert_eq!(
            mcp_config(McpClient::Codex, &args),
            "[mcp_servers.owf]\ncommand = \"owf\"\nargs = [\"mcp\"]\nstartup_timeout_sec = 20\ntool_timeout_sec = 600"
        );
        let config: serde_json::Value = serde_json::from_str(&mcp_config(McpClient::Json, &args)).unwrap();
        assert_eq!(config, json!({ "mcpServers": { "owf": { "command": "owf", "args": ["mcp"] } } }));
    }

    #[test]
    fn arguments_arrive_as_they_were_given() {
        let args = words("--home|/a b/it's|mcp");
        assert_eq!(mcp_config(McpClient::Claude, &args), r"claude mcp add owf -- owf --home '/a b/it'\''s' mcp");
        let codex: toml::Table =
            toml::from_str(&mcp_config(McpClient::Codex, &words("a\"b\\c|tab\there\u{7f}"))).unwrap();
        let read = codex["mcp_servers"]["owf"]["args"].as_array().unwrap();
        assert_eq!(read[0].as_str().unwrap(), "a\"b\\c");
        assert_eq!(read[1].as_str().unwrap(), "tab\there\u{7f}");
    }
}
