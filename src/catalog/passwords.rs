//! App passwords, as hashes.
//!
//! Owns: their rows. Not here: how a password is made, hashed and checked (`passwords`).
//! Invariant: nothing here lets anybody in; a password itself is never written down.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zotferry_protocol::ids::Millis;

use super::columns::{checked, integer, maybe_number, number};
use super::error::CatalogError;
use super::{Catalog, ChannelNo};

/// What an argon2id run over a password gave, and what it took.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash {
    /// The salt.
    pub salt: [u8; 16],
    /// The result.
    pub hash: [u8; 32],
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

/// One app password of a channel.
#[derive(Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// Its first part, by which it is found and called.
    pub name: String,
    /// What its owner calls it.
    pub label: String,
    /// What it is compared with.
    pub secret: SecretHash,
    /// When it was made.
    pub created: Millis,
    /// When it last opened the channel, to a few minutes.
    pub used: Option<Millis>,
}

/// An array of fixed length out of a blob.
fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], std::array::TryFromSliceError> {
    bytes.try_into()
}

fn password(row: &SqliteRow) -> Result<AppPassword, CatalogError> {
    let small = |column| number(row, column).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    Ok(AppPassword {
        name: row.try_get("name")?,
        label: row.try_get("label")?,
        secret: SecretHash {
            salt: checked(row, "salt", array)?,
            hash: checked(row, "hash", array)?,
            memory: small("memory")?,
            passes: small("passes")?,
        },
        created: Millis(number(row, "created")?),
        used: maybe_number(row, "used")?.map(Millis),
    })
}

impl Catalog {
    /// Adds a password; `false` when the channel has one of that name.
    pub async fn add_password(
        &self,
        channel: ChannelNo,
        new: &AppPassword,
    ) -> Result<bool, CatalogError> {
        if new.label.len() > 255 || new.label.contains('\0') {
            return Err(CatalogError::BadValue("a label has at most 255 bytes and no NUL"));
        }
        let mut tx = self.begin().await?;
        let added = sqlx::query(
            "INSERT INTO app_password (channel, name, label, salt, hash, memory, passes, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (channel, name) DO NOTHING",
        )
        .bind(channel)
        .bind(&new.name)
        .bind(&new.label)
        .bind(&new.secret.salt[..])
        .bind(&new.secret.hash[..])
        .bind(new.secret.memory)
        .bind(new.secret.passes)
        .bind(integer(new.created.0)?)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        self.commit(tx).await?;
        Ok(added > 0)
    }

    /// The passwords of a channel, the oldest first.
    pub async fn passwords(&self, channel: ChannelNo) -> Result<Vec<AppPassword>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM app_password WHERE channel = ?1 ORDER BY id")
            .bind(channel)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.iter().map(password).collect()
    }

    /// The password of a name.
    pub async fn password(
        &self,
        channel: ChannelNo,
        name: &str,
    ) -> Result<Option<AppPassword>, CatalogError> {
        let row = sqlx::query("SELECT * FROM app_password WHERE channel = ?1 AND name = ?2")
            .bind(channel)
            .bind(name)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(password).transpose()
    }

    /// Removes a password; `false` when there was none of that name.
    pub async fn remove_password(
        &self,
        channel: ChannelNo,
        name: &str,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let removed = sqlx::query("DELETE FROM app_password WHERE channel = ?1 AND name = ?2")
            .bind(channel)
            .bind(name)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        self.commit(tx).await?;
        Ok(removed > 0)
    }

    /// Records that a password opened its channel.
    pub async fn password_used(
        &self,
        channel: ChannelNo,
        name: &str,
        now: Millis,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE app_password SET used = ?3 WHERE channel = ?1 AND name = ?2")
            .bind(channel)
            .bind(name)
            .bind(integer(now.0)?)
            .execute(&mut *tx)
            .await?;
        self.commit(tx).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::Fixture;

    fn made(name: &str, label: &str) -> AppPassword {
        let secret = SecretHash { salt: [1; 16], hash: [2; 32], memory: 7168, passes: 5 };
        AppPassword {
            name: name.into(),
            label: label.into(),
            secret,
            created: Millis(5),
            used: None,
        }
    }

    /// A password is its channel's own; a name is taken once.
    #[tokio::test]
    async fn passwords_are_kept_by_channel_and_name() {
        let hub = Fixture::create().await;
        let (one, two) = (made("one", "phone"), made("two", "it's \u{1F600}"));
        for new in [&one, &two] {
            assert!(hub.add_password(hub.alice, new).await.expect("added"));
        }
        assert!(!hub.add_password(hub.alice, &made("one", "again")).await.expect("taken"));
        assert!(hub.passwords(hub.alice).await.expect("read") == [one, two]);
        assert!(hub.password(hub.bob, "one").await.expect("read").is_none());
        hub.password_used(hub.alice, "two", Millis(9)).await.expect("recorded");
        let used = hub.password(hub.alice, "two").await.expect("read").expect("there").used;
        assert_eq!(used, Some(Millis(9)));
        assert!(!hub.remove_password(hub.bob, "one").await.expect("removed"));
        assert!(hub.remove_password(hub.alice, "one").await.expect("removed"));
        assert_eq!(hub.passwords(hub.alice).await.expect("read").len(), 1);
        let long = made("three", &"x".repeat(256));
        assert!(hub.add_password(hub.alice, &long).await.is_err());
    }
}
