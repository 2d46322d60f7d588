//! A drawing of a workflow or of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reply of `owf graph`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GraphView {
    /// The name of the workflow.
    pub workflow: String,
    /// The run that is drawn, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Tasks of a document, calls of a script's run, in order.
    pub nodes: Vec<GraphNode>,
    /// What leads to what.
    pub edges: Vec<GraphEdge>,
    /// The drawing as Mermaid or dot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Set when there were more calls than are drawn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GraphNode {
    /// The id of the task, or of the call.
    pub id: String,
    /// agent, expr, workflow, approval, tool, command, timer, turn, end.
    pub kind: String,
    /// What it is for, or its label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The agent that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Whether a person is asked before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// for_each, until.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<String>,
    /// How it ended, or running; absent for what was not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// One edge.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GraphEdge {
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// after, next, route, guard, led_to.
    pub kind: String,
    /// The key of a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
