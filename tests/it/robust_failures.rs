//! What breaks below a run: a full store, a provider or the engine that panics, a store taken away.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use owf::core::event::Event;
use owf::core::failure::Code;
use owf::core::outcome::{CallStatus, ErrorClass};
use owf::core::run::{RunErrorCode, RunStatus};
use owf::engine::RunEnd;
use owf::engine::params::RunParams;
use owf::store::{OpenMode, Store, StoreOptions};
use serde_json::{Value, json};

use crate::robust_local::{Local, Scripted, finished, script, value};
use crate::support::cli::Place;

fn scripted(body: &str) -> RunParams {
    RunParams { script: Some(script(body)), provider: Some("scripted".to_owned()), ..RunParams::default() }
}

#[test]
fn a_provider_that_panics_is_a_crashed_call_and_the_run_goes_on() {
    for later in [false, true] {
        let mut provider = Scripted::new(|request| {
            let prompt = request.spec.ask.prompt.clone().unwrap_or_default();
            assert!(!prompt.starts_with("bad"), "no answer to {prompt}");
            Ok(json!("fine"))
        });
        provider.later = later;
        let local = Local::with(|o| o.registry = Some(provider.registry()));
        let body = "return await parallel(['bad 1', 'good', 'bad 2'].map(p => () => owf.agent(p)))";
        let (run, end) = local.run_with(&scripted(body));
        let output = value(end);
        let seen: Vec<Value> = output
            .as_array()
            .unwrap()
            .iter()
            .map(|r| json!([r["ok"], r["status"], r["text"], r["error"]["class"], r["error"]["message"]]))
            .collect();
        let crashed = |n: u32| {
            json!([false, "failed", null, "crashed", format!("provider \"scripted\" broke off: no answer to bad {n}")])
        };
        assert_eq!(seen, [crashed(1), json!([true, "done", "fine", null, null]), crashed(2)]);
        let classes: Vec<_> = local
            .journal(&run)
            .into_iter()
            .filter_map(|event| match event {
                Event::CallFinished { call_id, outcome, .. } => {
                    Some((call_id.0, outcome.status, outcome.error.map(|e| e.class)))
                }
                _ => None,
            })
            .collect();
        let mut sorted = classes;
        sorted.sort_by_key(|c| c.0);
        assert_eq!(
            sorted,
            [
                (1, CallStatus::Failed, Some(ErrorClass::Crashed)),
                (2, CallStatus::Done, None),
                (3, CallStatus::Failed, Some(ErrorClass::Crashed)),
            ]
        );
    }
}

#[test]
fn an_engine_that_panics_ends_its_run_as_engine_crash() {
    let mut provider = Scripted::new(|_| Ok(json!("never")));
    provider.bad_identity = true;
    let local = Local::with(|o| o.registry = Some(provider.registry()));
    let body = "const first = agent('slow', {provider: 'fake'}); return await agent('x')";
    let (run, end) = local.run_with(&scripted(body));
    let outcome = finished(end);
    assert_eq!(outcome.status, RunStatus::Failed);
    let error = outcome.error.clone().unwrap();
    assert_eq!(error.code, RunErrorCode::EngineCrash);
    assert_eq!(error.message, "owf broke off while it executed the run: who am I");
    let journal = local.journal(&run);
    assert_eq!(journal.last(), Some(&Event::RunFinished { outcome: Box::new(outcome) }));
    let store = local.place.store();
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    assert!(!store.is_live(&run));
    let counts = local.place.json(&["status", run.as_str(), "--json"])["counts"].clone();
    assert_eq!((&counts["running"], &counts["queued"]), (&json!(0), &json!(0)));
}

#[test]
fn a_child_whose_engine_panics_fails_alone() {
    let mut provider = Scripted::new(|_| Ok(json!("never")));
    provider.bad_identity = true;
    let local = Local::with(|o| o.registry = Some(provider.registry()));
    local.place.file("child.js", &script("return await agent('x', {provider: 'scripted'})"));
    let body = "let why = null; try { await workflow({scriptPath: 'child.js'}) } catch (e) { why = e.message }
                return [why, await agent('after') !== null]";
    let (_, end) = local.run(body);
    assert_eq!(value(end), json!(["owf broke off while it executed the run: who am I", true]));
}

/// Answers count; a mutating one after the store is full must not.
const FILLING: &str = "
    for (let i = 0; i < 400; i++) await agent('look ' + i + ' ' + 'x'.repeat(2000));
    return await agent('change', {label: 'change', writeScope: ['out'], onLost: 'rerun'})";

#[test]
fn a_full_store_ends_the_execution_and_the_run_goes_on_when_there_is_space() {
    let asked = Arc::new(AtomicU32::new(0));
    let changed = Arc::new(AtomicU32::new(0));
    let provider = || {
        let (asked, changed) = (Arc::clone(&asked), Arc::clone(&changed));
        Scripted::new(move |request| {
            asked.fetch_add(1, Ordering::SeqCst);
            if request.spec.label == "change" {
                changed.fetch_add(1, Ordering::SeqCst);
            }
            Ok(json!("y".repeat(2000)))
        })
    };
    let small = StoreOptions { max_page_count: Some(150), ..StoreOptions::default() };
    let local = Local::with(|o| {
        o.registry = Some(provider().registry());
        o.store = Some(small);
    });
    let (run, end) = local.run_with(&scripted(FILLING));
    let RunEnd::Lost(failure) = end else { panic!("{end:?}") };
    assert_eq!(failure.code, Code::StoreFull, "{failure:?}");
    assert_eq!(failure.hint.as_deref(), Some("free some space (owf prune), then owf resume the run"));
    assert!(asked.load(Ordering::SeqCst) < 400, "nothing starts after the failed commit");
    assert_eq!(changed.load(Ordering::SeqCst), 0);
    assert!(!local.place.home().join("runs").join(run.as_str()).join("output.json").exists());
    let Local { place, engine } = local;
    drop(engine);
    // Read by another process: sound, not done, and nobody owns it.
    let status = place.json(&["status", run.as_str(), "--json"]);
    assert_eq!((&status["status"], &status["status_reason"]), (&json!("interrupted"), &json!("owner_gone")));
    let done_before = status["counts"]["done"].as_u64().unwrap();
    assert_eq!(place.store().integrity_check().unwrap(), Vec::<String>::new());
    let asked_before = asked.swap(0, Ordering::SeqCst);
    assert!(u64::from(asked_before) >= done_before);
    // There is space again.
    let local = Local::at(place, |o| o.registry = Some(provider().registry()));
    let (same, end) = local.resume(&run);
    assert_eq!(same, run);
    assert_eq!(value(end), json!("y".repeat(2000)));
    assert_eq!(u64::from(asked.load(Ordering::SeqCst)), 401 - done_before, "finished calls are not asked again");
    assert_eq!(changed.load(Ordering::SeqCst), 1);
}

#[test]
fn a_mutating_attempt_takes_effect_only_when_its_start_is_on_disk() {
    let place = Place::new();
    let home = place.home();
    // What another process could read at the moment the provider is asked.
    let provider = Scripted::new(move |request| {
        let store = Store::open(&home, OpenMode::Existing).unwrap();
        let run = store.resolve("latest").unwrap();
        let events = store.events(&run, 0, 1000).unwrap();
        let call = request.call_id;
        let started = |e: &Event| matches!(e, Event::AttemptStarted { call_id, .. } if *call_id == call);
        Ok(json!({ "on_disk": events.iter().any(|record| started(&record.event)) }))
    });
    let local = Local::at(place, |o| o.registry = Some(provider.registry()));
    let body = "const schema = {type: 'object'}, out = [];
        for (let i = 0; i < 20; i++) out.push((await agent('change ' + i, {schema, writeScope: ['out']})).on_disk);
        return out";
    let (_, end) = local.run_with(&scripted(body));
    assert_eq!(value(end), json!(vec![true; 20]));
}
