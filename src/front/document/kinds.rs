//! What a task does, from what is written in it: one kind, and only the fields that mean something for it.

use std::collections::HashMap;

use serde_json::Value;

use super::compile::Builder;
use super::plan::{Command, Kind, Outputs};
use super::schemas::check_schema;
use super::template::Template;
use super::tries;
use super::types::{self, Agent, OneOrMany, OutputsForm, Run, RunForm};
use crate::core::call::{Ask, WorkflowTarget};
use crate::core::work::stays_below;
use crate::front::script::close;

impl Builder<'_, '_, '_, '_> {
    /// What a task does.
    pub(super) fn kind(&mut self, written: &types::Task) -> Kind {
        let given: Vec<&str> = [
            ("prompt", written.prompt.is_some()),
            ("run", written.run.is_some()),
            ("tool", written.tool.is_some()),
            ("expr", written.expr.is_some()),
            ("workflow", written.workflow.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is)| is.then_some(name))
        .collect();
        match given[..] {
            ["prompt"] => self.agent(written),
            ["run"] => self.command(written),
            ["tool"] => {
                let name = written.tool.clone().unwrap_or_default();
                let args = written.args.as_ref().map(|args| self.compiled("args", Template::value(args)));
                Kind::Tool { name, args }
            }
            ["expr"] => {
                let source = written.expr.clone().unwrap_or(Value::Null);
                let made = match &source {
                    Value::String(text) => Template::expression(text),
                    other => Template::value(other),
                };
                Kind::Expr { value: self.compiled("expr", made), source }
            }
            ["workflow"] => {
                let name = written.workflow.clone().unwrap_or_default();
                let args = written.args.as_ref().map(|args| self.compiled("args", Template::value(args)));
                Kind::Workflow { target: WorkflowTarget::named(&name), args }
            }
            [] if written.approval.is_some() => Kind::Approval,
            [] if written.agent.is_some() => {
                self.error("agent", "missing_field", "a task with `agent` needs a `prompt`");
                Kind::Approval
            }
            [] => {
                let message = format!(
                    "`{}` does nothing: it needs `prompt`, `run`, `tool`, `expr`, `workflow` or `approval`",
                    self.one.id
                );
                self.report.error(self.one.at, "missing_field", message);
                Kind::Approval
            }
            _ => {
                let message = format!("`{}` has {}: a task does one thing", self.one.id, given.join(" and "));
                self.report.error(self.one.at, "two_kinds", message);
                Kind::Approval
            }
        }
    }

    fn agent(&mut self, written: &types::Task) -> Kind {
        let agent = match &written.agent {
            None => Agent::default(),
            // An included document may use the agents of the one that includes it.
            Some(name) => {
                let found = self.known_agents().find_map(|a| a.get(name)).cloned();
                if found.is_none() {
                    let known: Vec<String> = self.known_agents().flat_map(HashMap::keys).cloned().collect();
                    let message = match close(name, known.iter().map(String::as_str)) {
                        Some(near) => format!("there is no agent `{name}`; did you mean `{near}`?"),
                        None => format!("there is no agent `{name}`"),
                    };
                    let hint = if known.is_empty() {
                        "without `agent` the run's own provider is asked; `agents` says who else there is".to_owned()
                    } else {
                        let mut known = known;
                        known.sort();
                        known.dedup();
                        format!("`agents` has {}", known.join(", "))
                    };
                    let at = self.at("agent");
                    self.report.hinted(at, "unknown_agent", message, hint);
                }
                found.unwrap_or_default()
            }
        };
        let prompt = written.prompt.clone().unwrap_or_default();
        if prompt.trim().is_empty() {
            self.error("prompt", "wrong_value", "`prompt` must not be empty");
        }
        let prompt = self.compiled("prompt", Template::text(&prompt));
        let schema = self.schema(written);
        let role = agent.role.as_deref().map(|role| format!("You are {role}."));
        let system = [role, agent.system_prompt.clone()].into_iter().flatten().collect::<Vec<_>>().join("\n\n");
        let scope = |paths: &Option<OneOrMany>| paths.as_ref().map(OneOrMany::list);
        let ask = Ask {
            schema,
            model: agent.model.clone(),
            effort: agent.effort.map(|e| e.word().to_owned()),
            provider: agent.provider.clone(),
            system: (!system.is_empty()).then_some(system),
            tools: agent.tools.clone(),
            isolation: written.isolation,
            read_scope: scope(&written.read_scope),
            write_scope: scope(&written.write_scope),
            agent_type: agent.persona.clone(),
            secrets: self.secrets(written),
            ..Ask::default()
        };
        Kind::Agent { agent: written.agent.clone(), ask: Box::new(ask), prompt }
    }

    fn command(&mut self, written: &types::Task) -> Kind {
        let run = match written.run.clone() {
            Some(RunForm::Full(run)) => run,
            Some(RunForm::Words(argv)) => Run { argv, cwd: None, input: None, read_only: false },
            None => return Kind::Approval,
        };
        if let Some(cwd) = run.cwd.as_deref().filter(|cwd| !cwd.contains("{{") && !stays_below(cwd)) {
            let at = self.one.node.follow(["run", "cwd"]).0;
            let message = format!("`cwd` must stay in the workspace: a relative path without `..`, not `{cwd}`");
            self.report.error(at, "bad_path", message);
        }
        let argv = run.argv.iter().map(|word| self.compiled("run", Template::text(word))).collect();
        let cwd = run.cwd.as_ref().map(|text| self.compiled("run", Template::text(text)));
        let input = run.input.as_ref().map(|text| self.compiled("run", Template::text(text)));
        let (schema, secrets) = (self.schema(written), self.secrets(written));
        let ask = Ask { schema, secrets, ..Ask::default() };
        Kind::Command(Box::new(Command { argv, cwd, input, read_only: run.read_only, ask }))
    }

    fn schema(&mut self, written: &types::Task) -> Option<Value> {
        let schema = written.schema.clone().map(Value::Object)?;
        let at = self.at("schema");
        if schema.get("type") == Some(&Value::from("object")) {
            let node = self.one.node.follow(["schema"]).1;
            check_schema(&schema, (at, node), "`schema`", self.report);
        } else {
            let message = "the root of `schema` must say `type: object`: wrap another value in a property";
            self.report.error(at, "bad_schema", message);
        }
        Some(schema)
    }

    /// The files it makes.
    pub(super) fn outputs(&mut self, written: &types::Task) -> Option<Outputs> {
        let names = match written.outputs.clone()? {
            OutputsForm::One(name) => vec![name],
            OutputsForm::Many(names) => names,
            OutputsForm::Found(types::Outputs { pattern: Some(pattern), from: None }) => {
                if !pattern.contains("{{") && !stays_below(&pattern) {
                    let message =
                        format!("an output must stay in the workspace: a pattern without `..`, not `{pattern}`");
                    self.error("outputs", "bad_path", message);
                }
                if !pattern.contains("{{") && pattern.contains(['[', '{']) {
                    let at = self.one.node.follow(["outputs", "pattern"]).0;
                    let message =
                        format!("`[` and `{{` stand for themselves in `{pattern}`: a pattern has `*`, `**` and `?`");
                    self.report.warning(at, "literal_pattern", message);
                }
                return Some(Outputs::Pattern(self.compiled("outputs", Template::text(&pattern))));
            }
            OutputsForm::Found(types::Outputs { pattern: None, from: Some(from) }) => return Some(Outputs::From(from)),
            OutputsForm::Found(_) => {
                self.error("outputs", "bad_outputs", "`outputs` is names, or a map with `pattern` or with `from`");
                return None;
            }
        };
        for name in names.iter().filter(|name| !name.contains("{{")) {
            let is_file = name.split('/').next_back().is_some_and(|last| !matches!(last, "" | "."));
            if !stays_below(name) || name == "~" || name.starts_with("~/") {
                let message =
                    format!("an output must stay in the workspace: a relative path without `..`, not `{name}`");
                self.error("outputs", "bad_path", message);
            } else if !is_file {
                let message = format!(
                    "an output is a file, which `{name}` cannot be; `{{pattern: ...}}` finds what is in a directory"
                );
                self.error("outputs", "bad_path", message);
            }
        }
        Some(Outputs::Files(names.iter().map(|name| self.compiled("outputs", Template::text(name))).collect()))
    }

    /// The names of its secrets, sorted: their order means nothing.
    fn secrets(&mut self, written: &types::Task) -> Option<Vec<String>> {
        let mut names = written.secrets.clone()?;
        for name in &names {
            let mut chars = name.chars();
            let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            if !first || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
                let message = format!("`{name}` is no name of a variable; `secrets` holds names, never values");
                self.error("secrets", "bad_secret", message);
            }
        }
        names.sort();
        names.dedup();
        Some(names)
    }

    /// Fields that mean nothing for this kind of task.
    pub(super) fn misplaced(&mut self, written: &types::Task, kind: &Kind) {
        let is_agent = matches!(kind, Kind::Agent { .. });
        let is_command = matches!(kind, Kind::Command(_));
        let is_tool = matches!(kind, Kind::Tool { .. });
        let only_agents: &[(&str, bool)] = &[
            ("agent", written.agent.is_some()),
            ("cache", written.cache.is_some()),
            ("messages", written.messages.is_some()),
            ("isolation", written.isolation.is_some()),
            ("read_scope", written.read_scope.is_some()),
            ("write_scope", written.write_scope.is_some()),
        ];
        for (key, _) in only_agents.iter().filter(|(_, given)| *given && !is_agent) {
            self.error(key, "misplaced", format!("`{key}` belongs to a task with a `prompt`"));
        }
        let only_asked = [("schema", written.schema.is_some()), ("secrets", written.secrets.is_some())];
        // What a tool answers and is given is a matter of its configuration.
        for (key, _) in only_asked.iter().filter(|(_, given)| *given && !is_agent && !is_command) {
            self.error(key, "misplaced", format!("`{key}` belongs to a task with a `prompt` or `run`"));
        }
        let only_work = [
            ("retry", written.retry.is_some()),
            ("timeout", written.timeout.is_some()),
            ("outputs", written.outputs.is_some()),
            ("idempotency_key", written.idempotency_key.is_some()),
        ];
        for (key, _) in only_work.iter().filter(|(_, given)| *given && !is_agent && !is_command && !is_tool) {
            self.error(key, "misplaced", format!("`{key}` belongs to a task with a `prompt`, `run` or `tool`"));
        }
        if written.cleanup.is_some() && matches!(kind, Kind::Expr { .. } | Kind::Approval) {
            let message = "`cleanup` belongs to a task with a `prompt`, `run`, `tool` or `workflow`";
            self.error("cleanup", "misplaced", message);
        }
        if written.cache.is_some() && written.idempotency_key.is_some() {
            let message = "`cache` has no part in a task with an `idempotency_key`: what was given for the key counts";
            self.error("cache", "misplaced", message);
        }
        if written.args.is_some() && written.workflow.is_none() && !is_tool {
            self.error("args", "misplaced", "`args` belongs to a task with a `workflow` or `tool`");
        }
        if let Some(types::ApprovalForm::Full(approval)) = &written.approval
            && approval.on_timeout.is_some()
            && approval.timeout.is_none()
        {
            let message = "`on_timeout` needs `timeout`: without it the question never expires";
            self.error("approval", "misplaced", message);
        }
        if matches!(kind, Kind::Approval) && written.approval.is_some() {
            for (key, given) in [("for_each", written.for_each.is_some()), ("until", written.until.is_some())] {
                if given {
                    self.error(key, "misplaced", format!("`{key}` has no use for a task that only asks a person"));
                }
            }
        }
        match (&written.until, written.max_iterations) {
            (None, Some(_)) => {
                self.error(
                    "max_iterations",
                    "no_condition",
                    "`max_iterations` needs `until`: the condition that ends the loop",
                );
            }
            (Some(_), None) => self.error("until", "no_limit", "`until` needs `max_iterations`"),
            _ => {}
        }
        if written.until.is_some() && written.for_each.is_some() {
            self.error("until", "misplaced", "`until` and `for_each` exclude each other");
        }
        if written.routes.as_ref().is_some_and(serde_json::Map::is_empty) {
            self.error("routes", "wrong_value", "`routes` must not be empty");
        }
        tries::task(written, self.one.node, self.one.at, self.report);
        if written.skip_dependents && written.when.is_none() && written.outcome.is_none() {
            let message = "`skip_dependents` needs `when` or `outcome`: nothing else skips a task";
            self.error("skip_dependents", "misplaced", message);
        }
        for (key, scope) in [("read_scope", &written.read_scope), ("write_scope", &written.write_scope)] {
            for path in scope.iter().flat_map(OneOrMany::list).filter(|path| !stays_below(path)) {
                let message = format!("`{key}` holds relative paths without `..` in the workspace, not `{path}`");
                self.error(key, "bad_path", message);
            }
        }
        if written.route.is_some() && written.routes.is_none() {
            self.error("route", "misplaced", "`route` needs `routes`");
        }
    }
}
