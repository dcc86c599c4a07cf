//! What a channel may hold: bytes by its quota, entries, items and their texts by the hub's limits.
//!
//! Owns: the rules, and whether a change kept to them. Not here: the tallies (triggers keep them), disks.
//! Invariant: a change that ends with too much is undone as a whole; one that adds nothing is not refused,
//! however much there is: removing always works.
//! Spec: SYNC-12, SYNC-46, SYNC-47, FETCH-47, FETCH-48.
//!
//! The quota is for what entries have now and await. What was replaced or removed is kept for clones that still ask, and has
//! room of its own: with it a channel has at most twice its quota. Beyond half a quota the oldest goes early.

use sqlx::SqliteConnection;

use super::apply::Apply;
use super::channels::{Channel, channel_in};
use super::columns::integer;
use super::data::{Data, data};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, trie};

/// Bytes of an entry's or an item's texts that are nobody's concern; what is beyond counts.
pub const FREE_TEXT: usize = 1024;

/// What the hub keeps of one channel at most.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Entries and items, removed ones among them.
    pub entries: u64,
    /// Bytes of their texts beyond [`FREE_TEXT`] each, and of dead properties.
    pub text: u64,
}

impl Most {
    pub(super) const BOUNDLESS: Self = Self { entries: u64::MAX, text: u64::MAX };
}

/// How a channel stood before a change, to see what the change added.
pub(super) struct Bounds {
    before: Channel,
    entries: u64,
    text: u64,
    most: Most,
}

impl Bounds {
    /// Of a channel, as a transaction finds it.
    pub(super) async fn of(
        catalog: &Catalog,
        tx: &mut SqliteConnection,
        before: &Channel,
    ) -> Result<Self, CatalogError> {
        let (entries, text) = (entries(tx, before.id).await?, text(tx, before.id).await?);
        Ok(Self { before: before.clone(), entries, text, most: catalog.most })
    }

    /// Looks when all is written: what a change frees counts as well.
    pub(super) async fn keep(&self, tx: &mut SqliteConnection) -> Result<(), CatalogError> {
        let now = entries(tx, self.before.id).await?;
        if now > self.most.entries && now > self.entries {
            return Err(CatalogError::TooManyEntries(self.most.entries));
        }
        let now = text(tx, self.before.id).await?;
        if now > self.most.text && now > self.text {
            return Err(CatalogError::TooMuchText(self.most.text));
        }
        let Some(quota) = self.before.quota else { return Ok(()) };
        let after = channel_in(tx, self.before.id).await?;
        let needed = after.needed();
        if needed > quota && needed > self.before.needed() {
            return Err(CatalogError::OverQuota { needed, quota });
        }
        let most = quota.saturating_mul(2);
        if after.all() > most && after.all() > self.before.all() {
            let kept = kept(tx, after.id).await?;
            if needed.saturating_add(kept) > most {
                return Err(CatalogError::OverKept { kept, quota });
            }
        }
        Ok(())
    }
}

/// Entries and items of a channel, removed ones too.
async fn entries(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
) -> Result<u64, CatalogError> {
    Ok(trie::stored(connection, channel, trie::ALL).await?.0.count)
}

/// Bytes of a channel's texts that count.
async fn text(connection: &mut SqliteConnection, channel: ChannelNo) -> Result<u64, CatalogError> {
    let bytes: Option<i64> =
        sqlx::query_scalar("SELECT bytes FROM channel_text WHERE channel = ?1")
            .bind(channel)
            .fetch_optional(connection)
            .await?;
    u64::try_from(bytes.unwrap_or(0)).map_err(|_| CatalogError::Corrupt("a negative sum".into()))
}

/// Bytes here that a channel's entries had, and none of them has now. Each is stored once.
async fn kept(connection: &mut SqliteConnection, channel: ChannelNo) -> Result<u64, CatalogError> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(size), 0) FROM (
             SELECT DISTINCT d.root, d.size FROM data d INDEXED BY data_kept
             WHERE d.state = 'superseded' AND d.held = 1 AND d.channel = ?1 AND d.superseded_at > 0
               AND NOT EXISTS (SELECT 1 FROM data p INDEXED BY data_root
                               WHERE p.root = d.root AND p.channel = ?1 AND p.state = 'present'))",
    )
    .bind(channel)
    .fetch_one(connection)
    .await?;
    u64::try_from(bytes).map_err(|_| CatalogError::Corrupt("a negative size".into()))
}

/// Bytes that may still be announced or put, where content of `freed` bytes goes.
async fn room(
    connection: &mut SqliteConnection,
    channel: &Channel,
    freed: u64,
) -> Result<u64, CatalogError> {
    let Some(quota) = channel.quota else { return Ok(u64::MAX) };
    let room = quota.saturating_add(freed).saturating_sub(channel.needed());
    let most = quota.saturating_mul(2);
    if channel.all().saturating_add(room) <= most {
        return Ok(room);
    }
    let kept = kept(connection, channel.id).await?;
    Ok(room.min(most.saturating_sub(channel.needed()).saturating_sub(kept)))
}

impl Catalog {
    /// From now on no channel gets more than this.
    pub fn keep_at_most(&mut self, most: Most) {
        self.most = most;
    }

    /// Bytes that may still be put into a channel, where content of `freed` bytes is replaced.
    pub async fn room(&self, channel: &Channel, freed: u64) -> Result<u64, CatalogError> {
        room(&mut *self.reader().await?, channel, freed).await
    }

    /// FETCH-48: superseded contents, the oldest first, of each channel in which they take more than half of the quota: as
    /// many as are too much, at most `limit` of one channel.
    pub async fn crowding(&self, limit: u32) -> Result<Vec<Data>, CatalogError> {
        let mut crowding = Vec::new();
        for channel in self.channels().await? {
            let Some(half) = channel.quota.map(|quota| quota / 2) else { continue };
            if channel.superseded <= half {
                continue;
            }
            let mut reader = self.reader().await?;
            let mut excess = kept(&mut reader, channel.id).await?.saturating_sub(half);
            let rows = sqlx::query(
                "SELECT * FROM data INDEXED BY data_kept
                 WHERE state = 'superseded' AND channel = ?1 AND superseded_at > 0 AND held = 1
                 ORDER BY superseded_at, id LIMIT ?2",
            )
            .bind(channel.id)
            .bind(integer(limit.into())?)
            .fetch_all(&mut *reader)
            .await?;
            for row in &rows {
                if excess == 0 {
                    break;
                }
                let data = data(row)?;
                excess = excess.saturating_sub(data.size);
                crowding.push(data);
            }
        }
        Ok(crowding)
    }
}

impl Apply<'_> {
    /// SYNC-12, SYNC-47: bytes that may still be announced.
    pub async fn room(&mut self, channel: &Channel) -> Result<u64, CatalogError> {
        room(self.connection(), channel, 0).await
    }

    /// SYNC-46: entries and items that there may be more.
    pub async fn entries_left(&mut self, channel: ChannelNo) -> Result<u64, CatalogError> {
        let most = self.catalog().most.entries;
        Ok(most.saturating_sub(entries(self.connection(), channel).await?))
    }

    /// SYNC-46: whether the texts of a channel take all that they may.
    pub async fn is_full_of_text(&mut self, channel: ChannelNo) -> Result<bool, CatalogError> {
        let most = self.catalog().most.text;
        Ok(text(self.connection(), channel).await? >= most)
    }
}
