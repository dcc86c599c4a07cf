//! Who asks: the address of the connection, or the one that a trusted proxy says it speaks for.
//!
//! Owns: that address, and the rate at which it may ask. Not here: connections (`doors`), which channel is spoken for (`packets`).
//! Invariant: what a client writes into a header counts only where a proxy that the owner named has added to it.
//! Spec: QUEUE-10.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use axum::middleware::Next;
use futures_util::StreamExt as _;
use ipnet::IpNet;
use zotferry_protocol::codec::MAX_PACKET;
use zotferry_protocol::refusal::{Code, Refusal};

use super::hint;
use super::patience::{self, Patience};
use crate::hub::Hub;

const FORWARDED: &str = "x-forwarded-for";
/// Addresses in that header that are looked at.
const HOPS: usize = 16;

/// The other end of a connection; in the extensions of each request on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connected(pub(super) IpAddr);

/// Whether an address is a proxy that the owner named.
pub(super) fn is_proxy(proxies: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    proxies.iter().any(|net| net.contains(&ip))
}

/// Whom a request is counted for; `None` when a proxy names nobody.
fn asker(proxies: &[IpNet], connected: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    if !is_proxy(proxies, connected) {
        return Some(connected);
    }
    let values = headers.get_all(FORWARDED).iter().rev();
    let hops = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
    // From the last on: each proxy adds whom it heard, so the first that is no proxy is who asks.
    for hop in hops.take(HOPS) {
        let ip: IpAddr = hop.trim().parse().ok()?;
        if !is_proxy(proxies, ip) {
            return Some(ip);
        }
    }
    None
}

/// QUEUE-10: who asks too often is told when to come back; who is slow is not waited for for ever.
pub(super) async fn admit(
    State(hub): State<Arc<Hub>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let patience = Patience::of(&hub.config);
    let request = request.map(|body| patience::body(body, patience));
    let connected = request.extensions().get::<Connected>().copied();
    let asker = connected
        .and_then(|Connected(ip)| asker(&hub.config.network.proxies, ip, request.headers()));
    if let Some(asker) = asker
        && let Err(seconds) = hub.paces.request(asker)
    {
        hub.metrics.refusals.one();
        tracing::info!(%asker, "an address asks too often");
        drain(request.into_body().into_data_stream()).await;
        return hint(&Refusal::new(Code::TooMany).after(seconds));
    }
    next.run(request).await
}

/// What a refused request still brings: a connection that is closed before it may take the answer with it.
async fn drain(mut body: BodyDataStream) {
    let mut left = MAX_PACKET;
    while left > 0
        && let Some(Ok(piece)) = body.next().await
    {
        left = left.saturating_sub(piece.len());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    fn asked(connected: &str, forwarded: &[&str]) -> Option<IpAddr> {
        let proxies = ["127.0.0.0/8", "::1/128", "10.0.0.7/32"].map(|net| net.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED, value.parse().unwrap());
        }
        asker(&proxies, connected.parse().unwrap(), &headers)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// QUEUE-10: nobody chooses for whom he is counted.
    #[test]
    fn a_header_counts_from_a_proxy_only() {
        assert_eq!(asked("192.0.2.9", &["198.51.100.1"]), ip("192.0.2.9"));
        assert_eq!(asked("127.0.0.1", &["198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(asked("::ffff:127.0.0.1", &["198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(asked("127.0.0.1", &[]), None);
        // What the client wrote stands before what the proxy added.
        assert_eq!(asked("127.0.0.1", &["203.0.113.5, 198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(
            asked("127.0.0.1", &["203.0.113.5", "198.51.100.1, 10.0.0.7"]),
            ip("198.51.100.1")
        );
        assert_eq!(asked("127.0.0.1", &["198.51.100.1, nonsense"]), None);
        assert_eq!(asked("127.0.0.1", &["10.0.0.7"]), None);
    }
}
