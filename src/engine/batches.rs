//! Batches: prompts that a service answers within a day for half the price. They are no runs; the user has them, not a store.

use std::collections::{BTreeSet, HashMap};

use crate::core::failure::{Code, Failure};
use crate::core::ids::Hash;
use crate::core::outcome::{CallError, CostSource, ErrorClass, Usage};
use crate::providers::http::{BatchPhase, BatchResult, BatchRow, BatchState, Batches};

use super::batch_file::{Record, Records, directory, rows};
use super::engine::Engine;
use super::journal::now;
use super::params::BatchParams;
use super::view::{
    BatchPhaseView, BatchResultRow, BatchResultsView, BatchView, BatchesView, CallErrorView, UsageView, Usd,
};

impl Engine {
    /// Submits the prompts of a text, one a line.
    ///
    /// # Errors
    /// `invalid_arguments` with every bad line, `exists` for what was submitted before, `provider_unavailable`, `unknown_provider`,
    /// `limit_exceeded`, `not_writable`. Nothing is sent unless everything fits.
    pub fn batch_submit(&self, params: &BatchParams, text: &str) -> Result<BatchView, Failure> {
        let provider = params.provider.as_deref().or(self.services().defaults.provider.as_deref());
        let provider = provider.ok_or_else(|| {
            Failure::new(Code::InvalidArguments, "say which provider gets the batch")
                .hint("--provider anthropic, or openai")
        })?;
        super::start::sound_configuration(self.services())?;
        if params.model.as_ref().is_some_and(|model| model.trim().is_empty()) {
            return Err(super::start::invalid(vec![
                serde_json::json!({"path": "/model", "message": "must not be empty"}),
            ]));
        }
        let batches = self.batches(provider)?;
        batches.check_key().map_err(|error| of_call(&error))?;
        let default = params.model.as_deref();
        let mut rows = rows(text, |asked| batches.model(asked.or(default)))?;
        for row in &mut rows {
            self.services().secrets.text(&mut row.prompt);
            self.services().secrets.option(&mut row.system);
        }
        let (most_rows, most_bytes) = batches.most();
        if rows.len() > most_rows || text.len() > most_bytes {
            let message =
                format!("{} takes {most_rows} prompts and {} MB at once", batches.provider(), most_bytes / 1_000_000);
            return Err(Failure::new(Code::LimitExceeded, message)
                .hint("submit it in parts")
                .with("limit", most_rows as u64)
                .with("got", rows.len() as u64));
        }
        let records = self.batch_records()?;
        let mut record = Record {
            owf_batch: 1,
            batch_id: None,
            provider: batches.provider().to_owned(),
            created_at: now().rfc3339(),
            content: content(batches.provider(), &rows),
            word: None,
            custom_ids: rows.iter().map(|row| row.custom_id.clone()).collect(),
        };
        let earlier = records.all().into_iter().find(|earlier| earlier.content == record.content);
        if let Some(earlier) = earlier.filter(|_| params.again != Some(true)) {
            return Err(submitted_before(&earlier));
        }
        // On disk before anything is sent: whatever happens from here on, nothing is sent twice unasked.
        records.write(&record, params.again == Some(true))?;
        match self.services().runtime.block_on(batches.submit(&rows)) {
            Ok(id) => {
                let sending = record.clone();
                record.batch_id = Some(id);
                let path = records.write(&record, true)?;
                records.remove(&sending);
                let mut view = view(&record, None);
                view.file_path = Some(path.display().to_string());
                Ok(view)
            }
            Err(not) => {
                let mut failure = of_call(&not.error);
                if not.unclear {
                    failure.message.push_str("; it is not known whether the service has taken the batch");
                    failure.hint =
                        Some("look at the service's own list; owf batch submit --again sends it anew".to_owned());
                } else {
                    records.remove(&record);
                }
                Err(failure)
            }
        }
    }

    /// Where a batch stands, asked of its service.
    ///
    /// # Errors
    /// `not_found`, `provider_unavailable`.
    pub fn batch_status(&self, id: &str) -> Result<BatchView, Failure> {
        let (_, record, state) = self.batch_state(id)?;
        Ok(view(&record, Some(&state)))
    }

    /// The answers of a batch, in the order in which its prompts were submitted. None while the service works on it.
    ///
    /// # Errors
    /// `not_found`, `provider_unavailable`.
    pub fn batch_fetch(&self, id: &str) -> Result<BatchResultsView, Failure> {
        let (batches, record, state) = self.batch_state(id)?;
        let batch = view(&record, Some(&state));
        let found = match state.phase {
            BatchPhase::Pending | BatchPhase::Failed => Vec::new(),
            BatchPhase::Ended => {
                self.services().runtime.block_on(batches.results(id, &state)).map_err(|error| of_call(&error))?
            }
        };
        let mut by_id: HashMap<String, BatchResult> =
            found.into_iter().map(|one| (one.custom_id.clone(), one)).collect();
        let mut results = Vec::new();
        let mut usage = Usage::default();
        let (mut cost, mut unpriced) = (None::<u64>, 0);
        let mut days = BTreeSet::new();
        if state.phase == BatchPhase::Ended {
            for custom_id in &record.custom_ids {
                let one = by_id.remove(custom_id);
                if let Some(one) = &one {
                    usage += one.usage;
                    days.extend(one.prices_as_of.clone());
                    match one.cost_nanos {
                        Some(nanos) => cost = Some(cost.unwrap_or(0).saturating_add(nanos)),
                        None => unpriced += u64::from(one.usage != Usage::default()),
                    }
                }
                results.push(self.batch_row(custom_id, one));
            }
        }
        // A sum that lacks something is a least amount.
        let cost_source = if cost.is_some() && unpriced == 0 { CostSource::Estimated } else { CostSource::Unknown };
        let usage = UsageView {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_tokens: usage.cache_read_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            cache_write_1h_tokens: usage.hour(),
            reasoning_tokens: usage.reasoning(),
            usage_unknown_calls: None,
            cost_usd: cost.map(Usd::from_nanos),
            cost_source,
            prices_as_of: days.into_iter().collect(),
            unpriced_calls: (unpriced > 0).then_some(unpriced),
        };
        Ok(BatchResultsView { batch, usage, results })
    }

    /// The batches that were submitted from here, the latest first. Nothing is asked of a service.
    ///
    /// # Errors
    /// None today.
    pub fn batch_list(&self) -> Result<BatchesView, Failure> {
        let all = self.batch_records().map(|records| records.all()).unwrap_or_default();
        Ok(BatchesView { batches: all.iter().map(|record| view(record, None)).collect(), truncated: false })
    }

    fn batches(&self, provider: &str) -> Result<Batches, Failure> {
        let services = self.services();
        let name = services.registry.canonical(provider).ok_or_else(|| services.registry.unknown(provider))?;
        Batches::of(&services.config.setup, &name).map_err(|why| {
            Failure::new(Code::ProviderUnavailable, why).hint("batches are there for anthropic and openai")
        })
    }

    fn batch_records(&self) -> Result<Records, Failure> {
        let services = self.services();
        directory(services.env.get("XDG_DATA_HOME"), services.user_home.as_deref()).ok_or_else(|| {
            Failure::new(Code::NotWritable, "there is no directory of the user to remember batches in").hint("set HOME")
        })
    }

    fn batch_state(&self, id: &str) -> Result<(Batches, Record, BatchState), Failure> {
        let records = self.batch_records()?;
        let mut record = records.find(id)?;
        let batches = self.batches(&record.provider)?;
        let state = self.services().runtime.block_on(batches.state(id)).map_err(|error| of_call(&error))?;
        if record.word.as_ref() != Some(&state.word) {
            record.word = Some(state.word.clone());
            records.write(&record, true)?;
        }
        Ok((batches, record, state))
    }

    fn batch_row(&self, custom_id: &str, one: Option<BatchResult>) -> BatchResultRow {
        let Some(mut one) = one else {
            let missing = CallError::new(ErrorClass::NoOutput, "the service gave no answer to this prompt");
            return BatchResultRow {
                custom_id: custom_id.to_owned(),
                ok: false,
                text: None,
                error: Some((&missing).into()),
                model: None,
                input_tokens: 0,
                output_tokens: 0,
                cost_usd: None,
                cost_source: CostSource::Unknown,
            };
        };
        if let Ok(text) = &mut one.text {
            self.services().secrets.text(text);
        }
        BatchResultRow {
            custom_id: custom_id.to_owned(),
            ok: one.text.is_ok(),
            error: one.text.as_ref().err().map(CallErrorView::from),
            text: one.text.ok(),
            model: one.model,
            input_tokens: one.usage.input_tokens,
            output_tokens: one.usage.output_tokens,
            cost_usd: one.cost_nanos.map(Usd::from_nanos),
            cost_source: one.cost_source,
        }
    }
}

/// The hash of what is submitted: the same prompts to the same provider are the same batch.
fn content(provider: &str, rows: &[BatchRow]) -> Hash {
    let rows: Vec<_> =
        rows.iter().map(|r| serde_json::json!([r.custom_id, r.prompt, r.model, r.system, r.max_tokens])).collect();
    Hash::of(serde_json::json!([provider, rows]).to_string())
}

fn submitted_before(earlier: &Record) -> Failure {
    match &earlier.batch_id {
        Some(id) => {
            Failure::new(Code::Exists, format!("these prompts were submitted at {} as {id}", earlier.created_at))
                .hint(format!("owf batch status {id}; --again sends them once more, and is paid for once more"))
                .with("batch_id", id.clone())
        }
        None => Failure::new(
            Code::Exists,
            format!(
                "these prompts were sent at {}, and it is not known whether the service took them",
                earlier.created_at
            ),
        )
        .hint("look at the service's own list of batches; --again sends them anew"),
    }
}

fn view(record: &Record, state: Option<&BatchState>) -> BatchView {
    let total = record.custom_ids.len() as u64;
    let id = record.batch_id.clone().unwrap_or_default();
    let phase = match state.map(|state| state.phase) {
        Some(BatchPhase::Pending) => BatchPhaseView::Pending,
        Some(BatchPhase::Ended) => BatchPhaseView::Ended,
        Some(BatchPhase::Failed) => BatchPhaseView::Failed,
        None if record.batch_id.is_none() => BatchPhaseView::Unclear,
        None => match record.word.as_deref() {
            Some("ended" | "completed" | "expired" | "cancelled") => BatchPhaseView::Ended,
            Some("failed") => BatchPhaseView::Failed,
            Some(_) | None => BatchPhaseView::Pending,
        },
    };
    let next = match phase {
        BatchPhaseView::Pending => format!("owf batch status {id}; within a day there are answers"),
        BatchPhaseView::Ended => format!("owf batch fetch {id}"),
        BatchPhaseView::Failed => "correct what was refused, and submit it again".to_owned(),
        BatchPhaseView::Unclear => "look at the service's own list of batches".to_owned(),
    };
    BatchView {
        batch_id: record.batch_id.clone(),
        provider: record.provider.clone(),
        status: phase,
        provider_status: state.map(|state| state.word.clone()).or_else(|| record.word.clone()),
        created_at: record.created_at.clone(),
        prompts: total,
        succeeded: state.map(|state| state.succeeded),
        failed: state.map(|state| state.failed),
        message: state.and_then(|state| state.message.clone()),
        file_path: None,
        next,
    }
}

/// A service's error as the answer to a request of a person.
fn of_call(error: &CallError) -> Failure {
    let code = match error.class {
        ErrorClass::BadRequest | ErrorClass::ContextTooLong => Code::InvalidArguments,
        _ => Code::ProviderUnavailable,
    };
    let mut failure = Failure::new(code, error.message.clone());
    failure.hint.clone_from(&error.hint);
    failure
}
