//! A proxy that stands at a hub's public address and does to answers what bad paths do.
//!
//! Owns: what happens to each answer, how many content bytes may pass, what was passed. Not here: why.
//! Requests reach the hub unless the proxy is shut, so a spoilt answer is also a request that was served in vain.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, Response, StatusCode, header};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A signed packet, or a hint.
    Packet,
    /// Numbered chunks in frames.
    Frames,
    /// A stream.
    Stream,
}

/// What happens to one answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    None,
    /// The connection breaks after so many bytes of the body.
    Cut(u64),
    /// The body ends after so many bytes as if that were all.
    Short(u64),
    /// A byte of the body arrives changed.
    Flip(u64),
    /// Something is added behind the body.
    Tail(&'static str),
    /// Another answer comes instead: status, content type, body.
    Answer(u16, &'static str, &'static str),
}

/// The page of a proxy whose hub does not answer.
pub(crate) const BAD_GATEWAY: Fault = Fault::Answer(502, "text/html", "<h1>Bad Gateway</h1>");
/// The page of a hotel's network.
pub(crate) const LOGIN_PAGE: Fault = Fault::Answer(200, "text/html", "<h1>Please log in</h1>");

type Rule = dyn Fn(Kind, u64) -> Fault + Send + Sync;

struct Shared {
    upstream: SocketAddr,
    client: reqwest::Client,
    rule: RwLock<Arc<Rule>>,
    /// Whether no request reaches the hub.
    shut: AtomicBool,
    answers: Mutex<HashMap<Kind, u64>>,
    /// Bytes of frames and streams that were passed on.
    passed: AtomicU64,
    /// Bytes of the bodies of requests and answers, whatever they are.
    bodies: AtomicU64,
    /// How many bytes of frames and streams may be passed on.
    allowance: watch::Sender<u64>,
}

/// A proxy; clones are the same one.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Stands before a hub.
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            client: reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap(),
            rule: RwLock::new(Arc::new(|_, _| Fault::None)),
            shut: AtomicBool::new(false),
            answers: Mutex::default(),
            passed: AtomicU64::new(0),
            bodies: AtomicU64::new(0),
            allowance: watch::Sender::new(u64::MAX),
        });
        let router = Router::new().fallback(relay).with_state(Arc::clone(&shared));
        let listener = listener.tap_io(|socket| socket.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    /// From now on each answer, by its kind and its number among those of its kind, meets this.
    pub(crate) fn rule(&self, rule: impl Fn(Kind, u64) -> Fault + Send + Sync + 'static) {
        *self.shared.rule.write().unwrap() = Arc::new(rule);
    }

    /// From now on no request reaches the hub.
    pub(crate) fn shut(&self) {
        self.shared.shut.store(true, Relaxed);
    }

    /// From now on requests reach the hub, and nothing happens to answers.
    pub(crate) fn heal(&self) {
        self.shared.shut.store(false, Relaxed);
        self.rule(|_, _| Fault::None);
    }

    /// Answers of a kind so far.
    pub(crate) fn answers(&self, kind: Kind) -> u64 {
        self.shared.answers.lock().unwrap().get(&kind).copied().unwrap_or(0)
    }

    /// Bytes of frames and streams that were passed on.
    pub(crate) fn passed(&self) -> u64 {
        self.shared.passed.load(Relaxed)
    }

    /// Bytes of all bodies so far, of requests and of answers.
    pub(crate) fn bodies(&self) -> u64 {
        self.shared.bodies.load(Relaxed)
    }

    /// Passes so many more bytes of frames and streams; then they wait.
    pub(crate) fn allow(&self, more: u64) {
        self.shared.allowance.send_replace(self.passed().saturating_add(more));
    }

    /// Passes everything.
    pub(crate) fn allow_all(&self) {
        self.shared.allowance.send_replace(u64::MAX);
    }
}

async fn relay(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    if shared.shut.load(Relaxed) {
        return plain(502, "text/html", "the hub is away");
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
    let url = format!("http://{}{path}", shared.upstream);
    let mut ask = shared.client.request(head.method, url);
    for (name, value) in &head.headers {
        if !is_of_one_hop(name) {
            ask = ask.header(name, value);
        }
    }
    let body = to_bytes(body, 2 << 20).await.unwrap_or_default();
    shared.bodies.fetch_add(body.len() as u64, Relaxed);
    let Ok(answer) = ask.body(body).send().await else {
        return plain(502, "text/html", "the hub is away");
    };
    let kind = match answer.headers().get(header::CONTENT_TYPE).map(|t| t.as_bytes()) {
        Some(b"application/x-zot-chunks") => Kind::Frames,
        Some(b"application/x-zot-file") => Kind::Stream,
        _ => Kind::Packet,
    };
    let number = {
        let mut answers = shared.answers.lock().unwrap();
        let count = answers.entry(kind).or_insert(0);
        *count += 1;
        *count - 1
    };
    let rule = Arc::clone(&shared.rule.read().unwrap());
    let fault = rule(kind, number);
    if let Fault::Answer(status, content_type, body) = fault {
        return plain(status, content_type, body);
    }
    pass(shared, answer, kind, fault)
}

fn pass(
    shared: Arc<Shared>,
    answer: reqwest::Response,
    kind: Kind,
    fault: Fault,
) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    let same_length = matches!(fault, Fault::None | Fault::Cut(_) | Fault::Flip(_));
    for (name, value) in answer.headers() {
        if !is_of_one_hop(name) && (same_length || name != header::CONTENT_LENGTH) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let relay = Relay { shared, answer, kind, fault, sent: 0, rest: Bytes::new(), over: false };
    let pieces = futures_util::stream::unfold(relay, Relay::next);
    *response.body_mut() = Body::from_stream(pieces);
    response
}

fn is_of_one_hop(name: &HeaderName) -> bool {
    [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING].contains(name)
}

fn plain(status: u16, content_type: &'static str, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    response
}

/// One answer on its way.
struct Relay {
    shared: Arc<Shared>,
    answer: reqwest::Response,
    kind: Kind,
    fault: Fault,
    sent: u64,
    /// What came and may not pass yet.
    rest: Bytes,
    over: bool,
}

impl Relay {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.over {
            return None;
        }
        let end = match self.fault {
            Fault::Cut(end) | Fault::Short(end) => end,
            _ => u64::MAX,
        };
        if self.sent == end {
            self.over = true;
            if matches!(self.fault, Fault::Short(_)) {
                return None;
            }
            // What was handed over before is to leave before the connection breaks.
            tokio::time::sleep(Duration::from_millis(5)).await;
            return Some((Err(io::Error::other("cut")), self));
        }
        if self.rest.is_empty() {
            match self.answer.chunk().await {
                Ok(Some(piece)) => self.rest = piece,
                Ok(None) => return self.end(),
                Err(error) => return Some((Err(io::Error::other(error)), self)),
            }
        }
        let room = self.room().await.min(end - self.sent);
        let len = self.rest.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let mut piece = self.rest.split_to(len);
        if let Fault::Flip(at) = self.fault
            && let Some(at) = at.checked_sub(self.sent).filter(|at| *at < piece.len() as u64)
        {
            let mut changed = piece.to_vec();
            changed[at as usize] ^= 1;
            piece = changed.into();
        }
        self.sent += piece.len() as u64;
        self.shared.bodies.fetch_add(piece.len() as u64, Relaxed);
        Some((Ok(piece), self))
    }

    fn end(mut self) -> Option<(io::Result<Bytes>, Self)> {
        self.over = true;
        match self.fault {
            Fault::Tail(text) => Some((Ok(Bytes::from_static(text.as_bytes())), self)),
            _ => None,
        }
    }

    /// How many bytes may pass now, taken from the allowance; waits until there is room for one.
    async fn room(&self) -> u64 {
        if self.kind == Kind::Packet {
            return u64::MAX;
        }
        let wanted = self.rest.len() as u64;
        let mut allowance = self.shared.allowance.subscribe();
        loop {
            let allowed = *allowance.borrow_and_update();
            let took = self.shared.passed.fetch_update(Relaxed, Relaxed, |passed| {
                let more = wanted.min(allowed.saturating_sub(passed));
                (more > 0).then_some(passed + more)
            });
            if let Ok(before) = took {
                return wanted.min(allowed - before);
            }
            allowance.changed().await.unwrap();
        }
    }
}
