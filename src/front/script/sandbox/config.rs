//! What a script's realm is made from.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::Value;

use crate::core::ids::Hash;
use crate::core::machine::BudgetView;
use crate::core::run::EngineLimits;

/// What [`super::ScriptDriver`] needs to run one script.
#[derive(Debug, Clone)]
pub struct ScriptConfig {
    /// The body as the parse step prepared it: the `meta` statement and `export` blanked, lines and columns kept.
    pub body: String,
    /// The name shown in stacks: `review.js`.
    pub file_name: String,
    /// The args; none is `undefined`.
    pub args: Option<Value>,
    /// What the script reads as budget before its first delivery. The totals hold for the whole run.
    pub budget: BudgetView,
    /// Limits of the sandbox.
    pub limits: EngineLimits,
    /// The provider of calls that name none, as far as the driver has to know it: unknown agent types are a warning with
    /// `fake` and an error with any other.
    pub default_provider: String,
    /// Known agent types with the hash of their content.
    pub personas: Vec<(String, Hash)>,
    /// In a child workflow the phase of every call, `▸ name`; `phase()` then groups nothing.
    pub group: Option<String>,
    /// In a child workflow what stands before every log line, `[name] `.
    pub log_prefix: Option<String>,
    /// Whether another run started this one.
    pub is_child: bool,
    /// Where the relative paths of worktrees start, as the script is told them: the home, relative to the workspace when it lies
    /// there.
    pub worktrees: String,
    /// Levels below the root.
    pub depth: u32,
    /// Set when the run is cancelled: a running script is interrupted.
    pub abort: Arc<AtomicBool>,
}
