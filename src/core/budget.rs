//! Budgets: limits on tokens, cost and calls, shared by a run tree; reserved before a start, settled after.

use serde::{Deserialize, Serialize};

use crate::core::call::is_default;

/// An amount charged or reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Charge {
    /// Output tokens.
    #[serde(skip_serializing_if = "is_default")]
    pub tokens: u64,
    /// Billionths of a US dollar.
    #[serde(skip_serializing_if = "is_default")]
    pub cost_nanos: u64,
    /// Calls.
    #[serde(skip_serializing_if = "is_default")]
    pub calls: u64,
}

impl std::ops::AddAssign for Charge {
    fn add_assign(&mut self, other: Self) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.cost_nanos = self.cost_nanos.saturating_add(other.cost_nanos);
        self.calls = self.calls.saturating_add(other.calls);
    }
}

impl std::ops::SubAssign for Charge {
    fn sub_assign(&mut self, other: Self) {
        self.tokens = self.tokens.saturating_sub(other.tokens);
        self.cost_nanos = self.cost_nanos.saturating_sub(other.cost_nanos);
        self.calls = self.calls.saturating_sub(other.calls);
    }
}

/// The totals a run tree may spend; none = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Output tokens: the script's `budget.total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Billionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_nanos: Option<u64>,
    /// Executed calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
}

impl Limits {
    /// Whether anything is limited.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// Which limit refused a call, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Output tokens.
    Tokens {
        /// The total.
        limit: u64,
        /// Settled plus reserved.
        committed: u64,
        /// What the call may need.
        need: u64,
    },
    /// Cost in billionths of a US dollar.
    Cost {
        /// The total.
        limit: u64,
        /// Settled plus reserved.
        committed: u64,
        /// What the call may need.
        need: u64,
    },
    /// Number of calls.
    Calls {
        /// The total.
        limit: u64,
    },
}

impl Refusal {
    /// One sentence for the call's error.
    pub fn message(&self) -> String {
        match self {
            Self::Tokens { limit, committed, need } => format!(
                "token budget {limit}: {committed} spent or reserved, the call needs up to {need}, {} left",
                limit.saturating_sub(*committed)
            ),
            Self::Cost { limit, committed, need } => format!(
                "cost budget {} USD: {} spent or reserved, the call needs up to {}, {} left",
                usd(*limit),
                usd(*committed),
                usd(*need),
                usd(limit.saturating_sub(*committed))
            ),
            Self::Calls { limit } => format!("call budget: all {limit} calls are used"),
        }
    }
}

/// Billionths of a US dollar as a decimal with two to six places.
pub fn usd(nanos: u64) -> String {
    let micros = nanos.div_ceil(1000);
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let trimmed = text.trim_end_matches('0');
    let keep = (text.len() - 4).max(trimmed.len());
    text[..keep].to_owned()
}

/// What a run tree has spent and reserved, its call count and its caps: one per tree, handed to each of its machines.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The totals.
    pub limits: Limits,
    /// Agent calls requested so far in the tree, reused ones included.
    pub requested: u64,
    /// Agent calls the tree may request.
    pub max_calls: u64,
    settled: Charge,
    reserved: Charge,
    in_flight: u64,
    /// What calls in flight were told they may come to beyond what is set aside for them, and how many were told.
    promised: u64,
    told: u64,
}

impl Ledger {
    /// An empty ledger with these limits.
    pub fn new(limits: Limits, max_calls: u64) -> Self {
        Self { limits, max_calls, ..Self::default() }
    }

    /// Reserves `need` for one call about to start.
    ///
    /// # Errors
    /// The limit that would be exceeded. For tokens one call may always start when nothing is in flight and less than the
    /// total is spent; otherwise, and for cost and calls always, settled plus reserved plus `need` must fit.
    pub fn reserve(&mut self, need: Charge) -> Result<(), Refusal> {
        if let Some(limit) = self.limits.calls
            && self.settled.calls + self.reserved.calls + need.calls > limit
        {
            return Err(Refusal::Calls { limit });
        }
        if let Some(limit) = self.limits.cost_nanos {
            let committed = self.settled.cost_nanos + self.reserved.cost_nanos;
            // With nothing left not even a call of unknown cost may start.
            if committed + need.cost_nanos > limit || committed >= limit {
                return Err(Refusal::Cost { limit, committed, need: need.cost_nanos });
            }
        }
        if let Some(limit) = self.limits.tokens {
            let committed = self.settled.tokens + self.reserved.tokens;
            let lone = self.in_flight == 0 && self.settled.tokens < limit;
            if !lone && (committed + need.tokens > limit || committed >= limit) {
                return Err(Refusal::Tokens { limit, committed, need: need.tokens });
            }
        }
        self.reserved += need;
        self.in_flight += 1;
        Ok(())
    }

    /// Whether a call for which `own` is set aside may be attempted again after an attempt that charged `charged` and is not
    /// recorded yet.
    ///
    /// # Errors
    /// The limit of tokens or cost that would be exceeded, as with [`Self::reserve`].
    pub fn again(&self, own: Charge, charged: Charge) -> Result<(), Refusal> {
        if let Some(limit) = self.limits.cost_nanos {
            let settled = self.settled.cost_nanos + charged.cost_nanos;
            let committed = settled + self.reserved.cost_nanos.saturating_sub(own.cost_nanos);
            if committed + own.cost_nanos > limit || committed >= limit {
                return Err(Refusal::Cost { limit, committed, need: own.cost_nanos });
            }
        }
        if let Some(limit) = self.limits.tokens {
            let settled = self.settled.tokens + charged.tokens;
            let committed = settled + self.reserved.tokens.saturating_sub(own.tokens);
            let lone = self.in_flight == 1 && settled < limit;
            if !lone && (committed + own.tokens > limit || committed >= limit) {
                return Err(Refusal::Tokens { limit, committed, need: own.tokens });
            }
        }
        Ok(())
    }

    /// Reserves `more` for a further request of a call that was started and has spent `spent` so far.
    ///
    /// # Errors
    /// The limit of tokens or cost that would be exceeded. As with [`Self::reserve`], the only call in flight may always make a
    /// request while less than the total of tokens is spent.
    pub fn raise(&mut self, more: Charge, spent: Charge) -> Result<(), Refusal> {
        if let Some(limit) = self.limits.cost_nanos {
            let committed = self.settled.cost_nanos + self.reserved.cost_nanos;
            if more.cost_nanos > 0 && committed + more.cost_nanos > limit {
                return Err(Refusal::Cost { limit, committed, need: more.cost_nanos });
            }
        }
        if let Some(limit) = self.limits.tokens {
            let committed = self.settled.tokens + self.reserved.tokens;
            let lone = self.in_flight == 1 && self.settled.tokens + spent.tokens < limit;
            if !lone && more.tokens > 0 && committed + more.tokens > limit {
                return Err(Refusal::Tokens { limit, committed, need: more.tokens });
            }
        }
        self.reserved += more;
        Ok(())
    }

    /// Gives a reservation back and records what was really charged.
    pub fn settle(&mut self, reserved: Charge, charged: Charge) {
        self.reserved -= reserved;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.settled += charged;
    }

    /// Records a charge that held no reservation: a replayed or reused outcome.
    pub fn record(&mut self, charged: Charge) {
        self.settled += charged;
    }

    /// What a cost budget leaves a call for which `own` is set aside: that, and what nobody has set aside; none without one.
    pub fn left_nanos(&self, own: Charge) -> Option<u64> {
        let others = self.reserved.cost_nanos.saturating_sub(own.cost_nanos);
        Some(self.limits.cost_nanos?.saturating_sub(self.settled.cost_nanos).saturating_sub(others))
    }

    /// What a token budget leaves beside everything that is set aside; none without one.
    pub fn left_tokens(&self) -> Option<u64> {
        Some(self.limits.tokens?.saturating_sub(self.settled.tokens).saturating_sub(self.reserved.tokens))
    }

    /// What a cost budget lets a call come to that is not heard of before it ends, and for which `own` is set aside: that, and its
    /// share of what nobody has set aside and nobody was told. Those in flight that were not told have theirs, and each of those
    /// `waiting` for their start will need about as much as it does. It is taken off what others are told, until it is taken back.
    pub fn promise(&mut self, own: Charge, waiting: u64) -> Option<u64> {
        let left = self.left_nanos(Charge::default())?.saturating_sub(self.promised);
        let free = left.saturating_sub(own.cost_nanos.saturating_mul(waiting));
        let more = free / self.in_flight.saturating_sub(self.told).max(1).saturating_add(waiting);
        self.promised = self.promised.saturating_add(more);
        self.told += 1;
        Some(own.cost_nanos.saturating_add(more))
    }

    /// Frees what a call was told it may come to beyond what is set aside for it.
    pub fn take_back(&mut self, promised: Option<u64>) {
        if let Some(more) = promised {
            self.promised = self.promised.saturating_sub(more);
            self.told = self.told.saturating_sub(1);
        }
    }

    /// Gives back a part of what is set aside for a call that goes on.
    pub fn lower(&mut self, less: Charge) {
        self.reserved -= less;
    }

    /// What is settled.
    pub fn settled(&self) -> Charge {
        self.settled
    }

    /// What is reserved.
    pub fn reserved(&self) -> Charge {
        self.reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(n: u64) -> Charge {
        Charge { tokens: n, cost_nanos: 0, calls: 1 }
    }

    #[test]
    fn tokens_let_one_lone_call_start_and_refuse_a_second_at_once() {
        let mut ledger = Ledger::new(Limits { tokens: Some(100), ..Limits::default() }, 1000);
        assert_eq!(ledger.reserve(tokens(60)), Ok(()));
        assert_eq!(ledger.reserve(tokens(60)), Err(Refusal::Tokens { limit: 100, committed: 60, need: 60 }));
        ledger.settle(tokens(60), tokens(60));
        assert_eq!(ledger.reserve(tokens(60)), Ok(()), "60 < 100 and nothing in flight");
        ledger.settle(tokens(60), tokens(60));
        assert_eq!(ledger.reserve(tokens(60)), Err(Refusal::Tokens { limit: 100, committed: 120, need: 60 }));
    }

    #[test]
    fn cost_always_has_to_fit() {
        let mut ledger = Ledger::new(Limits { cost_nanos: Some(10), ..Limits::default() }, 1000);
        let six = Charge { tokens: 0, cost_nanos: 6, calls: 1 };
        assert_eq!(ledger.reserve(six), Ok(()));
        ledger.settle(six, six);
        assert_eq!(ledger.reserve(six), Err(Refusal::Cost { limit: 10, committed: 6, need: 6 }));
    }

    #[test]
    fn a_call_is_left_what_others_have_not_set_aside() {
        let cost = |cost_nanos| Charge { tokens: 0, cost_nanos, calls: 1 };
        let mut ledger = Ledger::new(Limits { cost_nanos: Some(100), ..Limits::default() }, 1000);
        ledger.record(cost(30));
        assert_eq!((ledger.reserve(cost(10)), ledger.reserve(cost(25))), (Ok(()), Ok(())));
        assert_eq!((ledger.left_nanos(cost(10)), ledger.left_nanos(cost(25))), (Some(45), Some(60)));
        assert_eq!(Ledger::new(Limits::default(), 1000).left_nanos(cost(1)), None);
    }

    #[test]
    fn what_nobody_has_set_aside_is_shared_by_those_in_flight_and_those_that_wait() {
        let cost = |cost_nanos| Charge { tokens: 0, cost_nanos, calls: 1 };
        let mut ledger = Ledger::new(Limits { cost_nanos: Some(100), ..Limits::default() }, 1000);
        assert_eq!(ledger.reserve(cost(10)), Ok(()));
        assert_eq!(ledger.promise(cost(10), 0), Some(100), "it is alone");
        ledger.take_back(Some(90));
        // Three more will each need as much: 60 are left for four.
        assert_eq!(ledger.promise(cost(10), 3), Some(25));
        for waiting in [2, 1, 0] {
            assert_eq!(ledger.reserve(cost(10)), Ok(()));
            assert_eq!(ledger.promise(cost(10), waiting), Some(25), "together no more than there is");
        }
        ledger.take_back(Some(15));
        // Where those that wait need everything, what is set aside for it remains.
        assert_eq!(ledger.promise(cost(10), 50), Some(10));
        assert_eq!(Ledger::new(Limits::default(), 1000).promise(cost(1), 0), None);
    }

    #[test]
    fn what_a_call_was_told_is_not_told_to_one_that_starts_later() {
        let cost = |cost_nanos| Charge { tokens: 0, cost_nanos, calls: 1 };
        let mut ledger = Ledger::new(Limits { cost_nanos: Some(100), ..Limits::default() }, 1000);
        let mut told = Vec::new();
        for _ in 0..3 {
            assert_eq!(ledger.reserve(cost(10)), Ok(()));
            told.push(ledger.promise(cost(10), 0));
        }
        // There is nothing left for the later ones but what was set aside for them.
        assert_eq!(told, [Some(100), Some(10), Some(10)]);
        // The first ends after 20.
        ledger.take_back(Some(90));
        ledger.settle(cost(10), cost(20));
        assert_eq!(ledger.reserve(cost(10)), Ok(()));
        assert_eq!(ledger.promise(cost(10), 0), Some(60), "all but what is set aside for two and what the first took");
    }

    #[test]
    fn the_only_call_in_flight_may_ask_again_while_less_than_the_total_of_tokens_is_spent() {
        let mut ledger = Ledger::new(Limits { tokens: Some(100), ..Limits::default() }, 1000);
        assert_eq!(ledger.reserve(tokens(60)), Ok(()));
        assert_eq!(ledger.raise(tokens(90), tokens(60)), Ok(()));
        let refused = Refusal::Tokens { limit: 100, committed: 150, need: 90 };
        assert_eq!(ledger.raise(tokens(90), tokens(100)), Err(refused), "it has spent everything itself");
        ledger.settle(tokens(150), tokens(10));
        assert_eq!((ledger.reserve(tokens(30)), ledger.reserve(tokens(30))), (Ok(()), Ok(())));
        let refused = Refusal::Tokens { limit: 100, committed: 70, need: 31 };
        assert_eq!(ledger.raise(tokens(31), tokens(0)), Err(refused), "beside another it has to fit");
        assert_eq!(ledger.raise(tokens(30), tokens(0)), Ok(()));
        assert_eq!(ledger.left_tokens(), Some(0));
    }

    #[test]
    fn dollars_read_well() {
        assert_eq!(usd(5_000_000_000), "5.00");
        assert_eq!(usd(6_000_000), "0.006");
        assert_eq!(usd(1_470_000_000), "1.47");
        assert_eq!(usd(1), "0.000001");
    }
}
