//! Hubs on loopback, and waiting for what they do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use zotferry::catalog::{Channel, DataState, LocationState};
use zotferry::channels::{self, Identity};
use zotferry::files;
use zotferry::hub::Hub;
use zotferry::service::Service;
use zotferry_protocol::codec;
use zotferry_protocol::identity::{BaseUrl, SignedLocation};

pub(crate) struct TestHub {
    pub(crate) dir: PathBuf,
    pub(crate) service: Service,
}

/// Settings that a test changes before its hub starts.
pub(crate) type Change = fn(&mut toml::Table);

pub(crate) fn unchanged(_: &mut toml::Table) {}

pub(crate) fn set(
    config: &mut toml::Table,
    section: &str,
    key: &str,
    value: impl Into<toml::Value>,
) {
    let section = config.entry(section).or_insert_with(|| toml::Table::new().into());
    section.as_table_mut().unwrap().insert(key.to_owned(), value.into());
}

impl TestHub {
    /// A new hub in a folder of its own, not yet serving: the port is taken when it starts.
    pub(crate) async fn new(dir: &Path, name: &str, change: Change) -> Self {
        let filter = tracing_subscriber::EnvFilter::from_env("ZOTFERRY_LOG");
        tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init().ok();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let dir = dir.join(name);
        let url = BaseUrl::parse(&format!("http://{address}")).unwrap();
        Hub::init(&dir, url, address).await.unwrap();
        let path = dir.join("config.toml");
        let mut config: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        set(&mut config, "limits", "backoff_ms", 50);
        change(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
        let hub = Arc::new(Hub::open(&dir).await.unwrap());
        let service = Service::start(hub, listener).await.unwrap();
        Self { dir, service }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.service.hub
    }

    /// Stops the hub and starts it again on the same port.
    pub(crate) async fn restart(self) -> Self {
        let address = self.hub().config.listen;
        let dir = self.dir.clone();
        self.service.stop().await.unwrap();
        Self::start(dir, address).await
    }

    pub(crate) async fn start(dir: PathBuf, address: SocketAddr) -> Self {
        let hub = Arc::new(Hub::open(&dir).await.unwrap());
        let listener = TcpListener::bind(address).await.unwrap();
        let service = Service::start(hub, listener).await.unwrap();
        Self { dir, service }
    }

    pub(crate) async fn channel(&self, nick: &str) -> Channel {
        self.hub().catalog.channel_by_nick(nick).await.unwrap().unwrap()
    }

    /// Makes this hub a clone of another's channel, as an exported identity would.
    pub(crate) async fn clone_channel(&self, from: &Self, nick: &str) -> Channel {
        let channel = from.channel(nick).await;
        let pem = std::fs::read_to_string(from.hub().folder.channel_key(&channel.portable_id));
        let key = zotferry::keys::PrivateKey::from_pem(&pem.unwrap()).unwrap();
        let rows = from.hub().catalog.locations(channel.id).await.unwrap();
        let records = rows.iter().map(|row| codec::decode_owned::<SignedLocation>(&row.record));
        let identity = Identity {
            guid: channel.guid.clone(),
            nick: nick.to_owned(),
            key,
            locations: records.map(Result::unwrap).collect(),
        };
        channels::adopt(self.hub(), identity, nick).await.unwrap()
    }

    pub(crate) async fn put(&self, nick: &str, path: &Path) -> Vec<files::PutEvent> {
        let channel = self.channel(nick).await;
        let (send, mut receive) = mpsc::channel(16);
        let hub = Arc::clone(self.hub());
        let paths = vec![path.to_owned()];
        let putting =
            tokio::spawn(async move { files::put(&hub, &channel, paths, &[], &send).await });
        let mut events = Vec::new();
        while let Some(event) = receive.recv().await {
            events.push(event);
        }
        putting.await.unwrap().unwrap();
        events
    }

    /// Waits until this hub has both listed and been listed by another.
    pub(crate) async fn is_clone_of(&self, other: &Self, nick: &str) {
        let (mine, theirs) = (self.channel(nick).await, other.channel(nick).await);
        until("the hubs list each other", async || {
            let a = listed(self.hub(), mine.id).await;
            let b = listed(other.hub(), theirs.id).await;
            a >= 2 && b >= 2
        })
        .await;
    }

    /// Waits until so many files of a channel are here and none is missing.
    pub(crate) async fn has(&self, nick: &str, files: u64) {
        let channel = self.channel(nick).await;
        until(&format!("{files} files are here"), async || {
            let tallies = self.hub().catalog.tallies(channel.id).await.unwrap();
            let of = |state| tallies.iter().find(|t| t.state == state).map_or(0, |t| t.files);
            of(DataState::Present) >= files && of(DataState::Wanted) == 0
        })
        .await;
    }

    /// The bytes of a file of a channel.
    pub(crate) async fn bytes(&self, nick: &str, path: &[&str]) -> Option<Vec<u8>> {
        let channel = self.channel(nick).await;
        let entry = self.hub().catalog.by_path(channel.id, path).await.unwrap()?;
        let content = self.hub().storage.open(&entry.root?).unwrap()?;
        let mut bytes = vec![0; usize::try_from(content.size()).unwrap()];
        zotferry::storage::read_exact_at(&*content, 0, &mut bytes).unwrap();
        Some(bytes)
    }
}

async fn listed(hub: &Hub, channel: i64) -> usize {
    let rows = hub.catalog.locations(channel).await.unwrap();
    rows.iter().filter(|row| row.state == LocationState::Listed).count()
}

/// Waits for something that another task brings about; a minute without it is a failure.
pub(crate) async fn until(what: &str, happened: impl AsyncFn() -> bool) {
    let waiting = async {
        while !happened().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(waited.is_ok(), "in vain: {what}");
}

/// Bytes that no compression and no sparse file makes small, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
