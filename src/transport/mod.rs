//! The outbound HTTP client: to verified locations only, and to addresses that may be contacted.
//!
//! Owns: address rules, connections, time-outs. Not here: packets and what answers mean.
//! Invariant: no redirect is followed, no proxy asked, and the address that is connected to is the
//! one that was checked.
//! Spec: ID-15, ID-16, ID-44.

mod address;
mod port;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use url::Host;
use zotferry_protocol::codec::MAX_PACKET;
pub use zotferry_protocol::envelope::PACKET_TYPE;
use zotferry_protocol::identity::BaseUrl;

use crate::config::Config;
use address::{AddressPolicy, CheckedResolver, System};
use port::is_of_another_protocol;

/// Content type of frames.
pub const FRAMES_TYPE: &str = "application/x-zot-chunks";
/// Content type of streams.
pub const STREAM_TYPE: &str = "application/x-zot-file";
/// Header: where in a chunk request an answer is to begin.
pub const RESUME_HEADER: &str = "zot-resume";
/// Header: most content bytes that the asker wants in this answer.
pub const MAX_BYTES_HEADER: &str = "zot-max-bytes";

/// Why a hub could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address rules forbid it.
    #[error("{0} may not be contacted: {1}")]
    Forbidden(BaseUrl, String),
    /// No connection, or it broke.
    #[error("{0}")]
    Broken(String),
    /// Nothing came for too long.
    #[error("nothing came for {0} s")]
    Stalled(u64),
    /// The certificates of `network.extra_ca`, or the client itself.
    #[error("the HTTP client cannot start: {0}")]
    Setup(String),
}

/// The HTTP client of one hub.
pub struct Transport {
    secure: Client,
    plain: Client,
    policy: Arc<AddressPolicy>,
    stall: Duration,
}

impl Transport {
    /// A client under a hub's settings.
    pub fn new(config: &Config) -> Result<Self, TransportError> {
        let policy = Arc::new(AddressPolicy::new(&config.network));
        let stall = Duration::from_secs(config.transfer.stall_seconds);
        let build = |plain: bool| {
            let lookup = System;
            let resolver = CheckedResolver { policy: Arc::clone(&policy), plain, lookup };
            let mut builder = Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .http1_only()
                .https_only(!plain)
                .tcp_nodelay(true)
                .connect_timeout(Duration::from_secs(10))
                .read_timeout(stall)
                .pool_max_idle_per_host(64)
                .pool_idle_timeout(Duration::from_secs(50))
                .user_agent(concat!("zotferry/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Arc::new(resolver));
            if let Some(path) = &config.network.extra_ca {
                let setup = |e: String| TransportError::Setup(format!("{}: {e}", path.display()));
                let pem = std::fs::read(path).map_err(|e| setup(e.to_string()))?;
                let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                    .map_err(|e| setup(e.to_string()))?;
                builder = builder.tls_certs_merge(authorities);
            }
            builder.build().map_err(|e| TransportError::Setup(e.to_string()))
        };
        Ok(Self { secure: build(false)?, plain: build(true)?, policy: Arc::clone(&policy), stall })
    }

    /// ID-15: whether a location's URL may be contacted at all, as far as the URL itself tells.
    pub fn check(&self, url: &BaseUrl) -> Result<(), TransportError> {
        let url_is = url.to_url();
        if url_is.port().is_some_and(is_of_another_protocol) {
            let why = "its port is another protocol's";
            return Err(TransportError::Forbidden(url.clone(), why.to_owned()));
        }
        let verdict = match (url_is.host(), url.is_https()) {
            (Some(Host::Ipv4(ip)), secure) => self.policy.check(IpAddr::V4(ip), !secure),
            (Some(Host::Ipv6(ip)), secure) => self.policy.check(IpAddr::V6(ip), !secure),
            (Some(Host::Domain(_)), _) => Ok(()),
            (None, _) => Err("no host"),
        };
        verdict.map_err(|why| TransportError::Forbidden(url.clone(), why.to_owned()))
    }

    fn client(&self, url: &BaseUrl) -> &Client {
        if url.is_https() { &self.secure } else { &self.plain }
    }

    /// PKT-10: posts a packet to a hub's `/zot`.
    pub async fn post(
        &self,
        url: &BaseUrl,
        packet: impl Into<reqwest::Body>,
        headers: &[(&'static str, String)],
    ) -> Result<Response, TransportError> {
        self.check(url)?;
        let mut all = header_map(headers);
        all.insert("content-type", HeaderValue::from_static(PACKET_TYPE));
        let request = self.client(url).post(url.join("/zot")).headers(all).body(packet);
        request.send().await.map_err(|e| self.explain(url, &e))
    }

    /// Gets a path of a hub.
    pub async fn fetch(
        &self,
        url: &BaseUrl,
        path: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Response, TransportError> {
        self.check(url)?;
        let request = self.client(url).get(url.join(path)).headers(header_map(headers));
        request.send().await.map_err(|e| self.explain(url, &e))
    }

    /// The whole body of an answer that is a packet: at most [`MAX_PACKET`] bytes.
    pub async fn packet_body(&self, mut response: Response) -> Result<Answer, TransportError> {
        let status = response.status();
        let is_packet = content_type(&response) == Some(PACKET_TYPE);
        let retry_after = retry_after(&response);
        let reading = async {
            let mut body = Vec::new();
            while let Some(piece) = self.next(&mut response).await? {
                if body.len() + piece.len() > MAX_PACKET {
                    return Err(TransportError::Broken("the answer is too long".into()));
                }
                body.extend_from_slice(&piece);
            }
            Ok(body)
        };
        // Who sends a packet byte by byte does not hold up what is to be told to others.
        let whole = self.stall * 2;
        let body = tokio::time::timeout(whole, reading).await;
        let body = body.map_err(|_| TransportError::Stalled(whole.as_secs()))??;
        Ok(Answer { status, packet: is_packet.then_some(body), retry_after })
    }

    /// The next piece of a body; `None` at its end.
    pub async fn next(
        &self,
        response: &mut Response,
    ) -> Result<Option<bytes::Bytes>, TransportError> {
        response.chunk().await.map_err(|e| match e.is_timeout() {
            true => TransportError::Stalled(self.stall.as_secs()),
            false => TransportError::Broken(root_cause(&e)),
        })
    }

    fn explain(&self, url: &BaseUrl, error: &reqwest::Error) -> TransportError {
        let cause = root_cause(error);
        if error.is_timeout() {
            TransportError::Stalled(self.stall.as_secs())
        } else {
            TransportError::Broken(format!("{url}: {cause}"))
        }
    }
}

/// A hub's answer to a packet.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body, when it claims to be a packet.
    pub packet: Option<Vec<u8>>,
    /// Seconds of `Retry-After`.
    pub retry_after: Option<u64>,
}

/// An answer's content type without parameters.
pub fn content_type(response: &Response) -> Option<&str> {
    let value = response.headers().get("content-type")?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); dates are not looked at.
pub fn retry_after(response: &Response) -> Option<u64> {
    response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()
}

fn header_map(headers: &[(&'static str, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            map.insert(*name, value);
        }
    }
    map
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A client whose time-out is a second.
    fn transport(change: impl FnOnce(&mut Config)) -> Transport {
        let url = BaseUrl::parse("http://127.0.0.1:1").unwrap();
        let mut config = Config::new(url, "127.0.0.1:1".parse().unwrap());
        config.transfer.stall_seconds = 1;
        change(&mut config);
        Transport::new(&config).unwrap()
    }

    /// A packet that comes byte by byte is given up, although something always comes.
    #[tokio::test]
    async fn a_packet_may_not_drip() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = BaseUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let dripping = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4];
            socket.read_exact(&mut asked).await.unwrap();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {PACKET_TYPE}\r\ncontent-length: 1000\r\n\r\n"
            );
            socket.write_all(head.as_bytes()).await.unwrap();
            while socket.write_all(b"x").await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        });
        let transport = transport(|_| {});
        let response = transport.post(&url, "", &[]).await.unwrap();
        let error = transport.packet_body(response).await.unwrap_err();
        assert!(matches!(error, TransportError::Stalled(2)), "{error}");
        dripping.await.unwrap();
    }

    /// ID-15, ID-44: however an address is written, it is the same one; ports of other protocols are left alone.
    #[tokio::test]
    async fn spellings_of_an_address_are_one_address() {
        let transport = transport(|config| config.network.allow.clear());
        for url in [
            "http://127.1:9999",
            "http://0x7f000001:9999",
            "http://2130706433:9999",
            "http://0177.0.0.1:9999",
            "https://[::ffff:7f00:1]",
            "https://[::ffff:10.0.0.1]",
            "https://[64:ff9b::169.254.169.254]",
            "https://[2002:7f00:1::]",
            "https://hub.example:25",
            "https://hub.example:22",
            "https://93.184.216.34:6379",
        ] {
            let url = BaseUrl::parse(url).unwrap();
            let checked = transport.check(&url);
            assert!(matches!(checked, Err(TransportError::Forbidden(..))), "{url}: {checked:?}");
        }
        for url in ["https://hub.example", "https://hub.example:8443", "https://93.184.216.34"] {
            transport.check(&BaseUrl::parse(url).unwrap()).unwrap();
        }
    }

    /// QUEUE-13, ID-16: an address that is written down is forbidden for good; what a name resolves
    /// to may be another address tomorrow.
    #[tokio::test]
    async fn a_name_is_not_forbidden_for_good() {
        let transport = transport(|config| config.network.allow.clear());
        let post = async |url: &str| {
            transport.post(&BaseUrl::parse(url).unwrap(), "", &[]).await.unwrap_err()
        };
        let error = post("http://127.0.0.1:9999").await;
        assert!(matches!(error, TransportError::Forbidden(..)), "{error}");
        let error = post("http://localhost:9999").await;
        assert!(matches!(error, TransportError::Broken(_)), "{error}");
        assert!(error.to_string().contains("network.allow"), "{error}");
    }
}
