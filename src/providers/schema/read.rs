//! Finding the JSON in a text answer: the whole text, a fenced block, or the first object in it.

use serde_json::Value;

/// How many places of a text are tried as the beginning of an object.
const TRIES: usize = 1000;

/// The JSON value in `text`: the whole text, else the first fenced block that parses, else the first balanced object.
pub fn read_answer(text: &str) -> Option<Value> {
    let trimmed = text.trim_start_matches('\u{feff}').trim();
    if let Ok(value) = serde_json::from_str(trimmed) {
        return Some(value);
    }
    fenced(trimmed).or_else(|| first_object(trimmed))
}

fn fenced(text: &str) -> Option<Value> {
    let mut parts = text.split("```");
    parts.next()?;
    // Every second part stands between two fences; its first line may name a language.
    while let Some(block) = parts.next() {
        let body = match block.split_once('\n') {
            Some((first, rest)) if !first.contains(['{', '[']) => rest,
            _ => block,
        };
        if let Ok(value) = serde_json::from_str::<Value>(body.trim())
            && (value.is_object() || value.is_array())
        {
            return Some(value);
        }
        parts.next();
    }
    None
}

fn first_object(text: &str) -> Option<Value> {
    text.match_indices('{').take(TRIES).find_map(|(at, _)| {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        values.next().and_then(Result::ok)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn json_is_found_in_every_usual_dress() {
        let value = Some(json!({"a": {"b": "}"}}));
        assert_eq!(read_answer(" {\"a\": {\"b\": \"}\"}}\n"), value);
        assert_eq!(read_answer("Here:\n```json\n{\"a\": {\"b\": \"}\"}}\n```\nDone {x}."), value);
        assert_eq!(read_answer("Use {braces}: {\"a\": {\"b\": \"}\"}} and more"), value);
        assert_eq!(read_answer("no json { here"), None);
        assert_eq!(read_answer(""), None);
        assert_eq!(read_answer("[1]"), Some(json!([1])));
    }

    proptest! {
        #[test]
        fn an_object_is_found_in_any_prose_without_braces(before in "[^{`]{0,40}", after in "[^`]{0,40}") {
            prop_assert_eq!(read_answer(&format!("{before} {{\"k\": [1]}} {after}")), Some(json!({"k": [1]})));
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,200}") {
            let _ = read_answer(&text);
        }
    }
}
