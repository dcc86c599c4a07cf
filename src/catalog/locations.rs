//! Where each channel lives, and how far each of its clones has got with what we told it.
//!
//! Owns: location rows and their cursors. Not here: signatures and challenges, the planning of
//! deliveries.
//! Invariant: a record is replaced by a higher (serial, replica) only; a deleted location stays as
//! a record, so that an older one cannot bring it back.
//! Spec: ID-10, ID-11, ID-17, ID-38, ID-39, SYNC-1, SYNC-30.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::{PortableId, ReplicaId, SiteId};

use super::channels::{Channel, channel_in};
use super::columns::{checked, integer, maybe_number, number, parsed};
use super::error::CatalogError;
use super::sites::{Site, site};
use super::{Catalog, ChannelNo, SiteNo};

/// Whether a location may be contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationState {
    /// Its record verifies; its hub has not answered a challenge yet.
    Pending,
    /// It has proved itself.
    Listed,
}

impl LocationState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Listed => "listed",
        }
    }
}

impl std::str::FromStr for LocationState {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pending" => Ok(Self::Pending),
            "listed" => Ok(Self::Listed),
            _ => Err("not a state of a location"),
        }
    }
}

/// A verified location record, to be kept.
#[derive(Debug, Clone)]
pub struct NewLocation {
    /// Whose.
    pub channel: ChannelNo,
    /// Where.
    pub site: SiteNo,
    /// The channel's replica there.
    pub replica: ReplicaId,
    /// Whether the record claims to be the primary one.
    pub primary: bool,
    /// Whether the record takes the location away.
    pub deleted: bool,
    /// Which of two records counts.
    pub serial: u64,
    /// The whole signed record.
    pub record: Vec<u8>,
    /// The state if the location is new, or was deleted. One that is live keeps its own.
    pub state: LocationState,
    /// Whether that hub does not speak this protocol.
    pub foreign: bool,
}

/// A location as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Whose.
    pub channel: ChannelNo,
    /// Where: the row of the site.
    pub site: SiteNo,
    /// Where: the id of the site.
    pub site_id: SiteId,
    /// Where: its base URL.
    pub url: String,
    /// The channel's replica there.
    pub replica: ReplicaId,
    /// Whether the record claims to be the primary one.
    pub primary: bool,
    /// Whether it counts as taken away: by its record, by a notice, or because an earlier key signed
    /// its record and it was not kept.
    pub deleted: bool,
    /// ID-38: whether a notice takes it away, whatever its record says.
    pub removed: bool,
    /// ID-39: the serial of the latest claim that it is the primary location, if there is one.
    pub claim: Option<u64>,
    /// Which of two records counts.
    pub serial: u64,
    /// The whole signed record.
    pub record: Vec<u8>,
    /// Whether it may be contacted.
    pub state: LocationState,
    /// Whether that hub does not speak this protocol.
    pub foreign: bool,
    /// The last operation of ours it has answered for.
    pub acked_seq: u64,
    /// The last present report of ours it has answered for.
    pub reported_seq: u64,
    /// Failed attempts since the last that succeeded.
    pub attempts: u32,
    /// What the last failed attempt said.
    pub last_error: Option<String>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The location was not known.
    New,
    /// It counts more than what was kept.
    Replaced,
    /// What was kept counts at least as much.
    Kept,
}

/// Everything that says whether a packet of a site may speak for a channel.
#[derive(Debug, Clone)]
pub struct Located {
    /// The channel.
    pub channel: Channel,
    /// The site, with its key.
    pub site: Site,
    /// The record that joins them.
    pub location: Location,
}

/// A clone that has not heard everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Whose clone.
    pub channel: ChannelNo,
    /// Where.
    pub site: SiteNo,
    /// Operations up to here are answered for; deliver what comes after.
    pub acked_seq: u64,
    /// Reports up to here are answered for.
    pub reported_seq: u64,
    /// Whether there are operations after `acked_seq`.
    pub operations: bool,
    /// Whether there are reports after `reported_seq`.
    pub reports: bool,
}

macro_rules! select_locations {
    ($rest:literal) => {
        concat!(
            "SELECT l.*, s.site_id, s.url, n.removed, n.is_primary AS named, n.serial AS named_serial
             FROM location l JOIN site s ON s.id = l.site
             LEFT JOIN notice n ON n.channel = l.channel AND n.site_id = s.site_id ",
            $rest
        )
    };
}

fn location(row: &SqliteRow) -> Result<Location, CatalogError> {
    let (primary, serial) = (row.try_get("is_primary")?, number(row, "serial")?);
    let named = row.try_get::<Option<bool>, _>("named")?.unwrap_or(false);
    let by_notice = maybe_number(row, "named_serial")?.filter(|_| named);
    Ok(Location {
        channel: row.try_get("channel")?,
        site: row.try_get("site")?,
        site_id: parsed(row, "site_id")?,
        url: row.try_get("url")?,
        replica: checked(row, "replica", ReplicaId::from_slice)?,
        primary,
        deleted: row.try_get("deleted")?,
        removed: row.try_get::<Option<bool>, _>("removed")?.unwrap_or(false),
        claim: by_notice.max(primary.then_some(serial)),
        serial,
        record: row.try_get("record")?,
        state: parsed(row, "state")?,
        foreign: row.try_get("is_foreign")?,
        acked_seq: number(row, "acked_seq")?,
        reported_seq: number(row, "reported_seq")?,
        attempts: row.try_get("attempts")?,
        last_error: row.try_get("last_error")?,
    })
}

async fn location_in(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    site: SiteNo,
) -> Result<Option<Location>, CatalogError> {
    let row = sqlx::query(select_locations!("WHERE l.channel = ?1 AND l.site = ?2"))
        .bind(channel)
        .bind(site)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(location).transpose()
}

/// ID-11: of those that claim it, the latest is the primary location; ties go to the larger site id.
pub fn primary(locations: &[Location]) -> Option<&Location> {
    let proved = |l: &&Location| !l.deleted && !l.foreign && l.state == LocationState::Listed;
    let claiming = locations.iter().filter(proved).filter(|l| l.claim.is_some());
    claiming.max_by(|a, b| (a.claim, a.site_id.as_str()).cmp(&(b.claim, b.site_id.as_str())))
}

/// A new replica has nothing of what the old one had: its cursors begin again. What a notice removed
/// stays removed.
async fn place(tx: &mut SqliteConnection, new: &NewLocation) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO location (channel, site, replica, is_primary, deleted, serial, record, state, is_foreign)
         VALUES (?1, ?2, ?3, ?4,
                 ?5 OR EXISTS (SELECT 1 FROM notice n JOIN site s ON s.site_id = n.site_id
                               WHERE n.channel = ?1 AND s.id = ?2 AND n.removed = 1),
                 ?6, ?7, ?8, ?9)
         ON CONFLICT (channel, site) DO UPDATE SET
             acked_seq    = iif(location.replica = excluded.replica, location.acked_seq, 0),
             reported_seq = iif(location.replica = excluded.replica, location.reported_seq, 0),
             state        = iif(location.deleted, excluded.state, location.state),
             replica = excluded.replica, is_primary = excluded.is_primary,
             deleted = excluded.deleted, serial = excluded.serial, record = excluded.record,
             is_foreign = excluded.is_foreign, attempts = 0, last_error = NULL",
    )
    .bind(new.channel)
    .bind(new.site)
    .bind(new.replica.as_bytes())
    .bind(new.primary)
    .bind(new.deleted)
    .bind(integer(new.serial)?)
    .bind(&new.record)
    .bind(new.state.as_str())
    .bind(new.foreign)
    .execute(tx)
    .await?;
    Ok(())
}

impl Catalog {
    /// ID-10: keeps the record of the highest serial, ties by replica id.
    pub async fn upsert_location(&self, new: &NewLocation) -> Result<Placed, CatalogError> {
        let mut tx = self.begin().await?;
        let placed = match location_in(&mut tx, new.channel, new.site).await? {
            None => Placed::New,
            Some(old) if (new.serial, new.replica) > (old.serial, old.replica) => Placed::Replaced,
            Some(_) => return Ok(Placed::Kept),
        };
        place(&mut tx, new).await?;
        self.commit(tx).await?;
        Ok(placed)
    }

    /// The record of one channel at one site.
    pub async fn location(
        &self,
        channel: ChannelNo,
        site: SiteNo,
    ) -> Result<Option<Location>, CatalogError> {
        location_in(&mut *self.reader().await?, channel, site).await
    }

    /// Every record of a channel, the deleted ones too, by site.
    pub async fn locations(&self, channel: ChannelNo) -> Result<Vec<Location>, CatalogError> {
        locations_in(&mut *self.reader().await?, channel).await
    }

    /// The locations that wait for a challenge.
    pub async fn pending_locations(&self) -> Result<Vec<Location>, CatalogError> {
        let rows = sqlx::query(select_locations!(
            "WHERE l.state = 'pending' AND l.deleted = 0 AND l.is_foreign = 0
             ORDER BY l.channel, l.site"
        ))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(location).collect()
    }

    /// The channels that live at a site, by row.
    pub async fn channels_at(&self, site: SiteNo) -> Result<Vec<ChannelNo>, CatalogError> {
        let sql = "SELECT channel FROM location WHERE site = ?1 AND deleted = 0 ORDER BY channel";
        let mut reader = self.reader().await?;
        Ok(sqlx::query_scalar(sql).bind(site).fetch_all(&mut *reader).await?)
    }

    /// SIGN-3: the record that lets a site speak for a channel; `None` when there never was one.
    pub async fn located(
        &self,
        channel: &PortableId,
        at: &SiteId,
    ) -> Result<Option<Located>, CatalogError> {
        let mut snapshot = self.snapshot().await?;
        let row = sqlx::query(
            "SELECT l.*, s.site_id, s.url, s.key_pem, s.id, s.clock_offset, s.last_seen,
                    n.removed, n.is_primary AS named, n.serial AS named_serial
             FROM channel c JOIN location l ON l.channel = c.id JOIN site s ON s.id = l.site
             LEFT JOIN notice n ON n.channel = l.channel AND n.site_id = s.site_id
             WHERE c.portable_id = ?1 AND s.site_id = ?2",
        )
        .bind(channel.as_str())
        .bind(at.as_str())
        .fetch_optional(&mut *snapshot)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (location, site) = (location(&row)?, site(&row)?);
        let channel = channel_in(&mut snapshot, location.channel).await?;
        Ok(Some(Located { channel, site, location }))
    }

    /// A location has proved itself, or has to again.
    pub async fn set_location_state(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        state: LocationState,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE location SET state = ?3 WHERE channel = ?1 AND site = ?2")
            .bind(channel)
            .bind(site)
            .bind(state.as_str())
            .execute(&mut *tx)
            .await?;
        self.commit(tx).await
    }

    /// Counts a failed attempt to reach a location (with its reason), or forgets them after one that succeeded.
    pub async fn note_attempt(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        error: Option<&str>,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE location SET attempts = iif(?3 IS NULL, 0, attempts + 1), last_error = ?3
             WHERE channel = ?1 AND site = ?2",
        )
        .bind(channel)
        .bind(site)
        .bind(error)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// SYNC-30: a clone has answered for our operations up to `seq`. Never goes back.
    pub async fn acked(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        seq: u64,
    ) -> Result<(), CatalogError> {
        let sql =
            "UPDATE location SET acked_seq = max(acked_seq, ?3) WHERE channel = ?1 AND site = ?2";
        self.advance(sql, channel, site, seq).await
    }

    /// SYNC-30: a clone has answered for our present reports up to `present_seq`. Never goes back.
    pub async fn reported(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        present_seq: u64,
    ) -> Result<(), CatalogError> {
        let sql = "UPDATE location SET reported_seq = max(reported_seq, ?3) WHERE channel = ?1 AND site = ?2";
        self.advance(sql, channel, site, present_seq).await
    }

    async fn advance(
        &self,
        sql: &'static str,
        channel: ChannelNo,
        site: SiteNo,
        to: u64,
    ) -> Result<(), CatalogError> {
        let to = integer(to)?;
        let mut tx = self.begin().await?;
        sqlx::query(sql).bind(channel).bind(site).bind(to).execute(&mut *tx).await?;
        self.commit(tx).await
    }

    /// The live clones, other than the one at `here`, that have not heard everything: what a hub
    /// that lost its queue has to deliver.
    pub async fn lagging(&self, here: SiteNo) -> Result<Vec<Lag>, CatalogError> {
        let rows = sqlx::query(
            "SELECT l.channel, l.site, l.acked_seq, l.reported_seq,
                    c.seq > l.acked_seq AS operations, c.present_seq > l.reported_seq AS reports
             FROM location l JOIN channel c ON c.id = l.channel
             WHERE l.site <> ?1 AND l.deleted = 0 AND l.is_foreign = 0 AND l.state = 'listed'
               AND (c.seq > l.acked_seq OR c.present_seq > l.reported_seq)
             ORDER BY l.channel, l.site",
        )
        .bind(here)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(lag).collect()
    }
}

fn lag(row: &SqliteRow) -> Result<Lag, CatalogError> {
    Ok(Lag {
        channel: row.try_get("channel")?,
        site: row.try_get("site")?,
        acked_seq: number(row, "acked_seq")?,
        reported_seq: number(row, "reported_seq")?,
        operations: row.try_get("operations")?,
        reports: row.try_get("reports")?,
    })
}

/// Every location of a channel, in the order in which the sites became known.
pub(super) async fn locations_in(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
) -> Result<Vec<Location>, CatalogError> {
    let rows = sqlx::query(select_locations!("WHERE l.channel = ?1 ORDER BY l.site"))
        .bind(channel)
        .fetch_all(connection)
        .await?;
    rows.iter().map(location).collect()
}
