//! The hub under test, and what the suite has to be told of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use zotferry_protocol::refusal::Code;

use crate::http::Later;
use crate::keys::{Key, Public};

/// Something that ends when the hub has stopped and begun anew.
pub type Restart = Arc<dyn Fn() -> Later<Result<(), String>> + Send + Sync>;

/// A shell command that does so.
pub fn by_command(command: &str) -> Restart {
    let command = command.to_owned();
    Arc::new(move || {
        let command = command.clone();
        Box::pin(async move {
            let run = tokio::process::Command::new("sh").arg("-c").arg(&command).status().await;
            let status = run.map_err(|e| format!("{command}: {e}"))?;
            if status.success() { Ok(()) } else { Err(format!("{command}: {status}")) }
        })
    })
}

/// What the suite is pointed at.
#[derive(Clone)]
pub struct Target {
    /// The hub's base URL.
    pub url: String,
    /// The test channel's guid.
    pub guid: String,
    /// The test channel's private key.
    pub key: Key,
    /// Guid and private key of a second channel, which a run uses up; without it, cases that need that are skipped.
    pub spare: Option<(String, Key)>,
    /// The second channel's quota in bytes, if it has one; without it, the case that needs it is skipped.
    pub spare_quota: Option<u64>,
    /// Where our own hubs listen.
    pub listen: IpAddr,
    /// How the hub under test reaches that address; by default the address itself.
    pub host: Option<String>,
    /// How long something is waited for that the hub does on its own.
    pub patience: Duration,
    /// Stops the hub and starts it again; without it, cases that need that are skipped.
    pub restart: Option<Restart>,
}

/// The hub as its capability document describes it (PKT-14).
#[derive(Clone)]
pub struct Hub {
    /// Base URL.
    pub url: String,
    /// Site id.
    pub site: String,
    /// Site key.
    pub key: Public,
    /// Whether it says that it streams.
    pub streams: bool,
    /// The document as it came.
    pub document: serde_json::Value,
}

#[derive(Deserialize)]
struct Document {
    site_id: String,
    url: String,
    site_key: String,
}

impl Target {
    /// A target with the usual settings.
    pub fn new(url: &str, guid: &str, key: Key) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            guid: guid.to_owned(),
            key,
            spare: None,
            spare_quota: None,
            listen: IpAddr::from([127, 0, 0, 1]),
            host: None,
            patience: Duration::from_secs(30),
            restart: None,
        }
    }

    /// Asks the hub who it is.
    pub async fn hub(&self, client: &reqwest::Client) -> Result<Hub, String> {
        let place = format!("{}/.well-known/zot-file", self.url);
        let asked =
            client.get(&place).send().await.map_err(|e| format!("{place}: {}", deep(&e)))?;
        let status = asked.status();
        let text = asked.text().await.map_err(|e| format!("{place}: {}", deep(&e)))?;
        if !status.is_success() {
            return Err(format!("{place} is answered with status {status}: is a hub there?"));
        }
        let document: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| format!("{place}: no JSON: {e}"))?;
        let fields: Document =
            serde_json::from_value(document.clone()).map_err(|e| format!("{place}: {e}"))?;
        let key = Public::from_pem(&fields.site_key).map_err(|e| format!("{place}: {e}"))?;
        let streams = document.get("streams").is_some_and(|streams| !streams.is_null());
        Ok(Hub { url: fields.url, site: fields.site_id, key, streams, document })
    }
}

/// What is behind an error of the HTTP client.
pub fn deep(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A refusal as the reports show it.
pub fn shown(code: Code) -> String {
    format!("{} {} (status {})", code.number(), code.word(), code.http())
}
