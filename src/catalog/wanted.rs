//! What is still to be fetched, in the order in which the queue is refilled; and how much of it.
//!
//! Owns: the questions about contents that are not here yet. Not here: their end (`arrived`), jobs.
//! Invariant: a refill reads along one index and never further than its limit, however much is wanted.
//! Spec: FETCH-1, QUEUE-2, QUEUE-8.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::columns::{list, number, parsed};
use super::data::{Data, DataState, data};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, SiteNo, WantedNo};

/// Files of one chunk travel in bundles, larger ones do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeClass {
    /// At most 1 MiB.
    OneChunk,
    /// More than that.
    Larger,
}

/// Places in the order of fetching that each class of sizes has.
const CLASS: i64 = 1 << 48;
/// Classes of contents that have one chunk: up to 64 KiB, and up to 1 MiB.
const ONE_CHUNK_CLASSES: i64 = 2;

impl SizeClass {
    /// The places in the order of fetching, the first and the last.
    fn bounds(self) -> (i64, i64) {
        match self {
            Self::OneChunk => (0, ONE_CHUNK_CLASSES * CLASS - 1),
            Self::Larger => (ONE_CHUNK_CLASSES * CLASS, i64::MAX),
        }
    }
}

/// Where a refill stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Place in the order of the last content taken.
    pub turn: i64,
    /// Row of the last content taken.
    pub id: WantedNo,
}

impl From<&Data> for Cursor {
    fn from(last: &Data) -> Self {
        Self { turn: last.turn, id: last.id }
    }
}

/// Contents of a channel in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Which state.
    pub state: DataState,
    /// How many contents.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Catalog {
    /// The next contents for which a site may be asked (SYNC-11), whoever else has them, other than those
    /// that a backup is bringing (BACKUP-25): in classes of
    /// size the smallest first, and of a class what was edited last; none while the channel rests.
    pub async fn next_wanted(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        class: SizeClass,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Data>, CatalogError> {
        let (first, last) = class.bounds();
        let (turn, id) = after.map_or((-1, 0), |cursor| (cursor.turn, cursor.id));
        let rows = sqlx::query(
            "SELECT d.* FROM data d INDEXED BY data_wanted
             WHERE d.state = 'wanted' AND d.channel = ?1 AND d.source = 'fetch'
               AND d.turn BETWEEN ?3 AND ?4 AND (d.turn, d.id) > (?5, ?6)
               AND (d.site = ?2 OR EXISTS (
                    SELECT 1 FROM present_at p
                    WHERE p.channel = d.channel AND p.root = d.root AND p.site = ?2))
               AND (SELECT paused FROM channel WHERE id = ?1) = 0
             ORDER BY d.turn, d.id LIMIT ?7",
        )
        .bind(channel)
        .bind(site)
        .bind(first)
        .bind(last)
        .bind(turn)
        .bind(id)
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(data).collect()
    }

    /// The contents of many rows; those that are gone are left out.
    pub async fn contents(&self, ids: &[WantedNo]) -> Result<Vec<Data>, CatalogError> {
        let rows = sqlx::query(
            "SELECT d.* FROM json_each(?1) j CROSS JOIN data d WHERE d.id = j.value ORDER BY j.key",
        )
        .bind(list(ids))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(data).collect()
    }

    /// Contents given up, the oldest first.
    pub async fn failed(
        &self,
        channel: ChannelNo,
        after: WantedNo,
        limit: u32,
    ) -> Result<Vec<Data>, CatalogError> {
        let rows = sqlx::query(
            "SELECT * FROM data INDEXED BY data_failed
             WHERE state = 'failed' AND channel = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )
        .bind(channel)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(data).collect()
    }
}

/// How much of a channel is in each state, for people. Costs nothing: it is kept up to date.
pub(super) async fn tallies_in(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
) -> Result<Vec<Tally>, CatalogError> {
    let sql = "SELECT state, files, bytes FROM tally WHERE channel = ?1 ORDER BY state DESC";
    sqlx::query(sql).bind(channel).fetch_all(connection).await?.iter().map(tally).collect()
}

fn tally(row: &SqliteRow) -> Result<Tally, CatalogError> {
    Ok(Tally {
        state: parsed(row, "state")?,
        files: number(row, "files")?,
        bytes: number(row, "bytes")?,
    })
}
