//! Tools of an MCP server of the user's configuration: a stub in the shell's language, and owf's own server.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, eventually, printed};

const SECOND: Duration = Duration::from_secs(1);

/// A server that keeps a diary: what started it, what it was asked, how it was ended. What it answers follows from the tool's name.
const SERVER: &str = r#"
say() { printf '%s\n' "$1"; }
answer() { say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$1}"; }
text() { answer "{\"content\":[{\"type\":\"text\",\"text\":\"$1\"}]}"; }
tool() { printf '{"name":"%s","description":"Does %s.","inputSchema":{"type":"object"%s}}' "$1" "$1" "$2"; }
echo "started $*" >> diary; echo $$ > pid
[ "$1" = leaky ] && printf '%0390d bad %s\n' 0 "$TRACKER_TOKEN" >&2 && exit 1
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case "$line" in
  *'"method":"initialize"'*)
    [ "$1" = stateless ] && say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32601,\"message\":\"initialize\"}}" && continue
    [ "$1" = silent ] && continue
    answer "{\"protocolVersion\":\"${2:-2025-06-18}\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"stub\",\"version\":\"1\"}}" ;;
  *'"method":"server/discover"'*) answer '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}' ;;
  *'"method":"notifications/initialized"'*) echo greeted >> diary ;;
  *'"method":"notifications/cancelled"'*) echo cancelled >> diary ;;
  *'"method":"tools/list"'*'"cursor":"more"'*) answer "{\"tools\":[$(tool die),$(tool slow),$(tool noise),$(tool flood),$(tool long),$(tool chatter),$(tool often),$(tool pings),$(tool token),$(tool far)]}" ;;
  *'"method":"tools/list"'*)
    answer "{\"tools\":[$(tool add ',"required":["a"],"additionalProperties":false,"properties":{"a":{"type":"integer"},"b":{"type":"integer"}}'),$(tool fail)],\"nextCursor\":\"more\"}" ;;
  *'"name":"add"'*)
    echo "asked $line" >> diary
    pwd > where
    answer '{"content":[{"type":"text","text":"the sum is 3"}],"structuredContent":{"sum":3}}' ;;
  *'"name":"fail"'*) answer '{"isError":true,"content":[{"type":"text","text":"no such issue"}]}' ;;
  *'"name":"die"'*) echo "out of memory" >&2; exit 3 ;;
  *'"name":"slow"'*) echo slow >> diary ;;
  *'"name":"noise"'*) say "Listening on stdio"; text "through the noise" ;;
  *'"name":"flood"'*) while say "Loading module"; do :; done ;;
  *'"name":"chatter"'*) i=0; while [ $i -lt 1000 ]; do say "Loading module"; i=$((i + 1)); done; text "after the chatter" ;;
  *'"name":"often"'*) i=0; while [ $i -lt 150 ]; do say "Loading module"; i=$((i + 1)); done; text "after some" ;;
  *'"name":"pings"'*) while say "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\"}"; do :; done ;;
  *'"name":"long"'*) head -c 5000000 /dev/zero | tr '\0' x; say "" ;;
  *'"name":"token"'*) text "it is $TRACKER_TOKEN, and ${OTHER_TOKEN:-no other}" ;;
  *'"name":"far"'*)
    say "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":$id,\"progress\":1,\"message\":\"half way\"}}"
    text done ;;
  esac
done
echo ended >> diary
[ "$1" != stubborn ] || while :; do sleep 1; done
"#;

/// A place with a document, and tools of the stub by their names there.
fn place(document: &str) -> Place {
    place_with(document, "args = [\"server.sh\"]\nenv = [\"TRACKER_TOKEN\"]\n")
}

fn place_with(document: &str, server: &str) -> Place {
    let place = Place::new();
    place.file("flow.yaml", document);
    place.file("server.sh", SERVER);
    let mut config = format!("[mcp_servers.tracker]\ncommand = \"sh\"\n{server}\n");
    for name in
        ["add", "fail", "die", "slow", "noise", "flood", "long", "chatter", "often", "pings", "token", "far", "gone"]
    {
        config.push_str(&format!("[tools.{name}]\nmcp = {{ server = \"tracker\" }}\n"));
    }
    config.push_str("[tools.sum]\nmcp = { server = \"tracker\", tool = \"add\" }\nfixed_args = { b = 2 }\n");
    config.push_str("schema = { type = \"object\", required = [\"a\"] }\nrequires_approval = true\n");
    place.file("user.toml", &config.replace("[tools.slow]\n", "[tools.slow]\ntimeout_seconds = 1\n"));
    place
}

fn owf(place: &Place, args: &[&str]) -> Printed {
    let config = place.path().join("user.toml");
    let mut command = place.command(args);
    command.env("OWF_CONFIG", config).env("TRACKER_TOKEN", "token-0123456789").env("OTHER_TOKEN", "other-0123456789");
    printed(&command.output().unwrap())
}

fn run(place: &Place) -> Value {
    owf(place, &["run", "flow.yaml", "--no-input", "--json"]).json()
}

/// Status and message of the call of the latest run with this label.
fn told(place: &Place, label: &str) -> String {
    let calls = place.json(&["calls", "latest", "--json"]);
    let call = calls["calls"].as_array().unwrap().iter().find(|c| c["label"] == label).cloned().unwrap();
    format!("{}: {}", call["status"].as_str().unwrap(), call["error"]["message"].as_str().unwrap_or("-"))
}

/// What the server wrote down, without what it was asked.
fn diary(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(place.path().join("diary")).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with("asked ")).map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn what_a_server_says_when_it_cannot_start_holds_no_secret_not_even_half_of_one() {
    let server = "args = [\"server.sh\", \"leaky\"]\nenv = [\"TRACKER_TOKEN\"]\n";
    let place = place_with("name: x\ntasks:\n  t: {tool: token}\n", server);
    assert_eq!(run(&place)["status"], json!("failed"));
    let call = place.json(&["calls", "latest", "c0001", "--json"]);
    let said = call["call"]["error"]["message"].as_str().unwrap();
    assert!(said.contains("ended with exit code 1: 000") && said.ends_with("bad [TRAC"), "{said}");
}

#[test]
fn a_tool_of_a_server_brings_its_value_and_its_text_and_the_server_is_started_once_and_ended() {
    let place = place(
        "name: x
tasks:
  a: {tool: add, args: {a: 1}}
  b: {tool: add, args: {a: 1, b: 2}}
  value: {after: [a, b], expr: tasks.a.data.sum + tasks.b.data.sum}
  text: {after: a, expr: '{{ tasks.a }}'}
  far: {after: a, tool: far}
",
    );
    let view = run(&place);
    assert_eq!(view["status"], json!("done"), "{view}");
    assert_eq!(json!([view["output"]["value"], view["output"]["far"]]), json!([6, "done"]), "{view}");
    assert_eq!(diary(&place), ["started", "greeted", "ended"]);
    let call = place.json(&["calls", "latest", "c0001", "--json"])["call"].clone();
    assert_eq!(json!([call["kind"], call["output_preview"]]), json!(["tool", "the sum is 3"]), "{call}");
    assert_eq!(view["output"]["text"], json!({"sum": 3}), "{view}");
    let id = view["run_id"].as_str().unwrap().to_owned();
    let events = owf(&place, &["events", &id]);
    assert!(events.out.contains("half way"), "{events:?}");
}

#[test]
fn the_schema_of_a_server_is_that_of_its_tool_and_that_of_the_configuration_comes_first() {
    let place = place(
        "name: x
on_failure: best_effort
tasks:
  missing: {tool: add, args: {}}
  wrong: {tool: add, args: {a: x}}
  more: {tool: add, args: {a: 1, c: 2}}
  own: {tool: sum, args: {b: 1}}
",
    );
    run(&place);
    assert_eq!(
        ["missing", "wrong", "more", "own"].map(|label| told(&place, label)),
        [
            "failed: the arguments of `add` break its schema: \"a\" is a required property",
            "failed: the arguments of `add` break its schema at /a: \"x\" is not of type \"integer\"",
            "failed: the arguments of `add` break its schema: Additional properties are not allowed ('c' was unexpected)",
            "failed: the arguments of `sum` break its schema: \"a\" is a required property",
        ]
    );
    let asked = std::fs::read_to_string(place.path().join("diary")).unwrap();
    assert!(!asked.contains("asked"), "{asked}");
}

#[test]
fn a_person_is_asked_before_a_server_is_and_fixed_arguments_reach_it() {
    let place = place("name: x\ntasks:\n  s: {tool: sum, args: {a: 1}}\n");
    let paused = run(&place);
    assert_eq!(json!([paused["status"], paused["status_reason"]]), json!(["paused", "approval"]), "{paused}");
    assert_eq!(diary(&place), Vec::<String>::new());
    let id = paused["run_id"].as_str().unwrap().to_owned();
    owf(&place, &["approve", &id, "--json"]);
    eventually(5 * SECOND, "the run ends", || place.json(&["status", &id, "--json"])["status"] == "done");
    let asked = std::fs::read_to_string(place.path().join("diary")).unwrap();
    assert!(asked.contains(r#""arguments":{"b":2,"a":1}"#), "{asked}");
}

#[test]
fn a_tool_that_fails_says_why_and_one_whose_server_dies_is_followed_by_another_server() {
    let place = place(
        "name: x
steps:
  - {id: fails, tool: fail, allow_failure: true}
  - {id: dies, tool: die, allow_failure: true}
  - {id: lives, tool: add, args: {a: 1}}
  - {id: gone, tool: gone, allow_failure: true}
",
    );
    let view = run(&place);
    assert_eq!(
        ["fails", "dies", "lives", "gone"].map(|label| told(&place, label)),
        [
            "failed: `fail` of the MCP server `tracker` failed: no such issue",
            "failed: the MCP server `tracker` ended with exit code 3: out of memory",
            "done: -",
            "failed: the MCP server `tracker` has no tool `gone`; it has add, fail, die, slow, noise, flood, long, chatter, often, pings, token, far",
        ],
        "{view}"
    );
    assert_eq!(diary(&place), ["started", "greeted", "started", "greeted", "ended"]);
}

#[test]
fn a_call_that_takes_too_long_is_cancelled_at_the_server_which_goes_on() {
    let place = place(
        "name: x\nsteps:\n  - {id: slow, tool: slow, allow_failure: true}\n  - {id: next, tool: add, args: {a: 1}}\n",
    );
    run(&place);
    assert_eq!(
        ["slow", "next"].map(|label| told(&place, label)),
        ["timeout: no answer in 1 s", "done: -"].map(str::to_owned)
    );
    assert_eq!(diary(&place), ["started", "greeted", "slow", "cancelled", "ended"]);
}

#[test]
fn a_tool_takes_as_long_as_its_server_may_where_it_says_nothing_itself() {
    let waits = "[tools.waits]\nmcp = { server = \"tracker\", tool = \"slow\" }\n";
    let place = place_with(
        "name: x\nsteps:\n  - {id: slow, tool: slow, allow_failure: true}\n  - {id: waits, tool: waits, allow_failure: true}\n",
        &format!("args = [\"server.sh\"]\ntimeout_seconds = 1.5\n{waits}"),
    );
    run(&place);
    let told = ["slow", "waits"].map(|label| told(&place, label));
    assert_eq!(told, ["timeout: no answer in 1 s", "timeout: no answer in 1500 ms"]);
}

#[test]
fn what_is_no_message_is_passed_over_up_to_a_bound_and_named() {
    let place = place(
        "name: x
steps:
  - {id: noise, tool: noise}
  - {id: flood, tool: flood, allow_failure: true}
  - {id: long, tool: long, allow_failure: true}
  - {id: after, tool: add, args: {a: 1}}
result: {noise: '{{ tasks.noise }}'}
",
    );
    let view = run(&place);
    assert_eq!(view["output"]["noise"], json!("through the noise"), "{view}");
    assert_eq!(
        ["flood", "long", "after"].map(|label| told(&place, label)),
        [
            "failed: the MCP server `tracker` printed 200 lines that are no messages and was ended: Listening on stdio",
            "failed: the MCP server `tracker` answered with more than 4096 KB at once and was ended",
            "done: -",
        ]
    );
}

#[test]
fn lines_on_end_that_are_no_messages_end_a_server_and_those_between_messages_do_not() {
    let place = place(
        "name: x
steps:
  - {id: one, tool: often}
  - {id: two, tool: often}
  - {id: chatter, tool: chatter, allow_failure: true}
",
    );
    let view = run(&place);
    assert_eq!(
        ["one", "two", "chatter"].map(|label| told(&place, label)),
        [
            "done: -",
            "done: -",
            "failed: the MCP server `tracker` printed 200 lines that are no messages and was ended: Loading module",
        ],
        "{view}"
    );
}

#[test]
fn a_server_that_asks_on_and_reads_nothing_of_what_it_is_told_is_ended() {
    let place = place_with(
        "name: x\nsteps:\n  - {id: pings, tool: pings, allow_failure: true}\n  - {id: after, tool: add, args: {a: 1}}\n",
        "args = [\"server.sh\"]\ntimeout_seconds = 20\n",
    );
    run(&place);
    assert_eq!(
        ["pings", "after"].map(|label| told(&place, label)),
        ["failed: the MCP server `tracker` asks and left 1024 KB of answers unread, and was ended", "done: -",]
    );
}

#[test]
fn a_server_works_in_the_workspace_of_its_run_from_wherever_that_was_started() {
    let place = place("name: x\ntasks:\n  t: {tool: add, args: {a: 1}}\n");
    crate::support::git::Repo::new(place.path(), &[]);
    std::fs::create_dir(place.path().join("sub")).unwrap();
    let config = std::fs::read_to_string(place.path().join("user.toml")).unwrap();
    let server = place.path().join("server.sh").display().to_string();
    place.file("user.toml", &config.replace("server.sh", &server));
    let mut command = place.command(&["run", "../flow.yaml", "--no-input", "--json"]);
    command.current_dir(place.path().join("sub")).env("OWF_CONFIG", place.path().join("user.toml"));
    let view = printed(&command.env("TRACKER_TOKEN", "token-0123456789").output().unwrap()).json();
    assert_eq!(view["status"], json!("done"), "{view}");
    let top = std::fs::read_to_string(place.path().join("where")).unwrap_or_else(|_| {
        panic!("it worked elsewhere: {:?}", std::fs::read_to_string(place.path().join("sub/where")))
    });
    assert_eq!(std::path::Path::new(top.trim()), place.path().canonicalize().unwrap());
}

#[test]
fn an_agent_in_a_worktree_does_not_get_what_a_server_could_change_and_gets_what_only_looks() {
    let place = place(
        "name: x\nagents:\n  a: {tools: [add, looks]}\ntasks:\n  t: {agent: a, prompt: hi, isolation: worktree}\n",
    );
    crate::support::git::Repo::new(place.path(), &[]);
    let config = std::fs::read_to_string(place.path().join("user.toml")).unwrap();
    let looks = "[tools.looks]\nmcp = { server = \"tracker\", tool = \"add\" }\nread_only = true\ndescription = \"Looks.\"\nschema = { type = \"object\" }\n";
    place.file("user.toml", &format!("{config}{looks}"));
    let looks = crate::http_tools::calls(&[("looks", json!({"a": 1}))]);
    let mock = crate::support::http_mock::Mock::of(vec![looks, crate::http_tools::text("done")]);
    let run = || {
        let mut command = place.command(&["run", "flow.yaml", "--provider", "openai", "--no-input", "--json"]);
        command.env("OWF_CONFIG", place.path().join("user.toml")).env("OPENAI_API_KEY", crate::http_tools::KEY);
        command.env("TRACKER_TOKEN", "token-0123456789").env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
        printed(&command.output().unwrap()).json()
    };
    let refused = run();
    let why = "task `t`: `add` belongs to an MCP server and may change the workspace: no worktree keeps that apart";
    assert_eq!(refused["error"]["message"], json!(why), "{refused}");
    assert_eq!(mock.seen().len(), 0);
    let document = std::fs::read_to_string(place.path().join("flow.yaml")).unwrap();
    place.file("flow.yaml", &document.replace("[add, looks]", "[looks]"));
    let view = run();
    assert_eq!(json!([view["status"], view["output"]]), json!(["done", "done"]), "{view}");
    assert_eq!(mock.seen()[0].body["tools"][0]["function"]["name"], json!("looks"));
    // The server is the run's, and not the agent's.
    let top = std::fs::read_to_string(place.path().join("where")).unwrap();
    assert_eq!(std::path::Path::new(top.trim()), place.path().canonicalize().unwrap());
}

#[test]
fn a_server_gets_the_variables_it_names_and_no_record_holds_them() {
    let place = place("name: x\ntasks:\n  t: {tool: token}\n");
    let view = run(&place);
    assert_eq!(view["output"], json!("it is [TRACKER_TOKEN], and no other"), "{view}");
    let config = place.path().join("user.toml");
    let without =
        place.command(&["run", "flow.yaml", "--no-input", "--json"]).env("OWF_CONFIG", config).output().unwrap();
    assert_eq!(printed(&without).code, 1);
    assert_eq!(told(&place, "t"), "failed: TRACKER_TOKEN of the MCP server `tracker` is not set in the environment");
}

#[test]
fn a_server_of_the_stateless_revision_is_understood_and_one_of_an_unknown_one_refused() {
    let tasks = "name: x\ntasks:\n  t: {tool: add, args: {a: 1}}\n";
    let stateless = place_with(tasks, "args = [\"server.sh\", \"stateless\"]\n");
    assert_eq!(run(&stateless)["status"], json!("done"));
    assert_eq!(diary(&stateless), ["started stateless", "ended"]);
    let asked = std::fs::read_to_string(stateless.path().join("diary")).unwrap();
    assert!(asked.contains(r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28""#), "{asked}");
    for (server, message) in [
        (
            "args = [\"server.sh\", \"now\", \"2031-01-01\"]",
            "the MCP server `tracker` speaks revision `2031-01-01`, owf does not",
        ),
        (
            "args = [\"server.sh\", \"silent\"]\nstartup_timeout_seconds = 0.5",
            "the MCP server `tracker` did not get ready in 0.5 s",
        ),
        ("args = [\"-c\", \"echo no key >&2; exit 1\"]", "the MCP server `tracker` ended with exit code 1: no key"),
        ("args = []\nenv = [\"A=b\"]", ""),
    ] {
        let place = place_with(tasks, server);
        let refused = run(&place);
        if message.is_empty() {
            let text = refused["error"]["message"].as_str().unwrap();
            assert!(text.ends_with("`env` holds names of variables, never values: `A`"), "{refused}");
        } else {
            assert_eq!(told(&place, "t"), format!("failed: {message}"));
        }
    }
}

#[test]
fn a_server_that_outlives_its_owner_is_ended_when_the_run_is_taken_up() {
    let place = place_with(
        "name: x\nsteps:\n  - {id: first, tool: add, args: {a: 1}}\n  - {id: hangs, tool: hangs}\n",
        "args = [\"server.sh\", \"stubborn\"]\n",
    );
    let config = std::fs::read_to_string(place.path().join("user.toml")).unwrap();
    let config = format!("{config}[tools.hangs]\nmcp = {{ server = \"tracker\", tool = \"slow\" }}\n");
    place.file("user.toml", &config);
    let mut command = place.command(&["run", "flow.yaml", "--no-input", "--json"]);
    command.env("OWF_CONFIG", place.path().join("user.toml"));
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut owner = command.spawn().unwrap();
    eventually(5 * SECOND, "the server is asked", || diary(&place).contains(&"slow".to_owned()));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let server = std::fs::read_to_string(place.path().join("pid")).unwrap().trim().to_owned();
    let runs = || std::path::Path::new(&format!("/proc/{server}")).exists();
    assert!(runs(), "it does not end with its input");
    let id = place.json(&["runs", "--json"])["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let resumed = owf(&place, &["resume", &id, "--no-input", "--json"]).json();
    assert_eq!(json!([resumed["status"], resumed["status_reason"]]), json!(["paused", "repeat"]), "{resumed}");
    eventually(SECOND, "the server is gone", || !runs());
}

#[test]
fn a_server_that_will_not_end_is_killed_with_its_run() {
    let place =
        place_with("name: x\ntasks:\n  t: {tool: add, args: {a: 1}}\n", "args = [\"server.sh\", \"stubborn\"]\n");
    assert_eq!(run(&place)["status"], json!("done"));
    let server = std::fs::read_to_string(place.path().join("pid")).unwrap().trim().to_owned();
    assert!(!std::path::Path::new(&format!("/proc/{server}")).exists());
}

#[test]
fn owf_itself_lends_its_tools() {
    let place = Place::new();
    place.file(
        "flow.yaml",
        "name: x\ntasks:\n  w: {tool: workflows}\n  bad: {tool: workflows, args: {nonsense: 1}, allow_failure: true}\n",
    );
    let config = format!(
        "[mcp_servers.owf]\ncommand = {:?}\nargs = [\"mcp\"]\n[tools.workflows]\nmcp = {{ server = \"owf\", tool = \"owf_list_workflows\" }}\n",
        env!("CARGO_BIN_EXE_owf")
    );
    place.file("user.toml", &config);
    let view = run(&place);
    let names = view["output"]["w"]["workflows"].as_array().unwrap().iter().map(|w| w["name"].clone());
    assert!(names.collect::<Vec<_>>().contains(&json!("hello")), "{view}");
    assert!(told(&place, "bad").starts_with("failed: the arguments of `workflows` break its schema"), "{view}");
}

#[test]
fn servers_are_the_users_and_none_of_a_project_is_started_before_it_is_trusted() {
    let place = Place::new();
    place.file("flow.yaml", "name: x\ntasks:\n  t: {tool: add, args: {a: 1}}\n");
    place.file("server.sh", SERVER);
    place.file(
        ".owf/config.toml",
        "[mcp_servers.tracker]\ncommand = \"sh\"\nargs = [\"server.sh\"]\n[tools.add]\nmcp = { server = \"tracker\" }\n",
    );
    place.file("user.toml", "");
    let refused = run(&place);
    assert_eq!(refused["error"]["message"], json!("task `t`: there is no tool `add`: none is configured"), "{refused}");
    let doctor = owf(&place, &["doctor"]);
    assert!(doctor.out.contains("left out: mcp_servers.tracker.args, mcp_servers.tracker.command"), "{doctor:?}");
    assert_eq!(owf(&place, &["trust", "."]).code, 0);
    assert_eq!(run(&place)["status"], json!("done"));
    assert_eq!(diary(&place), ["started", "greeted", "ended"]);
}

#[test]
fn tools_are_listed_with_their_rules_and_on_request_with_what_their_servers_offer() {
    let place = Place::new();
    place.file("server.sh", SERVER);
    place.file(
        "user.toml",
        r#"
[mcp_servers.tracker]
command = "sh"
args = ["server.sh"]
env = ["TRACKER_TOKEN"]
[mcp_servers.gone]
command = "no-such-server"
[tools.add]
mcp = { server = "tracker" }
[tools.sum]
description = "Adds up."
mcp = { server = "tracker", tool = "add" }
read_only = true
[tools.deploy]
description = "Deploys."
command = ["./deploy", "--now"]
modes = ["release", "fix"]
lock = true
requires_approval = true
undo = ["./undo"]
[tools.look]
builtin = "read_file"
[tools.review]
workflow = "review.yaml"
[tools.wrong]
"#,
    );
    let row = |name: &str, kind: &str, handler: &str| {
        json!({"name": name, "kind": kind, "handler": handler, "lock": false, "requires_approval": false, "undo": false,
            "read_only": false})
    };
    let with = |mut row: Value, more: Value| {
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let said = json!({"description": "Does add."});
    let why = "the tool `wrong` is configured wrongly: it needs one handler: `command`, `builtin`, `mcp` or `workflow`";
    let mut wrong = with(row("wrong", "", ""), json!({"message": why}));
    wrong.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "handler");
    let deploy = json!({"description": "Deploys.", "modes": ["release", "fix"], "lock": true, "requires_approval": true, "undo": true});
    let tools = |add: Value| {
        json!([
            add,
            with(row("deploy", "command", "./deploy"), deploy.clone()),
            with(row("look", "builtin", "read_file"), json!({"read_only": true})),
            row("review", "workflow", "review.yaml"),
            with(row("sum", "mcp", "tracker/add"), json!({"description": "Adds up.", "read_only": true})),
            wrong,
        ])
    };
    let listed = owf(&place, &["tools", "--json"]).json();
    let servers = json!([{"name": "gone", "command": "no-such-server"}, {"name": "tracker", "command": "sh"}]);
    assert_eq!(listed, json!({"tools": tools(row("add", "mcp", "tracker/add")), "servers": servers}), "{listed:#}");
    assert_eq!(diary(&place), Vec::<String>::new(), "nobody is asked");
    let asked = owf(&place, &["tools", "--ask", "--json"]).json();
    assert_eq!(asked["tools"], tools(with(row("add", "mcp", "tracker/add"), said)), "{asked:#}");
    let gone = "there is no program `no-such-server`, the MCP server `gone`";
    assert_eq!(asked["servers"][0], json!({"name": "gone", "command": "no-such-server", "message": gone}));
    let offers = asked["servers"][1]["offers"].as_array().unwrap();
    assert_eq!(offers[0], json!({"name": "add", "description": "Does add.", "configured_as": ["add", "sum"]}));
    assert_eq!(offers[1], json!({"name": "fail", "description": "Does fail."}));
    assert_eq!(diary(&place), ["started", "greeted", "ended"]);
    let text = owf(&place, &["tools"]).out;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "add     mcp       tracker/add",
            "deploy  command   ./deploy     mode release, fix  asks  one at a time  undo  Deploys.",
            "look    builtin   read_file    reads only",
            "review  workflow  review.yaml",
            "sum     mcp       tracker/add  reads only  Adds up.",
            &format!("wrong   problem: {why}"),
            "server gone  no-such-server",
            "server tracker  sh",
        ]
    );
    let text = owf(&place, &["tools", "--ask"]).out;
    assert!(
        text.contains(
            "server tracker  offers 12\n  add      as add, sum  Does add.\n  fail     not configured  Does fail.\n"
        ),
        "{text}"
    );
    // Nothing is configured, and that is said.
    let none = place.owf(&["tools"]);
    assert_eq!((none.code, none.out.as_str()), (0, ""));
    assert!(none.err.contains("no tool is configured"), "{none:?}");
}

/// Runs the example of a tool of a server.
pub(crate) fn run_example(document: &str) {
    let place = place(document);
    let args = ["run", "flow.yaml", "--no-input", "--json", "--args-json", "{\"a\": 1, \"b\": 2}"];
    let view = owf(&place, &args).json();
    let why = "`fail` of the MCP server `tracker` failed: no such issue";
    assert_eq!(view["output"], json!({"total": 3, "why": why}), "{view}");
}
