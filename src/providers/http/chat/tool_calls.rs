//! The tools that a model calls in its turn: one after another, what goes wrong told to it.

use serde_json::{Value, json};

use super::super::kept::Open;
use super::super::wire::{Failed, ToolCall, ToolResult, Turn};
use super::Chat;
use crate::core::outcome::{CallError, ErrorClass};

impl Chat<'_> {
    /// Calls tools one after another; what goes wrong is told to the model.
    ///
    /// # Errors
    /// A person is asked about one: the conversation is left as it stands before it.
    pub(super) async fn go_through(&mut self, mut open: Open) -> Result<(), Failed> {
        while let Some(call) = open.calls.get(open.results.len()).cloned() {
            let known = self.tools.iter().any(|tool| tool.name == call.name);
            let content = match (&self.context.tools, &call.arguments) {
                (Some(tools), Ok(arguments)) if known => {
                    self.context.progress.say(described(&call, arguments));
                    tools.call(&call.name, arguments.clone()).await
                }
                (Some(_), Err(why)) if known => Err(why.clone()),
                _ => {
                    let names: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
                    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                    Err(format!("there is no tool {}; there is: {there}", call.name))
                }
            };
            if self.context.tools.as_ref().is_some_and(|tools| tools.waits()) {
                let message = format!("a person is asked before `{}` is used", call.name);
                self.leave(self.turn, Some(open));
                return Err(CallError::new(ErrorClass::Policy, message).into());
            }
            let (ok, text) = match &content {
                Ok(text) => (true, text),
                Err(why) => (false, why),
            };
            self.note(json!({"role": "tool", "name": call.name, "ok": ok, "content": text}));
            open.results.push(ToolResult { id: call.id.clone(), name: call.name.clone(), content });
        }
        self.later.push(Turn::Raw(open.raw));
        self.later.push(Turn::Results(open.results));
        Ok(())
    }
}

/// A tool call in a reader's words.
fn described(call: &ToolCall, arguments: &Value) -> String {
    let what = ["path", "pattern", "query"].iter().find_map(|name| arguments.get(*name)?.as_str());
    match what {
        Some(what) => format!("{} {what}", call.name),
        None => call.name.clone(),
    }
}
