//! What a tool has at hand while it serves one call: what the server's calls share, the client, cancellation and progress.

use super::engines::Engines;
use super::settings::Settings;
use super::turns::Turns;
use crate::app::AppOptions;

/// Characters of a client's name and version that are kept.
const WHO: usize = 80;

/// The connected client, as it introduced itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// `clientInfo.name`, empty when it gave none.
    pub(crate) name: String,
    /// `clientInfo.version`, empty when it gave none.
    pub(crate) version: String,
}

impl Client {
    /// Who starts runs and decides through this server: `mcp claude-code 2.1.329`.
    pub(crate) fn who(&self) -> String {
        let told = format!("mcp {} {}", self.name, self.version);
        let words: Vec<&str> =
            told.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
        words.join(" ").chars().take(WHO).collect()
    }
}

/// What all calls of a server share. None of it is about a run.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engines: Engines,
    pub(crate) settings: Settings,
    /// Processes that check or rehearse workflows.
    pub(crate) rehearsals: Turns,
}

impl Shared {
    pub(crate) fn new(options: AppOptions, settings: Settings) -> Self {
        let rehearsals = Turns::new(settings.rehearsals());
        Self { engines: Engines::new(options), settings, rehearsals }
    }
}

/// One call of a tool. Nothing here knows the wire.
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Shared,
    /// Who asks.
    pub(crate) client: &'a Client,
    /// Whether the client has cancelled the call or has gone: waiting ends, runs go on.
    pub(crate) cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Tells the client how far a run is: finished calls and one line of text. Does nothing when no token was given.
    pub(crate) progress: &'a (dyn Fn(u64, &str) + Sync),
}
