//! Our side of rmcp's `Transport`: what is malformed is answered here, what goes inward is bounded.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientJsonRpcMessage, ClientNotification, ClientRequest,
    RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::encode;
use super::held::{Held, HeldRequest};
use super::lines::{Line, Lines};
use super::message::{
    self, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Message, Refusal, early_id, is_removed, missing_meta,
    short,
};
use super::outbox::Outbox;
use super::requests::Requests;
use crate::mcp::settings::Settings;

/// How long what was read before the end of the input waits for room, counted anew with each request that got it.
const LAST_ROOM: Duration = Duration::from_secs(1);

/// Lines in, lines out.
pub(super) struct Wire {
    lines: Lines,
    outbox: Outbox,
    requests: Arc<Requests>,
    settings: Settings,
    /// Lines of our own that wait for room. Kept here because `receive` may be dropped at any await, as all that follows.
    answers: VecDeque<Vec<u8>>,
    /// Requests that wait for room in the table. Everything else that is read passes them by.
    held: Held,
    /// Set at the end of the input: when the requests held are given up.
    until: Option<Instant>,
    /// Whether a session was opened by `initialize`; without one every request brings its own `_meta`.
    session: bool,
}

impl Wire {
    pub(super) fn new(lines: Lines, outbox: Outbox, requests: Arc<Requests>, settings: Settings) -> Self {
        let (answers, held) = (VecDeque::new(), Held::default());
        Self { lines, outbox, requests, settings, answers, held, until: None, session: false }
    }

    /// The next message that goes inward, or the end of the input.
    async fn next(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            while !self.answers.is_empty() {
                let room = self.outbox.room().await?;
                if let Some(line) = self.answers.pop_front() {
                    room.put(line);
                }
            }
            if let Some(message) = self.admit() {
                return Some(message);
            }
            if let Some(until) = self.until {
                if self.held.is_empty() || timeout_at(until, self.requests.room()).await.is_err() {
                    return None;
                }
                continue;
            }
            let line = tokio::select! {
                biased;
                () = self.requests.room(), if !self.held.is_empty() => continue,
                line = self.lines.next(), if !self.held.is_full() => line,
            };
            match line {
                Some(Line::Text(line)) => {
                    if let Some(message) = self.take(&line) {
                        return Some(message);
                    }
                }
                Some(Line::TooLong { beginning }) => {
                    let message = format!("invalid request: the line exceeds {} bytes", self.settings.line_bytes);
                    self.refuse(&Refusal::new(&early_id(&beginning), INVALID_REQUEST, message));
                }
                None => {
                    self.requests.close();
                    self.until = Some(Instant::now() + LAST_ROOM);
                }
            }
        }
    }

    /// The request that is held longest, once there is room for it.
    fn admit(&mut self) -> Option<ClientJsonRpcMessage> {
        if !self.requests.has_room() {
            return None;
        }
        let HeldRequest { id, request, bytes } = self.held.pop()?;
        self.until = self.until.map(|_| Instant::now() + LAST_ROOM);
        // That the id is free was made sure of when it was read, and no other request was let in since.
        let number = self.requests.add(&id, bytes)?;
        Some(ClientJsonRpcMessage::request(request, RequestId::Number(number)))
    }

    /// Deals with a line; what need not wait for room goes inward at once.
    fn take(&mut self, line: &[u8]) -> Option<ClientJsonRpcMessage> {
        match message::read(line, self.settings.values) {
            Message::Nothing => None,
            Message::Refused(refusal) => {
                self.refuse(&refusal);
                None
            }
            Message::Answer(answer) => Some(*answer),
            Message::Cancelled { id } => self.cancel(&id),
            Message::Request { id, method, params } => {
                match self.request(&id, &method, params) {
                    // Answered here: it asks whether anybody listens, also when all hands are full.
                    Ok(ClientRequest::PingRequest(_)) => {
                        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": {} });
                        self.answers.push_back(answer.to_string().into_bytes());
                    }
                    Ok(request) => self.held.push(HeldRequest { id, request, bytes: line.len() }),
                    Err(refusal) => self.refuse(&refusal),
                }
                None
            }
        }
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.answers.push_back(refusal.line());
    }

    /// The request in rmcp's types, or what is wrong with it.
    fn request(
        &mut self,
        id: &Value,
        method: &str,
        params: Option<Map<String, Value>>,
    ) -> Result<ClientRequest, Refusal> {
        // Before its params are read: they may well have been dropped together with the method.
        if is_removed(method, params.as_ref()) {
            return Err(Refusal::new(
                id,
                METHOD_NOT_FOUND,
                format!("{method}: removed from the protocol in 2026-07-28"),
            ));
        }
        let opens = method == "initialize";
        if !self.session && !opens && method != "ping" {
            let missing = missing_meta(params.as_ref());
            if !missing.is_empty() {
                let message = format!(
                    "{}: request _meta is missing or has malformed required fields: {} (or open a session with initialize)",
                    short(method),
                    missing.join(", ")
                );
                return Err(Refusal::new(id, INVALID_PARAMS, message));
            }
        }
        let request = message::typed(method, params)
            .map_err(|why| Refusal::new(id, INVALID_PARAMS, format!("{}: {why}", short(method))))?;
        if self.held.contains(id) || self.requests.number(id).is_some() {
            let message =
                format!("invalid request: a request with the id {} is still in flight", short(&id.to_string()));
            return Err(Refusal::new(id, INVALID_REQUEST, message));
        }
        self.session |= opens;
        Ok(request)
    }

    /// Frees the id at once; nothing more is sent for it.
    fn cancel(&mut self, id: &Value) -> Option<ClientJsonRpcMessage> {
        if self.held.remove(id) {
            return None;
        }
        let number = self.requests.number(id)?;
        self.requests.take(number);
        let params = CancelledNotificationParam::new(Some(RequestId::Number(number)), None);
        let notification = CancelledNotification::new(params);
        Some(ClientJsonRpcMessage::notification(ClientNotification::CancelledNotification(notification)))
    }
}

impl Transport<RoleServer> for Wire {
    type Error = io::Error;

    fn send(&mut self, item: ServerJsonRpcMessage) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (outbox, requests) = (self.outbox.clone(), Arc::clone(&self.requests));
        async move {
            let room = outbox.room().await.ok_or(io::ErrorKind::BrokenPipe)?;
            // Written out only now: what waits for room stays small.
            if let Some(line) = encode::line(&item, &requests) {
                room.put(line);
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        let outbox = self.outbox.clone();
        tokio::select! {
            message = self.next() => message,
            () = outbox.closed() => None,
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}
