//! How SQLite goes through the tables: never through all rows of one that grows.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::Row as _;

use crate::catalog::testing::{Fixture, entry, want};

/// Tables with a row for each entry, content, packet or report.
const GROWING: [&str; 8] =
    ["attach", "data", "forgotten", "item", "leaf", "replay", "op_report", "present_at"];
/// How a plan ends that reads all entries or contents of a channel.
const CHANNELS: [&str; 3] =
    ["attach_1 (channel=?)", "attach_folder (channel=?)", "data_1 (channel=?)"];
/// At least so many statements are whole strings; those put together of pieces are passed over.
const MIN_STATEMENTS: usize = 40;

/// Every string of the catalog's sources that is a whole statement.
fn statements() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog");
    let mut all = BTreeSet::new();
    for file in std::fs::read_dir(sources).expect("the sources") {
        let path = file.expect("an entry").path();
        // A new channel has a new number: what SQLite plans for the checks of its foreign keys is never walked.
        // A channel that leaves is read whole, once.
        if path.ends_with("channels.rs")
            || path.ends_with("leaving.rs")
            || path.extension().is_none_or(|e| e != "rs")
            || path.ends_with("testing.rs")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let code = text.split("#[cfg(test)]").next().expect("a first part");
        let verbs = ["WITH ", "SELECT ", "INSERT ", "UPDATE ", "DELETE "];
        for literal in code.split('"').skip(1).step_by(2) {
            let statement = literal.split_whitespace().collect::<Vec<_>>().join(" ");
            if verbs.iter().any(|verb| statement.starts_with(verb)) {
                all.insert(statement);
            }
        }
    }
    all
}

/// The alias under which each growing table is read in a statement.
fn aliases(statement: &str) -> Vec<&str> {
    let words: Vec<&str> = statement.split([' ', '(', ')']).filter(|w| !w.is_empty()).collect();
    let mut found = Vec::new();
    for pair in words.windows(2) {
        if GROWING.contains(&pair[0]) {
            found.extend(pair);
        }
    }
    found
}

/// With thousands of rows, and with statistics, which make the planner bold.
#[tokio::test]
async fn no_statement_reads_a_whole_table_that_grows() {
    let hub = Fixture::create().await;
    let rows: Vec<_> = (0..3000).map(|n| entry(&format!("f{n}"), None, &format!("n{n}"))).collect();
    hub.store(&rows).await;
    hub.announce(&[want("f0", 0, 0)]).await;
    hub.announce(&(0..3000).map(|n| want(&format!("f{n}"), n, n)).collect::<Vec<_>>()).await;
    let mut writer = hub.writer.acquire().await.expect("a connection");

    let (mut explained, mut scans) = (0, Vec::new());
    for statistics in [false, true] {
        if statistics {
            sqlx::query("ANALYZE").execute(&mut *writer).await.expect("analysed");
        }
        for statement in statements() {
            let query = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let Ok(plan) = sqlx::raw_sql(query).fetch_all(&mut *writer).await else { continue };
            explained += 1;
            for row in plan {
                let detail: String = row.get("detail");
                let scanned = detail.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
                let whole = scanned.is_some_and(|table| aliases(&statement).contains(&table));
                let channel = CHANNELS.iter().any(|index| detail.ends_with(index));
                if whole || channel {
                    scans.push(format!("{detail}\n    {statement}"));
                }
            }
        }
    }
    assert!(explained >= 2 * MIN_STATEMENTS, "only {explained} statements were understood");
    assert!(scans.is_empty(), "{}", scans.join("\n"));
}
