//! What is to be read again, how far that has got, and what becomes of what was found damaged.
//!
//! Owns: the order by root, the mark in it, the change of state. Not here: reading, the bytes.
//! Invariant: content that was found damaged counts as held by no entry of any channel, in one step.
//! Spec: AUDIT-17, AUDIT-18.

use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::{Digest, Millis};

use super::columns::{checked, list, number, parsed};
use super::data::DataState;
use super::error::CatalogError;
use super::{Catalog, SiteNo, WantedNo};

/// How far the files have been read again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScrubMark {
    /// The last root that was looked at in this pass; `None` between passes.
    #[serde(with = "text")]
    pub after: Option<Digest>,
    /// When this pass, or the last, began.
    pub began: Option<Millis>,
    /// When the last whole pass ended.
    pub ended: Option<Millis>,
    /// Contents read in this pass, or the last.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were damaged or missing.
    pub damaged: u64,
}

/// A root as JSON has it.
mod text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
    use zotferry_protocol::ids::Digest;

    pub(super) fn serialize<S: Serializer>(root: &Option<Digest>, s: S) -> Result<S::Ok, S::Error> {
        root.map(|root| root.to_string()).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Digest>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| text.parse()).transpose().map_err(de::Error::custom)
    }
}

/// What became of damaged content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Entries that want it again, from another clone.
    pub wanted: u64,
    /// Entries for which no other clone can be asked.
    pub lost: u64,
}

/// Who has a root here, each with all its other clones: those that reported it first, then the one that
/// announced it.
const HOLDERS: &str = "
    SELECT d.id, d.state, l.site AS other
    FROM data d
    LEFT JOIN location l ON l.channel = d.channel AND l.site <> ?2
        AND l.deleted = 0 AND l.is_foreign = 0 AND l.state = 'listed'
    LEFT JOIN present_at p ON p.channel = d.channel AND p.site = l.site AND p.root = d.root AND p.at > 0
    WHERE d.root = ?1 AND d.held = 1
    ORDER BY d.id, p.site IS NULL, l.site IS NOT d.site, l.site";

const GIVE_UP: &str = "
    UPDATE data SET held = 0, local = 0, present_seq = NULL, state = j.value ->> 1,
        site = coalesce(j.value ->> 2, site), error = j.value ->> 3
    FROM json_each(?1) j WHERE data.id = j.value ->> 0";

const LOST: &str = "it was found damaged here, and there is no other clone";

impl Catalog {
    /// Contents that are held, in the order of their roots: each root and its size.
    pub async fn held_after(
        &self,
        after: Option<&Digest>,
        limit: u32,
    ) -> Result<Vec<(Digest, u64)>, CatalogError> {
        let after: &[u8] = after.map_or(&[], |root| &root.0);
        let rows = sqlx::query(
            "SELECT root, max(size) AS size FROM data INDEXED BY data_root
             WHERE root > ?1 AND held = 1 GROUP BY root ORDER BY root LIMIT ?2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let pair = |row| Ok((checked(row, "root", Digest::from_slice)?, number(row, "size")?));
        rows.iter().map(pair).collect()
    }

    /// AUDIT-17: the bytes of a root are not what they were: whoever has them wants them again, from
    /// a clone that reported them, or from any other.
    pub async fn give_up_held(&self, root: &Digest, here: SiteNo) -> Result<GivenUp, CatalogError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(HOLDERS).bind(&root.0[..]).bind(here).fetch_all(&mut *tx).await?;
        let mut given_up = GivenUp::default();
        let mut changes: Vec<(WantedNo, &str, Option<SiteNo>, Option<&str>)> = Vec::new();
        for row in &rows {
            let id: WantedNo = row.try_get("id")?;
            if changes.last().is_some_and(|(last, ..)| *last == id) {
                continue;
            }
            let other: Option<SiteNo> = row.try_get("other")?;
            changes.push(match (parsed(row, "state")?, other) {
                (DataState::Superseded, _) => (id, "superseded", None, None),
                (_, None) => {
                    given_up.lost += 1;
                    (id, "failed", None, Some(LOST))
                }
                (_, Some(other)) => {
                    given_up.wanted += 1;
                    (id, "wanted", Some(other), None)
                }
            });
        }
        sqlx::query(GIVE_UP).bind(list(changes)).execute(&mut *tx).await?;
        self.commit(tx).await?;
        Ok(given_up)
    }

    /// How far the files have been read again.
    pub async fn scrub_mark(&self) -> Result<ScrubMark, CatalogError> {
        scrub_mark_in(&mut *self.reader().await?).await
    }

    /// Keeps how far they have been read.
    pub async fn set_scrub_mark(&self, mark: &ScrubMark) -> Result<(), CatalogError> {
        let text = serde_json::to_string(mark).expect("plain values always encode");
        let mut tx = self.begin().await?;
        sqlx::query("INSERT OR REPLACE INTO hub (key, value) VALUES ('scrub', ?1)")
            .bind(text)
            .execute(&mut *tx)
            .await?;
        self.commit(tx).await
    }
}

pub(super) async fn scrub_mark_in(
    connection: &mut SqliteConnection,
) -> Result<ScrubMark, CatalogError> {
    let text: Option<String> = sqlx::query_scalar("SELECT value FROM hub WHERE key = 'scrub'")
        .fetch_optional(connection)
        .await?;
    // A mark that cannot be read is as good as none: the pass begins anew.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}
