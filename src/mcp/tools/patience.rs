//! How long a call may wait: what the connected client tolerates, with news on the way.

use std::time::{Duration, Instant};

use crate::core::ids::RunId;
use crate::engine::Engine;
use crate::engine::params::{Detail, Until, WaitParams};
use crate::engine::view::{Notice, RunView, Usd};
use crate::mcp::Call;

/// How often the client is told how far a run is, at most.
const NEWS: Duration = Duration::from_secs(1);

/// A wait within what the client tolerates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// How long it waits.
    pub(super) most: Duration,
    /// How much more was asked for.
    clamped_from: Option<u32>,
}

impl Patience {
    /// For a wait of `asked` seconds, else of `usual` ones, else of as many as suit the client.
    pub(super) fn of(call: &Call<'_>, asked: Option<u32>, usual: Option<u32>) -> Self {
        let (tolerated, suits) = tolerance(&call.client.name);
        let cap = call.shared.settings.wait_seconds.unwrap_or(tolerated);
        let wanted = asked.unwrap_or_else(|| usual.unwrap_or(suits).min(cap));
        let most = Duration::from_secs(u64::from(wanted.min(cap)));
        Self { most, clamped_from: (wanted > cap).then_some(wanted) }
    }

    /// The view with a warning when less was waited than asked for.
    pub(super) fn tell(self, mut view: RunView) -> RunView {
        if let Some(asked) = self.clamped_from {
            let cap = self.most.as_secs();
            let message = format!(
                "{asked} s were asked for; {cap} s is the most this client is thought to wait for a tool. Call owf_wait again to go on."
            );
            view.warnings.push(Notice::new("wait_clamped", message));
        }
        view
    }
}

/// Seconds a client waits for a tool, and how many suit it when it does not say.
pub(crate) fn tolerance(client: &str) -> (u32, u32) {
    let name = client.to_ascii_lowercase();
    if name.contains("claude-code") || name.contains("claude code") {
        (1_500, 240)
    } else if name.contains("codex") {
        (110, 110)
    } else {
        (50, 50)
    }
}

/// Told at every look at the store: ends the wait when the client is gone, and tells it how far the run is.
pub(super) struct Looker<'a> {
    call: &'a Call<'a>,
    engine: &'a Engine,
    next: Instant,
}

impl<'a> Looker<'a> {
    /// For one wait.
    pub(super) fn new(call: &'a Call<'a>, engine: &'a Engine) -> Self {
        Self { call, engine, next: Instant::now() + NEWS }
    }

    /// Whether the wait goes on.
    pub(super) fn look(&mut self, run: &RunId) -> bool {
        if (self.call.cancelled)() {
            return false;
        }
        if Instant::now() >= self.next {
            self.next = Instant::now() + NEWS;
            self.tell(run);
        }
        true
    }

    fn tell(&mut self, run: &RunId) {
        let params = WaitParams {
            run_id: Some(run.to_string()),
            cursor: None,
            timeout_seconds: Some(0),
            until: Some(Until::Change),
            detail: Some(Detail::Concise),
            home: None,
        };
        // News that cannot be had is no reason to end the wait.
        let Ok(view) = self.engine.wait(&params) else { return };
        // What is not new is left out there, until the silence grows long.
        (self.call.progress)(finished(&view), &progress_line(&view));
    }
}

/// Calls that have ended.
pub(crate) fn finished(view: &RunView) -> u64 {
    let c = &view.counts;
    c.done + c.failed + c.cancelled + c.skipped + c.denied
}

/// How far a run is: `12 done, 8 running, 1 failed · Review · $1.47`.
pub(crate) fn progress_line(view: &RunView) -> String {
    let counts = &view.counts;
    let mut text = format!("{} done, {} running", counts.done, counts.running);
    if counts.failed > 0 {
        text.push_str(&format!(", {} failed", counts.failed));
    }
    let busy = view.phases.iter().rev().find(|p| p.running > 0);
    if let Some(phase) = busy.or_else(|| view.phases.iter().rev().find(|p| p.total > 0)) {
        text.push_str(&format!(" · {}", phase.title));
    }
    if let Some(cost) = view.usage.cost_usd.map(Usd::get).filter(|cost| *cost > 0.0) {
        text.push_str(&format!(" · ${cost:.2}"));
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::app::AppOptions;
    use crate::core::run::RunStatus;
    use crate::engine::view::PhaseRow;
    use crate::mcp::settings::Settings;
    use crate::mcp::{Client, Shared};

    fn patience(name: &str, asked: Option<u32>, cap: Option<u32>) -> (u64, bool) {
        let settings = Settings { wait_seconds: cap, ..Settings::default() };
        let shared = Shared::new(AppOptions::default(), settings);
        let client = Client { name: name.to_owned(), version: String::new() };
        let call = Call { shared: &shared, client: &client, cancelled: &|| false, progress: &|_, _| {} };
        let found = Patience::of(&call, asked, None);
        (found.most.as_secs(), found.clamped_from.is_some())
    }

    #[test]
    fn a_wait_is_as_long_as_the_client_tolerates_and_says_when_more_was_asked() {
        assert_eq!(patience("claude-code", None, None), (240, false));
        assert_eq!(patience("claude-code", Some(3600), None), (1_500, true));
        assert_eq!(patience("codex-mcp-client", None, None), (110, false));
        assert_eq!(patience("codex-mcp-client", Some(111), None), (110, true));
        assert_eq!(patience("inspector", Some(50), None), (50, false));
        assert_eq!(patience("", Some(51), None), (50, true));
        assert_eq!(patience("", Some(51), Some(600)), (51, false));
        assert_eq!(patience("claude-code", None, Some(5)), (5, false));
    }

    #[test]
    fn progress_is_one_line_without_a_total() {
        let run = "20260528-143201-k7q2mvx4".parse().unwrap();
        let mut view = RunView::new(run, RunStatus::Running);
        view.counts.done = 12;
        view.counts.running = 8;
        view.counts.failed = 1;
        view.phases = vec![PhaseRow { title: "Review".into(), total: 20, running: 8, ..PhaseRow::default() }];
        view.usage.cost_usd = serde_json::from_value(serde_json::json!(1.47)).unwrap();
        assert_eq!(
            (finished(&view), progress_line(&view).as_str()),
            (13, "12 done, 8 running, 1 failed · Review · $1.47")
        );
    }
}
