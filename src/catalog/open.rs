//! Creates a catalog, and opens one after looking whether it can be trusted.
//!
//! Owns: the checks before the first write, the connections' settings, the migrations.
//! Not here: what is in the tables.
//! Invariant: opening never creates; a file that fails a check has not had one byte changed.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use zotferry_protocol::ids::Millis;

use super::bounds::Most;
use super::error::CatalogError;
use super::migrations::{MIGRATIONS, newest};
use super::{Catalog, LastStop, hub, trie};
use crate::durable::SQLITE_HEAP;

/// "ZFRY" in the file's header (sqlite.org/pragma.html#pragma_application_id).
const APPLICATION_ID: i64 = 0x5A46_5259;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How long one writer waits for another process's.
const BUSY: Duration = Duration::from_secs(10);
/// Reading connections beside the writer. Each has a thread and a page cache of its own.
const READERS: u32 = 3;

impl Catalog {
    /// Creates a catalog where nothing is yet, readable by its owner only.
    pub async fn create(path: &Path, now: Millis) -> Result<Self, CatalogError> {
        claim(path)?;
        let mut connection = writing(path).journal_mode(SqliteJournalMode::Wal).connect().await?;
        migrate(&mut connection, path).await?;
        hub::initialise(&mut connection, now).await?;
        // Last, so that a creation cut short is known as such.
        sqlx::query("PRAGMA application_id = 1514558041").execute(&mut connection).await?;
        connection.close().await?;
        Self::open(path).await
    }

    /// Opens an existing catalog. After an unclean stop the whole file is checked first.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        look(path)?;
        let last_stop = probe(path).await.map_err(|error| distrust(path, error))?;
        let writer = pool(writing(path).journal_mode(SqliteJournalMode::Wal), 1).await?;
        migrate(&mut *writer.acquire().await?, path).await?;
        trie::back_fill(&mut *writer.acquire().await?).await?;
        let reading = settings(path).read_only(true).pragma("cache_size", "-1024");
        let readers = pool(reading.clone(), READERS).await?;
        let owner = pool(reading, 1).await?;
        let instance = hub::instance(&mut *writer.acquire().await?).await?;
        let (failed, most) = (AtomicBool::new(false), Most::BOUNDLESS);
        Ok(Self { writer, readers, owner, instance, last_stop, failed, most })
    }
}

/// Takes the path for a new catalog.
fn claim(path: &Path) -> Result<(), CatalogError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => CatalogError::Exists { path: path.into() },
            _ => CatalogError::Io(error),
        })
}

/// Looks at the file without SQLite, which would take an empty file for an empty database.
fn look(path: &Path) -> Result<(), CatalogError> {
    let not_one =
        |detail: &str| CatalogError::NotACatalog { path: path.into(), detail: detail.into() };
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CatalogError::Missing { path: path.into() });
        }
        opened => opened?,
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(not_one("it is not a regular file"));
    }
    if about.len() == 0 {
        return Err(CatalogError::Unfinished { path: path.into() });
    }
    let mut magic = [0; 16];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *MAGIC => Ok(()),
        Ok(()) => Err(not_one("it does not begin like an SQLite database")),
        Err(_) => Err(not_one("it is shorter than an SQLite header")),
    }
}

/// Reads through a connection that cannot write: whose file it is, its schema, and its pages.
async fn probe(path: &Path) -> Result<LastStop, CatalogError> {
    let mut connection = settings(path).read_only(true).connect().await?;
    let found = check(&mut connection, path).await;
    connection.close().await?;
    found
}

async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<LastStop, CatalogError> {
    let owner: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    match owner {
        APPLICATION_ID => {}
        0 => return Err(CatalogError::Unfinished { path: path.into() }),
        _ => {
            let detail = "it is the database of another program".into();
            return Err(CatalogError::NotACatalog { path: path.into(), detail });
        }
    }
    let found: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await?;
    let known = newest();
    if found > known {
        return Err(CatalogError::Newer { path: path.into(), found, known });
    }
    let last_stop = hub::last_stop(&mut *connection).await?;
    if last_stop == LastStop::Unclean {
        quick_check(connection).await?;
    }
    Ok(last_stop)
}

/// Reads every page of every table and index, their order, types and constraints.
async fn quick_check(connection: &mut SqliteConnection) -> Result<(), CatalogError> {
    let findings: Vec<String> =
        sqlx::query_scalar("PRAGMA quick_check(3)").fetch_all(connection).await?;
    match findings.as_slice() {
        [fine] if fine == "ok" => Ok(()),
        _ => Err(CatalogError::Corrupt(findings.join("; ").replace('\n', " "))),
    }
}

/// An error of the probe, with the file's name. A query that this schema must answer and that SQLite refuses is damage too.
fn distrust(path: &Path, error: CatalogError) -> CatalogError {
    let path = PathBuf::from(path);
    match error {
        CatalogError::Corrupt(detail) => CatalogError::Damaged { path, detail },
        CatalogError::Sql(sqlx::Error::Database(error)) if error.code().as_deref() == Some("1") => {
            CatalogError::Damaged { path, detail: error.to_string() }
        }
        CatalogError::Sql(sqlx::Error::RowNotFound) => {
            CatalogError::Damaged { path, detail: "a fact about the catalog is missing".into() }
        }
        other => other,
    }
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), CatalogError> {
    MIGRATIONS.run(connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        MigrateError::VersionMissing(found) => {
            CatalogError::Newer { path: path.into(), found, known: newest() }
        }
        other => CatalogError::Damaged { path: path.into(), detail: other.to_string() },
    })
}

fn settings(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .statement_cache_capacity(128)
        .pragma("soft_heap_limit", SQLITE_HEAP)
        .foreign_keys(true)
}

fn writing(path: &Path) -> SqliteConnectOptions {
    settings(path)
        .synchronous(SqliteSynchronous::Full)
        // KiB. A transaction of 256 entries changes so much; the operating system's page cache stands below it.
        .pragma("cache_size", "-16384")
        // What a statement may have to take back fits: no temporary file for each.
        .pragma("temp_store", "MEMORY")
        // Pages. Entries lie by their random ids, so that most transactions touch the same upper and many other
        // lower pages: what is written back seldom is written back once.
        .pragma("wal_autocheckpoint", "4000")
        // The write-ahead log is cut back to this after a burst.
        .pragma("journal_size_limit", "16777216")
}

async fn pool(options: SqliteConnectOptions, size: u32) -> Result<SqlitePool, CatalogError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(size)
        .acquire_timeout(Duration::from_secs(30))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    Ok(pool)
}
