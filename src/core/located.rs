//! YAML and JSON texts as trees in which every value knows its line and column.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;

/// A position in the file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// A value with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: At,
    /// What it is.
    pub data: Data,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// Keys in the order of the file, with their positions.
    Map(Vec<(At, String, Node)>),
}

impl Node {
    /// The entries of a map, else none.
    pub fn entries(&self) -> &[(At, String, Self)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list, else none.
    pub fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The entry of a map: where its key stands, and its value.
    pub fn entry(&self, key: &str) -> Option<(At, &Self)> {
        self.entries().iter().find(|(_, name, _)| name == key).map(|(at, _, value)| (*at, value))
    }

    /// The value at a path of keys and indexes, as far as it goes, and where it (for a member its key) begins.
    pub fn follow<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> (At, &Self) {
        let (mut at, mut node) = (self.at, self);
        for part in path {
            match &node.data {
                Data::Map(_) => match node.entry(part) {
                    Some((key_at, value)) => (at, node) = (key_at, value),
                    None => break,
                },
                Data::List(items) => match part.parse::<usize>().ok().and_then(|index| items.get(index)) {
                    Some(item) => (at, node) = (item.at, item),
                    None => break,
                },
                _ => break,
            }
        }
        (at, node)
    }

    /// Moves every position down by some lines: the text stands behind others.
    pub fn move_down(&mut self, lines: u32) {
        self.at.line += lines;
        match &mut self.data {
            Data::List(items) => items.iter_mut().for_each(|item| item.move_down(lines)),
            Data::Map(entries) => {
                for (at, _, value) in entries {
                    at.line += lines;
                    value.move_down(lines);
                }
            }
            _ => {}
        }
    }

    /// Levels of nesting, 1 for a scalar.
    pub fn depth(&self) -> usize {
        match &self.data {
            Data::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Data::Map(entries) => 1 + entries.iter().map(|(_, _, value)| value.depth()).max().unwrap_or(0),
            _ => 1,
        }
    }

    /// The value without positions.
    pub fn to_value(&self) -> Value {
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
    pub fn sort(&self) -> &'static str {
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

/// Reads bytes as JSON (when they must be, or when they are) or YAML. Booleans are `true` and `false` alone, a key may stand once, and
/// what aliases expand to is bounded.
///
/// # Errors
/// The first place that keeps the text from being read.
pub fn read(bytes: &[u8], is_json: bool) -> Result<Node, Misread> {
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
    let options = serde_saphyr::options! {
        strict_booleans: true,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    };
    serde_saphyr::from_str_with_options::<Spanned<Data>>(text, options).map(Node::from).map_err(|error| {
        let at = error.location().map_or(At { line: 1, column: 1 }, At::from);
        let off = serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
        let full = error.without_snippet().render_with_options(off);
        let message = full.split(" at line ").next().unwrap_or_default();
        if message.starts_with("multiple YAML documents") {
            return problem(at, "a file holds one document: what stands behind `---` belongs into a file of its own");
        }
        let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or_default().trim();
        problem(at, format!("this is not YAML that can be used: {}", plainer(message)))
    })
}

/// What the reader says of texts that people write often, in words that say what to write instead.
fn plainer(message: &str) -> String {
    match message {
        "expected string scalar" => {
            "a key must be a text; a text that begins with a brace stands in quotes, '{{ input.x }}'".to_owned()
        }
        _ if message.starts_with("cannot deserialize null into string") => "a key must be a text, not null".to_owned(),
        _ if message.starts_with("mapping values are not allowed") => {
            format!("{message}; a text with `: ` in it stands in quotes")
        }
        _ if message.starts_with("alias references unknown") => {
            format!("{message}; a text that begins with `*` stands in quotes")
        }
        _ if message.starts_with("unexpected character") => {
            format!("{message}; a text that begins so stands in quotes")
        }
        _ if message.starts_with("non-finite float") => "a number must be finite".to_owned(),
        _ => message.to_owned(),
    }
}

/// Why a text gives no tree, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    /// Where.
    pub at: At,
    /// What is wrong.
    pub message: String,
}

fn problem(at: At, message: impl Into<String>) -> Misread {
    Misread { at: At { line: at.line.max(1), column: at.column.max(1) }, message: message.into() }
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
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let value = entries.next_value::<Spanned<Data>>()?;
            if !seen.insert(key.value.clone()) {
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

    fn document(mut self) -> Result<Node, Misread> {
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
        let mut seen = HashSet::new();
        self.at += 1;
        self.skip_space();
        while !matches!(self.peek(), b'}' | 0) {
            let at = self.position();
            let key = self.string();
            self.skip_space();
            self.at += 1;
            let value = self.value();
            if !seen.insert(key.clone()) && self.twice.is_none() {
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
