//! Policies of the user around calls: hooks before and after, who they are told acts, and the order in which everything decides.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::acca_support::answers;
use crate::support::cli::{Place, Printed, printed};

const ECHO: &str = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'";

const ONE: &str = "name: x
metadata: {tags: [nightly], team: a}
tasks:
  t: {prompt: hello, metadata: {ticket: 7}}
";

/// A place with a document, answers, and hooks as programs: name, script of the shell, and the rest of its configuration.
pub(crate) struct Guarded {
    pub(crate) place: Place,
}

impl Guarded {
    pub(crate) fn new(text: &str, hooks: &[(&str, &str, &str)]) -> Self {
        let guarded = Self { place: Place::new() };
        guarded.place.file("flow.yaml", text);
        guarded.place.file("answers.yaml", &answers(ECHO));
        guarded.configure(hooks);
        guarded
    }

    pub(crate) fn configure(&self, hooks: &[(&str, &str, &str)]) {
        let mut config = String::new();
        for (name, script, rest) in hooks {
            config.push_str(&self.hook(name, script, rest));
        }
        self.config(&config);
    }

    /// Writes the program of a hook; its configuration.
    pub(crate) fn hook(&self, name: &str, script: &str, rest: &str) -> String {
        let path = self.place.file(&format!("bin/{name}.sh"), script);
        format!("[hooks.{name}]\ncommand = [\"/bin/sh\", {:?}]\n{rest}\n", path.display().to_string())
    }

    pub(crate) fn config(&self, text: &str) {
        self.place.file("config/config.toml", text);
    }

    pub(crate) fn owf(&self, args: &[&str]) -> Printed {
        let mut command = self.place.command(args);
        command.env("OWF_CONFIG", self.place.path().join("config/config.toml"));
        printed(&command.output().unwrap())
    }

    pub(crate) fn run(&self) -> Value {
        self.run_with(&[])
    }

    pub(crate) fn run_with(&self, more: &[&str]) -> Value {
        let mut args = vec!["run", "flow.yaml", "--fixtures", "answers.yaml", "--json"];
        args.extend(more);
        let printed = self.owf(&args);
        assert!(matches!(printed.code, 0 | 1 | 3), "{printed:?}");
        printed.json()
    }

    /// The journal of the latest run.
    pub(crate) fn events(&self) -> Vec<Value> {
        let store = self.place.store();
        let events = store.events(&store.resolve("latest").unwrap(), 0, 1000).unwrap();
        events.iter().map(|e| serde_json::to_value(&e.event).unwrap()).collect()
    }

    /// What policies decided: policy, verdict, reason.
    fn decided(&self) -> Vec<(String, String, String)> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let events = self.events();
        let decided = events.iter().filter(|e| e["type"] == "policy_decided");
        decided.map(|e| (text(&e["policy"]), text(&e["verdict"]), text(&e["reason"]))).collect()
    }

    /// Status, class and message of the one call of the latest run.
    fn call(&self) -> (String, String, String) {
        let events = self.events();
        let outcome = &events.iter().rfind(|e| e["type"] == "call_finished").unwrap()["outcome"];
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (text(&outcome["status"]), text(&outcome["error"]["class"]), text(&outcome["error"]["message"]))
    }

    pub(crate) fn invocations(&self) -> usize {
        self.place.log(crate::acca_support::LOG).len()
    }
}

fn three(a: &str, b: &str, c: &str) -> (String, String, String) {
    (a.to_owned(), b.to_owned(), c.to_owned())
}

#[test]
fn a_hook_before_a_call_is_told_of_call_principal_and_metadata_and_its_denial_is_final() {
    let script = "cat > seen.json\necho '{\"verdict\": \"deny\", \"reason\": \"not today\"}'\n";
    let guarded = Guarded::new(ONE, &[("audit", script, "at = \"before\"\nenv = [\"TEAM\"]")]);
    let view = guarded.run_with(&["--principal", "anna"]);
    assert_eq!(view["status"], "failed");
    assert_eq!(view["error"]["message"], "task `t` was denied by hook `audit`: not today");
    assert_eq!(guarded.call(), three("denied", "denied", "denied by hook `audit`: not today"));
    assert_eq!(guarded.decided(), [three("hook audit", "denied", "not today")]);
    assert_eq!(guarded.invocations(), 0);
    let seen: Value =
        serde_json::from_str(&std::fs::read_to_string(guarded.place.path().join("seen.json")).unwrap()).unwrap();
    let expected = json!({
        "owf_hook": 1, "hook": "audit", "at": "before", "principal": "anna",
        "run": {"id": view["run_id"], "workflow": "x", "started_by": "cli", "metadata": {"tags": ["nightly"], "team": "a"}},
        "call": {"id": "c0001", "kind": "agent", "label": "t", "provider": "fake", "mutating": false,
            "ask": {"prompt": "hello"}, "metadata": {"ticket": 7}},
    });
    assert_eq!(seen, expected);
}

#[test]
fn accept_092_a_hook_that_fails_or_says_nothing_never_lets_a_call_run_and_is_left_aside_only_when_declared_so() {
    let broken: &[(&str, &str)] = &[
        ("cat > /dev/null; echo no >&2; exit 3", "it ended with exit code 3: no"),
        ("cat > /dev/null", "it printed nothing"),
        ("echo yes", "it printed no verdict as JSON"),
        ("echo '{\"verdict\": \"accept\"}'", "its verdict must be allow or deny, not `accept`"),
        ("echo '{\"verdict\": \"allow\"}'; kill -9 $$", "it ended with signal 9"),
        ("sleep 600", "it took longer than 200 ms"),
    ];
    for (script, why) in broken {
        let rest = "at = \"before\"\ntimeout_seconds = 0.2\n";
        let rest = if script.starts_with("sleep") { rest } else { "at = \"before\"\n" };
        let guarded = Guarded::new(ONE, &[("audit", script, rest)]);
        assert_eq!(guarded.run()["status"], "failed", "{script}");
        let message = format!("hook `audit` gave no verdict: {why}");
        assert_eq!(guarded.call(), three("failed", "policy", &message));
        assert_eq!(guarded.decided(), [three("hook audit", "broken", why)]);
        assert_eq!(guarded.invocations(), 0, "{script}");
        guarded.configure(&[("audit", script, &format!("{rest}on_failure = \"ignore\""))]);
        assert_eq!(guarded.run()["status"], "done", "{script}");
        assert_eq!(guarded.decided(), [three("hook audit", "ignored", why)]);
        assert_eq!(guarded.invocations(), 1);
    }
    let guarded = Guarded::new(ONE, &[]);
    guarded.config("[hooks.gone]\nat = \"before\"\ncommand = [\"no-such-program-here\"]\n");
    assert_eq!(guarded.run()["status"], "failed");
    assert_eq!(guarded.call().2, "hook `gone` gave no verdict: there is no program `no-such-program-here`");
    assert_eq!(guarded.invocations(), 0);
}

const REJECTS: &str = "read line\ncase \"$line\" in *'<hello>'*) echo '{\"verdict\": \"fail\", \"reason\": \"too short\"}';; *) echo '{\"verdict\": \"accept\"}';; esac\n";

#[test]
fn a_hook_after_a_call_decides_whether_its_answer_counts_also_when_it_comes_from_the_cache() {
    let guarded = Guarded::new(ONE, &[("taste", REJECTS, "at = \"after\"")]);
    assert_eq!(guarded.run()["status"], "failed");
    assert_eq!(guarded.call(), three("failed", "policy", "the answer was rejected by hook `taste`: too short"));
    assert_eq!(guarded.decided(), [three("hook taste", "rejected", "too short")]);
    // What was rejected is not kept for others.
    guarded.configure(&[]);
    assert_eq!(guarded.run()["status"], "done");
    assert_eq!(guarded.invocations(), 2);
    // What was kept before the hook was there is judged all the same.
    guarded.configure(&[("taste", REJECTS, "at = \"after\"")]);
    assert_eq!(guarded.run()["status"], "failed");
    assert_eq!((guarded.invocations(), guarded.call().0.as_str()), (2, "failed"));
    // And one that is accepted counts.
    guarded.place.file("flow.yaml", &ONE.replace("hello", "good day"));
    assert_eq!(guarded.run()["output"], "<good day>");
    assert_eq!(guarded.decided(), []);
}

#[test]
fn a_hook_after_a_call_that_gives_no_verdict_refuses_and_only_one_that_says_so_is_passed_over() {
    let silent = "cat > /dev/null\n";
    let guarded = Guarded::new(ONE, &[("taste", silent, "at = \"after\"")]);
    assert_eq!(guarded.run()["status"], "failed");
    assert_eq!(guarded.call(), three("failed", "policy", "hook `taste` gave no verdict: it printed nothing"));
    assert_eq!(guarded.decided(), [three("hook taste", "broken", "it printed nothing")]);
    guarded.configure(&[("taste", silent, "at = \"after\"\non_failure = \"ignore\"")]);
    assert_eq!(guarded.run()["output"], "<hello>");
    assert_eq!(guarded.decided(), [three("hook taste", "ignored", "it printed nothing")]);
}

const DENIES: &str = "cat > /dev/null\necho '{\"verdict\": \"deny\"}'\n";

#[test]
fn a_document_names_hooks_that_are_configured_and_can_bring_none() {
    let named = format!("hooks: [gate]\n{ONE}");
    let guarded = Guarded::new(&named, &[]);
    let refused = guarded.owf(&["run", "flow.yaml", "--json"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    let message = "the document names the hook `gate`, which is not configured here";
    assert_eq!(refused.json()["error"]["message"], message);
    assert_eq!(guarded.owf(&["runs", "--json"]).json()["runs"], json!([]), "nothing was recorded");
    guarded.configure(&[("gate", DENIES, "at = \"before\"\nalways = false")]);
    assert_eq!(guarded.run()["status"], "failed");
    assert_eq!(guarded.decided(), [three("hook gate", "denied", "")]);
    guarded.place.file("flow.yaml", ONE);
    assert_eq!(guarded.run()["status"], "done", "it judges only those that name it");
    guarded.place.file("flow.yaml", &format!("hooks: [{{name: gate, command: [rm]}}]\n{ONE}"));
    assert_eq!(guarded.owf(&["validate", "flow.yaml"]).code, 2);
    // A child is judged by what judges its parent.
    guarded.place.file("child.yaml", ONE);
    guarded.place.file("flow.yaml", "name: parent\nhooks: [gate]\ntasks:\n  c: {workflow: ./child.yaml}\n");
    guarded.configure(&[("gate", DENIES, "at = \"before\"\nalways = false\nkinds = [\"agent\"]")]);
    let view = guarded.run();
    assert_eq!(view["error"]["message"], "task `c` failed: task `t` was denied by hook `gate`");
}

#[test]
fn what_is_not_configured_is_told_all_at_once_by_validate_and_by_a_rehearsal() {
    let text = "name: x\nhooks: [gaet, tidy]\nevents: [nowhere]\ntasks:\n  t: {prompt: hello, cleanup: [gone, gate]}\n";
    let guarded = Guarded::new(
        text,
        &[("gate", DENIES, "at = \"before\"\nalways = false"), ("tidy", DENIES, "at = \"cleanup\"")],
    );
    let messages = [
        "the document names the hook `gaet`, which is not configured here",
        "the document names the cleanup `gone`, which is not configured here",
        "the document names the event sink `nowhere`, which is not configured here",
        "`hooks` names `tidy`, which is a cleanup",
        "`cleanup` names `gate`, which judges calls (at = \"before\")",
    ];
    let told = |view: &Value, list: &str, code: &str| -> Vec<String> {
        let found = view[list].as_array().unwrap().iter().filter(|one| one["code"] == code);
        found.map(|one| one["message"].as_str().unwrap().to_owned()).collect()
    };
    let validated = guarded.owf(&["validate", "flow.yaml", "--json"]).json();
    assert_eq!(told(&validated, "diagnostics", "not_configured"), messages);
    let rehearsed = guarded.owf(&["dry-run", "flow.yaml", "--json"]).json();
    let said = told(&rehearsed, "warnings", "not_configured");
    let begins: Vec<bool> =
        said.iter().zip(messages).map(|(said, m)| said.starts_with(&format!("A run would be refused: {m}"))).collect();
    assert_eq!(begins, [true; 5], "{said:?}");
}

#[test]
fn hooks_of_a_project_count_when_the_user_trusts_it() {
    let guarded = Guarded::new(ONE, &[]);
    let hook = guarded.hook("theirs", DENIES, "at = \"before\"");
    guarded.place.file(".owf/config.toml", &hook);
    assert_eq!(guarded.run()["status"], "done");
    let trusted = guarded.owf(&["trust", ".", "--json"]);
    assert_eq!(trusted.code, 0, "{trusted:?}");
    assert_eq!(guarded.run()["status"], "failed");
    assert_eq!(guarded.decided(), [three("hook theirs", "denied", "")]);
}

#[test]
fn hooks_are_asked_in_the_order_of_their_names_until_one_refuses_and_for_scripts_too() {
    let says = |word: &str| format!("cat > /dev/null\necho {word} >> order\necho '{{\"verdict\": \"allow\"}}'\n");
    let denies = "cat > /dev/null\necho b >> order\necho '{\"verdict\": \"deny\"}'\n";
    let (a, c) = (says("a"), says("c"));
    let at = "at = \"before\"";
    let guarded = Guarded::new(ONE, &[("c", &c, at), ("a", &a, at), ("b", denies, at)]);
    let script = "export const meta = {name: 's', description: 'd'};\nreturn await agent('x');\n";
    guarded.place.file("flow.js", script);
    let view = guarded.owf(&["run", "flow.js", "--json"]).json();
    assert_eq!((&view["status"], &view["output"]), (&json!("done"), &Value::Null));
    assert_eq!(std::fs::read_to_string(guarded.place.path().join("order")).unwrap(), "a\nb\n");
    assert_eq!(guarded.call(), three("denied", "denied", "denied by hook `b`"));
}

/// The words of the journal for one call, with what a policy decided.
fn trace(events: &[Value]) -> Vec<String> {
    let word = |e: &Value| match e["type"].as_str().unwrap() {
        "policy_decided" => format!("{} {}", e["policy"].as_str().unwrap(), e["verdict"].as_str().unwrap()),
        "call_finished" => format!("call_finished {}", e["outcome"]["status"].as_str().unwrap()),
        other => other.to_owned(),
    };
    events.iter().map(word).filter(|w| !w.starts_with("run_")).collect()
}

#[test]
fn accept_092_policies_decide_in_their_order() {
    // Everything that leaves a trace, in one call: question, hook before, attempts with retry and schema, hook after.
    let text = "name: x
tasks:
  t:
    approval: Go?
    prompt: hello
    schema: {type: object, properties: {n: {type: integer}}, required: [n]}
    retry: {max_attempts: 3, on: [rate_limited, schema]}
";
    let broken = "cat > /dev/null\nexit 1\n";
    let rest = |at: &str| format!("at = \"{at}\"\non_failure = \"ignore\"\nkinds = [\"agent\"]");
    let (before, after) = (rest("before"), rest("after"));
    let guarded = Guarded::new(text, &[("first", broken, &before), ("last", broken, &after)]);
    let rules = "  - match: {attempt: 1}\n    error: {class: rate_limited, message: later}\n  - match: {attempt: 2}\n    json: {n: x}\n  - json: {n: 1}";
    guarded.place.file("answers.yaml", &answers(rules));
    let run = guarded.run()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(guarded.owf(&["approve", &run, "--json"]).code, 0);
    guarded.owf(&["wait", &run, "--json"]);
    let expected = [
        "call_requested",
        "approval_asked",
        "approval_decided",
        "call_finished done",
        "call_requested",
        "hook first ignored",
        "attempt_started",
        "attempt_failed",
        "attempt_started",
        "attempt_failed",
        "attempt_started",
        "hook last ignored",
        "call_finished done",
    ];
    assert_eq!(trace(&guarded.events()), expected);

    // Of two that both have something to say, the earlier one says it. The question and a hook:
    let guarded = Guarded::new("name: x\ntasks:\n  t: {approval: 'Go?', prompt: hello}\n", &[]);
    guarded.configure(&[("gate", "echo asked >> asked\nexit 1\n", "at = \"before\"")]);
    let run = guarded.run()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(guarded.owf(&["deny", &run, "--json"]).code, 0);
    assert_eq!(guarded.owf(&["wait", &run, "--json"]).json()["status"], "failed");
    assert!(!guarded.place.path().join("asked").exists(), "a denied task asks no hook");

    // A hook and the cache:
    let guarded = Guarded::new(ONE, &[]);
    assert_eq!(guarded.run()["status"], "done");
    guarded.configure(&[("gate", DENIES, "at = \"before\"")]);
    assert_eq!((&guarded.run()["status"], guarded.call().0.as_str()), (&json!("failed"), "denied"));

    // The cache and the budget: what is cached needs none.
    let costs = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'\n    usage: {output_tokens: 60}";
    let statuses = |guarded: &Guarded| -> Vec<String> {
        let ended = guarded.events().into_iter().filter(|e| e["type"] == "call_finished");
        ended.map(|e| e["outcome"]["status"].as_str().unwrap().to_owned()).collect()
    };
    let guarded = Guarded::new(ONE, &[]);
    guarded.place.file("answers.yaml", &answers(costs));
    guarded.run();
    let steps = "name: x\non_failure: best_effort\nsteps:\n  - {id: a, prompt: new}\n  - {id: b, prompt: hello}\n  - {id: c, prompt: newer}\n";
    guarded.place.file("flow.yaml", steps);
    guarded.run_with(&["--budget-tokens", "50"]);
    assert_eq!(statuses(&guarded), ["done", "done", "budget_exhausted"]);

    // Concurrency and the budget: who waits for a place holds no part of the budget, and is asked for it when it has one.
    let two = "name: x\non_failure: best_effort\ntasks:\n  a: {prompt: one}\n  b: {prompt: two}\n";
    guarded.place.file("flow.yaml", two);
    guarded.run_with(&["--budget-tokens", "100", "--cache-policy", "disabled"]);
    assert_eq!(statuses(&guarded), ["budget_exhausted", "done"]);
    guarded.run_with(&["--budget-tokens", "100", "--cache-policy", "disabled", "--concurrency", "1"]);
    assert_eq!(statuses(&guarded), ["done", "done"]);
}
