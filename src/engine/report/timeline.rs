//! The waterfall: when each call ran, on an axis without the times at which nobody worked.

use serde::Serialize;

use crate::core::time::Millis;

use super::calls::Call;
use super::facts::Phase;
use super::texts::duration;

/// Up to this many calls each has a line of its own.
const LINES: usize = 100;
/// Lanes of a phase whose calls share lines.
const LANES: usize = 48;
/// Phases with lines of their own.
const PHASES: usize = 60;
/// Steps of the axis, in thousandths.
const STEPS: [u64; 22] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    1_800_000, 3_600_000, 14_400_000, 86_400_000,
];

/// A stretch of time as parts of the whole: hundredths of a percent keep the text short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Bar {
    pub(super) call: usize,
    pub(super) left: String,
    pub(super) width: String,
    /// Where it was asked for, when it waited visibly.
    pub(super) wait_left: Option<String>,
    pub(super) wait_width: Option<String>,
    /// From where to where, of a thousand, for a drawing in characters.
    #[serde(skip)]
    pub(super) from: f64,
    #[serde(skip)]
    pub(super) to: f64,
}

/// Bars that share a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Lane {
    pub(super) bars: Vec<Bar>,
}

/// The lines of a phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Group {
    pub(super) title: Option<String>,
    pub(super) tally: String,
    /// Whether each line is one call, with its label.
    pub(super) labelled: bool,
    pub(super) lanes: Vec<Lane>,
    /// Calls without a time of their own: reused, or not begun.
    pub(super) timeless: usize,
}

/// A mark of the axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tick {
    pub(super) left: String,
    pub(super) text: String,
}

/// A time without an owner, drawn as a thin band.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Break {
    pub(super) left: String,
    pub(super) width: String,
    pub(super) text: String,
}

/// The whole waterfall.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(super) struct Timeline {
    pub(super) groups: Vec<Group>,
    pub(super) more: usize,
    pub(super) ticks: Vec<Tick>,
    pub(super) breaks: Vec<Break>,
    pub(super) total: String,
}

/// From times to places.
struct Axis {
    begin: Millis,
    breaks: Vec<(Millis, Millis)>,
    /// Milliseconds that a break takes on the axis.
    band: u64,
    length: u64,
}

impl Axis {
    fn new(begin: Millis, end: Millis, breaks: &[(Millis, Millis)]) -> Self {
        let whole = end.since(begin);
        // A short break is drawn as it is.
        let long = |(from, to): &&(Millis, Millis)| to.since(*from) > (whole / 20).max(1_000);
        let breaks: Vec<_> = breaks.iter().filter(long).take(20).copied().collect();
        let idle: u64 = breaks.iter().map(|(from, to)| to.since(*from)).sum();
        let active = whole.saturating_sub(idle);
        let band = (active / 40).max(1);
        let length = (active + band * breaks.len() as u64).max(1);
        Self { begin, breaks, band, length }
    }

    /// Milliseconds on the axis.
    fn place(&self, at: Millis) -> u64 {
        let mut place = at.since(self.begin);
        for (from, to) in &self.breaks {
            if at >= *to {
                place = place.saturating_sub(to.since(*from)) + self.band;
            } else if at > *from {
                place = place.saturating_sub(at.since(*from)) + self.band / 2;
            }
        }
        place.min(self.length)
    }

    fn part(&self, place: u64) -> f64 {
        place as f64 / self.length as f64 * 1000.0
    }
}

fn percent(part: f64) -> String {
    let text = format!("{:.2}", part / 10.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

/// The waterfall of calls by phase.
pub(super) fn timeline(
    calls: &[Call],
    phases: &[Phase],
    begin: Millis,
    end: Millis,
    breaks: &[(Millis, Millis)],
) -> Timeline {
    let axis = Axis::new(begin, end, breaks);
    let labelled = calls.len() <= LINES;
    let with_calls = || phases.iter().filter(|phase| !phase.calls.is_empty());
    let groups: Vec<Group> = with_calls().take(PHASES).map(|phase| group(calls, phase, &axis, end, labelled)).collect();
    let more = with_calls().count() - groups.len();
    let bands = axis.breaks.iter().map(|(from, to)| Break {
        left: percent(axis.part(axis.place(*from))),
        width: percent(axis.part(axis.band)),
        text: format!("nobody at work for {}", duration(to.since(*from))),
    });
    let breaks: Vec<Break> = bands.collect();
    Timeline { groups, more, ticks: ticks(&axis), breaks, total: duration(axis.length) }
}

/// Marks at round numbers of worked time. With breaks on the axis the marks would lie, so there are none.
fn ticks(axis: &Axis) -> Vec<Tick> {
    if !axis.breaks.is_empty() {
        return Vec::new();
    }
    let step = STEPS.into_iter().find(|step| axis.length / step <= 6).unwrap_or(axis.length / 6).max(1);
    // The last mark keeps its distance from the edge.
    let places = (0..).map(|n| n * step).take_while(|place| axis.part(*place) < 960.0);
    places.map(|place| Tick { left: percent(axis.part(place)), text: mark(place, step) }).collect()
}

fn mark(place: u64, step: u64) -> String {
    match (place, step) {
        (0, _) => "0".to_owned(),
        (_, 0..1_000) if place < 1_000 => format!("{place}ms"),
        (_, 0..100) => format!("{:.2}s", place as f64 / 1e3),
        (_, 0..1_000) => format!("{:.1}s", place as f64 / 1e3),
        (_, 1_000..) if place < 60_000 => format!("{}s", place / 1_000),
        _ => duration(place),
    }
}

fn bar(calls: &[Call], index: usize, axis: &Axis, end: Millis) -> Option<Bar> {
    let call = calls.get(index)?;
    let started = call.started_at?;
    let (from, to) = (axis.place(started), axis.place(call.ended_at.unwrap_or(end)));
    let (left, right) = (axis.part(from), axis.part(to.max(from)));
    let asked = call.asked_at.map(|asked| axis.part(axis.place(asked))).filter(|asked| left - asked > 4.0);
    Some(Bar {
        call: index,
        left: percent(left),
        width: percent(right - left),
        wait_left: asked.map(percent),
        wait_width: asked.map(|asked| percent(left - asked)),
        from: left,
        to: right,
    })
}

fn group(calls: &[Call], phase: &Phase, axis: &Axis, end: Millis, labelled: bool) -> Group {
    let bars: Vec<Bar> = phase.calls.iter().filter_map(|i| bar(calls, *i, axis, end)).collect();
    let timeless = phase.calls.len() - bars.len();
    let mut lanes: Vec<Lane> = Vec::new();
    if labelled {
        // Reused calls keep their line, so that nothing seems to be missing.
        lanes.extend(phase.calls.iter().map(|i| match bar(calls, *i, axis, end) {
            Some(bar) => Lane { bars: vec![bar] },
            None => Lane { bars: vec![nowhere(*i)] },
        }));
    } else {
        let mut sorted = bars;
        sorted.sort_by(|a, b| a.from.total_cmp(&b.from));
        for mut bar in sorted {
            // Waiting would hide the bars before it.
            (bar.wait_left, bar.wait_width) = (None, None);
            let free = |lane: &Lane| lane.bars.last().is_none_or(|last| last.to <= bar.from);
            match lanes.iter().position(free) {
                Some(lane) => lanes[lane].bars.push(bar),
                None if lanes.len() < LANES => lanes.push(Lane { bars: vec![bar] }),
                None => lanes[LANES - 1].bars.push(bar),
            }
        }
    }
    Group { title: phase.title.clone(), tally: phase.tally.clone(), labelled, lanes, timeless }
}

/// A line without a bar.
fn nowhere(call: usize) -> Bar {
    Bar { call, left: String::new(), width: String::new(), wait_left: None, wait_width: None, from: 0.0, to: 0.0 }
}
