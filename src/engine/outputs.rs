//! The files a call was to make: refused by their names before it begins, looked for when it has ended.

use std::path::Path;

use serde_json::Value;

use crate::core::call::Ask;
use crate::core::file_rules::FileRules;
use crate::core::outcome::{CallError, ErrorClass};
use crate::core::work::OutputsAsk;
use crate::tools::Outputs;

/// Whether the files that a call is to make may be made, by their names alone.
///
/// # Errors
/// The first that leads out of the directory or that a rule refuses.
pub(crate) fn check(dir: &Path, ask: &Ask, rules: &FileRules) -> Result<(), CallError> {
    let Some(asked) = &ask.outputs else { return Ok(()) };
    let refused = |why: String| CallError::new(ErrorClass::Policy, format!("`outputs`: {why}"));
    let look = Outputs::new(dir, rules).map_err(refused)?;
    match asked {
        OutputsAsk::Files(files) => files.iter().try_for_each(|file| look.may_be(file)).map_err(refused),
        OutputsAsk::Pattern(pattern) => look.may_match(pattern).map_err(refused),
        OutputsAsk::From(_) => Ok(()),
    }
}

/// The files that a call made, in the order they are named; those of a pattern sorted. May block.
///
/// # Errors
/// One that is missing, or that may not be there.
pub(crate) fn collect(
    dir: &Path,
    asked: &OutputsAsk,
    rules: &FileRules,
    value: &Value,
) -> Result<Vec<String>, CallError> {
    let failed = |why: String| CallError::new(ErrorClass::Document, format!("`outputs`: {why}"));
    let look = Outputs::new(dir, rules).map_err(failed)?;
    let found = match asked {
        OutputsAsk::Files(files) => files.iter().map(|file| look.present(file)).collect(),
        OutputsAsk::Pattern(pattern) => look.matching(pattern),
        OutputsAsk::From(path) => named(value, path).and_then(|files| files.iter().map(|f| look.present(f)).collect()),
    };
    found.map_err(failed)
}

/// The names of files that stand at a path of a value; of a text, of the JSON in it.
fn named(value: &Value, path: &str) -> Result<Vec<String>, String> {
    let parsed = value.as_str().and_then(|text| serde_json::from_str::<Value>(text.trim()).ok());
    let mut at = parsed.as_ref().unwrap_or(value);
    for part in path.split('.') {
        let next = match at {
            Value::Object(map) => map.get(part),
            Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        at = next.ok_or_else(|| format!("the result has no `{path}`"))?;
    }
    let text = |item: &Value| item.as_str().map(str::to_owned);
    let names = match at {
        Value::Array(items) => items.iter().map(text).collect::<Option<Vec<_>>>(),
        one => text(one).map(|one| vec![one]),
    };
    names.ok_or_else(|| format!("`{path}` of the result is no name of a file and no list of such names"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_found_in_values_and_in_json_that_was_printed() {
        let value = json!({"made": {"files": ["a", "b"], "one": "c", "n": 1}});
        let all = |value: &Value, path: &str| named(value, path);
        assert_eq!(all(&value, "made.files"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(all(&json!(value.to_string()), "made.one"), Ok(vec!["c".to_owned()]));
        assert_eq!(all(&value, "made.files.1"), Ok(vec!["b".to_owned()]));
        assert_eq!(all(&value, "made.gone"), Err("the result has no `made.gone`".to_owned()));
        let message = "`made.n` of the result is no name of a file and no list of such names";
        assert_eq!(all(&value, "made.n"), Err(message.to_owned()));
    }
}
