//! One hub: its folder, its keys, and everything that the parts above share.
//!
//! Owns: opening and closing in the right order. Not here: what is done with packets, files, jobs.
//! Invariant: a hub that is open holds the folder's lock; it starts only with an intact catalog.

mod alone;
mod audits;
mod call;
mod clock;
mod decoding;
mod folder;
mod grants;
mod health;
mod jobs;
mod keyring;
mod pace;
mod peers;
mod refusals;
mod rights;
mod stored;
mod turns;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::{Notify, RwLock};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zotferry_protocol::identity::{BaseUrl, site_id};
use zotferry_protocol::ids::{Millis, SiteId};

use crate::catalog::{Catalog, CatalogError, LastStop, Most, NewSite, SiteNo};
use crate::config::{Config, ConfigError};
use crate::keys::{KeyFileError, PrivateKey};
use crate::metrics::Metrics;
use crate::passwords::{PasswordError, Passwords};
use crate::queue::sled::{Opened, Options, Rebuilt, SledQueue};
use crate::queue::{Policy, Queue, QueueError};
use crate::storage::{LocalStorage, Storage, StorageError};
use crate::transport::{Transport, TransportError};

pub use alone::Alone;
pub use audits::Audits;
pub use call::{CallError, Capability, Peer, refused};
pub use clock::Clock;
pub use decoding::Decoding;
pub use folder::{Folder, FolderError, Lock};
pub use grants::{Grant, Grants, Presented};
pub use pace::Paces;
pub(crate) use pace::network;
pub use refusals::Refusals;
pub use rights::Rights;
pub use stored::StoredError;
pub use turns::{LATER, Turn, Turns};

/// Why a hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The catalog: without it nothing is served.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The queue could be neither opened nor made again.
    #[error("the queue: {0}")]
    Queue(#[from] QueueError),
    /// The storage.
    #[error("the storage: {0}")]
    Storage(#[from] StorageError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The HTTP client.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The app passwords.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// What stands in the place of the real thing: for tests, and for who brings a storage of their own.
#[derive(Default)]
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// The bytes; without one, those in the hub's folder.
    pub storage: Option<Arc<dyn Storage>>,
}

/// What the parts of one hub share.
pub struct Hub {
    /// Where it lies.
    pub folder: Folder,
    /// Its settings.
    pub config: Config,
    /// Its id.
    pub site_id: SiteId,
    /// Its own row in the catalog.
    pub site: SiteNo,
    /// Its key.
    pub site_key: Arc<PrivateKey>,
    /// The truth.
    pub catalog: Catalog,
    /// The bytes.
    pub storage: Arc<dyn Storage>,
    /// The intent.
    pub queue: Arc<dyn Queue>,
    /// The way out.
    pub transport: Transport,
    /// What was done.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// The passwords that programs show.
    pub passwords: Passwords,
    /// Capabilities that were presented here.
    pub grants: Grants,
    /// What is being served, and to whom.
    pub rights: Rights,
    /// How many refusals were signed, and for whom.
    pub refusals: Refusals,
    /// How often others may ask.
    pub paces: Paces,
    /// Answers with content that may be underway.
    pub turns: Turns,
    /// Uploads by WebDAV and of backups that may be underway.
    pub uploads: Turns,
    /// Held while it changes where a channel lives or which key it has.
    pub statements: Alone,
    /// Images that are being made smaller.
    pub decoding: Decoding,
    /// Rings when there may be something to fetch.
    pub work: Notify,
    /// Set when the catalog may want something that the receiver has not seen.
    pub news: AtomicBool,
    /// Rings when there may be something to tell.
    pub deliveries: Notify,
    /// Rings when something may have arrived that the hook is to be told.
    pub changes: Notify,
    /// Comparisons with other clones.
    pub audits: Audits,
    /// Rings for all who wait for another hub when one has come back.
    pub comebacks: Notify,
    /// Cancelled when the hub stops.
    pub stop: CancellationToken,
    /// Whether partial files must be verified again before their chunks count: after an unclean
    /// stop, or with a queue that is new or not the one that this hub stopped with.
    pub recheck: bool,
    /// Held to read while content is stored that the catalog does not name yet, and to write while
    /// content is removed.
    pub storing: RwLock<()>,
    /// Channels whose arrivals are about to be reported.
    reports_due: Mutex<HashSet<i64>>,
    fault: OnceLock<String>,
    channel_keys: Mutex<HashMap<i64, Arc<PrivateKey>>>,
    _lock: Lock,
}

impl Hub {
    /// Makes a new hub: folders, settings, site key, an empty catalog.
    pub async fn init(dir: &Path, url: BaseUrl, listen: SocketAddr) -> Result<SiteId, HubError> {
        Self::init_with_key(dir, url, listen, &PrivateKey::generate()?).await
    }

    /// The same with a key that is there already.
    pub async fn init_with_key(
        dir: &Path,
        url: BaseUrl,
        listen: SocketAddr,
        key: &PrivateKey,
    ) -> Result<SiteId, HubError> {
        let folder = Folder::at(dir)?;
        folder.create(&Config::new(url.clone(), listen).to_toml())?;
        let catalog = Catalog::create(&folder.catalog(), Clock::from_env().now()).await?;
        catalog.close().await;
        // Last, so that a folder with a site key is a whole hub.
        key.save_new(&folder.site_key())?;
        Ok(site_id(&url, key.public()))
    }

    /// Opens a hub's folder for this process.
    pub async fn open(dir: &Path) -> Result<Self, HubError> {
        Self::open_with(dir, Parts::default()).await
    }

    /// The same with other parts than the usual ones.
    pub async fn open_with(dir: &Path, parts: Parts) -> Result<Self, HubError> {
        let folder = Folder::at(dir)?;
        folder.check()?;
        let lock = folder.lock()?;
        let config = Config::load(folder.path())?;
        let site_key = Arc::new(PrivateKey::load(&folder.site_key())?);
        let site_id = site_id(&config.url, site_key.public());
        let mut catalog = Catalog::open(&folder.catalog()).await?;
        let (entries, text) = (config.limits.entries, config.limits.text_mib << 20);
        catalog.keep_at_most(Most { entries, text });
        let storage = match parts.storage {
            Some(storage) => storage,
            None => Arc::new(LocalStorage::open(&folder.path().join("storage"))?),
        };
        let opened = open_queue(&folder, &config, &catalog, parts.clock.now())?;
        let me = NewSite {
            site_id: site_id.clone(),
            url: config.url.to_string(),
            key_pem: site_key.public().pem().to_owned(),
        };
        // A queue whose end was lost opens like any other; its stamp was the last thing written.
        let recheck = catalog.last_stop() == LastStop::Unclean
            || !matches!(opened.rebuilt, Rebuilt::No)
            || opened.queue.stamp()? != catalog.stamp().await?;
        let hub = Self {
            site: catalog.upsert_site(&me).await?,
            transport: Transport::new(&config)?,
            metrics: Metrics::default(),
            clock: parts.clock,
            passwords: Passwords::new()?,
            grants: Grants::default(),
            rights: Rights::default(),
            refusals: Refusals::default(),
            paces: Paces::new(&config.limits),
            turns: Turns::new(config.limits.answers, config.limits.answers_per_channel),
            uploads: Turns::new(config.limits.uploads, config.limits.uploads_per_channel),
            statements: Alone::default(),
            decoding: Decoding::default(),
            work: Notify::new(),
            news: AtomicBool::new(true),
            deliveries: Notify::new(),
            changes: Notify::new(),
            audits: Audits::default(),
            comebacks: Notify::new(),
            stop: CancellationToken::new(),
            storing: RwLock::new(()),
            reports_due: Mutex::default(),
            fault: OnceLock::new(),
            channel_keys: Mutex::default(),
            queue: Arc::new(opened.queue),
            folder,
            config,
            site_id,
            site_key,
            catalog,
            storage,
            recheck,
            _lock: lock,
        };
        hub.settle_keys().await?;
        Ok(hub)
    }

    /// The catalog may want something new: the receiver looks.
    pub fn tell_receiver(&self) {
        self.news.store(true, Relaxed);
        self.work.notify_one();
    }

    /// AUDIT-13: when a clone that is compared now is compared again; not all of them at one time.
    pub fn next_audit(&self) -> Millis {
        let every = u64::from(self.config.audit.every_hours.max(1)) * 3_600_000;
        let spread = Uuid::new_v4().as_u64_pair().0 % (every / 2);
        self.clock.now().plus(every * 3 / 4 + spread)
    }

    /// Records that all work was put back, and closes the catalog. A hub that could not write any
    /// more records nothing: its next start looks at everything again.
    pub async fn close(&self) -> Result<(), HubError> {
        if self.fault().is_some() {
            self.catalog.close().await;
            return Ok(());
        }
        let stamp = Uuid::new_v4().as_u64_pair().0;
        let queue = Arc::clone(&self.queue);
        let stamping = tokio::task::spawn_blocking(move || queue.set_stamp(stamp));
        stamping.await.map_err(std::io::Error::from).map_err(QueueError::from)??;
        self.catalog.mark_clean(stamp).await?;
        self.catalog.close().await;
        Ok(())
    }
}

fn open_queue(
    folder: &Folder,
    config: &Config,
    catalog: &Catalog,
    now: Millis,
) -> Result<Opened, QueueError> {
    let policy = Policy {
        base: config.limits.backoff_ms,
        cap: config.limits.max_backoff_ms,
        max_attempts: config.limits.max_attempts,
    };
    let instance = Uuid::from_bytes(catalog.instance());
    let options = Options::new(policy, Uuid::new_v4().as_u64_pair().0);
    let opened = SledQueue::open_or_rebuild(&folder.queue(), &instance, &options, now)?;
    if let Rebuilt::Yes(reason) = &opened.rebuilt {
        tracing::info!(reason, "the queue is made again from the catalog");
    }
    Ok(opened)
}
