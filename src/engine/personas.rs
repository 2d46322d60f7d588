//! Agent personas as a run uses them: found once, pinned by content at first use.

use std::collections::BTreeMap;

use crate::core::history::History;
use crate::core::ids::Hash;
use crate::front::script::PersonaFile;
use crate::providers::Persona;
use crate::store::{Store, StoreError};

use super::run_loop::RunLoop;

/// A persona and the bytes that pin it.
#[derive(Debug, Clone)]
pub(crate) struct Pinnable {
    pub(crate) persona: Persona,
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: Hash,
}

impl Pinnable {
    fn of(persona: Persona) -> Self {
        let bytes = serde_json::to_vec(&persona).unwrap_or_default();
        let hash = Hash::of(&bytes);
        Self { persona, bytes, hash }
    }
}

/// The personas a run may use: those it has pinned as they were, others as they are now.
pub(crate) fn load(
    found: Vec<PersonaFile>,
    history: &History,
    store: &Store,
) -> Result<BTreeMap<String, Pinnable>, StoreError> {
    let mut out: BTreeMap<String, Pinnable> = found
        .into_iter()
        .map(|p| {
            let persona = Persona { name: p.name.clone(), system: p.system, tools: p.tools, model: p.model };
            (p.name, Pinnable::of(persona))
        })
        .collect();
    for ((kind, name), hash) in &history.pins {
        if kind != "persona" {
            continue;
        }
        if let Some(bytes) = store.source(hash)?
            && let Ok(persona) = serde_json::from_slice::<Persona>(&bytes)
        {
            out.insert(name.clone(), Pinnable { persona, bytes, hash: *hash });
        }
    }
    Ok(out)
}

impl RunLoop {
    /// Puts the content of a persona into the store before the journal names it.
    pub(super) fn pin_persona(&self, name: &str) -> Result<(), StoreError> {
        match self.personas.get(name) {
            Some(persona) => self.tree.store.put_source(&persona.bytes).map(|_| ()),
            None => Ok(()),
        }
    }
}
