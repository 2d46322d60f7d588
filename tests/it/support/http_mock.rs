//! A service on the loopback interface that answers what a test says, and remembers what it was asked.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The number of the request, from 0.
    pub(crate) number: usize,
    /// Method and path with query.
    pub(crate) line: String,
    /// Headers by lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) raw: Vec<u8>,
    /// When it was there in full.
    pub(crate) at: Instant,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The body in parts, each after a wait.
    pub(crate) parts: Vec<(Duration, Vec<u8>)>,
    /// Bytes promised beyond those that are sent, before the connection is closed.
    pub(crate) withheld: usize,
    /// Whether the parts are chunks of a body whose length is not known.
    pub(crate) chunked: bool,
    /// Whether it comes in one also where a stream was asked for.
    pub(crate) in_one: bool,
    /// What is waited for before the last part, with a comment every now and then.
    pub(crate) held: Option<Held>,
}

/// Says whether the wait is over.
#[derive(Clone)]
pub(crate) struct Held(Arc<dyn Fn() -> bool + Send + Sync>);

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

impl Answer {
    /// A JSON body.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    /// Any body.
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            parts: vec![(Duration::ZERO, body.as_bytes().to_vec())],
            withheld: 0,
            chunked: false,
            in_one: false,
            held: None,
        }
    }

    /// Pieces of a stream, each a chunk of its own.
    pub(crate) fn chunks<T: AsRef<[u8]>>(pieces: impl IntoIterator<Item = T>) -> Self {
        let parts = pieces.into_iter().map(|piece| (Duration::ZERO, piece.as_ref().to_vec())).collect();
        let stream = ("content-type".to_owned(), "text/event-stream".to_owned());
        Self { parts, headers: vec![stream], chunked: true, in_one: true, ..Self::text(200, "") }
    }

    /// The same in one, also where a stream was asked for.
    #[must_use]
    pub(crate) fn in_one(mut self) -> Self {
        self.in_one = true;
        self
    }

    /// The same, whose last part comes when `over` says so. Until then there are comments only.
    #[must_use]
    pub(crate) fn held_until(mut self, over: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.held = Some(Held(Arc::new(over)));
        self
    }

    /// As it comes to this request: in pieces where they were asked for, and it has any.
    fn for_request(self, request: &Seen) -> Self {
        if self.in_one || self.withheld > 0 || !(200..300).contains(&self.status) {
            return self;
        }
        let [(wait, body)] = self.parts.as_slice() else { return self };
        let events = serde_json::from_slice(body)
            .ok()
            .and_then(|body: Value| super::http_stream::events(&request.line, &request.body, &body));
        let Some(events) = events else { return self };
        let streamed = Self::chunks(events).after(*wait);
        Self { headers: [streamed.headers, self.headers].concat(), held: self.held, ..streamed }
    }

    /// The same with one more header.
    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same after a wait.
    #[must_use]
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.parts[0].0 = wait;
        self
    }

    /// The same with something said before the body, each after a wait.
    #[must_use]
    pub(crate) fn led_by(mut self, words: &[&str], wait: Duration) -> Self {
        let before = words.iter().map(|word| (wait, word.as_bytes().to_vec()));
        self.parts.splice(0..0, before);
        self
    }

    /// The same cut off before its end.
    #[must_use]
    pub(crate) fn cut(mut self) -> Self {
        self.withheld = 100;
        self
    }
}

/// The service.
pub(crate) struct Mock {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// The most requests that were open at once.
    widest: Arc<AtomicUsize>,
    /// Connections that were made.
    connections: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    /// Listens until it is over.
    thread: Option<JoinHandle<()>>,
}

/// A port that no mock of this process had before: what is remembered of a service (its pace, what it refused) is by its address.
fn fresh() -> TcpListener {
    static USED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut had = Vec::new();
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if USED.lock().unwrap().insert(listener.local_addr().unwrap().port()) {
            return listener;
        }
        // Held until another one is found, so that the system offers it no second time.
        had.push(listener);
    }
}

impl Mock {
    /// A service that answers each request with what `answer` makes of it.
    pub(crate) fn new(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = fresh();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (widest, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let over = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let connections = Arc::new(AtomicUsize::new(0));
        let mut mock = Self {
            address,
            seen: Arc::clone(&seen),
            widest: Arc::clone(&widest),
            connections: Arc::clone(&connections),
            over: Arc::clone(&over),
            thread: None,
        };
        mock.thread = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                let (widest, open) = (Arc::clone(&widest), Arc::clone(&open));
                std::thread::spawn(move || serve(stream, &seen, &widest, &open, &*answer));
            }
        }));
        mock
    }

    /// One that gives these answers in order, and the last one for ever.
    pub(crate) fn of(answers: Vec<Answer>) -> Self {
        Self::new(move |seen| answers[seen.number.min(answers.len() - 1)].clone())
    }

    /// Its address, with a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything it was asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The most requests that were open at once.
    pub(crate) fn widest(&self) -> usize {
        self.widest.load(Ordering::SeqCst)
    }

    /// Connections that were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends: whoever comes later is refused.
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(
    stream: TcpStream,
    seen: &Mutex<Vec<Seen>>,
    widest: &AtomicUsize,
    open: &AtomicUsize,
    answer: &dyn Fn(&Seen) -> Answer,
) {
    let _ = stream.set_nodelay(true);
    let Ok(mut out) = stream.try_clone() else { return };
    let mut input = BufReader::new(stream);
    while let Some((line, headers, body)) = read_request(&mut input) {
        widest.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let request = {
            let mut seen = seen.lock().unwrap();
            let (raw, body) = (body.clone(), serde_json::from_slice(&body).unwrap_or(Value::Null));
            let number = seen.len();
            seen.push(Seen { number, line, headers, body, raw, at: Instant::now() });
            seen.last().unwrap().clone()
        };
        let answered = answer(&request).for_request(&request);
        // Whoever has its answer may ask again before anything else happens here.
        let ends = || {
            open.fetch_sub(1, Ordering::SeqCst);
        };
        let sent = write_answer(&mut out, &answered, ends);
        if sent.is_err() || answered.withheld > 0 {
            return;
        }
    }
}

fn read_request(input: &mut BufReader<TcpStream>) -> Option<(String, BTreeMap<String, String>, Vec<u8>)> {
    let mut line = String::new();
    if input.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        input.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Some((line, headers, body))
}

/// Writes an answer; `ends` is told before its last part goes out, or that it will not.
fn write_answer(out: &mut TcpStream, answer: &Answer, ends: impl FnOnce()) -> std::io::Result<()> {
    let mut ends = Ending(Some(ends));
    let length: usize = answer.parts.iter().map(|(_, part)| part.len()).sum();
    let length = if answer.chunked {
        "transfer-encoding: chunked".to_owned()
    } else {
        format!("content-length: {}", length + answer.withheld)
    };
    let mut head = format!("HTTP/1.1 {} Status\r\n{length}\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut head = Some(head);
    let last = answer.parts.len() - 1;
    for (at, (wait, part)) in answer.parts.iter().enumerate() {
        if !wait.is_zero() {
            // A service that takes its time: the wait is what is tested.
            std::thread::park_timeout(*wait);
        }
        if let Some(head) = head.take() {
            out.write_all(head.as_bytes())?;
        }
        while at == last && answer.held.as_ref().is_some_and(|held| !held.0()) {
            write_part(out, b": still here\n\n", answer.chunked)?;
            std::thread::park_timeout(Duration::from_millis(20));
        }
        if at == last {
            ends.now();
        }
        write_part(out, part, answer.chunked)?;
    }
    if answer.chunked && answer.withheld == 0 {
        out.write_all(b"0\r\n\r\n")?;
    }
    out.flush()
}

/// Says once that an answer ends.
struct Ending<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Ending<F> {
    fn now(&mut self) {
        if let Some(say) = self.0.take() {
            say();
        }
    }
}

impl<F: FnOnce()> Drop for Ending<F> {
    fn drop(&mut self) {
        self.now();
    }
}

fn write_part(out: &mut TcpStream, part: &[u8], chunked: bool) -> std::io::Result<()> {
    match (chunked, part) {
        // A chunk without bytes would be the last one.
        (true, []) => {}
        (true, part) => {
            let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            out.write_all(&chunk)?;
        }
        (false, part) => out.write_all(part)?,
    }
    out.flush()
}
