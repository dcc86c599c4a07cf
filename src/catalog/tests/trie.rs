//! What a channel adds up to, against adding it up from the entries.

use std::collections::BTreeMap;

use sqlx::Row as _;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::trie::{AttachLeaf, Kind, Sum, key};

use crate::catalog::testing::{Fixture, Numbering, digest, entry, folder, put, resource};
use crate::catalog::{Attach, VersionBytes};

fn leaf(row: &Attach) -> (Digest, Digest) {
    let text = row.place_folder.as_ref().map_or("", |folder| folder.as_str());
    let leaf = AttachLeaf {
        id: row.hash.as_str(),
        place: &row.place_version.0,
        meta: &row.meta_version.0,
        content: row.content_version.as_ref().map(|v| &v.0[..]),
        removed: row.removed_version.as_ref().map(|v| &v.0[..]),
        folder: text,
        filename: &row.filename,
        root: row.root.as_ref(),
    };
    (key(Kind::Attach, row.hash.as_str()), leaf.digest())
}

/// Every sum and list of alice's, against her entries.
async fn holds(hub: &Fixture) {
    let rows = hub.subtree_rows().await;
    let leaves: BTreeMap<Digest, Digest> = rows.iter().map(leaf).collect();
    let sum_of = |prefix: &[u8]| {
        let mut sum = Sum::default();
        leaves.iter().filter(|(k, _)| k.0.starts_with(prefix)).for_each(|(_, d)| sum.add(d));
        sum
    };
    assert_eq!(hub.whole(hub.alice).await.expect("read").sum, sum_of(&[]));
    let below: Vec<Sum> = (0..=255).map(|byte| sum_of(&[byte])).collect();
    assert_eq!(hub.below(hub.alice, &[]).await.expect("read"), below);
    let listed = hub.leaves(hub.alice, &[], None, u32::MAX).await.expect("read");
    assert!(listed.iter().copied().eq(leaves.iter().map(|(k, d)| (*k, *d))));
    let Some((first, _)) = listed.first() else { return };
    for len in 1..4 {
        let prefix = &first.0[..len];
        assert_eq!(hub.sum(hub.alice, prefix).await.expect("read"), sum_of(prefix));
        let below: Vec<Sum> = (0..=255).map(|byte| sum_of(&[prefix, &[byte]].concat())).collect();
        assert_eq!(hub.below(hub.alice, prefix).await.expect("read"), below);
    }
}

impl Fixture {
    async fn subtree_rows(&self) -> Vec<Attach> {
        let rows = sqlx::query("SELECT hash FROM attach WHERE channel = ?1")
            .bind(self.alice)
            .fetch_all(&mut *self.reader().await.expect("a reader"))
            .await
            .expect("read");
        let hashes: Vec<_> = rows.iter().map(|row| resource(row.get("hash"))).collect();
        let rows = self.entries(self.alice, &hashes).await.expect("read");
        rows.into_values().collect()
    }
}

/// A number that looks random, the same for the same seed and step.
fn mixed(seed: u64, step: u64) -> u64 {
    let mut n = seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..3 {
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;
    }
    n
}

/// AUDIT-1, AUDIT-2, AUDIT-4: whatever is entered, changed or entered again unchanged, in batches of
/// whatever size, the sums are those of the entries.
#[tokio::test]
async fn the_sums_are_those_of_the_entries_after_random_changes() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let given = std::env::var("ZOTFERRY_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| now.expect("a clock").as_nanos() as u64);
    println!("seed {seed}");
    let hub = Fixture::create().await;
    holds(&hub).await;
    let mut step = 0;
    let mut next = |below: u64| {
        step += 1;
        mixed(seed, step) % below
    };
    for round in 0..30 {
        let mut rows: BTreeMap<u64, Attach> = BTreeMap::new();
        for _ in 0..=next(40) {
            let id = next(120);
            let (hash, name) = (format!("f{id}"), format!("n{}", next(5)));
            let mut row = match id % 5 {
                0 => folder(&hash, None, &name),
                _ => entry(&hash, Some("f0").filter(|_| next(2) == 0), &name),
            };
            row.place_version = VersionBytes(vec![next(4) as u8]);
            row.root = row.root.map(|_| digest(next(4)));
            row.removed_version = Some(VersionBytes(vec![7])).filter(|_| next(4) == 0);
            rows.insert(id, row);
        }
        let rows: Vec<Attach> = rows.into_values().collect();
        hub.store(&rows).await;
        let before = hub.whole(hub.alice).await.expect("read");
        hub.store(&rows).await;
        let after = hub.whole(hub.alice).await.expect("read");
        assert_eq!(before, after, "round {round}: nothing changed");
        holds(&hub).await;
    }
    assert_eq!(hub.whole(hub.bob).await.expect("read").sum, Sum::default());
}

/// A put changes the sums in its own transaction, and an opened catalog has what it had.
#[tokio::test]
async fn puts_and_restarts_keep_the_sums() {
    let hub = Fixture::create().await;
    let puts = (0..300).map(|n| put(&["a", &format!("n{n}")], n, 9)).collect();
    hub.local_put(&hub.batch(puts), &mut Numbering::default(), crate::catalog::testing::NOW)
        .await
        .expect("put");
    assert_eq!(hub.whole(hub.alice).await.expect("read").sum.count, 301);
    holds(&hub).await;
    holds(&hub.reopen().await).await;
}

/// A catalog that an earlier release wrote, which knew no sums, is added up when it is opened.
#[tokio::test]
async fn an_older_catalog_is_added_up_when_it_is_opened() {
    let hub = Fixture::create().await;
    let rows: Vec<_> = (0..700).map(|n| entry(&format!("f{n}"), None, &format!("n{n}"))).collect();
    hub.store(&rows).await;
    let whole = hub.whole(hub.alice).await.expect("read");
    let mut writer = hub.writer.acquire().await.expect("a writer");
    for clear in ["DELETE FROM leaf", "DELETE FROM trie", "DELETE FROM hub WHERE key = 'leaves'"] {
        sqlx::query(clear).execute(&mut *writer).await.expect("cleared");
    }
    drop(writer);
    let hub = hub.reopen().await;
    assert_eq!(hub.whole(hub.alice).await.expect("read").sum, whole.sum);
    holds(&hub).await;
}

/// AUDIT-8: a range is listed in pages, and AUDIT-10: its keys lead back to the entries.
#[tokio::test]
async fn a_range_is_listed_in_pages() {
    let hub = Fixture::create().await;
    let mut rows = vec![folder("d1", None, "docs")];
    rows.extend((0..50).map(|n| entry(&format!("f{n}"), Some("d1"), &format!("n{n}"))));
    hub.store(&rows).await;
    let mut keys: Vec<Digest> = Vec::new();
    loop {
        let page = hub.leaves(hub.alice, &[], keys.last(), 7).await.expect("read");
        if page.is_empty() {
            break;
        }
        keys.extend(page.iter().map(|(key, _)| *key));
    }
    assert_eq!(keys.len(), 51);
    keys.push(digest(7));
    let found = hub.entries_at(hub.alice, &keys).await.expect("read");
    let hashes: Vec<Digest> =
        found.iter().map(|e| key(Kind::Attach, e.entry.hash.as_str())).collect();
    assert_eq!(hashes, keys[..51], "in the order of the keys, without what is not there");
    assert!(found.iter().all(|e| e.entry.is_dir != (e.parents.len() == 1)));
}
