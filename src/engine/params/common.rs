//! Words that parameters are chosen from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::run::Mood;

/// How much a reply shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// The run without its calls.
    #[default]
    Concise,
    /// With its calls.
    Full,
}

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The run ended, a person is needed, or its first call failed.
    #[default]
    Attention,
    /// The run ended or paused.
    End,
    /// Anything new.
    Change,
}

/// Which text a resume runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceChoice {
    /// The text the run was started with.
    #[default]
    Pinned,
    /// The workflow's file as it is now.
    Current,
}

/// How the fake provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoodArg {
    /// Favourable answers.
    #[default]
    Happy,
    /// Unfavourable answers.
    Unhappy,
    /// The smallest valid answers.
    Empty,
}

impl From<MoodArg> for Mood {
    fn from(mood: MoodArg) -> Self {
        match mood {
            MoodArg::Happy => Self::Happy,
            MoodArg::Unhappy => Self::Unhappy,
            MoodArg::Empty => Self::Empty,
        }
    }
}
