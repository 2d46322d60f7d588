//! How long an answer may be under a cost budget.
//!
//! It may be as long as was set aside for it. One that is cut by that is asked for again, longer, where the budget has room. No
//! part of any key: an answer that was not cut is the one that would have been given without it. A token budget bounds no answer:
//! what is cut is paid for and no use to anybody, so calls under way finish, as the dialect has it.

use super::service::Service;
use super::tally::Reserve;
use super::wire::Wire;
use crate::core::budget::Charge;
use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::AttemptRequest;
use crate::providers::prices::{Prices, TokenUse};

/// The longest bound; beyond it the service's own limit holds, and so much is set aside.
const LONG: u64 = 16_000;
const UNBOUND: u64 = 64_000;

/// The bound on the answer of one request, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bound {
    /// What is set aside for a request at first; none = no budget bounds it.
    first: Option<u64>,
    /// The bound of the next request; none = none.
    now: Option<u64>,
    /// The tokens of answer that are set aside for it.
    aside: Option<u64>,
}

/// A longer bound, and the tokens of answer that are to be set aside for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Longer {
    now: Option<u64>,
    pub(super) aside: u64,
}

impl Bound {
    /// The bound of an attempt: none without a cost budget, or where nothing is set aside because nothing is billed or known.
    pub(super) fn of(request: &AttemptRequest, reserve: &Reserve<'_>) -> Self {
        let need = reserve();
        let Some(budget) = request.budget.filter(|_| need.cost_nanos > 0) else {
            return Self::default();
        };
        let aside = Some(need.tokens.max(budget.aside.tokens));
        Self { first: Some(need.tokens), now: aside, aside }
    }

    /// What the next request says.
    pub(super) fn tokens(&self) -> Option<u64> {
        self.now
    }

    /// The same for a further request of the attempt: what is set aside for it is its own.
    pub(super) fn next(&mut self) {
        self.now = self.first;
        self.aside = self.first;
    }

    /// The next longer one; none when the answer is not bound by a budget, or no longer.
    pub(super) fn longer(&self, wire: Wire) -> Option<Longer> {
        match self.now? {
            now if now < LONG => {
                let longer = long(now);
                Some(Longer { now: Some(longer), aside: longer })
            }
            // There the service must be told a limit, and this is the one it is told.
            _ if wire == Wire::AnthropicMessages => None,
            _ => Some(Longer { now: None, aside: UNBOUND }),
        }
    }

    /// Whether an answer of so many tokens was cut by the bound: others are cut by a limit of the service. 0 = nobody knows.
    pub(super) fn cuts(&self, tokens: u64) -> bool {
        // Not every service counts as it cuts.
        self.now.is_some_and(|now| tokens == 0 || tokens.saturating_mul(10) >= now.saturating_mul(9))
    }

    /// What is set aside for the answer of the next request, where a budget bounds it.
    pub(super) fn aside(&self) -> Option<u64> {
        self.aside
    }

    pub(super) fn stretch(&mut self, longer: Longer) {
        self.now = longer.now;
        self.aside = Some(longer.aside);
    }
}

/// What is set aside for a request with room for an answer of so many tokens: its reservation, and what the answer may have
/// beyond it.
pub(super) fn with(service: &Service, prices: &Prices, model: &str, reserve: &Reserve<'_>, tokens: u64) -> Charge {
    let aside = reserve();
    let more = TokenUse { output: tokens.saturating_sub(aside.tokens), ..TokenUse::default() };
    let more = prices.cost(&service.name, model, &more).unwrap_or(0);
    let cost_nanos = aside.cost_nanos.saturating_add(more);
    Charge { tokens: aside.tokens.max(tokens), cost_nanos, calls: aside.calls }
}

/// How long an answer is where there is plenty of room.
pub(super) fn long(tokens: u64) -> u64 {
    tokens.saturating_mul(4).min(LONG).max(tokens)
}

/// The error of an answer that was cut for want of budget, at so many tokens.
pub(super) fn cut(tokens: u64, refusal: &CallError) -> CallError {
    let message = format!(
        "the answer was cut at {tokens} tokens, all that was set aside for it, and there is no room for a longer one: {}",
        refusal.message
    );
    let mut error = CallError::new(ErrorClass::Budget, message).throwing("WorkflowBudgetExceededError");
    error.hint = Some("raise the budget, or ask for a shorter answer".to_owned());
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_shorter_than_its_bound_was_not_cut_by_it() {
        let bound = Bound { first: Some(1_800), now: Some(1_800), aside: Some(1_800) };
        assert_eq!([0, 1_024, 1_619, 1_620, 1_800].map(|tokens| bound.cuts(tokens)), [true, false, false, true, true]);
        assert!(!Bound::default().cuts(0));
    }

    #[test]
    fn a_bound_grows_up_to_the_services_own_limit() {
        let steps = |wire: Wire| {
            let mut bound = Bound { first: Some(1_800), now: Some(1_800), aside: Some(1_800) };
            let mut seen = vec![bound.tokens()];
            while let Some(longer) = bound.longer(wire) {
                bound.stretch(longer);
                seen.push(bound.tokens());
            }
            bound.next();
            (seen, bound.tokens())
        };
        let some = [Some(1_800), Some(7_200), Some(16_000)];
        assert_eq!(steps(Wire::AnthropicMessages), (some.to_vec(), Some(1_800)));
        assert_eq!(steps(Wire::OpenAiChat), ([some.as_slice(), &[None]].concat(), Some(1_800)));
        assert_eq!(Bound::default().longer(Wire::OpenAiChat), None);
    }
}
