//! Creating, opening, and refusing to open.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::catalog::testing::{Fixture, NOW, entry, folder};
use crate::catalog::{Catalog, CatalogError, LastStop};

/// The refusal, after checking that its text names the file and a way out, and that the file is as it was.
async fn refused(path: &Path) -> CatalogError {
    let before = std::fs::read(path).ok();
    let error = Catalog::open(path).await.expect_err("must not open");
    assert_eq!(std::fs::read(path).ok(), before, "the file was left untouched");
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(text.contains("backup"), "{text}");
    error
}

/// Overwrites the file from `at` on with its complement.
fn damage(path: &Path, at: usize, len: usize) {
    let mut bytes = std::fs::read(path).expect("readable");
    bytes[at..at + len].iter_mut().for_each(|byte| *byte = !*byte);
    std::fs::write(path, bytes).expect("writable");
}

/// A catalog of a few hundred pages that was stopped as asked.
async fn populated(stop: LastStop) -> Fixture {
    let hub = Fixture::create().await;
    if stop == LastStop::Unclean {
        hub.mark_running().await.expect("marked");
    }
    let files = (0..3000).map(|n| entry(&format!("f{n}"), Some("d"), &format!("name {n}")));
    hub.store(&files.chain([folder("d", None, "docs")]).collect::<Vec<_>>()).await;
    hub.close().await;
    hub
}

/// The catalog is its owner's alone, and is created once.
#[tokio::test]
async fn a_catalog_is_created_once() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("c.sqlite");
    let first = Catalog::create(&path, NOW).await.expect("created");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Catalog::create(&path, NOW).await;
    assert!(matches!(again, Err(CatalogError::Exists { .. })));
    assert!(first.channels().await.expect("still works").is_empty());
    let other = Catalog::create(&dir.path().join("d.sqlite"), NOW).await.expect("created");
    assert_ne!(first.instance(), other.instance());
    let instance = first.instance();
    first.close().await;
    assert_eq!(Catalog::open(&path).await.expect("opens").instance(), instance);
}

/// Opening never creates.
#[tokio::test]
async fn a_missing_catalog_is_not_created() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("missing.sqlite");
    assert!(matches!(refused(&path).await, CatalogError::Missing { .. }));
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
}

/// A file that is no catalog is refused for what it is.
#[tokio::test]
async fn what_is_no_catalog_is_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("file");
    std::fs::write(&path, b"").expect("written");
    assert!(matches!(refused(&path).await, CatalogError::Unfinished { .. }));
    for garbage in [&b"short"[..], &[0; 8192], b"SQLite format 3\x01 and more of the same"] {
        std::fs::write(&path, garbage).expect("written");
        assert!(matches!(refused(&path).await, CatalogError::NotACatalog { .. }));
    }
    let folder = Catalog::open(dir.path()).await;
    assert!(matches!(folder, Err(CatalogError::NotACatalog { .. })));
    std::fs::write(&path, [&b"SQLite format 3\0"[..], &[0xaa; 8176]].concat()).expect("written");
    assert!(matches!(refused(&path).await, CatalogError::Damaged { .. }));
}

/// A database of another program is not touched, and neither is one whose creation was cut short.
#[tokio::test]
async fn a_foreign_database_is_refused() {
    let dir = tempfile::tempdir().expect("folder");
    for (id, foreign) in [("0", false), ("7", true)] {
        let path = dir.path().join(id);
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let options = options.create_if_missing(true).pragma("application_id", id);
        let mut db = sqlx::ConnectOptions::connect(&options).await.expect("opens");
        sqlx::query("CREATE TABLE t (a)").execute(&mut db).await.expect("created");
        sqlx::Connection::close(db).await.expect("closed");
        let error = refused(&path).await;
        assert_eq!(matches!(error, CatalogError::NotACatalog { .. }), foreign, "{error}");
        assert_eq!(matches!(error, CatalogError::Unfinished { .. }), !foreign, "{error}");
    }
}

/// The next start knows whether the last one ended well.
#[tokio::test]
async fn an_unclean_stop_is_noticed() {
    let hub = Fixture::create().await;
    assert_eq!(hub.last_stop(), LastStop::Clean);
    hub.mark_running().await.expect("marked");
    let hub = hub.reopen().await;
    assert_eq!(hub.last_stop(), LastStop::Unclean);
    hub.mark_running().await.expect("marked");
    hub.mark_clean(1).await.expect("marked");
    assert_eq!(hub.reopen().await.last_stop(), LastStop::Clean);
}

/// After an unclean stop every page is looked at: a damaged one anywhere is found before anything is written.
#[tokio::test]
async fn a_damaged_page_is_found_after_an_unclean_stop() {
    let sound = populated(LastStop::Unclean).await;
    let bytes = std::fs::read(sound.path()).expect("readable");
    assert!(
        bytes.len() > 150 * 4096,
        "{} bytes: enough pages to hit one in the middle",
        bytes.len()
    );
    let whole = Catalog::open(&sound.path()).await.expect("undamaged, it opens");
    whole.close().await;
    for at in [4096, bytes.len() / 3, bytes.len() / 2, bytes.len() - 4096] {
        std::fs::write(sound.path(), &bytes).expect("restored");
        damage(&sound.path(), at, 4096);
        let error = refused(&sound.path()).await;
        assert!(matches!(error, CatalogError::Damaged { .. }), "at {at}: {error}");
    }
}

/// A few flipped bytes in a page's head are enough to be noticed; so is a file cut short.
#[tokio::test]
async fn flipped_bytes_and_a_cut_file_are_found() {
    let hub = populated(LastStop::Unclean).await;
    let bytes = std::fs::read(hub.path()).expect("readable");
    let page = bytes.len() / 4096 / 2 * 4096;
    damage(&hub.path(), page, 4);
    assert!(matches!(refused(&hub.path()).await, CatalogError::Damaged { .. }));
    std::fs::write(hub.path(), &bytes[..page]).expect("cut");
    assert!(matches!(refused(&hub.path()).await, CatalogError::Damaged { .. }));
}

/// A later schema is named as such.
#[tokio::test]
async fn a_newer_schema_is_refused() {
    let hub = populated(LastStop::Clean).await;
    let later = Catalog::open(&hub.path()).await.expect("opens");
    let mut tx = later.begin().await.expect("writer");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'later', 1, x'00', 0)",
    )
    .execute(&mut *tx)
    .await
    .expect("stored");
    later.commit(tx).await.expect("stored");
    later.close().await;
    let error = refused(&hub.path()).await;
    let known = super::super::migrations::MIGRATIONS.iter().map(|m| m.version).max();
    assert!(
        matches!(error, CatalogError::Newer { found: 99, known: k, .. } if Some(k) == known),
        "{error}"
    );
}

/// A schema that was altered by hand is not built upon.
#[tokio::test]
async fn a_missing_table_is_damage() {
    let hub = populated(LastStop::Clean).await;
    let altered = Catalog::open(&hub.path()).await.expect("opens");
    let mut tx = altered.begin().await.expect("writer");
    sqlx::query("DROP TABLE hub").execute(&mut *tx).await.expect("dropped");
    altered.commit(tx).await.expect("stored");
    altered.close().await;
    let error = refused(&hub.path()).await;
    assert!(matches!(error, CatalogError::Damaged { .. }), "{error}");
}

/// What was committed is there after a stop without any goodbye: the log beside the file is read.
#[tokio::test]
async fn a_copy_taken_while_running_opens() {
    let hub = Fixture::create().await;
    hub.mark_running().await.expect("marked");
    hub.store(&[entry("f1", None, "a")]).await;
    let copy = tempfile::tempdir().expect("folder");
    for name in ["catalog.sqlite", "catalog.sqlite-wal"] {
        let from = hub.path().with_file_name(name);
        std::fs::copy(from, copy.path().join(name)).expect("copied");
    }
    let after = Catalog::open(&copy.path().join("catalog.sqlite")).await.expect("opens");
    assert_eq!(after.last_stop(), LastStop::Unclean);
    assert!(after.by_path(hub.alice, &["a"]).await.expect("read").is_some());
}

/// The writer's settings are those that the durability rules and the memory bound rest on.
#[tokio::test]
async fn commits_are_synced_and_caches_small() {
    let hub = Fixture::create().await;
    let mut tx = hub.begin().await.expect("writer");
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *tx).await.expect("read");
    assert_eq!(mode, "wal");
    for (pragma, value) in [
        ("PRAGMA synchronous", 2),
        ("PRAGMA foreign_keys", 1),
        ("PRAGMA cache_size", -16384),
        ("PRAGMA soft_heap_limit", 32 << 20),
        ("PRAGMA busy_timeout", 10_000),
    ] {
        let set: i64 = sqlx::query_scalar(pragma).fetch_one(&mut *tx).await.expect("read");
        assert_eq!(set, value, "{pragma}");
    }
}

/// After a failed write nothing more is written; what is there can still be read.
#[tokio::test]
async fn after_a_failed_write_only_reads_go_on() {
    let hub = Fixture::create().await;
    hub.failed.store(true, std::sync::atomic::Ordering::Release);
    assert!(matches!(hub.mark_running().await, Err(CatalogError::Failed)));
    assert!(matches!(hub.begin_apply().await, Err(CatalogError::Failed)));
    assert_eq!(hub.channels().await.expect("read").len(), 2);
}
