//! The script dialect through the whole engine: child workflows.

use std::sync::Arc;

use owf::core::event::Event;
use owf::core::run::RunStatus;
use owf::engine::params::RunParams;
use owf::providers::{ProviderKind, ReplyAnswer};
use serde_json::json;

use crate::dialect_lab::{Ended, Lab, Outfit, Scripted, inline, named};

fn child(lab: &Lab, file: &str, name: &str, body: &str) {
    lab.file(&format!(".claude/workflows/{file}"), &named(name, body));
}

#[test]
fn dialect_45_a_child_is_found_by_its_exact_name_and_an_unknown_one_lists_what_exists() {
    let lab = Lab::new();
    child(&lab, "one.js", "Deep Review", "return 'deep'");
    child(&lab, "two.js", "deep-review", "return 'dashed'");
    let body = "const seen = [await workflow('Deep Review'), await workflow('deep-review')]
for (const name of ['deep review', 'one', 'one.js', '']) {
  try { await workflow(name); seen.push('ran') } catch (e) { seen.push(e.name, e.message) }
}
return seen";
    let value = lab.value(body);
    let said: Vec<&str> = value.as_array().into_iter().flatten().filter_map(|v| v.as_str()).collect();
    assert_eq!(said[..2], ["deep", "dashed"]);
    for (name, told) in ["deep review", "one", "one.js", ""].iter().zip(said[2..].chunks(2)) {
        assert_eq!(told[0], "Error", "{value}");
        assert!(told[1].contains(&format!("\"{name}\"")), "{value}");
        // All that exist are listed, not only those with a similar name.
        assert!(told[1].contains("Deep Review") && told[1].contains("deep-review"), "{value}");
        assert!(told[1].contains("hello"), "{value}");
    }
}

#[test]
fn dialect_46_a_script_path_starts_at_the_working_directory() {
    let lab = Lab::with(Outfit { cwd: Some("project/below"), ..Outfit::default() });
    lab.file("project/below/parts/part.js", &named("part", "return 'below ' + args"));
    lab.file("project/parts/part.js", &named("part", "return 'above ' + args"));
    // The directory of the calling script does not matter.
    let caller = lab.file(
        "elsewhere/caller.js",
        &named(
            "caller",
            "const seen = [await workflow({ scriptPath: 'parts/part.js' }, 1), await workflow({ scriptPath: '../parts/part.js' }, 2)]
for (const scriptPath of ['part.js', 'parts', 'parts/none.js']) {
  try { await workflow({ scriptPath }); seen.push('ran') } catch (e) { seen.push(e instanceof Error) }
}
return seen",
        ),
    );
    let ended = lab.run(&RunParams { path: Some(caller), ..RunParams::default() });
    assert_eq!(ended.value(), json!(["below 1", "above 2", true, true, true]));
}

#[test]
fn dialect_46_a_child_that_does_not_parse_throws_with_its_place() {
    let lab = Lab::new();
    lab.file("bad.js", "export const meta = { name: 'bad', description: 'x' }\nconst a = \n");
    let value = lab.value("try { await workflow({ scriptPath: 'bad.js' }) } catch (e) { return [e.name, e.message] }");
    assert!(value[1].as_str().unwrap_or_default().contains("bad.js:3:1"), "{value}");
}

#[test]
fn dialect_47_a_child_tells_undefined_from_null() {
    let lab = Lab::new();
    child(&lab, "c.js", "c", "return args === undefined ? 'undefined' : args");
    let body = "return [await workflow('c'), await workflow('c', undefined), await workflow('c', null),
  await workflow('c', false), await workflow('c', { a: undefined, b: [null] }), await workflow('c', '{\"a\":1}')]";
    // Text inside a script stays text: only the boundary of the program decodes it.
    assert_eq!(lab.value(body), json!(["undefined", "undefined", null, false, { "b": [null] }, "{\"a\":1}"]));
}

#[test]
fn dialect_48_the_childs_own_error_comes_through_with_type_and_message() {
    let lab = Lab::new();
    child(
        &lab,
        "c.js",
        "c",
        "if (args === 'range') throw new RangeError('too far')
if (args === 'own') throw Object.assign(new Error('mine'), { name: 'OwnError' })
if (args === 'text') throw 'only text'
if (args === 'type') null.x
return await agent('p')",
    );
    let body = "const seen = []
for (const how of ['range', 'own', 'text', 'type']) {
  try { await workflow('c', how) } catch (e) { seen.push([e instanceof Error, e.name, e.message]) }
}
try { await workflow('c', 'range') } catch (e) { seen.push(e instanceof RangeError) }
seen.push(await parallel([() => workflow('c', 'range'), () => workflow('c', 'fine')]))
return seen";
    let ended = lab.body(body);
    let value = ended.value();
    assert_eq!(value[0], json!([true, "RangeError", "too far"]));
    assert_eq!(value[1], json!([true, "OwnError", "mine"]));
    assert_eq!(value[2][2], json!("only text"));
    assert_eq!(
        (value[3][1].clone(), value[4].clone(), value[5][0].clone()),
        (json!("TypeError"), json!(true), json!(null))
    );
    assert!(value[5][1].is_string(), "{value}");
    // Each child has a line at its start and one at its end, and the slot that became null one more.
    let logs = ended.logs();
    assert_eq!(logs.iter().filter(|l| l.as_str() == "workflow \"c\" started").count(), 7);
    assert_eq!(logs.iter().filter(|l| l.as_str() == "workflow \"c\" done").count(), 1);
    assert_eq!(logs.iter().filter(|l| l.contains("too far") && l.starts_with("workflow \"c\" ")).count(), 3);
    assert_eq!(logs.iter().filter(|l| l.as_str() == "parallel[0] failed: too far").count(), 1);
}

#[test]
fn dialect_49_a_child_that_calls_a_child_throws() {
    let lab = Lab::new();
    child(&lab, "inner.js", "inner", "return 'inner'");
    child(
        &lab,
        "outer.js",
        "outer",
        "try { return await workflow('inner') } catch (e) { return [e instanceof Error, e.message] }",
    );
    child(&lab, "loud.js", "loud", "return await workflow('inner')");
    let value = lab.value("return [await workflow('outer'), await workflow('loud').catch(e => e.message)]");
    assert_eq!(value[0][0], json!(true), "{value}");
    assert!(value[0][1].as_str().unwrap_or_default().contains("1 deep"), "{value}");
    assert_eq!(value[0][1], value[1]);
}

/// `label: phase` of every agent call of the run and its children, and their log lines.
fn grouping(lab: &Lab, ended: &Ended) -> (Vec<String>, Vec<String>) {
    let mut calls = Vec::new();
    let mut logs = Vec::new();
    for record in &ended.events {
        match &record.event {
            Event::Log { message, .. } => logs.push(message.clone()),
            Event::CallFinished { outcome, .. } => {
                let Some(child) = &outcome.child_run else { continue };
                for record in lab.events(child.as_str()) {
                    match record.event {
                        Event::CallRequested { spec, .. } => {
                            calls.push(format!("{}: {}", spec.label, spec.phase.clone().unwrap_or_default()));
                        }
                        Event::Log { message, .. } => logs.push(message),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (calls, logs)
}

#[test]
fn dialect_50_agents_of_a_child_are_grouped_under_its_name_and_repeats_are_numbered() {
    let lab = Lab::new();
    child(
        &lab,
        "c.js",
        "c",
        "phase('Ignored')\nlog('hello')\nawait agent(args, { label: args, phase: 'Ignored too' })\nreturn 1",
    );
    let ended = lab.body("phase('Mine')\nawait workflow('c', 'a')\nawait workflow('c', 'b')\nawait workflow('c', 'c')");
    let (calls, logs) = grouping(&lab, &ended);
    assert_eq!(calls, ["a: ▸ c", "b: ▸ c #2", "c: ▸ c #3"]);
    assert_eq!(logs.iter().filter(|l| l.as_str() == "[c] hello").count(), 3);
    let view = lab.view(&ended.run);
    let titles: Vec<&str> = view.phases.iter().map(|p| p.title.as_str()).collect();
    assert_eq!(titles, ["Mine", "▸ c", "▸ c #2", "▸ c #3"]);
}

#[test]
fn dialect_51_a_child_shares_the_counter_and_the_cap() {
    let lab = Lab::new();
    child(
        &lab,
        "c.js",
        "c",
        "const slots = await parallel([1, 2, 3].map(n => () => agent('child ' + args + n)))\nreturn slots.map(s => s === null)",
    );
    let body = "await agent('mine')
const first = await workflow('c', 'x')
const second = await workflow('c', 'y')
try { await agent('mine, too') } catch (e) { return [first, second, e.name] }";
    let ended = lab.run(&RunParams { max_calls: Some(5), ..inline(body) });
    assert_eq!(ended.value(), json!([[false, false, false], [false, true, true], "WorkflowAgentCapError"]));
    // The cap that ends a child ends the parent by the same name.
    child(&lab, "d.js", "d", "await agent('a')\nawait agent('b')");
    let ended =
        lab.run(&RunParams { max_calls: Some(1), ..inline("try { await workflow('d') } catch (e) { return e.name }") });
    assert_eq!(ended.value(), json!("WorkflowAgentCapError"));
}

#[test]
fn dialect_51_a_child_shares_the_budget() {
    let provider =
        Arc::new(Scripted::new("scripted", ProviderKind::Http, |_, _| Ok(ReplyAnswer::Text("fine".to_owned()))));
    let lab = Lab::with(Outfit { providers: vec![Arc::clone(&provider) as _], ..Outfit::default() });
    child(
        &lab,
        "c.js",
        "c",
        "const before = [budget.total, budget.spent(), budget.remaining()]\nawait agent('child ' + args)\nreturn [before, budget.spent()]",
    );
    let body = "await agent('mine')
const first = await workflow('c', 1)
const between = budget.spent()
const second = await workflow('c', 2)
let name = null
try { await workflow('c', 3) } catch (e) { name = e.name }
return [first, between, second, budget.spent(), budget.remaining(), name]";
    let params = RunParams { provider: Some("scripted".to_owned()), budget_tokens: Some(30), ..inline(body) };
    let ended = lab.run(&params);
    assert_eq!(
        ended.value(),
        json!([[[30, 10, 20], 20], 20, [[30, 20, 10], 30], 30, 0, "WorkflowBudgetExceededError"])
    );
    assert_eq!((provider.invoked(), ended.outcome.status), (3, RunStatus::Done));
}
