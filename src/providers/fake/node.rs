//! A fixture file as a tree in which every value knows its line and column.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;

use super::fixtures::FixtureProblem;

/// A position in the file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct At {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A value with its position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) data: Data,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// Keys in the order of the file, with their positions.
    Map(Vec<(At, String, Node)>),
}

impl Node {
    /// The value without positions.
    pub(super) fn to_value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(flag) => Value::Bool(*flag),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Data::Map(entries) => {
                Value::Object(entries.iter().map(|(_, key, inner)| (key.clone(), inner.to_value())).collect())
            }
        }
    }

    /// What sort of value it is, for messages.
    pub(super) fn sort(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Number(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }
}

/// Reads bytes as JSON (by extension, or when they are JSON) or YAML.
pub(super) fn read(bytes: &[u8], is_json: bool) -> Result<Node, FixtureProblem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        let column = good.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        problem(At { line: line as u32, column: column as u32 }, "the file is not text in UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if is_json || text.trim_start().starts_with(['{', '[']) {
        match serde_json::from_str::<Value>(text) {
            Ok(_) => return Scanner::new(text).document(),
            Err(error) if is_json => {
                let full = error.to_string();
                let message = full.split(" at line ").next().unwrap_or_default();
                let at = At { line: error.line() as u32, column: error.column() as u32 };
                return Err(problem(at, format!("this is not JSON: {message}")));
            }
            // A YAML flow mapping begins like JSON.
            Err(_) => {}
        }
    }
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options::<Spanned<Data>>(text, options).map(Node::from).map_err(|error| {
        let at = error.location().map_or(At { line: 1, column: 1 }, At::from);
        let off = serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
        let full = error.without_snippet().render_with_options(off);
        let message = full.split(" at line ").next().unwrap_or_default().trim().to_owned();
        problem(at, format!("this is not YAML that can be used: {message}"))
    })
}

fn problem(at: At, message: impl Into<String>) -> FixtureProblem {
    FixtureProblem {
        line: at.line.max(1),
        column: at.column.max(1),
        path: String::new(),
        message: message.into(),
        hint: None,
    }
}

impl From<serde_saphyr::Location> for At {
    fn from(location: serde_saphyr::Location) -> Self {
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        Self { line: small(location.line()), column: small(location.column()) }
    }
}

impl From<Spanned<Data>> for Node {
    fn from(spanned: Spanned<Data>) -> Self {
        Self { at: At::from(spanned.referenced), data: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_none<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<Data, D::Error> {
        Data::deserialize(input)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Data, E> {
        Ok(Data::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Data, E> {
        Ok(Data::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Data, E> {
        Ok(Data::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Data, E> {
        Number::from_f64(number).map(Data::Number).ok_or_else(|| E::custom("JSON has no such number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Data, E> {
        Ok(Data::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Data, E> {
        Ok(Data::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Data, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Data>>()? {
            out.push(Node::from(item));
        }
        Ok(Data::List(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Data, A::Error> {
        let mut out: Vec<(At, String, Node)> = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let value = entries.next_value::<Spanned<Data>>()?;
            if out.iter().any(|(_, other, _)| *other == key.value) {
                return Err(A::Error::custom(format!("the key `{}` is there twice", key.value)));
            }
            out.push((At::from(key.referenced), key.value, Node::from(value)));
        }
        Ok(Data::Map(out))
    }
}

/// Walks text that is known to be JSON and notes positions. It never fails on such text; elsewhere it ends early.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
    twice: Option<(At, String)>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1, line_start: 0, twice: None }
    }

    fn document(mut self) -> Result<Node, FixtureProblem> {
        let node = self.value();
        match self.twice {
            Some((at, key)) => Err(problem(at, format!("the key `{key}` is there twice"))),
            None => Ok(node),
        }
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_space(&mut self) {
        while self.peek().is_ascii_whitespace() {
            if self.peek() == b'\n' {
                self.line += 1;
                self.line_start = self.at + 1;
            }
            self.at += 1;
        }
    }

    fn position(&self) -> At {
        let before = self.text.get(self.line_start..self.at).unwrap_or_default();
        At { line: self.line, column: before.chars().count() as u32 + 1 }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while !matches!(self.peek(), b'"' | 0) {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        self.text.get(start..self.at).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    fn value(&mut self) -> Node {
        self.skip_space();
        let at = self.position();
        let data = match self.peek() {
            b'{' => Data::Map(self.entries()),
            b'[' => Data::List(self.items()),
            b'"' => Data::Text(self.string()),
            _ => self.scalar(),
        };
        Node { at, data }
    }

    fn scalar(&mut self) -> Data {
        let start = self.at;
        while !matches!(self.peek(), b',' | b']' | b'}' | 0) && !self.peek().is_ascii_whitespace() {
            self.at += 1;
        }
        match self.text.get(start..self.at).map(serde_json::from_str::<Value>) {
            Some(Ok(Value::Bool(flag))) => Data::Bool(flag),
            Some(Ok(Value::Number(number))) => Data::Number(number),
            _ => Data::Null,
        }
    }

    fn items(&mut self) -> Vec<Node> {
        let mut out = Vec::new();
        self.at += 1;
        self.skip_space();
        while !matches!(self.peek(), b']' | 0) {
            out.push(self.value());
            self.separator();
        }
        self.at += 1;
        out
    }

    fn entries(&mut self) -> Vec<(At, String, Node)> {
        let mut out: Vec<(At, String, Node)> = Vec::new();
        self.at += 1;
        self.skip_space();
        while !matches!(self.peek(), b'}' | 0) {
            let at = self.position();
            let key = self.string();
            self.skip_space();
            self.at += 1;
            let value = self.value();
            if self.twice.is_none() && out.iter().any(|(_, other, _)| *other == key) {
                self.twice = Some((at, key.clone()));
            }
            out.push((at, key, value));
            self.separator();
        }
        self.at += 1;
        out
    }

    fn separator(&mut self) {
        self.skip_space();
        if self.peek() == b',' {
            self.at += 1;
        }
        self.skip_space();
    }
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
