//! An MCP server over stdio that lends its tools: started once, asked by many calls at a time, ended when its run is.
//!
//! The wire is JSON-RPC, a message a line. A server of either era is understood: most want `initialize` first, and one that knows
//! the stateless revision only refuses that at once, so nothing has to be waited for to tell them apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::mcp_message::{self as message, Incoming, Listed, Said};
use crate::core::redact::Redactor;
use crate::process::{Ended, Heard, Program, Talk};

/// The revisions with a handshake that are known here; the newest is asked for.
const HANDSHAKES: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The revision without one.
const STATELESS: &str = "2026-07-28";
/// The longest line that is read of a server.
const MOST_LINE: usize = 4 << 20;
/// Lines that are no messages, after which a server is no server.
const MOST_GARBAGE: usize = 200;
/// Bytes of answers that a server may leave unread while it asks on.
const MOST_UNREAD: usize = 1 << 20;
/// Pages of a list of tools that are asked for.
const MOST_PAGES: usize = 50;

/// Takes one line that a server wrote for people.
pub type Diagnostics = Arc<dyn Fn(&str) + Send + Sync>;
/// Takes what a call says about how far it is.
pub type Progressed = Box<dyn Fn(String) + Send + Sync>;

/// A server that runs.
pub struct Server {
    name: String,
    to: UnboundedSender<Order>,
    last: AtomicU64,
    /// Whether it takes requests without a handshake, each with what a handshake would say.
    stateless: bool,
    tools: Vec<Listed>,
}

/// What the one who talks with a server is told to do.
enum Order {
    /// To ask, and to hand the answer on.
    Ask { id: u64, line: String, reply: oneshot::Sender<Result<Value, String>>, progressed: Option<Progressed> },
    /// To say.
    Say(String),
    /// To ask no more, and tell the server that its answer is not waited for.
    Forget { id: u64 },
    /// To end it.
    End(oneshot::Sender<()>),
}

/// The number of a request, and where its answer comes.
type Asked = (u64, oneshot::Receiver<Result<Value, String>>);

/// Tells a server that nobody waits for an answer any more, unless it came.
struct Waiting<'a> {
    to: &'a UnboundedSender<Order>,
    id: u64,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // A server that has ended needs no word.
            let _ = self.to.send(Order::Forget { id: self.id });
        }
    }
}

impl Server {
    /// Starts a server and asks which tools it has.
    ///
    /// # Errors
    /// One sentence: it cannot be run, is no server, speaks another revision, took too long.
    pub async fn start(
        name: &str,
        program: Program,
        patience: Duration,
        (diagnostics, secrets): (Diagnostics, Redactor),
    ) -> Result<Self, String> {
        let talk = Talk::start(program, MOST_LINE, move |line| diagnostics(line)).await;
        let talk = talk.map_err(|error| format!("the MCP server `{name}` could not be run: {error}"))?;
        let (to, orders) = unbounded_channel();
        let converse =
            Converse { name: name.to_owned(), talk, pending: HashMap::new(), secrets, garbage: 0, first: None };
        let mut server =
            Self { name: name.to_owned(), to, last: AtomicU64::new(0), stateless: false, tools: Vec::new() };
        // Before anything is heard: of a server that ends at once, who asked it is told why.
        let hello = server.send("initialize", hello(), None)?;
        tokio::spawn(converse.run(orders));
        // A server that is not ready in time is dropped, which ends it.
        match tokio::time::timeout(patience, server.greet(hello)).await {
            Ok(greeted) => greeted.map(|()| server),
            Err(_) => Err(format!("the MCP server `{name}` did not get ready in {} s", patience.as_secs_f64())),
        }
    }

    async fn greet(&mut self, hello: Asked) -> Result<(), String> {
        match self.answer(hello).await {
            Ok(welcome) => {
                let revision = welcome.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
                if !HANDSHAKES.contains(&revision) {
                    return Err(format!("the MCP server `{}` speaks revision `{revision}`, owf does not", self.name));
                }
                let line = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
                let _ = self.to.send(Order::Say(line));
            }
            Err(refused) if self.to.is_closed() => return Err(refused),
            Err(refused) => {
                self.stateless = true;
                let found = self.ask("server/discover", json!({}), None).await.map_err(|_| refused)?;
                let revisions = found.get("supportedVersions").and_then(Value::as_array);
                if !revisions.is_some_and(|all| all.iter().any(|one| one == STATELESS)) {
                    return Err(format!("the MCP server `{}` does not speak revision {STATELESS}", self.name));
                }
            }
        }
        let mut cursor: Option<Value> = None;
        for _ in 0..MOST_PAGES {
            let params = cursor.take().map_or_else(|| json!({}), |cursor| json!({"cursor": cursor}));
            let page = self.ask("tools/list", params, None).await?;
            self.tools.extend(message::listed(&page));
            match page.get("nextCursor") {
                None | Some(Value::Null) => break,
                Some(next) => cursor = Some(next.clone()),
            }
        }
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        !self.to.is_closed()
    }

    /// All its tools, as it describes them.
    pub fn tools(&self) -> &[Listed] {
        &self.tools
    }

    /// The tool of this name, as the server describes it.
    ///
    /// # Errors
    /// One sentence with the names of those there are.
    pub fn tool(&self, name: &str) -> Result<&Listed, String> {
        self.tools.iter().find(|tool| tool.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.tools.iter().take(20).map(|tool| tool.name.as_str()).collect();
            let there =
                if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
            format!("the MCP server `{}` has no tool `{name}`; {there}", self.name)
        })
    }

    /// Calls a tool. A call whose future is dropped is cancelled.
    ///
    /// # Errors
    /// One sentence: the tool failed, the server refused, ended, or said too much.
    pub async fn call(&self, tool: &str, arguments: &Value, progressed: Option<Progressed>) -> Result<Said, String> {
        let params = json!({"name": tool, "arguments": arguments});
        let result = self.ask("tools/call", params, progressed).await?;
        message::said(&result).map_err(|why| format!("`{tool}` of the MCP server `{}` {why}", self.name))
    }

    async fn ask(&self, method: &str, params: Value, progressed: Option<Progressed>) -> Result<Value, String> {
        let asked = self.send(method, params, progressed)?;
        self.answer(asked).await
    }

    /// Asks, and does not wait.
    fn send(&self, method: &str, params: Value, progressed: Option<Progressed>) -> Result<Asked, String> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut params = params;
        let mut meta = Map::new();
        if self.stateless {
            meta.insert("io.modelcontextprotocol/protocolVersion".to_owned(), STATELESS.into());
            meta.insert("io.modelcontextprotocol/clientCapabilities".to_owned(), json!({}));
            let me = json!({"name": "owf", "version": env!("CARGO_PKG_VERSION")});
            meta.insert("io.modelcontextprotocol/clientInfo".to_owned(), me);
        }
        if progressed.is_some() {
            meta.insert("progressToken".to_owned(), id.into());
        }
        if let (Some(map), false) = (params.as_object_mut(), meta.is_empty()) {
            map.insert("_meta".to_owned(), Value::Object(meta));
        }
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let (reply, answer) = oneshot::channel();
        self.to.send(Order::Ask { id, line, reply, progressed }).map_err(|_| self.gone())?;
        Ok((id, answer))
    }

    async fn answer(&self, (id, answer): Asked) -> Result<Value, String> {
        let mut waiting = Waiting { to: &self.to, id, answered: false };
        let answer = answer.await;
        waiting.answered = true;
        answer.map_err(|_| self.gone())?
    }

    fn gone(&self) -> String {
        format!("the MCP server `{}` has ended", self.name)
    }

    /// Ends it, politely at first.
    pub async fn end(&self) {
        let (done, ended) = oneshot::channel();
        if self.to.send(Order::End(done)).is_ok() {
            // Who cannot say that it has ended has ended.
            let _ = ended.await;
        }
    }
}

/// What a server is told first.
fn hello() -> Value {
    json!({
        "protocolVersion": HANDSHAKES[0],
        "capabilities": {},
        "clientInfo": {"name": "owf", "version": env!("CARGO_PKG_VERSION")},
    })
}

/// A request that waits for its answer.
struct Pending {
    reply: oneshot::Sender<Result<Value, String>>,
    progressed: Option<Progressed>,
}

/// The one who talks with a server.
struct Converse {
    name: String,
    talk: Talk,
    pending: HashMap<u64, Pending>,
    /// What is told to nobody: taken out before anything is cut, as half of it would be known no more.
    secrets: Redactor,
    /// Lines on end that were no messages, and the first of all.
    garbage: usize,
    first: Option<String>,
}

impl Converse {
    async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        let why = loop {
            tokio::select! {
                // Who asks before the end is heard is told of it.
                biased;
                order = orders.recv() => match order {
                    Some(Order::Ask { id, line, reply, progressed }) => {
                        self.pending.insert(id, Pending { reply, progressed });
                        self.talk.say(&line);
                    }
                    Some(Order::Say(line)) => self.talk.say(&line),
                    Some(Order::Forget { id }) => if self.pending.remove(&id).is_some() {
                        self.talk.say(&message::cancelled(id));
                    },
                    Some(Order::End(done)) => {
                        drop(orders);
                        self.pending.clear();
                        self.talk.end().await;
                        // Who asked may have gone.
                        let _ = done.send(());
                        return;
                    }
                    // Nobody is left who could ask.
                    None => {
                        self.talk.end().await;
                        return;
                    }
                },
                heard = self.talk.next() => match heard {
                    Ok(Heard::Line(line)) => if let Err(why) = self.heard(&line) {
                        break Some(why);
                    },
                    Ok(Heard::TooLong) => break Some(format!("answered with more than {} KB at once and was ended", MOST_LINE >> 10)),
                    Ok(Heard::End) | Err(_) => break None,
                },
            }
        };
        // From here on nobody can ask it any more, and another one is started for the next call.
        drop(orders);
        let Self { name, talk, pending, secrets, first, .. } = self;
        let end = talk.end().await;
        let why = why.unwrap_or_else(|| ended(&end, first.as_deref(), &secrets));
        for (_, pending) in pending {
            // A call that was given up does not wait.
            let _ = pending.reply.send(Err(format!("the MCP server `{name}` {why}")));
        }
    }

    /// Takes one line of the server's.
    ///
    /// # Errors
    /// It says nothing but what is no message: why it is ended.
    fn heard(&mut self, line: &[u8]) -> Result<(), String> {
        let mut line = String::from_utf8_lossy(line).into_owned();
        self.secrets.exact(&mut line);
        match message::read(line.as_bytes()) {
            Incoming::Nothing => {}
            Incoming::Answer { id, result } => {
                self.garbage = 0;
                if let Some(pending) = self.pending.remove(&id) {
                    let result = result.map_err(|why| format!("the MCP server `{}` refused: {why}", self.name));
                    let _ = pending.reply.send(result);
                }
            }
            Incoming::Progress { id, text } => {
                if let Some(progressed) = self.pending.get(&id).and_then(|pending| pending.progressed.as_ref()) {
                    progressed(text);
                }
            }
            Incoming::Request { .. } if self.talk.unread() > MOST_UNREAD => {
                return Err(format!("asks and left {} KB of answers unread, and was ended", MOST_UNREAD >> 10));
            }
            Incoming::Request { answer } => self.talk.answer(&answer),
            Incoming::Garbage => {
                self.garbage += 1;
                let text: String = line.chars().take(200).collect();
                let first = self.first.get_or_insert(text);
                if self.garbage >= MOST_GARBAGE {
                    return Err(format!("printed {MOST_GARBAGE} lines that are no messages and was ended: {first}"));
                }
            }
        }
        Ok(())
    }
}

/// How a server ended that was not asked to, with what it said last.
fn ended(end: &Ended, garbage: Option<&str>, secrets: &Redactor) -> String {
    let how = end.exit.map_or_else(|| "ended".to_owned(), |exit| format!("ended with {exit}"));
    let mut last = end.last.clone();
    secrets.exact(&mut last);
    let last: String = last.chars().take(400).collect();
    match (last.is_empty(), garbage) {
        (false, _) => format!("{how}: {last}"),
        (true, Some(garbage)) => format!("{how}; it had printed what is no message: {garbage}"),
        (true, None) => how,
    }
}
