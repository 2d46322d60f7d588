//! What a run does about money while it goes on: it refuses what it cannot budget for, and remembers what answers taught.

use crate::core::call::CallKind;
use crate::core::ids::CallId;
use crate::core::machine::AttemptReport;
use crate::core::outcome::{CallError, ErrorClass};
use crate::providers::{Provider, ProviderKind, estimate};

use super::journal::now;
use super::run_loop::RunLoop;

impl RunLoop {
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
        if report.result.is_err() || prepared.feedback.is_some() || provider.kind() == ProviderKind::Fake {
            return;
        }
        let persona = request.persona.as_ref().map_or(0, |persona| persona.system.len() as u64);
        let seen = estimate::observation(
            provider.kind(),
            provider.reads_workspace(request),
            &request.spec.ask,
            persona,
            tokens,
        );
        if let (Some(milli), Some(model)) = (seen, &request.model) {
            let model = self.tree.services.config.setup.model(provider.name(), model);
            self.tree.store.observe(provider.name(), &model, milli, now());
        }
    }
}
