//! Requests to the hub: signed statements, and how often something is tried.
//!
//! Owns: dates and signatures of statements, retries. Not here: what is asked for.
//! Invariant: what the hub refuses is not asked again; what merely went wrong is, a few times.
//! Spec: BACKUP-26, BACKUP-27, PKT-14.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use zotferry_protocol::codec;
use zotferry_protocol::envelope::{MAX_LIFE, PACKET_TYPE};
use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::ids::{Millis, PacketId, SiteId};
use zotferry_protocol::packets::Operation;
use zotferry_protocol::restore::{Restore, SignedRestore, Step};

use super::{SendError, Sending, own};

/// How often a request is tried.
pub(super) const TRIES: u32 = 6;
/// A statement is renewed when it has so long to live, in ms.
const RENEWED: u64 = MAX_LIFE / 2;

/// PKT-14: whom the statements name.
pub(super) async fn learn_site(http: &reqwest::Client, url: &BaseUrl) -> Result<SiteId, SendError> {
    #[derive(Deserialize)]
    struct Known {
        protocol: String,
        site_id: String,
    }
    let request = || http.get(url.join("/.well-known/zot-file"));
    let known: Known = ask(url, request).await?;
    let site = SiteId::new(known.site_id).ok().filter(|_| known.protocol == "zot-file");
    site.ok_or_else(|| away(url, "it is no hub of this protocol"))
}

impl Sending {
    /// BACKUP-26: a statement.
    async fn signed(
        &self,
        step: Step,
        operations: Vec<Operation>,
    ) -> Result<(Millis, Vec<u8>), SendError> {
        let at = (self.now)();
        let said = Restore {
            channel: self.backup.header().channel.0.clone(),
            site: self.site.clone(),
            id: PacketId(Uuid::now_v7().into_bytes()),
            at,
            expires: at.plus(MAX_LIFE),
            step,
            operations,
        };
        let (key, until) = (Arc::clone(&self.key), said.expires);
        let signing = move || SignedRestore::sign(&said, &*key);
        let signed = tokio::task::spawn_blocking(signing).await.map_err(own)?;
        let signed = signed.map_err(own)?;
        Ok((until, codec::encode(&signed)))
    }

    pub(super) async fn state<T: DeserializeOwned>(
        &self,
        step: Step,
        operations: Vec<Operation>,
    ) -> Result<T, SendError> {
        let (_, bytes) = self.signed(step, operations).await?;
        let url = self.url.join("/zot/restore");
        let request = || self.http.post(&url).header(CONTENT_TYPE, PACKET_TYPE).body(bytes.clone());
        self.ask(request).await
    }

    /// The right to bring bytes, as a request shows it.
    pub(super) async fn right(&self) -> Result<String, SendError> {
        let mut right = self.right.lock().await;
        if right.0 < (self.now)().plus(RENEWED) {
            let (until, bytes) = self.signed(Step::Bytes, Vec::new()).await?;
            *right = (until, format!("Zot-Restore {}", URL_SAFE_NO_PAD.encode(bytes)));
        }
        Ok(right.1.clone())
    }

    /// Asks until there is an answer that ends it.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, SendError> {
        ask(&self.url, request).await
    }

    /// Asks a single time.
    pub(super) async fn once<T: DeserializeOwned>(
        &self,
        request: &impl Fn() -> RequestBuilder,
    ) -> Result<T, SendError> {
        once(&self.url, request).await
    }

    pub(super) fn away(&self, text: &str) -> SendError {
        away(&self.url, text)
    }
}

/// Asks until there is an answer that ends it.
async fn ask<T: DeserializeOwned>(
    url: &BaseUrl,
    request: impl Fn() -> RequestBuilder,
) -> Result<T, SendError> {
    let mut pause = Duration::from_millis(250);
    for _ in 1..TRIES {
        match once(url, &request).await {
            Err(SendError::Away { .. }) => tokio::time::sleep(pause).await,
            other => return other,
        }
        pause *= 2;
    }
    once(url, &request).await
}

async fn once<T: DeserializeOwned>(
    url: &BaseUrl,
    request: &impl Fn() -> RequestBuilder,
) -> Result<T, SendError> {
    let sent = request().send().await;
    let response = sent.map_err(|error| away(url, &causes(&error)))?;
    let (status, later) = (response.status(), response.headers().contains_key(RETRY_AFTER));
    let body = response.bytes().await.map_err(|error| away(url, &causes(&error)))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| away(url, &error.to_string()));
    }
    let text = format!("{status} {}", String::from_utf8_lossy(&body[..body.len().min(500)]).trim());
    if later || status.is_server_error() {
        return Err(away(url, &text));
    }
    Err(SendError::Refused { url: url.to_string(), text })
}

fn away(url: &BaseUrl, text: &str) -> SendError {
    SendError::Away { url: url.to_string(), text: text.to_owned() }
}

/// An error with what is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(cause) = behind {
        text = format!("{text}: {cause}");
        behind = cause.source();
    }
    text
}
