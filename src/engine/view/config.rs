//! What is configured: providers and trusted projects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A project whose configuration file the user trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustRow {
    /// The project's directory.
    pub dir: String,
    /// SHA-256 of the file that was looked at.
    pub hash: String,
    /// trusted, changed (the file is another now and no longer counts), gone.
    pub state: String,
}

/// Reply of `owf trust`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustView {
    /// The projects.
    pub trusted: Vec<TrustRow>,
    /// The directory that was added or removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
}

/// A variable that may hold a key. Its value is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRow {
    /// The variable.
    pub variable: String,
    /// Whether it is set.
    pub present: bool,
}

/// A provider as it is configured here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderDetail {
    /// Its name.
    pub name: String,
    /// fake, cli, http.
    pub kind: String,
    /// The wire dialect of a service, where it is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Whether it can be used here.
    pub available: bool,
    /// Version of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Variables, any of which may hold its key.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub keys: Vec<KeyRow>,
    /// Host of its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The model when none is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_model: Option<String>,
    /// Calls at once.
    pub concurrency: u32,
    /// Whether runs that name no provider use it.
    pub default: bool,
    /// Why it cannot be used, or what else there is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Reply of `owf providers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProvidersView {
    /// All that are known, by name.
    pub providers: Vec<ProviderDetail>,
    /// What is wrong with their configuration.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
}
