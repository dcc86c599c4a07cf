//! Many clones fetch at once from one hub while packets arrive: errors, memory, fair shares, and how long `status` takes.
//!
//! `cargo bench --bench load [-- SECONDS [CLONES]]`, by default 300 and 200. The hub is the real program; the clones are small
//! ones in this process, each with a key and an address of its own on loopback. Ends with 1 when something is not as it should.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::SecretDocument;
use rsa::pkcs8::spki::der::pem::LineEnding;
use tokio::net::TcpListener;
use uuid::Uuid;
use zotferry::channels::{Identity, SealKey, export};
use zotferry::hub::Hub;
use zotferry::keys::PrivateKey;
use zotferry::local::client::Client;
use zotferry::local::{CloneState, ExportChannel, List, MakeChannel, Put, StatusOf};
use zotferry::transport::{FRAMES_TYPE, PACKET_TYPE};
use zotferry_protocol::envelope::{Draft, MAX_LIFE, Party, open, seal};
use zotferry_protocol::identity::{
    BaseUrl, Introduction, Location, PublicKey, SignedLocation, site_id,
};
use zotferry_protocol::ids::{
    ChunkNo, Digest, Millis, PacketId, PortableId, ReplicaId, ResourceId, Role, SiteId,
};
use zotferry_protocol::manifest::ChunkRange;
use zotferry_protocol::merkle;
use zotferry_protocol::packets::{
    ChunkItem, ChunkRequest, CloneSync, Locations, OpReport, OpStatus, Packet, SyncReport,
};

type Failed = Box<dyn Error + Send + Sync>;

/// What everybody fetches, again and again: a part at a time.
const CHUNKS: u32 = 64;
const PART: u32 = 4;
/// Places that a hub takes before they have proved themselves.
const AT_ONCE: usize = 50;

/// The hub under load, as the clones see it.
struct Origin {
    url: BaseUrl,
    id: SiteId,
    key: PublicKey,
    channel: PortableId,
    resource: ResourceId,
    root: Digest,
    local: Client,
}

/// The process of the hub, which ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// One clone.
struct Small {
    number: usize,
    key: PrivateKey,
    id: SiteId,
    record: SignedLocation,
    origin: Arc<Origin>,
    bytes: AtomicU64,
    waits: AtomicU64,
}

fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Millis(since.map_or(0, |since| since.as_millis() as u64))
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failed> {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<u64>().ok());
    let seconds = numbers.next().unwrap_or(300);
    let count = numbers.next().unwrap_or(200).clamp(2, 250) as usize;
    let dir = tempfile::tempdir()?;
    let (_process, origin, identity) = begin(dir.path()).await?;
    let clones = clones(&Arc::new(origin), &identity, count).await?;
    println!("{count} clones are listed; {seconds} s begin");
    let errors = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for clone in &clones {
        tasks.push(tokio::spawn(fetch(Arc::clone(clone), end, Arc::clone(&errors))));
    }
    tasks.push(tokio::spawn(announce(clones.clone(), end, Arc::clone(&errors))));
    let mut latencies = ask_status(&clones[0].origin, end).await?;
    for task in tasks {
        task.await?;
    }
    let good = report(&clones, &mut latencies, errors.load(Relaxed), seconds).await?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A hub with a channel and one file, running.
async fn begin(dir: &Path) -> Result<(Running, Origin, Identity), Failed> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let url = BaseUrl::parse(&format!("http://{address}"))?;
    let folder = dir.join("origin");
    Hub::init(&folder, url.clone(), address).await?;
    let process = Command::new(env!("CARGO_BIN_EXE_zotferry"))
        .arg("hub")
        .arg(&folder)
        .env("ZOTFERRY_LOG", "warn")
        .stdout(Stdio::null())
        .spawn()?;
    let process = Running(process);
    let local = loop {
        match Client::running(&folder).await {
            Ok(local) => break local,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let told: serde_json::Value =
        reqwest::get(url.join("/.well-known/zot-file")).await?.json().await?;
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let made = local.ask(&MakeChannel { nick: "alice".into() }).await?;
    let key = SealKey::new("correct horse battery staple")?;
    let file = local.ask(&ExportChannel { nick: "alice".into(), key: key.clone() }).await?.file;
    let file = STANDARD.decode(file)?;
    let identity = export::open(&file, Some(&key))?.identity;
    let film = dir.join("film");
    let bytes: Vec<u8> = (0..CHUNKS << 20).map(|n| (n >> 8) as u8 ^ n as u8).collect();
    std::fs::write(&film, &bytes)?;
    put(&local, &film).await?;
    let leaves: Vec<Digest> = bytes.chunks(1 << 20).map(merkle::leaf).collect();
    let question = List { channel: "alice".into(), path: "/film".into(), recursive: false };
    let entry = local.lines(&question).await?.next().await?.ok_or("no film")?;
    let origin = Origin {
        url,
        id: SiteId::new(text("site_id")).map_err(|e| e.0)?,
        key: PublicKey::from_pem(&text("site_key"))?,
        channel: PortableId::new(made.id).map_err(|e| e.0)?,
        resource: ResourceId::new(entry.hash).map_err(|e| e.0)?,
        root: merkle::root(&leaves),
        local,
    };
    Ok((process, origin, identity))
}

async fn put(local: &Client, path: &Path) -> Result<(), Failed> {
    let question = Put { channel: "alice".into(), paths: vec![path.to_owned()], to: String::new() };
    let mut lines = local.lines(&question).await?;
    while lines.next().await?.is_some() {}
    Ok(())
}

fn small_key() -> Result<PrivateKey, Failed> {
    let pair = KeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'_> = pair.as_der()?;
    let document = SecretDocument::try_from(der.as_ref()).map_err(|e| e.to_string())?;
    let pem = document.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|e| e.to_string())?;
    Ok(PrivateKey::from_pem(&pem)?)
}

/// Makes clones, each at an address of its own, and waits until the hub lists them.
async fn clones(
    origin: &Arc<Origin>,
    identity: &Identity,
    count: usize,
) -> Result<Vec<Arc<Small>>, Failed> {
    let mut clones = Vec::new();
    for number in 0..count {
        let address = Ipv4Addr::new(127, 0, 1, number as u8 + 1);
        let listener = TcpListener::bind(SocketAddr::from((address, 0))).await?;
        let url = BaseUrl::parse(&format!("http://{}", listener.local_addr()?))?;
        let key = small_key()?;
        let location = Location {
            channel: origin.channel.clone(),
            url: url.clone(),
            site_key: key.public().pem().to_owned(),
            replica: ReplicaId((number as u64 + 1).to_be_bytes()),
            primary: false,
            deleted: false,
            serial: 1,
        };
        let record = SignedLocation::sign(&location, &identity.key, &key)?;
        let id = site_id(&url, key.public());
        let (origin, bytes, waits) = (Arc::clone(origin), AtomicU64::new(0), AtomicU64::new(0));
        let clone = Arc::new(Small { number, key, id, record, origin, bytes, waits });
        let router = Router::new().route("/zot", post(answer)).with_state(Arc::clone(&clone));
        tokio::spawn(async move { axum::serve(listener, router).await });
        clones.push(clone);
    }
    let first = &clones[0];
    let shown = Introduction::new(first.record.clone(), Vec::new());
    let own = Locations { records: vec![first.record.clone()], ..Locations::default() };
    first.send(own.into(), Some(shown)).await?;
    listed(origin, 1).await?;
    for some in clones[1..].chunks(AT_ONCE) {
        let records = some.iter().map(|clone| clone.record.clone()).collect();
        first.send(Locations { records, ..Locations::default() }.into(), None).await?;
        listed(origin, 1 + some.last().map_or(0, |clone| clone.number)).await?;
    }
    Ok(clones)
}

async fn listed(origin: &Origin, wanted: usize) -> Result<(), Failed> {
    let begun = Instant::now();
    loop {
        let status = origin.local.ask(&StatusOf {}).await?;
        let clones = status.channels.iter().flat_map(|channel| &channel.clones);
        if clones.filter(|clone| clone.state == CloneState::Listed).count() >= wanted {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(120) {
            return Err("the clones are not listed".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Small {
    fn sealed(
        &self,
        packet: &Packet,
        answers: Option<PacketId>,
        shown: Option<&Introduction>,
    ) -> Result<Vec<u8>, Failed> {
        let party = |hub: &SiteId| Party { hub: hub.clone(), channel: self.origin.channel.clone() };
        let draft = Draft {
            id: PacketId(Uuid::now_v7().into_bytes()),
            from: party(&self.id),
            to: party(&self.origin.id),
            at: now(),
            life: MAX_LIFE,
            answers,
        };
        Ok(seal(draft, packet, &self.key, shown)?)
    }

    async fn send(&self, packet: Packet, shown: Option<Introduction>) -> Result<(), Failed> {
        let body = self.sealed(&packet, None, shown.as_ref())?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let request = client.post(self.origin.url.join("/zot")).header(CONTENT_TYPE, PACKET_TYPE);
        let answer = request.body(body).send().await?;
        if !answer.status().is_success() {
            return Err(format!("{}: {}", answer.status(), packet.kind()).into());
        }
        answer.bytes().await?;
        Ok(())
    }
}

/// What a clone says when it is spoken to.
async fn answer(
    State(clone): State<Arc<Small>>,
    body: Bytes,
) -> ([(&'static str, &'static str); 1], Vec<u8>) {
    let said = || -> Result<Vec<u8>, Failed> {
        let sealed = open(&body).map_err(|e| e.to_string())?;
        let authentic =
            sealed.authenticate(&clone.origin.key, &clone.id).map_err(|e| e.to_string())?;
        let packet = authentic.packet().map_err(|e| e.to_string())?;
        let id = packet.header().id;
        let report = |sync: &CloneSync| {
            let stored = |id| OpReport { id, status: OpStatus::Stored, code: None };
            sync.operations.iter().map(|operation| stored(operation.id)).collect()
        };
        let answer = match &*packet {
            Packet::Challenge(challenge) => Packet::from(challenge.clone()),
            Packet::CloneSync(sync) => {
                SyncReport { operations: report(sync), present: Vec::new() }.into()
            }
            Packet::SyncReport(_) => SyncReport::default().into(),
            _ => Locations::default().into(),
        };
        clone.sealed(&answer, Some(id), None)
    };
    ([("content-type", PACKET_TYPE)], said().unwrap_or_default())
}

/// Asks for parts of the film until the end.
async fn fetch(clone: Arc<Small>, end: Instant, errors: Arc<AtomicU64>) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut first = (clone.number as u32 * 7) % CHUNKS;
    while Instant::now() < end {
        first = (first + PART) % (CHUNKS - PART);
        match part(&clone, &client, first, end).await {
            Ok(None) => {}
            Ok(Some(wait)) => {
                clone.waits.fetch_add(1, Relaxed);
                tokio::time::sleep(wait).await;
            }
            Err(error) => {
                eprintln!("clone {}: {error}", clone.number);
                errors.fetch_add(1, Relaxed);
            }
        }
    }
}

/// One request. Some time to wait for, if the hub says so.
async fn part(
    clone: &Small,
    client: &reqwest::Client,
    first: u32,
    end: Instant,
) -> Result<Option<Duration>, Failed> {
    let ranges = vec![ChunkRange { first: ChunkNo(first).0, count: PART }];
    let (resource, root) = (clone.origin.resource.clone(), clone.origin.root);
    let items = vec![ChunkItem { resource, role: Role::File, root, ranges }];
    let body = clone.sealed(&ChunkRequest { items }.into(), None, None)?;
    let request = client.post(clone.origin.url.join("/zot")).header(CONTENT_TYPE, PACKET_TYPE);
    let mut answer = request.body(body).send().await?;
    if [429, 503].contains(&answer.status().as_u16()) {
        let after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
        return Ok(Some(Duration::from_secs(after.unwrap_or(1))));
    }
    if answer.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != FRAMES_TYPE) {
        return Err(format!("{}: no frames", answer.status()).into());
    }
    let mut came = 0;
    while let Some(piece) = answer.chunk().await? {
        came += piece.len() as u64;
        clone.bytes.fetch_add(piece.len() as u64, Relaxed);
        if Instant::now() > end {
            return Ok(None);
        }
    }
    match came > u64::from(PART) << 20 {
        true => Ok(None),
        false => Err(format!("{came} bytes only").into()),
    }
}

/// Packets that arrive meanwhile: one each half second, from a clone each time another one.
async fn announce(clones: Vec<Arc<Small>>, end: Instant, errors: Arc<AtomicU64>) {
    for n in 0.. {
        if Instant::now() > end {
            return;
        }
        let clone = &clones[n % clones.len()];
        let record = vec![clone.record.clone()];
        let packet = match n % 2 {
            0 => Packet::from(Locations { records: record, ..Locations::default() }),
            _ => SyncReport::default().into(),
        };
        if let Err(error) = clone.send(packet, None).await {
            eprintln!("a packet of clone {}: {error}", clone.number);
            errors.fetch_add(1, Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Asks how the hub is, as its owner does; how long each answer took.
async fn ask_status(origin: &Origin, end: Instant) -> Result<Vec<Duration>, Failed> {
    let mut took = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        origin.local.ask(&StatusOf {}).await?;
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(took)
}

async fn report(
    clones: &[Arc<Small>],
    latencies: &mut [Duration],
    errors: u64,
    seconds: u64,
) -> Result<bool, Failed> {
    let shares: Vec<u64> = clones.iter().map(|clone| clone.bytes.load(Relaxed)).collect();
    let total: u64 = shares.iter().sum();
    let mean = total as f64 / shares.len() as f64;
    let least = shares.iter().min().copied().unwrap_or(0) as f64 / mean;
    let waits: u64 = clones.iter().map(|clone| clone.waits.load(Relaxed)).sum();
    latencies.sort();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    let status = clones[0].origin.local.ask(&StatusOf {}).await?;
    let rss = status.running.and_then(|running| running.peak_rss).unwrap_or(0);
    println!("clones {}, seconds {seconds}, errors {errors}, told to wait {waits}", shares.len());
    println!(
        "fetched {} MiB, {:.1} MiB/s",
        total >> 20,
        total as f64 / seconds as f64 / f64::from(1 << 20)
    );
    println!("slowest share of the mean {least:.2}");
    println!("status: median {:?}, 99 % {:?}, most {:?}", at(0.5), at(0.99), at(1.0));
    println!("the hub's peak memory {} MiB", rss >> 20);
    let good =
        errors == 0 && least >= 0.5 && at(0.99) < Duration::from_millis(100) && rss < 1 << 30;
    println!("{}", if good { "as it should be" } else { "NOT as it should be" });
    Ok(good)
}
