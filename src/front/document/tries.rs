//! How often and how long: retries that would have no effect, and spans of time that cannot be.

use super::report::Report;
use super::types::{ApprovalForm, Defaults, LONGEST_DAYS, Retry, Span, Task};
use crate::core::located::{At, Data, Node};

/// What is said of a time limit that nothing could keep.
const NO_TIME: &str = "`timeout` must be more than 0";

/// Reports every span of time that is longer than any may be.
pub(super) fn spans(root: &Node, report: &mut Report<'_>) -> bool {
    let tasks = root.entry("tasks").map(|(_, tasks)| tasks.entries().iter().map(|(_, _, task)| task));
    let steps = root.entry("steps").map(|(_, steps)| steps.items().iter());
    let defaults = root.entry("defaults").map(|(_, defaults)| defaults);
    let mut all_fit = true;
    for part in tasks.into_iter().flatten().chain(steps.into_iter().flatten()).chain(defaults) {
        for path in [&["timeout"][..], &["retry", "delay"], &["retry", "max_delay"], &["approval", "timeout"]] {
            let found = path.iter().try_fold(part, |node, key| node.entry(key).map(|(_, node)| node));
            if let Some(node) = found
                && let Data::Text(text) = &node.data
                && Span::read(text).is_none()
            {
                let name = path[path.len() - 1];
                let message = format!("`{name}` must be at most {LONGEST_DAYS} days, not {text}");
                report.error(node.at, "wrong_value", message);
                all_fit = false;
            }
        }
    }
    all_fit
}

/// Reports a retry that does nothing, and warns of one that says nothing about what is tried again.
pub(super) fn retry(retry: &Retry, at: At, report: &mut Report<'_>) {
    match &retry.on {
        Some(classes) if classes.is_empty() => {
            let message =
                "`on` must not be empty: nothing would be tried again; without it everything that may pass is";
            report.error(at, "wrong_value", message);
        }
        None if retry.max_attempts > 1 => {
            let message = "`retry` without `on` tries again after every error that may pass: rate_limited, overloaded, transport, timeout, schema, no_output, exit";
            report.warning(at, "retry_all", message);
        }
        _ => {}
    }
}

/// Reports what of the times and retries of a task cannot be.
pub(super) fn task(task: &Task, node: &Node, own: At, report: &mut Report<'_>) {
    let at = |key: &str| node.entry(key).map_or(own, |(at, _)| at);
    if let Some(given) = &task.retry {
        retry(given, at("retry"), report);
    }
    if task.timeout.is_some_and(|timeout| timeout.ms == 0) {
        report.error(at("timeout"), "wrong_value", NO_TIME);
    }
    if let Some(ApprovalForm::Full(approval)) = &task.approval
        && approval.timeout.is_some_and(|timeout| timeout.ms == 0)
    {
        report.error(node.follow(["approval", "timeout"]).0, "wrong_value", NO_TIME);
    }
}

/// The same of what holds for every task.
pub(super) fn defaults(defaults: &Defaults, root: &Node, report: &mut Report<'_>) {
    if let Some(given) = &defaults.retry {
        retry(given, root.follow(["defaults", "retry"]).0, report);
    }
    if defaults.timeout.is_some_and(|timeout| timeout.ms == 0) {
        report.error(root.follow(["defaults", "timeout"]).0, "wrong_value", NO_TIME);
    }
}
