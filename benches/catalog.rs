//! What a large catalog costs: a million entries are made, two hubs start on them and compare.
//!
//! `cargo bench --bench catalog [-- ENTRIES]`, by default 1,000,000, in folders of 10,000. The entries are
//! entered as puts are, 256 to a transaction, with contents that are not there. The second hub has a copy of
//! the first one's catalog, and its own key and address. Both are the real program.

use std::error::Error;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use uuid::Uuid;
use zotferry::audit::Account;
use zotferry::catalog::{
    Access, Author, CatalogError, Channel, LocalContent, LocalPut, LocationState, NewLocation,
    NewSite, PutBatch, VersionBytes,
};
use zotferry::config::Config;
use zotferry::hub::{Folder, Hub};
use zotferry::keys::PrivateKey;
use zotferry::local::client::Client;
use zotferry::local::{Audit, AuditEvent, CloneState, List, Status, StatusOf};
use zotferry_protocol::codec;
use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::ids::{Digest, Millis, OpId, ReplicaId, ResourceId};
use zotferry_protocol::version::Version;

const NICK: &str = "alice";
const IN_A_FOLDER: u64 = 10_000;
const AT_ONCE: u64 = 256;

type Done<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Done<()> {
    let entries = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let dir =
        tempfile::tempdir_in(std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()))?;
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    make(&a, entries).await?;
    copy(&a, &b).await?;

    let (first, took) = Process::start(&a).await?;
    println!("started after a clean stop: {took:.0?}");
    list(&a).await?;
    let (second, _) = Process::start(&b).await?;
    meet(&a).await?;
    meet(&b).await?;
    println!("equal: {}", audit(&b, false).await?);
    first.tell("after all this", &a).await?;
    first.end(Signal::TERM)?;
    second.end(Signal::TERM)?;

    lose(&a).await?;
    let (first, _) = Process::start(&a).await?;
    let (second, _) = Process::start(&b).await?;
    meet(&b).await?;
    println!("one differs: {}", audit(&b, false).await?);
    println!("one differs, repaired: {}", audit(&b, true).await?);
    second.tell("the clone", &b).await?;
    first.end(Signal::KILL)?;
    second.end(Signal::TERM)?;

    let (first, took) = Process::start(&a).await?;
    println!("started after a crash, the whole file checked: {took:.0?}");
    first.end(Signal::TERM)?;
    Ok(())
}

/// A hub that runs as a process of its own.
struct Process(Child);

impl Process {
    /// Starts it; the time is that until it answers its owner.
    async fn start(dir: &Path) -> Done<(Self, Duration)> {
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_zotferry"))
            .arg("hub")
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let process = Self(child);
        while status(dir).await.is_err() {
            if begun.elapsed() > Duration::from_secs(300) {
                return Err("the hub does not answer".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok((process, begun.elapsed()))
    }

    async fn tell(&self, when: &str, dir: &Path) -> Done<()> {
        let running = status(dir).await?.running.ok_or("it does not run")?;
        let mib = running.peak_rss.unwrap_or(0) as f64 / f64::from(1 << 20);
        println!("peak resident memory, {when}: {mib:.0} MiB");
        Ok(())
    }

    fn end(mut self, signal: Signal) -> Done<()> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal)?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
    }
}

async fn status(dir: &Path) -> Done<Status> {
    Ok(Client::running(dir).await?.ask(&StatusOf {}).await?)
}

/// Waits until the other clone is listed.
async fn meet(dir: &Path) -> Done<()> {
    loop {
        let status = status(dir).await?;
        let clones = status.channels.iter().flat_map(|channel| &channel.clones);
        if clones.clone().any(|clone| clone.state == CloneState::Listed) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn list(dir: &Path) -> Done<()> {
    let client = Client::running(dir).await?;
    for _ in 0..2 {
        let begun = Instant::now();
        let ask = List { channel: NICK.into(), path: "/folder 0".into(), recursive: false };
        let (mut lines, mut found) = (client.lines(&ask).await?, 0);
        while lines.next().await?.is_some() {
            found += 1;
        }
        println!("listed a folder of {found}: {:.0?}", begun.elapsed());
    }
    Ok(())
}

async fn audit(dir: &Path, repair: bool) -> Done<String> {
    let client = Client::running(dir).await?;
    let begun = Instant::now();
    let ask = Audit { channel: NICK.into(), repair, files: false };
    let mut lines = client.lines(&ask).await?;
    let Some(AuditEvent::Clone(account)) = lines.next().await? else {
        return Err("no account".into());
    };
    let took = begun.elapsed();
    let Account { in_sync, entries, exchanges, bytes, .. } = account;
    let differences = account.differences();
    if let Some(error) = account.error {
        return Err(error.into());
    }
    Ok(format!(
        "in sync {in_sync}, {differences} differences in {entries} entries, {exchanges} exchanges, \
         {:.1} KiB, {took:.0?}",
        bytes as f64 / 1024.0
    ))
}

/// A hub with a channel of so many entries.
async fn make(dir: &Path, entries: u64) -> Done<()> {
    let (url, address) = place()?;
    Hub::init(dir, url, address).await?;
    quiet(dir)?;
    let hub = std::sync::Arc::new(Hub::open(dir).await?);
    let channel = zotferry::channels::create(&hub, NICK).await?;
    let begun = Instant::now();
    for first in (0..entries).step_by(AT_ONCE as usize) {
        enter(&hub, &channel, first..entries.min(first + AT_ONCE)).await?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("entered {entries} in {seconds:.1} s, {:.0} a second", entries as f64 / seconds);
    hub.close().await?;
    drop(hub);
    let size = std::fs::metadata(Folder::at(dir)?.catalog())?.len();
    println!("on disk: {:.0} MiB", size as f64 / f64::from(1 << 20));
    Ok(())
}

async fn enter(hub: &Hub, channel: &Channel, numbers: std::ops::Range<u64>) -> Done<()> {
    let mut author = Writer { replica: channel.replica, now: hub.clock.now() };
    let batch = PutBatch {
        channel: channel.id,
        creator: channel.portable_id.to_string(),
        access: Access::default(),
        date: "2026-11-22 16:21:03".into(),
        puts: numbers.map(put).collect(),
    };
    hub.catalog.local_put(&batch, &mut author, hub.clock.now()).await?;
    Ok(())
}

fn put(number: u64) -> LocalPut {
    let mut root = [7; 32];
    root[..8].copy_from_slice(&number.to_be_bytes());
    LocalPut {
        folders: vec![format!("folder {}", number / IN_A_FOLDER)],
        name: format!("a file of middling length {number}.txt"),
        content: Some(LocalContent { root: Digest(root), size: 10_000, digests: None }),
        filetype: "text/plain".into(),
        is_photo: false,
        picture: None,
        mtime: Some(Millis(1_800_000_000_000)),
        executable: Some(false),
        dated: None,
    }
}

/// The same catalog at another place.
async fn copy(from: &Path, to: &Path) -> Done<()> {
    let (url, address) = place()?;
    Hub::init(to, url, address).await?;
    quiet(to)?;
    let (old, new) = (Folder::at(from)?, Folder::at(to)?);
    std::fs::copy(old.catalog(), new.catalog())?;
    let hub = Hub::open(from).await?;
    let channel = hub.catalog.channel_by_nick(NICK).await?.ok_or("no channel")?;
    hub.close().await?;
    drop(hub);
    let key = PrivateKey::load(&old.channel_key(&channel.portable_id))?;
    key.save_new(&new.channel_key(&channel.portable_id))?;
    let there = Hub::open(to).await?;
    there.state_location(&channel, false, false).await?;
    let here = Hub::open(from).await?;
    introduce(&there, &here, &channel).await?;
    heard_all(&there, &channel).await?;
    heard_all(&here, &channel).await?;
    there.close().await?;
    Ok(here.close().await?)
}

/// One hub knows the other's place, as after an announcement.
async fn introduce(new: &Hub, to: &Hub, channel: &Channel) -> Done<()> {
    let location = new.catalog.location(channel.id, new.site).await?.ok_or("no location")?;
    let site = NewSite {
        site_id: new.site_id.clone(),
        url: new.config.url.to_string(),
        key_pem: new.site_key.public().pem().to_owned(),
    };
    let site = to.catalog.upsert_site(&site).await?;
    let location = NewLocation {
        channel: channel.id,
        site,
        replica: location.replica,
        primary: false,
        deleted: false,
        serial: location.serial,
        record: location.record,
        state: LocationState::Listed,
        foreign: false,
    };
    to.catalog.upsert_location(&location).await?;
    Ok(())
}

/// As if every clone had answered for everything.
async fn heard_all(hub: &Hub, channel: &Channel) -> Done<()> {
    let head = hub.catalog.heads(channel.id).await?.seq;
    for location in hub.catalog.locations(channel.id).await? {
        hub.catalog.acked(channel.id, location.site, head).await?;
    }
    Ok(())
}

/// One more entry, of which the other clone never hears.
async fn lose(dir: &Path) -> Done<()> {
    let hub = Hub::open(dir).await?;
    let channel = hub.catalog.channel_by_nick(NICK).await?.ok_or("no channel")?;
    enter(&hub, &channel, 1 << 40..(1 << 40) + 1).await?;
    heard_all(&hub, &channel).await?;
    Ok(hub.close().await?)
}

/// What is measured is what is asked for.
fn quiet(dir: &Path) -> Done<()> {
    let mut config = Config::load(dir)?;
    config.audit.every_hours = 0;
    config.audit.scrub_mib_per_second = 0;
    let path: PathBuf = Folder::at(dir)?.config();
    Ok(std::fs::write(path, config.to_toml())?)
}

fn place() -> Done<(BaseUrl, std::net::SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok((BaseUrl::parse(&format!("http://{address}"))?, address))
}

/// Ids and versions as a hub makes them.
struct Writer {
    replica: ReplicaId,
    now: Millis,
}

impl Author for Writer {
    fn resource(&mut self) -> ResourceId {
        ResourceId::new(Uuid::new_v4().to_string()).expect("a UUID is a resource id")
    }

    fn operation(&mut self) -> OpId {
        OpId(Uuid::now_v7().into_bytes())
    }

    fn version(
        &mut self,
        _: Option<&VersionBytes>,
        hlc: &mut u64,
    ) -> Result<VersionBytes, CatalogError> {
        let version = Version::edit(None, self.replica, self.now);
        let version = version.map_err(|error| CatalogError::Corrupt(error.to_string()))?;
        *hlc = (*hlc).max(version.hlc().0);
        Ok(VersionBytes(codec::encode(&version)))
    }
}
