//! A hub of ours: a site key, a URL, a place of the test channel, and what the hub under test sends to it.
//!
//! Owns: packets made, sent and judged; the inbox. Not here: what is answered (`desk`), what is in an operation
//! (`entry`).
//! Invariant: nothing is answered that was not recorded first.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::content::Content;
use crate::desk;
use crate::http::{Request, Response, serve};
use crate::keys::{Key, Public, new_id, now, random};
use crate::target::{Hub, Target, deep};
use crate::watch::{Watch, Way};
use crate::wire::{Answer, Asked, Reply, Value, judge, map, message, open, seal};

/// What all our hubs have in common.
pub struct Shared {
    /// What the suite was told.
    pub target: Target,
    /// The hub under test.
    pub hub: Hub,
    /// The test channel's portable id.
    pub channel: String,
    /// The HTTP client of all of them.
    pub http: reqwest::Client,
    /// Looks at all that the hub under test says.
    pub watch: Watch,
}

/// What came to one of our hubs.
#[derive(Debug)]
pub struct Incoming {
    /// As it came.
    pub request: Request,
    /// The packet in it, of the body or of the `Authorization` header.
    pub packet: Option<Packet>,
}

/// A packet that came.
#[derive(Debug)]
pub struct Packet {
    /// Its type.
    pub kind: String,
    /// The fields.
    pub body: Value,
    /// The envelope around them.
    pub envelope: Value,
    /// Whether the hub under test has signed it, for this hub of ours.
    pub holds: bool,
}

/// Answers instead of the honest desk; `None` leaves it to that.
pub type Hook = Arc<dyn Fn(&Actor, &Incoming) -> Option<Response> + Send + Sync>;

struct Inner {
    shared: Arc<Shared>,
    key: Key,
    url: String,
    site: String,
    replica: [u8; 8],
    serial: AtomicU64,
    left: AtomicBool,
    inbox: Mutex<Vec<Arc<Incoming>>>,
    news: Notify,
    shelf: Mutex<Vec<Arc<Content>>>,
    hook: Mutex<Option<Hook>>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(server) = locked(&self.server).take() {
            server.abort();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hub of ours; clones are the same one.
#[derive(Clone)]
pub struct Actor(Arc<Inner>);

impl Actor {
    /// A hub at a port of its own, which the hub under test has never heard of.
    pub async fn new(shared: &Arc<Shared>, key: Key) -> Result<Self, String> {
        let listen = shared.target.listen;
        let listener =
            TcpListener::bind((listen, 0)).await.map_err(|e| format!("{listen}: {e}"))?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        let host = shared.target.host.clone().unwrap_or_else(|| match listen.is_ipv6() {
            true => format!("[{listen}]"),
            false => listen.to_string(),
        });
        let url = format!("http://{host}:{port}");
        let actor = Self(Arc::new(Inner {
            site: key.site(&url)?,
            shared: Arc::clone(shared),
            key,
            url,
            replica: random(),
            serial: AtomicU64::new(now()),
            left: AtomicBool::new(false),
            inbox: Mutex::default(),
            news: Notify::new(),
            shelf: Mutex::default(),
            hook: Mutex::default(),
            server: Mutex::default(),
        }));
        // The handler does not keep its own hub alive.
        let weak = Arc::downgrade(&actor.0);
        let server = serve(
            listener,
            Arc::new(move |request| {
                let actor = weak.upgrade().map(Self);
                Box::pin(async move {
                    match actor {
                        Some(actor) => actor.answer(request),
                        None => Response::new(503, "text/plain", "gone"),
                    }
                })
            }),
        );
        *locked(&actor.0.server) = Some(server);
        Ok(actor)
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Its site id.
    pub fn site(&self) -> &str {
        &self.0.site
    }

    /// Its site key.
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// Its replica id.
    pub fn replica(&self) -> [u8; 8] {
        self.0.replica
    }

    /// What all have in common.
    pub fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// How long something is waited for.
    pub fn patience(&self) -> Duration {
        self.0.shared.target.patience
    }

    // What it says of itself

    /// The fields of its next location record (ID-7).
    pub fn place(&self) -> Value {
        let serial = self.0.serial.fetch_add(1, Ordering::Relaxed) + 1;
        map([
            ("channel", self.shared().channel.as_str().into()),
            ("url", self.url().into()),
            ("site_key", self.key().public().pem().into()),
            ("replica", self.replica().into()),
            ("primary", false.into()),
            ("deleted", self.0.left.load(Ordering::Relaxed).into()),
            ("serial", serial.into()),
        ])
    }

    /// The channel lives here from now on, or has left: what the desk says as well, when it is asked.
    pub fn lives(&self, lives: bool) -> &Self {
        self.0.left.store(!lives, Ordering::Relaxed);
        self
    }

    /// A record signed by the channel and by this hub (ID-7).
    pub fn state(&self, record: &Value) -> Value {
        self.state_by(record, &self.shared().target.key, self.key())
    }

    /// A record signed by any two keys.
    pub fn state_by(&self, record: &Value, channel: &Key, site: &Key) -> Value {
        let record = record.bytes();
        let text = [b"zot-file-location\n", record.as_slice()].concat();
        map([
            ("channel_sig", channel.sign(&text).into()),
            ("site_sig", site.sign(&text).into()),
            ("record", record.into()),
        ])
    }

    // Packets

    /// The body of a packet to the hub under test, with the fields of its type still to be put.
    pub fn body(&self, kind: &str) -> Value {
        let shared = self.shared();
        let party =
            |hub: &str| map([("hub", hub.into()), ("channel", shared.channel.as_str().into())]);
        let now = now();
        map([
            ("type", kind.into()),
            ("id", new_id().into()),
            ("from", party(self.site())),
            ("to", party(&shared.hub.site)),
            ("at", now.into()),
            ("expires", (now + 600_000).into()),
        ])
    }

    /// A whole body.
    pub fn packet<const N: usize>(&self, kind: &str, fields: [(&str, Value); N]) -> Value {
        let mut body = self.body(kind);
        for (name, value) in fields {
            body.set(name, value);
        }
        body
    }

    /// The envelope around a body.
    pub fn seal(&self, body: &Value) -> Value {
        seal(self.key(), self.site(), &body.bytes())
    }

    /// Sends a packet, and judges the answer.
    pub async fn ask(&self, body: &Value) -> Result<Reply, String> {
        let envelope = self.seal(body);
        self.send(body, &envelope).await
    }

    /// Sends a packet with its own record in the envelope (ID-12).
    pub async fn introduce(&self, body: &Value, place: &Value) -> Result<Reply, String> {
        let envelope = self.seal(body).with("location", place.bytes());
        self.send(body, &envelope).await
    }

    /// Sends an envelope, whatever is in it, and judges the answer as one to this body.
    pub async fn send(&self, body: &Value, envelope: &Value) -> Result<Reply, String> {
        let answer = self.post(envelope.bytes(), &[]).await?;
        self.judge(&answer, body)
    }

    /// What an answer is, if it is one to a packet with this body.
    pub fn judge(&self, answer: &Answer, body: &Value) -> Result<Reply, String> {
        let shared = self.shared();
        let id = body.bin("id").unwrap_or_default();
        let hub = (shared.hub.site.as_str(), &shared.hub.key);
        let channel = body.text("from.channel").unwrap_or(&shared.channel);
        judge(answer, &Asked { hub, me: self.site(), channel, id })
    }

    /// Posts bytes to the hub's `/zot`, with further headers. Waits and asks again where the hub is too busy.
    pub async fn post(&self, bytes: Vec<u8>, headers: &[(&str, &str)]) -> Result<Answer, String> {
        let mut all = vec![("content-type", "application/x-zot+msgpack")];
        all.extend_from_slice(headers);
        self.exchange("POST", "/zot", &all, bytes).await
    }

    /// One request to the hub under test, its answer read to the end.
    pub async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, String> {
        for _ in 0..4 {
            let answer = self.once(method, path, headers, body.clone(), usize::MAX).await?;
            let busy = matches!(answer.status, 429) && answer.content_type() == "text/plain";
            let pause = Duration::from_secs(answer.retry_after().unwrap_or(1).max(1));
            if !busy || pause > self.patience() * 3 {
                return Ok(answer);
            }
            tokio::time::sleep(pause).await;
        }
        self.once(method, path, headers, body, usize::MAX).await
    }

    /// One request, of whose answer at most so many bytes are read before the connection is cut.
    pub async fn once(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        most: usize,
    ) -> Result<Answer, String> {
        let shared = self.shared();
        let method = method.parse().map_err(|_| format!("no method: {method}"))?;
        let mut request = shared.http.request(method, format!("{}{path}", shared.target.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let asked = request.body(body).send().await;
        let mut response = asked.map_err(|e| format!("no answer: {}", deep(&e)))?;
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        let (mut body, mut whole) = (Vec::new(), false);
        while body.len() < most {
            match response.chunk().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => {
                    whole = true;
                    break;
                }
                Err(_) => break,
            }
        }
        body.truncate(most);
        shared.watch.look(Way::Answered, &body);
        Ok(Answer { status: response.status().as_u16(), headers, body, whole })
    }

    // What comes to it

    /// From now on this answers, where it has something to say.
    pub fn hook(
        &self,
        hook: impl Fn(&Self, &Incoming) -> Option<Response> + Send + Sync + 'static,
    ) {
        *locked(&self.0.hook) = Some(Arc::new(hook));
    }

    /// From now on the honest desk answers.
    pub fn honest(&self) {
        *locked(&self.0.hook) = None;
    }

    /// Serves a content to whoever asks for it.
    pub fn serve(&self, content: &Arc<Content>) {
        locked(&self.0.shelf).push(Arc::clone(content));
    }

    /// A content on the shelf.
    pub fn content(&self, root: &[u8]) -> Option<Arc<Content>> {
        locked(&self.0.shelf).iter().find(|content| content.root == root).cloned()
    }

    /// All that came so far.
    pub fn inbox(&self) -> Vec<Arc<Incoming>> {
        locked(&self.0.inbox).clone()
    }

    /// Waits for something in the inbox, counted from the first that came.
    pub async fn came<T>(
        &self,
        what: &str,
        found: impl Fn(&Incoming) -> Option<T>,
    ) -> Result<T, String> {
        let looking = async {
            loop {
                let news = self.0.news.notified();
                if let Some(found) = self.inbox().iter().find_map(|incoming| found(incoming)) {
                    return found;
                }
                news.await;
            }
        };
        let waited = tokio::time::timeout(self.patience(), looking).await;
        waited.map_err(|_| format!("in vain for {} s: {what}", self.patience().as_secs()))
    }

    fn answer(&self, request: Request) -> Response {
        let incoming = Arc::new(self.incoming(request));
        locked(&self.0.inbox).push(Arc::clone(&incoming));
        self.0.news.notify_waiters();
        let hook = locked(&self.0.hook).clone();
        let own = hook.and_then(|hook| hook(self, &incoming));
        own.unwrap_or_else(|| desk::answer(self, &incoming))
    }

    fn incoming(&self, request: Request) -> Incoming {
        let bytes = match request.header("authorization").strip_prefix("Zot ") {
            Some(text) => desk::from_base64(text).unwrap_or_default(),
            None => request.body.clone(),
        };
        let shared = self.shared();
        shared.watch.look(Way::Sent, &bytes);
        let packet = open(&bytes).ok().map(|(signer, body, envelope)| {
            let covered = message(&signer, envelope.bin("body").unwrap_or_default());
            let sig = envelope.bin("sig").unwrap_or_default();
            let holds = signer == shared.hub.site
                && body.text("from.hub") == Some(&signer)
                && body.text("to.hub") == Some(self.site())
                && verifies(&shared.hub.key, &covered, sig);
            let kind = body.text("type").unwrap_or_default().to_owned();
            Packet { kind, body, envelope, holds }
        });
        Incoming { request, packet }
    }

    /// The answer to a packet that came, signed as it must be.
    pub fn reply<const N: usize>(
        &self,
        to: &Packet,
        kind: &str,
        fields: [(&str, Value); N],
    ) -> Response {
        let mut body = self.packet(kind, fields);
        body.set("answers", to.body.bin("id").unwrap_or_default().to_vec());
        body.set("to", to.body.at("from").cloned().unwrap_or(Value::Nil));
        Response::new(200, "application/x-zot+msgpack", self.seal(&body).bytes())
    }
}

fn verifies(key: &Public, message: &[u8], sig: &[u8]) -> bool {
    key.verifies(message, sig)
}
