//! The view of a rehearsal.

use serde_json::{Map, Value};

use crate::core::budget::Limits;
use crate::core::outcome::{CostSource, ErrorClass};
use crate::core::run::{RunError, RunOutcome};
use crate::core::work::CommandAsk;
use crate::engine::answer::clip;
use crate::engine::view::{
    DryOutcome, DryRunView, ErrorView, Estimate, Notice, ProviderRow, Unreached, Usd, WorkflowName, WorstCase,
};
use crate::front::script::{FanOutSize, Script};
use crate::providers::ProviderKind;

use super::against::Against;
use super::entry::DryRunInput;
use super::estimate::{Planned, Sum};
use super::fan_out::{BySite, Growth, grow};
use super::record::Record;
use super::rows;
use super::stage::Stage;

/// Rows of a reply that is not asked for everything.
const ROWS: usize = 20;
/// Characters of args that are echoed.
const ARGS: usize = 500;

/// Builds the view of a rehearsal.
pub(super) fn view(
    input: &DryRunInput,
    script: &Script,
    stage: &Stage,
    outcome: &RunOutcome,
    against: Option<&Against>,
) -> DryRunView {
    let record = &stage.record;
    let provider = input.provider.as_ref().map(|_| stage.settings.provider.as_str());
    let planned = Planned { registry: &stage.registry, provider, model: input.model.as_deref(), setup: &input.setup };
    let calls_total = record.agents().count() as u64;
    let missing = missing(&script.args_read, input.args.as_ref());
    let reached = BySite::of(script, record.agents());
    let unreached: Vec<Unreached> = (0..script.sites.len())
        .filter(|site| !reached.is_reached(*site))
        .map(|site| Unreached { line: script.sites[site].line, label: script.sites[site].label.clone() })
        .collect();
    let growth = grow(input, script, stage, planned);
    let sum = Sum::of(record.agents().filter(|c| c.is_sent()), planned);
    let estimate = estimate(&sum, &growth, script, stage, planned, calls_total);
    let limit = if input.full { usize::MAX } else { ROWS };
    let mut tree = rows::tree(script, record.agents(), input.full);
    let mut truncated = tree.len() > limit;
    tree.truncate(limit);
    let reuse = against.map(|against| {
        let (reuse, cut) = stage.forecast.view(&against.run_id, limit);
        truncated |= cut;
        reuse
    });
    let word = word(outcome, calls_total);
    let error = outcome.error.as_ref().map(|error| shown(error, input, word, &missing));
    DryRunView {
        outcome: word,
        next: next(word, &missing, provider, stage, &estimate),
        error,
        runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
        script_path: input.workflow.script_path(),
        script_hash: input.workflow.checked.hash.short(),
        workflow: WorkflowName {
            name: script.meta.name.clone(),
            description: Some(script.meta.description.clone()).filter(|d| !d.is_empty()),
        },
        provider: provider.map(str::to_owned),
        model: input.model.clone(),
        args: input.args.clone().filter(|args| args.to_string().len() < ARGS),
        budget: budget(stage.settings.limits),
        calls_total,
        sites_total: script.sites.len() as u64,
        sites_reached: (script.sites.len() - unreached.len()) as u64,
        unreached,
        args_read: script.args_read.clone(),
        args_missing: missing,
        phases: rows::phases(script.meta.phases.iter().map(|p| p.title.clone()), record.agents()),
        calls: tree,
        warnings: warnings(input, stage, script, &sum, &estimate, provider, outcome.error.is_some()),
        fan_outs: growth.rows,
        estimate,
        reuse,
        providers: providers(stage, script, provider),
        swallowed: record.swallowed.clone(),
        truncated,
    }
}

fn word(outcome: &RunOutcome, calls_total: u64) -> DryOutcome {
    match (&outcome.error, calls_total) {
        (None, 0) => DryOutcome::NoCalls,
        (None, _) => DryOutcome::Completed,
        (Some(_), 0) => DryOutcome::StoppedBeforeCalls,
        (Some(_), _) => DryOutcome::Threw,
    }
}

fn shown(error: &RunError, input: &DryRunInput, word: DryOutcome, missing: &[String]) -> ErrorView {
    let mut view = ErrorView::from(error);
    let text = String::from_utf8_lossy(&input.workflow.bytes);
    let line = error.line.and_then(|line| text.lines().nth(line.saturating_sub(1) as usize));
    view.excerpt = line.map(|line| clip(line.trim(), 160)).filter(|line| !line.is_empty());
    if word == DryOutcome::StoppedBeforeCalls && !missing.is_empty() {
        view.hint = Some(format!("the script reads args that were not given: {}", missing.join(", ")));
    }
    view
}

/// Properties of args that are read and not given.
fn missing(read: &[String], args: Option<&Value>) -> Vec<String> {
    match args {
        None | Some(Value::Null) => read.to_vec(),
        Some(Value::Object(given)) => read.iter().filter(|name| !given.contains_key(*name)).cloned().collect(),
        // Properties of other values, such as the length of a list, are the value's own.
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => Vec::new(),
    }
}

fn budget(limits: Limits) -> Option<Value> {
    let mut out = Map::new();
    if let Some(tokens) = limits.tokens {
        out.insert("tokens".to_owned(), tokens.into());
    }
    if let Some(nanos) = limits.cost_nanos {
        out.insert("cost_usd".to_owned(), serde_json::to_value(Usd::from_nanos(nanos)).unwrap_or(Value::Null));
    }
    if let Some(calls) = limits.calls {
        out.insert("calls".to_owned(), calls.into());
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

fn estimate(
    sum: &Sum,
    growth: &Growth,
    script: &Script,
    stage: &Stage,
    planned: Planned<'_>,
    calls_total: u64,
) -> Estimate {
    let cost_usd = if planned.provider.is_some() { sum.cost() } else { None };
    let limits = stage.settings.limits;
    let worst_calls = if is_open(script) { stage.settings.max_calls } else { sum.calls };
    let worst_calls = limits.calls.map_or(worst_calls, |most| worst_calls.min(most));
    let worst = sum.high_nanos(worst_calls).filter(|_| sum.calls > 0);
    // A cost budget is a ceiling of its own.
    let worst = worst.map(|nanos| limits.cost_nanos.map_or(nanos, |most| nanos.min(most)));
    let fake = planned.provider == Some("fake");
    let cost_source = match (cost_usd, fake) {
        (_, true) => CostSource::Simulated,
        (Some(_), false) => CostSource::Estimated,
        (None, false) => CostSource::Unknown,
    };
    let estimated = cost_source == CostSource::Estimated && calls_total > 0;
    Estimate {
        calls: sum.calls,
        input_tokens: sum.input(),
        output_tokens: sum.output(),
        per_extra_item_usd: growth.per_item_nanos.filter(|_| estimated).map(Usd::from_nanos),
        worst_case: WorstCase { calls: worst_calls, cost_usd: worst.filter(|_| estimated).map(Usd::from_nanos) },
        cost_usd,
        cost_source,
        prices_as_of: estimated.then(|| planned.setup.prices.as_of().to_owned()),
    }
}

/// Whether the number of calls depends on an answer.
fn is_open(script: &Script) -> bool {
    script.sites.iter().any(|site| {
        let mut around = site.in_fan_out;
        while let Some(fan_out) = around.and_then(|index| script.fan_outs.get(index)) {
            if fan_out.size == FanOutSize::Open {
                return true;
            }
            around = fan_out.parent;
        }
        false
    })
}

/// The providers a run would use: the one planned for, those that calls asked for, those the source names.
fn providers(stage: &Stage, script: &Script, planned: Option<&str>) -> Vec<ProviderRow> {
    let named = script.providers_named.iter().map(String::as_str);
    provider_rows(stage, planned.into_iter().chain(asked(stage)).chain(named))
}

/// What the calls of the rehearsal asked for.
fn asked(stage: &Stage) -> impl Iterator<Item = &str> {
    stage.record.agents().filter_map(|c| c.spec.ask.provider.as_deref())
}

/// Each provider once.
fn provider_rows<'n>(stage: &Stage, names: impl Iterator<Item = &'n str>) -> Vec<ProviderRow> {
    let mut rows: Vec<ProviderRow> = Vec::new();
    for name in names {
        let canonical = stage.registry.canonical(name).unwrap_or_else(|| name.to_owned());
        if rows.iter().any(|row| row.name == canonical) {
            continue;
        }
        rows.push(match stage.registry.get(name) {
            Some(provider) => {
                let found = provider.availability();
                // Whether a program is logged in shows only when it is asked something.
                let login = (found.available && provider.kind() == ProviderKind::Cli).then(|| "unknown".to_owned());
                let (available, version, message) = (found.available, found.version, found.message);
                ProviderRow { name: canonical, available, version, login, message }
            }
            None => {
                let message = Some(stage.registry.unknown(name).message);
                ProviderRow { name: canonical, available: false, version: None, login: None, message }
            }
        });
    }
    rows
}

/// An amount with the digits that count.
fn exact(amount: crate::engine::view::Usd) -> String {
    crate::core::budget::usd((amount.get() * 1e9).round() as u64)
}

/// What a budget that the estimate passes will do.
fn too_small(input: &DryRunInput, estimate: &Estimate) -> Option<String> {
    let limits = input.settings.limits;
    let say = |budget: String, expected: String, high: String, is_expected: bool| {
        let (what, word) = if is_expected { ("expected", "will") } else { ("the high estimate", "may") };
        let amount = if is_expected { expected } else { high };
        format!("The {budget} is less than {what}, {amount}: calls {word} be refused.")
    };
    if let (Some(limit), Some(band)) = (limits.cost_nanos, estimate.cost_usd) {
        let limit_usd = limit as f64 / 1e9;
        if band.high.get() > limit_usd {
            let budget = format!("cost budget of {} USD", crate::core::budget::usd(limit));
            let amounts = [band.expected, band.high].map(|amount| format!("{} USD", exact(amount)));
            let [expected, high] = amounts;
            return Some(say(budget, expected, high, band.expected.get() > limit_usd));
        }
    }
    let (limit, band) = (limits.tokens?, estimate.output_tokens);
    (band.high > limit).then(|| {
        let amounts = [band.expected, band.high].map(|tokens| format!("{tokens} tokens"));
        let [expected, high] = amounts;
        say(format!("token budget of {limit}"), expected, high, band.expected > limit)
    })
}

fn warnings(
    input: &DryRunInput,
    stage: &Stage,
    script: &Script,
    sum: &Sum,
    estimate: &Estimate,
    provider: Option<&str>,
    stopped: bool,
) -> Vec<Notice> {
    let record = &stage.record;
    let mut out = input.workflow.notices.clone();
    if is_open(script) {
        let calls = estimate.worst_case.calls;
        let cost =
            estimate.worst_case.cost_usd.map_or_else(String::new, |amount| format!(", about {} USD", exact(amount)));
        let message = format!(
            "The number of agents depends on an answer: up to {calls} calls{cost}. Set budget_cost_usd or max_calls."
        );
        out.push(Notice::new("open_fan_out", message));
    }
    out.extend(too_small(input, estimate).map(|message| Notice::new("budget_too_small", message)));
    if provider.is_none() && sum.unplanned {
        let message = "No provider is planned, so only tokens of prompts and answers are estimated. Give provider and model for a cost.";
        out.push(Notice::new("no_provider", message));
    }
    if provider.is_some() && !sum.unpriced.is_empty() {
        let names: Vec<&str> = sum.unpriced.iter().map(String::as_str).collect();
        let message = format!(
            "No price is known for {}, so no cost is estimated. Name a model that has a price: owf prices lists them.",
            names.join(", ")
        );
        out.push(Notice::new("unpriced", message));
    }
    if !record.questions.is_empty() {
        let count = record.questions.len();
        let asks = if count == 1 { "1 question".to_owned() } else { format!("{count} questions") };
        let listed: Vec<String> = record.questions.iter().take(3).map(|q| format!("\"{}\"", clip(q, 80))).collect();
        let message = format!("A run would ask a person {asks}, answered here with approve: {}", listed.join(", "));
        out.push(Notice::new("approvals", message));
    }
    out.extend(commands(record));
    out.extend(tools(record));
    out.extend(failures(record));
    out.extend(tasks(record).filter(|_| !stopped));
    out.extend(unused_rules(input, stage));
    out.extend(record.warnings.iter().cloned());
    out
}

/// Commands that a run would execute, and that nothing executed here.
fn commands(record: &Record) -> Option<Notice> {
    let lines: Vec<String> =
        record.calls.iter().filter_map(|c| c.spec.ask.command.as_ref()).map(CommandAsk::line).collect();
    let listed: Vec<String> = lines.iter().take(5).map(|line| clip(line, 120)).collect();
    let what = if lines.len() == 1 { "1 command".to_owned() } else { format!("{} commands", lines.len()) };
    let message = format!("A run would run {what}, none of them run here: {}", listed.join("; "));
    (!lines.is_empty()).then(|| Notice::new("commands", message))
}

/// Tools that a run would use, and that nothing used here.
fn tools(record: &Record) -> Option<Notice> {
    let calls: Vec<&str> = record.calls.iter().filter_map(|c| Some(c.spec.ask.tool.as_ref()?.name.as_str())).collect();
    let mut names = calls.clone();
    names.sort_unstable();
    names.dedup();
    let what = if calls.len() == 1 { "1 call".to_owned() } else { format!("{} calls", calls.len()) };
    let message = format!("A run would make {what} of tools, none of them made here: {}", clip(&names.join(", "), 200));
    (!calls.is_empty()).then(|| Notice::new("tools", message))
}

/// Calls that failed here: by a fixture rule, the budget, a bad schema or an unknown provider.
fn failures(record: &Record) -> Option<Notice> {
    let failed = |c: &&super::record::Rehearsed| c.ended.is_some_and(|(status, _)| status.is_failing());
    let count = record.agents().filter(failed).count();
    let (first, (status, class)) = record.agents().find(failed).and_then(|c| Some((c, c.ended?)))?;
    let class = class.map_or_else(String::new, |c: ErrorClass| format!(" ({})", c.as_str()));
    let calls = if count == 1 { "1 call".to_owned() } else { format!("{count} calls") };
    let message = format!("{calls} failed in the dry run, first \"{}\": {}{class}", first.spec.label, status.as_str());
    Some(Notice::new("failed_calls", message))
}

/// Tasks of a document that failed by themselves and did not end the rehearsal: the run would have them as gaps.
fn tasks(record: &Record) -> Option<Notice> {
    let said: Vec<(&str, &str)> =
        record.calls.iter().filter_map(|c| Some((c.spec.label.as_str(), c.said.as_deref()?))).collect();
    let (label, message) = said.first()?;
    let tasks = if said.len() == 1 { "1 task".to_owned() } else { format!("{} tasks", said.len()) };
    let message = format!("{tasks} failed in the dry run, first \"{label}\": {}", clip(message, 300));
    Some(Notice::new("failed_tasks", message))
}

fn unused_rules(input: &DryRunInput, stage: &Stage) -> Option<Notice> {
    input.fixtures.as_ref()?;
    let used = &stage.record.rules;
    let unused = stage.fake.unused_rules().into_iter().filter(|rule| !used.contains(&(*rule as u32)));
    let unused: Vec<String> = unused.map(|rule| rule.to_string()).collect();
    if unused.is_empty() {
        return None;
    }
    let message = format!("Rules of the fixture file that matched no call: {}", unused.join(", "));
    Some(Notice::new("fixture_rule_unused", message))
}

/// What is missing for a run as planned; none when every provider that it would ask can be used.
fn unusable(stage: &Stage, planned: Option<&str>) -> Option<String> {
    let used = provider_rows(stage, planned.into_iter().chain(asked(stage)));
    let row = used.into_iter().find(|row| !row.available)?;
    let what = if planned == Some(row.name.as_str()) {
        "A run with provider"
    } else {
        "Not yet to be run: what asks provider"
    };
    let why = row.message.map_or_else(|| "it cannot be used here".to_owned(), |text| clip(&text, 300));
    let all = stage.registry.known_names();
    let usable = all.iter().filter(|name| stage.registry.get(name).is_some_and(|p| p.availability().available));
    let usable: Vec<&str> = usable.map(|name| if name == "fake" { "fake (invents answers)" } else { name }).collect();
    let instead = if usable.is_empty() { "nothing".to_owned() } else { usable.join(", ") };
    Some(format!("{what} \"{}\" would fail: {why}. Usable here: {instead}.", row.name))
}

fn next(word: DryOutcome, missing: &[String], provider: Option<&str>, stage: &Stage, estimate: &Estimate) -> String {
    match word {
        DryOutcome::StoppedBeforeCalls if !missing.is_empty() => {
            format!("owf_dry_run again with args {{{}}}", missing.join(", "))
        }
        DryOutcome::StoppedBeforeCalls | DryOutcome::Threw => "Correct the script, then owf_dry_run again".to_owned(),
        DryOutcome::NoCalls | DryOutcome::Completed => {
            if let Some(unusable) = unusable(stage, provider) {
                return unusable;
            }
            let Some(provider) = provider else {
                return "owf_dry_run with provider and model for a cost, then owf_run_workflow".to_owned();
            };
            let limits = stage.settings.limits;
            let ceiling = estimate.cost_usd.is_some() && provider != "fake" && limits.cost_nanos.is_none();
            let budget = if ceiling { " and budget_cost_usd" } else { "" };
            format!("owf_run_workflow with provider \"{provider}\"{budget}")
        }
    }
}
