//! Two kinds of database, asked in one way.
//!
//! Owns: the connection, which can only read; how each kind says a thing. Not here: what is asked.
//! Invariant: a value comes as text, cut where it is longer than any row may be, and a row is handed on before
//! the next one is read: memory is bounded whatever somebody has put into a column.

use futures_util::TryStreamExt as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::AdoptError;
use super::address::{Address, Kind};

/// Characters of a value that are read: one more than the longest row has bytes, so that what was cut is
/// refused for its length.
const LONGEST: usize = (512 << 10) + 1;

/// A row: its values as text, in the order in which they were asked for.
pub(super) type Line = Vec<Option<String>>;

/// A value for a `?` in a statement.
#[derive(Clone)]
pub(super) enum Arg {
    Number(i64),
    Text(String),
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A connection.
pub(super) enum Database {
    Mysql(Box<MySqlConnection>),
    Postgres(Box<PgConnection>),
}

impl Database {
    pub(super) async fn open(address: &Address) -> Result<Self, AdoptError> {
        let opened = match address.kind {
            Kind::Mysql => mysql(address).await.map(|link| Self::Mysql(Box::new(link))),
            Kind::Postgres => postgres(address).await.map(|link| Self::Postgres(Box::new(link))),
        };
        opened.map_err(|error| AdoptError::Open(address.clone(), error))
    }

    /// The rows of a statement, which are few.
    pub(super) async fn lines(
        &mut self,
        sql: &str,
        args: &[Arg],
    ) -> Result<Vec<Line>, sqlx::Error> {
        let mut lines = Vec::new();
        self.each(sql, args, &mut |line| lines.push(line)).await?;
        Ok(lines)
    }

    /// Each row of a statement as it comes; places for values are written `?`.
    pub(super) async fn each(
        &mut self,
        sql: &str,
        args: &[Arg],
        take: &mut (dyn FnMut(Line) + Send),
    ) -> Result<(), sqlx::Error> {
        macro_rules! fetch {
            ($link:expr, $sql:expr) => {{
                let mut query = sqlx::query(AssertSqlSafe($sql));
                for arg in args {
                    query = match arg {
                        Arg::Number(number) => query.bind(*number),
                        Arg::Text(text) => query.bind(text.clone()),
                    };
                }
                let mut rows = query.fetch(&mut **$link);
                while let Some(row) = rows.try_next().await? {
                    let line: Result<Line, _> = (0..row.len()).map(|at| row.try_get(at)).collect();
                    take(line?);
                }
                Ok(())
            }};
        }
        match self {
            Self::Mysql(link) => fetch!(link, sql.to_owned()),
            Self::Postgres(link) => fetch!(link, numbered(sql)),
        }
    }

    /// A name in a statement.
    pub(super) fn name(&self, name: &str) -> String {
        match self {
            Self::Mysql(_) => format!("`{}`", name.replace('`', "``")),
            Self::Postgres(_) => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// An expression as text.
    pub(super) fn text(&self, expression: &str) -> String {
        match self {
            Self::Mysql(_) => format!("LEFT(CAST({expression} AS CHAR), {LONGEST})"),
            Self::Postgres(_) => format!("LEFT(CAST({expression} AS text), {LONGEST})"),
        }
    }

    /// A part of a column of bytes in hex; `from` counts from 1.
    pub(super) fn hex(&self, column: &str, from: u64, len: u64) -> String {
        match self {
            Self::Mysql(_) => format!("HEX(SUBSTRING({column}, {from}, {len}))"),
            Self::Postgres(_) => {
                format!("encode(SUBSTRING({column} FROM {from} FOR {len}), 'hex')")
            }
        }
    }

    /// A table that is read along its key, page by page. MariaDB may else sort half the table for each page.
    pub(super) fn by_key(&self, table: &str, alias: &str) -> String {
        match self {
            Self::Mysql(_) => format!("{table} {alias} FORCE INDEX (PRIMARY)"),
            Self::Postgres(_) => format!("{table} {alias}"),
        }
    }

    /// The database or schema that tables stand in.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Mysql(_) => "DATABASE()",
            Self::Postgres(_) => "current_schema()",
        }
    }
}

async fn mysql(address: &Address) -> Result<MySqlConnection, sqlx::Error> {
    let options = MySqlConnectOptions::from_url(address.secret())?.disable_statement_logging();
    let mut link = MySqlConnection::connect_with(&options).await?;
    sqlx::query("SET SESSION TRANSACTION READ ONLY").execute(&mut link).await?;
    Ok(link)
}

async fn postgres(address: &Address) -> Result<PgConnection, sqlx::Error> {
    let options = PgConnectOptions::from_url(address.secret())?.disable_statement_logging();
    let mut link = PgConnection::connect_with(&options).await?;
    sqlx::query("SET default_transaction_read_only = on").execute(&mut link).await?;
    sqlx::query("SET datestyle = 'ISO, YMD'").execute(&mut link).await?;
    Ok(link)
}

/// `?` as PostgreSQL writes it: `$1`, `$2`. No statement here has one in a text.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or("").to_owned();
    parts.zip(1..).fold(first, |sql, (part, number)| format!("{sql}${number}{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered() {
        assert_eq!(numbered("a = ? AND b IN (?, ?)"), "a = $1 AND b IN ($2, $3)");
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
    }
}
