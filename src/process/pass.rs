//! Which variables a child process is given: a short list of what programs need to work, and what its caller names.

use crate::core::environment::Environment;

/// What any program may need: where programs and its own files are, how to talk, and the way to the network.
const ALWAYS: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TERM",
    "TMPDIR",
    "TZ",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
];

/// Variables of the user's own that git gets beside those that any program may need. `SUDO_UID` tells whose repositories are
/// to be trusted; other variables of git are about one repository and stay behind.
const OF_GIT: [&str; 7] = [
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
    "SUDO_UID",
];

/// Whether git gets the variable of this name.
pub fn is_for_git(name: &str) -> bool {
    OF_GIT.contains(&name) || is_plain(name)
}

/// Whether a variable of this name is one that any program may need.
pub fn is_plain(name: &str) -> bool {
    ALWAYS.contains(&name) || name.starts_with("LC_")
}

/// The variables of `env` that a child gets: the ones above, `LC_*`, and those named in `more`; sorted by name.
pub fn passed<'a>(env: &Environment, more: impl IntoIterator<Item = &'a str>) -> Vec<(String, String)> {
    let more: Vec<&str> = more.into_iter().collect();
    let mut out: Vec<(String, String)> = env
        .iter()
        .filter(|(name, _)| is_plain(name) || more.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    out.sort();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_settings_of_others_stay_behind() {
        let vars = [
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("OPENAI_API_KEY", "k"),
            ("CODEX_HOME", "/c"),
            ("OWF_HOME", "/o"),
            ("CLAUDECODE", "1"),
        ];
        let env = Environment::new(vars.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            passed(&env, ["CODEX_HOME", "ABSENT"]),
            [pair("CODEX_HOME", "/c"), pair("LC_ALL", "C"), pair("PATH", "/bin")]
        );
    }

    #[test]
    fn git_gets_no_key_and_nothing_that_points_it_elsewhere() {
        let names = ["PATH", "HOME", "LC_TIME", "GIT_CONFIG_GLOBAL", "OPENAI_API_KEY", "GIT_DIR", "GIT_SSH_COMMAND"];
        assert_eq!(names.map(is_for_git), [true, true, true, true, false, false, false]);
    }
}
