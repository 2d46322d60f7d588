//! Our side of rmcp's `Transport`: what is malformed is answered here, what goes inward is bounded.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientJsonRpcMessage, ClientNotification, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use serde_json::{Map, Value};

use super::encode;
use super::lines::{Line, Lines};
use super::message::{
    self, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Message, Refusal, early_id, is_removed, missing_meta,
    short,
};
use super::outbox::Outbox;
use super::requests::Requests;
use crate::mcp::settings::Settings;

/// Lines in, lines out.
pub(super) struct Wire {
    lines: Lines,
    outbox: Outbox,
    requests: Arc<Requests>,
    settings: Settings,
    /// Answers that wait for room. Kept here because `receive` may be dropped at any await.
    refusals: VecDeque<Refusal>,
    /// Whether a session was opened by `initialize`; without one every request brings its own `_meta`.
    session: bool,
}

impl Wire {
    pub(super) fn new(lines: Lines, outbox: Outbox, requests: Arc<Requests>, settings: Settings) -> Self {
        Self { lines, outbox, requests, settings, refusals: VecDeque::new(), session: false }
    }

    /// The next message that goes inward, or the end of the input.
    async fn next(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            while let Some(refusal) = self.refusals.front() {
                self.outbox.room().await?.put(refusal.line());
                self.refusals.pop_front();
            }
            self.requests.room().await;
            let line = match self.lines.next().await? {
                Line::Text(line) => line,
                Line::TooLong { beginning } => {
                    let message = format!("invalid request: the line exceeds {} bytes", self.settings.line_bytes);
                    self.refusals.push_back(Refusal::new(&early_id(&beginning), INVALID_REQUEST, message));
                    continue;
                }
            };
            let taken = match message::read(&line, self.settings.values) {
                Message::Nothing => continue,
                Message::Refused(refusal) => Err(refusal),
                Message::Answer(answer) => return Some(*answer),
                Message::Cancelled { id } => match self.cancel(&id) {
                    Some(message) => return Some(message),
                    None => continue,
                },
                Message::Request { id, method, params } => self.request(&id, &method, params, line.len()),
            };
            match taken {
                Ok(message) => return Some(message),
                Err(refusal) => self.refusals.push_back(refusal),
            }
        }
    }

    fn request(
        &mut self,
        id: &Value,
        method: &str,
        params: Option<Map<String, Value>>,
        bytes: usize,
    ) -> Result<ClientJsonRpcMessage, Refusal> {
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
        let Some(number) = self.requests.add(id, bytes) else {
            let message =
                format!("invalid request: a request with the id {} is still in flight", short(&id.to_string()));
            return Err(Refusal::new(id, INVALID_REQUEST, message));
        };
        self.session |= opens;
        Ok(ClientJsonRpcMessage::request(request, RequestId::Number(number)))
    }

    /// Frees the id at once; nothing more is sent for it.
    fn cancel(&self, id: &Value) -> Option<ClientJsonRpcMessage> {
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
            message = self.next() => {
                if message.is_none() {
                    self.requests.close();
                }
                message
            }
            () = outbox.closed() => None,
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}
