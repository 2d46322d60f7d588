//! The pace of a program: one refusal for being too fast slows its siblings down, and nobody waits who need not.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use owf::core::outcome::ErrorClass;
use owf::providers::{CallContext, Stop};

use serde_json::json;

use crate::cli_support::{Stub, owf_run, request, runtime};
use crate::support::cli::Place;

/// A program by a table that is refused once, with these words, and answers after that.
fn refused_once(words: &str) -> Stub {
    let behave =
        format!("if [ ! -e \"$dir/told\" ]; then touch \"$dir/told\"; echo '{words}' >&2; exit 1; fi; echo fine");
    let table = "program = 'mine'\noutput = 'text'";
    let mut stub = Stub::doing("mine", "1.0", &behave).cli(table);
    stub.entry.kind = Some("cli".into());
    stub
}

#[test]
fn one_429_of_a_program_slows_its_siblings() {
    let stub = refused_once("Rate limit reached. Please try again in 400ms");
    let began = Instant::now();
    let refused = stub.failure().error;
    assert_eq!((refused.class, refused.retry_after_ms), (ErrorClass::RateLimited, Some(400)));
    let (runtime, provider) = (runtime(), stub.provider());
    let siblings: Vec<_> = (0..3)
        .map(|n| {
            let provider = std::sync::Arc::clone(&provider);
            runtime.spawn(async move {
                let asked = request(&format!("sibling {n}"));
                provider.call(&asked, &CallContext::default()).await.map(|_| Instant::now())
            })
        })
        .collect();
    let ends: Vec<Instant> = siblings.into_iter().map(|sibling| runtime.block_on(sibling).unwrap().unwrap()).collect();
    assert!(ends.iter().all(|end| *end - began >= Duration::from_millis(400)), "{ends:?}");
    assert_eq!(stub.calls(), 4);
}

#[test]
fn a_call_that_waits_for_its_turn_ends_at_once_when_asked_to() {
    let stub = refused_once("Rate limit reached. Please try again in 55s");
    assert_eq!(stub.failure().error.class, ErrorClass::RateLimited);
    let context = CallContext { stop: Stop::default(), ..CallContext::default() };
    context.stop.stop();
    let began = Instant::now();
    let ended = stub.call_in(&request("p"), &context).unwrap_err().error;
    assert_eq!((ended.class, stub.calls()), (ErrorClass::Cancelled, 1));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_wait_of_more_than_a_minute_starts_no_program() {
    let stub = refused_once("Rate limit reached. Please try again in 20 minutes");
    assert_eq!(stub.failure().error.retry_after_ms, Some(1_200_000));
    let second = stub.failure().error;
    assert_eq!((second.class, stub.calls()), (ErrorClass::RateLimited, 1));
    assert!(second.retry_after_ms > Some(1_000_000), "{second:?}");
    assert!(second.message.starts_with("mine asked for a pause of "), "{}", second.message);
}

#[test]
fn accept_035_so_many_programs_at_once_as_configured_hold_for_a_run_and_its_child() {
    for limit in [2, 3] {
        // Each notes how many there are; the first ones stay until the limit is reached, and give others the time to come.
        let behave = format!(
            "mkdir -p \"$dir/now\"; touch \"$dir/now/$$\"; ls \"$dir/now\" | wc -l >>\"$dir/seen\"\n\
             while [ ! -e \"$dir/full\" ]; do\n\
               if [ \"$(ls \"$dir/now\" | wc -l)\" -ge {limit} ]; then sleep 0.3; touch \"$dir/full\"; fi; sleep 0.02\n\
             done\n\
             ls \"$dir/now\" | wc -l >>\"$dir/seen\"; rm \"$dir/now/$$\"; cat \"$dir/events\""
        );
        let stub = Stub::doing("claude", "2.1.332 (Claude Code)", &behave)
            .var("OWF_PROVIDER_CLAUDE_CONCURRENCY", &limit.to_string());
        stub.events(&[json!({"type": "result", "subtype": "success", "is_error": false, "result": "ok"})]);
        let place = Place::new();
        let many = |whose: &str| format!("parallel(Array.from({{length: 10}}, (_, i) => () => agent('{whose} ' + i)))");
        let child =
            format!("export const meta = {{ name: 'child', description: 'd' }}\nreturn await {}\n", many("child"));
        place.file("child.js", &child);
        let body = format!(
            "return (await Promise.all([workflow({{ scriptPath: 'child.js' }}), {}])).flat().length",
            many("own")
        );
        let run = owf_run(&stub, &place, &body);
        let seen = std::fs::read_to_string(stub.path().join("seen")).unwrap();
        let most = seen.lines().map(|line| line.trim().parse::<u32>().unwrap()).max();
        assert_eq!((&run["output"], stub.calls(), most), (&json!(20), 20, Some(limit)), "{run}");
    }
}
