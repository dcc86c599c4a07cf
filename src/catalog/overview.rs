//! How a hub's channels and their clones are, for the one who runs it.
//!
//! Owns: reading all of it as one snapshot, with a connection that serves nothing else: whoever asks how a busy hub is
//! does not wait behind what makes it busy.
//! Not here: changing any of it, what only a running hub knows.
//! Invariant: a number of statements that does not grow with the clones.

use std::collections::HashMap;

use sqlx::{Row, SqliteConnection};

use super::columns::number;
use super::compared::compared_in;
use super::error::CatalogError;
use super::locations::locations_in;
use super::scrub::scrub_mark_in;
use super::wanted::tallies_in;
use super::{Catalog, Channel, ChannelNo, Compared, Location, ScrubMark, SiteNo, Tally};
use super::{channels, trie};

/// A catalog at one moment.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Its channels, by nick.
    pub channels: Vec<ChannelOverview>,
    /// How far its files have been read again.
    pub scrub: ScrubMark,
}

/// A channel at one moment.
#[derive(Debug, Clone)]
pub struct ChannelOverview {
    /// What is said of it.
    pub channel: Channel,
    /// How much of it is in each state.
    pub tallies: Vec<Tally>,
    /// Entries, removed ones too.
    pub entries: u64,
    /// Where it is, this hub and those that it has left too.
    pub locations: Vec<CloneOverview>,
}

/// A location at one moment.
#[derive(Debug, Clone)]
pub struct CloneOverview {
    /// What is known of it.
    pub location: Location,
    /// How many contents it has reported.
    pub present: u64,
    /// How it was found, if it was ever looked at.
    pub compared: Option<Compared>,
}

impl Catalog {
    /// How all of it is.
    pub async fn overview(&self) -> Result<Overview, CatalogError> {
        let mut snapshot = self.owner.begin().await?;
        let mut found = Vec::new();
        for channel in channels::channels_in(&mut snapshot).await? {
            let locations = located(&mut snapshot, channel.id).await?;
            let tallies = tallies_in(&mut snapshot, channel.id).await?;
            let entries = trie::stored(&mut snapshot, channel.id, trie::ALL).await?.0.count;
            found.push(ChannelOverview { channel, tallies, entries, locations });
        }
        Ok(Overview { channels: found, scrub: scrub_mark_in(&mut snapshot).await? })
    }
}

async fn located(
    snapshot: &mut SqliteConnection,
    channel: ChannelNo,
) -> Result<Vec<CloneOverview>, CatalogError> {
    let mut present: HashMap<SiteNo, u64> = HashMap::new();
    let counted =
        "SELECT site, count(*) AS n FROM present_at WHERE channel = ?1 AND at > 0 GROUP BY site";
    for row in sqlx::query(counted).bind(channel).fetch_all(&mut *snapshot).await? {
        present.insert(row.try_get("site")?, number(&row, "n")?);
    }
    let compared = compared_in(&mut *snapshot, channel).await?;
    let mut compared: HashMap<SiteNo, Compared> =
        compared.into_iter().map(|found| (found.site, found)).collect();
    let locations = locations_in(&mut *snapshot, channel).await?.into_iter();
    let located = locations.map(|location| CloneOverview {
        present: present.get(&location.site).copied().unwrap_or(0),
        compared: compared.remove(&location.site),
        location,
    });
    Ok(located.collect())
}
