//! A row of a table of sessions: what a client sends, and all that the server answers.

use serde_json::{Value, json};

use super::cli::Place;
use super::mcp::{ERAS, Era};
use super::session::{TRANSPORTS, opening, request, serve};

/// Where the session is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// Before the lines of the row.
    First,
    /// After them.
    Last,
    /// Never: the row is the whole session.
    Never,
}

/// What is expected of the message that comes next under an id.
struct Expected {
    id: Value,
    /// Places in the message and what stands there.
    holds: Vec<(&'static str, Value)>,
    /// A part of the error's message or of a tool's text.
    says: String,
}

/// A session and what comes of it. After the lines of a row the server is asked for its tools, which it answers: it lives.
pub(crate) struct Row {
    name: &'static str,
    opened: Opened,
    unended: bool,
    may_be_asked: bool,
    lines: Vec<Vec<u8>>,
    expected: Vec<Expected>,
    most_kib: Option<u64>,
    era: Era,
}

impl Row {
    pub(crate) fn new(era: Era, name: &'static str) -> Self {
        let (lines, expected) = (Vec::new(), Vec::new());
        Self { name, opened: Opened::First, unended: false, may_be_asked: false, lines, expected, most_kib: None, era }
    }

    /// The lines come before the session is opened.
    pub(crate) fn before_opening(mut self) -> Self {
        self.opened = Opened::Last;
        self
    }

    /// Nothing but the lines is sent.
    pub(crate) fn alone(mut self) -> Self {
        self.opened = Opened::Never;
        self
    }

    /// The last line of the session has no end.
    pub(crate) fn unended(mut self) -> Self {
        self.unended = true;
        self
    }

    /// A dialog may be opened, if the question comes before the end of the input is seen.
    pub(crate) fn may_be_asked(mut self) -> Self {
        self.may_be_asked = true;
        self
    }

    /// The server holds less memory than this.
    pub(crate) fn within_mib(mut self, most: u64) -> Self {
        self.most_kib = Some(most * 1024);
        self
    }

    /// A line as it is.
    pub(crate) fn line(mut self, line: impl AsRef<[u8]>) -> Self {
        self.lines.push(line.as_ref().to_vec());
        self
    }

    /// A request as the era wants it.
    pub(crate) fn ask(self, id: &str, method: &str, params: Value) -> Self {
        let line = request(self.era, id, method, params).to_string();
        self.line(line)
    }

    /// A call of a tool.
    pub(crate) fn call(self, id: &str, tool: &str, arguments: Value) -> Self {
        self.ask(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// An error comes.
    pub(crate) fn error(self, id: impl Into<Value>, code: i64, says: &str) -> Self {
        self.comes(id, vec![("/error/code", code.into())], says)
    }

    /// An answer comes that holds this.
    pub(crate) fn answer(self, id: impl Into<Value>, holds: &[(&'static str, Value)]) -> Self {
        self.comes(id, holds.to_vec(), "")
    }

    /// A tool refuses.
    pub(crate) fn refused(self, id: &str, says: &str) -> Self {
        self.comes(id, vec![("/result/isError", true.into())], says)
    }

    fn comes(mut self, id: impl Into<Value>, holds: Vec<(&'static str, Value)>, says: &str) -> Self {
        self.expected.push(Expected { id: id.into(), holds, says: says.to_owned() });
        self
    }

    /// The bytes of the session, and what else is expected.
    fn session(&mut self) -> Vec<u8> {
        let mut lines = std::mem::take(&mut self.lines);
        let opening = opening(self.era).to_string().into_bytes();
        match self.opened {
            Opened::First => lines.insert(0, opening),
            Opened::Last => lines.push(opening),
            Opened::Never => {}
        }
        if self.opened != Opened::Never {
            lines.push(request(self.era, "lives", "tools/list", json!({})).to_string().into_bytes());
            for id in ["open", "lives"] {
                self.expected.push(Expected { id: id.into(), holds: Vec::new(), says: String::new() });
            }
        }
        let mut bytes = lines.join(&b'\n');
        if !self.unended && !bytes.is_empty() {
            bytes.push(b'\n');
        }
        bytes
    }

    /// Compares the messages that came with those expected; answers under one id come in the order of the row.
    fn compare(&self, what: &str, mut messages: Vec<Value>) {
        messages.retain(|message| !(self.may_be_asked && message["method"] == "elicitation/create"));
        for expected in &self.expected {
            let at = messages.iter().position(|message| message.get("id") == Some(&expected.id));
            let Some(at) = at else { panic!("{what}: nothing came under {}; left are {messages:?}", expected.id) };
            let message = messages.remove(at);
            let fails = message.get("error").is_some();
            let wanted = expected.holds.iter().any(|(place, _)| place.starts_with("/error"));
            assert_eq!(fails, wanted, "{what}: {message}");
            for (place, value) in &expected.holds {
                assert_eq!(message.pointer(place).unwrap_or(&Value::Null), value, "{what}: {place} of {message}");
            }
            let said = if fails { &message["error"]["message"] } else { &message["result"]["content"][0]["text"] };
            assert!(said.as_str().unwrap_or_default().contains(&expected.says), "{what}: {message}");
        }
        assert!(messages.is_empty(), "{what}: more came than was asked for: {messages:?}");
    }
}

/// Has every row served over every transport in each era, side by side: most of the time of some rows is waiting.
pub(crate) fn served_everywhere(place: &Place, rows: impl Fn(Era) -> Vec<Row> + Sync) {
    let rows = &rows;
    std::thread::scope(|scope| {
        for (transport, era) in TRANSPORTS.into_iter().flat_map(|transport| ERAS.map(|era| (transport, era))) {
            scope.spawn(move || {
                for mut row in rows(era) {
                    let what = format!("{} ({era:?}, {transport:?})", row.name);
                    let session = row.session();
                    let served = serve(place, transport, &session);
                    row.compare(&what, served.messages);
                    assert_eq!(served.code, Some(0), "{what}");
                    let peak = served.peak_kib;
                    assert!(row.most_kib.is_none_or(|most| peak < most), "{what}: {peak} KiB");
                }
            });
        }
    });
}
