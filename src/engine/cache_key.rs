//! Cache keys: the request and how it was resolved, one component at a time, so that a miss can say what differed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::core::call::{CallKind, CallSpec};
use crate::core::ids::Hash;
use crate::core::json::canonical;

use super::prepare::Prepared;

/// The version of the cache key's recipe.
const FORMAT: u32 = 1;

/// The components of a call's cache key, full hashes by name. Absent components leave no trace.
pub(crate) fn parts(spec: &CallSpec, prepared: &Prepared) -> BTreeMap<String, Hash> {
    let ask = &spec.ask;
    let mut out = BTreeMap::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), Hash::of(canonical(&value)));
        }
    };
    // What was said before the prompt counts as part of it.
    put(
        "prompt",
        match &ask.messages {
            None => ask.prompt.clone().map(Value::from),
            Some(messages) => Some(json!([messages, ask.prompt])),
        },
    );
    put("schema", ask.schema.clone());
    put("system", ask.system.clone().map(Value::from));
    put("model", prepared.request.model.clone().map(Value::from));
    put("effort", ask.effort.clone().map(Value::from));
    put("provider", Some(prepared.provider_name.clone().into()));
    put("persona", ask.agent_type.as_ref().map(|name| json!([name, ask.persona])));
    let tools = ask.tools.is_some() || ask.disallowed_tools.is_some() || ask.extra.is_some();
    put(
        "tools",
        // What they are stands in no request, so it counts here.
        match &prepared.tools {
            Some(lent) => Some(json!([ask.tools, ask.disallowed_tools, ask.extra, lent])),
            None => tools.then(|| json!([ask.tools, ask.disallowed_tools, ask.extra])),
        },
    );
    put("scopes", ask.read_scope.as_ref().map(|scope| json!(scope)));
    put("namespace", ask.namespace.clone().map(Value::from));
    put("workspace", prepared.workspace.as_ref().map(|seen| seen.state.clone().into()));
    for (name, value) in prepared.provider.identity(&prepared.request) {
        put(&name, Some(value.into()));
    }
    out
}

/// The cache key of a call with these components.
pub(crate) fn key(kind: CallKind, parts: &BTreeMap<String, Hash>) -> Hash {
    let mut text = format!("owf cache {FORMAT}\n{}\n", kind.as_str());
    for (name, hash) in parts {
        text.push_str(&format!("{name} {hash}\n"));
    }
    Hash::of(text)
}

/// The components as the journal keeps them: eight hexadecimal digits each.
pub(crate) fn short(parts: &BTreeMap<String, Hash>) -> BTreeMap<String, String> {
    parts.iter().map(|(name, hash)| (name.clone(), hash.short()[..8].to_owned())).collect()
}
