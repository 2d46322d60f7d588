//! CLIs by table: the shipped ones against what they were seen to print, and tables of a user's own.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::outcome::{CostSource, ErrorClass, Usage};
use owf::providers::{ProviderKind, ReplyAnswer};
use serde_json::{Value, json};

use crate::cli_support::{Stub, owf_run, request, structured};
use crate::support::cli::Place;

/// A stub for a shipped table: its program has another name than the provider.
fn shipped(provider: &str, program: &str, behave: &str) -> Stub {
    let stub = Stub::doing(provider, "1.2.3", behave);
    std::fs::hard_link(stub.path().join(provider), stub.path().join(format!("{program}.link"))).unwrap();
    if provider != program {
        std::fs::rename(stub.path().join(format!("{program}.link")), stub.path().join(program)).unwrap();
    }
    stub
}

fn opencode(events: &[Value], code: i32) -> Stub {
    let stub = shipped("opencode", "opencode", &format!("cat \"$dir/events\"; exit {code}"));
    stub.events(events);
    stub
}

fn step(input: u64, output: u64, cost: f64) -> Value {
    json!({"type": "step_finish", "part": {"type": "step-finish", "cost": cost,
           "tokens": {"input": input, "output": output, "reasoning": 2, "cache": {"read": 5, "write": 1}}}})
}

#[test]
fn opencode_events_are_joined_and_summed() {
    let text = |text: &str| json!({"type": "text", "part": {"type": "text", "text": text}});
    let events = [json!({"type": "step_start"}), text("fo"), step(10, 3, 0.001), text("ur"), step(20, 4, 0.002)];
    let stub = opencode(&events, 0);
    let mut asked = request("2 + 2");
    asked.model = Some("openai/gpt-5.5".into());
    let reply = stub.call(&asked).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Text("four".into()));
    assert_eq!(
        reply.usage,
        Usage {
            input_tokens: 30,
            output_tokens: 11,
            cache_read_tokens: 10,
            cache_write_tokens: 2,
            reasoning_tokens: 4,
            ..Usage::default()
        }
    );
    assert_eq!((reply.cost_nanos, reply.cost_source), (Some(3_000_000), CostSource::Estimated));
    assert_eq!(reply.provenance.provider_version.as_deref(), Some("1.2.3"));
    assert_eq!(stub.argv(), ["run", "--format", "json", "-m", "openai/gpt-5.5"]);
    assert_eq!((stub.stdin().as_str(), stub.progress()), ("2 + 2", vec!["fo".to_owned(), "ur".to_owned()]));
    assert_eq!(stub.env()["OPENCODE_PERMISSION"], r#"{"edit":"deny","bash":"deny"}"#);
}

#[test]
fn opencode_error_event_is_classified() {
    let error = |name: &str, status: Option<u64>, message: &str| {
        let event =
            json!({"type": "error", "error": {"name": name, "data": {"message": message, "statusCode": status}}});
        let error = opencode(&[event], 1).failure().error;
        (error.class, error.message)
    };
    assert_eq!(error("APIError", Some(429), "slow down"), (ErrorClass::RateLimited, "slow down".to_owned()));
    assert_eq!(error("ProviderAuthError", Some(401), "no key"), (ErrorClass::Auth, "no key".to_owned()));
    assert_eq!(error("UnknownError", None, "odd"), (ErrorClass::Other, "odd".to_owned()));
}

/// A call in a directory that is there, and what becomes of it where the user trusts that directory and where not.
fn with_and_without_trust<T>(mut stub: Stub, told: impl Fn(&Stub) -> T) -> [T; 2] {
    let dir = tempfile::tempdir().unwrap();
    let mut asked = request("p");
    asked.cwd = dir.path().canonicalize().unwrap().join("within");
    std::fs::create_dir(&asked.cwd).unwrap();
    [Some(dir.path().canonicalize().unwrap()), None].map(|trusted| {
        stub.trusted = trusted;
        stub.call(&asked).unwrap();
        told(&stub)
    })
}

#[test]
fn opencode_reads_files_of_the_project_only_where_the_user_trusts_it() {
    let stub = opencode(&[json!({"type": "text", "part": {"type": "text", "text": "four"}})], 0);
    let told = with_and_without_trust(stub, |stub| stub.env().get("OPENCODE_DISABLE_PROJECT_CONFIG").cloned());
    assert_eq!(told, [None, Some("1".to_owned())]);
}

#[test]
fn opencode_does_not_start_owf_as_a_server() {
    let stub = opencode(&[json!({"type": "text", "part": {"type": "text", "text": "four"}})], 0);
    stub.reply();
    let settings: Value = serde_json::from_str(&stub.env()["OPENCODE_CONFIG_CONTENT"]).unwrap();
    assert_eq!(settings, json!({"mcp": {"owf": {"enabled": false}}}));
}

#[test]
fn gemini_cli_is_told_to_trust_a_project_only_when_the_user_does() {
    let stub = gemini("cat \"$dir/events\"");
    stub.events(&[json!({"response": "four"})]);
    let told = with_and_without_trust(stub, |stub| stub.argv().contains(&"--skip-trust".to_owned()));
    assert_eq!(told, [true, false]);
}

#[test]
fn gemini_cli_that_refuses_a_directory_is_a_matter_of_policy() {
    let said = "Gemini CLI is not running in a trusted directory.";
    let error = gemini(&format!("echo '{said}' >&2; exit 55")).failure().error;
    assert_eq!((error.class, error.message.as_str(), error.class.is_retryable()), (ErrorClass::Policy, said, false));
}

#[test]
fn qwen_code_asks_its_own_trust_where_the_user_gave_none() {
    let behave = "cat \"$QWEN_CODE_SYSTEM_DEFAULTS_PATH\" >\"$dir/defaults\" 2>&-; cat \"$dir/events\"";
    let stub = shipped("qwen-code", "qwen", behave);
    stub.events(&[json!([{"type": "result", "subtype": "success", "is_error": false, "result": "four"}])]);
    let told = with_and_without_trust(stub.var("OPENAI_API_KEY", "k"), |stub| {
        assert_eq!(stub.after("--auth-type").as_deref(), Some("openai"));
        let file = stub.env().get("QWEN_CODE_SYSTEM_DEFAULTS_PATH").cloned();
        assert!(!file.as_ref().is_some_and(|file| std::path::Path::new(file).exists()), "it goes with the attempt");
        (file.is_some(), std::fs::read_to_string(stub.path().join("defaults")).unwrap())
    });
    let asks = r#"{"security":{"folderTrust":{"enabled":true}}}"#;
    assert_eq!(told, [(false, String::new()), (true, asks.to_owned())]);
}

#[test]
fn qwen_code_that_failed_says_why() {
    let stub = shipped("qwen-code", "qwen", "cat \"$dir/events\"; exit 1");
    let refused = "[API Error: 400 no such luck]";
    let fails = |message: &str| {
        stub.events(&[json!([{"type": "result", "subtype": "error_during_execution", "is_error": true,
            "usage": {"input_tokens": 0, "output_tokens": 0}, "error": {"message": message}}])]);
        let error = stub.failure().error;
        (error.class, error.message)
    };
    assert_eq!(fails(refused), (ErrorClass::BadRequest, refused.to_owned()));
    assert_eq!(fails("[API Error: 429 slow down]"), (ErrorClass::RateLimited, "[API Error: 429 slow down]".to_owned()));
    let login = "No auth type is selected. Please configure an auth type";
    assert_eq!(fails(login), (ErrorClass::Auth, login.to_owned()));
}

#[test]
fn trust_of_a_project_reaches_the_programs_and_ends_at_its_border() {
    let stub = gemini("cat \"$dir/events\"");
    stub.events(&[json!({"response": "four"})]);
    let place = Place::new();
    place.file("project/.owf/config.toml", "");
    for (path, prompt) in [("project/w.js", "x"), ("project/again.js", "y"), ("other/w.js", "z")] {
        let script = format!("export const meta = {{ name: 'w', description: 'd' }}\nreturn await agent('{prompt}')\n");
        place.file(path, &script);
    }
    let owf = |dir: &str, args: &[&str]| {
        let mut command = stub.command(&place, args);
        command.env_remove("OWF_CONFIG").current_dir(place.path().join(dir));
        let printed = crate::support::cli::printed(&command.output().unwrap());
        assert_eq!(printed.code, 0, "{printed:?}");
        stub.argv().contains(&"--skip-trust".to_owned())
    };
    let run = |file| ["run", file, "--provider", "gemini-cli"];
    assert!(!owf("project", &run("w.js")));
    owf("project", &["trust", "."]);
    assert!(owf("project", &run("again.js")));
    assert!(!owf("other", &run("w.js")));
    assert_eq!(stub.calls(), 3);
}

fn gemini(behave: &str) -> Stub {
    shipped("gemini-cli", "gemini", behave)
}

#[test]
fn gemini_cli_object_is_read_over_all_its_models() {
    let stub = gemini("cat \"$dir/events\"").var("GEMINI_API_KEY", "AIza-canary");
    let tokens = |prompt: u64, out: u64, cached: u64, thoughts: u64| json!({"tokens": {"prompt": prompt, "candidates": out, "cached": cached, "thoughts": thoughts, "tool": 0, "total": 1}});
    let models = json!({"gemini-3.5-flash": tokens(100, 7, 40, 3), "gemini-3.5-flash-lite": tokens(10, 1, 0, 0)});
    stub.events(&[json!({"session_id": "s", "response": "four", "stats": {"models": models}})]);
    let mut asked = request("2 + 2");
    asked.model = Some("gemini-3.5-flash".into());
    asked.spec.ask.system = Some("Be brief.".into());
    let reply = stub.call(&asked).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Text("four".into()));
    assert_eq!(
        reply.usage,
        Usage { input_tokens: 70, output_tokens: 11, cache_read_tokens: 40, reasoning_tokens: 3, ..Usage::default() }
    );
    assert_eq!(
        stub.argv(),
        ["-o", "json", "--allowed-mcp-server-names", "none", "--approval-mode", "plan", "-m", "gemini-3.5-flash"]
    );
    assert_eq!(stub.stdin(), "<instructions>\nBe brief.\n</instructions>\n\n2 + 2");
    assert_eq!(stub.env()["GEMINI_API_KEY"], "AIza-canary");
    asked.spec.ask.write_scope = Some(vec!["src".into()]);
    stub.call(&asked).unwrap();
    assert_eq!(stub.after("--approval-mode").as_deref(), Some("auto_edit"));
}

#[test]
fn gemini_cli_error_on_stderr_with_its_exit_code_is_a_matter_of_login() {
    let said = "{\"error\": {\"type\": \"Error\", \"message\": \"Please set an Auth method\", \"code\": 41}}";
    let stub = gemini(&format!("echo 'Loaded cached credentials.' >&2; echo '{said}' >&2; exit 41"));
    let error = stub.failure().error;
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Auth, "Please set an Auth method"));
    // Over several lines, after a trace with braces of its own, and with a status as its exit code: as 0.61.0 ends.
    let trace = "[API] _ApiError: {\"error\":{}}\n    at async Turn.run (chunk.js:1:24) {\n  status: 400\n}";
    let said = "{\n  \"session_id\": \"s\",\n  \"error\": {\n    \"type\": \"Error\",\n    \"message\": \"no luck\",\n    \"code\": 400\n  }\n}";
    let error = gemini(&format!("echo '{trace}\n{said}' >&2; exit 144")).failure().error;
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::BadRequest, "no luck"));
}

#[test]
fn qwen_code_is_read_like_claude_code() {
    let stub = shipped("qwen-code", "qwen", "cat \"$dir/events\"");
    let events = json!([
        {"type": "system", "subtype": "init", "model": "qwen3-coder", "qwen_code_version": "0.15.0"},
        {"type": "assistant", "message": {"id": "m", "content": [{"type": "text", "text": "{}"}]}},
        {"type": "result", "subtype": "success", "is_error": false, "result": "", "structured_output": {"n": 4},
         "usage": {"input_tokens": 20, "output_tokens": 3, "cache_read_input_tokens": 2},
         "permission_denials": [{"tool_name": "edit", "tool_input": {}}]}
    ]);
    stub.events(&[events]);
    let reply = stub
        .call(&structured(json!({"type": "object", "properties": {"n": {"type": "integer", "format": "int64"}}})))
        .unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"n": 4})));
    assert_eq!((reply.usage.input_tokens, reply.usage.output_tokens), (20, 3));
    assert_eq!(reply.provenance.warnings, ["the tool edit was denied: {}"]);
    assert_eq!((reply.cost_nanos, reply.cost_source), (None, CostSource::Unknown));
    assert_eq!(
        stub.after("--json-schema").as_deref(),
        Some("{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}}")
    );
}

/// A provider by a table of the user's.
fn own(table: &str, behave: &str) -> Stub {
    let mut stub = Stub::doing("mine", "mine 7.1", behave).cli(table);
    stub.entry.kind = Some("cli".into());
    stub
}

#[test]
fn a_users_own_table_is_a_provider() {
    let table = r#"
        program = "mine"
        args = ["ask", "--dir", "{cwd}"]
        model_args = ["--model={model}"]
        system_args = ["--system", "{system}"]
        effort_args = ["--effort", "{effort}"]
        schema_args = ["--schema", "{schema_file}"]
        prompt_args = ["--", "{prompt}"]
        version_args = ["--version"]
        output = "json"
        text = "/answer/0/text"
        structured = "/answer/0/value"
        model = "/model"
        cost_usd = "/cost"
        cost_is_reported = true
        done = { when = { "/ok" = true }, at = "/ok" }
        env = { MINE_QUIET = "1" }
        pass_env = ["MINE_HOME"]
        key_env = "MINE_KEY"
        base_url_env = "MINE_URL"
        write = { args = ["--write"], env = { MINE_WRITE = "1" } }
        usage = { input = "/tokens/in", output = "/tokens/out" }
    "#;
    let mut stub = own(table, "cat \"$dir/events\"").var("TEAM_KEY", "k1").var("MINE_HOME", "/m").var("OTHER", "o");
    stub.entry.api_key_env = Some("TEAM_KEY".into());
    stub.entry.base_url = Some("http://127.0.0.1:9".into());
    stub.entry.default_model = Some("big".into());
    let printed = |ok: bool| {
        json!({"ok": ok, "answer": [{"text": "four", "value": {"n": 4}}], "model": "big-1", "cost": 0.5,
               "tokens": {"in": 3, "out": 2}})
    };
    stub.events(&[printed(true)]);
    let mut asked = structured(json!({"type": "object"}));
    asked.model = Some("big".into());
    asked.spec.ask.system = Some("S".into());
    asked.spec.ask.effort = Some("low".into());
    asked.spec.ask.write_scope = Some(vec!["src".into()]);
    let reply = stub.call(&asked).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"n": 4})));
    assert_eq!((reply.cost_nanos, reply.cost_source), (Some(500_000_000), CostSource::Reported));
    assert_eq!((reply.model.as_deref(), reply.usage.input_tokens, reply.usage.output_tokens), (Some("big-1"), 3, 2));
    let mut argv = stub.argv();
    let file = argv.remove(10);
    assert!(file.ends_with("schema.json"), "{file}");
    assert_eq!(
        argv,
        ["ask", "--dir", "/tmp", "--write", "--model=big", "--system", "S", "--effort", "low", "--schema", "--", "p"]
    );
    let env: Vec<(String, String)> = stub.env().into_iter().filter(|(name, _)| name != "PATH").collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        env,
        [
            pair("MINE_HOME", "/m"),
            pair("MINE_KEY", "k1"),
            pair("MINE_QUIET", "1"),
            pair("MINE_URL", "http://127.0.0.1:9"),
            pair("MINE_WRITE", "1"),
            pair("OWF_CALL_ID", &asked.marker),
        ]
    );
    assert_eq!(stub.provider().default_model().as_deref(), Some("big"));
    assert_eq!(stub.provider().kind(), ProviderKind::Cli);
    // The event that tells success is not there.
    stub.events(&[printed(false)]);
    let error = stub.failure().error;
    assert_eq!(error.class, ErrorClass::Other);
    assert!(error.message.starts_with("mine ended without an answer"), "{}", error.message);
}

#[test]
fn a_table_without_rules_takes_the_output_as_the_answer() {
    let stub = own("program = 'mine'\noutput = 'text'", "echo four; echo five");
    assert_eq!(stub.reply().answer, ReplyAnswer::Text("four\nfive".into()));
    let mut asked = structured(json!({"type": "object"}));
    asked.spec.ask.effort = Some("low".into());
    let reply = stub.call(&asked).unwrap();
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("prompt"));
    assert_eq!(reply.provenance.warnings, ["mine has no setting for the effort \"low\""]);
    assert!(stub.stdin().ends_with("\n{\"type\":\"object\"}"), "{}", stub.stdin());
    let failed = own("program = 'mine'\noutput = 'text'", "echo 'no such model' >&2; exit 3").failure().error;
    assert_eq!(
        (failed.class, failed.message.as_str()),
        (ErrorClass::Other, "mine ended with exit code 3: no such model")
    );
}

#[test]
fn a_table_of_events_in_one_array_is_read() {
    let table = "program = 'mine'\noutput = 'json-array'\ntext = { when = { '/kind' = 'say' }, at = '/text', take = 'last' }\n\
                 error = { when = { '/kind' = 'fail' }, at = '/why' }";
    let stub = own(table, "cat \"$dir/events\"");
    stub.events(&[json!([{"kind": "say", "text": "three"}, {"kind": "say", "text": "four"}])]);
    assert_eq!(stub.reply().answer, ReplyAnswer::Text("four".into()));
    stub.events(&[json!([{"kind": "fail", "why": "rate limit reached"}])]);
    assert_eq!(stub.failure().error.class, ErrorClass::RateLimited);
}

#[test]
fn a_wrong_table_says_what_is_wrong_and_breaks_no_other_provider() {
    for (table, wrong) in [
        ("program = 'mine'\noutput = 'text'\ncolour = 1", "unknown field `colour`"),
        ("program = 'mine'", "missing field `output`"),
        ("output = 'text'", "missing field `program`"),
        ("program = 'mine'\noutput = 'xml'", "unknown variant `xml`"),
        ("program = 'mine'\noutput = 'json'", "`text` is missing: where does the answer stand?"),
        ("program = 'mine'\noutput = 'json'\ntext = 'answer'", "\"answer\" is no JSON Pointer: it must begin with /"),
        ("program = 'mine'\noutput = 'text'\nargs = ['{modle}']", "{modle} is unknown; known are {model}, {system}"),
        ("program = 'mine'\noutput = 'text'\nexit_codes = { x = 'auth' }", "the exit code \"x\" is no number"),
    ] {
        let stub = own(table, "");
        let message = stub.provider().availability().message.unwrap();
        let start = format!("the providers file, [providers.mine.cli]: {wrong}");
        assert!(message.starts_with(&start), "{message}");
        let names: Vec<String> =
            owf::providers::cli::providers(&stub.setup()).iter().map(|p| p.name().to_owned()).collect();
        assert_eq!(names, ["claude", "codex", "gemini-cli", "mine", "opencode", "qwen-code"]);
    }
    let mut missing = Stub::doing("mine", "1.0", "");
    missing.entry.kind = Some("cli".into());
    let message = missing.provider().availability().message.unwrap();
    assert_eq!(message, "the providers file, [providers.mine.cli]: it is missing: kind \"cli\" needs it");
}

#[test]
fn a_shipped_table_takes_single_keys_of_the_users() {
    let stub = gemini("cat \"$dir/events\"").cli("model_args = ['--model', '{model}']");
    stub.events(&[json!({"response": "four"})]);
    let mut asked = request("p");
    asked.model = Some("m".into());
    assert_eq!(stub.call(&asked).unwrap().answer, ReplyAnswer::Text("four".into()));
    assert_eq!(stub.after("--model").as_deref(), Some("m"));
}

#[test]
fn an_entry_of_kind_cli_cannot_take_the_name_of_a_built_in_adapter() {
    let mut stub = Stub::doing("claude", "2.1.332 (Claude Code)", "");
    stub.entry.kind = Some("cli".into());
    let names: Vec<String> =
        owf::providers::cli::providers(&stub.setup()).iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(names, ["claude", "codex", "gemini-cli", "opencode", "qwen-code"]);
}

#[test]
fn a_program_that_is_not_there_is_not_installed() {
    let stub = own("program = 'owf-nowhere'\noutput = 'text'", "");
    let availability = stub.provider().availability();
    let message = "the program `owf-nowhere` of provider mine is not on the PATH";
    assert_eq!((availability.available, availability.message.as_deref()), (false, Some(message)));
    let error = stub.failure().error;
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::NotInstalled, message));
}

#[test]
fn gemini_cli_runs_a_workflow() {
    let stub = gemini("cat \"$dir/events\"");
    stub.events(&[json!({"response": "four"})]);
    let run = owf_run(&stub, &Place::new(), "return await agent('2 + 2')");
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!("four")), "{run}");
}
