//! What a run does about money while it goes on: it refuses what it cannot budget for, and remembers what answers taught.

use crate::core::budget::Charge;
use crate::core::call::CallKind;
use crate::core::ids::CallId;
use crate::core::machine::AttemptReport;
use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::estimate::Asked;
use crate::providers::{Budgeted, Provider, ProviderKind, estimate};

use super::journal::now;
use super::prepare::Prepared;
use super::run_loop::RunLoop;

/// How many calls like it a budget must have left for one to be given room for a long answer: to ask twice costs more than
/// to set aside, and others must find room all the same.
const AMPLE: u64 = 32;
/// So many calls that wait for their start are looked for at each start of one that is told its share of a budget.
const MOST_WAITING: u64 = 1_000;

impl RunLoop {
    /// What is set aside for a call at its start: its high estimate, and room for a long answer where a cost budget bounds it and has
    /// plenty left.
    pub(super) fn set_aside(&self, prepared: &Prepared) -> Charge {
        let need = prepared.reserve();
        let (nanos, tokens) = {
            let ledger = self.tree.ledger();
            (ledger.left_nanos(Charge::default()).filter(|_| need.cost_nanos > 0), ledger.left_tokens())
        };
        let has_plenty = |need: u64, left: Option<u64>| left.is_none_or(|left| need.saturating_mul(AMPLE) <= left);
        let is_ample = nanos.is_some() && has_plenty(need.cost_nanos, nanos) && has_plenty(need.tokens, tokens);
        if is_ample { prepared.provider.reserve_long(&prepared.request) } else { need }
    }

    /// What the cost budget of the run leaves an attempt that is about to start; none where there is none.
    pub(super) fn budgeted(&mut self, call_id: CallId) -> Option<Budgeted> {
        let aside = self.machine.reserved(call_id);
        let left = self.tree.ledger().left_nanos(aside)?;
        let is_program = self.prepared.get(&call_id).is_some_and(|call| call.provider.kind() == ProviderKind::Cli);
        if !is_program {
            return Some(Budgeted { aside, left_nanos: None });
        }
        // Where more wait than there is room for, what is set aside for each is its share.
        let most = left.checked_div(aside.cost_nanos).map_or(MOST_WAITING, |most| most.min(MOST_WAITING));
        let waiting = self.machine.yet_to_start(most);
        let left_nanos = self.machine.promise(call_id, waiting, &mut self.tree.ledger());
        Some(Budgeted { aside, left_nanos })
    }

    /// Refuses a call whose price is not known under a cost budget, unless that is allowed: nothing could be reserved for it.
    pub(super) fn priced(&self, provider: &dyn Provider, model: Option<&str>) -> Result<(), CallError> {
        let settings = &self.tree.settings;
        if settings.limits.cost_nanos.is_none() || settings.allow_unpriced || provider.kind() == ProviderKind::Fake {
            return Ok(());
        }
        let setup = &self.tree.services.config.setup;
        let name = provider.name();
        let model = model.map(|model| setup.model(name, model));
        if model.as_ref().is_some_and(|model| setup.prices.lookup(name, model).is_some()) {
            return Ok(());
        }
        let what = model.map_or_else(|| "its default model".to_owned(), |model| format!("model \"{model}\""));
        let mut error = CallError::new(
            ErrorClass::Budget,
            format!("no price is known for {what} of {name}, so the cost budget cannot be kept"),
        )
        .throwing("WorkflowBudgetExceededError");
        error.hint = Some("name a model with a price (owf prices), or allow_unpriced to go on".to_owned());
        Err(error)
    }

    /// Keeps how many bytes of text a token was, where an answer tells.
    pub(super) fn observe(&self, call_id: CallId, report: &AttemptReport) {
        let Some(prepared) = self.prepared.get(&call_id) else { return };
        let (request, provider) = (&prepared.request, prepared.provider.as_ref());
        if request.spec.kind != CallKind::Agent {
            return;
        }
        let used = report.usage;
        let tokens = used.input_tokens + used.cache_read_tokens + used.cache_write_tokens;
        // Later attempts also hold what was wrong with the ones before.
        if report.result.is_err()
            || report.usage_unknown
            || prepared.feedback.is_some()
            || provider.kind() == ProviderKind::Fake
        {
            return;
        }
        let persona = request.persona.as_ref().map_or(0, |persona| persona.system.len() as u64);
        let Some(model) = &request.model else { return };
        let setup = &self.tree.services.config.setup;
        let model = setup.model(provider.name(), model);
        let ask = &request.spec.ask;
        let reads = provider.reads_workspace(request);
        let asked = Asked { provider: provider.name(), kind: provider.kind(), model: Some(&model), lean: !reads };
        let seen = if reads {
            setup.estimates.of_loop(asked, ask, persona, tokens)
        } else {
            let milli = estimate::observation(provider.kind(), reads, ask, persona, tokens);
            milli.map(|milli| (model.clone(), milli))
        };
        if let Some((name, milli)) = seen {
            self.tree.store.observe(provider.name(), &name, milli, now());
        }
    }
}
