//! Entries as a tree of names.
//!
//! Owns: walking from a path to an entry and back, listing a folder. Not here: the rows' columns.
//! Invariant: a walk ends, whatever the parents say (concurrent moves may have made a cycle).
//! Spec: SYNC-5, SYNC-6.

use std::collections::HashMap;

use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::ResourceId;

use super::attach::{Attach, attach, folder_text};
use super::columns::list;
use super::error::CatalogError;
use super::{Catalog, ChannelNo};

/// Of two entries of one name in one folder the smaller hash is the one that bears it.
///
/// CROSS JOIN, here and below: the walk is the outer loop. The planner, which does not know that it
/// has a few rows, would rather read all entries of the channel.
const WALK: &str = "
    WITH RECURSIVE walk (depth, hash) AS (
        VALUES (0, '')
        UNION ALL
        SELECT depth + 1, (
            SELECT a.hash FROM attach a INDEXED BY attach_folder
            WHERE a.channel = ?1 AND a.folder = walk.hash AND a.filename = (?2 ->> walk.depth) AND a.alive = 1
              AND (a.is_dir OR walk.depth + 1 = ?3)
            ORDER BY a.hash LIMIT 1)
        FROM walk WHERE walk.depth < ?3 AND walk.hash IS NOT NULL
    )
    SELECT a.* FROM walk CROSS JOIN attach a ON a.channel = ?1 AND a.hash = walk.hash
    WHERE walk.depth = ?3";

/// UNION drops what was reached before, so that a cycle ends the walk.
macro_rules! ancestors {
    ($folder:literal) => {
        concat!(
            "WITH RECURSIVE up (hash) AS (
                SELECT value FROM json_each(?2)
                UNION
                SELECT a.",
            $folder,
            " FROM up CROSS JOIN attach a ON a.channel = ?1 AND a.hash = up.hash
                WHERE a.",
            $folder,
            " <> ''
            )
            SELECT a.* FROM up CROSS JOIN attach a ON a.channel = ?1 AND a.hash = up.hash"
        )
    };
}

const ANCESTORS: &str = ancestors!("folder");
/// Along what the place registers say, which is what travels.
const REGISTERED: &str = ancestors!("place_folder");

/// Every folder above any of the entries, in one statement.
pub(super) async fn folders_above(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    entries: impl IntoIterator<Item = &Attach>,
) -> Result<HashMap<ResourceId, Attach>, CatalogError> {
    let mut folders: Vec<_> = entries.into_iter().filter_map(|a| a.folder.as_ref()).collect();
    folders.sort();
    folders.dedup();
    let rows =
        sqlx::query(ANCESTORS).bind(channel).bind(list(folders)).fetch_all(connection).await?;
    rows.iter().map(|row| attach(row).map(|a| (a.hash.clone(), a))).collect()
}

/// The folders above one, itself included.
pub(super) async fn above(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    folder: &ResourceId,
) -> Result<HashMap<ResourceId, Attach>, CatalogError> {
    let rows =
        sqlx::query(ANCESTORS).bind(channel).bind(list([folder])).fetch_all(connection).await?;
    rows.iter().map(|row| attach(row).map(|a| (a.hash.clone(), a))).collect()
}

/// The entry at a path of names, from the top; of namesakes the one whose shown name it is.
pub(super) async fn walk<S: AsRef<str>>(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    names: &[S],
) -> Result<Option<Attach>, CatalogError> {
    let depth = i64::try_from(names.len()).unwrap_or(i64::MAX);
    let row = sqlx::query(WALK)
        .bind(channel)
        .bind(list(names.iter().map(AsRef::as_ref)))
        .bind(depth)
        .fetch_optional(&mut *connection)
        .await?;
    match row {
        Some(row) => attach(&row).map(Some),
        None if names.iter().any(|name| unmarked(name.as_ref()).is_some()) => {
            walk_shown(connection, channel, names).await
        }
        None => Ok(None),
    }
}

/// The same where a name on the way may be a namesake's shown one.
async fn walk_shown<S: AsRef<str>>(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    names: &[S],
) -> Result<Option<Attach>, CatalogError> {
    let mut at: Option<Attach> = None;
    for (depth, name) in names.iter().enumerate() {
        let name = name.as_ref();
        let folder = at.as_ref().map(|a| a.hash.clone());
        let last = depth + 1 == names.len();
        let named = bearers(connection, channel, folder.as_ref(), name).await?;
        let mut found = named.into_iter().find(|a| last || a.is_dir);
        if let (None, Some((plain, mark))) = (&found, unmarked(name)) {
            let named = bearers(connection, channel, folder.as_ref(), &plain).await?;
            let mut later = named.into_iter().skip(1);
            found = later.find(|a| (last || a.is_dir) && a.hash.as_str().starts_with(&mark));
        }
        let Some(found) = found else { return Ok(None) };
        at = Some(found);
    }
    Ok(at)
}

/// All entries of one name in one folder, the one that bears it first.
async fn bearers(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    folder: Option<&ResourceId>,
    name: &str,
) -> Result<Vec<Attach>, CatalogError> {
    let rows = sqlx::query(
        "SELECT * FROM attach WHERE channel = ?1 AND folder = ?2 AND filename = ?3 AND alive = 1
         ORDER BY hash LIMIT 1000",
    )
    .bind(channel)
    .bind(folder_text(folder))
    .bind(name)
    .fetch_all(connection)
    .await?;
    rows.iter().map(attach).collect()
}

/// SYNC-41: what a later namesake is shown as: `name (1a2b).ext`, the first four characters of its id.
pub(super) fn marked(name: &str, hash: &ResourceId) -> String {
    let mark: String = hash.as_str().chars().take(MARK).collect();
    match name.rfind('.') {
        Some(dot) if dot > 0 => format!("{} ({mark}){}", &name[..dot], &name[dot..]),
        _ => format!("{name} ({mark})"),
    }
}

/// SYNC-41: what entries are shown as.
pub(super) async fn shown_in(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    entries: &[&Attach],
) -> Result<Vec<String>, CatalogError> {
    let asked = entries.iter().map(|a| (folder_text(a.folder.as_ref()), &a.filename, &a.hash));
    let rows = sqlx::query(
        "SELECT EXISTS (
             SELECT 1 FROM attach a INDEXED BY attach_folder
             WHERE a.channel = ?1 AND a.folder = j.value ->> 0 AND a.filename = j.value ->> 1
               AND a.hash < j.value ->> 2 AND a.alive = 1) AS later
         FROM json_each(?2) j ORDER BY j.key",
    )
    .bind(channel)
    .bind(list(asked))
    .fetch_all(connection)
    .await?;
    let shown = entries.iter().zip(&rows).map(|(entry, row)| {
        let later: bool = row.try_get("later")?;
        Ok(if later { marked(&entry.filename, &entry.hash) } else { entry.filename.clone() })
    });
    shown.collect()
}

/// Characters of an id in a shown name.
const MARK: usize = 4;

/// A shown name as the name and the mark that it may have been made of.
fn unmarked(shown: &str) -> Option<(String, String)> {
    let close = shown.rfind(')')?;
    let open = shown[..close].rfind(" (")?;
    let mark = &shown[open + 2..close];
    let extension = &shown[close + 1..];
    let fits =
        (1..=MARK).contains(&mark.len()) && (extension.is_empty() || extension.starts_with('.'));
    fits.then(|| (format!("{}{extension}", &shown[..open]), mark.to_owned()))
}

/// What lies in a folder, by name and id, after a given one.
pub(super) async fn children_in(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    folder: Option<&ResourceId>,
    after: Option<(&str, &ResourceId)>,
    limit: u32,
) -> Result<Vec<Attach>, CatalogError> {
    let (name, hash) = after.map_or(("", ""), |(name, hash)| (name, hash.as_str()));
    let rows = sqlx::query(
        "SELECT * FROM attach
         WHERE channel = ?1 AND folder = ?2 AND (filename, hash) > (?3, ?4) AND alive = 1
         ORDER BY filename, hash LIMIT ?5",
    )
    .bind(channel)
    .bind(folder_text(folder))
    .bind(name)
    .bind(hash)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(attach).collect()
}

/// Every folder above any of the entries, as their registers say.
pub(super) async fn registered_above(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    entries: impl IntoIterator<Item = &Attach>,
) -> Result<HashMap<ResourceId, Attach>, CatalogError> {
    let mut folders: Vec<_> = entries.into_iter().filter_map(|a| a.place_folder.as_ref()).collect();
    folders.sort();
    folders.dedup();
    let rows =
        sqlx::query(REGISTERED).bind(channel).bind(list(folders)).fetch_all(connection).await?;
    rows.iter().map(|row| attach(row).map(|a| (a.hash.clone(), a))).collect()
}

/// SYNC-5: those above one entry, the topmost first. In a cycle of moves it begins with the folder that lies
/// in one of the chain, or in the entry.
pub(super) fn registered_chain<'a>(
    folders: &'a HashMap<ResourceId, Attach>,
    entry: &Attach,
) -> Vec<&'a Attach> {
    chain_along(folders, entry, |a| a.place_folder.as_ref())
}

/// The folders above one entry, the topmost first; ends early where a folder is missing or met twice.
pub(super) fn chain<'a>(
    folders: &'a HashMap<ResourceId, Attach>,
    entry: &Attach,
) -> Vec<&'a Attach> {
    chain_along(folders, entry, |a| a.folder.as_ref())
}

fn chain_along<'a>(
    folders: &'a HashMap<ResourceId, Attach>,
    entry: &Attach,
    parent: impl Fn(&Attach) -> Option<&ResourceId>,
) -> Vec<&'a Attach> {
    let mut chain: Vec<&Attach> = Vec::new();
    let mut next = parent(entry);
    while let Some(folder) = next.and_then(|hash| folders.get(hash)) {
        if folder.hash == entry.hash || chain.iter().any(|seen| seen.hash == folder.hash) {
            break;
        }
        chain.push(folder);
        next = parent(folder);
    }
    chain.reverse();
    chain
}

impl Catalog {
    /// The entry at a path of names, from the top. Every name but the last is a folder's.
    pub async fn by_path(
        &self,
        channel: ChannelNo,
        names: &[&str],
    ) -> Result<Option<Attach>, CatalogError> {
        walk(&mut *self.reader().await?, channel, names).await
    }

    /// What lies in a folder (`None`: at the top), by name and hash, after a given one.
    pub async fn children(
        &self,
        channel: ChannelNo,
        folder: Option<&ResourceId>,
        after: Option<(&str, &ResourceId)>,
        limit: u32,
    ) -> Result<Vec<Attach>, CatalogError> {
        children_in(&mut *self.reader().await?, channel, folder, after, limit).await
    }

    /// SYNC-41: what entries are shown as: their names, but for those that another entry in their folder
    /// bears.
    pub async fn shown_names(
        &self,
        channel: ChannelNo,
        entries: &[Attach],
    ) -> Result<Vec<String>, CatalogError> {
        let entries: Vec<&Attach> = entries.iter().collect();
        shown_in(&mut *self.reader().await?, channel, &entries).await
    }

    /// The folders above an entry, the topmost first.
    pub async fn ancestors(
        &self,
        channel: ChannelNo,
        entry: &Attach,
    ) -> Result<Vec<Attach>, CatalogError> {
        let folders = folders_above(&mut *self.reader().await?, channel, [entry]).await?;
        Ok(chain(&folders, entry).into_iter().cloned().collect())
    }

    /// The names from the top down to an entry. `None` when there is no such entry, or when a
    /// folder above it is missing or below it.
    pub async fn path_of(
        &self,
        channel: ChannelNo,
        hash: &ResourceId,
    ) -> Result<Option<Vec<String>>, CatalogError> {
        let Some(entry) = self.entry(channel, hash).await? else {
            return Ok(None);
        };
        let mut path = self.ancestors(channel, &entry).await?;
        let top = path.first().unwrap_or(&entry);
        if top.folder.is_some() {
            return Ok(None);
        }
        path.push(entry);
        Ok(Some(path.into_iter().map(|a| a.filename).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{Fixture, entry, folder, names, resource};

    async fn hub() -> Fixture {
        let hub = Fixture::create().await;
        let rows = [
            folder("d1", None, "docs"),
            folder("d2", Some("d1"), "docs"),
            entry("f1", Some("d2"), "a"),
            entry("f2", Some("d1"), "a"),
            entry("f3", None, "a"),
        ];
        hub.store(&rows).await;
        hub
    }

    /// A path is walked from the top, name by name.
    #[tokio::test]
    async fn a_path_leads_to_its_entry() {
        let hub = hub().await;
        for (path, hash) in [
            (&["docs", "docs", "a"][..], Some("f1")),
            (&["docs", "a"], Some("f2")),
            (&["a"], Some("f3")),
            (&["docs"], Some("d1")),
            (&["a", "a"], None),
            (&["docs", "missing", "a"], None),
            (&["Docs"], None),
            (&[], None),
        ] {
            let found = hub.by_path(hub.alice, path).await.expect("read");
            assert_eq!(found.map(|a| a.hash), hash.map(resource), "{path:?}");
            let Some(hash) = hash else { continue };
            let back = hub.path_of(hub.alice, &resource(hash)).await.expect("read");
            assert_eq!(back, Some(names(path)));
        }
        assert_eq!(hub.path_of(hub.alice, &resource("f9")).await.expect("read"), None);
        assert_eq!(hub.by_path(hub.bob, &["a"]).await.expect("read"), None);
    }

    /// SYNC-6: of two entries of one name the smaller id bears it; only a folder is walked through.
    #[tokio::test]
    async fn the_smaller_id_bears_a_shared_name() {
        let hub = hub().await;
        let rows = [entry("a0", None, "docs"), folder("z9", None, "docs")];
        hub.store(&rows).await;
        let found = hub.by_path(hub.alice, &["docs"]).await.expect("read");
        assert_eq!(found.map(|a| a.hash), Some(resource("a0")));
        let below = hub.by_path(hub.alice, &["docs", "a"]).await.expect("read");
        assert_eq!(below.map(|a| a.hash), Some(resource("f2")));
    }

    /// A folder is read page by page, in the order of bytes.
    #[tokio::test]
    async fn a_folder_is_listed_in_pages() {
        let hub = hub().await;
        let rows = [entry("f4", None, "a"), entry("f5", None, "B"), entry("f6", None, "\u{e9}")];
        hub.store(&rows).await;
        let mut seen: Vec<Attach> = Vec::new();
        loop {
            let after = seen.last().map(|a| (a.filename.as_str(), &a.hash));
            let page = hub.children(hub.alice, None, after, 2).await.expect("read");
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        let order: Vec<_> = seen.iter().map(|a| a.hash.as_str()).collect();
        assert_eq!(order, ["f5", "f3", "f4", "d1", "f6"]);
        let below = hub.children(hub.alice, Some(&resource("d1")), None, 9).await.expect("read");
        assert_eq!(below.iter().map(|a| a.hash.as_str()).collect::<Vec<_>>(), ["f2", "d2"]);
    }

    /// Parents come first; a missing parent and a cycle end the walk.
    #[tokio::test]
    async fn ancestors_come_topmost_first() {
        let hub = hub().await;
        let rows = [
            entry("f7", Some("gone"), "orphan"),
            folder("c1", Some("c2"), "one"),
            folder("c2", Some("c1"), "two"),
            entry("f8", Some("c1"), "lost"),
        ];
        hub.store(&rows).await;
        let ids = async |hash: &str| {
            let a = hub.entry(hub.alice, &resource(hash)).await.expect("read").expect("there");
            let above = hub.ancestors(hub.alice, &a).await.expect("read");
            above.iter().map(|a| a.hash.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ids("f1").await, ["d1", "d2"]);
        assert!(ids("f7").await.is_empty());
        assert_eq!(ids("c1").await, ["c2"]);
        assert_eq!(ids("f8").await, ["c2", "c1"]);
        for hash in ["f7", "c1", "f8"] {
            assert_eq!(hub.path_of(hub.alice, &resource(hash)).await.expect("read"), None);
        }
    }
}
