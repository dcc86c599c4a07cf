//! Small contents and digest pages, as rows of `small.sqlite`.
//!
//! Owns: its tables and what is asked of them. Not here: the file and its connections (`rows`);
//! content in files.
//! Invariant: a row that was reported stored survives a power loss (WAL, synchronous=FULL: the
//! log is synced before a transaction ends).
//!
//! A file of its own per small content costs a create, a write, two syncs and a rename; hundreds
//! of rows share one transaction and one sync.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, QueryBuilder, Row, Sqlite};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::merkle;

use super::super::{Result, StorageError};
use super::folder::Folder;
use super::rows::{Rows, Schema, told};

/// Rows in one statement; SQLite takes 32,766 parameters, but statements of one shape are reused.
const ROWS: usize = 64;
/// Roots asked for in one query.
const ASKED: usize = 256;

const SCHEMA: Schema = Schema {
    version: 2,
    create: CREATE,
    upgrades: &[CHUNKS],
    probes: &[
        "SELECT root, bytes FROM content ORDER BY root DESC LIMIT 1",
        "SELECT root, chunks, page, subtree, digests FROM page ORDER BY root DESC LIMIT 1",
    ],
};

const CREATE: &str = "
CREATE TABLE content (
    root BLOB NOT NULL PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE page (
    root BLOB NOT NULL,
    chunks INTEGER NOT NULL, -- of the content, as its size says
    page INTEGER NOT NULL,
    subtree BLOB NOT NULL, -- root of the subtree over these digests
    digests BLOB NOT NULL, -- 32 bytes each, at most 4096
    PRIMARY KEY (root, chunks, page)
) STRICT;
";

/// From 1 to 2: pages belong to a root and a number of chunks. Whole lists keep theirs; what was begun is asked for again.
const CHUNKS: &str = "
ALTER TABLE page RENAME TO page_1;
CREATE TABLE page (
    root BLOB NOT NULL,
    chunks INTEGER NOT NULL,
    page INTEGER NOT NULL,
    subtree BLOB NOT NULL,
    digests BLOB NOT NULL,
    PRIMARY KEY (root, chunks, page)
) STRICT;
INSERT INTO page (root, chunks, page, subtree, digests)
    SELECT root, (SELECT sum(length(digests)) / 32 FROM page_1 every WHERE every.root = one.root),
           page, subtree, digests
    FROM page_1 one;
DROP TABLE page_1;
";

/// Rows by root.
pub(super) struct Small(Rows);

impl Small {
    /// Makes the database of a storage that holds nothing yet.
    pub(super) fn create(folder: &Folder, dir: &Path) -> Result<()> {
        Rows::create(folder, dir, &SCHEMA)
    }

    /// Opens the database of a storage that may hold something.
    pub(super) fn open(folder: &Folder, dir: &Path) -> Result<Self> {
        Rows::open(folder, dir, &SCHEMA).map(Self)
    }

    /// Whether anything can still be written.
    pub(super) fn health(&self) -> Result<()> {
        self.0.health()
    }

    /// Whether nothing was ever put here, or all of it was removed.
    pub(super) fn is_empty(&self) -> Result<bool> {
        let row = self.0.query(async |connection| {
            sqlx::query("SELECT 1 FROM content UNION ALL SELECT 1 FROM page LIMIT 1")
                .fetch_optional(connection)
                .await
        })?;
        Ok(row.is_none())
    }

    /// Stores contents in one transaction; those that are here already stay.
    pub(super) fn put(&self, items: &[&(Digest, Bytes)]) -> Result<()> {
        self.0.write(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for group in items.chunks(ROWS) {
                let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO content (root, bytes) ");
                insert.push_values(group, |mut row, (root, bytes)| {
                    row.push_bind(root.as_bytes()).push_bind(&bytes[..]);
                });
                insert.push(" ON CONFLICT DO NOTHING");
                insert.build().execute(&mut *transaction).await?;
            }
            transaction.commit().await
        })
    }

    /// One content.
    pub(super) fn read(&self, root: &Digest) -> Result<Option<Bytes>> {
        Ok(self.read_many(std::slice::from_ref(root))?.pop().flatten())
    }

    /// Many contents, in the order asked.
    pub(super) fn read_many(&self, roots: &[Digest]) -> Result<Vec<Option<Bytes>>> {
        let mut found = Vec::with_capacity(roots.len());
        for asked in roots.chunks(ASKED) {
            found.extend(self.read_some(asked)?);
        }
        Ok(found)
    }

    fn read_some(&self, roots: &[Digest]) -> Result<Vec<Option<Bytes>>> {
        let mut select =
            QueryBuilder::<Sqlite>::new("SELECT root, bytes FROM content WHERE root IN (");
        let mut list = select.separated(", ");
        for root in roots {
            list.push_bind(root.as_bytes());
        }
        select.push(")");
        let found = self.0.query(async |connection| select.build().fetch_all(connection).await)?;
        let by_root = found
            .iter()
            .map(|row| Ok((digest(row, "root")?, Bytes::copy_from_slice(blob(row, "bytes")?))))
            .collect::<Result<HashMap<_, _>>>()?;
        Ok(roots.iter().map(|root| by_root.get(root).cloned()).collect())
    }

    /// Whether a content is here.
    pub(super) fn contains(&self, root: &Digest) -> Result<bool> {
        let row = self.0.query(async |connection| {
            sqlx::query("SELECT 1 FROM content WHERE root = ?")
                .bind(root.as_bytes())
                .fetch_optional(connection)
                .await
        })?;
        Ok(row.is_some())
    }

    /// Stores one digest page.
    pub(super) fn put_page(
        &self,
        root: &Digest,
        chunks: u32,
        page: u32,
        digests: &[Digest],
    ) -> Result<()> {
        let subtree = merkle::root(digests);
        let joined: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
        self.0.write(async |connection| {
            sqlx::query(
                "INSERT INTO page (root, chunks, page, subtree, digests) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (root, chunks, page) DO UPDATE SET
                     subtree = excluded.subtree, digests = excluded.digests",
            )
            .bind(root.as_bytes())
            .bind(chunks)
            .bind(page)
            .bind(subtree.as_bytes())
            .bind(joined)
            .execute(connection)
            .await
            .map(drop)
        })
    }

    /// The digests of one page.
    pub(super) fn page(
        &self,
        root: &Digest,
        chunks: u32,
        page: u32,
    ) -> Result<Option<Vec<Digest>>> {
        let row = self.0.query(async |connection| {
            sqlx::query("SELECT digests FROM page WHERE root = ? AND chunks = ? AND page = ?")
                .bind(root.as_bytes())
                .bind(chunks)
                .bind(page)
                .fetch_optional(connection)
                .await
        })?;
        let Some(row) = row else { return Ok(None) };
        let (digests, rest) = blob(&row, "digests")?.as_chunks();
        if !rest.is_empty() {
            return Err(StorageError::Damaged("a digest page"));
        }
        Ok(Some(digests.iter().copied().map(Digest).collect()))
    }

    /// The subtree roots of pages 0, 1, ... without a gap.
    pub(super) fn page_roots(&self, root: &Digest, chunks: u32) -> Result<Option<Vec<Digest>>> {
        let pages = self.0.query(async |connection| {
            sqlx::query(
                "SELECT page, subtree FROM page WHERE root = ? AND chunks = ? ORDER BY page",
            )
            .bind(root.as_bytes())
            .bind(chunks)
            .fetch_all(connection)
            .await
        })?;
        let mut roots = Vec::with_capacity(pages.len());
        for row in &pages {
            let page: i64 = row.try_get("page").map_err(told("reading a digest page"))?;
            if page != roots.len() as i64 {
                return Ok(None);
            }
            roots.push(digest(row, "subtree")?);
        }
        Ok((!roots.is_empty()).then_some(roots))
    }

    /// Removes content and digest pages.
    pub(super) fn remove(&self, root: &Digest) -> Result<()> {
        self.0.write(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for delete in ["DELETE FROM content WHERE root = ?", "DELETE FROM page WHERE root = ?"]
            {
                sqlx::query(delete).bind(root.as_bytes()).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        })
    }
}

#[cfg(test)]
impl Small {
    /// Pretends that another program wrote the schema.
    pub(super) fn set_user_version(&self, version: u32) {
        self.pragma(format!("PRAGMA user_version = {version}"));
    }

    /// Puts the pages into a table as the first release had it.
    pub(super) fn make_first_schema(&self) {
        self.pragma(
            "CREATE TABLE first (root BLOB NOT NULL, page INTEGER NOT NULL, subtree BLOB NOT NULL,
                 digests BLOB NOT NULL, PRIMARY KEY (root, page)) STRICT;
             INSERT INTO first SELECT root, page, subtree, digests FROM page;
             DROP TABLE page;
             ALTER TABLE first RENAME TO page;
             PRAGMA user_version = 1"
                .into(),
        );
    }

    /// Makes the database full at so many pages.
    pub(super) fn limit_pages(&self, pages: u32) {
        self.pragma(format!("PRAGMA max_page_count = {pages}"));
    }

    /// Moves every row from the log into the file.
    pub(super) fn empty_log(&self) {
        self.pragma("PRAGMA wal_checkpoint(TRUNCATE)".into());
    }

    /// Changes the file as nobody should.
    pub(super) fn pragma(&self, pragma: String) {
        self.0
            .write(async |connection| {
                sqlx::raw_sql(sqlx::AssertSqlSafe(pragma)).execute(connection).await.map(drop)
            })
            .expect("a pragma");
    }
}

fn blob<'r>(row: &'r SqliteRow, column: &'static str) -> Result<&'r [u8]> {
    row.try_get(column).map_err(told("reading a row"))
}

fn digest(row: &SqliteRow, column: &'static str) -> Result<Digest> {
    Digest::from_slice(blob(row, column)?).map_err(|_| StorageError::Damaged("a row's digest"))
}
