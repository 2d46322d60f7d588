//! Commands of documents: who may run them, what they are given, how they end, and that nothing of them is left.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli_support::Stub;
use crate::support::cli::{Place, Printed, eventually, printed};
use crate::support::mcp::Mcp;

const SECOND: Duration = Duration::from_secs(1);

/// A place with this document as `flow.yaml`.
fn place(document: &str) -> Place {
    let place = Place::new();
    place.file("flow.yaml", document);
    place
}

const RUN: &[&str] = &["run", "flow.yaml", "--allow-commands", "--no-input", "--json"];

/// Runs the document with commands allowed; the view of the run.
fn view(place: &Place, more: &[&str]) -> Value {
    place.owf(&[RUN, more].concat()).json()
}

/// The same in an environment with more in it.
fn view_in(place: &Place, env: &[(&str, &str)]) -> Value {
    printed(&place.command(RUN).envs(env.iter().copied()).output().unwrap()).json()
}

/// The call of the latest run with this label.
fn call(place: &Place, label: &str) -> Value {
    let calls = place.json(&["calls", "latest", "--json"]);
    let found = calls["calls"].as_array().unwrap().iter().find(|c| c["label"] == label).cloned();
    found.unwrap_or_else(|| panic!("no call {label}: {calls}"))
}

/// Whether a process is there and not merely waiting to be collected.
pub(crate) fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// The lines of a file once there are as many.
fn lines_of(dir: &Path, name: &str, count: usize) -> Vec<String> {
    let read = || std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    eventually(5 * SECOND, "lines are written", || read().matches('\n').count() >= count);
    read().lines().map(str::to_owned).collect()
}

#[test]
fn what_a_command_prints_is_the_text_and_the_data_of_its_task_and_words_stay_words() {
    let place = place(
        "name: x
tasks:
  words: {run: [printf, '<%s>', '{{ input.a }}', 'b c', '$HOME', '*']}
  data: {run: [cat], after: words}
  read:
    run: {argv: [cat], input: '{\"k\": [1, \"{{ tasks.words }}\"]}', cwd: sub, read_only: true}
    after: words
  each: {for_each: [1, 2], run: [expr, '{{ item }}', '*', '10']}
  sum: {after: [read, each, data], expr: {k: '{{ tasks.read.data.k.1 }}', text: '{{ tasks.words }}', each: '{{ tasks.each }}', none: '{{ tasks.data }}'}}
",
    );
    std::fs::create_dir(place.path().join("sub")).unwrap();
    let run = view(&place, &["--arg", "a=1; touch hacked"]);
    let text = "<1; touch hacked><b c><$HOME><*>";
    assert_eq!(run["output"], json!({"k": text, "text": text, "each": ["10", "20"], "none": ""}), "{run}");
    let shown = place.json(&["calls", "latest", "c0001", "--json"]);
    let detail = &shown["call"];
    assert_eq!(
        json!([detail["kind"], detail["provider"], detail["cache_status"], detail["prompt_preview"]]),
        json!(["command", "command", "bypassed", "printf '<%s>' '1; touch hacked' 'b c' '$HOME' '*'"]),
        "{shown}"
    );
    let spent = ["input_tokens", "output_tokens", "cost_usd", "cost_source"];
    assert!(spent.iter().all(|field| detail.get(field).is_none()), "it is no agent: {shown}");
}

#[test]
fn commands_need_the_users_configuration_or_a_flag_and_nothing_starts_without() {
    let place = place("name: x\ntasks:\n  first: {prompt: hi}\n  touch: {after: first, run: [touch, done]}\n");
    let refused = place.owf(&["run", "flow.yaml", "--no-input", "--json"]);
    let error = refused.json()["error"].clone();
    assert_eq!(
        json!([refused.code, error["code"], error["message"], error["tasks"]]),
        json!([2, "invalid_arguments", "the workflow runs commands, which is not allowed here: touch", ["touch"]])
    );
    assert!(error["hint"].as_str().unwrap().contains("--allow-commands"), "{error}");
    assert_eq!(place.json(&["runs", "--json"])["total"], json!(0));
    // A client of the server cannot say so itself.
    let mut client = Mcp::start(&place);
    let told = client.refused("owf_run_workflow", json!({"path": "flow.yaml"}));
    assert!(told.to_string().contains("not allowed here: touch"), "{told}");
    let pushed = client.refused("owf_run_workflow", json!({"path": "flow.yaml", "allow_commands": true}));
    assert!(pushed.to_string().contains("allow_commands"), "{pushed}");
    drop(client);
    assert!(!place.path().join("done").exists());
    let config = place.file("user.toml", "commands = true\n").display().to_string();
    let mut allowed = place.command(&["run", "flow.yaml", "--no-input", "--json"]);
    let done = printed(&allowed.env("OWF_CONFIG", &config).output().unwrap()).json();
    assert_eq!(done["status"], json!("done"), "{done}");
    assert!(place.path().join("done").exists());
    assert_eq!(view(&place, &[])["status"], json!("done"));
}

#[test]
fn a_child_with_commands_is_refused_when_its_turn_comes() {
    let place = place("name: x\ntasks:\n  child: {workflow: ./child.yaml}\n");
    place.file("child.yaml", "name: child\ntasks:\n  touch: {run: [touch, done]}\n");
    let run = place.owf(&["run", "flow.yaml", "--no-input", "--json"]).json();
    assert_eq!(
        run["error"]["message"],
        json!("task `child` failed: task `touch` failed: commands are not allowed in this run"),
        "{run}"
    );
    assert!(!place.path().join("done").exists());
    assert_eq!(view(&place, &[])["status"], json!("done"));
}

#[test]
fn what_a_person_allowed_holds_for_that_source_with_those_args() {
    let place = place("name: x\ntasks:\n  go: {run: [sh, -c, 'test -e ready && cat ready']}\n");
    assert_eq!(view(&place, &[])["status"], json!("failed"));
    place.file("ready", "yes");
    let resume = |more: &[&str]| place.owf(&[&["resume", "--no-input", "--json"], more].concat());
    let refused = |printed: Printed| (printed.code, printed.json()["error"]["message"].clone());
    let no = json!("the workflow runs commands, which is not allowed here: go");
    assert_eq!(refused(resume(&["--arg", "a=1"])), (2, no.clone()));
    place.file("flow.yaml", "name: x\ntasks:\n  go: {run: [sh, -c, 'echo other']}\n");
    assert_eq!(refused(resume(&["--source", "current"])), (2, no));
    let same = resume(&[]).json();
    assert_eq!(json!([same["status"], same["output"]]), json!(["done", "yes"]), "{same}");
    let other = resume(&["--source", "current", "--allow-commands"]).json();
    assert_eq!(json!([other["status"], other["output"]]), json!(["done", "other"]), "{other}");
}

#[test]
fn accept_065_a_timeout_counts_as_an_attempt_and_ends_everything_the_command_started() {
    let script = "sleep 300 & echo $! >> pids; sleep 300 & echo $! >> pids; wait";
    let place = place(&format!(
        "name: x\ntasks:\n  slow: {{run: [sh, -c, '{script}'], timeout: 1s, retry: {{max_attempts: 2, on: [timeout]}}}}\n"
    ));
    let run = view(&place, &[]);
    assert_eq!(run["error"]["message"], json!("task `slow` failed: no answer in 1 s"), "{run}");
    let slow = call(&place, "slow");
    assert_eq!(json!([slow["status"], slow["attempts"]]), json!(["timeout", 2]), "{slow}");
    let list = place.json(&["calls", "latest", "c0001", "--json"])["call"]["attempts_list"].clone();
    let each: Vec<Value> = list.as_array().unwrap().iter().map(|a| a["class"].clone()).collect();
    assert_eq!(each, ["timeout", "timeout"], "{list}");
    // Each attempt had time of its own: both started their two.
    let pids = lines_of(place.path(), "pids", 4);
    assert_eq!(pids.len(), 4);
    assert_eq!(pids.iter().filter(|pid| alive(pid)).count(), 0, "{pids:?}");
}

#[test]
fn a_command_that_fails_says_how_and_what_it_said_last_and_is_tried_again_as_told() {
    let place = place(
        "name: x
on_failure: best_effort
tasks:
  says: {run: [sh, -c, 'echo no >&2; echo such luck >&2; exit 3']}
  silent: {run: ['false']}
  prints: {run: [sh, -c, 'echo on stdout; exit 1']}
  gone: {run: [owf-is-not-here, x]}
  here: {run: [./missing.sh]}
  killed: {run: [sh, -c, 'kill -9 $$']}
  much: {run: [sh, -c, 'yes | head -c 2000000']}
  outside: {run: {argv: [pwd], cwd: link}}
  works: {run: [sh, -c, 'echo x >> tries; test $(wc -l < tries) -ge 3 && echo ok'], retry: {max_attempts: 5, on: [exit]}}
",
    );
    std::os::unix::fs::symlink("/", place.path().join("link")).unwrap();
    let run = view(&place, &[]);
    assert_eq!(run["status"], json!("done"), "{run}");
    let told = |label: &str| {
        let call = call(&place, label);
        format!(
            "{} {} {}",
            call["status"].as_str().unwrap(),
            call["attempts"],
            call["error"]["message"].as_str().unwrap_or("-")
        )
    };
    assert_eq!(
        ["says", "silent", "prints", "gone", "here", "killed", "much", "outside", "works"].map(told),
        [
            "failed 1 `sh` ended with exit code 3: no\nsuch luck",
            "failed 1 `false` ended with exit code 1",
            "failed 1 `sh` ended with exit code 1: on stdout",
            "failed 1 there is no program `owf-is-not-here` on the PATH",
            "failed 1 there is no program `./missing.sh` there",
            "failed 1 `sh` ended with signal 9",
            "failed 1 `sh` printed more than 1024 KB and was ended",
            "failed 1 `cwd` link is no directory in the workspace",
            "done 3 -",
        ]
    );
}

#[test]
fn what_a_command_prints_is_held_to_its_schema() {
    let schema = "schema: {type: object, required: [n], properties: {n: {type: integer}}}";
    let place = place(&format!(
        "name: x\non_failure: best_effort\ntasks:\n  good: {{run: [echo, '{{\"n\": 1}}'], {schema}}}\n  bad: {{run: [echo, '{{\"n\": 1.5}}'], {schema}}}\n"
    ));
    view(&place, &[]);
    assert_eq!(place.json(&["output", "latest", "--json"])["output"]["good"], json!({"n": 1}));
    let bad = call(&place, "bad");
    assert_eq!(json!([bad["status"], bad["attempts"]]), json!(["schema_failed", 1]), "{bad}");
}

/// Looked for in every file below a directory.
fn files_with(dir: &Path, what: &str) -> Vec<String> {
    let files = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    files
        .filter(|e| String::from_utf8_lossy(&std::fs::read(e.path()).unwrap()).contains(what))
        .map(|e| e.path().display().to_string())
        .collect()
}

#[test]
fn accept_070_a_command_gets_little_environment_and_its_secrets_which_are_found_nowhere() {
    let place = place(
        "name: x
tasks:
  bare: {run: [sh, -c, 'env | cut -d= -f1 | sort']}
  told: {after: bare, run: [sh, -c, 'echo \"it is $DEPLOY_TOKEN\"; printf %s $DEPLOY_TOKEN | wc -c'], secrets: [DEPLOY_TOKEN]}
  asks: {after: told, prompt: 'they say {{ tasks.told }}', secrets: [DEPLOY_TOKEN]}
  fails: {after: told, run: [sh, -c, 'echo $DEPLOY_TOKEN >&2; exit 1'], secrets: [DEPLOY_TOKEN], allow_failure: true}
  end: {after: [asks, fails], expr: '{{ tasks.told }}'}
",
    );
    let unset = view(&place, &[]);
    assert_eq!(
        unset["error"]["message"],
        json!("task `told` failed: the secret DEPLOY_TOKEN is not set in the environment"),
        "{unset}"
    );
    assert_eq!(call(&place, "told")["attempts"], json!(0));
    let bare = place.owf(&["cat", "latest/c0001"]).out;
    assert!(bare.contains("PATH\n") && !bare.contains("TOKEN") && !bare.contains("OWF_HOME"), "{bare}");
    let secret = "tok/en+123456789";
    let run = view_in(&place, &[("DEPLOY_TOKEN", secret), ("OTHER_TOKEN", "x")]);
    assert_eq!(run["output"], json!("it is [DEPLOY_TOKEN]\n16"), "{run}");
    assert_eq!(call(&place, "fails")["error"]["message"], json!("`sh` ended with exit code 1: [DEPLOY_TOKEN]"));
    let mut report = place.command(&["report", "latest"]);
    assert!(report.env("DEPLOY_TOKEN", secret).output().unwrap().status.success());
    assert_eq!(files_with(&place.home(), secret), Vec::<String>::new());
    assert_eq!(files_with(&place.home(), "tok%2Fen"), Vec::<String>::new());
}

#[test]
fn accept_070_a_secret_that_is_empty_or_so_short_that_ordinary_text_holds_it_is_refused_before_anything_runs() {
    let place = place(
        "name: x
on_failure: best_effort
tasks:
  command: {run: [sh, -c, 'echo $PIN > ran'], secrets: [PIN]}
  agent: {prompt: hi, secrets: [PIN]}
",
    );
    place.file("answers.yaml", &crate::acca_support::answers("  - text: ok"));
    let said = |pin: &str, more: &[&str]| {
        let mut command = place.command(&[RUN, more].concat());
        assert_eq!(printed(&command.env("PIN", pin).output().unwrap()).code, 0);
        let call = call(&place, if more.is_empty() { "command" } else { "agent" });
        json!([call["attempts"], call["error"]["message"]])
    };
    let short = "the secret PIN is shorter than 8 bytes, so no record could be kept free of it";
    for (pin, message) in
        [("", "the secret PIN is not set in the environment"), ("  ", "the secret PIN is empty"), ("s3cr3t!", short)]
    {
        assert_eq!(said(pin, &["--fixtures", "answers.yaml"]), json!([0, message]), "{pin}");
        assert_eq!(said(pin, &["--provider", "fake"]), json!([0, message]), "{pin}");
        assert_eq!(said(pin, &[]), json!([0, message]), "{pin}");
    }
    assert_eq!(place.log(crate::acca_support::LOG).len(), 0);
    assert!(!place.path().join("ran").exists());
    assert_eq!(files_with(&place.home(), "s3cr3t!"), Vec::<String>::new());
}

#[test]
fn accept_070_a_secret_is_found_nowhere_when_it_comes_in_by_args_by_a_child_by_names_of_files_or_in_another_process() {
    let secret = "tok/en+123456789";
    let document = "name: x
tasks:
  told: {run: [sh, -c, 'echo \"$1 is $DEPLOY_TOKEN\"; test -e go', word, '{{ input.word }}'], secrets: [DEPLOY_TOKEN]}
  made: {after: told, run: [sh, -c, 'f=made-by-$PLAIN_TOKEN; touch $f; echo \"{\\\"f\\\": [\\\"$f\\\"]}\"'], secrets: [PLAIN_TOKEN], outputs: {from: f}}
  kid: {after: made, workflow: ./kid.yaml, args: {word: '{{ input.word }}'}}
result: {told: '{{ tasks.told }}', made: '{{ tasks.made.files }}', kid: '{{ tasks.kid }}'}
";
    let place = place(document);
    place.file(
        "kid.yaml",
        "name: kid\ntasks:\n  deep: {run: [sh, -c, 'echo \"$KID_TOKEN {{ input.word }}\"'], secrets: [KID_TOKEN]}\n",
    );
    let owf = |args: &[&str]| {
        let mut command = place.command(args);
        let env = [("DEPLOY_TOKEN", secret), ("PLAIN_TOKEN", "plain-123456789"), ("KID_TOKEN", "kid-987654321")];
        printed(&command.envs(env).output().unwrap())
    };
    let word = format!("word={secret}");
    let started =
        owf(&["run", "flow.yaml", "--allow-commands", "--no-input", "--detach", "--arg", &word, "--json"]).json();
    let run = started["run_id"].as_str().unwrap_or_else(|| panic!("{started}")).to_owned();
    owf(&["wait", &run, "--json"]);
    let failed = place.json(&["status", &run, "--json"]);
    assert_eq!(failed["status"], "failed", "{failed}");
    let nowhere = |what: &str| {
        for secret in [secret, "tok%2Fen", "plain-123456789", "kid-987654321"] {
            assert_eq!(files_with(&place.home(), secret), Vec::<String>::new(), "{what}");
        }
    };
    nowhere("a run in a process of its own");
    place.file("go", "");
    let done = owf(&["resume", &run, "--arg", &word, "--no-input", "--json"]).json();
    assert_eq!(
        done["output"],
        json!({"told": "[DEPLOY_TOKEN] is [DEPLOY_TOKEN]", "made": ["made-by-[PLAIN_TOKEN]"], "kid": "[KID_TOKEN] [DEPLOY_TOKEN]"}),
        "{done}"
    );
    assert_eq!(owf(&["export", "latest"]).code, 0);
    nowhere("a run that was resumed");
}

#[test]
fn an_agent_is_not_asked_without_its_secret() {
    let place = place("name: x\ntasks:\n  a: {prompt: hi, secrets: [NOT_SET_ANYWHERE]}\n");
    place.file("answers.yaml", &crate::acca_support::answers("  - text: ok"));
    let run = view(&place, &["--fixtures", "answers.yaml"]);
    assert_eq!(
        run["error"]["message"],
        json!("task `a` failed: the secret NOT_SET_ANYWHERE is not set in the environment")
    );
    assert_eq!(place.log(crate::acca_support::LOG).len(), 0);
}

#[test]
fn accept_070_the_program_of_an_agent_gets_its_secret_in_its_environment_and_nothing_else_ever_holds_it() {
    let secret = "tok/en+987654321";
    let says = json!({"type": "item.completed", "item": {"id": "i", "type": "agent_message", "text": format!("it is {secret}")}});
    let stub = Stub::printing("codex", "codex-cli 0.169.0", &[says, json!({"type": "turn.completed", "usage": {}})], 0)
        .var("DEPLOY_TOKEN", secret)
        .var("OTHER_TOKEN", "not-named");
    let place = place(
        "name: x\ntasks:\n  a: {prompt: deploy, secrets: [DEPLOY_TOKEN]}\n  b: {after: a, prompt: 'and {{ tasks.a }}'}\n",
    );
    let events = place.path().join("heard.jsonl");
    place.file("user.toml", &format!("[events.all]\nfile = {:?}\n", events.display().to_string()));
    let owf = |args: &[&str]| {
        let mut command = stub.command(&place, args);
        printed(&command.env("OWF_CONFIG", place.path().join("user.toml")).output().unwrap())
    };
    let run = owf(&["run", "flow.yaml", "--provider", "codex", "--no-input", "--json"]).json();
    assert_eq!(json!([run["status"], run["output"]]), json!(["done", "it is [DEPLOY_TOKEN]"]), "{run}");
    // The stub keeps what it was told last: the task without the secret.
    assert_eq!(stub.env().get("DEPLOY_TOKEN"), None);
    assert!(stub.argv().contains(&"shell_environment_policy.ignore_default_excludes=false".to_owned()));
    assert!(!stub.stdin().contains(secret) && stub.stdin().contains("and it is [DEPLOY_TOKEN]"));
    place.file("flow.yaml", "name: y\ntasks:\n  a: {prompt: deploy, secrets: [DEPLOY_TOKEN]}\n");
    let alone =
        owf(&["run", "flow.yaml", "--provider", "codex", "--cache-policy", "disabled", "--no-input", "--json"]).json();
    assert_eq!(alone["status"], "done", "{alone}");
    assert_eq!(stub.env().get("DEPLOY_TOKEN").map(String::as_str), Some(secret));
    assert_eq!(stub.env().get("OTHER_TOKEN"), None);
    assert!(!stub.argv().iter().any(|word| word.contains(secret)) && !stub.stdin().contains(secret));
    assert!(
        stub.argv().contains(&"shell_environment_policy.ignore_default_excludes=true".to_owned()),
        "or it hides it"
    );
    for report in [&["report", "latest"][..], &["report", "latest", "--html"]] {
        assert_eq!(owf(report).code, 0);
    }
    assert_eq!(owf(&["export", "latest"]).code, 0);
    assert!(std::fs::read_to_string(&events).unwrap().contains("it is [DEPLOY_TOKEN]"));
    for place in [place.home(), events] {
        assert_eq!(files_with(&place, secret), Vec::<String>::new());
        assert_eq!(files_with(&place, "tok%2Fen"), Vec::<String>::new());
    }
}

#[test]
fn secrets_for_a_service_are_refused_before_anything_is_asked() {
    let place = place(
        "name: x\nagents: {w: {provider: openai, model: m}}\ntasks:\n  a: {agent: w, prompt: hi, secrets: [DEPLOY_TOKEN]}\n",
    );
    let env = [
        ("DEPLOY_TOKEN", "tok/en+987654321"),
        ("OPENAI_API_KEY", "sk-nothing"),
        ("OWF_PROVIDER_OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
    ];
    let refused = view_in(&place, &env);
    let message = "task `a`: `secrets` are for the environment of a program, and the provider openai is a service";
    assert_eq!(
        json!([refused["error"]["code"], refused["error"]["message"]]),
        json!(["invalid_arguments", message]),
        "{refused}"
    );
    assert_eq!(place.json(&["runs", "--json"])["total"], json!(0));
    // In a child it is found when its turn comes.
    place.file("child.yaml", &std::fs::read_to_string(place.path().join("flow.yaml")).unwrap());
    place.file("flow.yaml", "name: x\ntasks:\n  c: {workflow: ./child.yaml}\n");
    let failed = view_in(&place, &env);
    let message = format!("task `c` failed: task `a` failed: {}", message.trim_start_matches("task `a`: "));
    assert_eq!(json!([failed["status"], failed["error"]["message"]]), json!(["failed", message]), "{failed}");
}

#[test]
fn a_cancelled_command_is_ended_with_what_it_started() {
    let place = place("name: x\ntasks:\n  a: {run: [sh, -c, 'sleep 300 & echo $! > pid; echo $$ >> pid; wait']}\n");
    let mut running = place.spawn(&["run", "flow.yaml", "--allow-commands", "--no-input"]);
    let pids = lines_of(place.path(), "pid", 2);
    let run = place.json(&["status", "latest", "--json"])["run_id"].as_str().unwrap().to_owned();
    let cancelled = place.json(&["cancel", &run, "--json"]);
    assert_eq!(cancelled["run_id"], json!(run));
    eventually(SECOND, "the run is cancelled", || place.json(&["status", &run, "--json"])["status"] == "cancelled");
    eventually(SECOND, "nothing of it runs", || !pids.iter().any(|pid| alive(pid)));
    running.wait().unwrap();
}

/// Starts the document, waits until its command runs, and kills the owner; what the command wrote.
fn killed(place: &Place) -> Vec<String> {
    let mut running = place.spawn(&["run", "flow.yaml", "--allow-commands", "--no-input"]);
    let before = lines_of(place.path(), "ran", 1);
    running.kill().unwrap();
    running.wait().unwrap();
    before
}

#[test]
fn a_command_that_was_lost_with_its_owner_asks_before_it_runs_again_unless_it_changes_nothing() {
    let document = |read_only: bool| {
        format!(
            "name: x\ntasks:\n  a: {{run: {{argv: [sh, -c, 'echo $$ >> ran; test -e go || sleep 300; echo ok'], read_only: {read_only}}}}}\n"
        )
    };
    let asks = place(&document(false));
    let left = killed(&asks);
    asks.file("go", "");
    let paused = asks.owf(&["resume", "--no-input", "--json"]).json();
    assert_eq!(json!([paused["status"], paused["status_reason"]]), json!(["paused", "repeat"]), "{paused}");
    eventually(SECOND, "what was left running is ended", || !left.iter().any(|pid| alive(pid)));
    let run = paused["run_id"].as_str().unwrap();
    let done = asks.owf(&["approve", run, "--reason", "looked", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    eventually(5 * SECOND, "the run ends", || asks.json(&["status", "latest", "--json"])["status"] == "done");
    assert_eq!(lines_of(asks.path(), "ran", 2).len(), 2);
    let reads = place(&document(true));
    killed(&reads);
    reads.file("go", "");
    let done = reads.owf(&["resume", "--no-input", "--json"]).json();
    assert_eq!(json!([done["status"], done["output"]]), json!(["done", "ok"]), "{done}");
}

#[test]
fn a_finished_command_does_not_run_again_on_resume() {
    let place = place(
        "name: x\ntasks:\n  a: {run: [sh, -c, 'echo x >> ran; echo made']}\n  b: {after: a, run: [sh, -c, 'test -e go && echo {{ tasks.a }}']}\n",
    );
    assert_eq!(view(&place, &[])["status"], json!("failed"));
    place.file("go", "");
    let done = place.owf(&["resume", "--no-input", "--json"]).json();
    assert_eq!(json!([done["status"], done["output"]]), json!(["done", "made"]), "{done}");
    assert_eq!(lines_of(place.path(), "ran", 1), ["x"]);
    // Running the document again is asking for it again.
    assert_eq!(view(&place, &[])["output"], json!("made"));
    assert_eq!(lines_of(place.path(), "ran", 2), ["x", "x"]);
}

#[test]
fn a_dry_run_shows_commands_and_runs_none() {
    let place = place(
        "name: x\ntasks:\n  a: {run: [touch, 'made by {{ input.who }}']}\n  b: {after: a, run: [cat], schema: {type: object, properties: {n: {type: integer}}}}\n  c: {after: b, expr: tasks.b.data.n}\n",
    );
    let dry = place.json(&["dry-run", "flow.yaml", "--arg", "who=me", "--json"]);
    assert_eq!(dry["outcome"], json!("no_calls"), "{dry}");
    let told: Vec<&Value> = dry["warnings"].as_array().unwrap().iter().filter(|w| w["code"] == "commands").collect();
    assert_eq!(
        told,
        [&json!({"code": "commands",
            "message": "A run would run 2 commands, none of them run here: touch 'made by me'; cat"})]
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_rule_of_a_fixture_file_answers_a_command_in_its_place() {
    let place =
        place("name: x\ntasks:\n  build: {run: [make, all]}\n  say: {after: build, prompt: '{{ tasks.build }}'}\n");
    let rules = "  - match: {command: 'make *'}\n    text: built\n  - text: said";
    place.file("answers.yaml", &crate::acca_support::answers(rules));
    let run = place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--no-input", "--json"]).json();
    assert_eq!(json!([run["status"], run["output"], run["simulated"]]), json!(["done", "said", true]), "{run}");
    // A rule for everything is for agents; without one for it the command is refused, as nobody allowed it.
    place.file("answers.yaml", &crate::acca_support::answers("  - text: said"));
    let run = place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--no-input", "--json"]).json();
    assert_eq!(run["error"]["message"], json!("task `build` failed: commands are not allowed in this run"));
}

#[test]
fn accept_068_a_missing_output_fails_its_task_and_a_pattern_collects_what_is_there() {
    let place = place(
        "name: x
on_failure: best_effort
tasks:
  made: {run: [sh, -c, 'mkdir -p dist/deep; touch dist/b.js dist/a.js dist/deep/c.js dist/d.css'], outputs: ['dist/{{ input.name }}.js', ./dist/a.js]}
  found: {after: made, run: [echo], outputs: {pattern: 'dist/**/*.js'}}
  named: {after: made, run: [echo, '{\"made\": {\"files\": [\"dist/d.css\"]}}'], outputs: {from: made.files}}
  nothing: {after: made, run: [echo], outputs: {pattern: '*.none'}}
  missing: {after: made, run: [echo], outputs: [dist/a.js, dist/gone.js]}
  unnamed: {after: made, run: [echo, '{}'], outputs: {from: files}}
  escapes: {after: made, run: [echo, '{\"files\": [\"../../etc/passwd\"]}'], outputs: {from: files}}
  tells: {after: [made, found, named], run: [echo, '{{ tasks.found.files }}', '{{ tasks.made.files }}', '{{ tasks.named.files }}']}
  nowhere: {after: nothing, expr: '{{ tasks.nothing.files | length }}'}
  each: {after: made, for_each: [b, a], run: [echo, '{{ item }}'], outputs: 'dist/{{ item }}.js'}
  joined: {after: each, expr: ['{{ tasks.each.files }}', '{{ tasks.each.text }}', '{{ tasks.each.a_js }}']}
  many: {after: made, run: [sh, -c, 'mkdir many; cd many; seq 1001 | xargs touch'], outputs: {pattern: 'many/*'}}
  dir: {after: made, run: [echo], outputs: dist/deep}
  link: {after: made, run: [ln, -s, dist/a.js, link.js], outputs: link.js}
  dot: {after: made, run: [touch, ran], outputs: '{{ input.dot }}'}
  linked: {after: made, run: [ln, -s, ../dist, dist/linked], outputs: {pattern: 'dist/linked/*'}}
  slugs: {after: [made, found], expr: ['{{ tasks.found.c_js }}', '{{ tasks.found.a_js }}', '{{ tasks.made.b_js }}', '{{ tasks.found.gone_js | default(0) }}']}
",
    );
    let run = view(&place, &["--arg", "name=b", "--arg", "dot=./"]);
    assert_eq!(run["status"], json!("done"), "{run}");
    let output = place.json(&["output", "latest", "--json"]);
    assert_eq!(
        output["output"]["tells"],
        json!(r#"["dist/a.js","dist/b.js","dist/deep/c.js"] ["dist/b.js","dist/a.js"] ["dist/d.css"]"#),
        "{output}"
    );
    assert_eq!(output["output"]["nowhere"], json!(0));
    assert_eq!(
        output["output"]["joined"],
        json!([["dist/b.js", "dist/a.js"], "b\na", "dist/a.js"]),
        "in the order of the list"
    );
    assert_eq!(output["output"]["slugs"], json!(["dist/deep/c.js", "dist/a.js", "dist/b.js", 0]));
    let told = |label: &str| {
        let call = call(&place, label);
        format!("{}: {}", call["status"].as_str().unwrap(), call["error"]["message"].as_str().unwrap_or("-"))
    };
    assert_eq!(
        ["many", "dir", "link", "dot", "linked"].map(told),
        [
            "failed: `outputs`: many/* matches more than 1000 files",
            "failed: `outputs`: dist/deep is a directory",
            "failed: `outputs`: link.js is a link or leads through one, or is no directory",
            "failed: `outputs`: `./` is no name of a file",
            "done: -",
        ]
    );
    assert!(!place.path().join("ran").exists(), "what can be no file is refused before anything runs");
    assert_eq!(
        ["missing", "unnamed", "escapes"].map(told),
        [
            "failed: `outputs`: there is no dist/gone.js",
            "failed: `outputs`: the result has no `files`",
            "failed: `outputs`: ../../etc/passwd must not contain `..`",
        ]
    );
}

#[test]
fn accept_069_outputs_that_a_rule_refuses_or_that_lead_out_are_refused_before_anything_runs() {
    let place = place(
        "name: x
on_failure: best_effort
tasks:
  ending: {run: [touch, ran1], outputs: x.exe}
  hidden: {run: [touch, ran2], outputs: .env}
  upwards: {run: [touch, ran3], outputs: '{{ input.path }}'}
  around: {run: [touch, ran4], outputs: {pattern: '{{ input.path }}'}}
  linked: {run: [sh, -c, 'ln -s /etc link'], outputs: link/hosts.txt}
  listed: {run: [sh, -c, 'mkdir made; touch made/a.txt made/b.exe; ln -s /etc/hostname made/c.txt'], outputs: {pattern: 'made/*'}}
  files: {after: listed, expr: '{{ tasks.listed.files }}'}
",
    );
    let config = place.file("user.toml", "commands = true\n[files]\nextensions = [\"txt\"]\n").display().to_string();
    let run = ["run", "flow.yaml", "--arg", "path=../x.txt", "--no-input", "--json"];
    let run = printed(&place.command(&run).env("OWF_CONFIG", &config).output().unwrap()).json();
    assert_eq!(run["output"]["files"], json!(["made/a.txt"]), "{run}");
    let told = |label: &str| {
        let call = call(&place, label);
        format!(
            "{} {}: {}",
            call["status"].as_str().unwrap(),
            call["attempts"],
            call["error"]["message"].as_str().unwrap()
        )
    };
    assert_eq!(
        ["ending", "hidden", "upwards", "around", "linked"].map(told),
        [
            "failed 0: `outputs`: x.exe has an ending that is not allowed; allowed are txt",
            "failed 0: `outputs`: .env is refused by the rules for files",
            "failed 0: `outputs`: ../x.txt must not contain `..`",
            "failed 0: `outputs`: ../x.txt must not contain `..`",
            "failed 1: `outputs`: link is a link or leads through one, or is no directory",
        ]
    );
    for ran in ["ran1", "ran2", "ran3", "ran4"] {
        assert!(!place.path().join(ran).exists(), "{ran}");
    }
}
