//! The fake provider and its fixture file, seen from outside.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use owf::core::budget::Charge;
use owf::core::call::{Ask, CallKind, CallSpec, Isolation};
use owf::core::identity::request_key;
use owf::core::ids::{CallId, RunId};
use owf::core::outcome::{CostSource, ErrorClass, Usage};
use owf::core::run::Mood;
use owf::core::time::Millis;
use owf::providers::fake::{FakeProvider, FixtureProblem, Fixtures, parse};
use owf::providers::schema::{compile, describe};
use owf::providers::{AttemptRequest, CallContext, Provider, Reply, ReplyAnswer, ReplyError};
use proptest::prelude::*;
use serde_json::{Value, json};

fn fixtures_at(path: &Path, text: &str) -> Arc<Fixtures> {
    Arc::new(parse(text.as_bytes(), path).expect("the fixture file is right"))
}

fn fixtures(rules: &str) -> Arc<Fixtures> {
    fixtures_at(Path::new("f.yaml"), &format!("owf_fixtures: 1\nrules:\n{rules}"))
}

fn request(label: &str) -> AttemptRequest {
    let ask = Ask { prompt: Some("Look at  the code.".into()), ..Ask::default() };
    AttemptRequest {
        run_id: RunId::new(Millis(1_779_978_721_204), [7; 5]),
        call_id: CallId(2),
        attempt: 1,
        occurrence: 1,
        request_key: request_key(CallKind::Agent, &ask),
        spec: CallSpec { label: label.into(), ..CallSpec::new(CallKind::Agent, ask) },
        args: json!({"base": "main", "n": 3}),
        model: None,
        persona: None,
        mood: None,
        assume: BTreeMap::new(),
        cwd: std::path::PathBuf::from("/nonexistent"),
        timeout_ms: 1000,
        marker: String::new(),
        feedback: None,
        budget: None,
    }
}

fn with_schema(label: &str, schema: Value) -> AttemptRequest {
    let mut request = request(label);
    request.spec.ask.schema = Some(schema);
    request.request_key = request_key(CallKind::Agent, &request.spec.ask);
    request
}

/// Polls once: what has no delay must be there.
#[expect(clippy::result_large_err, reason = "the provider contract's own error")]
fn ask(provider: &FakeProvider, request: &AttemptRequest) -> Result<Reply, ReplyError> {
    let context = CallContext::default();
    let mut call = provider.call(request, &context);
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the answer was not ready at the first poll"),
    }
}

fn text(reply: Reply) -> String {
    match reply.answer {
        ReplyAnswer::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}

fn value(reply: Reply) -> Value {
    match reply.answer {
        ReplyAnswer::Json(value) => value,
        other => panic!("no value: {other:?}"),
    }
}

fn problems(text: &str) -> Vec<FixtureProblem> {
    parse(text.as_bytes(), Path::new("f.yaml")).expect_err("the fixture file is wrong")
}

#[test]
fn without_rules_a_text_names_the_label_and_echoes_the_prompt() {
    let provider = FakeProvider::new(None, None, false);
    let reply = ask(&provider, &request("scan")).unwrap();
    let expected = "fake answer to \"scan\": Look at the code.";
    assert_eq!(
        reply,
        Reply {
            usage: Usage { input_tokens: 5, output_tokens: expected.len().div_ceil(4) as u64, ..Usage::default() },
            cost_nanos: Some(0),
            cost_source: CostSource::Simulated,
            rule: Some(0),
            ..Reply::new(ReplyAnswer::Text(expected.into()))
        }
    );
    let empty = FakeProvider::new(None, Some(Mood::Empty), false);
    assert_eq!(text(ask(&empty, &request("scan")).unwrap()), "");
}

#[test]
fn answers_do_not_depend_on_run_or_provider_instance() {
    let schema = json!({"type": "object", "properties": {"sha": {"type": "string"}, "files": {"type": "array", "items":
        {"type": "string"}}}});
    let one = with_schema("scan", schema);
    let mut two = one.clone();
    two.run_id = RunId::new(Millis(1), [9; 5]);
    two.timeout_ms = 5;
    assert_eq!(ask(&FakeProvider::new(None, None, false), &one), ask(&FakeProvider::new(None, None, true), &two));
}

#[test]
fn the_file_of_the_manual_is_read() {
    let manual = r#"
owf_fixtures: 1
mood: happy
strict: true
invocation_log: calls.jsonl
defaults:
  usage: { input_tokens: 100, output_tokens: 20 }
rules:
  - match: { label: scan }
    json: { files: [src/a.ts, src/b.ts, src/c.ts, src/d.ts] }

  - match: { label: "review:src/b.ts" }      # fails in the first run, works when resumed
    fail_first: 1
    error: { class: bad_request, message: "no such file" }
    json: { findings: [{ file: src/b.ts, line: 7, claim: "Off by one." }] }

  - match: { label: "review:*" }             # valid answer of the mood, one field fixed
    delay_ms: 30
    merge: { findings: [{ file: "{{ label | replace('review:', '') }}", claim: "Dead code." }] }

  - match: { phase: Verify, occurrence: "2-" }
    never: true                              # until timeout or cancel

  - match: { phase: Verify }
    answers:
      - text: "yes"
      - text: "no"
    usage: { input_tokens: 900, output_tokens: 5 }
    cost_usd: 0.006

  - match: { label: patch }                  # isolation: 'worktree'
    write: { src/new.ts: "export const x = 1;\n" }
    commit: add x
    text: done
    crash: after_answer
"#;
    let directory = tempfile::tempdir().unwrap();
    let fixtures = fixtures_at(&directory.path().join("f.yaml"), manual);
    assert_eq!((fixtures.strict, fixtures.mood), (true, Some(Mood::Happy)));
    let provider = FakeProvider::new(Some(fixtures), None, false);
    assert!(provider.is_strict());
    assert_eq!(provider.unused_rules(), [1, 2, 3, 4, 5, 6]);

    let scan = ask(&provider, &request("scan")).unwrap();
    assert_eq!(scan.rule, Some(1));
    assert_eq!(scan.usage, Usage { input_tokens: 100, output_tokens: 20, ..Usage::default() });
    assert_eq!(value(scan), json!({"files": ["src/a.ts", "src/b.ts", "src/c.ts", "src/d.ts"]}));

    let mut review = request("review:src/b.ts");
    let first = ask(&provider, &review).unwrap_err();
    assert_eq!((first.error.class, first.error.message.as_str()), (ErrorClass::BadRequest, "no such file"));
    assert_eq!((first.usage, first.rule), (Usage::default(), Some(2)));
    review.attempt = 2;
    assert_eq!(
        value(ask(&provider, &review).unwrap()),
        json!({"findings": [{"file": "src/b.ts", "line": 7, "claim": "Off by one."}]})
    );

    let mut verify = request("v");
    verify.spec.phase = Some("Verify".into());
    let yes = ask(&provider, &verify).unwrap();
    assert_eq!((yes.cost_nanos, yes.cost_source, yes.usage.output_tokens), (Some(6_000_000), CostSource::Simulated, 5));
    assert_eq!(text(yes), "yes");
    assert_eq!(provider.reserve(&verify), Charge { tokens: 5, cost_nanos: 6_000_000, calls: 1 });
    assert!(!provider.wants_claim(&verify));
    verify.occurrence = 2;
    assert!(provider.wants_claim(&verify));

    let mut patch = request("patch");
    patch.spec.ask.isolation = Some(Isolation::Worktree);
    let tree = tempfile::tempdir().unwrap();
    let repo = crate::support::git::Repo::new(tree.path(), &[]);
    patch.cwd.clone_from(&repo.0);
    let refused = ask(&provider, &patch).unwrap_err();
    assert_eq!(
        (refused.error.class, refused.error.hint.as_deref()),
        (ErrorClass::Fixture, Some("set OWF_ALLOW_CRASH=1"))
    );
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "add x");

    let unmatched = ask(&provider, &request("else")).unwrap_err();
    assert_eq!((unmatched.error.class, unmatched.rule), (ErrorClass::Fixture, Some(0)));
    assert_eq!(provider.unused_rules(), [3, 4]);
    provider.mark_used(3);
    assert_eq!(provider.unused_rules(), [4]);

    let log = std::fs::read_to_string(directory.path().join("calls.jsonl")).unwrap();
    let first = log.lines().next().unwrap();
    let key = request_key(CallKind::Agent, &request("scan").spec.ask).to_string();
    assert_eq!(
        first,
        format!(
            "{{\"call_id\":\"c0002\",\"call_index\":2,\"label\":\"scan\",\"occurrence\":1,\"attempt\":1,\
             \"request_key\":\"{}\",\"rule\":1,\"answer\":\"json\",\"run_id\":\"{}\"}}",
            &key[..12],
            request("scan").run_id
        )
    );
    let answers: Vec<Value> =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["answer"].clone()).collect();
    assert_eq!(answers, ["json", "error", "json", "text", "text", "error"]);
}

#[tokio::test]
async fn a_delayed_merge_is_valid_and_late() {
    let rules = "  - match: {label: 'review:*'}\n    delay_ms: 1\n    merge: {findings: [{file: \"{{ label | replace('review:', '') }}\", claim: Dead code.}]}\n";
    let provider = FakeProvider::new(Some(fixtures(rules)), None, false);
    let schema = json!({"type": "object", "required": ["findings"], "properties": {"findings": {"type": "array", "items":
        {"type": "object", "required": ["file", "line", "claim"], "properties": {"file": {"type": "string"}, "line":
        {"type": "integer"}, "claim": {"type": "string"}}}}}});
    let request = with_schema("review:src/a.ts", schema.clone());
    assert!(provider.wants_claim(&request));
    let context = CallContext::default();
    let reply = provider.call(&request, &context).await.unwrap();
    let value = value(reply);
    assert_eq!(value, json!({"findings": [{"file": "src/a.ts", "line": 1, "claim": "Dead code."}]}));
    assert!(compile(&schema).unwrap().accepts(&value));
}

#[test]
fn never_stays_pending_and_a_dry_run_does_not_wait_for_it() {
    let rules = fixtures("  - never: true\n");
    let provider = FakeProvider::new(Some(rules.clone()), None, false);
    let (request, context) = (request("a"), CallContext::default());
    let mut call = provider.call(&request, &context);
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let dry = FakeProvider::new(Some(rules), None, false).for_dry_run();
    assert_eq!(ask(&dry, &request).unwrap_err().error.class, ErrorClass::Timeout);
}

#[test]
fn every_condition_of_a_rule_has_to_hold() {
    let matching = |condition: &str, change: &dyn Fn(&mut AttemptRequest)| {
        let rules = format!("  - match: {{{condition}}}\n    text: hit\n  - text: miss\n");
        let provider = FakeProvider::new(Some(fixtures(&rules)), None, false);
        let mut request = request("review:a");
        change(&mut request);
        text(ask(&provider, &request).unwrap()) == "hit"
    };
    let same = |_: &mut AttemptRequest| {};
    assert!(matching("label: 'rev*:a'", &same));
    assert!(!matching("label: rev", &same));
    assert!(matching("prompt: the code", &same));
    assert!(matching("prompt_regex: '^Look.*code\\.$'", &same));
    assert!(!matching("prompt_regex: '^code'", &same));
    assert!(matching("model: opus", &|request| request.model = Some("opus".into())));
    assert!(matching("provider: fake", &same));
    assert!(matching("provider: claude", &|request| request.spec.ask.provider = Some("Claude".into())));
    assert!(matching("agent_type: Explore", &|request| request.spec.ask.agent_type = Some("Explore".into())));
    assert!(matching("has_schema: false", &same));
    assert!(matching("call_index: [1, '2-3']", &same));
    assert!(!matching("call_index: 3", &same));
    assert!(matching("attempt: '2-'", &|request| request.attempt = 5));
    assert!(!matching("attempt: '2-'", &same));
    assert!(!matching("tool: '*'", &same));
    assert!(matching("tool: 'review:*'", &|request| request.spec.kind = CallKind::Tool));
    assert!(!matching("label: 'rev*', occurrence: 2", &same));
}

#[test]
fn templates_see_the_call_and_keep_types() {
    let rules = "  - json: {n: '{{ args.n }}', at: '{{ call_index }}/{{ occurrence }}/{{ attempt }}', base: '{{ args.base }}'}\n";
    let provider = FakeProvider::new(Some(fixtures(rules)), None, false);
    assert_eq!(value(ask(&provider, &request("a")).unwrap()), json!({"n": 3, "at": "2/1/1", "base": "main"}));
    let broken = FakeProvider::new(Some(fixtures("  - text: '{{ args.nothing }}!'\n")), None, false);
    assert_eq!(ask(&broken, &request("a")).unwrap_err().error.class, ErrorClass::Fixture);
}

#[test]
fn accept_025_answers_can_differ_by_attempt_and_are_not_repaired() {
    let rules = "  - match: {attempt: 1}\n    json: {line: around}\n    usage: {output_tokens: 30}\n  - json: {line: 5}\n    usage: {output_tokens: 30}\n";
    let provider = FakeProvider::new(Some(fixtures(rules)), None, false);
    let schema = json!({"type": "object", "properties": {"line": {"type": "integer"}}});
    let compiled = compile(&schema).unwrap();
    let mut request = with_schema("a", schema);
    let first = ask(&provider, &request).unwrap();
    assert_eq!(first.usage.output_tokens, 30);
    let errors = compiled.check(value(first)).unwrap_err();
    assert_eq!(describe(&errors), "/line must be integer, got \"around\"");
    request.attempt = 2;
    assert_eq!(compiled.check(value(ask(&provider, &request).unwrap())), Ok(json!({"line": 5})));
}

#[test]
fn accept_026_the_reservation_is_what_the_rule_charges() {
    let provider = FakeProvider::new(
        Some(fixtures("  - text: x\n    usage: {output_tokens: 60}\n    cost_usd: null\n")),
        None,
        false,
    );
    assert_eq!(provider.reserve(&request("a")), Charge { tokens: 60, cost_nanos: 0, calls: 1 });
    let reply = ask(&provider, &request("a")).unwrap();
    assert_eq!((reply.usage.output_tokens, reply.cost_nanos, reply.cost_source), (60, None, CostSource::Unknown));
    let mood = FakeProvider::new(None, None, false);
    let charged = ask(&mood, &request("a")).unwrap().usage.output_tokens;
    assert_eq!(mood.reserve(&request("a")).tokens, charged);
}

#[test]
fn files_change_only_inside_the_write_scope() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("old.txt"), "old").unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), directory.path().join("link")).unwrap();
    let rules = "  - match: {label: good}\n    write: {src/new.ts: 'export const l = \"{{ label }}\";'}\n    delete: [old.txt]\n    text: done\n  - match: {label: link}\n    write: {link/x.txt: x}\n    text: done\n";
    let provider = FakeProvider::new(Some(fixtures(rules)), None, false);
    let scoped = |label: &str, scope: &[&str]| {
        let mut request = request(label);
        request.cwd = directory.path().to_path_buf();
        request.spec.ask.write_scope = Some(scope.iter().map(|entry| (*entry).to_owned()).collect());
        request
    };
    for scope in [&[][..], &["src"][..]] {
        let refused = ask(&provider, &scoped("good", scope)).unwrap_err();
        assert_eq!(refused.error.class, ErrorClass::Fixture);
        assert!(!directory.path().join("src").exists(), "nothing was written");
    }
    let dry = FakeProvider::new(Some(fixtures(rules)), None, false).for_dry_run();
    assert_eq!(ask(&dry, &scoped("good", &["."])).unwrap().changed_files, Vec::<String>::new());
    assert!(directory.path().join("old.txt").exists());

    let reply = ask(&provider, &scoped("good", &["src", "old.txt"])).unwrap();
    assert_eq!(reply.changed_files, ["old.txt", "src/new.ts"]);
    let written = std::fs::read_to_string(directory.path().join("src/new.ts")).unwrap();
    assert_eq!(written, "export const l = \"good\";");
    assert!(!directory.path().join("old.txt").exists());

    let escaped = ask(&provider, &scoped("link", &["."])).unwrap_err();
    assert_eq!(escaped.error.class, ErrorClass::Fixture);
    assert!(!outside.path().join("x.txt").exists(), "a link out of the directory is not followed");
}

#[test]
fn what_is_not_there_yet_is_refused_honestly() {
    let provider = FakeProvider::new(
        Some(fixtures(
            "  - match: {label: tools}\n    tool_calls: [{name: t, arguments: {}}]\n    text: x\n  - match: {label: crash}\n    crash: before_answer\n    text: x\n  - match: {label: merge}\n    merge: {a: 1}\n",
        )),
        None,
        false,
    );
    for (label, part) in [("tools", "there are no tools yet"), ("crash", "not allowed"), ("merge", "no schema")] {
        let error = ask(&provider, &request(label)).unwrap_err().error;
        assert_eq!(error.class, ErrorClass::Fixture);
        assert!(error.message.contains(part), "{}", error.message);
    }
    let mut second = request("crash");
    second.attempt = 2;
    assert_eq!(text(ask(&provider, &second).unwrap()), "x", "a crash is for the first attempt only");
    let failing = FakeProvider::new(None, Some(Mood::Fail), false);
    assert_eq!(ask(&failing, &request("a")).unwrap_err().error.class, ErrorClass::Fixture);
}

#[test]
fn a_long_label_does_not_make_a_long_log_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.yaml");
    let fixtures = fixtures_at(&file, "owf_fixtures: 1\ninvocation_log: logs/calls.jsonl\n");
    let provider = FakeProvider::new(Some(fixtures), None, false);
    for label in ["\u{1}\u{e4}".repeat(5000), "x".repeat(4096), "y".repeat(10)] {
        ask(&provider, &request(&label)).unwrap();
    }
    let log = std::fs::read_to_string(directory.path().join("logs/calls.jsonl")).unwrap();
    let lengths: Vec<usize> = log.split_inclusive('\n').map(str::len).collect();
    assert_eq!(lengths.len(), 3);
    assert!(lengths[..2].iter().all(|length| (3500..=4096).contains(length)), "{lengths:?}");
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn all_faults_are_reported_at_once_with_their_places() {
    let text = "owf_fixtures: 2\nmod: happy\nrules:\n  - match: {lable: scan}\n    text: 5\n  - json: {a: 1}\n    text: b\n  - match: {occurrence: x, prompt_regex: '('}\n    error: {class: bad_requst}\n    write: {../x: y}\n    usage: {output_tokens: -1}\n    text_: '{{ a'\n";
    let found: Vec<(u32, u32, String)> =
        problems(text).into_iter().map(|problem| (problem.line, problem.column, problem.path)).collect();
    let at = |line: u32, column: u32, path: &str| (line, column, path.to_owned());
    assert_eq!(
        found,
        [
            at(1, 15, "owf_fixtures"),
            at(2, 1, "mod"),
            at(4, 13, "rules[0].match.lable"),
            at(5, 11, "rules[0].text"),
            at(7, 5, "rules[1].text"),
            at(8, 25, "rules[2].match.occurrence"),
            at(8, 42, "rules[2].match.prompt_regex"),
            at(9, 20, "rules[2].error.class"),
            at(10, 13, "rules[2].write.../x"),
            at(11, 28, "rules[2].usage.output_tokens"),
            at(12, 5, "rules[2].text_"),
        ]
    );
    let hints: Vec<Option<String>> = problems(text).into_iter().map(|problem| problem.hint).collect();
    assert_eq!(hints[1].as_deref(), Some("did you mean mood?"));
    assert_eq!(hints[2].as_deref(), Some("did you mean label?"));
    assert_eq!(hints[7].as_deref(), Some("did you mean bad_request?"));
}

#[test]
fn a_file_that_is_no_fixture_file_says_what_it_lacks() {
    let missing = problems("rules: []\n");
    assert_eq!((missing.len(), missing[0].message.as_str()), (1, "missing: the format version"));
    assert_eq!(problems("")[0].message, "must be a map, is nothing");
    assert_eq!(problems("- 1\n")[0].message, "must be a map, is a list");
    let json = parse(b"{\"owf_fixtures\": 1,\n \"rules\": [}", Path::new("f.json")).unwrap_err();
    assert_eq!((json.len(), json[0].line), (1, 2));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, Path::new("f.yaml"));
        let _ = parse(&bytes, Path::new("f.json"));
    }

    #[test]
    fn no_near_miss_of_a_file_makes_the_reader_panic(
        parts in prop::collection::vec(prop::sample::select(vec![
            "owf_fixtures: 1\n", "rules:\n", "  - ", "match: ", "{label: a}", "\n    ", "text: ", "json: ", "[", "]", "{", "}",
            "\"", "'", "&a ", "*a", "<<: *a\n", "!!binary x", "never: true\n", "answers:\n", "      - text: x\n", "error: ",
            "{class: auth}", "usage: ", "1e400", "-", ": ", "|\n", "? ", "# c\n", "\t", "{{ x }}", "{% if", "\u{feff}",
        ]), 0..40),
    ) {
        let text = parts.concat();
        for name in ["f.yaml", "f.json"] {
            if let Err(problems) = parse(text.as_bytes(), Path::new(name)) {
                prop_assert!(!problems.is_empty() && problems.iter().all(|problem| problem.line > 0 && problem.column > 0));
            }
        }
    }
}

#[test]
fn a_crash_after_the_answer_ends_the_process_when_log_and_files_are_written() {
    use std::os::unix::process::ExitStatusExt as _;
    let place = crate::support::cli::Place::new();
    place.file(
        "crash.js",
        "export const meta = {name: 'crash', description: 'd'};\nreturn await agent('x', {label: 'a', writeScope: ['.']});",
    );
    place.file(
        "f.yaml",
        "owf_fixtures: 1\ninvocation_log: calls.jsonl\nrules:\n  - write: {done.txt: '{{ label }}'}\n    crash: after_answer\n    text: x\n",
    );
    let output = place.command(&["run", "crash.js", "--fixtures", "f.yaml", "--no-input"]).output().unwrap();
    assert_eq!(output.status.signal(), Some(9));
    assert_eq!(std::fs::read_to_string(place.path().join("done.txt")).unwrap(), "a");
    assert_eq!(place.log("calls.jsonl").len(), 1);
    assert_eq!(place.json(&["status", "--json"])["status"], "interrupted");
}

#[test]
fn the_cache_identity_holds_mood_and_fixture_hash() {
    let plain = FakeProvider::new(None, None, false);
    let mood = |word: &str| ("mood".to_owned(), word.to_owned());
    assert_eq!(plain.identity(&request("a")), BTreeMap::from([mood("happy")]));
    let rules = fixtures("  - text: x\n");
    let hash = rules.hash.to_string();
    let scripted = FakeProvider::new(Some(rules), Some(Mood::Empty), false);
    let mut asked = request("a");
    assert_eq!(scripted.identity(&asked), BTreeMap::from([mood("empty"), ("fixtures".to_owned(), hash.clone())]));
    asked.mood = Some(Mood::Unhappy);
    assert_eq!(scripted.identity(&asked), BTreeMap::from([mood("unhappy"), ("fixtures".to_owned(), hash)]));
    assert!(!scripted.reads_workspace(&asked));
    assert_eq!(scripted.default_concurrency(), 64);
}
