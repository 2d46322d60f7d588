//! A request of the protocol that is not served: not a tool's failure, which a model reads, but an error for its client.

use super::tools;
use crate::core::failure::{Code, Failure};

/// Why a request is refused, with a message that is complete by itself: clients drop everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its parameters are wrong: -32602.
    Params(String),
    /// There is no such resource: -32602, to older clients -32002.
    Resource(String),
    /// The store or owf itself is at fault: -32603.
    Internal(String),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let failure = tools::told(failure);
        let text = match failure.hint {
            Some(hint) => format!("{}; {hint}", failure.message),
            None => failure.message,
        };
        match failure.code {
            Code::NotFound => Self::Resource(text),
            code if code.exit_code() == 4 => Self::Internal(text),
            _ => Self::Params(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_sentence_in_the_words_of_tools() {
        let refused = |code, hint: &str| Refused::from(Failure::new(code, "no").hint(hint));
        assert_eq!(
            refused(Code::NotFound, "owf run FILE, or --home for another store"),
            Refused::Resource("no; owf_run_workflow starts one; home names another store".to_owned())
        );
        assert_eq!(
            refused(Code::StoreFull, "free some space (owf prune), then owf resume the run"),
            Refused::Internal("no; free some space (a person runs owf prune), then owf_resume the run".to_owned())
        );
        assert_eq!(refused(Code::InvalidArguments, "or use --home"), Refused::Params("no; or use home".to_owned()));
    }
}
