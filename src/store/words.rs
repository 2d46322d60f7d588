//! Small conversions between columns and core types: status words, hashes, packed keys, sets of cost sources.

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error;

use crate::core::event::{Event, EventRecord};
use crate::core::ids::{CallId, RunId};
use crate::core::outcome::CostSource;
use crate::core::time::Millis;
use crate::store::error::StoreError;

/// The key of the `part`-th event or call of a run.
pub(super) fn packed(run: i64, part: u64) -> i64 {
    (run << 32) | (part & 0xffff_ffff) as i64
}

/// The run's number in a packed key.
pub(super) fn run_of(key: i64) -> i64 {
    key >> 32
}

/// The event's or call's number in a packed key.
pub(super) fn part_of(key: i64) -> u64 {
    (key & 0xffff_ffff) as u64
}

/// Reads a word that core writes in snake case.
pub(super) fn word<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, StoreError> {
    let read: Result<T, Error> = T::deserialize(text.into_deserializer());
    read.map_err(|_| StoreError::Corrupt(format!("the word {text} is not known")))
}

pub(super) fn optional_word<'de, T: Deserialize<'de>>(text: Option<&'de str>) -> Result<Option<T>, StoreError> {
    text.map(word).transpose()
}

pub(super) fn run_id(text: &str) -> Result<RunId, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("`{text}` is not a run id")))
}

pub(super) fn millis(value: Option<i64>) -> Option<Millis> {
    value.map(Millis)
}

pub(super) fn call_id(number: u64) -> CallId {
    CallId(number as u32)
}

/// An event from its row.
pub(super) fn record(key: i64, at: i64, body: &str) -> Result<EventRecord, StoreError> {
    let event: Event = serde_json::from_str(body).map_err(|error| {
        StoreError::Corrupt(format!("event {} of run number {} does not read: {error}", part_of(key), run_of(key)))
    })?;
    Ok(EventRecord { seq: part_of(key), at: Millis(at), event })
}

/// The bit of a source in a set of them.
pub(super) fn cost_bit(source: CostSource) -> i64 {
    match source {
        CostSource::Unknown => 0,
        CostSource::Reported => 1,
        CostSource::Estimated => 2,
        CostSource::Mixed => 4,
        CostSource::Simulated => 8,
    }
}

/// What a set of sources is called.
pub(super) fn cost_source(bits: i64) -> CostSource {
    match bits {
        0 => CostSource::Unknown,
        1 => CostSource::Reported,
        2 => CostSource::Estimated,
        8 => CostSource::Simulated,
        _ => CostSource::Mixed,
    }
}
