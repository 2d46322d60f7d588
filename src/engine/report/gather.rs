//! From the store to what a report says.

use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::core::event::Event;
use crate::core::failure::Failure;
use crate::core::ids::RunId;
use crate::core::outcome::CostSource;
use crate::core::run::{RunStatus, StatusReason, is_fake};
use crate::core::time::Millis;
use crate::engine::query::{Query, RunScope, grouped};
use crate::engine::view::{BudgetView, Counts, RunView, Usd};
use crate::store::{ApprovalState, RunRow};

use super::calls::{Call, Calls, LABEL, per_text};
use super::facts::{Facts, Gap, Lost, MARK, Node, Pair, Phase, Question, Trouble};
use super::texts::{Text, duration, line, money, plural, when};
use super::timeline::timeline;

/// Room for the result, for the args, for a question and its data, for a cause.
const RESULT: usize = 64 << 10;
const ARGS: usize = 8 << 10;
const QUESTION: usize = 4 << 10;
const CAUSE: usize = 2 << 10;
/// Lines of each list.
const GAPS: usize = 50;
/// Calls that are named of one cause.
const NAMED: usize = 12;
const LOGS: usize = 200;
const WARNINGS: usize = 50;
const QUESTIONS: usize = 50;
/// Nodes of a phase in the graph.
const NODES: usize = 40;

/// Everything a report says of a run as it stands. Nothing depends on when it is asked.
pub(super) fn facts(query: Query<'_>, run: &RunId) -> Result<Facts, Failure> {
    let row = query.row(run)?;
    let view = query.run_view(run, &RunScope::Status { limit: None, cursor: None })?;
    let calls = Calls::of(query, run)?;
    let Calls { list, runs, total, breaks, per_text: room } = calls;
    let phases = phases(&row, &view, &list);
    let begin = row.started_at.unwrap_or(row.created_at);
    let timeline = timeline(&list, &phases, begin, row.last_at.max(begin), &breaks);
    let (questions, questions_more) = questions(query, &runs)?;
    let (logs, logs_more) = logs(query, &row)?;
    let (gaps, gaps_more) = gaps(&list);
    let asking = questions.iter().any(|question| question.state == "pending");
    let failing = || list.iter().filter(|call| call.failing);
    let output = row.outcome.as_ref().and_then(|outcome| outcome.output.as_ref());
    let as_text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    };
    let mut warnings: Vec<String> = view
        .warnings
        .iter()
        // What depends on the machine that reads is no part of the run.
        .filter(|notice| notice.code != "simulated" && notice.code != "store_newer")
        .map(|notice| line(&notice.message, 600))
        .collect();
    warnings.truncate(WARNINGS);
    Ok(Facts {
        mark: MARK,
        title: line(&row.spec.workflow_name, LABEL),
        description: line(&row.spec.description, 600),
        run_id: run.to_string(),
        short: run.short().to_owned(),
        status: view.status,
        state: state(&view),
        tone: tone(&view),
        remark: remark(&view),
        fake: fake(&row, &list),
        about: about(&row, &view),
        totals: totals(&row, &view, total, &list),
        trouble: trouble(&view),
        gaps,
        gaps_total: failing().count() as u64,
        gaps_more,
        swallowed: view
            .swallowed
            .iter()
            .take(GAPS)
            .map(|row| {
                let at = row.line.map_or_else(String::new, |line| format!(" line {line}"));
                line(&format!("{}{at}: {}", row.place, row.message), 400)
            })
            .collect(),
        warnings,
        result: output.map(|value| Text::new(&as_text(value), RESULT, Some("output.json".to_owned()))),
        no_result: no_result(view.status),
        args: row.spec.args.as_ref().map(|args| Text::new(&as_text(args), ARGS, Some("manifest.json".to_owned()))),
        questions,
        questions_more,
        asking,
        phases,
        calls: list,
        calls_total: total,
        timeline,
        logs,
        logs_more,
        run_dir: query.run_dir(run),
        per_text: per_text(room),
    })
}

fn state(view: &RunView) -> String {
    match (view.status, view.gaps_total) {
        (RunStatus::Done, Some(n)) => format!("done with {}", plural(n, "gap")),
        (status, _) => status.as_str().to_owned(),
    }
}

fn tone(view: &RunView) -> &'static str {
    match view.status {
        RunStatus::Done if view.gaps_total.is_none() => "ok",
        RunStatus::Failed => "bad",
        RunStatus::Cancelled => "idle",
        RunStatus::Done | RunStatus::Queued | RunStatus::Running | RunStatus::Paused | RunStatus::Interrupted => "wait",
    }
}

/// What a status that is not the end means for what is read here.
fn remark(view: &RunView) -> Option<String> {
    let so_far = "This report shows what was recorded until then.";
    Some(match (view.status, view.status_reason) {
        (RunStatus::Done | RunStatus::Failed, _) => return None,
        (RunStatus::Queued, _) => "The run has not begun.".to_owned(),
        (RunStatus::Running, _) => format!("The run was still at work when this was written. {so_far}"),
        (RunStatus::Paused, Some(StatusReason::Approval | StatusReason::Repeat)) => {
            format!("The run is paused: it waits for a person's answer. {so_far}")
        }
        (RunStatus::Paused, Some(StatusReason::ProviderAuth)) => {
            format!("The run is paused: its provider is not logged in. {so_far}")
        }
        (RunStatus::Paused, Some(StatusReason::ProviderQuota)) => {
            format!("The run is paused: its provider has no quota left. {so_far}")
        }
        (RunStatus::Paused, _) => format!("The run is paused on request. {so_far}"),
        (RunStatus::Interrupted, Some(StatusReason::NotStarted)) => "No process ever took the run up.".to_owned(),
        (RunStatus::Interrupted, _) => {
            format!("The process that executed the run is gone; `owf resume` goes on with it. {so_far}")
        }
        (RunStatus::Cancelled, Some(StatusReason::Superseded)) => "Another run took the place of this one.".to_owned(),
        (RunStatus::Cancelled, Some(StatusReason::Workflow)) => {
            "The workflow ended itself before its time; its result is what there was.".to_owned()
        }
        (RunStatus::Cancelled, _) => "The run was cancelled before it returned.".to_owned(),
    })
}

fn no_result(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Done => "The script returned nothing.",
        RunStatus::Failed => "None: the run failed.",
        RunStatus::Cancelled => "None: the run was cancelled.",
        RunStatus::Queued | RunStatus::Running | RunStatus::Paused | RunStatus::Interrupted => {
            "None yet: the run has not finished."
        }
    }
}

fn fake(row: &RunRow, calls: &[Call]) -> Option<String> {
    let none_yet = is_fake(&row.settings.provider) && calls.is_empty();
    if !(row.simulated || none_yet) {
        return None;
    }
    Some("Answers in this run were generated by the fake provider: they test the script and say nothing about the subject.".into())
}

fn about(row: &RunRow, view: &RunView) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut add = |name, value: String| pairs.push(Pair { name, value });
    let model = row.settings.model.as_deref().map_or_else(String::new, |model| format!(" {model}"));
    add("Run", row.run_id.to_string());
    add("Provider", line(&format!("{}{model}", row.settings.provider), LABEL));
    add("Created", when(&row.created_at.rfc3339()));
    if let Some(at) = row.completed_at {
        add("Ended", when(&at.rfc3339()));
    } else {
        add("Recorded until", when(&row.last_at.rfc3339()));
    }
    add("Started by", line(&row.spec.started_by, LABEL));
    if let Some(from) = &row.resumed_from {
        add("Resumes", from.to_string());
    }
    if let Some(parent) = &row.parent {
        add("Child of", format!("{} {}", parent.run_id, parent.call_id));
    }
    if let Some(by) = row.outcome.as_ref().and_then(|outcome| outcome.superseded_by.as_ref()) {
        add("Superseded by", by.to_string());
    }
    if view.resumed == Some(crate::engine::view::ResumedHow::InPlace) {
        add("Resumed", "in place".to_owned());
    }
    add("Calls at most", grouped(row.settings.max_calls));
    add("Script", line(row.spec.source_path.as_deref().unwrap_or("inline text"), 300));
    add("Script hash", row.spec.source_hash.short());
    pairs
}

fn totals(row: &RunRow, view: &RunView, total: u64, calls: &[Call]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut add = |name, value: String| pairs.push(Pair { name, value });
    add("Calls", tally(&view.counts));
    if total > view.counts.total {
        add("In child runs", plural(total - view.counts.total, "call"));
    }
    add("Time at work", duration(row.elapsed_ms(false, row.last_at)));
    // Of a run under way, what children have spent meanwhile is part of it.
    let usage = &view.usage;
    let unknown = usage.usage_unknown_calls.map(|n| format!(", those of {} unknown", plural(n, "call")));
    let unknown = unknown.unwrap_or_default();
    add("Tokens in", format!("{}{unknown}", grouped(usage.input_tokens)));
    let reasoning = usage.reasoning_tokens.map(|n| format!(" ({} of them reasoning)", grouped(n)));
    let reasoning = reasoning.unwrap_or_default();
    add("Tokens out", format!("{}{reasoning}{unknown}", grouped(usage.output_tokens)));
    if usage.cache_read_tokens + usage.cache_write_tokens > 0 {
        let (read, written) = (grouped(usage.cache_read_tokens), grouped(usage.cache_write_tokens));
        let hour = usage.cache_write_1h_tokens.map(|n| format!(" ({} of that for an hour)", grouped(n)));
        add("Prompt cache", format!("{read} read, {written} written{}", hour.unwrap_or_default()));
    }
    let from = match usage.cost_source {
        CostSource::Unknown => String::new(),
        other => {
            let days: BTreeSet<&String> = calls.iter().filter_map(|call| call.priced.as_ref()).collect();
            format!(" ({})", other.words(&days.into_iter().cloned().collect::<Vec<_>>()))
        }
    };
    let unpriced = usage.unpriced_calls.map_or_else(String::new, |n| format!(", without {}", plural(n, "call")));
    add("Cost", format!("{}{from}{unpriced}", money(usage.cost_usd)));
    if let Some(reuse) = &view.reuse {
        let reasons: Vec<String> = reuse.rerun_reasons.iter().map(|(word, n)| format!("{word} {n}")).collect();
        let why = if reasons.is_empty() { String::new() } else { format!(" ({})", line(&reasons.join(", "), 300)) };
        let saved = reuse.saved_usd.filter(|usd| *usd > Usd::default());
        let saved = saved.map_or_else(String::new, |usd| format!(", saved {}", money(Some(usd))));
        add("Reuse", format!("{} reused{saved}; {} run again{why}", grouped(reuse.replayed), grouped(reuse.rerun)));
    } else if view.counts.hit > 0 {
        add("Reuse", format!("{} from the cache", grouped(view.counts.hit)));
    }
    if let Some(budget) = &view.budget {
        budget_pairs(budget, &mut add);
    }
    pairs
}

fn budget_pairs(budget: &BudgetView, add: &mut impl FnMut(&'static str, String)) {
    if let Some(tokens) = budget.tokens {
        let fresh = tokens.fresh.map_or_else(String::new, |n| format!(" ({} by this run)", grouped(n)));
        add("Token budget", format!("{} of {} out{fresh}", grouped(tokens.spent), grouped(tokens.limit)));
    }
    if let Some(cost) = budget.cost_usd {
        let fresh = cost.fresh.map_or_else(String::new, |usd| format!(" ({} by this run)", money(Some(usd))));
        add("Cost budget", format!("{} of {}{fresh}", money(Some(cost.spent)), money(Some(cost.limit))));
    }
    if let Some(calls) = budget.calls {
        add("Call budget", format!("{} of {}", grouped(calls.spent), grouped(calls.limit)));
    }
}

/// `12: 11 done (3 reused), 1 failed`.
fn tally(counts: &Counts) -> String {
    let reused = counts.replayed + counts.hit;
    let done = match reused {
        0 => format!("{} done", grouped(counts.done)),
        n => format!("{} done ({} reused)", grouped(counts.done), grouped(n)),
    };
    let mut parts = if counts.done > 0 { vec![done] } else { Vec::new() };
    for (n, word) in [
        (counts.failed, "failed"),
        (counts.running, "running"),
        (counts.queued, "waiting"),
        (counts.denied, "denied"),
        (counts.skipped, "skipped"),
        (counts.cancelled, "cancelled"),
    ] {
        if n > 0 {
            parts.push(format!("{} {word}", grouped(n)));
        }
    }
    match (counts.total, parts.len()) {
        (0, _) => "none".to_owned(),
        (_, 0) => grouped(counts.total),
        (total, _) => format!("{}: {}", grouped(total), parts.join(", ")),
    }
}

fn trouble(view: &RunView) -> Option<Trouble> {
    let error = view.error.as_ref()?;
    let name = match &error.name {
        Some(name) if !error.message.starts_with(name.as_str()) => format!("{name}: "),
        Some(_) | None => String::new(),
    };
    let call = error.call_id.as_ref().map(|id| format!("call {id}"));
    let at = error.line.map(|line| format!("line {line}:{}", error.column.unwrap_or(1)));
    Some(Trouble {
        code: line(&error.code, LABEL),
        message: Text::new(&format!("{name}{}", error.message), CAUSE, None),
        place: at.or(call),
        excerpt: error.excerpt.as_ref().map(|text| line(text, 300)),
        stack: error.stack.iter().take(5).map(|frame| line(frame, 300)).collect(),
        hint: error.hint.as_ref().map(|hint| line(hint, 600)),
    })
}

/// Failed calls by cause, in the order of their first calls, and how many are left out.
fn gaps(calls: &[Call]) -> (Vec<Gap>, u64) {
    let mut gaps: Vec<Gap> = Vec::new();
    let mut more = 0;
    for call in calls.iter().filter(|call| call.failing) {
        let one = gap(call);
        let alike = |known: &&mut Gap| {
            (known.status, known.class, &known.cause, &known.places) == (one.status, one.class, &one.cause, &one.places)
        };
        let room = gaps.len() < GAPS;
        match gaps.iter_mut().find(alike) {
            Some(known) if known.calls.len() < NAMED => known.calls.extend(one.calls),
            Some(known) => known.more += 1,
            None if room => gaps.push(one),
            None => more += 1,
        }
    }
    (gaps, more)
}

fn gap(call: &Call) -> Gap {
    let error = call.error.as_ref();
    let places = error.map(|e| e.schema_errors.as_slice()).unwrap_or_default().iter().take(5).map(|place| {
        let got = place.got.as_ref().map_or_else(String::new, |got| format!(", got {got}"));
        let at = if place.pointer.is_empty() { "the value" } else { &place.pointer };
        line(&format!("{at}: {}{got}", place.message), 300)
    });
    Gap {
        calls: vec![Lost {
            id: call.id.clone(),
            anchor: call.anchor.clone(),
            label: call.label.clone(),
            tries: call.tries.clone(),
        }],
        more: 0,
        status: call.state,
        class: error.map_or("", |error| error.class.as_str()),
        cause: Text::new(error.map_or("no cause was recorded", |error| error.message.as_str()), CAUSE, None),
        hint: error.and_then(|error| error.hint.as_ref()).map(|hint| line(hint, 600)),
        places: places.collect(),
    }
}

fn questions(query: Query<'_>, runs: &[(RunId, String)]) -> Result<(Vec<Question>, usize), Failure> {
    let mut asked = Vec::new();
    for (run, prefix) in runs {
        asked.extend(query.store.approvals(Some(run), None)?.into_iter().map(|row| (prefix, row)));
    }
    asked.sort_by_key(|(_, row)| row.created_at);
    let more = asked.len().saturating_sub(QUESTIONS);
    let rows = asked.iter().take(QUESTIONS).map(|(prefix, row)| {
        let note = &row.note;
        let (state, decided) = match row.state {
            ApprovalState::Pending => {
                let (run, id) = (row.run_id.short(), note.approval_id);
                ("pending", format!("Waits for an answer: owf approve {run} {id}, or owf deny {run} {id}"))
            }
            state => {
                let word = match state {
                    ApprovalState::Approved => "approved",
                    ApprovalState::Denied => "denied",
                    ApprovalState::Expired => "expired",
                    ApprovalState::Cancelled | ApprovalState::Pending => "cancelled",
                };
                let at = row.decided_at.map(|at| when(&at.rfc3339())).unwrap_or_default();
                let by = row.decided_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
                let via = row.decided_via.as_ref().map_or_else(String::new, |via| format!(" via {via}"));
                let counts = match (state, row.decision) {
                    (ApprovalState::Expired, Some(decision)) => format!(", counts as {}", decision.as_str()),
                    _ => String::new(),
                };
                (word, line(format!("{at}{by}{via}{counts}").trim(), 300))
            }
        };
        Question {
            id: note.approval_id.to_string(),
            call: format!("{prefix}{}", note.call_id),
            kind: note.kind.as_str(),
            state,
            message: Text::new(&note.message, QUESTION, None),
            data: note.metadata.as_ref().map(|data| Text::new(&format!("{data:#}"), QUESTION, None)),
            asked: when(&row.created_at.rfc3339()),
            decided,
            reason: row.reason.as_ref().map(|reason| line(reason, 600)),
        }
    });
    Ok((rows.collect(), more))
}

/// The newest lines the script logged, in order, with the time since the beginning.
fn logs(query: Query<'_>, row: &RunRow) -> Result<(Vec<String>, usize), Failure> {
    let begin = row.started_at.unwrap_or(row.created_at);
    let events = query.store.run_events(&row.run_id, 0)?;
    let at = |at: Millis| format!("+{}", duration(at.since(begin)));
    let mut lines: Vec<String> = events
        .iter()
        .filter_map(|record| match &record.event {
            Event::Log { message, .. } => Some(format!("{:>7}  {}", at(record.at), line(message, 400))),
            _ => None,
        })
        .collect();
    let more = lines.len().saturating_sub(LOGS);
    lines.drain(..more);
    Ok((lines, more))
}

/// Phases in the order of the run, calls outside any at the end.
fn phases(row: &RunRow, view: &RunView, calls: &[Call]) -> Vec<Phase> {
    let mut order: Vec<Option<String>> = view.phases.iter().map(|phase| Some(line(&phase.title, LABEL))).collect();
    if row.spec.phases.is_empty() && order.is_empty() {
        order.clear();
    }
    let mut at: HashMap<Option<String>, usize> = HashMap::new();
    let mut found: Vec<Vec<usize>> = Vec::new();
    order.dedup();
    for title in &order {
        at.entry(title.clone()).or_insert_with(|| {
            found.push(Vec::new());
            found.len() - 1
        });
    }
    let mut titles: Vec<Option<String>> = vec![None; found.len()];
    for (title, i) in &at {
        titles[*i].clone_from(title);
    }
    for (index, call) in calls.iter().enumerate() {
        let i = *at.entry(call.phase.clone()).or_insert_with(|| {
            found.push(Vec::new());
            titles.push(call.phase.clone());
            found.len() - 1
        });
        found[i].push(index);
    }
    titles.into_iter().zip(found).map(|(title, members)| phase(title, members, calls)).collect()
}

fn phase(title: Option<String>, members: Vec<usize>, calls: &[Call]) -> Phase {
    let mut states: Vec<(&'static str, u64)> = Vec::new();
    let mut nodes: Vec<Node> = Vec::new();
    let mut more = 0;
    for call in members.iter().filter_map(|i| calls.get(*i)) {
        match states.iter_mut().find(|(state, _)| *state == call.state) {
            Some((_, n)) => *n += 1,
            None => states.push((call.state, 1)),
        }
        let alike = |node: &&mut Node| {
            (&node.label, node.state, node.depth) == (&call.label, call.state, call.depth) && call.child.is_none()
        };
        let room = nodes.len() < NODES;
        match nodes.last_mut().filter(alike) {
            Some(node) => node.count += 1,
            None if room => nodes.push(Node {
                label: call.label.clone(),
                state: call.state,
                tone: call.tone,
                count: 1,
                anchor: call.anchor.clone(),
                depth: call.depth,
            }),
            None => more += 1,
        }
    }
    let failed = members.iter().filter_map(|i| calls.get(*i)).filter(|call| call.failing).count() as u64;
    let parts: Vec<String> = states.iter().map(|(state, n)| format!("{} {state}", grouped(*n))).collect();
    let tally = match members.len() {
        0 => "no calls".to_owned(),
        n => format!("{}: {}", plural(n as u64, "call"), parts.join(", ")),
    };
    Phase { title, tally, failed, calls: members, nodes, more }
}
