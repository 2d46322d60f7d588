//! The report as Markdown. Text of others stands in code, fenced or in line, where nothing of it is markup.

use std::fmt::Write as _;

use crate::engine::query::grouped;

use super::calls::Call;
use super::facts::{Facts, Phase};
use super::texts::{Text, plural};
use super::timeline::{Bar, Timeline};

/// Columns of the drawn waterfall, and of the labels beside it.
const DRAWN: usize = 48;
const NAMES: usize = 28;
/// Lines of the drawn waterfall, and calls whose texts are embedded in a phase.
const LINES: usize = 100;

/// The whole document.
pub(super) fn render(facts: &Facts) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "<!-- {} -->\n\n# {}: {}\n", facts.mark, code(&facts.title), facts.state);
    if let Some(fake) = &facts.fake {
        let _ = writeln!(out, "> **FAKE** {fake}\n");
    }
    if let Some(remark) = &facts.remark {
        let _ = writeln!(out, "> {remark}\n");
    }
    if !facts.description.is_empty() {
        let _ = writeln!(out, "{}\n", code(&facts.description));
    }
    troubles(&mut out, facts);
    if facts.asking {
        approvals(&mut out, facts);
    }
    out.push_str("## Result\n\n");
    match &facts.result {
        Some(text) => fenced(&mut out, text),
        None => {
            let _ = writeln!(out, "{}\n", facts.no_result);
        }
    }
    out.push_str("## What ran\n\n| | |\n|---|---|\n");
    for pair in facts.about.iter().chain(&facts.totals) {
        let _ = writeln!(out, "| {} | {} |", pair.name, cell(&pair.value));
    }
    out.push('\n');
    if let Some(args) = &facts.args {
        out.push_str("Args:\n\n");
        fenced(&mut out, args);
    }
    if !facts.asking {
        approvals(&mut out, facts);
    }
    if !facts.calls.is_empty() {
        timeline(&mut out, facts);
        graph(&mut out, facts);
        calls(&mut out, facts);
        texts(&mut out, facts);
    }
    notes(&mut out, facts);
    let _ = writeln!(out, "---\n\nFiles of the run are below {}.", code(&facts.run_dir));
    out
}

/// Failures and gaps with their causes.
fn troubles(out: &mut String, facts: &Facts) {
    if let Some(trouble) = &facts.trouble {
        let head = if facts.tone == "bad" { "Why it failed" } else { "What it waits for" };
        let place = trouble.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
        let _ = writeln!(out, "## {head}\n\n{}{place}\n", code(&trouble.code));
        let mut text = trouble.message.clone();
        for line in trouble.excerpt.iter().map(|e| format!("    {e}")).chain(trouble.stack.iter().cloned()) {
            text.shown.push('\n');
            text.shown.push_str(&line);
        }
        fenced(out, &text);
        if let Some(hint) = &trouble.hint {
            let _ = writeln!(out, "Hint: {}\n", code(hint));
        }
    }
    if facts.gaps_total > 0 {
        let _ = writeln!(out, "## Missing from the result: {}\n", plural(facts.gaps_total, "failed call"));
        for gap in &facts.gaps {
            let class = if gap.class.is_empty() { String::new() } else { format!(" ({})", gap.class) };
            let _ = writeln!(out, "- {}{class}: {}", gap.status, code(&one_line(&gap.cause)));
            for place in &gap.places {
                let _ = writeln!(out, "  - {}", code(place));
            }
            if let Some(hint) = &gap.hint {
                let _ = writeln!(out, "  - hint: {}", code(hint));
            }
            for call in &gap.calls {
                let tries = if call.tries == "1" { String::new() } else { format!(", {} tries", call.tries) };
                let _ = writeln!(out, "  - **{}** {}{tries}", call.id, code(&call.label));
            }
            if gap.more > 0 {
                let _ = writeln!(out, "  - and {} more", grouped(gap.more));
            }
        }
        if facts.gaps_more > 0 {
            let _ = writeln!(out, "- and {} more: `owf calls {} --failed`", grouped(facts.gaps_more), facts.short);
        }
        out.push('\n');
    }
    list(out, "Exceptions turned into null", &facts.swallowed);
    list(out, "Warnings", &facts.warnings);
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(out, "## {title}\n");
        for line in lines {
            let _ = writeln!(out, "- {}", code(line));
        }
        out.push('\n');
    }
}

fn approvals(out: &mut String, facts: &Facts) {
    if facts.questions.is_empty() {
        return;
    }
    out.push_str("## Questions to a person\n\n");
    for question in &facts.questions {
        let _ = writeln!(
            out,
            "**{}** ({}, call {}), asked {}: **{}** {}\n",
            question.id,
            question.kind,
            question.call,
            question.asked,
            question.state,
            code(&question.decided)
        );
        fenced(out, &question.message);
        if let Some(data) = &question.data {
            fenced(out, data);
        }
        if let Some(reason) = &question.reason {
            let _ = writeln!(out, "Reason: {}\n", code(reason));
        }
    }
    if facts.questions_more > 0 {
        let _ = writeln!(out, "And {} more.\n", facts.questions_more);
    }
}

fn timeline(out: &mut String, facts: &Facts) {
    let Timeline { groups, total, breaks, .. } = &facts.timeline;
    let _ = writeln!(out, "## Timeline\n");
    let mut text = String::new();
    let mut lines = 0;
    for group in groups {
        let title = group.title.as_deref().unwrap_or("outside any phase");
        let _ = writeln!(text, "{title} ({})", group.tally);
        for lane in &group.lanes {
            lines += 1;
            if lines > LINES {
                break;
            }
            let name = lane.bars.first().filter(|_| group.labelled).and_then(|bar| facts.calls.get(bar.call));
            let time = name.map_or("", |call| call.time.as_str());
            let _ = writeln!(text, "  {} |{}| {time}", padded(name), drawn(&lane.bars, &facts.calls));
        }
    }
    if lines > LINES {
        let _ = writeln!(text, "and {} more lines", lines - LINES);
    }
    let _ = writeln!(text, "\n0 to {total}: # ran, ! failed, > still at work, = reused");
    for gap in breaks {
        let _ = writeln!(text, "{}, left out of the drawing", gap.text);
    }
    fenced(out, &Text { shown: text, ..Text::default() });
}

/// The id and label of a line, or nothing.
fn padded(call: Option<&Call>) -> String {
    let text = call.map_or_else(String::new, |call| format!("{} {}", call.id, call.label));
    let cut: String =
        if text.chars().count() > NAMES { text.chars().take(NAMES - 1).chain(['…']).collect() } else { text };
    let fill = NAMES.saturating_sub(cut.chars().count());
    format!("{cut}{}", " ".repeat(fill))
}

/// Bars as characters.
fn drawn(bars: &[Bar], calls: &[Call]) -> String {
    let mut row = vec![' '; DRAWN];
    for bar in bars {
        let Some(call) = calls.get(bar.call) else { continue };
        if bar.left.is_empty() {
            continue;
        }
        let column = |part: f64| ((part / 1000.0 * DRAWN as f64) as usize).min(DRAWN - 1);
        let sign = match call.tone {
            "bad" => '!',
            "wait" => '>',
            "kept" => '=',
            _ => '#',
        };
        for place in &mut row[column(bar.from)..=column(bar.to)] {
            *place = sign;
        }
    }
    row.into_iter().collect()
}

fn graph(out: &mut String, facts: &Facts) {
    let mut text = format!("{}\n", facts.title);
    for phase in &facts.phases {
        let _ = writeln!(text, "- {} ({})", phase_title(phase), phase.tally);
        for node in &phase.nodes {
            let many = if node.count > 1 { format!(" ×{}", node.count) } else { String::new() };
            let indent = "  ".repeat(node.depth as usize + 1);
            let _ = writeln!(text, "{indent}- {}{many}: {}", node.label, node.state);
        }
        if phase.more > 0 {
            let _ = writeln!(text, "  - and {} more", grouped(phase.more as u64));
        }
    }
    out.push_str("## Graph\n\n");
    fenced(out, &Text { shown: text, ..Text::default() });
}

fn phase_title(phase: &Phase) -> &str {
    phase.title.as_deref().unwrap_or("outside any phase")
}

fn calls(out: &mut String, facts: &Facts) {
    let _ = writeln!(out, "## Calls\n");
    out.push_str("| Call | Phase | Label | Status | Cache | Tries | In | Out | Cost | Time |\n|---|---|---|---|---|--:|--:|--:|--:|--:|\n");
    for call in &facts.calls {
        let cache = match (call.cache, call.reason.as_str()) {
            ("", _) => String::new(),
            (cache, "") => cache.to_owned(),
            (cache, reason) => format!("{cache}: {}", cell(reason)),
        };
        let cost = match call.cost_source.as_str() {
            "" => String::new(),
            _ if call.cost == "unknown" => call.cost.clone(),
            source => format!("{} {}", call.cost, cell(source)),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {cache} | {} | {} | {} | {cost} | {} |",
            call.id,
            call.phase.as_deref().map(cell).unwrap_or_default(),
            cell(&call.label),
            call.state,
            call.tries,
            call.input,
            call.output,
            call.time,
        );
    }
    out.push('\n');
    let left = facts.calls_total.saturating_sub(facts.calls.len() as u64);
    if left > 0 {
        let _ = writeln!(out, "And {} more: `owf calls {}`.\n", grouped(left), facts.short);
    }
}

/// Prompts and answers, folded.
fn texts(out: &mut String, facts: &Facts) {
    let _ = writeln!(out, "## Prompts and answers\n\nEach is shown up to {}.\n", facts.per_text);
    for call in &facts.calls {
        if call.prompt.is_none() && call.answer.is_none() && call.attempts.is_empty() {
            continue;
        }
        let label = html(&call.label);
        let _ = writeln!(out, "<details><summary>{} {label}: {}</summary>\n", call.id, call.state);
        if let Some(cause) = &call.cause {
            let _ = writeln!(out, "Failed: {}\n", code(cause));
        }
        for attempt in &call.attempts {
            let _ = writeln!(out, "- {}", code(attempt));
        }
        if !call.attempts.is_empty() {
            out.push('\n');
        }
        for (name, text) in [("Prompt", &call.prompt), ("Answer", &call.answer)] {
            if let Some(text) = text {
                let _ = writeln!(out, "{name} ({}):\n", text.size);
                fenced(out, text);
            }
        }
        if !call.files.is_empty() {
            let files: Vec<String> = call.files.iter().map(|file| code(file)).collect();
            let _ = writeln!(out, "Changed files: {}\n", files.join(", "));
        }
        if let Some(worktree) = &call.worktree {
            let _ = writeln!(out, "Kept work: {}\n", code(worktree));
        }
        out.push_str("</details>\n\n");
    }
}

fn notes(out: &mut String, facts: &Facts) {
    if facts.logs.is_empty() {
        return;
    }
    out.push_str("## Log\n\n");
    if facts.logs_more > 0 {
        let _ = writeln!(out, "{} earlier lines are left out.\n", grouped(facts.logs_more as u64));
    }
    fenced(out, &Text { shown: facts.logs.join("\n"), ..Text::default() });
}

fn one_line(text: &Text) -> String {
    let mut line = text.shown.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.cut {
        line.push('…');
    }
    line
}

/// A text as a block of code, behind a fence longer than any in it, and where the whole is.
fn fenced(out: &mut String, text: &Text) {
    let fence = "`".repeat(longest_run(&text.shown).max(2) + 1);
    let end = if text.shown.ends_with('\n') || text.shown.is_empty() { "" } else { "\n" };
    let _ = writeln!(out, "{fence}text\n{}{end}{fence}\n", text.shown);
    if let Some(note) = text.note() {
        let _ = writeln!(out, "({note})\n");
    }
}

/// The longest row of backticks.
fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Whether a text reads as itself in Markdown: words, numbers, and signs that mean nothing there.
fn is_plain(text: &str) -> bool {
    let harmless = |c: char| c.is_alphanumeric() || " ,.;:()/%$+='?…–-".contains(c);
    let first = text.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '$');
    // A number with a dot and a space begins a list; an address becomes a link by itself.
    let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let list = after.len() < text.len() && matches!(after.get(..2).unwrap_or(after), "." | ")" | ". " | ") ");
    let lower = text.to_ascii_lowercase();
    first && !list && text.chars().all(harmless) && !["://", "www."].iter().any(|sign| lower.contains(sign))
}

/// One line of others: as it is when nothing in it is markup, else as code.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    if is_plain(text) && !text.ends_with(' ') {
        return text.to_owned();
    }
    let fence = "`".repeat(longest_run(text) + 1);
    // Spaces beside the fence are taken off again where the text begins or ends with a backtick or a space.
    let edge = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let space = if edge && !text.trim().is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// The same within a table.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// The same within a tag.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
