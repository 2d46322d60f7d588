//! The fake provider of a run: its fixture file as pinned with the run, never as it is on disk now.

use std::path::Path;
use std::sync::Arc;

use crate::core::failure::{Code, Failure};
use crate::core::run::Settings;
use crate::engine::services::Services;
use crate::providers::fake::{FakeProvider, Fixtures, parse};
use crate::store::Store;

use super::fixtures::faulty;

/// The fake provider with the fixtures and the mood of `settings`. A rule may end this process only when the environment
/// says `OWF_ALLOW_CRASH=1`.
///
/// # Errors
/// The pinned file is not in the store, cannot be read from it, or does not parse.
pub(crate) fn fake_provider(store: &Store, services: &Services, settings: &Settings) -> Result<FakeProvider, Failure> {
    let fixtures = pinned(store, settings)?.map(Arc::new);
    let allow_crash = services.env.get("OWF_ALLOW_CRASH") == Some("1");
    Ok(FakeProvider::new(fixtures, settings.mood, allow_crash))
}

fn pinned(store: &Store, settings: &Settings) -> Result<Option<Fixtures>, Failure> {
    let Some(pin) = &settings.fixtures else { return Ok(None) };
    let Some(bytes) = store.source(&pin.hash)? else {
        let message = format!("the store no longer holds the fixture file {} ({})", pin.path, pin.hash.short());
        return Err(Failure::new(Code::StoreCorrupt, message));
    };
    let path = Path::new(&pin.path);
    parse(&bytes, path).map(Some).map_err(|problems| faulty(path, &problems))
}
