//! The words of the engine's messages, which name tools and arguments, as a terminal says them: commands and flags.

/// Tools and the commands that do the same.
const COMMANDS: [(&str, &str); 18] = [
    ("owf_list_workflows", "owf list"),
    ("owf_new_workflow", "owf new"),
    ("owf_validate_workflow", "owf validate"),
    ("owf_dry_run", "owf dry-run"),
    ("owf_run_workflow", "owf run"),
    ("owf_wait", "owf wait"),
    ("owf_status", "owf status"),
    ("owf_calls", "owf calls"),
    ("owf_output", "owf output"),
    ("owf_explain_cache", "owf explain-cache"),
    ("owf_artifacts", "owf artifacts"),
    ("owf_read_artifact", "owf cat"),
    ("owf_list_runs", "owf runs"),
    ("owf_resume", "owf resume"),
    ("owf_cancel", "owf cancel"),
    ("owf_approvals", "owf approvals"),
    ("owf_decide", "owf approve or owf deny"),
    ("owf_doctor", "owf doctor"),
];

/// Arguments that are no ordinary flag here.
const PLACES: [(&str, &str); 6] = [
    ("run_id", "RUN"),
    ("call_id", "CALL"),
    ("output_path", "PATH"),
    ("pointer", "POINTER"),
    ("timeout_seconds", "--timeout"),
    ("template_name", "--template"),
];

/// Arguments whose flag is their name with hyphens. Those of one word are only meant where a slash leads.
const FLAGS: [&str; 25] = [
    "args_json",
    "budget_tokens",
    "budget_cost_usd",
    "max_calls",
    "allow_unpriced",
    "cache_policy",
    "cache_status",
    "content_hash",
    "if_workspace_changed",
    "retry_failed",
    "check_provider",
    "on_provider_down",
    "request_key",
    "max_bytes",
    "allow_absolute",
    "older_than",
    "concurrency",
    "fixtures",
    "source",
    "provider",
    "model",
    "limit",
    "cursor",
    "since",
    "reason",
];

/// Choices that are said as a switch here.
const SWITCHES: [(&str, &str); 4] = [
    ("force: true", "--force"),
    ("allow_absolute: true", "--allow-absolute"),
    ("check_provider: false", "--no-check-provider"),
    (" with run_id ", " "),
];

/// `text` in the words of a terminal. What stands in quotes or backticks is somebody's own and stays as it is.
pub fn terminal(text: &str) -> String {
    let mut text = text.to_owned();
    for (from, to) in SWITCHES {
        text = text.replace(from, to);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(if length == 0 { first.len_utf8() } else { length });
        let core = word.trim_end_matches('.');
        match (!matches!(before, '"' | '`' | '\'')).then(|| said(core)).flatten() {
            Some(flag) => {
                out.push_str(&flag);
                out.push_str(&word[core.len()..]);
            }
            None => out.push_str(word),
        }
        before = word.chars().next_back().unwrap_or(' ');
        rest = after;
    }
    out
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.')
}

/// What a tool or an argument is called here; none for any other word.
fn said(word: &str) -> Option<String> {
    if let Some((_, command)) = COMMANDS.iter().find(|(tool, _)| *tool == word) {
        return Some((*command).to_owned());
    }
    let name = word.strip_prefix('/').unwrap_or(word);
    if let Some((_, place)) = PLACES.iter().find(|(argument, _)| *argument == name) {
        return (word.starts_with('/') || name.contains('_')).then(|| (*place).to_owned());
    }
    let known = FLAGS.contains(&name) && (word.starts_with('/') || name.contains('_'));
    known.then(|| format!("--{}", name.replace('_', "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_and_arguments_become_commands_and_flags() {
        assert_eq!(
            terminal("Set budget_cost_usd or max_calls. Then owf_run_workflow."),
            "Set --budget-cost-usd or --max-calls. Then owf run."
        );
        assert_eq!(
            terminal("1 argument is wrong: /args_json must be JSON"),
            "1 argument is wrong: --args-json must be JSON"
        );
        assert_eq!(
            terminal("choose another path, or force: true to write over it"),
            "choose another path, or --force to write over it"
        );
        assert_eq!(terminal("owf_wait with run_id 2026-k7: it is at work"), "owf wait 2026-k7: it is at work");
        assert_eq!(terminal("/run_id must name a run, not latest"), "RUN must name a run, not latest");
    }

    #[test]
    fn other_words_paths_and_quotes_stay() {
        for text in [
            "the provider and its model",
            "/tmp/args_json/x.js",
            "no run `run_id` here",
            "\"max_calls\" is unknown",
            "ä/ö",
            "",
        ] {
            assert_eq!(terminal(text), text);
        }
    }
}
