//! A channel as a program sees it over WebDAV.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use reqwest::{Body, Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{TestHub, until};

/// A program with an app password.
pub(crate) struct Client<'h> {
    hub: &'h TestHub,
    pub(crate) nick: String,
    pub(crate) password: String,
    http: reqwest::Client,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The hrefs of a listing, the folder's own first.
    pub(crate) fn hrefs(&self) -> Vec<String> {
        let text = self.text();
        let parts = text.split("<D:href>").skip(1);
        let hrefs = parts.map(|part| part.split("</D:href>").next().unwrap().to_owned());
        hrefs.filter(|href| href.starts_with('/')).collect()
    }
}

impl<'h> Client<'h> {
    /// With a new password of a channel.
    pub(crate) async fn of(hub: &'h TestHub, nick: &str) -> Self {
        let channel = hub.channel(nick).await;
        let inner = hub.hub();
        let made = inner.passwords.make(&inner.catalog, &channel, "test", inner.clock.now()).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { hub, nick: nick.to_owned(), password: made.unwrap(), http }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let base = self.hub.hub().config.url.to_string();
        format!("{}/dav/{}/{path}", base.trim_end_matches('/'), self.nick)
    }

    /// Any request, with the password.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, self.url(path)).body(body);
        request = request.basic_auth(&self.nick, Some(&self.password));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    /// A request without headers of its own and without a body; its status.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> u16 {
        self.send(method, path, &[], "").await.status.as_u16()
    }

    pub(crate) async fn put(&self, path: &str, bytes: &[u8]) -> u16 {
        self.send("PUT", path, &[], bytes.to_vec()).await.status.as_u16()
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let answer = self.send("GET", path, &[], "").await;
        (answer.status == 200).then_some(answer.body)
    }

    /// COPY or MOVE; its status.
    pub(crate) async fn bring(&self, method: &str, from: &str, to: &str, overwrite: bool) -> u16 {
        let to = self.url(to);
        let headers =
            [("destination", to.as_str()), ("overwrite", if overwrite { "T" } else { "F" })];
        self.send(method, from, &headers, "").await.status.as_u16()
    }

    /// Lists a folder.
    pub(crate) async fn list(&self, path: &str) -> Answer {
        self.send("PROPFIND", path, &[("depth", "1")], "").await
    }

    /// Begins an upload by hand: the head, and whatever bytes of the body.
    pub(crate) async fn upload(&self, path: &str, head: &str, bytes: &[u8]) -> TcpStream {
        let url = reqwest::Url::parse(&self.url(path)).unwrap();
        let address = url.socket_addrs(|| None).unwrap()[0];
        let mut socket = TcpStream::connect(address).await.unwrap();
        let credentials = STANDARD.encode(format!("{}:{}", self.nick, self.password));
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: hub\r\nAuthorization: Basic {credentials}\r\n{head}\r\n\r\n",
            url.path()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket
    }

    /// Waits until nothing is left of uploads that were cut.
    pub(crate) async fn nothing_is_left(&self) {
        let storage = Arc::clone(&self.hub.hub().storage);
        until("no upload is left", async || storage.partials().unwrap().is_empty()).await;
    }

    /// Waits until an upload is being written.
    pub(crate) async fn something_is_written(&self) {
        let storage = Arc::clone(&self.hub.hub().storage);
        until("an upload is written", async || !storage.partials().unwrap().is_empty()).await;
    }
}

/// All that a socket still says.
pub(crate) async fn rest_of(mut socket: TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is an end as well.
    socket.read_to_end(&mut said).await.ok();
    String::from_utf8_lossy(&said).into_owned()
}
