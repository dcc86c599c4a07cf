//! The channels of this hub: who they are, their replica here, quota and clock.
//!
//! Owns: channel rows. Not here: the private key (a file), the bytes counted (triggers on `data`).
//! Invariant: the clock of a channel never repeats and never goes back, whatever the wall clock does.
//! Spec: ID-1, ID-20, SYNC-22.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::{Millis, PortableId, ReplicaId};

use super::columns::{checked, integer, maybe_number, number, parsed};
use super::error::CatalogError;
use super::{Catalog, ChannelNo};

/// A channel to be added.
#[derive(Debug, Clone)]
pub struct NewChannel {
    /// Its id everywhere.
    pub portable_id: PortableId,
    /// The random half of the id.
    pub guid: String,
    /// Its name on this hub.
    pub nick: String,
    /// Its public key: SPKI PEM.
    pub public_pem: String,
    /// Its replica on this hub.
    pub replica: ReplicaId,
    /// Bytes it may use; `None` = no limit.
    pub quota: Option<u64>,
}

/// A channel of this hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its row.
    pub id: ChannelNo,
    /// Its id everywhere.
    pub portable_id: PortableId,
    /// The random half of the id.
    pub guid: String,
    /// Its name on this hub.
    pub nick: String,
    /// Its public key: SPKI PEM.
    pub public_pem: String,
    /// Its replica on this hub.
    pub replica: ReplicaId,
    /// Bytes it may use; `None` = no limit.
    pub quota: Option<u64>,
    /// Bytes of content present.
    pub used: u64,
    /// Bytes of content wanted.
    pub reserved: u64,
    /// Bytes of content that was replaced or removed, here or not.
    pub superseded: u64,
    /// The last hybrid logical clock value given out or seen (48 bits ms, 16 bits counter).
    pub hlc: u64,
    /// Number of the last operation made here.
    pub seq: u64,
    /// Number of the last content that arrived here.
    pub present_seq: u64,
    /// Whether transfers rest.
    pub paused: bool,
    /// When it came to this hub.
    pub created: Millis,
}

impl Channel {
    /// Bytes that its quota is for.
    pub fn needed(&self) -> u64 {
        self.used.saturating_add(self.reserved)
    }

    /// These, and what was replaced or removed.
    pub(super) fn all(&self) -> u64 {
        self.needed().saturating_add(self.superseded)
    }
}

macro_rules! select_channels {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.portable_id, c.guid, c.nick, c.public_pem, c.replica, c.quota, c.hlc, c.seq,
                    c.present_seq, c.paused, c.created, used.bytes AS used, reserved.bytes AS reserved,
                    superseded.bytes AS superseded
             FROM channel c
             JOIN tally used ON used.channel = c.id AND used.state = 'present'
             JOIN tally reserved ON reserved.channel = c.id AND reserved.state = 'wanted'
             JOIN tally superseded ON superseded.channel = c.id AND superseded.state = 'superseded' ",
            $rest
        )
    };
}

pub(super) fn channel(row: &SqliteRow) -> Result<Channel, CatalogError> {
    Ok(Channel {
        id: row.try_get("id")?,
        portable_id: parsed(row, "portable_id")?,
        guid: row.try_get("guid")?,
        nick: row.try_get("nick")?,
        public_pem: row.try_get("public_pem")?,
        replica: checked(row, "replica", ReplicaId::from_slice)?,
        quota: maybe_number(row, "quota")?,
        used: number(row, "used")?,
        reserved: number(row, "reserved")?,
        superseded: number(row, "superseded")?,
        hlc: row.try_get::<i64, _>("hlc")?.cast_unsigned(),
        seq: number(row, "seq")?,
        present_seq: number(row, "present_seq")?,
        paused: row.try_get("paused")?,
        created: Millis(number(row, "created")?),
    })
}

/// The channel of that row, as the transaction sees it.
pub(super) async fn channel_in(
    connection: &mut SqliteConnection,
    id: ChannelNo,
) -> Result<Channel, CatalogError> {
    let row = sqlx::query(select_channels!("WHERE c.id = ?1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    channel(&row.ok_or(CatalogError::UnknownChannel)?)
}

/// Moves a channel's clock to `hlc` unless it stands later.
pub(super) async fn advance_hlc(
    connection: &mut SqliteConnection,
    id: ChannelNo,
    hlc: u64,
) -> Result<(), CatalogError> {
    let last = last_hlc(connection, id).await?;
    if hlc > last {
        store_hlc(connection, id, hlc).await?;
    }
    Ok(())
}

async fn last_hlc(connection: &mut SqliteConnection, id: ChannelNo) -> Result<u64, CatalogError> {
    let last: Option<i64> = sqlx::query_scalar("SELECT hlc FROM channel WHERE id = ?1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    last.map(i64::cast_unsigned).ok_or(CatalogError::UnknownChannel)
}

async fn store_hlc(
    connection: &mut SqliteConnection,
    id: ChannelNo,
    hlc: u64,
) -> Result<(), CatalogError> {
    sqlx::query("UPDATE channel SET hlc = ?2 WHERE id = ?1")
        .bind(id)
        .bind(hlc.cast_signed())
        .execute(connection)
        .await?;
    Ok(())
}

impl Catalog {
    /// Adds a channel; refuses a nick or id that is here already.
    pub async fn add_channel(
        &self,
        new: &NewChannel,
        now: Millis,
    ) -> Result<Channel, CatalogError> {
        let quota = new.quota.map(integer).transpose()?;
        let mut tx = self.begin().await?;
        let added = sqlx::query(
            "INSERT INTO channel (portable_id, guid, nick, public_pem, replica, quota, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .bind(new.portable_id.as_str())
        .bind(&new.guid)
        .bind(&new.nick)
        .bind(&new.public_pem)
        .bind(new.replica.as_bytes())
        .bind(quota)
        .bind(integer(now.0)?)
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::from)
        .map_err(|error| if error.is_taken() { CatalogError::ChannelTaken } else { error })?;
        let channel = channel_in(&mut tx, added.last_insert_rowid()).await?;
        self.commit(tx).await?;
        Ok(channel)
    }

    /// Every channel, by nick.
    pub async fn channels(&self) -> Result<Vec<Channel>, CatalogError> {
        channels_in(&mut *self.reader().await?).await
    }

    /// The channel of a row.
    pub async fn channel(&self, id: ChannelNo) -> Result<Channel, CatalogError> {
        channel_in(&mut *self.reader().await?, id).await
    }

    /// The channel of an id.
    pub async fn channel_by_id(&self, id: &PortableId) -> Result<Option<Channel>, CatalogError> {
        let row = sqlx::query(select_channels!("WHERE c.portable_id = ?1"))
            .bind(id.as_str())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(channel).transpose()
    }

    /// The channel of a nick.
    pub async fn channel_by_nick(&self, nick: &str) -> Result<Option<Channel>, CatalogError> {
        let row = sqlx::query(select_channels!("WHERE c.nick = ?1"))
            .bind(nick)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(channel).transpose()
    }

    /// Lets a channel's transfers rest, or go on.
    pub async fn set_paused(&self, id: ChannelNo, paused: bool) -> Result<(), CatalogError> {
        let change = sqlx::query("UPDATE channel SET paused = ?2 WHERE id = ?1").bind(id);
        self.change_channel(change.bind(paused)).await
    }

    /// Sets the bytes a channel may use; `None` = no limit. What is there already stays.
    pub async fn set_quota(&self, id: ChannelNo, quota: Option<u64>) -> Result<(), CatalogError> {
        let change = sqlx::query("UPDATE channel SET quota = ?2 WHERE id = ?1").bind(id);
        self.change_channel(change.bind(quota.map(integer).transpose()?)).await
    }

    /// Gives a channel a new replica, as after a restore or roll-back: versions are counted afresh.
    pub async fn set_replica(&self, id: ChannelNo, replica: ReplicaId) -> Result<(), CatalogError> {
        let change = sqlx::query("UPDATE channel SET replica = ?2 WHERE id = ?1").bind(id);
        self.change_channel(change.bind(replica.0.to_vec())).await
    }

    async fn change_channel(
        &self,
        change: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        if change.execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(CatalogError::UnknownChannel);
        }
        self.commit(tx).await
    }

    /// SYNC-22: the next value of a channel's hybrid logical clock, above every value before it.
    pub async fn tick_hlc(&self, id: ChannelNo, now: Millis) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let last = last_hlc(&mut tx, id).await?;
        let next = last.saturating_add(1).max(now.0 << 16);
        store_hlc(&mut tx, id, next).await?;
        self.commit(tx).await?;
        Ok(next)
    }
}

pub(super) async fn channels_in(
    connection: &mut SqliteConnection,
) -> Result<Vec<Channel>, CatalogError> {
    let rows = sqlx::query(select_channels!("ORDER BY c.nick")).fetch_all(connection).await?;
    rows.iter().map(channel).collect()
}
