//! What arrived from other clones and the hub's hook has not been told yet.
//!
//! Owns: the list, which triggers fill, and taking from it. Not here: calling the hook.
//! Invariant: news go only when the hook has taken them as they were told; what changes meanwhile is
//! told again. There is at most one for each entry and item, however often it changes.

use sqlx::Row;

use super::columns::list;
use super::error::CatalogError;
use super::{Apply, Catalog, ChannelNo};

/// What news are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An entry, by its hash.
    Entry(String),
    /// An item, by its name.
    Item(String),
}

/// Something arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Whose.
    pub channel: ChannelNo,
    /// What changed.
    pub subject: Subject,
    /// The kinds of change since it was last told: [`News::KINDS`] by their bits.
    pub what: i64,
    no: i64,
    times: i64,
}

impl News {
    /// The kinds of change, the lowest bit first.
    pub const KINDS: [&'static str; 5] = ["put", "place", "meta", "remove", "present"];

    /// The kinds of change as words.
    pub fn kinds(&self) -> Vec<&'static str> {
        let set = |bit: &usize| self.what >> bit & 1 == 1;
        (0..Self::KINDS.len()).filter(set).map(|bit| Self::KINDS[bit]).collect()
    }
}

impl Catalog {
    /// Says whether there is a hook. Without one nothing is listed, and what was is forgotten.
    pub async fn set_hook(&self, there: bool) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let sql = match there {
            true => "INSERT INTO hub (key, value) VALUES ('hook', 1) ON CONFLICT DO NOTHING",
            false => "DELETE FROM hub WHERE key = 'hook'",
        };
        sqlx::query(sql).execute(&mut *tx).await?;
        if !there {
            sqlx::query("DELETE FROM news").execute(&mut *tx).await?;
        }
        self.commit(tx).await
    }

    /// The oldest news.
    pub async fn news(&self, limit: u32) -> Result<Vec<News>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM news ORDER BY no LIMIT ?1")
            .bind(limit)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        let news = rows.iter().map(|row| {
            let (kind, key): (&str, String) = (row.try_get("kind")?, row.try_get("key")?);
            Ok(News {
                channel: row.try_get("channel")?,
                subject: if kind == "item" { Subject::Item(key) } else { Subject::Entry(key) },
                what: row.try_get("what")?,
                no: row.try_get("no")?,
                times: row.try_get("times")?,
            })
        });
        news.collect()
    }

    /// Forgets news that were told, unless there were more about the same meanwhile.
    pub async fn told(&self, news: &[News]) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "DELETE FROM news WHERE no IN (
                 SELECT j.value ->> 0 FROM json_each(?1) j
                 WHERE (SELECT n.times FROM news n WHERE n.no = j.value ->> 0) = j.value ->> 1)",
        )
        .bind(list(news.iter().map(|news| (news.no, news.times))))
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }
}

impl Apply<'_> {
    /// What is written from here on is news, until [`Self::end_of_news`].
    pub(super) async fn begin_news(&mut self) -> Result<(), CatalogError> {
        self.mark(2).await
    }

    pub(super) async fn end_of_news(&mut self) -> Result<(), CatalogError> {
        self.mark(1).await
    }

    async fn mark(&mut self, value: i64) -> Result<(), CatalogError> {
        sqlx::query("UPDATE hub SET value = ?1 WHERE key = 'hook'")
            .bind(value)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
