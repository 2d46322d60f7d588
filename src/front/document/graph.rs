//! The edges of a plan: what comes after what, where routes lead, and what is wrong with that.

use std::collections::VecDeque;

use super::plan::{Plan, Target};
use super::report::Report;
use crate::core::located::At;

/// Notes for every task what comes after it.
pub(super) fn reverse(plan: &mut Plan) {
    for index in 0..plan.tasks.len() {
        for before in plan.tasks[index].after.clone() {
            plan.tasks[before].dependents.push(index);
        }
        for gate in plan.tasks[index].gates.clone() {
            plan.tasks[gate].leads_to.push(index);
        }
    }
}

/// Reports every cycle of `after`, once, by the tasks in it.
pub(super) fn cycles(plan: &Plan, report: &mut Report<'_>) -> bool {
    let mut left: Vec<usize> = plan.tasks.iter().map(|t| t.after.len()).collect();
    let mut open: VecDeque<usize> = (0..left.len()).filter(|i| left[*i] == 0).collect();
    let mut done = vec![false; left.len()];
    while let Some(at) = open.pop_front() {
        done[at] = true;
        for next in plan.tasks[at].dependents.iter().copied() {
            left[next] -= 1;
            if left[next] == 0 {
                open.push_back(next);
            }
        }
    }
    let mut reported = vec![false; left.len()];
    let mut any = false;
    for start in 0..left.len() {
        if done[start] || reported[start] {
            continue;
        }
        // Whatever is left lies on a cycle or comes after one: going back along what is left must meet a task twice.
        let mut path = Vec::new();
        let mut place = vec![usize::MAX; left.len()];
        let mut at = start;
        while place[at] == usize::MAX && !reported[at] {
            place[at] = path.len();
            path.push(at);
            let Some(before) = plan.tasks[at].after.iter().find(|b| !done[**b]) else { break };
            at = *before;
        }
        if !reported[at] && place[at] != usize::MAX {
            any = true;
            let mut round: Vec<&str> = path[place[at]..].iter().map(|i| plan.tasks[*i].id.as_str()).collect();
            round.reverse();
            round.push(round[0]);
            let first = path[place[at]..].iter().min().copied().unwrap_or(at);
            report.error(
                plan.tasks[first].at,
                "cycle",
                format!("the tasks wait for each other: {}", round.join(" -> ")),
            );
        }
        for task in path {
            reported[task] = true;
        }
    }
    any
}

/// Adds the gates that routes make. A route that goes back makes none, and is allowed only to a task with `max_visits`.
/// `places` gives where the target of a route stands.
pub(super) fn routes(plan: &mut Plan, places: &[Vec<At>], report: &mut Report<'_>) {
    for (from, places) in places.iter().enumerate() {
        let Some(routes) = plan.tasks[from].routes.clone() else { continue };
        for (number, (key, target)) in routes.targets.iter().enumerate() {
            let Target::Task(to) = *target else { continue };
            if plan.goes_back(from, to) {
                if plan.tasks[to].max_visits < 2 {
                    let id = &plan.tasks[to].id;
                    let at = places.get(number).copied().unwrap_or(plan.tasks[from].at);
                    let message = format!("route `{key}` goes back to `{id}`, which needs `max_visits` of 2 or more");
                    report.error(at, "backward_route", message);
                }
            } else if !plan.tasks[to].gates.contains(&from) {
                plan.tasks[to].gates.push(from);
                plan.tasks[from].leads_to.push(to);
            }
        }
    }
}

/// Reports steps that nothing leads to.
pub(super) fn unreachable(plan: &Plan, report: &mut Report<'_>) {
    if !plan.is_steps || plan.tasks.is_empty() {
        return;
    }
    let mut reached = vec![false; plan.tasks.len()];
    let mut open = vec![0];
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut reached[at], true) {
            open.extend(plan.tasks[at].leads_to.iter().copied());
            let routes = plan.tasks[at].routes.iter().flat_map(|r| &r.targets);
            open.extend(routes.filter_map(|(_, target)| target.task()));
        }
    }
    for (task, _) in plan.tasks.iter().zip(reached).filter(|(_, reached)| !reached) {
        let message = format!("nothing leads to `{}`: the step before it has routes, and none names it", task.id);
        report.error(task.at, "unreachable", message);
    }
}
