//! HTTP/1.1 as one of our hubs speaks it when it is asked: also slowly, partly, or not to the end.
//!
//! Owns: requests read, responses written step by step. Not here: what is answered.
//! Invariant: nothing is answered that a case has not asked for; a connection is not reused after a response that
//! was cut.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The largest body that is read.
const MAX_BODY: usize = 4 << 20;

/// A request that came to one of our hubs.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

/// One step of a response.
#[derive(Debug, Clone)]
pub enum Step {
    /// These bytes of the body.
    Bytes(Vec<u8>),
    /// Nothing for so long.
    Pause(Duration),
    /// The connection is closed here, whatever was promised.
    Cut,
    /// Nothing more, and the connection stays open until the other side closes it.
    Silence,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers; without `content-length` among them it is the sum of the steps' bytes.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub steps: Vec<Step>,
}

impl Response {
    /// A whole body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, steps: vec![Step::Bytes(body.into())] }
    }

    /// With a header more, or another value for one that is there.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "numbers and texts are made in the call")]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The bytes of all steps.
    pub fn body(&self) -> Vec<u8> {
        let bytes = self.steps.iter().filter_map(|step| match step {
            Step::Bytes(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }

    /// The same body in pieces, with something between them.
    #[must_use]
    pub fn in_pieces(mut self, len: usize, between: &Step) -> Self {
        let body = self.body();
        self = self.with("content-length", body.len());
        self.steps.clear();
        for piece in body.chunks(len.max(1)) {
            self.steps.extend([Step::Bytes(piece.to_vec()), between.clone()]);
        }
        self
    }

    /// The same, cut after so many bytes of the body although more were promised.
    #[must_use]
    pub fn cut_after(mut self, len: usize) -> Self {
        let mut body = self.body();
        self = self.with("content-length", body.len());
        body.truncate(len);
        self.steps = vec![Step::Bytes(body), Step::Cut];
        self
    }
}

/// A future on the heap.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What makes responses.
pub type Handler = Arc<dyn Fn(Request) -> Later<Response> + Send + Sync>;

/// Serves until it is aborted.
pub fn serve(listener: TcpListener, handler: Handler) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).ok();
            let handler = Arc::clone(&handler);
            open.spawn(async move { connection(socket, handler).await });
            while open.try_join_next().is_some() {}
        }
    })
}

/// `None` at the end of the connection, in whatever way it ended.
async fn connection(socket: TcpStream, handler: Handler) -> Option<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let request = request(&mut socket).await?;
        let head = request.method == "HEAD";
        let response = handler(request).await;
        if !respond(&mut socket, response, head).await? {
            return None;
        }
    }
}

async fn request(socket: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    socket.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    if request.header("transfer-encoding").contains("chunked") {
        request.body = chunked(socket).await?;
    } else {
        let len = request.header("content-length").parse().unwrap_or(0);
        request.body = exactly(socket, len).await?;
    }
    Some(request)
}

async fn exactly(socket: &mut BufReader<TcpStream>, len: usize) -> Option<Vec<u8>> {
    let mut body = vec![0; (len <= MAX_BODY).then_some(len)?];
    socket.read_exact(&mut body).await.ok()?;
    Some(body)
}

async fn chunked(socket: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let len = usize::from_str_radix(line.trim(), 16).ok()?;
        body.extend(exactly(socket, len).await?);
        socket.read_line(&mut line).await.ok()?;
        if len == 0 || body.len() > MAX_BODY {
            return (len == 0).then_some(body);
        }
    }
}

/// Whether the connection goes on.
async fn respond(
    socket: &mut BufReader<TcpStream>,
    response: Response,
    head: bool,
) -> Option<bool> {
    let mut text = format!("HTTP/1.1 {} .\r\n", response.status);
    for (name, value) in &response.headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !response.headers.iter().any(|(name, _)| name == "content-length") {
        text += &format!("content-length: {}\r\n", response.body().len());
    }
    text += "\r\n";
    socket.write_all(text.as_bytes()).await.ok()?;
    for step in if head { Vec::new() } else { response.steps } {
        match step {
            Step::Bytes(bytes) => socket.write_all(&bytes).await.ok()?,
            Step::Pause(time) => {
                socket.flush().await.ok()?;
                tokio::time::sleep(time).await;
            }
            Step::Cut => {
                socket.flush().await.ok();
                socket.shutdown().await.ok();
                return Some(false);
            }
            Step::Silence => {
                socket.flush().await.ok()?;
                let mut nothing = Vec::new();
                socket.read_to_end(&mut nothing).await.ok();
                return Some(false);
            }
        }
    }
    socket.flush().await.ok()?;
    Some(true)
}
