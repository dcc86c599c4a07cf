//! A folder as it is told: a few columns of each entry, and the state of its bytes.
//!
//! Owns: one statement for a page of a folder. Not here: whole rows (`tree`).
//! Spec: SYNC-41.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zotferry_protocol::ids::ResourceId;

use super::attach::{Attach, folder_text};
use super::columns::damage;
use super::data::{Data, DataState};
use super::error::CatalogError;
use super::tree::marked;
use super::{Catalog, ChannelNo, WantedNo};

/// An entry, told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub hash: ResourceId,
    /// Its name.
    pub filename: String,
    /// What it is shown as.
    pub shown: String,
    /// Mime type.
    pub filetype: String,
    /// Bytes.
    pub filesize: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    pub edited: String,
    /// How often its content was replaced.
    pub revision: u64,
    /// The row and state of its bytes.
    pub content: Option<(WantedNo, DataState)>,
    /// Why they were given up.
    pub error: Option<String>,
}

impl Listed {
    /// An entry and its bytes that were read already.
    pub fn of(row: Attach, shown: String, content: Option<Data>) -> Self {
        Self {
            hash: row.hash,
            filename: row.filename,
            shown,
            filetype: row.filetype,
            filesize: row.filesize,
            is_dir: row.is_dir,
            edited: row.edited,
            revision: row.revision,
            content: content.as_ref().map(|data| (data.id, data.state)),
            error: content.and_then(|data| data.error),
        }
    }
}

impl Catalog {
    /// A page of a folder (`None`: the top) in the order of names; `after` is the last name and id of the page
    /// before.
    pub async fn listing(
        &self,
        channel: ChannelNo,
        folder: Option<&ResourceId>,
        after: Option<(&str, &ResourceId)>,
        limit: u32,
    ) -> Result<Vec<Listed>, CatalogError> {
        let (name, hash) = after.map_or(("", ""), |(name, hash)| (name, hash.as_str()));
        let rows = sqlx::query(
            "SELECT json_array(a.hash, a.filename, a.filetype, a.filesize, a.is_dir, a.edited, a.revision,
                    d.id, d.state, d.error) AS entry
             FROM attach a INDEXED BY attach_folder
             LEFT JOIN data d ON d.channel = a.channel AND d.hash = a.hash AND d.role = 'file'
                  AND d.state <> 'superseded'
             WHERE a.channel = ?1 AND a.folder = ?2 AND (a.filename, a.hash) > (?3, ?4) AND a.alive = 1
             ORDER BY a.filename, a.hash LIMIT ?5",
        )
        .bind(channel)
        .bind(folder_text(folder))
        .bind(name)
        .bind(hash)
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut before = after.map(|(name, _)| name.to_owned());
        let mut page = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut entry = listed(row)?;
            // Whoever has the smallest id comes first, and bears the name.
            if before.as_ref() == Some(&entry.filename) {
                entry.shown = marked(&entry.filename, &entry.hash);
            }
            before = Some(entry.filename.clone());
            page.push(entry);
        }
        Ok(page)
    }
}

/// The columns of an entry, in the order of the statement.
type Columns = (
    String,
    String,
    String,
    u64,
    u8,
    String,
    u64,
    Option<WantedNo>,
    Option<String>,
    Option<String>,
);

/// One value for a whole row: each costs a copy and an allocation of its own on its way out of SQLite.
fn listed(row: &SqliteRow) -> Result<Listed, CatalogError> {
    let text: &str = row.try_get("entry")?;
    let columns: Columns = serde_json::from_str(text).map_err(|why| damage("entry", &why))?;
    let (hash, filename, filetype, filesize, is_dir, edited, revision, id, state, error) = columns;
    let state = state.map(|state| state.parse::<DataState>()).transpose();
    let state = state.map_err(|why| damage("state", &why))?;
    Ok(Listed {
        hash: hash.parse().map_err(|why| damage("hash", &why))?,
        shown: filename.clone(),
        filename,
        filetype,
        filesize,
        is_dir: is_dir != 0,
        edited,
        revision,
        content: id.zip(state),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{Fixture, entry};

    /// SYNC-41: pages of any size give the names that a look at each entry gives.
    #[tokio::test]
    async fn a_listing_shows_what_each_entry_is_shown_as() {
        let hub = Fixture::create().await;
        let names = ["a", "b.txt", "b.txt", "b.txt", "c", "c", "d"];
        let rows: Vec<Attach> = (0..)
            .zip(names)
            .map(|(n, name)| entry(&format!("{:04}-{n}", 9000 - 7 * n), None, name))
            .collect();
        hub.store(&rows).await;
        let children = hub.children(hub.alice, None, None, 99).await.expect("read");
        let expected = hub.shown_names(hub.alice, &children).await.expect("read");
        assert_eq!(expected.iter().filter(|name| name.contains('(')).count(), 3);
        for size in 1..=8 {
            let (mut found, mut after) = (Vec::new(), None::<Listed>);
            loop {
                let from = after.as_ref().map(|last| (last.filename.as_str(), &last.hash));
                let page = hub.listing(hub.alice, None, from, size).await.expect("read");
                let Some(last) = page.last() else { break };
                after = Some(last.clone());
                found.extend(page.into_iter().map(|entry| entry.shown));
            }
            assert_eq!(found, expected, "pages of {size}");
        }
    }
}
