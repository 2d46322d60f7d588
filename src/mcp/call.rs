//! What a tool has at hand while it serves one call: the engine's options, the client, cancellation and progress.

use crate::app::AppOptions;

/// The connected client, as it introduced itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// `clientInfo.name`, empty when it gave none.
    pub(crate) name: String,
    /// `clientInfo.version`, empty when it gave none.
    pub(crate) version: String,
}

/// One call of a tool. Nothing here knows the wire.
pub(crate) struct Call<'a> {
    /// How engines are wired for this server; a call may name another home or workspace.
    pub(crate) options: &'a AppOptions,
    /// Who asks.
    pub(crate) client: &'a Client,
    /// Whether the client has cancelled the call or has gone: waiting ends, runs go on.
    pub(crate) cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Tells the client how far a run is: finished calls and one line of text. Does nothing when no token was given.
    pub(crate) progress: &'a (dyn Fn(u64, &str) + Sync),
}
