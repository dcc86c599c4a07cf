//! Stands where a hub is expected, and spoils what passes, with the keys of everybody: so a real hub becomes one that
//! has forgotten a rule.
//!
//! Owns: requests and answers taken apart, changed and signed again. Not here: which rules are forgotten (`mutants`).
//! Invariant: without a mutant nothing is changed by a bit.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use zotferry_conformance::http::{Request, Response, Step, serve};
use zotferry_conformance::keys::Key;
use zotferry_conformance::wire::{Value, message, read, read_first};

/// Everybody's keys.
pub(crate) struct Keys {
    /// The hub's site id and key.
    pub(crate) hub: (String, Key),
    /// The test channel's.
    pub(crate) channel: Key,
    /// Its portable id.
    pub(crate) portable: String,
    /// Of the suite's first hub.
    pub(crate) me: (String, Key),
    /// Of its other hubs.
    pub(crate) others: Key,
}

/// What a mutant does to a request.
pub(crate) type Ask = fn(&Front, Request) -> Asked;
/// What it does to the answer of a request.
pub(crate) type Said = fn(&Front, &Request, Response) -> Response;

/// What becomes of a request.
pub(crate) enum Asked {
    /// The hub gets this.
    Pass(Request),
    /// The hub gets nothing, and this is answered.
    Answer(Response),
}

/// The front; clones are the same one.
#[derive(Clone)]
pub(crate) struct Front(Arc<Parts>);

struct Parts {
    upstream: SocketAddr,
    http: reqwest::Client,
    keys: Mutex<Option<Arc<Keys>>>,
    mutant: Mutex<Option<(Ask, Said)>>,
    /// What mutants remember: ids of packets, and how often the hub was started.
    pub(crate) memory: Mutex<Vec<(Vec<u8>, u64)>>,
    starts: AtomicU64,
}

impl Front {
    /// Listens at an address, for a hub at another.
    pub(crate) async fn before(upstream: SocketAddr) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true);
        let front = Self(Arc::new(Parts {
            upstream,
            http: client.build().unwrap(),
            keys: Mutex::default(),
            mutant: Mutex::default(),
            memory: Mutex::default(),
            starts: AtomicU64::new(0),
        }));
        let own = front.clone();
        serve(
            listener,
            Arc::new(move |request| {
                let own = own.clone();
                Box::pin(async move { own.answer(request).await })
            }),
        );
        (front, address)
    }

    pub(crate) fn give_keys(&self, keys: Keys) {
        *self.0.keys.lock().unwrap() = Some(Arc::new(keys));
    }

    pub(crate) fn keys(&self) -> Arc<Keys> {
        self.0.keys.lock().unwrap().clone().unwrap()
    }

    /// From now on the hub is this one; a good one without.
    pub(crate) fn become_mutant(&self, mutant: Option<(Ask, Said)>) {
        self.0.memory.lock().unwrap().clear();
        *self.0.mutant.lock().unwrap() = mutant;
    }

    /// The hub was killed and started again.
    pub(crate) fn restarted(&self) {
        self.0.starts.fetch_add(1, Ordering::SeqCst);
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> u64 {
        self.0.starts.load(Ordering::SeqCst)
    }

    /// Remembers something; when it was remembered first, if it was.
    pub(crate) fn remember(&self, what: &[u8]) -> Option<u64> {
        let mut memory = self.0.memory.lock().unwrap();
        let found = memory.iter().find(|(known, _)| known == what).map(|(_, start)| *start);
        if found.is_none() {
            memory.push((what.to_vec(), self.starts()));
        }
        found
    }

    /// Whether it remembers something.
    pub(crate) fn remembers(&self, what: &[u8]) -> bool {
        self.0.memory.lock().unwrap().iter().any(|(known, _)| known == what)
    }

    async fn answer(&self, request: Request) -> Response {
        let mutant = *self.0.mutant.lock().unwrap();
        let Some((ask, said)) = mutant else { return self.pass(request).await };
        let original = request.clone();
        let response = match ask(self, request) {
            Asked::Answer(response) => response,
            Asked::Pass(changed) => {
                let response = self.pass(changed.clone()).await;
                self.address_back(&original, &changed, response)
            }
        };
        said(self, &original, response)
    }

    async fn pass(&self, request: Request) -> Response {
        let url = format!("http://{}{}", self.0.upstream, request.path);
        let mut ask = self.0.http.request(request.method.parse().unwrap(), url);
        for (name, value) in &request.headers {
            if !["host", "connection", "content-length", "transfer-encoding"]
                .contains(&name.as_str())
            {
                ask = ask.header(name, value);
            }
        }
        let Ok(answer) = ask.body(request.body).send().await else {
            return Response::new(502, "text/html", "the hub is away");
        };
        let hop = ["connection", "transfer-encoding", "content-length"];
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in answer.headers() {
            if !hop.contains(&name.as_str()) {
                headers.push((name.to_string(), value.to_str().unwrap().to_owned()));
            }
        }
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap_or_default().to_vec();
        Response { status, headers, steps: vec![Step::Bytes(body)] }
    }

    /// An answer to a changed packet becomes one to the packet that was sent.
    fn address_back(&self, original: &Request, changed: &Request, response: Response) -> Response {
        let (Some(before), Some(after)) = (body_of(original), body_of(changed)) else {
            return response;
        };
        if before == after {
            return response;
        }
        self.edit_answer(response, |body, _| {
            body.set("answers", before.bin("id").unwrap_or_default().to_vec());
            body.set("to", before.at("from").cloned().unwrap_or(Value::Nil));
        })
    }

    // Tools for mutants

    /// Changes the envelope of a request, where there is one; whoever sent it.
    pub(crate) fn edit_envelope(
        &self,
        request: Request,
        change: impl FnOnce(&mut Value),
    ) -> Request {
        let Some(mut envelope) = envelope_of(&request) else { return request };
        change(&mut envelope);
        with_packet(request, &envelope.bytes())
    }

    /// Changes the body of a request's packet and signs it again as its sender would have.
    pub(crate) fn edit_body(&self, request: Request, change: impl FnOnce(&mut Value)) -> Request {
        let Some(mut body) = body_of(&request) else { return request };
        let before = body.clone();
        change(&mut body);
        if body == before { request } else { self.sign(request, Some(&body)) }
    }

    /// Signs a request's packet as its sender would have.
    pub(crate) fn sign(&self, request: Request, body: Option<&Value>) -> Request {
        let keys = self.keys();
        self.edit_envelope(request, |envelope| {
            let key = envelope.text("key").unwrap_or_default().to_owned();
            let signer = if key == keys.me.0 { &keys.me.1 } else { &keys.others };
            let bytes = match body {
                Some(body) => body.bytes(),
                None => envelope.bin("body").unwrap_or_default().to_vec(),
            };
            let sig = signer.sign(&message(&key, &bytes));
            envelope.set("body", bytes).set("sig", sig);
        })
    }

    /// Whether the sender of a request has signed its packet.
    pub(crate) fn is_signed(&self, request: &Request) -> bool {
        let Some(envelope) = envelope_of(request) else { return true };
        let keys = self.keys();
        let key = envelope.text("key").unwrap_or_default();
        let signer = if key == keys.me.0 { &keys.me.1 } else { &keys.others };
        let text = message(key, envelope.bin("body").unwrap_or_default());
        signer.public().verifies(&text, envelope.bin("sig").unwrap_or_default())
    }

    /// Changes the body of an answer that is a packet, and signs it as the hub would have.
    pub(crate) fn edit_answer(
        &self,
        mut response: Response,
        change: impl FnOnce(&mut Value, &mut u16),
    ) -> Response {
        let bytes = response.body();
        let is_packet =
            response.headers.iter().any(|(_, value)| value == "application/x-zot+msgpack");
        let Some((mut envelope, mut body)) = is_packet.then(|| opened(&bytes)).flatten() else {
            return response;
        };
        let before = body.clone();
        change(&mut body, &mut response.status);
        if body != before {
            let keys = self.keys();
            let sig = keys.hub.1.sign(&message(&keys.hub.0, &body.bytes()));
            envelope.set("body", body.bytes()).set("sig", sig);
            response.steps = vec![Step::Bytes(envelope.bytes())];
        }
        response
    }

    /// Changes the frames of an answer that has some.
    pub(crate) fn edit_frames(
        response: Response,
        change: impl FnOnce(&mut Vec<Value>),
    ) -> Response {
        let is_frames =
            response.headers.iter().any(|(_, value)| value == "application/x-zot-chunks");
        if !is_frames {
            return response;
        }
        let (bytes, mut frames) = (response.body(), Vec::new());
        let mut left = bytes.as_slice();
        while let Ok((frame, rest)) = read_first(left) {
            frames.push(frame);
            left = rest;
        }
        change(&mut frames);
        let body = frames.iter().flat_map(Value::bytes).collect();
        Response { steps: vec![Step::Bytes(body)], ..response }
    }
}

fn opened(bytes: &[u8]) -> Option<(Value, Value)> {
    let envelope = read(bytes).ok()?;
    let body = read(envelope.bin("body")?).ok()?;
    Some((envelope, body))
}

fn shown(request: &Request) -> Option<Vec<u8>> {
    let text = request.header("authorization").strip_prefix("Zot ")?;
    zotferry_conformance::desk::from_base64(text)
}

/// The envelope of a request to `/zot` or for a stream.
pub(crate) fn envelope_of(request: &Request) -> Option<Value> {
    match shown(request) {
        Some(bytes) => read(&bytes).ok(),
        None if request.path == "/zot" => read(&request.body).ok(),
        None => None,
    }
}

/// The body in it.
pub(crate) fn body_of(request: &Request) -> Option<Value> {
    read(envelope_of(request)?.bin("body")?).ok()
}

/// The same request with another packet.
pub(crate) fn with_packet(mut request: Request, bytes: &[u8]) -> Request {
    if shown(&request).is_some() {
        let text = format!("Zot {}", zotferry_conformance::desk::to_base64(bytes));
        return with_header(request, "authorization", &text);
    }
    request.body = bytes.to_vec();
    request
}

/// The same request with another header.
pub(crate) fn with_header(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.retain(|(found, _)| found != name);
    request.headers.push((name.to_owned(), value.to_owned()));
    request
}

/// The same request without a header.
pub(crate) fn without_header(mut request: Request, name: &str) -> Request {
    request.headers.retain(|(found, _)| found != name);
    request
}
