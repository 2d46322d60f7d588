//! A fixture file as a tree in which every value knows its line and column.

use super::fixtures::FixtureProblem;
use crate::core::located;

pub(super) use crate::core::located::{At, Data, Node};

/// Reads bytes as JSON (by extension, or when they are JSON) or YAML.
pub(super) fn read(bytes: &[u8], is_json: bool) -> Result<Node, FixtureProblem> {
    located::read(bytes, is_json).map_err(|problem| FixtureProblem {
        line: problem.at.line,
        column: problem.at.column,
        path: String::new(),
        message: problem.message,
        hint: None,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn position(node: &Node, key: &str) -> (At, At) {
        let Data::Map(entries) = &node.data else { return Default::default() };
        entries.iter().find(|(_, name, _)| name == key).map(|(at, _, value)| (*at, value.at)).unwrap_or_default()
    }

    #[test]
    fn json_and_yaml_give_the_same_tree_and_positions() {
        let yaml = read(b"a: 1\nb:\n  - x\n  - \"2-\"\nc: {d: yes, e: true, f: ~}\n", false).unwrap();
        assert_eq!(yaml.to_value(), json!({"a": 1, "b": ["x", "2-"], "c": {"d": "yes", "e": true, "f": null}}));
        assert_eq!(position(&yaml, "b"), (At { line: 2, column: 1 }, At { line: 3, column: 3 }));
        let json = read("{\n \"a\": \"\u{e4}\\u00e4\", \"b\": [1.5, {}],\n \"c\": false}".as_bytes(), true).unwrap();
        assert_eq!(json.to_value(), json!({"a": "\u{e4}\u{e4}", "b": [1.5, {}], "c": false}));
        assert_eq!(position(&json, "b"), (At { line: 2, column: 18 }, At { line: 2, column: 23 }));
        assert_eq!(position(&json, "c").0, At { line: 3, column: 2 });
    }

    #[test]
    fn syntax_errors_have_a_position() {
        let json = read(b"{\n  \"a\": ,\n}", true).unwrap_err();
        assert_eq!((json.line, json.column), (2, 8));
        let yaml = read(b"a: 1\nb: [1\n", false).unwrap_err();
        assert!(yaml.line >= 2, "{yaml:?}");
        let twice = read(b"{\"a\": 1, \"a\": 2}", false).unwrap_err();
        assert_eq!((twice.line, twice.column, twice.message.as_str()), (1, 10, "the key `a` is there twice"));
        assert!(read(b"a: 1\na: 2\n", false).is_err());
        let utf8 = read(b"a: 1\nb: \xff", false).unwrap_err();
        assert_eq!((utf8.line, utf8.column), (2, 4));
    }

    proptest! {
        #[test]
        fn any_json_survives(value in crate::providers::fake::generate::tests::any_json()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(read(text.as_bytes(), true).unwrap().to_value(), value);
        }
    }
}
