//! A received packet, applied in one transaction.
//!
//! Owns: the transaction and its order: replay first, stored rows, changes, answer. Not here: who
//! wins (the caller compares versions between `load` and the writes).
//! Invariant: a packet's effects and its answer are stored together or not at all, so that a repeat
//! is answered as the first was and changes nothing.
//! Spec: SIGN-8, SIGN-9, PKT-12, SYNC-12, SYNC-16.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteConnection, Transaction};
use zotferry_protocol::ids::{Digest, Millis, OpId, PacketId, ResourceId, Role};

use super::attach::{self, Attach};
use super::channels::{self, Channel, channel_in};
use super::columns::{Hex, list, parsed};
use super::data::{self, DataState, NewData, Origin, Source};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, SiteNo, WantedNo, arrived, edit, replay};

/// A content that a clone announced.
#[derive(Debug, Clone)]
pub struct Want {
    /// The entry.
    pub hash: ResourceId,
    /// Which bytes of it.
    pub role: Role,
    /// The content's name.
    pub root: Digest,
    /// Bytes.
    pub size: u64,
    /// Mime type.
    pub mime: String,
    /// Where the bytes are to come from.
    pub source: Source,
    /// The chunks' digests, when they came with it.
    pub digests: Option<Vec<Digest>>,
    /// The operation that announced it.
    pub op_id: OpId,
}

/// What became of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its row.
    pub id: WantedNo,
    /// `Present` when this very content of this very entry is here already; `Superseded` when a
    /// later announcement in the same list replaced it; else `Wanted`.
    pub state: DataState,
    /// Whether the channel has the bytes already, under whatever name: then the caller marks it
    /// present at once and nothing is fetched.
    pub held: bool,
}

/// An open transaction. Dropped before [`Apply::finish`], it has changed nothing. While it is open
/// no other change of the catalog proceeds.
#[derive(Debug)]
pub struct Apply<'c> {
    catalog: &'c Catalog,
    tx: Transaction<'static, Sqlite>,
}

impl Catalog {
    /// Begins to apply a packet.
    pub async fn begin_apply(&self) -> Result<Apply<'_>, CatalogError> {
        let mut apply = Apply { catalog: self, tx: self.begin().await? };
        apply.begin_news().await?;
        Ok(apply)
    }
}

impl Apply<'_> {
    /// SIGN-9: what this packet was answered the first time. Asked before anything else.
    pub async fn replayed(&mut self, packet: &PacketId) -> Result<Option<Vec<u8>>, CatalogError> {
        replay::lookup(&mut self.tx, packet).await
    }

    /// The channel, with the room that its quota leaves.
    pub async fn channel(&mut self, channel: ChannelNo) -> Result<Channel, CatalogError> {
        channel_in(&mut self.tx, channel).await
    }

    /// The stored rows, with their versions, of every hash that the packet touches. Ask once for all.
    pub async fn load(
        &mut self,
        channel: ChannelNo,
        hashes: &[ResourceId],
    ) -> Result<HashMap<ResourceId, Attach>, CatalogError> {
        attach::load(&mut self.tx, channel, hashes).await
    }

    /// Inserts or replaces rows exactly as they are given, but for what is derived: where folders lie and
    /// which removed ones live. Contents of what is gone are released. `before` holds the rows as they were.
    pub async fn write(
        &mut self,
        channel: ChannelNo,
        rows: &[Attach],
        before: &HashMap<ResourceId, Attach>,
        now: Millis,
    ) -> Result<(), CatalogError> {
        edit::write_rows(&mut self.tx, channel, rows, before, now).await
    }

    /// The channel's next operation number.
    pub async fn next_seq(&mut self, channel: ChannelNo) -> Result<u64, CatalogError> {
        let seq: i64 =
            sqlx::query_scalar("UPDATE channel SET seq = seq + 1 WHERE id = ?1 RETURNING seq")
                .bind(channel)
                .fetch_one(&mut *self.tx)
                .await?;
        u64::try_from(seq).map_err(|_| CatalogError::Corrupt("a negative number".into()))
    }

    /// SYNC-37: bytes of one entry are another one's too.
    pub async fn copy_content(
        &mut self,
        channel: ChannelNo,
        copy: (ResourceId, Digest, ResourceId, OpId),
        now: Millis,
    ) -> Result<(), CatalogError> {
        data::copy(&mut self.tx, channel, &[copy], now).await
    }

    /// The cropped photos of each entry are those of the roles beside it, and no others.
    pub async fn keep_roles(
        &mut self,
        channel: ChannelNo,
        entries: &[(ResourceId, Vec<Role>)],
        now: Millis,
    ) -> Result<(), CatalogError> {
        data::release_roles(&mut self.tx, channel, entries, now).await
    }

    /// Commits what answers a packet of ours, and so is in no replay memory.
    pub async fn commit(mut self) -> Result<(), CatalogError> {
        self.end_of_news().await?;
        self.catalog.commit(self.tx).await
    }

    pub(super) fn catalog(&self) -> &Catalog {
        self.catalog
    }

    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }

    /// SYNC-12: wants contents, reserves their room, and supersedes what they replace. Answers in
    /// the order of the list. Whether there is room the caller has seen before ([`Apply::room`]).
    pub async fn want(
        &mut self,
        channel: ChannelNo,
        site: SiteNo,
        wants: &[Want],
        now: Millis,
    ) -> Result<Vec<Wanted>, CatalogError> {
        let new: Vec<_> = wants.iter().map(|want| new_data(want, site)).collect();
        data::write(&mut self.tx, channel, Origin::Announced, &new, now).await?;
        outcome(&mut self.tx, channel, wants).await
    }

    /// SYNC-11: a clone that announced some contents again may have those of them that are wanted here. A guess, as
    /// [`Catalog::may_have`] makes it for all of a catalog.
    pub async fn may_have(
        &mut self,
        channel: ChannelNo,
        site: SiteNo,
        roots: &[Digest],
    ) -> Result<(), CatalogError> {
        if roots.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT OR IGNORE INTO present_at (channel, site, root, at)
             SELECT d.channel, ?2, d.root, 0 FROM json_each(?3) j CROSS JOIN data d INDEXED BY data_root
             WHERE d.root = unhex(j.value) AND d.channel = ?1 AND d.state = 'wanted' AND d.site IS NOT ?2",
        )
        .bind(channel)
        .bind(site)
        .bind(list(roots.iter().map(|root| Hex(&root.0))))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Marks contents present whose bytes were found to be here already.
    pub async fn mark_present(&mut self, ids: &[WantedNo]) -> Result<u64, CatalogError> {
        arrived::mark_present(&mut self.tx, ids).await
    }

    /// SYNC-22: the clock of the channel stands at or above every version that was applied.
    pub async fn observe_hlc(&mut self, channel: ChannelNo, hlc: u64) -> Result<(), CatalogError> {
        channels::advance_hlc(&mut self.tx, channel, hlc).await
    }

    /// Stores the packet's id and answer and commits: durable when it returns.
    pub async fn finish(
        mut self,
        packet: &PacketId,
        expires: Millis,
        answer: &[u8],
    ) -> Result<(), CatalogError> {
        replay::remember(&mut self.tx, packet, expires, answer).await?;
        self.commit().await
    }
}

fn new_data(want: &Want, site: SiteNo) -> NewData<'_> {
    NewData {
        hash: &want.hash,
        role: want.role,
        root: &want.root,
        size: want.size,
        mime: &want.mime,
        source: want.source,
        digests: want.digests.as_deref(),
        site: Some(site),
        op_id: &want.op_id,
    }
}

async fn outcome(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    wants: &[Want],
) -> Result<Vec<Wanted>, CatalogError> {
    let names = wants.iter().map(|want| (&want.hash, want.role, Hex(&want.root.0)));
    let rows = sqlx::query(
        "SELECT d.id, d.state,
                EXISTS (SELECT 1 FROM data same
                        WHERE same.root = d.root AND same.held = 1 AND same.size = d.size
                          AND same.channel = d.channel) AS held
         FROM json_each(?2) j CROSS JOIN data d
         WHERE d.channel = ?1 AND d.hash = j.value ->> 0 AND d.role = j.value ->> 1
           AND d.root = unhex(j.value ->> 2)
         ORDER BY j.key",
    )
    .bind(channel)
    .bind(list(names))
    .fetch_all(tx)
    .await?;
    rows.iter().map(wanted).collect()
}

fn wanted(row: &SqliteRow) -> Result<Wanted, CatalogError> {
    Ok(Wanted { id: row.try_get("id")?, state: parsed(row, "state")?, held: row.try_get("held")? })
}
