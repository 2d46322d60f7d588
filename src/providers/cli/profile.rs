//! What an agent program may do in one attempt: nothing but answer, read, or write.

use serde::Deserialize;

use crate::providers::AttemptRequest;

/// How much an agent program is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Profile {
    /// No tools, and a short system prompt of our own: many times less input per call.
    Lean,
    /// Tools that look.
    Read,
    /// Tools that change files, too.
    Write,
}

impl Profile {
    /// The word in configuration and provenance.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Lean => "lean",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// The profile of an attempt. A call that says it writes gets [`Profile::Write`]; an empty list of tools or of paths to
    /// read means that the prompt holds everything; a call that says nothing gets `preset`, and reads by default. A schema
    /// alone decides nothing: most structured answers are about files.
    pub(super) fn of(request: &AttemptRequest, preset: Option<Self>) -> Self {
        if request.spec.is_mutating() {
            return Self::Write;
        }
        let by_list = |empty: bool| if empty { Self::Lean } else { Self::Read };
        if let Some(tools) = request.tools() {
            return by_list(tools.is_empty());
        }
        if let Some(scope) = &request.spec.ask.read_scope {
            return by_list(scope.is_empty());
        }
        match preset {
            Some(Self::Lean) => Self::Lean,
            // A call that does not say it writes is cached and repeated as one that does not.
            Some(Self::Read | Self::Write) | None => Self::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::cli::provider::tests::request;

    #[test]
    fn scopes_and_tools_choose_the_profile_and_the_preset_fills_in() {
        let with = |tools: Option<&[&str]>, read: Option<&[&str]>, write: Option<&[&str]>| {
            let own = |list: Option<&[&str]>| list.map(|l| l.iter().map(|s| (*s).to_owned()).collect());
            let mut request = request("p");
            request.spec.ask.tools = own(tools);
            request.spec.ask.read_scope = own(read);
            request.spec.ask.write_scope = own(write);
            request
        };
        let lean = Some(Profile::Lean);
        for (request, preset, profile) in vec![
            (with(None, None, None), None, Profile::Read),
            (with(None, None, None), lean, Profile::Lean),
            (with(None, None, None), Some(Profile::Write), Profile::Read),
            (with(Some(&[]), None, None), None, Profile::Lean),
            (with(Some(&["Read"]), None, None), lean, Profile::Read),
            (with(None, Some(&[]), None), None, Profile::Lean),
            (with(None, Some(&["src"]), None), lean, Profile::Read),
            (with(Some(&[]), None, Some(&["src"])), lean, Profile::Write),
            (with(None, None, Some(&[])), None, Profile::Read),
        ] {
            assert_eq!(Profile::of(&request, preset), profile, "{:?}", request.spec.ask);
        }
    }
}
