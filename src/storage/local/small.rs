//! Small contents and digest pages, as rows of `small.sqlite`.
//!
//! Owns: that file, its schema, its one writer and its few readers. Not here: content in files.
//! Invariant: a row that was reported stored survives a power loss (WAL, synchronous=FULL: the
//! log is synced before a transaction ends). After a failed sync nothing is written any more until
//! the storage is opened again (Invariant 4).
//!
//! A file of its own per small content costs a create, a write, two syncs and a rename; hundreds
//! of rows share one transaction and one sync.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Row, Sqlite};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::merkle;

use super::super::{Result, StorageError};
use super::wait::wait;

/// The schema this program writes, kept in `PRAGMA user_version`.
const SCHEMA: i64 = 1;
/// Rows in one statement; SQLite takes 32,766 parameters, but statements of one shape are reused.
const ROWS: usize = 64;
/// Roots asked for in one query.
const ASKED: usize = 256;
/// Readers kept open; more may be open for a moment.
const READERS: usize = 4;
/// Pages in the log before they are copied into the main file.
const CHECKPOINT: &str = "4096";
/// The log is cut to this many bytes after a checkpoint.
const LOG_LIMIT: &str = "67108864";
/// Size of a database page in bytes (measured: see `put_many` in the parent module).
const DB_PAGE: u32 = 8192;

/// `SQLITE_FULL`.
const FULL: u32 = 13;
/// `SQLITE_IOERR_FSYNC`.
const FSYNC_FAILED: u32 = 1034;
/// `SQLITE_IOERR_DIR_FSYNC`.
const FOLDER_FSYNC_FAILED: u32 = 1290;

const CREATE: &str = "
CREATE TABLE content (
    root BLOB NOT NULL PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE page (
    root BLOB NOT NULL,
    page INTEGER NOT NULL,
    subtree BLOB NOT NULL, -- root of the subtree over these digests
    digests BLOB NOT NULL, -- 32 bytes each, at most 4096
    PRIMARY KEY (root, page)
) STRICT;
PRAGMA user_version = 1;
";

/// Rows by root.
pub(super) struct Small {
    path: PathBuf,
    writer: Mutex<Writer>,
    readers: Mutex<Vec<SqliteConnection>>,
}

struct Writer {
    connection: SqliteConnection,
    failed: bool,
}

impl Small {
    /// Opens the database, which exists as a plain file, empty at first.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut connection = wait(options(path).connect()).map_err(rows("opening small.sqlite"))?;
        wait(prepare(&mut connection))?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(Writer { connection, failed: false }),
            readers: Mutex::default(),
        })
    }

    /// Stores contents in one transaction; those that are here already stay.
    pub(super) fn put(&self, items: &[&(Digest, Bytes)]) -> Result<()> {
        self.write(async |connection| {
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
        let found = self.query(async |connection| select.build().fetch_all(connection).await)?;
        let by_root = found
            .iter()
            .map(|row| Ok((digest(row, "root")?, Bytes::copy_from_slice(blob(row, "bytes")?))))
            .collect::<Result<HashMap<_, _>>>()?;
        Ok(roots.iter().map(|root| by_root.get(root).cloned()).collect())
    }

    /// Whether a content is here.
    pub(super) fn contains(&self, root: &Digest) -> Result<bool> {
        let row = self.query(async |connection| {
            sqlx::query("SELECT 1 FROM content WHERE root = ?")
                .bind(root.as_bytes())
                .fetch_optional(connection)
                .await
        })?;
        Ok(row.is_some())
    }

    /// Stores one digest page.
    pub(super) fn put_page(&self, root: &Digest, page: u32, digests: &[Digest]) -> Result<()> {
        let subtree = merkle::root(digests);
        let joined: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
        self.write(async |connection| {
            sqlx::query(
                "INSERT INTO page (root, page, subtree, digests) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
            )
            .bind(root.as_bytes())
            .bind(page)
            .bind(subtree.as_bytes())
            .bind(joined)
            .execute(connection)
            .await
            .map(drop)
        })
    }

    /// The digests of one page.
    pub(super) fn page(&self, root: &Digest, page: u32) -> Result<Option<Vec<Digest>>> {
        let row = self.query(async |connection| {
            sqlx::query("SELECT digests FROM page WHERE root = ? AND page = ?")
                .bind(root.as_bytes())
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
    pub(super) fn page_roots(&self, root: &Digest) -> Result<Option<Vec<Digest>>> {
        let pages = self.query(async |connection| {
            sqlx::query("SELECT page, subtree FROM page WHERE root = ? ORDER BY page")
                .bind(root.as_bytes())
                .fetch_all(connection)
                .await
        })?;
        let mut roots = Vec::with_capacity(pages.len());
        for row in &pages {
            let page: i64 = row.try_get("page").map_err(rows("reading a digest page"))?;
            if page != roots.len() as i64 {
                return Ok(None);
            }
            roots.push(digest(row, "subtree")?);
        }
        Ok((!roots.is_empty()).then_some(roots))
    }

    /// Removes content and digest pages.
    pub(super) fn remove(&self, root: &Digest) -> Result<()> {
        self.write(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for delete in ["DELETE FROM content WHERE root = ?", "DELETE FROM page WHERE root = ?"]
            {
                sqlx::query(delete).bind(root.as_bytes()).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        })
    }

    /// Runs `work` on the one writing connection.
    fn write(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<()>,
    ) -> Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.failed {
            return Err(StorageError::Abandoned("small.sqlite"));
        }
        let done = wait(work(&mut writer.connection)).map_err(rows("writing small.sqlite"));
        writer.failed = matches!(done, Err(StorageError::SyncFailed { .. }));
        done
    }

    /// Runs `work` on a reading connection; each is used by one thread at a time.
    fn query<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
    ) -> Result<T> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => wait(options(&self.path).connect()).map_err(rows("opening small.sqlite"))?,
        };
        let found = wait(work(&mut reader)).map_err(rows("reading small.sqlite"))?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS {
            readers.push(reader);
        }
        Ok(found)
    }
}

#[cfg(test)]
impl Small {
    /// Pretends that another program wrote the schema.
    pub(super) fn set_user_version(&self, version: u32) {
        self.pragma(format!("PRAGMA user_version = {version}"));
    }

    /// Makes the database full at so many pages.
    pub(super) fn limit_pages(&self, pages: u32) {
        self.pragma(format!("PRAGMA max_page_count = {pages}"));
    }

    fn pragma(&self, pragma: String) {
        self.write(async |connection| {
            sqlx::raw_sql(sqlx::AssertSqlSafe(pragma)).execute(connection).await.map(drop)
        })
        .expect("a pragma");
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .page_size(DB_PAGE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", CHECKPOINT)
        .pragma("journal_size_limit", LOG_LIMIT)
        .disable_statement_logging()
}

/// Makes the schema in an empty database, and refuses one of a later program.
async fn prepare(connection: &mut SqliteConnection) -> Result<()> {
    let what = "opening small.sqlite";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(rows(what))?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *transaction)
        .await
        .map_err(rows(what))?;
    match version {
        0 => {
            sqlx::raw_sql(CREATE).execute(&mut *transaction).await.map(drop).map_err(rows(what))?
        }
        SCHEMA => {}
        _ => {
            return Err(StorageError::Misuse("small.sqlite was written by a later version"));
        }
    }
    transaction.commit().await.map_err(rows(what))
}

fn blob<'r>(row: &'r SqliteRow, column: &'static str) -> Result<&'r [u8]> {
    row.try_get(column).map_err(rows("reading a row"))
}

fn digest(row: &SqliteRow, column: &'static str) -> Result<Digest> {
    Digest::from_slice(blob(row, column)?).map_err(|_| StorageError::Damaged("a row's digest"))
}

/// Names what was being done; a full disk and a failed sync are told apart from the rest.
fn rows(what: &'static str) -> impl FnOnce(sqlx::Error) -> StorageError {
    move |source| match result_code(&source) {
        Some(FULL) => StorageError::NoSpace(what),
        Some(FSYNC_FAILED | FOLDER_FSYNC_FAILED) => {
            StorageError::SyncFailed { what: "small.sqlite", source: std::io::Error::other(source) }
        }
        _ => StorageError::Rows { what, source },
    }
}

/// SQLite's extended result code.
fn result_code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}
