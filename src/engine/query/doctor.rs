//! Whether the home, the store, git and the providers are in order.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::core::failure::Failure;
use crate::engine::view::{DoctorCheck, DoctorView, Health, ProviderRow};
use crate::store::RunFilter;

use super::bounds::{Room, finish};
use super::handle::{Query, QueryEnv};

fn check(name: &str, health: Health, message: impl Into<String>) -> DoctorCheck {
    DoctorCheck { name: name.to_owned(), health, message: message.into(), hint: None }
}

fn hinted(mut check: DoctorCheck, hint: &str) -> DoctorCheck {
    check.hint = Some(hint.to_owned());
    check
}

fn git() -> DoctorCheck {
    let output = Command::new("git").arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {
            check("git", Health::Ok, String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => hinted(
            check("git", Health::Warn, "git is not on PATH"),
            "without it agents that read files are not cached, and worktrees cannot be made",
        ),
    }
}

/// `1.4 MB`.
fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} KB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

/// Whether each provider can be used here.
fn providers(rows: &[ProviderRow]) -> impl Iterator<Item = DoctorCheck> {
    rows.iter().map(|provider| {
        let name = format!("provider {}", provider.name);
        let version = provider.version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
        let said = provider.message.clone();
        if provider.available {
            check(&name, Health::Ok, said.unwrap_or_else(|| format!("found{version}")))
        } else {
            check(&name, Health::Warn, said.unwrap_or_else(|| "not ready".to_owned()))
        }
    })
}

/// What can be said where there is no store yet. Looking makes none.
pub(crate) fn doctor_without_store(env: &QueryEnv, home: &Path) -> DoctorView {
    let home = crate::engine::reference::absolute(home);
    let nothing = hinted(
        check("home", Health::Ok, format!("{home}: nothing there yet")),
        "the first owf run makes it, and owf init does",
    );
    beside_the_store(env, home, vec![nothing])
}

/// What can be said where the store cannot be read.
pub(crate) fn doctor_of_damaged_store(env: &QueryEnv, home: &Path, problem: String) -> DoctorView {
    let home = crate::engine::reference::absolute(home);
    let damaged = hinted(
        check("store", Health::Fail, problem),
        "keep a copy of the home; the files of its runs, below runs/, can be read without the store",
    );
    beside_the_store(env, home.clone(), vec![check("home", Health::Ok, home), damaged])
}

fn beside_the_store(env: &QueryEnv, home: String, mut checks: Vec<DoctorCheck>) -> DoctorView {
    checks.push(git());
    checks.extend(env.config.iter().cloned());
    checks.extend(providers(&env.providers));
    let ok = checks.iter().all(|check| check.health != Health::Fail);
    let runtime_version = env!("CARGO_PKG_VERSION").to_owned();
    finish(env.bound, DoctorView { ok, runtime_version, home, size_bytes: 0, checks })
}

impl Query<'_> {
    /// Agent processes of runs whose owners died, when there are any.
    fn process_check(&self) -> Option<DoctorCheck> {
        let left = crate::engine::leftovers::leftovers(self.store, &self.home_dir());
        let (root, pids) = left.iter().next()?;
        let more = if left.len() > 1 { format!("; and of {} more runs", left.len() - 1) } else { String::new() };
        let words = crate::engine::leftovers::in_words(pids);
        let said = format!("agents of run {} outlived its owner: {words}{more}", root.short());
        let hint = "owf doctor --fix ends them; so do owf resume and owf cancel of the run";
        Some(hinted(check("processes", Health::Warn, said), hint))
    }

    /// Worktrees, when there are any.
    fn worktree_check(&self) -> Option<DoctorCheck> {
        let home = self.home_dir();
        let kept = super::worktrees::kept(&home, None).len();
        let orphans = crate::engine::worktrees::orphans(self.store, &home);
        match orphans.as_slice() {
            [] => (kept > 0).then(|| check("worktrees", Health::Ok, format!("{kept} kept for review"))),
            [first, ..] => {
                let said = format!(
                    "{kept} kept for review, {} that nobody works in any more; the first: {}",
                    orphans.len(),
                    first.path()
                );
                Some(hinted(
                    check("worktrees", Health::Warn, said),
                    "owf doctor --fix looks at them: work is kept, the rest goes",
                ))
            }
        }
    }

    /// Looks at everything a run needs.
    ///
    /// # Errors
    /// What keeps the store from being looked at.
    pub(crate) fn doctor(&self) -> Result<DoctorView, Failure> {
        let files: u64 = walkdir::WalkDir::new(self.store.home().join("runs"))
            .follow_links(false)
            .into_iter()
            .filter_map(|entry| entry.ok()?.metadata().ok())
            .filter(std::fs::Metadata::is_file)
            .map(|meta| meta.len())
            .sum();
        let size_bytes = files + self.store.size_bytes();
        let runs = self.store.runs(&RunFilter { limit: 1, now: self.env.now, ..RunFilter::default() })?.total;
        let many = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
        let mut checks = vec![check("home", Health::Ok, format!("{}: {many}, {}", self.home(), bytes(size_bytes)))];
        checks.push(match self.store.newer() {
            None => check("store", Health::Ok, format!("format {}", self.store.format())),
            Some(newer) => hinted(
                check(
                    "store",
                    Health::Warn,
                    format!("written by owf {} (format {}): opened for reading only", newer.written_by, newer.format),
                ),
                "upgrade owf",
            ),
        });
        let problems = self.store.integrity_check()?;
        checks.push(match problems.as_slice() {
            [] => check("integrity", Health::Ok, "the database and every journal are whole"),
            [first, ..] => hinted(
                check("integrity", Health::Fail, format!("{} problems; the first: {first}", problems.len())),
                "keep a copy of the home; owf export writes what is readable",
            ),
        });
        checks.push(git());
        checks.extend(self.env.config.iter().cloned());
        checks.extend(self.process_check());
        checks.extend(self.worktree_check());
        checks.extend(providers(&self.env.providers));
        let mut view = DoctorView {
            ok: checks.iter().all(|check| check.health != Health::Fail),
            runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
            home: self.home(),
            size_bytes,
            checks: Vec::new(),
        };
        Room::beside(self.env.bound, &view).keep(&mut checks);
        view.checks = checks;
        Ok(finish(self.env.bound, view))
    }
}
