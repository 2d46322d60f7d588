//! Where a program is, and which version it says it is.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(15);

/// The most that is read of what it says.
const MOST: u64 = 4_096;

/// The program of this name on `path` (a PATH text), or at this place when the name has a slash. Relative entries of the path
/// are left out: what stands in the working directory is not the user's choice.
pub fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    let usable =
        |path: &Path| path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        let given = PathBuf::from(name);
        return (given.is_absolute() && usable(&given)).then_some(given);
    }
    std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|path| usable(path))
}

/// What a program answers to `args` (`--version`): the first word of it that looks like a version. None when it does not answer
/// in time, or with something else.
pub fn version_of(program: &Path, args: &[String], env: &[(String, String)]) -> Option<String> {
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()?;
    let stdout = child.stdout.take()?;
    let reader = std::thread::Builder::new().name("owf-version".into()).spawn(move || {
        let mut said = String::new();
        // What is no text has no version in it.
        let _ = stdout.take(MOST).read_to_string(&mut said);
        said
    });
    let until = Instant::now() + PATIENCE;
    while !matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
        if Instant::now() >= until {
            super::sweep::kill_group(child.id());
            // Reaped, so that it leaves no zombie.
            let _ = child.wait();
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    super::sweep::kill_group(child.id());
    version_in(&reader.ok()?.join().ok()?)
}

/// The first word with a number, a dot and a number at its beginning.
fn version_in(said: &str) -> Option<String> {
    let word = said.split(|c: char| c.is_whitespace() || c == '(' || c == ',').find(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        let mut parts = word.split('.');
        let number = |part: Option<&str>| part.is_some_and(|p| p.starts_with(|c: char| c.is_ascii_digit()));
        number(parts.next()) && number(parts.next())
    })?;
    Some(word.strip_prefix('v').unwrap_or(word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_among_other_words() {
        for (said, version) in [
            ("2.1.332 (Claude Code)\n", Some("2.1.332")),
            ("codex-cli 0.171.0\n", Some("0.171.0")),
            ("v1.18.33", Some("1.18.33")),
            ("qwen 0.15.0-preview.1, node 20", Some("0.15.0-preview.1")),
            ("no version here", None),
        ] {
            assert_eq!(version_in(said).as_deref(), version, "{said}");
        }
    }

    #[test]
    fn a_program_is_looked_up_on_absolute_directories_only() {
        assert_eq!(find_program("sh", "bin:.:/bin"), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_program("/bin/sh", ""), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_program("./sh", "/bin"), None);
        assert_eq!(find_program("owf-is-not-here", "/bin"), None);
    }
}
