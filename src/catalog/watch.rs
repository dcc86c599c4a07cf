//! What was mirrored from folders of this machine.
//!
//! Owns: the tables `watch` and `watch_file`. Not here: the folders, the channel's entries.
//! Invariant: a row says that a file with these marks had this content and was in the channel; it
//! says nothing about what either is now.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zotferry_protocol::ids::Digest;

use super::columns::{Hex, integer, list, maybe_checked, number};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, WatchNo};

/// What of a file changes when its content may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Bytes.
    pub size: u64,
    /// Modification time, in ns since 1970.
    pub mtime: i64,
    /// Time of the last change of its inode, in ns since 1970.
    pub ctime: i64,
    /// Its inode.
    pub inode: u64,
}

/// A file or folder that was mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The folder it lies in, from the watched one down; empty for that one itself.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// As it was found.
    pub mark: Mark,
    /// Its content; `None` for a folder.
    pub root: Option<Digest>,
}

impl Watched {
    /// From the watched folder down.
    pub fn path(&self) -> String {
        join(&self.parent, &self.name)
    }
}

/// A path one name longer.
pub fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

/// The folder and the name of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn watched(row: &SqliteRow) -> Result<Watched, CatalogError> {
    Ok(Watched {
        parent: row.try_get("parent")?,
        name: row.try_get("name")?,
        mark: Mark {
            size: number(row, "size")?,
            mtime: row.try_get("mtime")?,
            ctime: row.try_get("ctime")?,
            inode: row.try_get::<i64, _>("inode")?.cast_unsigned(),
        },
        root: maybe_checked(row, "root", Digest::from_slice)?,
    })
}

impl Catalog {
    /// The number of a mirrored folder; it gets one when it is new.
    pub async fn watch(
        &self,
        channel: ChannelNo,
        dir: &str,
        target: &str,
    ) -> Result<WatchNo, CatalogError> {
        let mut tx = self.begin().await?;
        let id = sqlx::query_scalar(
            "INSERT INTO watch (channel, dir, target) VALUES (?1, ?2, ?3)
             ON CONFLICT (channel, dir, target) DO UPDATE SET dir = excluded.dir RETURNING id",
        )
        .bind(channel)
        .bind(dir)
        .bind(target)
        .fetch_one(&mut *tx)
        .await?;
        self.commit(tx).await?;
        Ok(id)
    }

    /// What was mirrored of one folder.
    pub async fn watched_in(
        &self,
        watch: WatchNo,
        parent: &str,
    ) -> Result<Vec<Watched>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM watch_file WHERE watch = ?1 AND parent = ?2")
            .bind(watch)
            .bind(parent)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.iter().map(watched).collect()
    }

    /// What was mirrored at a path.
    pub async fn watched_at(
        &self,
        watch: WatchNo,
        path: &str,
    ) -> Result<Option<Watched>, CatalogError> {
        let (parent, name) = split(path);
        let row =
            sqlx::query("SELECT * FROM watch_file WHERE watch = ?1 AND parent = ?2 AND name = ?3")
                .bind(watch)
                .bind(parent)
                .bind(name)
                .fetch_optional(&mut *self.reader().await?)
                .await?;
        row.as_ref().map(watched).transpose()
    }

    /// What had an inode when it was mirrored.
    pub async fn watched_inode(
        &self,
        watch: WatchNo,
        inode: u64,
    ) -> Result<Vec<Watched>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM watch_file WHERE watch = ?1 AND inode = ?2 LIMIT 16")
            .bind(watch)
            .bind(inode.cast_signed())
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.iter().map(watched).collect()
    }

    /// How many files and folders were mirrored below a path; the empty one for all.
    pub async fn watched_below(&self, watch: WatchNo, path: &str) -> Result<u64, CatalogError> {
        let row = sqlx::query(
            "SELECT count(*) AS n FROM watch_file WHERE watch = ?1
             AND (?2 = '' OR parent = ?2 OR (parent > ?2 || '/' AND parent < ?2 || '0'))",
        )
        .bind(watch)
        .bind(path)
        .fetch_one(&mut *self.reader().await?)
        .await?;
        number(&row, "n")
    }

    /// Records what was mirrored.
    pub async fn watch_keep(
        &self,
        watch: WatchNo,
        rows: impl IntoIterator<Item = &Watched>,
    ) -> Result<(), CatalogError> {
        let mut columns = Vec::new();
        for row in rows {
            let Mark { size, mtime, ctime, inode } = row.mark;
            let root = row.root.as_ref().map(|root| Hex(&root.0));
            let mark = (integer(size)?, mtime, ctime, inode.cast_signed());
            columns.push((&row.parent, &row.name, mark.0, mark.1, mark.2, mark.3, root));
        }
        if columns.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT OR REPLACE INTO watch_file (watch, parent, name, size, mtime, ctime, inode, root)
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                 value ->> 5, unhex(value ->> 6)
             FROM jsonb_each(?2)",
        )
        .bind(watch)
        .bind(list(columns))
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// Forgets paths and all below them.
    pub async fn watch_forget(&self, watch: WatchNo, paths: &[String]) -> Result<(), CatalogError> {
        if paths.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for path in paths {
            let (parent, name) = split(path);
            sqlx::query(
                "DELETE FROM watch_file WHERE watch = ?1 AND ((parent = ?2 AND name = ?3)
                 OR parent = ?4 OR (parent > ?4 || '/' AND parent < ?4 || '0'))",
            )
            .bind(watch)
            .bind(parent)
            .bind(name)
            .bind(path)
            .execute(&mut *tx)
            .await?;
        }
        self.commit(tx).await
    }

    /// A path and all below it have another name now. What was recorded there is forgotten.
    pub async fn watch_move(
        &self,
        watch: WatchNo,
        from: &str,
        to: &str,
    ) -> Result<(), CatalogError> {
        let ((old, name), (new, new_name)) = (split(from), split(to));
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE OR REPLACE watch_file SET parent = ?4, name = ?5
             WHERE watch = ?1 AND parent = ?2 AND name = ?3",
        )
        .bind(watch)
        .bind(old)
        .bind(name)
        .bind(new)
        .bind(new_name)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "UPDATE OR REPLACE watch_file SET parent = ?3 || substr(parent, length(?2) + 1)
             WHERE watch = ?1 AND (parent = ?2 OR (parent > ?2 || '/' AND parent < ?2 || '0'))",
        )
        .bind(watch)
        .bind(from)
        .bind(to)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::Fixture;

    fn row(parent: &str, name: &str, inode: u64, root: Option<u8>) -> Watched {
        let mark = Mark { size: 3, mtime: -5, ctime: 1 << 60, inode };
        let root = root.map(|byte| Digest([byte; 32]));
        Watched { parent: parent.into(), name: name.into(), mark, root }
    }

    async fn paths(hub: &Fixture, watch: WatchNo) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for row in hub.watched_in(watch, &folder).await.expect("read") {
                folders.push(row.path());
                found.push(row.path());
            }
        }
        found.sort();
        found
    }

    /// What was mirrored comes back; a folder moves with all below it and nothing beside it.
    #[tokio::test]
    async fn mirrored_files_are_remembered() {
        let hub = Fixture::create().await;
        let watch = hub.watch(hub.alice, "/tmp/x", "in").await.expect("new");
        assert_eq!(hub.watch(hub.alice, "/tmp/x", "in").await.expect("known"), watch);
        let other = hub.watch(hub.alice, "/tmp/y", "in").await.expect("new");
        assert_ne!(other, watch);
        let rows = [
            row("", "d", u64::MAX, None),
            row("d", "f", 2, Some(1)),
            row("d/e", "g", 3, Some(2)),
            row("", "d.txt", 4, Some(3)),
            row("", "d0", 5, None),
            row("d0", "h", 6, Some(4)),
        ];
        hub.watch_keep(watch, &rows).await.expect("kept");
        assert_eq!(hub.watched_at(watch, "d").await.expect("read").as_ref(), Some(&rows[0]));
        assert_eq!(hub.watched_inode(watch, u64::MAX).await.expect("read"), [rows[0].clone()]);
        assert_eq!(hub.watched_inode(other, 2).await.expect("read"), []);
        assert_eq!(hub.watched_below(watch, "").await.expect("read"), 6);
        assert_eq!(hub.watched_below(watch, "d").await.expect("read"), 2);
        hub.watch_move(watch, "d", "d0/n").await.expect("moved");
        assert_eq!(paths(&hub, watch).await, ["d.txt", "d0", "d0/h", "d0/n", "d0/n/f"]);
        assert!(hub.watched_at(watch, "d0/n/e/g").await.expect("read").is_some());
        hub.watch_forget(watch, &["d0/n".into()]).await.expect("forgotten");
        assert_eq!(paths(&hub, watch).await, ["d.txt", "d0", "d0/h"]);
        assert_eq!(hub.watched_below(watch, "").await.expect("read"), 3);
    }
}
