//! Which calls a rule is for.

use regex::Regex;

use crate::core::call::CallKind;
use crate::providers::provider::AttemptRequest;

/// The conditions of a rule; all that are given must hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Match {
    pub(super) label: Option<Glob>,
    pub(super) prompt: Option<String>,
    pub(super) prompt_regex: Option<Regex>,
    pub(super) phase: Option<String>,
    pub(super) model: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) agent_type: Option<String>,
    pub(super) has_schema: Option<bool>,
    pub(super) occurrence: Option<Ranges>,
    pub(super) attempt: Option<Ranges>,
    pub(super) call_index: Option<Ranges>,
    pub(super) tool: Option<Glob>,
    pub(super) command: Option<Glob>,
}

impl Match {
    /// Whether a request fulfils all conditions.
    pub(super) fn holds(&self, request: &AttemptRequest) -> bool {
        let spec = &request.spec;
        let ask = &spec.ask;
        let prompt = ask.prompt.as_deref().unwrap_or_default();
        let is = |want: &Option<String>, have: Option<&str>| want.as_deref().is_none_or(|want| have == Some(want));
        let within = |want: &Option<Ranges>, have: u32| want.as_ref().is_none_or(|want| want.contains(have));
        let line = ask.command.as_ref().map(crate::core::work::CommandAsk::line);
        let named = |want: &Option<Glob>, kind: CallKind, name: Option<&str>| {
            let fits = |want: &Glob| want.matches(&spec.label) || name.is_some_and(|name| want.matches(name));
            want.as_ref().is_none_or(|want| spec.kind == kind && fits(want))
        };
        // A rule that does not speak of commands or tools is for agents: it must not keep one from being carried out.
        let meant = match spec.kind {
            CallKind::Command => self.command.is_some(),
            CallKind::Tool => self.tool.is_some(),
            _ => true,
        };
        if !meant {
            return false;
        }
        self.label.as_ref().is_none_or(|glob| glob.matches(&spec.label))
            && self.prompt.as_ref().is_none_or(|part| prompt.contains(part.as_str()))
            && self.prompt_regex.as_ref().is_none_or(|regex| regex.is_match(prompt))
            && is(&self.phase, spec.phase.as_deref())
            && (self.model.is_none()
                || is(&self.model, request.model.as_deref())
                || is(&self.model, ask.model.as_deref()))
            && self.provider.as_ref().is_none_or(|want| {
                // A call that names no provider is the fake one's own.
                ask.provider.as_deref().unwrap_or("fake").eq_ignore_ascii_case(want)
            })
            && is(&self.agent_type, ask.agent_type.as_deref())
            && self.has_schema.is_none_or(|want| ask.schema.is_some() == want)
            && within(&self.occurrence, request.occurrence)
            && within(&self.attempt, request.attempt)
            && within(&self.call_index, request.call_id.0)
            && named(&self.tool, CallKind::Tool, ask.tool.as_ref().map(|tool| tool.name.as_str()))
            && named(&self.command, CallKind::Command, line.as_deref())
    }
}

/// A text in which `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    parts: Vec<String>,
}

impl Glob {
    pub(super) fn new(text: &str) -> Self {
        Self { parts: text.split('*').map(str::to_owned).collect() }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return text.is_empty() };
        let Some((last, middle)) = rest.split_last() else { return text == first };
        let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
        // Taking the first occurrence of each part leaves the most for the parts after it.
        for part in middle {
            match left.find(part.as_str()) {
                Some(at) => left = &left[at + part.len()..],
                None => return false,
            }
        }
        left.ends_with(last.as_str())
    }
}

/// Numbers, as ranges that include both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    pub(super) fn new(ranges: Vec<(u32, u32)>) -> Self {
        Self(ranges)
    }

    fn contains(&self, n: u32) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&n))
    }

    /// `2`, `2-`, `2-4` or `-4`.
    pub(super) fn read(text: &str) -> Option<(u32, u32)> {
        let number = |text: &str| text.trim().parse::<u32>().ok();
        match text.trim().split_once('-') {
            None => number(text).map(|n| (n, n)),
            Some((from, to)) => {
                let low = if from.trim().is_empty() { Some(0) } else { number(from) }?;
                let high = if to.trim().is_empty() { Some(u32::MAX) } else { number(to) }?;
                (low <= high && text.trim() != "-").then_some((low, high))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn globs_match_like_shell_patterns() {
        for (glob, text, want) in [
            ("scan", "scan", true),
            ("scan", "scan2", false),
            ("review:*", "review:src/a.ts", true),
            ("*:b", "a:b", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "ab", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "", true),
            ("a**b", "ab", true),
        ] {
            assert_eq!(Glob::new(glob).matches(text), want, "{glob} {text}");
        }
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(Ranges::read("2"), Some((2, 2)));
        assert_eq!(Ranges::read("2-"), Some((2, u32::MAX)));
        assert_eq!(Ranges::read("2-4"), Some((2, 4)));
        assert_eq!(Ranges::read("-4"), Some((0, 4)));
        for bad in ["", "-", "x", "4-2", "1-2-3"] {
            assert_eq!(Ranges::read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_glob_agrees_with_the_regex_it_stands_for(glob in "[ab*]{0,6}", text in "[ab]{0,8}") {
            let regex = format!("^{}$", glob.replace('*', ".*"));
            prop_assert_eq!(Glob::new(&glob).matches(&text), Regex::new(&regex).is_ok_and(|regex| regex.is_match(&text)));
        }
    }
}
