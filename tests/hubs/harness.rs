//! Hubs on loopback, and waiting for what they do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use rsa::pkcs8::SecretDocument;
use rsa::pkcs8::spki::der::pem::LineEnding;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use zotferry::catalog::{Channel, ChannelOverview, DataState, LocationState, SiteNo};
use zotferry::channels::{self, Identity};
use zotferry::files;
use zotferry::hub::{Clock, FolderError, Hub, HubError, Parts, Peer};
use zotferry::keys::PrivateKey;
use zotferry::metrics::Counts;
use zotferry::service::Service;
use zotferry::storage::Storage;
use zotferry_protocol::codec;
use zotferry_protocol::identity::{BaseUrl, SignedLocation};

use crate::proxy::Proxy;

pub(crate) const MIB: usize = 1 << 20;

pub(crate) struct TestHub {
    pub(crate) dir: PathBuf,
    pub(crate) service: Service,
    rest: Rest,
}

/// What of a hub is not in its folder.
#[derive(Clone)]
struct Rest {
    address: SocketAddr,
    proxy: Option<Proxy>,
    clock: i64,
    storage: Option<Arc<dyn Storage>>,
}

/// Settings that a test changes before its hub starts.
pub(crate) type Change = fn(&mut toml::Table);

pub(crate) fn unchanged(_: &mut toml::Table) {}

/// No streams: everything goes by numbered chunks.
pub(crate) fn blocked(config: &mut toml::Table) {
    set(config, "transfer", "streaming", false);
}

pub(crate) fn set(
    config: &mut toml::Table,
    section: &str,
    key: &str,
    value: impl Into<toml::Value>,
) {
    let section = config.entry(section).or_insert_with(|| toml::Table::new().into());
    section.as_table_mut().unwrap().insert(key.to_owned(), value.into());
}

/// How a hub of a test is made.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) change: Change,
    /// A proxy stands at its address.
    pub(crate) proxied: bool,
    /// How far its clock is ahead, in ms.
    pub(crate) clock: i64,
    /// Where its bytes are, if not in its folder.
    pub(crate) storage: Option<Arc<dyn Storage>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { change: unchanged, proxied: false, clock: 0, storage: None }
    }
}

impl Setup {
    pub(crate) fn with(change: Change) -> Self {
        Self { change, ..Self::default() }
    }

    pub(crate) fn proxied() -> Self {
        Self { proxied: true, ..Self::default() }
    }
}

/// An RSA key as small as is accepted: tests make many.
pub(crate) fn small_key() -> PrivateKey {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let document = SecretDocument::try_from(der.as_ref()).unwrap();
    PrivateKey::from_pem(&document.to_pem("PRIVATE KEY", LineEnding::LF).unwrap()).unwrap()
}

/// An origin and a clone of its channel `alice`, each listed by the other.
pub(crate) async fn pair(dir: &Path, origin: Setup, clone: Setup) -> (TestHub, TestHub) {
    let origin = TestHub::build(dir, "origin", origin).await;
    let clone = TestHub::build(dir, "clone", clone).await;
    origin.create_channel("alice").await;
    clone.clone_channel(&origin, "alice").await;
    clone.is_clone_of(&origin, "alice").await;
    (origin, clone)
}

/// A hub that does not run.
pub(crate) struct Stopped {
    pub(crate) dir: PathBuf,
    rest: Rest,
}

impl Stopped {
    /// Runs again, at the same address.
    pub(crate) async fn start(self) -> TestHub {
        self.try_start().await.unwrap()
    }

    pub(crate) async fn try_start(self) -> Result<TestHub, HubError> {
        let listener = bind_again(self.rest.address).await;
        self.serve(listener).await
    }

    async fn serve(self, listener: TcpListener) -> Result<TestHub, HubError> {
        let Rest { clock, storage, .. } = self.rest.clone();
        let open = || {
            let parts = Parts { clock: Clock::ahead_by(clock), storage: storage.clone() };
            Hub::open_with(&self.dir, parts)
        };
        let mut opened = open().await;
        // In this process a task of the hub that stopped may still be letting go of it.
        for _ in 0..500 {
            if !matches!(opened, Err(HubError::Folder(FolderError::Busy(..)))) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            opened = open().await;
        }
        let hub = Arc::new(opened?);
        let service = Service::start(hub, listener).await?;
        Ok(TestHub { dir: self.dir, service, rest: self.rest })
    }

    /// Looks into the hub without letting it work.
    pub(crate) async fn look(&self, look: impl AsyncFnOnce(&Hub)) {
        let Rest { clock, storage, .. } = self.rest.clone();
        let parts = Parts { clock: Clock::ahead_by(clock), storage };
        let hub = Hub::open_with(&self.dir, parts).await.unwrap();
        look(&hub).await;
        hub.close().await.unwrap();
    }

    /// Its clock goes differently from now on.
    pub(crate) fn clock(mut self, ahead: i64) -> Self {
        self.rest.clock = ahead;
        self
    }

    /// Changes its settings.
    pub(crate) fn change(self, change: Change) -> Self {
        change_config(&self.dir, change);
        self
    }
}

/// The port of a stopped hub may be in passing use by somebody's outgoing connection.
async fn bind_again(address: SocketAddr) -> TcpListener {
    for _ in 0..200 {
        if let Ok(listener) = TcpListener::bind(address).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    TcpListener::bind(address).await.unwrap()
}

fn change_config(dir: &Path, change: Change) {
    let path = dir.join("config.toml");
    let mut config: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    change(&mut config);
    std::fs::write(&path, config.to_string()).unwrap();
}

impl TestHub {
    pub(crate) async fn build(dir: &Path, name: &str, setup: Setup) -> Self {
        let filter = tracing_subscriber::EnvFilter::from_env("ZOTFERRY_LOG");
        tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init().ok();
        let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = reserved.local_addr().unwrap();
        let proxy = if setup.proxied { Some(Proxy::before(address).await) } else { None };
        let public = proxy.as_ref().map_or(address, |proxy| proxy.address);
        let dir = dir.join(name);
        let url = BaseUrl::parse(&format!("http://{public}")).unwrap();
        Hub::init_with_key(&dir, url, address, &small_key()).await.unwrap();
        change_config(&dir, |config| {
            set(config, "limits", "backoff_ms", 50);
            set(config, "limits", "max_backoff_ms", 500);
            // What is not asked for does not happen: the tests count requests.
            set(config, "audit", "every_hours", 0);
            set(config, "audit", "scrub_mib_per_second", 0);
        });
        change_config(&dir, setup.change);
        let Setup { clock, storage, .. } = setup;
        let rest = Rest { address, proxy, clock, storage };
        Stopped { dir, rest }.serve(reserved).await.unwrap()
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.service.hub
    }

    /// The proxy at its address.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.rest.proxy.as_ref().unwrap()
    }

    /// Stops the hub as a signal would.
    pub(crate) async fn stop(self) -> Stopped {
        self.service.stop().await.unwrap();
        Stopped { dir: self.dir, rest: self.rest }
    }

    /// A channel that lives here alone.
    pub(crate) async fn create_channel(&self, nick: &str) -> Channel {
        let (guid, nick) = (format!("guid of {nick}"), nick.to_owned());
        let (rotations, locations) = (Vec::new(), Vec::new());
        let identity =
            Identity { guid, nick: nick.clone(), key: small_key(), rotations, locations };
        channels::adopt(self.hub(), identity, &nick).await.unwrap()
    }

    /// Another hub as this one knows it.
    pub(crate) async fn peer(&self, other: &Self) -> Peer {
        let row = self.hub().catalog.site_by_id(&other.hub().site_id).await.unwrap().unwrap();
        self.hub().peer(row.id).await.unwrap().unwrap()
    }

    /// Writes a file beside the hub and puts it into a channel's top folder.
    pub(crate) async fn put_bytes(&self, nick: &str, name: &str, bytes: &[u8]) {
        let folder = self.dir.join("to put");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        self.put(nick, &path).await;
    }

    /// What this process has counted.
    pub(crate) fn counts(&self) -> Counts {
        self.hub().metrics.counts()
    }

    /// Waits until a file of the top folder is here with these bytes.
    pub(crate) async fn shows(&self, nick: &str, name: &str, bytes: &[u8]) {
        until(&format!("{name} is here"), async || {
            self.bytes(nick, &[name]).await.is_some_and(|found| found == bytes)
        })
        .await;
    }

    pub(crate) async fn channel(&self, nick: &str) -> Channel {
        self.hub().catalog.channel_by_nick(nick).await.unwrap().unwrap()
    }

    /// Makes this hub a clone of another's channel, as an exported identity would.
    pub(crate) async fn clone_channel(&self, from: &Self, nick: &str) -> Channel {
        channels::adopt(self.hub(), from.identity(nick).await, nick).await.unwrap()
    }

    /// The same without knowing where else it lives.
    pub(crate) async fn clone_channel_alone(&self, from: &Self) -> Channel {
        let identity = Identity { locations: Vec::new(), ..from.identity("alice").await };
        channels::adopt(self.hub(), identity, "alice").await.unwrap()
    }

    /// What a person carries to another hub.
    pub(crate) async fn identity(&self, nick: &str) -> Identity {
        let channel = self.channel(nick).await;
        let pem = std::fs::read_to_string(self.hub().folder.channel_key(&channel.portable_id));
        let rows = self.hub().catalog.locations(channel.id).await.unwrap();
        let live = rows.iter().filter(|row| !row.deleted);
        let records = live.map(|row| codec::decode_owned::<SignedLocation>(&row.record));
        Identity {
            guid: channel.guid.clone(),
            nick: nick.to_owned(),
            key: PrivateKey::from_pem(&pem.unwrap()).unwrap(),
            rotations: self.hub().chain(&channel).await.unwrap().signed(),
            locations: records.map(Result::unwrap).collect(),
        }
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
        self.lists(nick, 2).await;
        other.lists(nick, 2).await;
    }

    /// Waits until this hub lists so many locations of a channel.
    pub(crate) async fn lists(&self, nick: &str, locations: usize) {
        let channel = self.channel(nick).await;
        until("the locations are listed", async || {
            let rows = self.hub().catalog.locations(channel.id).await.unwrap();
            rows.iter().filter(|row| row.state == LocationState::Listed).count() >= locations
        })
        .await;
    }

    /// The names in the top folder of a channel.
    pub(crate) async fn names(&self, nick: &str) -> Vec<String> {
        let channel = self.channel(nick).await;
        let entries = self.hub().catalog.children(channel.id, None, None, 100).await.unwrap();
        entries.into_iter().map(|entry| entry.filename).collect()
    }

    /// A channel and its clones, as whoever runs the hub sees them.
    pub(crate) async fn overview(&self, nick: &str) -> ChannelOverview {
        let overview = self.hub().catalog.overview().await.unwrap();
        overview
            .channels
            .into_iter()
            .find(|of| of.channel.nick == nick)
            .expect("it has the channel")
    }

    /// How many contents of a channel another hub has reported.
    pub(crate) async fn present_at(&self, nick: &str, site: SiteNo) -> u64 {
        let of = self.overview(nick).await;
        of.locations.iter().find(|l| l.location.site == site).map_or(0, |l| l.present)
    }

    /// Waits until so many files of a channel are here and none is missing.
    pub(crate) async fn has(&self, nick: &str, files: u64) {
        until(&format!("{files} files are here"), async || {
            let tallies = self.overview(nick).await.tallies;
            let of = |state| tallies.iter().find(|t| t.state == state).map_or(0, |t| t.files);
            of(DataState::Present) >= files && of(DataState::Wanted) == 0
        })
        .await;
    }

    /// The bytes of a file of a channel.
    pub(crate) async fn bytes(&self, nick: &str, path: &[&str]) -> Option<Vec<u8>> {
        let channel = self.channel(nick).await;
        let entry = self.hub().catalog.by_path(channel.id, path).await.unwrap()?;
        let content = self.hub().stored(channel.id, entry.root?).await.unwrap()?;
        let mut bytes = vec![0; usize::try_from(content.size()).unwrap()];
        zotferry::storage::read_exact_at(&*content, 0, &mut bytes).unwrap();
        Some(bytes)
    }
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

/// A number between two, the same for the same seed and step.
pub(crate) fn random(seed: u64, step: u64, range: std::ops::Range<u64>) -> u64 {
    let mixed = noise(seed ^ step.wrapping_mul(0xd6e8_feb8_6659_fd93), 24);
    let number = u64::from_le_bytes(mixed[16..].try_into().unwrap());
    range.start + number % (range.end - range.start)
}

/// A new seed, printed so that a failure can be looked at again with `ZOTFERRY_SEED`.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("ZOTFERRY_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap().as_nanos() as u64
    });
    println!("seed {seed}");
    seed
}
