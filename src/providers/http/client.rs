//! One client for all services of an engine, built when the first request needs it.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{NoProxy, Proxy, Url};

use crate::core::environment::Environment;

/// The most bytes of an answer.
const MAX_BODY: usize = 64 << 20;
/// The most bytes of a file with the answers of a batch.
const MAX_FILE: usize = 512 << 20;
/// Redirects that are followed, all on the same host.
const MAX_REDIRECTS: usize = 5;

/// How long the client waits, apart from how long a call may take in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes of an answer. A service that keeps the connection alive with blank lines may take longer in all.
    pub read: Duration,
    /// For the next bytes of an answer that comes in pieces and has begun to.
    pub idle: Duration,
    /// For what may follow an answer in pieces that is complete.
    pub last_word: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_mins(10),
            idle: Duration::from_mins(5),
            last_word: Duration::from_secs(5),
        }
    }
}

/// The client. An engine that asks no service never builds one.
#[derive(Debug)]
pub(super) struct Client {
    env: Environment,
    timeouts: Timeouts,
    built: OnceLock<Result<reqwest::Client, String>>,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub(super) struct Open {
    response: reqwest::Response,
    /// Bytes that have come, and the most there may be.
    come: usize,
    most: usize,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// The service never saw the request.
    Unsent(String),
    /// The service may have seen it, worked on it, and charged for it.
    Unclear(String),
}

impl Client {
    pub(super) fn new(env: Environment, timeouts: Timeouts) -> Self {
        Self { env, timeouts, built: OnceLock::new() }
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn post(&self, url: Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answered, Lost> {
        self.open(url, headers, body).await?.whole().await
    }

    /// Sends a request; the body of its answer is to be read piece by piece.
    pub(super) async fn open(&self, url: Url, headers: HeaderMap, body: Vec<u8>) -> Result<Open, Lost> {
        self.send(MAX_BODY, |client| client.post(url).headers(headers).body(body)).await
    }

    /// Fetches what is there.
    pub(super) async fn get(&self, url: Url, headers: HeaderMap) -> Result<Answered, Lost> {
        self.send(MAX_FILE, |client| client.get(url).headers(headers)).await?.whole().await
    }

    /// How long the client waits.
    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    async fn send(
        &self,
        most: usize,
        make: impl FnOnce(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<Open, Lost> {
        let client = match self.built.get_or_init(|| build(&self.env, self.timeouts)) {
            Ok(client) => client,
            Err(why) => return Err(Lost::Unsent(why.clone())),
        };
        let response = make(client).send().await.map_err(|e| lost(e, false))?;
        Ok(Open { response, come: 0, most })
    }
}

impl Open {
    /// Status and headers, without a body.
    pub(super) fn head(&self) -> Answered {
        let (status, headers) = (self.response.status().as_u16(), self.response.headers().clone());
        Answered { status, headers, body: Vec::new() }
    }

    /// The next bytes; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Lost> {
        let chunk = self.response.chunk().await.map_err(|e| lost(e, true))?;
        self.come += chunk.as_deref().map_or(0, <[u8]>::len);
        if self.come > self.most {
            return Err(Lost::Unclear(format!("the answer is longer than {} MB", self.most >> 20)));
        }
        Ok(chunk)
    }

    /// Reads everything.
    pub(super) async fn whole(mut self) -> Result<Answered, Lost> {
        let mut answered = self.head();
        while let Some(chunk) = self.next().await? {
            answered.body.extend_from_slice(chunk.as_ref());
        }
        Ok(answered)
    }
}

/// What went wrong, without the address: it may hold a name and password.
fn lost(error: reqwest::Error, answering: bool) -> Lost {
    let unsent = error.is_connect() || error.is_builder();
    let what = if error.is_timeout() && unsent {
        "no connection in time".to_owned()
    } else if error.is_timeout() {
        "it fell silent".to_owned()
    } else {
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        cause.to_string()
    };
    if unsent {
        Lost::Unsent(format!("no connection: {what}"))
    } else if answering {
        Lost::Unclear(format!("the connection broke in the middle of the answer: {what}"))
    } else {
        Lost::Unclear(format!("the connection broke before an answer came: {what}"))
    }
}

fn build(env: &Environment, timeouts: Timeouts) -> Result<reqwest::Client, String> {
    let built = begun(env)?
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.read)
        .pool_idle_timeout(Duration::from_mins(1))
        .redirect(Policy::custom(|attempt| {
            // A key goes to the host it is meant for and to no other.
            let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
            if same && attempt.previous().len() <= MAX_REDIRECTS { attempt.follow() } else { attempt.stop() }
        }))
        .build();
    built.map_err(|error| format!("the HTTP client cannot be built: {}", error.without_url()))
}

/// What every client of owf begins with: its name, and the proxies of the environment that was captured, not of that of the
/// process. This machine is never reached through one.
///
/// # Errors
/// One sentence: a proxy that is no address.
pub(super) fn begun(env: &Environment) -> Result<reqwest::ClientBuilder, String> {
    // Whoever came first has set the same; there is no second kind of cryptography here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder().user_agent(concat!("owf/", env!("CARGO_PKG_VERSION"))).no_proxy();
    let var = |name: &str| env.get(name).or_else(|| env.get(&name.to_uppercase()));
    let spared = format!("localhost,127.0.0.0/8,::1,{}", var("no_proxy").unwrap_or_default());
    for name in ["https_proxy", "http_proxy", "all_proxy"] {
        if let Some(address) = var(name) {
            let proxy = match name {
                "https_proxy" => Proxy::https(address),
                "http_proxy" => Proxy::http(address),
                _ => Proxy::all(address),
            };
            let proxy = proxy.map_err(|_| format!("the proxy in {name} is no address"))?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&spared)));
        }
    }
    Ok(builder)
}
