//! A hub with two channels and three sites in a temporary folder, and rows to put into it.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use zotferry_protocol::ids::{
    Digest, Millis, OpId, PortableId, ReplicaId, ResourceId, Role, SiteId,
};
use zotferry_protocol::packets::Op;

use super::data::DataState;
use super::wanted::{Tally, tallies_in};
use super::{
    Access, Attach, Author, Catalog, CatalogError, ChannelNo, LocalContent, LocalPut, NewChannel,
    NewLocation, NewSite, PutBatch, SiteNo, Source, VersionBytes, Want,
};

pub(super) const NOW: Millis = Millis(1_800_000_000_000);

/// A catalog in a folder that goes when it is dropped.
pub(super) struct Fixture {
    dir: tempfile::TempDir,
    catalog: Catalog,
    pub(super) alice: ChannelNo,
    pub(super) bob: ChannelNo,
    /// This hub.
    pub(super) here: SiteNo,
    pub(super) site_b: SiteNo,
    pub(super) site_c: SiteNo,
}

impl Deref for Fixture {
    type Target = Catalog;
    fn deref(&self) -> &Catalog {
        &self.catalog
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut Catalog {
        &mut self.catalog
    }
}

impl Fixture {
    pub(super) async fn create() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let catalog = Catalog::create(&dir.path().join("catalog.sqlite"), NOW).await.expect("new");
        let alice = catalog.add_channel(&new_channel("alice"), NOW).await.expect("new").id;
        let bob = catalog.add_channel(&new_channel("bob"), NOW).await.expect("new").id;
        let here = catalog.upsert_site(&new_site('a')).await.expect("new");
        let site_b = catalog.upsert_site(&new_site('b')).await.expect("new");
        let site_c = catalog.upsert_site(&new_site('c')).await.expect("new");
        Self { dir, catalog, alice, bob, here, site_b, site_c }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("catalog.sqlite")
    }

    /// As after a restart.
    pub(super) async fn reopen(mut self) -> Self {
        self.catalog.close().await;
        self.catalog = Catalog::open(&self.path()).await.expect("opens again");
        self
    }

    /// Writes rows of alice's as they are.
    pub(super) async fn store(&self, rows: &[Attach]) {
        let mut tx = self.begin().await.expect("writer");
        super::attach::upsert(&mut tx, self.alice, rows).await.expect("valid rows");
        self.commit(tx).await.expect("stored");
    }

    /// Announces contents of alice's from site b; returns their rows.
    pub(super) async fn announce(&self, wants: &[Want]) -> Vec<super::Wanted> {
        let mut apply = self.begin_apply().await.expect("writer");
        let wanted = apply.want(self.alice, self.site_b, wants, NOW).await.expect("valid wants");
        apply.finish(&fresh_packet(), NOW, b"").await.expect("stored");
        wanted
    }

    /// How many contents of a channel a clone has reported.
    pub(super) async fn present_at(&self, channel: ChannelNo, site: SiteNo) -> i64 {
        let sql = "SELECT count(*) FROM present_at WHERE channel = ?1 AND site = ?2 AND at > 0";
        let mut reader = self.reader().await.expect("reader");
        let counted = sqlx::query_scalar(sql).bind(channel).bind(site).fetch_one(&mut *reader);
        counted.await.expect("read")
    }

    /// Takes all the connections that serve others.
    pub(super) async fn take_readers(&self) -> Vec<PoolConnection<Sqlite>> {
        let mut taken = Vec::new();
        for _ in 0..self.readers.options().get_max_connections() {
            taken.push(self.reader().await.expect("reader"));
        }
        taken
    }

    /// How much of a channel is in each state.
    pub(super) async fn tallies(&self, channel: ChannelNo) -> Vec<Tally> {
        let mut reader = self.reader().await.expect("reader");
        tallies_in(&mut reader, channel).await.expect("read")
    }

    /// Alice's bytes as (used, reserved), after comparing the tallies with the rows themselves.
    pub(super) async fn bytes(&self) -> (u64, u64) {
        for tally in self.tallies(self.alice).await {
            let state = match tally.state {
                DataState::Wanted => "wanted",
                DataState::Present => "present",
                DataState::Superseded => "superseded",
                DataState::Failed => "failed",
            };
            let counted: (i64, i64) = sqlx::query_as(
                "SELECT count(*), coalesce(sum(size), 0) FROM data WHERE channel = ?1 AND state = ?2",
            )
            .bind(self.alice)
            .bind(state)
            .fetch_one(&mut *self.reader().await.expect("reader"))
            .await
            .expect("read");
            let kept = (tally.files.cast_signed(), tally.bytes.cast_signed());
            assert_eq!(kept, counted, "the tally of {state} is what the rows add up to");
        }
        let channel = self.channel(self.alice).await.expect("read");
        (channel.used, channel.reserved)
    }

    pub(super) fn batch(&self, puts: Vec<LocalPut>) -> PutBatch {
        PutBatch {
            channel: self.alice,
            creator: "alice's id".into(),
            access: Access { allow_cid: "<alice>".into(), ..Access::default() },
            date: "2026-11-22 16:21:03".into(),
            puts,
        }
    }
}

fn fresh_packet() -> zotferry_protocol::ids::PacketId {
    zotferry_protocol::ids::PacketId(*uuid::Uuid::now_v7().as_bytes())
}

pub(super) fn portable_id(name: &str) -> PortableId {
    PortableId::new(format!("{name:_<86}")).expect("86 characters")
}

pub(super) fn new_channel(nick: &str) -> NewChannel {
    NewChannel {
        portable_id: portable_id(nick),
        guid: format!("guid of {nick}"),
        nick: nick.into(),
        public_pem: "-----BEGIN PUBLIC KEY-----".into(),
        replica: ReplicaId([nick.as_bytes()[0]; 8]),
        quota: None,
    }
}

pub(super) fn new_site(letter: char) -> NewSite {
    NewSite {
        site_id: SiteId::new(letter.to_string().repeat(86)).expect("86 characters"),
        url: format!("https://{letter}.test"),
        key_pem: "-----BEGIN PUBLIC KEY-----".into(),
    }
}

pub(super) fn new_location(channel: ChannelNo, site: SiteNo, serial: u64) -> NewLocation {
    NewLocation {
        channel,
        site,
        replica: ReplicaId([5; 8]),
        primary: false,
        deleted: false,
        serial,
        record: format!("record {serial}").into_bytes(),
        state: super::LocationState::Pending,
        foreign: false,
    }
}

pub(super) fn resource(hash: &str) -> ResourceId {
    ResourceId::new(hash).expect("a resource id")
}

pub(super) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A digest that stands for a number.
pub(super) fn digest(n: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Digest(bytes)
}

impl Catalog {
    /// Every entry of a channel, tombstones too.
    pub(crate) async fn every_entry(
        &self,
        channel: super::ChannelNo,
    ) -> Result<Vec<Attach>, super::CatalogError> {
        let rows = sqlx::query("SELECT * FROM attach WHERE channel = ?1 ORDER BY hash")
            .bind(channel)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.iter().map(super::attach::attach).collect()
    }
}

/// A file as a clone would send it.
pub(super) fn entry(hash: &str, folder: Option<&str>, name: &str) -> Attach {
    Attach {
        hash: resource(hash),
        creator: "creator".into(),
        filename: name.into(),
        filetype: "text/plain".into(),
        filesize: 5,
        revision: 2,
        folder: folder.map(resource),
        place_folder: folder.map(resource),
        was: None,
        flags: 0,
        is_dir: false,
        is_photo: false,
        created: "2026-11-22 16:21:03".into(),
        edited: "2026-11-22 16:21:04".into(),
        allow_cid: String::new(),
        allow_gid: String::new(),
        deny_cid: String::new(),
        deny_gid: String::new(),
        title: None,
        photos: Vec::new(),
        extra: Vec::new(),
        mtime: None,
        executable: None,
        place_version: VersionBytes(vec![1, 0]),
        meta_version: VersionBytes(vec![2, 0]),
        content_version: Some(VersionBytes(vec![3, 0])),
        removed_version: None,
        alive: true,
        root: Some(digest(1)),
        op: Op::Put,
        op_id: OpId([6; 16]),
        seq: None,
    }
}

pub(super) fn folder(hash: &str, parent: Option<&str>, name: &str) -> Attach {
    Attach { is_dir: true, content_version: None, root: None, ..entry(hash, parent, name) }
}

/// The announcement of a file's content; the root stands for `n`.
pub(super) fn want(hash: &str, n: u64, size: u64) -> Want {
    Want {
        hash: resource(hash),
        role: Role::File,
        root: digest(n),
        size,
        mime: "text/plain".into(),
        source: Source::Fetch,
        digests: None,
        op_id: OpId([n.to_be_bytes()[7]; 16]),
    }
}

/// A put of a file whose root stands for `n`.
pub(super) fn put(path: &[&str], n: u64, size: u64) -> LocalPut {
    let (name, folders) = path.split_last().expect("a name");
    LocalPut {
        folders: names(folders),
        name: (*name).into(),
        content: Some(LocalContent { root: digest(n), size, digests: None }),
        filetype: "text/plain".into(),
        is_photo: false,
        picture: None,
        mtime: Some(Millis(7)),
        executable: Some(false),
        dated: None,
    }
}

pub(super) fn put_folder(path: &[&str]) -> LocalPut {
    LocalPut { content: None, ..put(path, 0, 0) }
}

/// Numbers ids from 0; a version is the one before it and one more byte.
#[derive(Default)]
pub(super) struct Numbering {
    ids: u64,
}

impl Numbering {
    /// Numbers ids from elsewhere, so that two authors do not meet.
    pub(super) fn starting(ids: u64) -> Self {
        Self { ids }
    }
}

impl Author for Numbering {
    fn resource(&mut self) -> ResourceId {
        self.ids += 1;
        resource(&format!("id-{:06}", self.ids))
    }

    fn operation(&mut self) -> OpId {
        self.ids += 1;
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.ids.to_be_bytes());
        OpId(id)
    }

    fn version(
        &mut self,
        previous: Option<&VersionBytes>,
        hlc: &mut u64,
    ) -> Result<VersionBytes, CatalogError> {
        *hlc += 1;
        let mut bytes = previous.map(|version| version.0.clone()).unwrap_or_default();
        bytes.push(b'+');
        Ok(VersionBytes(bytes))
    }
}
