//! A proxy for bytes before a hub: it breaks connections, refuses them, and changes bytes that pass.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes of what clients send that are kept.
const KEPT: usize = 4 << 20;

struct Shared {
    upstream: SocketAddr,
    refusing: AtomicBool,
    /// The connection that carries the so many-th byte from now breaks; 0 for none.
    cut_after: AtomicU64,
    /// The so many-th byte from now arrives changed; 0 for none.
    flip_after: AtomicU64,
    /// The first bytes that clients sent.
    heard: Mutex<Vec<u8>>,
    /// Counts up when every connection is to break.
    breaks: watch::Sender<u64>,
}

#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Wire {
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            refusing: AtomicBool::new(false),
            cut_after: AtomicU64::new(0),
            flip_after: AtomicU64::new(0),
            heard: Mutex::default(),
            breaks: watch::Sender::new(0),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                if !serving.refusing.load(Relaxed) {
                    tokio::spawn(relay(Arc::clone(&serving), socket));
                }
            }
        });
        Self { address, shared }
    }

    /// What clients sent in `Authorization`, as far as it was kept.
    pub(crate) fn authorizations(&self) -> Vec<Vec<u8>> {
        let heard = self.shared.heard.lock().unwrap();
        let lines = heard.split(|byte| *byte == b'\n');
        let values = lines.filter_map(|line| line.strip_prefix(b"authorization: "));
        values.map(|value| value.trim_ascii_end().to_vec()).collect()
    }

    /// Every connection that is open breaks.
    pub(crate) fn break_all(&self) {
        self.shared.breaks.send_modify(|times| *times += 1);
    }

    pub(crate) fn refuse(&self, refusing: bool) {
        self.shared.refusing.store(refusing, Relaxed);
    }

    pub(crate) fn cut_after(&self, bytes: u64) {
        self.shared.cut_after.store(bytes.max(1), Relaxed);
    }

    pub(crate) fn flip_after(&self, bytes: u64) {
        self.shared.flip_after.store(bytes.max(1), Relaxed);
    }

    pub(crate) fn heal(&self) {
        self.refuse(false);
        self.shared.cut_after.store(0, Relaxed);
        self.shared.flip_after.store(0, Relaxed);
    }
}

impl Shared {
    /// Counts a counter down by `len`; where within these bytes it came to its end.
    fn reached(counter: &AtomicU64, len: u64) -> Option<u64> {
        let before = counter
            .fetch_update(Relaxed, Relaxed, |left| (left > 0).then(|| left.saturating_sub(len)));
        before.ok().filter(|left| *left <= len).map(|left| left - 1)
    }
}

async fn relay(shared: Arc<Shared>, client: TcpStream) {
    let Ok(hub) = TcpStream::connect(shared.upstream).await else { return };
    client.set_nodelay(true).ok();
    hub.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_hub, to_hub) = hub.into_split();
    let mut breaks = shared.breaks.subscribe();
    breaks.mark_unchanged();
    tokio::select! {
        () = pass(&shared, Side::Client, from_client, to_hub) => {}
        () = pass(&shared, Side::Hub, from_hub, to_client) => {}
        _ = breaks.changed() => {}
    }
}

#[derive(PartialEq)]
enum Side {
    Client,
    Hub,
}

/// One direction, until it ends or is broken.
async fn pass(shared: &Shared, side: Side, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        let bytes = &mut buffer[..len];
        if side == Side::Client {
            let mut heard = shared.heard.lock().unwrap();
            let room = KEPT.saturating_sub(heard.len());
            heard.extend_from_slice(&bytes[..len.min(room)]);
        }
        if let Some(at) = Shared::reached(&shared.flip_after, len as u64) {
            bytes[at as usize] ^= 0x10;
        }
        let cut = Shared::reached(&shared.cut_after, len as u64);
        let end = cut.map_or(len, |at| at as usize);
        if to.write_all(&bytes[..end]).await.is_err() || cut.is_some() {
            return;
        }
    }
}
