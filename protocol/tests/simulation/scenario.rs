//! What one run is made of, drawn from its seed.

use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::{ChunkRange, Manifest, PAGE};
use zotferry_protocol::merkle::{self, TreeBuilder};
use zotferry_protocol::pacing::PacingConfig;
use zotferry_protocol::transfer::{GroupCommit, TransferConfig};

use crate::rng::Rng;

/// Which kinds of trouble a run may meet. What is never allowed to cost anything comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Trouble {
    /// Answers cut, limited, stalled, refused; origins that go away and come back; clean restarts.
    pub(crate) network: bool,
    /// Origins that send wrong bytes, wrong digests.
    pub(crate) corruption: bool,
    /// kill -9, power loss, a queue that will not open.
    pub(crate) crashes: bool,
    /// Writes and syncs that fail.
    pub(crate) disk: bool,
    /// There are several origins, and the first goes in the middle and never comes back.
    pub(crate) vanishing: bool,
    /// There are several origins, and the first sends nothing but wrong bytes.
    pub(crate) lying: bool,
}

impl Trouble {
    pub(crate) const ALL: Self = Self {
        network: true,
        corruption: true,
        crashes: true,
        disk: true,
        vanishing: false,
        lying: false,
    };

    fn needs_others(self) -> bool {
        self.vanishing || self.lying
    }
}

/// The file that is carried.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) manifest: Manifest,
    pub(crate) bytes: Vec<u8>,
    pub(crate) leaves: Vec<Digest>,
    pub(crate) page_roots: Vec<Digest>,
    pub(crate) root: Digest,
}

impl File {
    fn drawn(rng: &mut Rng) -> Self {
        let chunk_size = rng.pick(&[1, 7, 64, 300, 1024]);
        let many = rng.permille(15);
        let chunk_size = if many { 3 } else { chunk_size };
        let chunk = u64::from(chunk_size);
        let size = match rng.range(0..12) {
            _ if many => (u64::from(PAGE) + rng.range(0..5000)) * chunk - 1,
            0 => rng.pick(&[0, 1, chunk - 1, chunk]),
            1 => rng.pick(&[chunk + 1, 5 * chunk + 1, 32 * chunk, 33 * chunk]),
            _ => rng.range(2..200) * chunk - rng.range(0..chunk),
        };
        let bytes = (0..size).map(|_| rng.next() as u8).collect();
        Self::of(bytes, chunk_size)
    }

    fn of(bytes: Vec<u8>, chunk_size: u32) -> Self {
        let manifest = Manifest::with_chunk_size(bytes.len() as u64, chunk_size);
        let leaves: Vec<Digest> = bytes.chunks(chunk_size as usize).map(merkle::leaf).collect();
        let mut tree = TreeBuilder::new();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        let page_roots = tree.page_roots();
        Self { manifest, bytes, leaves, page_roots, root: tree.finish() }
    }

    /// The bytes of a chunk.
    pub(crate) fn chunk(&self, chunk: u32) -> &[u8] {
        &self.bytes[self.place(chunk)]
    }

    /// Where a chunk lies.
    pub(crate) fn place(&self, chunk: u32) -> std::ops::Range<usize> {
        let range = ChunkRange { first: chunk, count: 1 };
        let first = chunk as usize * self.manifest.chunk_size() as usize;
        first..first + self.manifest.bytes(range) as usize
    }

    pub(crate) fn page(&self, page: u32) -> Vec<Digest> {
        let range = self.manifest.page_chunks(page);
        self.leaves[range.first as usize..range.end() as usize].to_vec()
    }
}

/// How one origin behaves. Rates are of 1000.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    /// Bytes in one answer at most, by its own rule.
    pub(crate) limit: Option<u64>,
    /// Bytes after which a proxy cuts its answers.
    pub(crate) proxy_cuts_after: Option<u64>,
    pub(crate) cuts: u64,
    pub(crate) stalls: u64,
    pub(crate) lost: u64,
    pub(crate) turns_away: u64,
    pub(crate) refuses: u64,
    pub(crate) corrupts: u64,
    /// Most requests at a time.
    pub(crate) at_most: usize,
    /// What a request for a stream meets.
    pub(crate) streams: Streams,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    Pass,
    /// A proxy answers with a page of its own.
    WebPage,
    /// Streams begin and bring nothing.
    Empty,
}

impl Manners {
    fn drawn(rng: &mut Rng, trouble: Trouble, chunk_size: u64) -> Self {
        let network = |rng: &mut Rng, rate| {
            if trouble.network && rng.permille(500) { rate } else { 0 }
        };
        let cap = 40 + chunk_size * 5;
        Self {
            limit: (network(rng, 1) > 0).then(|| rng.range(1 + chunk_size / 4..cap)),
            proxy_cuts_after: (network(rng, 1) > 0)
                .then(|| rng.range(60 + chunk_size / 4..60 + cap)),
            cuts: network(rng, 200),
            stalls: network(rng, 50),
            lost: network(rng, 100),
            turns_away: network(rng, 50),
            refuses: network(rng, 50),
            corrupts: if trouble.corruption { rng.pick(&[0, 20, 300]) } else { 0 },
            at_most: if trouble.network { rng.range(1..40) as usize } else { usize::MAX },
            streams: rng.pick(&[Streams::Pass, Streams::WebPage, Streams::Empty]),
        }
    }
}

/// One run.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) trouble: Trouble,
    pub(crate) file: File,
    pub(crate) manners: Vec<Manners>,
    pub(crate) transfer: TransferConfig,
    pub(crate) pacing: PacingConfig,
    /// One way, in ms.
    pub(crate) latency: u64,
    /// Of 1000 chunks, so many can be copied from other content.
    pub(crate) reusable: u64,
}

impl Scenario {
    pub(crate) fn drawn(rng: &mut Rng, trouble: Trouble) -> Self {
        let file = File::drawn(rng);
        let chunk = u64::from(file.manifest.chunk_size());
        let origins = rng.range(1..4).max(if trouble.needs_others() { 2 } else { 1 });
        let mut manners: Vec<Manners> =
            (0..origins).map(|_| Manners::drawn(rng, trouble, chunk)).collect();
        if trouble.corruption && origins > 1 && rng.permille(200) {
            manners[0].corrupts = 1000;
        }
        if trouble.lying {
            manners[0].corrupts = 1000;
        }
        Self {
            trouble,
            transfer: Self::transfer(rng, chunk),
            pacing: Self::pacing(chunk),
            manners,
            latency: rng.pick(&[1, 10, 100]),
            reusable: rng.pick(&[0, 0, 100]),
            file,
        }
    }

    fn transfer(rng: &mut Rng, chunk: u64) -> TransferConfig {
        TransferConfig {
            range: rng.range(1..17) as u32,
            window: rng.range(1..200) as u32,
            pages: rng.range(1..4) as usize,
            group: GroupCommit { bytes: rng.range(1..64) * chunk, ms: rng.range(1..500) },
        }
    }

    fn pacing(chunk: u64) -> PacingConfig {
        PacingConfig {
            request_min: chunk,
            request_first: 4 * chunk,
            request_max: 64 * chunk,
            ..PacingConfig::default()
        }
    }
}
