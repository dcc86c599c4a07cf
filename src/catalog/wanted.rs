//! What is still to be fetched, in the order in which the queue is refilled; and how much of it.
//!
//! Owns: the questions about contents that are not here yet. Not here: their end (`arrived`), jobs.
//! Invariant: a refill reads along one index and never further than its limit, however much is wanted.
//! Spec: FETCH-1, QUEUE-2, QUEUE-8.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zotferry_protocol::manifest::MIN_CHUNK;

use super::columns::{bound, list, number, parsed};
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

impl SizeClass {
    fn bounds(self) -> (i64, i64) {
        let one = i64::from(MIN_CHUNK);
        match self {
            Self::OneChunk => (0, one),
            Self::Larger => (one + 1, i64::MAX),
        }
    }
}

/// Where a refill stopped: the smallest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Size of the last content taken.
    pub size: u64,
    /// Row of the last content taken.
    pub id: WantedNo,
}

impl From<&Data> for Cursor {
    fn from(last: &Data) -> Self {
        Self { size: last.size, id: last.id }
    }
}

/// What one channel wants from one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedLane {
    /// Whose files.
    pub channel: ChannelNo,
    /// Which hub is asked.
    pub site: SiteNo,
    /// How many contents.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
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
    /// The next contents to fetch for a channel from a site, the smallest first; none while the channel is paused.
    pub async fn next_wanted(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        class: SizeClass,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Data>, CatalogError> {
        let (least, most) = class.bounds();
        let (size, id) = after.map_or((-1, 0), |cursor| (bound(cursor.size), cursor.id));
        let rows = sqlx::query(
            "SELECT * FROM data INDEXED BY data_wanted
             WHERE state = 'wanted' AND channel = ?1 AND site = ?2
               AND size BETWEEN ?3 AND ?4 AND (size, id) > (?5, ?6)
               AND (SELECT paused FROM channel WHERE id = ?1) = 0
             ORDER BY size, id LIMIT ?7",
        )
        .bind(channel)
        .bind(site)
        .bind(least)
        .bind(most)
        .bind(size)
        .bind(id)
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(data).collect()
    }

    /// Which channels want something from which sites. Reads an index entry per wanted content: for a start or a status, not for every refill.
    pub async fn lanes_with_wanted(&self) -> Result<Vec<WantedLane>, CatalogError> {
        let rows = sqlx::query(
            "SELECT d.channel, d.site, count(*) AS files, sum(d.size) AS bytes
             FROM data d INDEXED BY data_wanted
             WHERE d.state = 'wanted' AND d.channel IN (SELECT id FROM channel WHERE paused = 0)
             GROUP BY d.channel, d.site ORDER BY d.channel, d.site",
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(lane).collect()
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

    /// How much of a channel is in each state, for people. Costs nothing: it is kept up to date.
    pub async fn tallies(&self, channel: ChannelNo) -> Result<Vec<Tally>, CatalogError> {
        let sql = "SELECT state, files, bytes FROM tally WHERE channel = ?1 ORDER BY state DESC";
        let rows = sqlx::query(sql).bind(channel).fetch_all(&mut *self.reader().await?).await?;
        rows.iter().map(tally).collect()
    }
}

fn lane(row: &SqliteRow) -> Result<WantedLane, CatalogError> {
    Ok(WantedLane {
        channel: row.try_get("channel")?,
        site: row.try_get("site")?,
        files: number(row, "files")?,
        bytes: number(row, "bytes")?,
    })
}

fn tally(row: &SqliteRow) -> Result<Tally, CatalogError> {
    Ok(Tally {
        state: parsed(row, "state")?,
        files: number(row, "files")?,
        bytes: number(row, "bytes")?,
    })
}
