//! What differs between two calls, by the names of the components of a request.

use std::collections::BTreeMap;

use crate::core::call::Ask;

/// The order in which differences are named.
const ORDER: &[&str] = &[
    "prompt",
    "system",
    "schema",
    "provider",
    "model",
    "effort",
    "persona",
    "tools",
    "scopes",
    "namespace",
    "workspace",
    "provider_version",
    "fixtures",
    "mood",
];

/// Components whose recorded hashes differ, or that only one of the two has.
pub(super) fn of_parts(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let names = a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name));
    ordered(names.cloned())
}

/// Components in which two requests differ as written.
pub(super) fn of_asks(a: &Ask, b: &Ask) -> Vec<String> {
    let checks = [
        ("prompt", (&a.prompt, &a.messages) != (&b.prompt, &b.messages)),
        ("system", a.system != b.system),
        ("schema", a.schema != b.schema),
        ("provider", a.provider != b.provider),
        ("model", a.model != b.model),
        ("effort", a.effort != b.effort),
        ("persona", (&a.agent_type, &a.persona) != (&b.agent_type, &b.persona)),
        ("tools", (&a.tools, &a.disallowed_tools, &a.extra) != (&b.tools, &b.disallowed_tools, &b.extra)),
        ("scopes", (&a.read_scope, &a.write_scope, a.isolation) != (&b.read_scope, &b.write_scope, b.isolation)),
        ("namespace", a.namespace != b.namespace),
    ];
    checks.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
}

fn ordered(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    let place = |name: &String| (ORDER.iter().position(|n| n == name).unwrap_or(ORDER.len()), name.clone());
    names.sort_by_key(place);
    names.dedup();
    names
}

/// Names as a person lists them: `prompt`, `prompt and schema`, `prompt, schema and model`.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_in_one_order() {
        let parts = |text: &str| -> BTreeMap<String, String> {
            text.split_whitespace().filter_map(|p| p.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
        };
        let changed = of_parts(&parts("model=1 prompt=1 schema=1 zeta=1"), &parts("model=2 prompt=2 workspace=1"));
        assert_eq!(changed, ["prompt", "schema", "model", "workspace", "zeta"]);
        assert_eq!(listed(&changed[..3]), "prompt, schema and model");
        let ask = Ask { prompt: Some("a".into()), ..Ask::default() };
        assert_eq!(of_asks(&ask, &Ask { effort: Some("high".into()), ..ask.clone() }), ["effort"]);
    }
}
