//! A hub's `config.toml`: what may be set, and what holds when it is not.
//!
//! Owns: names, defaults and limits of the settings. Not here: keys and data (see `hub`).
//! Invariant: a setting that is misspelt or out of range stops the hub with the reason; nothing is
//! guessed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use zotferry_protocol::identity::BaseUrl;

mod limits;

pub use limits::Limits;

/// A hub's settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The base URL under which others reach this hub.
    pub url: BaseUrl,
    /// Where this hub listens; a reverse proxy with TLS stands before it.
    pub listen: SocketAddr,
    /// Whom this hub may contact.
    #[serde(default)]
    pub network: Network,
    /// How files travel.
    #[serde(default)]
    pub transfer: Transfer,
    /// What this hub gives and keeps at most.
    #[serde(default)]
    pub limits: Limits,
    /// Whom to tell what arrived from other clones.
    #[serde(default)]
    pub on_change: OnChange,
    /// How this hub looks after what it has.
    #[serde(default)]
    pub audit: Audit,
    /// Folders of this machine that are mirrored into channels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<Watch>,
}

/// A folder of this machine that is mirrored into a channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// The channel's name on this hub.
    pub channel: String,
    /// The folder, as an absolute path.
    pub dir: PathBuf,
    /// The folder of the channel that it is mirrored into; the top by default.
    #[serde(default)]
    pub into: String,
}

/// Whom this hub may contact. Public addresses over HTTPS always; the rest must be named, because
/// the owner of a channel is an untrusted tenant who says where its other clones are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Loopback, link-local or private ranges that may be contacted all the same, as `10.0.0.0/8`.
    pub allow: Vec<IpNet>,
    /// Ranges to which plain HTTP is spoken. Loopback needs no entry here.
    pub plain_http: Vec<IpNet>,
    /// A PEM file of certificate authorities to trust beside the system's.
    pub extra_ca: Option<PathBuf>,
    /// Reverse proxies before this hub, which say in `X-Forwarded-For` for whom they ask.
    pub proxies: Vec<IpNet>,
}

impl Default for Network {
    fn default() -> Self {
        let proxies = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a range")).into();
        Self { allow: Vec::new(), plain_http: Vec::new(), extra_ca: None, proxies }
    }
}

/// How files travel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transfer {
    /// Whether this hub serves streams and asks for them. Without, everything goes by chunks.
    pub streaming: bool,
    /// Requests in flight to one origin at the start.
    pub connections: u32,
    /// Requests in flight to one origin at most, 1 to 64.
    pub max_connections: u32,
    /// A response that brings nothing for so many seconds is given up.
    pub stall_seconds: u64,
}

impl Default for Transfer {
    fn default() -> Self {
        Self { streaming: true, connections: 4, max_connections: 32, stall_seconds: 30 }
    }
}

/// Whom to tell what arrived from other clones: hub software beside this hub.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnChange {
    /// A program and its arguments; it gets JSON on its standard input, and ends with 0.
    pub command: Vec<String>,
    /// An HTTP URL to which the same is posted, on whatever host its owner names.
    pub url: Option<String>,
    /// How long to wait for more, in ms, before it is told.
    pub debounce_ms: u64,
    /// A call that takes longer has failed.
    pub timeout_seconds: u64,
}

impl Default for OnChange {
    fn default() -> Self {
        Self { command: Vec::new(), url: None, debounce_ms: 500, timeout_seconds: 30 }
    }
}

impl OnChange {
    /// Whether anybody is to be told.
    pub fn is_set(&self) -> bool {
        !self.command.is_empty() || self.url.is_some()
    }

    fn checked(&self) -> Result<(), String> {
        let is_http = |url: &String| {
            url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        };
        if !self.url.as_ref().is_none_or(is_http) {
            return Err("on_change.url: an http:// or https:// URL".into());
        }
        if self.timeout_seconds == 0 {
            return Err("on_change.timeout_seconds: at least 1".into());
        }
        Ok(())
    }
}

/// How this hub looks after what it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// How often catalogs are compared with each clone; 0 for never, unless somebody asks.
    pub every_hours: u32,
    /// How fast files are read again to find damage, in MiB a second; 0 for never.
    pub scrub_mib_per_second: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self { every_hours: 24, scrub_mib_per_second: 4 }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or written.
    #[error("{path}: {source}; is this a hub's folder? `zotferry init` makes one")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not as described.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        reason: String,
    },
}

impl Config {
    /// Settings for a new hub at `url`.
    pub fn new(url: BaseUrl, listen: SocketAddr) -> Self {
        let mut network = Network::default();
        if url.is_loopback() {
            network.allow =
                vec!["127.0.0.0/8".parse().expect("a range"), "::1/128".parse().expect("a range")];
        }
        Self {
            url,
            listen,
            network,
            transfer: Transfer::default(),
            limits: Limits::default(),
            on_change: OnChange::default(),
            audit: Audit::default(),
            watch: Vec::new(),
        }
    }

    /// Reads `config.toml` in a hub's folder.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join("config.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ConfigError::File { path: path.clone(), source })?;
        let content = |reason: String| ConfigError::Content { path: path.clone(), reason };
        let config: Self = toml::from_str(&text).map_err(|e| content(e.to_string()))?;
        config.checked().map_err(content)
    }

    fn checked(self) -> Result<Self, String> {
        let t = &self.transfer;
        if !(1..=64).contains(&t.max_connections)
            || !(1..=t.max_connections).contains(&t.connections)
        {
            return Err("transfer.connections: 1 to max_connections, which is 1 to 64".into());
        }
        if t.stall_seconds == 0 {
            return Err("transfer: stall_seconds is at least 1".into());
        }
        self.limits.checked()?;
        self.on_change.checked()?;
        if let Some(watch) = self.watch.iter().find(|watch| !watch.dir.is_absolute()) {
            return Err(format!("watch: {} is not an absolute path", watch.dir.display()));
        }
        Ok(self)
    }

    /// The text of a `config.toml` with these settings, each with its meaning.
    pub fn to_toml(&self) -> String {
        let body = toml::to_string(self).expect("settings always serialize");
        format!("{HEAD}\n{body}")
    }
}

const HEAD: &str = "\
# A Zotferry hub. Changes count after a restart.
# url: under which other hubs reach this one. listen: where it listens (put a TLS proxy before it).
# network.allow: private ranges that may be contacted, as [\"10.0.0.0/8\"]; public ones always may.
# transfer.streaming = false: everything goes by signed requests for numbered chunks.
# on_change.command, on_change.url: told, as JSON, what arrived from other clones.
# limits.response_bytes: most content bytes in one response, 0 for no limit.
# audit.every_hours: how often catalogs are compared with other clones; scrub_mib_per_second: how fast
# files are read again to find damage. 0 for never.
# limits.min_free_mib: disk space that stays free. limits.quota_mib: for new channels, 0 for none.
# network.proxies: reverse proxies that say in X-Forwarded-For for whom they ask; without that header nobody is counted.
# limits.connections, limits.connections_per_address: open at once. limits.requests_per_second: of one address,
# ten times as many at once, 0 for no limit; limits.packets_per_second: the same for one channel.
# limits.min_bytes_per_second: who sends or takes less while we wait is cut off after transfer.stall_seconds.
# limits.answers, limits.answers_per_channel: answers with content at once; limits.uploads, limits.uploads_per_channel:
# uploads by WebDAV and of backups. limits.entries: entries and items of a channel,
# limits.text_mib: MiB of titles, tags, posts and properties.
# limits.remembered: packets of one clone that are remembered. limits.log_lines_per_minute: of one kind, 0 for no limit.
# [[watch]] with channel, dir and into: a folder of this machine that is mirrored into a channel.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Config {
        let url = BaseUrl::parse("http://127.0.0.1:9000").expect("a URL");
        Config::new(url, "127.0.0.1:9000".parse().expect("an address"))
    }

    #[test]
    fn a_written_config_reads_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = example().to_toml();
        std::fs::write(dir.path().join("config.toml"), &text).expect("written");
        let read = Config::load(dir.path()).expect("reads back");
        assert_eq!(read.to_toml(), text);
        assert!(!read.network.allow.is_empty(), "a hub on loopback may contact loopback");
    }

    #[test]
    fn misspelt_settings_stop_the_hub() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = format!("{}\n[limit]\nmin_free = 3\n", example().to_toml());
        std::fs::write(dir.path().join("config.toml"), text).expect("written");
        let error = Config::load(dir.path()).expect_err("misspelt").to_string();
        assert!(error.contains("limit"), "{error}");
    }

    #[test]
    fn a_hook_that_cannot_be_called_stops_the_hub() {
        let dir = tempfile::tempdir().expect("a folder");
        for (setting, good) in [
            ("url = \"http://127.0.0.1:80/hook\"", true),
            ("command = [\"sh\", \"-c\", \"cat\"]", true),
            ("url = \"ftp://127.0.0.1\"", false),
            ("timeout_seconds = 0", false),
        ] {
            let url = example().to_toml();
            let text = url.split("[on_change]").next().expect("a first part");
            let text = format!("{text}\n[on_change]\n{setting}\n");
            std::fs::write(dir.path().join("config.toml"), text).expect("written");
            assert_eq!(Config::load(dir.path()).is_ok(), good, "{setting}");
        }
    }

    #[test]
    fn a_missing_config_says_what_makes_one() {
        let error = Config::load(Path::new("/nonexistent")).expect_err("none").to_string();
        assert!(error.contains("zotferry init"), "{error}");
    }
}
