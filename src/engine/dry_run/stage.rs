//! What the runs of one rehearsed tree share: the fake provider, the ledger, personas, compiled schemas, the record.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::core::budget::Ledger;
use crate::core::ids::{Hash, RunId};
use crate::core::machine::Reuse;
use crate::core::outcome::CallError;
use crate::core::run::{OnProviderDown, RunOutcome, Settings};
use crate::core::time::Millis;
use crate::front::script::personas;
use crate::providers::fake::FakeProvider;
use crate::providers::schema::{CompiledSchema, compile};
use crate::providers::{Persona, Registry};

use super::against::Against;
use super::compare::Forecast;
use super::entry::DryRunInput;
use super::record::Record;
use super::shell::{Scene, play};

/// The shared state of a rehearsed run tree.
pub(super) struct Stage {
    pub(super) registry: Registry,
    pub(super) fake: FakeProvider,
    /// The settings of the planned run: `provider` is the one planned for, `fake` when there is none.
    pub(super) settings: Settings,
    pub(super) assume: BTreeMap<String, u32>,
    pub(super) cwd: PathBuf,
    pub(super) user_home: Option<PathBuf>,
    pub(super) personas: HashMap<String, (Persona, Hash)>,
    pub(super) ledger: Ledger,
    pub(super) record: Record,
    /// Of each run that has an earlier run to compare with.
    pub(super) forecast: Forecast,
    pub(super) abort: Arc<AtomicBool>,
    schemas: HashMap<Hash, Result<Arc<CompiledSchema>, CallError>>,
}

impl Stage {
    /// A stage for one rehearsal.
    pub(super) fn new(input: &DryRunInput, abort: Arc<AtomicBool>) -> Self {
        let planned = input.provider.as_ref().and_then(|name| input.registry.canonical(name));
        let settings = Settings {
            provider: planned.unwrap_or_else(|| "fake".to_owned()),
            model: input.model.clone(),
            on_provider_down: OnProviderDown::Fail,
            strict: false,
            ..input.settings.clone()
        };
        Self {
            registry: input.registry.clone(),
            fake: FakeProvider::new(input.fixtures.clone(), settings.mood, false).for_dry_run(),
            ledger: Ledger::new(settings.limits, settings.max_calls),
            settings,
            assume: input.assume.clone(),
            cwd: input.cwd.clone(),
            user_home: input.user_home.clone(),
            personas: known_personas(input),
            record: Record::default(),
            forecast: Forecast::default(),
            abort,
            schemas: HashMap::new(),
        }
    }

    /// Plays the root.
    pub(super) fn root(&mut self, input: &DryRunInput, against: Option<&Against>) -> RunOutcome {
        let checked = &input.workflow.checked;
        let scene = Scene {
            run: RunId::new(Millis(0), [0; 5]),
            kind: checked.script.as_ref().map(|s| s.kind).unwrap_or_default(),
            body: checked.script.as_ref().map(|s| s.body.clone()).unwrap_or_default(),
            file_name: input.workflow.file_name(),
            workflow: checked.meta.as_ref().map(|m| m.name.clone()).unwrap_or_default(),
            source_hash: checked.hash,
            args: input.args.clone(),
            depth: 0,
            group: None,
            budget_base: crate::core::budget::Charge::default(),
            reuse: against.map_or_else(Reuse::default, |a| a.reuse.clone()),
        };
        play(self, scene, against).outcome
    }

    /// Whether the rehearsal is to end.
    pub(super) fn is_aborted(&self) -> bool {
        self.abort.load(Ordering::Relaxed)
    }

    /// A schema, compiled once.
    pub(super) fn schema(&mut self, schema: &serde_json::Value) -> Result<Arc<CompiledSchema>, CallError> {
        let hash = Hash::of(schema.to_string());
        self.schemas.entry(hash).or_insert_with(|| compile(schema).map(Arc::new)).clone()
    }
}

/// The personas a script may name, with the hash that pins their content.
fn known_personas(input: &DryRunInput) -> HashMap<String, (Persona, Hash)> {
    personas(&input.cwd, input.user_home.as_deref())
        .into_iter()
        .map(|p| {
            let persona = Persona { name: p.name.clone(), system: p.system, tools: p.tools, model: p.model };
            // As a run pins them, so that the request keys are those of a run.
            let hash = Hash::of(serde_json::to_vec(&persona).unwrap_or_default());
            (p.name, (persona, hash))
        })
        .collect()
}
