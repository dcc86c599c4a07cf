//! The catalog's migrations, in order; they are part of the program.
//!
//! Owns: which file is which version. Not here: running them (see `open`).
//! Invariant: a migration that was released is never edited; a new one is added below.

use std::sync::LazyLock;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

// Listed by hand: the `migrate!` macro would build SQLite and tokio a second time for the compiler.
const FILES: &[(i64, &str, &str)] = &[
    (1, "hub channels sites", include_str!("migrations/1_hub_channels_sites.sql")),
    (2, "attach data", include_str!("migrations/2_attach_data.sql")),
    (3, "replay reports", include_str!("migrations/3_replay_reports.sql")),
    (4, "present at", include_str!("migrations/4_present_at.sql")),
    (5, "operations", include_str!("migrations/5_operations.sql")),
    (6, "items", include_str!("migrations/6_items.sql")),
    (7, "app passwords", include_str!("migrations/7_app_passwords.sql")),
    (8, "audit", include_str!("migrations/8_audit.sql")),
    (9, "keys", include_str!("migrations/9_keys.sql")),
    (10, "watch", include_str!("migrations/10_watch.sql")),
    (11, "photos", include_str!("migrations/11_photos.sql")),
    (12, "sources order", include_str!("migrations/12_sources_order.sql")),
    (13, "gone", include_str!("migrations/13_gone.sql")),
    (14, "superseded", include_str!("migrations/14_superseded.sql")),
    (15, "text", include_str!("migrations/15_text.sql")),
];

pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let migrations = FILES.iter().map(|(version, name, sql)| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            (*sql).into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
});

/// The version that a catalog has after all of them.
pub(super) fn newest() -> i64 {
    FILES[FILES.len() - 1].0
}

#[cfg(test)]
mod tests {
    use super::FILES;

    #[test]
    fn every_file_is_listed_in_order() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/migrations");
        let mut found: Vec<String> = std::fs::read_dir(dir)
            .expect("the folder of migrations")
            .map(|entry| entry.expect("a file").file_name().into_string().expect("a name"))
            .collect();
        let number = |name: &String| name.split('_').next().and_then(|n| n.parse::<i64>().ok());
        found.sort_by_key(number);
        let file = |(version, name, _): &(i64, &str, &str)| {
            format!("{version}_{}.sql", name.replace(' ', "_"))
        };
        assert_eq!(found, FILES.iter().map(file).collect::<Vec<_>>());
    }
}
