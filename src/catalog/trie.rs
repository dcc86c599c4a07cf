//! What the catalog of a channel adds up to, kept up to date with every change of an entry.
//!
//! Owns: leaves, the sums of all of them and of each first byte, the edition that counts changes.
//! Not here: how a state is digested (`zotferry_protocol::trie`), comparing.
//! Invariant: the sums are those of the leaves, and the leaves those of the entries, after every
//! transaction: they change with them or not at all.
//! Spec: AUDIT-1 to AUDIT-4.
//!
//! Two levels are stored, all below is added up when it is asked for: a range of one byte has some
//! thousand leaves where the channel has a million, which are read along the key in milliseconds. A
//! third level would cost a random page for each entry that is written.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::trie::{self, AttachLeaf, Kind, Sum};

use super::ChannelNo;
use super::attach::{Attach, attach, folder_text};
use super::columns::{Hex, checked, integer, list, number};
use super::error::CatalogError;
use super::item::{Item, item};

/// The row of all leaves.
pub(super) const ALL: i64 = 256;
/// Raised when leaves are digested differently: an older catalog digests them again when it is opened.
const FORM: i64 = 1;
/// Entries digested in one transaction then.
const AT_ONCE: i64 = 4096;

/// One leaf as it is to be.
pub(super) struct Leaf {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) digest: Digest,
}

impl Leaf {
    /// AUDIT-2: how an entry is.
    pub(super) fn of(row: &Attach) -> Self {
        let leaf = AttachLeaf {
            id: row.hash.as_str(),
            place: &row.place_version.0,
            meta: &row.meta_version.0,
            content: row.content_version.as_ref().map(|version| version.0.as_slice()),
            removed: row.removed_version.as_ref().map(|version| version.0.as_slice()),
            folder: folder_text(row.place_folder.as_ref()),
            filename: &row.filename,
            root: row.root.as_ref(),
        };
        Self { kind: Kind::Attach, id: row.hash.to_string(), digest: leaf.digest() }
    }
}

impl Leaf {
    /// AUDIT-3: how an item is.
    pub(super) fn of_item(item: &Item) -> Self {
        let digest = trie::item_digest(&item.mid, &item.version.0);
        Self { kind: Kind::Item, id: item.mid.clone(), digest }
    }
}

/// The number of a kind in its column.
pub(super) fn kind_no(kind: Kind) -> i64 {
    match kind {
        Kind::Attach => 0,
        Kind::Item => 1,
    }
}

/// What a change does to a sum.
#[derive(Default)]
struct Turn {
    /// Old digests out, new ones in.
    digest: Sum,
    /// Leaves that came, less those that went.
    count: i64,
}

/// Leaves that are new or changed, in the transaction that changes what they stand for. Of several
/// for one key the last counts.
pub(super) async fn enter(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    leaves: impl IntoIterator<Item = Leaf>,
) -> Result<(), CatalogError> {
    let new: BTreeMap<Digest, Leaf> =
        leaves.into_iter().map(|leaf| (trie::key(leaf.kind, &leaf.id), leaf)).collect();
    let old = digests(tx, channel, new.keys()).await?;
    let changed: Vec<_> =
        new.iter().filter(|(key, leaf)| old.get(*key) != Some(&leaf.digest)).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let mut turns: BTreeMap<u8, Turn> = BTreeMap::new();
    for (key, leaf) in &changed {
        let turn = turns.entry(key.0[0]).or_default();
        turn.digest.turn(&leaf.digest);
        match old.get(*key) {
            Some(old) => turn.digest.turn(old),
            None => turn.count += 1,
        }
    }
    let edition = turn(tx, channel, turns).await?;
    let rows = changed.iter().map(|(key, leaf)| {
        (Hex(&key.0), kind_no(leaf.kind), leaf.id.as_str(), Hex(&leaf.digest.0))
    });
    sqlx::query(
        "INSERT INTO leaf (channel, key, kind, id, digest, since)
         SELECT ?1, unhex(value ->> 0), value ->> 1, value ->> 2, unhex(value ->> 3), ?3
         FROM jsonb_each(?2) WHERE true
         ON CONFLICT (channel, key) DO UPDATE SET digest = excluded.digest, since = excluded.since",
    )
    .bind(channel)
    .bind(list(rows))
    .bind(edition)
    .execute(tx)
    .await?;
    Ok(())
}

/// Leaves whose entries go. Returns the edition without them.
pub(super) async fn leave(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    keys: &[Digest],
) -> Result<i64, CatalogError> {
    let mut turns: BTreeMap<u8, Turn> = BTreeMap::new();
    for (key, old) in digests(tx, channel, keys).await? {
        let turn = turns.entry(key.0[0]).or_default();
        turn.digest.turn(&old);
        turn.count -= 1;
    }
    sqlx::query(
        "DELETE FROM leaf WHERE channel = ?1 AND key IN (SELECT unhex(value) FROM json_each(?2))",
    )
    .bind(channel)
    .bind(list(keys.iter().map(|key| Hex(&key.0))))
    .execute(&mut *tx)
    .await?;
    turn(tx, channel, turns).await
}

/// The digests of those keys that are there.
pub(super) async fn digests<'k>(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    keys: impl IntoIterator<Item = &'k Digest>,
) -> Result<HashMap<Digest, Digest>, CatalogError> {
    let rows = sqlx::query(
        "SELECT l.key, l.digest FROM json_each(?2) j CROSS JOIN leaf l
         WHERE l.channel = ?1 AND l.key = unhex(j.value)",
    )
    .bind(channel)
    .bind(list(keys.into_iter().map(|key| Hex(&key.0))))
    .fetch_all(connection)
    .await?;
    let pair = |row| {
        Ok((checked(row, "key", Digest::from_slice)?, checked(row, "digest", Digest::from_slice)?))
    };
    rows.iter().map(pair).collect()
}

/// One sum as it is stored.
#[derive(Serialize)]
struct Stored(i64, String, i64);

/// Turns the sums of some first bytes, and that of all; returns the new edition.
async fn turn(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    turns: BTreeMap<u8, Turn>,
) -> Result<i64, CatalogError> {
    let mut wanted: BTreeMap<i64, Turn> = BTreeMap::from([(ALL, Turn::default())]);
    for (prefix, turn) in turns {
        let all = wanted.entry(ALL).or_default();
        all.digest.turn(&turn.digest.digest);
        all.count += turn.count;
        wanted.insert(prefix.into(), turn);
    }
    let rows = sqlx::query(
        "SELECT t.* FROM json_each(?2) j CROSS JOIN trie t WHERE t.channel = ?1 AND t.prefix = j.value",
    )
    .bind(channel)
    .bind(list(wanted.keys()))
    .fetch_all(&mut *tx)
    .await?;
    let mut edition = 0;
    for row in &rows {
        let prefix: i64 = row.try_get("prefix")?;
        let turn = wanted.entry(prefix).or_default();
        turn.digest.turn(&checked(row, "digest", Digest::from_slice)?);
        turn.count += row.try_get::<i64, _>("count")?;
        if prefix == ALL {
            edition = row.try_get("edition")?;
        }
    }
    edition += 1;
    let stored = wanted
        .iter()
        .map(|(prefix, turn)| Stored(*prefix, turn.digest.digest.to_string(), turn.count));
    sqlx::query(
        "INSERT INTO trie (channel, prefix, digest, count, edition)
         SELECT ?1, value ->> 0, unhex(value ->> 1), value ->> 2, ?3 FROM jsonb_each(?2) WHERE true
         ON CONFLICT (channel, prefix) DO UPDATE SET
             digest = excluded.digest, count = excluded.count, edition = excluded.edition",
    )
    .bind(channel)
    .bind(list(stored))
    .bind(edition)
    .execute(tx)
    .await?;
    Ok(edition)
}

/// The sum of a row, and the edition of which it is.
pub(super) async fn stored(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    prefix: i64,
) -> Result<(Sum, i64), CatalogError> {
    let row =
        sqlx::query("SELECT digest, count, edition FROM trie WHERE channel = ?1 AND prefix = ?2")
            .bind(channel)
            .bind(prefix)
            .fetch_optional(connection)
            .await?;
    let Some(row) = row else { return Ok((Sum::default(), 0)) };
    let digest = checked(&row, "digest", Digest::from_slice)?;
    Ok((Sum { count: number(&row, "count")?, digest }, row.try_get("edition")?))
}

/// Digests all entries of a catalog that an earlier release wrote, or of whose leaves another form
/// is expected. Cut off, it begins anew the next time.
pub(super) async fn back_fill(connection: &mut SqliteConnection) -> Result<(), CatalogError> {
    let form: Option<i64> = sqlx::query_scalar("SELECT value FROM hub WHERE key = 'leaves'")
        .fetch_optional(&mut *connection)
        .await?;
    if form == Some(FORM) {
        return Ok(());
    }
    for clear in ["DELETE FROM leaf", "DELETE FROM trie", "UPDATE compared SET edition = 0"] {
        sqlx::query(clear).execute(&mut *connection).await?;
    }
    for kind in [Kind::Attach, Kind::Item] {
        let mut after = 0;
        while let Some(last) = fill_some(connection, kind, after).await? {
            after = last;
        }
    }
    sqlx::query("INSERT OR REPLACE INTO hub (key, value) VALUES ('leaves', ?1)")
        .bind(FORM)
        .execute(connection)
        .await?;
    Ok(())
}

/// The entries or items after a row; returns the last one's, or `None` when there are no more.
async fn fill_some(
    connection: &mut SqliteConnection,
    kind: Kind,
    after: i64,
) -> Result<Option<i64>, CatalogError> {
    let sql = match kind {
        Kind::Attach => "SELECT rowid, * FROM attach WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
        Kind::Item => "SELECT rowid, * FROM item WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
    };
    let rows = sqlx::query(sql).bind(after).bind(AT_ONCE).fetch_all(&mut *connection).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let last = last.try_get("rowid")?;
    let mut leaves: BTreeMap<ChannelNo, Vec<Leaf>> = BTreeMap::new();
    for row in &rows {
        let leaf = match kind {
            Kind::Attach => Leaf::of(&attach(row)?),
            Kind::Item => Leaf::of_item(&item(row)?),
        };
        leaves.entry(row.try_get("channel")?).or_default().push(leaf);
    }
    let mut tx = sqlx::Connection::begin(connection).await?;
    for (channel, leaves) in leaves {
        enter(&mut tx, channel, leaves).await?;
    }
    tx.commit().await?;
    Ok(Some(last))
}

/// A number of the database as an edition, which SQLite's integers hold.
pub(super) fn edition(value: u64) -> Result<i64, CatalogError> {
    integer(value)
}
