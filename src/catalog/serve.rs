//! What may be served: contents of one channel, and whether their bytes are here.
//!
//! Owns: the look-up by name. Not here: who may ask, the bytes.
//! Invariant: a channel is never answered with another channel's contents, though storage shares them.
//! Spec: FETCH-28 to FETCH-30.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zotferry_protocol::ids::{Digest, ResourceId, Role};

use super::columns::{Hex, checked, integer, list, number, parsed};
use super::data::{Data, DataState, data};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, WantedNo};

/// What bytes are asked for by.
pub type ContentName = (ResourceId, Role, Digest);

/// A content that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The content's name in storage.
    pub root: Digest,
    /// Bytes.
    pub size: u64,
    /// Mime type.
    pub mime: String,
    /// Whether it is wanted, present, superseded or given up.
    pub state: DataState,
    /// Whether its bytes are in storage.
    pub held: bool,
}

impl Catalog {
    /// Whether the bytes of this root are here as the content of some entry of a channel.
    pub async fn has_bytes(&self, channel: ChannelNo, root: &Digest) -> Result<bool, CatalogError> {
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM data d INDEXED BY data_root
                            WHERE d.root = ?2 AND d.held = 1 AND d.channel = ?1 AND d.state = 'present')",
        )
        .bind(channel)
        .bind(root.0.as_slice())
        .fetch_one(&mut *self.reader().await?)
        .await?;
        Ok(found)
    }

    /// Those of some contents whose bytes a channel has, under whatever names and in use or replaced, and how many bytes.
    /// What only another channel has is not among them.
    pub async fn holding(
        &self,
        channel: ChannelNo,
        roots: &[Digest],
    ) -> Result<HashMap<Digest, u64>, CatalogError> {
        let rows = sqlx::query(
            "SELECT d.root, d.size FROM json_each(?2) j CROSS JOIN data d INDEXED BY data_root
             WHERE d.root = unhex(j.value) AND d.held = 1 AND d.channel = ?1",
        )
        .bind(channel)
        .bind(list(roots.iter().map(|root| Hex(&root.0))))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let held =
            |row: &SqliteRow| Ok((checked(row, "root", Digest::from_slice)?, number(row, "size")?));
        rows.iter().map(held).collect()
    }

    /// The other rows of the same content of a channel, which share its partial file.
    pub async fn twins(&self, of: &Data) -> Result<Vec<WantedNo>, CatalogError> {
        let rows = sqlx::query_scalar(
            "SELECT id FROM data INDEXED BY data_root
             WHERE root = ?2 AND channel = ?1 AND size = ?3 AND id <> ?4 ORDER BY id",
        )
        .bind(of.channel)
        .bind(of.root.as_bytes())
        .bind(integer(of.size)?)
        .bind(of.id)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        Ok(rows)
    }

    /// Roots of other contents of the same entry that are in storage, the latest first: what a new
    /// revision may be copied from.
    pub async fn earlier_contents(&self, of: &Data) -> Result<Vec<Digest>, CatalogError> {
        let rows = sqlx::query(
            "SELECT root FROM data WHERE channel = ?1 AND hash = ?2 AND role = ?3 AND held = 1
             AND root <> ?4 ORDER BY id DESC LIMIT 4",
        )
        .bind(of.channel)
        .bind(of.hash.as_str())
        .bind(of.role.as_str())
        .bind(of.root.as_bytes())
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(|row| checked(row, "root", Digest::from_slice)).collect()
    }

    /// What an entry has, or is to have, in a role: present, wanted or given up.
    pub async fn content_of(
        &self,
        channel: ChannelNo,
        hash: &ResourceId,
        role: Role,
    ) -> Result<Option<Data>, CatalogError> {
        let row = sqlx::query(
            "SELECT * FROM data
             WHERE channel = ?1 AND hash = ?2 AND role = ?3 AND state <> 'superseded'",
        )
        .bind(channel)
        .bind(hash.as_str())
        .bind(role.as_str())
        .fetch_optional(&mut *self.reader().await?)
        .await?;
        row.as_ref().map(data).transpose()
    }

    /// Looks many contents up, in the order asked; `None` where this channel has no such content. One that it had
    /// (FETCH-29) is superseded, not held, and without a size.
    pub async fn serve_lookup(
        &self,
        channel: ChannelNo,
        names: &[ContentName],
    ) -> Result<Vec<Option<Served>>, CatalogError> {
        let asked = list(names.iter().map(|(hash, role, root)| (hash, role, Hex(&root.0))));
        let mut reader = self.reader().await?;
        let rows = sqlx::query(
            "SELECT j.key, d.size, d.mime, d.state, d.held FROM json_each(?2) j CROSS JOIN data d
             WHERE d.channel = ?1 AND d.hash = j.value ->> 0 AND d.role = j.value ->> 1
               AND d.root = unhex(j.value ->> 2)",
        )
        .bind(channel)
        .bind(&asked)
        .fetch_all(&mut *reader)
        .await?;
        let mut found = rows.iter().map(found).collect::<Result<HashMap<_, _>, _>>()?;
        if found.len() < names.len() {
            let gone = sqlx::query(GONE).bind(channel).bind(&asked).fetch_all(&mut *reader).await?;
            for row in &gone {
                let about = (0, String::new(), DataState::Superseded, false);
                found.entry(row.try_get("key")?).or_insert(about);
            }
        }
        let served = names.iter().zip(0_i64..).map(|((_, _, root), index)| {
            let (size, mime, state, held) = found.remove(&index)?;
            Some(Served { root: *root, size, mime, state, held })
        });
        Ok(served.collect())
    }
}

const GONE: &str = "SELECT j.key FROM json_each(?2) j CROSS JOIN gone g
    WHERE g.channel = ?1 AND g.hash = j.value ->> 0 AND g.role = j.value ->> 1
      AND g.root = unhex(j.value ->> 2)";

type Found = (u64, String, DataState, bool);

fn found(row: &SqliteRow) -> Result<(i64, Found), CatalogError> {
    let (size, state) = (number(row, "size")?, parsed(row, "state")?);
    let about = (size, row.try_get("mime")?, state, row.try_get("held")?);
    Ok((row.try_get("key")?, about))
}
