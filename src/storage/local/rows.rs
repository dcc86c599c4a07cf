//! The file `small.sqlite`: whether it can be trusted, and the connections to it.
//!
//! Owns: its creation, the checks before its use, its one writer and few readers, what its errors
//! mean. Not here: its tables (`small`).
//! Invariant: a file that fails a check has not had one byte changed. After a failed sync nothing
//! is written any more until the storage is opened again (Invariant 4).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::super::{Result, StorageError};
use super::folder::Folder;
use super::wait::wait;
use crate::durable::SQLITE_HEAP;

/// What the file is called.
const NAME: &str = "small.sqlite";
/// How an SQLite file begins, and where in its header the program's number stands
/// (sqlite.org/fileformat.html#the_database_header).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const OWNER_AT: usize = 68;
/// "ZFST".
const OWNER: u32 = 0x5A46_5354;
/// Reading connections; each has a thread and a page cache of its own.
const READERS: usize = 4;
/// Size of a database page in bytes.
const DB_PAGE: u32 = 32_768;
/// Pages in the log before they are copied into the main file: 32 MiB.
const CHECKPOINT: &str = "1024";
/// The log is cut to this many bytes after a checkpoint.
const LOG_LIMIT: &str = "67108864";

/// `SQLITE_CORRUPT`, with its extended codes.
const CORRUPT: u32 = 11;
/// `SQLITE_FULL`.
const FULL: u32 = 13;
/// `SQLITE_NOTADB`.
const NOT_A_DATABASE: u32 = 26;
/// `SQLITE_IOERR_FSYNC`.
const FSYNC_FAILED: u32 = 1034;
/// `SQLITE_IOERR_DIR_FSYNC`.
const FOLDER_FSYNC_FAILED: u32 = 1290;

/// A database that was found to be whole.
pub(super) struct Rows {
    path: PathBuf,
    writer: Mutex<Writer>,
    readers: Mutex<Readers>,
    /// A reading connection came back, or may be opened instead of one that failed.
    returned: Condvar,
}

struct Writer {
    connection: SqliteConnection,
    failed: bool,
}

impl Writer {
    fn health(&self) -> Result<()> {
        if self.failed { Err(StorageError::Abandoned(NAME)) } else { Ok(()) }
    }
}

#[derive(Default)]
struct Readers {
    idle: Vec<SqliteConnection>,
    /// Idle or in use.
    open: usize,
}

/// What the tables must look like.
pub(super) struct Schema {
    /// Its number, kept in `PRAGMA user_version`.
    pub(super) version: i64,
    /// Makes it.
    pub(super) create: &'static str,
    /// What leads from each number to the next, from 1 on.
    pub(super) upgrades: &'static [&'static str],
    /// Queries that a whole file answers.
    pub(super) probes: &'static [&'static str],
}

impl Rows {
    /// Makes the file in a storage that holds nothing yet; what an earlier attempt left is used.
    pub(super) fn create(folder: &Folder, dir: &Path, schema: &Schema) -> Result<()> {
        // Made here, for its permissions; SQLite gives its log the same.
        if folder.size(NAME)?.is_none() {
            folder.create(NAME)?;
            folder.sync()?;
        }
        let path = dir.join(NAME);
        wait(async {
            let mut connection = options(&path).connect().await?;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            if version(&mut transaction).await? == 0 {
                sqlx::raw_sql(schema.create).execute(&mut *transaction).await?;
                let marks = format!(
                    "PRAGMA application_id = {OWNER}; PRAGMA user_version = {}",
                    schema.version
                );
                sqlx::raw_sql(AssertSqlSafe(marks)).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            // Copies the log into the file, whose header then tells whose it is.
            connection.close().await
        })
        .map_err(told("making small.sqlite"))
    }

    /// Opens the file of a storage that may hold something.
    pub(super) fn open(folder: &Folder, dir: &Path, schema: &Schema) -> Result<Self> {
        let path = dir.join(NAME);
        let unusable = |detail: String| StorageError::Unusable { path: path.clone(), detail };
        look(folder)?.map_err(|detail| unusable(detail.into()))?;
        let probed = wait(async {
            let mut connection = options(&path).connect().await?;
            let found = version(&mut connection).await?;
            if (1..schema.version).contains(&found) {
                upgrade(&mut connection, found, schema).await?;
            } else {
                probe(&mut connection, schema).await?;
            }
            Ok((connection, found))
        });
        let (connection, found) =
            probed.map_err(|error: sqlx::Error| match result_code(&error) {
                Some(1) => unusable(error.to_string()),
                Some(code) if is_damage(code) => unusable(error.to_string()),
                _ => told("opening small.sqlite")(error),
            })?;
        if found > schema.version {
            return Err(StorageError::Newer { path, found, known: schema.version });
        }
        Ok(Self {
            path,
            writer: Mutex::new(Writer { connection, failed: false }),
            readers: Mutex::default(),
            returned: Condvar::new(),
        })
    }

    /// Whether anything can still be written.
    pub(super) fn health(&self) -> Result<()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).health()
    }

    /// Runs `work` on the one writing connection.
    pub(super) fn write(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<()>,
    ) -> Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.health()?;
        let done = wait(work(&mut writer.connection)).map_err(told("writing small.sqlite"));
        writer.failed = matches!(done, Err(StorageError::SyncFailed { .. }));
        done
    }

    /// Runs `work` on a reading connection; each is used by one thread at a time.
    pub(super) fn query<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
    ) -> Result<T> {
        let mut reader = Reader { rows: self, connection: self.idle() };
        let connection = match reader.connection.take() {
            Some(connection) => connection,
            None => wait(options(&self.path).connect()).map_err(told("opening small.sqlite"))?,
        };
        let found = wait(work(reader.connection.insert(connection)));
        if found.is_err() {
            reader.connection = None;
        }
        found.map_err(told("reading small.sqlite"))
    }

    /// An idle connection, or leave to open one; waits for one of those.
    fn idle(&self) -> Option<SqliteConnection> {
        let full = |readers: &mut Readers| readers.idle.is_empty() && readers.open == READERS;
        let mut readers =
            self.returned.wait_while(self.readers(), full).unwrap_or_else(PoisonError::into_inner);
        let idle = readers.idle.pop();
        readers.open += usize::from(idle.is_none());
        idle
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The use of one of the reading connections.
struct Reader<'r> {
    rows: &'r Rows,
    /// Kept for the next one; `None` when it failed.
    connection: Option<SqliteConnection>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut readers = self.rows.readers();
        match self.connection.take() {
            Some(connection) => readers.idle.push(connection),
            None => readers.open -= 1,
        }
        self.rows.returned.notify_one();
    }
}

/// Looks at the file without SQLite, which would take an empty file for an empty database.
fn look(folder: &Folder) -> Result<std::result::Result<(), &'static str>> {
    let Some(mut file) = folder.read(NAME)? else {
        return Ok(Err("it is missing"));
    };
    let mut header = [0; OWNER_AT + 4];
    if file.read_exact(&mut header).is_err() {
        return Ok(Err("it is shorter than an SQLite header"));
    }
    if !header.starts_with(MAGIC) {
        return Ok(Err("it does not begin like an SQLite database"));
    }
    if header[OWNER_AT..] != OWNER.to_be_bytes() {
        return Ok(Err("it is the database of another program"));
    }
    Ok(Ok(()))
}

/// Brings tables of an earlier release to what this one knows, and looks at them: all of it or nothing.
async fn upgrade(
    connection: &mut SqliteConnection,
    found: i64,
    schema: &Schema,
) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (_, upgrade) in (1..).zip(schema.upgrades).filter(|(number, _)| *number >= found) {
        sqlx::raw_sql(*upgrade).execute(&mut *transaction).await?;
    }
    let mark = format!("PRAGMA user_version = {}", schema.version);
    sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await?;
    probe(&mut transaction, schema).await?;
    transaction.commit().await
}

/// Asks what a whole file answers.
async fn probe(connection: &mut SqliteConnection, schema: &Schema) -> sqlx::Result<()> {
    for &probe in schema.probes {
        sqlx::raw_sql(probe).fetch_optional(&mut *connection).await?;
    }
    Ok(())
}

async fn version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .page_size(DB_PAGE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("soft_heap_limit", SQLITE_HEAP)
        .pragma("wal_autocheckpoint", CHECKPOINT)
        .pragma("journal_size_limit", LOG_LIMIT)
        .disable_statement_logging()
}

/// Names what was being done; a full disk, a failed sync and damage are told apart from the rest.
pub(super) fn told(what: &'static str) -> impl FnOnce(sqlx::Error) -> StorageError {
    move |source| match result_code(&source) {
        Some(FULL) => StorageError::NoSpace(what),
        Some(FSYNC_FAILED | FOLDER_FSYNC_FAILED) => {
            StorageError::SyncFailed { what: NAME, source: std::io::Error::other(source) }
        }
        Some(code) if is_damage(code) => {
            tracing::error!(error = %source, "{NAME} is damaged");
            StorageError::Damaged(NAME)
        }
        _ => StorageError::Rows { what, source },
    }
}

fn is_damage(code: u32) -> bool {
    matches!(code & 0xff, CORRUPT | NOT_A_DATABASE)
}

/// SQLite's extended result code.
fn result_code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}
