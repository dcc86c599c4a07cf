//! Three hubs, what each has heard, and the bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use rsa::pkcs8::SecretDocument;
use rsa::pkcs8::spki::der::pem::LineEnding;
use zotferry_protocol::codec;
use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::ids::{Digest, PortableId, ReplicaId, ResourceId};
use zotferry_protocol::merkle;
use zotferry_protocol::packets::{OpReport, OpStatus, Operation};

use super::edits::{bytes_of, put_bytes};
use crate::catalog::{Attach, Channel, NewChannel, NewSite};
use crate::hub::{Clock, Hub, Parts};
use crate::keys::PrivateKey;
use crate::packets::{merge_answer, operation_of};
use crate::storage::Storage;
use crate::storage::memory::MemoryStorage;

pub(super) const CLONES: usize = 3;

pub(super) struct World {
    pub(super) random: Random,
    dir: tempfile::TempDir,
    pub(super) hubs: Vec<Arc<Hub>>,
    storage: Vec<MemoryStorage>,
    /// How many of its operations each has told each other one.
    told: [[u64; CLONES]; CLONES],
    /// Packets on their way: to whom, from whom, operations.
    flying: Vec<(usize, usize, Vec<Vec<u8>>)>,
    /// What somebody wrote or copied to which entry, and what somebody replaced or removed there knowingly.
    written: BTreeSet<Held>,
    superseded: BTreeSet<Held>,
}

/// A content of an entry.
type Held = (ResourceId, Digest);

/// A small generator of numbers (SplitMix64), so that a seed is a run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).expect("below n")
    }
}

fn small_key() -> PrivateKey {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("its form");
    let document = SecretDocument::try_from(der.as_ref()).expect("a document");
    let pem = document.to_pem("PRIVATE KEY", LineEnding::LF).expect("text");
    PrivateKey::from_pem(&pem).expect("a key again")
}

impl World {
    pub(super) async fn new(seed: u64) -> Self {
        static KEY: std::sync::OnceLock<PrivateKey> = std::sync::OnceLock::new();
        let key = KEY.get_or_init(small_key);
        let dir = tempfile::tempdir().expect("a folder");
        let storage: Vec<MemoryStorage> = (0..CLONES).map(|_| MemoryStorage::default()).collect();
        let mut hubs = Vec::new();
        for (n, storage) in storage.iter().enumerate() {
            let path = dir.path().join(n.to_string());
            let url = BaseUrl::parse(&format!("http://127.0.0.1:{}", 9000 + n)).expect("a URL");
            let listen = "127.0.0.1:0".parse().expect("an address");
            Hub::init_with_key(&path, url, listen, key).await.expect("a hub");
            let hub = open(&path, storage).await;
            let channel = NewChannel {
                portable_id: PortableId::new("p".repeat(86)).expect("an id"),
                guid: "guid".to_owned(),
                nick: "alice".to_owned(),
                public_pem: key.public().pem().to_owned(),
                replica: ReplicaId([u8::try_from(n + 1).expect("small"); 8]),
                quota: None,
            };
            hub.catalog.add_channel(&channel, hub.clock.now()).await.expect("added");
            for other in 0..CLONES {
                let site = NewSite {
                    site_id: site(other),
                    url: format!("http://127.0.0.1:{}", 9000 + other),
                    key_pem: key.public().pem().to_owned(),
                };
                hub.catalog.upsert_site(&site).await.expect("a site");
            }
            hubs.push(hub);
        }
        Self {
            random: Random(seed),
            dir,
            hubs,
            storage,
            told: [[0; CLONES]; CLONES],
            flying: Vec::new(),
            written: BTreeSet::new(),
            superseded: BTreeSet::new(),
        }
    }

    pub(super) async fn channel(&self, clone: usize) -> Channel {
        self.hubs[clone].catalog.channels().await.expect("read").remove(0)
    }

    /// One thing happens somewhere.
    pub(super) async fn step(&mut self) {
        let clone = self.random.below(CLONES);
        match self.random.below(20) {
            0..=10 => self.edit(clone).await,
            11..=13 => self.send(clone).await,
            14..=17 => self.arrive().await,
            18 => self.lose(),
            _ => self.crash(clone).await,
        }
    }

    /// What a clone has to tell goes on its way to one of the others, perhaps twice.
    async fn send(&mut self, from: usize) {
        let to = (from + 1 + self.random.below(CLONES - 1)) % CLONES;
        let (operations, through) = self.outbox(from, self.told[from][to]).await;
        if operations.is_empty() {
            return;
        }
        // Often nobody hears whether it arrived, and it is sent again.
        if self.random.below(2) == 0 {
            self.told[from][to] = through;
            self.flying.push((to, from, operations.clone()));
        }
        self.flying.push((to, from, operations));
    }

    async fn outbox(&self, of: usize, after: u64) -> (Vec<Vec<u8>>, u64) {
        let channel = self.channel(of).await;
        let outbox = self.hubs[of].catalog.ops_after(channel.id, after, 256).await.expect("read");
        let operations = outbox.entries.iter().map(|entry| {
            let operation = operation_of(entry).expect("it can travel");
            operation.check().unwrap_or_else(|e| panic!("{e}: {operation:?}"));
            codec::encode(&operation)
        });
        (operations.collect(), outbox.through)
    }

    /// One of the packets on their way arrives, not necessarily the first.
    async fn arrive(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let at = self.random.below(self.flying.len());
        let (to, from, operations) = self.flying.swap_remove(at);
        self.deliver(to, from, &operations).await;
    }

    /// A packet is lost, and so is the sender's belief that it arrived.
    fn lose(&mut self) {
        if !self.flying.is_empty() {
            let at = self.random.below(self.flying.len());
            let (to, from, _) = self.flying.swap_remove(at);
            self.told[from][to] = 0;
        }
    }

    pub(super) async fn deliver(
        &self,
        to: usize,
        from: usize,
        operations: &[Vec<u8>],
    ) -> Vec<OpReport> {
        let hub = &self.hubs[to];
        let operations: Vec<Operation> = operations
            .iter()
            .map(|bytes| codec::decode_owned(bytes).expect("what was encoded"))
            .collect();
        let site = hub.catalog.site_by_id(&site(from)).await.expect("read").expect("known");
        let channel = self.channel(to).await;
        let reports = merge_answer(hub, &channel, site.id, &operations).await.expect("merged");
        assert!(reports.iter().all(|r| r.status != OpStatus::Refused), "{reports:?}");
        reports
    }

    /// The hub is gone without having closed anything, and starts again.
    pub(super) async fn crash(&mut self, clone: usize) {
        let path = self.dir.path().join(clone.to_string());
        let hub = self.hubs.remove(clone);
        hub.catalog.close().await;
        // What it began beside the edits ends first, as it ends with a process.
        while Arc::strong_count(&hub) > 1 {
            tokio::task::yield_now().await;
        }
        drop(hub);
        let hub = open(&path, &self.storage[clone]).await;
        self.hubs.insert(clone, hub);
    }

    /// What a clone has to tell another goes on its way.
    pub(super) async fn send_all(&mut self, from: usize, to: usize) {
        let (operations, through) = self.outbox(from, self.told[from][to]).await;
        self.flying.push((to, from, operations));
        self.told[from][to] = through;
    }

    /// Everything that is on its way arrives.
    pub(super) async fn land_all(&mut self) {
        while let Some((to, from, operations)) = self.flying.pop() {
            self.deliver(to, from, &operations).await;
        }
    }

    /// The network works again: everybody hears everything, and every byte is fetched.
    pub(super) async fn heal(&mut self) {
        self.land_all().await;
        loop {
            let mut news = false;
            for from in 0..CLONES {
                for to in (0..CLONES).filter(|to| *to != from) {
                    let (operations, through) = self.outbox(from, self.told[from][to]).await;
                    if !operations.is_empty() {
                        self.deliver(to, from, &operations).await;
                        news = true;
                    }
                    self.told[from][to] = through;
                }
            }
            if !news {
                break;
            }
        }
        for clone in 0..CLONES {
            self.fetch(clone).await;
        }
    }

    /// The bytes that a clone wants, from wherever they are.
    async fn fetch(&self, clone: usize) {
        let hub = &self.hubs[clone];
        let channel = self.channel(clone).await;
        let entries = self.all_entries(clone).await;
        for data in
            hub.catalog.contents_of(channel.id, &entries).await.expect("read").values().flatten()
        {
            if data.held {
                continue;
            }
            let all = self.storage.iter().find_map(|s| bytes_of(s, &data.root));
            let bytes = all.unwrap_or_else(|| panic!("{} is nowhere", data.root));
            put_bytes(&self.storage[clone], &bytes);
            hub.catalog.mark_present(&[data.id]).await.expect("present");
        }
    }

    /// Every entry, tombstones too.
    pub(super) async fn all_entries(&self, clone: usize) -> Vec<Attach> {
        let channel = self.channel(clone).await;
        self.hubs[clone].catalog.every_entry(channel.id).await.expect("read")
    }

    pub(super) async fn assert_equal(&self) {
        let first = self.facts(0).await;
        for clone in 1..CLONES {
            let other = self.facts(clone).await;
            for (hash, fact) in &first {
                assert_eq!(Some(fact), other.get(hash), "{hash} on clone {clone} and on 0");
            }
            assert_eq!(first.len(), other.len());
        }
    }

    /// What has to be equal of each entry, and its bytes.
    async fn facts(&self, clone: usize) -> BTreeMap<String, String> {
        let entries = self.all_entries(clone).await;
        entries
            .into_iter()
            .map(|entry| {
                let bytes = entry.root.map(|root| bytes_of(&self.storage[clone], &root).is_some());
                assert_ne!(bytes, Some(false), "no bytes of {entry:?} on clone {clone}");
                let hash = entry.hash.to_string();
                let alike = Attach {
                    op: zotferry_protocol::packets::Op::Put,
                    op_id: zotferry_protocol::ids::OpId([0; 16]),
                    seq: None,
                    ..entry
                };
                (hash, format!("{alike:#?}"))
            })
            .collect()
    }

    /// What is held by which entry of a clone.
    pub(super) async fn held(&self, clone: usize) -> BTreeSet<Held> {
        let entries = self.all_entries(clone).await.into_iter();
        entries.filter_map(|entry| Some((entry.hash, entry.root?))).collect()
    }

    /// A person has changed a clone, which held this before.
    pub(super) async fn was_edited(&mut self, clone: usize, before: &BTreeSet<Held>) {
        let after = self.held(clone).await;
        self.written.extend(after.difference(before).cloned());
        self.superseded.extend(before.difference(&after).cloned());
    }

    /// Each content lives on somewhere, if it was not replaced or removed in every entry to which it was written, or in
    /// the conflict copy that kept it.
    pub(super) async fn assert_nothing_lost(&self) {
        let living: BTreeSet<Digest> =
            self.held(0).await.into_iter().map(|(_, root)| root).collect();
        for (entry, root) in self.written.difference(&self.superseded) {
            let copy = |held: &&Held| held.1 == *root && !self.written.contains(held);
            let known = living.contains(root) || self.superseded.iter().any(|held| copy(&held));
            assert!(known, "{root} was written last to {entry} by somebody and is gone");
        }
    }

    /// Stores bytes that nobody wrote before.
    pub(super) fn store(&self, clone: usize, n: u64) -> (Digest, u64) {
        let bytes = n.to_be_bytes();
        put_bytes(&self.storage[clone], &bytes);
        (merkle::leaf(&bytes), bytes.len() as u64)
    }
}

fn site(n: usize) -> zotferry_protocol::ids::SiteId {
    zotferry_protocol::ids::SiteId::new(&*n.to_string().repeat(86)).expect("an id")
}

async fn open(path: &std::path::Path, storage: &MemoryStorage) -> Arc<Hub> {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    let parts = Parts { clock: Clock::default(), storage: Some(storage) };
    Arc::new(Hub::open_with(path, parts).await.expect("opens"))
}
