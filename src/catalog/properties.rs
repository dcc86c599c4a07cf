//! Dead properties of WebDAV: what programs keep with an entry, for themselves.
//!
//! Owns: their rows. Not here: their meaning; nobody but their makers knows it.
//! Invariant: an entry has at most [`MAX_PROPERTIES`], of at most [`MAX_PROPERTY`] bytes each, and all of a channel
//! count among its texts. They go when their entry goes, and never travel to other clones.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::ResourceId;

use super::attach::folder_text;
use super::bounds::Bounds;
use super::channels::channel_in;
use super::columns::list;
use super::error::CatalogError;
use super::{Catalog, ChannelNo};

/// Most properties of one entry.
pub const MAX_PROPERTIES: usize = 64;
/// Most bytes of one property.
pub const MAX_PROPERTY: usize = 16 << 10;

/// A property: an XML element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its namespace; may be empty.
    pub namespace: String,
    /// Its name there.
    pub name: String,
    /// The whole element.
    pub xml: Vec<u8>,
}

fn property(row: &SqliteRow) -> Result<Property, CatalogError> {
    Ok(Property {
        namespace: row.try_get("namespace")?,
        name: row.try_get("name")?,
        xml: row.try_get("xml")?,
    })
}

impl Catalog {
    /// Whether any entry of a channel has properties: most channels have none.
    pub async fn has_properties(&self, channel: ChannelNo) -> Result<bool, CatalogError> {
        let any = sqlx::query("SELECT 1 FROM dav_property WHERE channel = ?1 LIMIT 1")
            .bind(channel)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        Ok(any.is_some())
    }

    /// The properties of many entries, by their hash; `None` is the top folder.
    pub async fn properties(
        &self,
        channel: ChannelNo,
        entries: impl IntoIterator<Item = Option<&ResourceId>>,
    ) -> Result<HashMap<String, Vec<Property>>, CatalogError> {
        let rows = sqlx::query(
            "SELECT p.* FROM json_each(?2) j CROSS JOIN dav_property p
             WHERE p.channel = ?1 AND p.hash = j.value",
        )
        .bind(channel)
        .bind(list(entries.into_iter().map(folder_text)))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut found: HashMap<String, Vec<Property>> = HashMap::new();
        for row in &rows {
            found.entry(row.try_get("hash")?).or_default().push(property(row)?);
        }
        Ok(found)
    }

    /// Sets and removes properties of an entry, in order. `false`, and nothing changes, when one is too
    /// large or there would be too many, of the entry or of the channel.
    pub async fn change_properties(
        &self,
        channel: ChannelNo,
        entry: Option<&ResourceId>,
        changes: &[(bool, Property)],
    ) -> Result<bool, CatalogError> {
        let too_large = |(set, property): &(bool, Property)| {
            let names = property.namespace.len() + property.name.len();
            *set && property.xml.len() + names > MAX_PROPERTY
        };
        if changes.iter().any(too_large) {
            return Ok(false);
        }
        let mut tx = self.begin().await?;
        let before = channel_in(&mut tx, channel).await?;
        let bounds = Bounds::of(self, &mut tx, &before).await?;
        for (set, property) in changes {
            change(&mut tx, channel, folder_text(entry), *set, property).await?;
        }
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM dav_property WHERE channel = ?1 AND hash = ?2",
        )
        .bind(channel)
        .bind(folder_text(entry))
        .fetch_one(&mut *tx)
        .await?;
        if usize::try_from(count).unwrap_or(usize::MAX) > MAX_PROPERTIES {
            return Ok(false);
        }
        match bounds.keep(&mut tx).await {
            Err(error) if error.is_over_bounds() => Ok(false),
            kept => {
                kept?;
                self.commit(tx).await?;
                Ok(true)
            }
        }
    }

    /// Gives a copy of an entry, and all that was copied below it, the properties of the original. Where the channel
    /// has no room for them the copy has none: they are notes, and the copy was made.
    pub async fn copy_properties(
        &self,
        channel: ChannelNo,
        from: &ResourceId,
        to: &ResourceId,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let before = channel_in(&mut tx, channel).await?;
        let bounds = Bounds::of(self, &mut tx, &before).await?;
        sqlx::query("DELETE FROM dav_property WHERE channel = ?1 AND hash = ?2")
            .bind(channel)
            .bind(to.as_str())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "WITH RECURSIVE pair (a, b) AS (
                 VALUES (?2, ?3)
                 UNION
                 SELECT x.hash, y.hash FROM pair
                 CROSS JOIN attach x ON x.channel = ?1 AND x.folder = pair.a AND x.alive = 1
                 CROSS JOIN attach y ON y.channel = ?1 AND y.folder = pair.b AND y.filename = x.filename
                     AND y.is_dir = x.is_dir AND y.alive = 1
             )
             INSERT INTO dav_property (channel, hash, namespace, name, xml)
             SELECT ?1, pair.b, p.namespace, p.name, p.xml
             FROM pair CROSS JOIN dav_property p ON p.channel = ?1 AND p.hash = pair.a WHERE true
             ON CONFLICT (channel, hash, namespace, name) DO UPDATE SET xml = excluded.xml",
        )
        .bind(channel)
        .bind(from.as_str())
        .bind(to.as_str())
        .execute(&mut *tx)
        .await?;
        match bounds.keep(&mut tx).await {
            Err(error) if error.is_over_bounds() => Ok(()),
            kept => {
                kept?;
                self.commit(tx).await
            }
        }
    }
}

async fn change(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    hash: &str,
    set: bool,
    property: &Property,
) -> Result<(), CatalogError> {
    let statement = if set {
        "INSERT INTO dav_property (channel, hash, namespace, name, xml) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (channel, hash, namespace, name) DO UPDATE SET xml = excluded.xml"
    } else {
        "DELETE FROM dav_property
         WHERE channel = ?1 AND hash = ?2 AND namespace = ?3 AND name = ?4"
    };
    let query = sqlx::query(statement)
        .bind(channel)
        .bind(hash)
        .bind(&property.namespace)
        .bind(&property.name);
    let query = if set { query.bind(&property.xml) } else { query };
    query.execute(tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{Fixture, entry, folder, resource};

    fn named(name: &str) -> Property {
        let xml = format!("<x:{name} xmlns:x=\"urn:x\">1</x:{name}>").into_bytes();
        Property { namespace: "urn:x".into(), name: name.into(), xml }
    }

    /// Set, replaced, removed, bounded.
    #[tokio::test]
    async fn properties_belong_to_their_entry() {
        let hub = Fixture::create().await;
        let file = resource("f1");
        assert!(!hub.has_properties(hub.alice).await.expect("read"));
        let set = [(true, named("a")), (true, named("b")), (false, named("a"))];
        assert!(hub.change_properties(hub.alice, Some(&file), &set).await.expect("changed"));
        assert!(hub.change_properties(hub.alice, None, &set[..1]).await.expect("changed"));
        assert!(hub.has_properties(hub.alice).await.expect("read"));
        let found = hub.properties(hub.alice, [Some(&file), None]).await.expect("read");
        assert_eq!(found["f1"], [named("b")]);
        assert_eq!(found[""], [named("a")]);
        assert!(hub.properties(hub.bob, [Some(&file)]).await.expect("read").is_empty());
    }

    /// Too much is refused as a whole.
    #[tokio::test]
    async fn an_entry_has_a_bounded_number_of_properties() {
        let hub = Fixture::create().await;
        let file = resource("f1");
        let many: Vec<_> = (0..=MAX_PROPERTIES).map(|n| (true, named(&format!("p{n}")))).collect();
        assert!(!hub.change_properties(hub.alice, Some(&file), &many).await.expect("refused"));
        let mut large = named("large");
        large.xml = vec![b'x'; MAX_PROPERTY];
        let large = [(true, named("small")), (true, large)];
        assert!(!hub.change_properties(hub.alice, Some(&file), &large).await.expect("refused"));
        assert!(!hub.has_properties(hub.alice).await.expect("read"));
        let fit = hub.change_properties(hub.alice, Some(&file), &many[..MAX_PROPERTIES]).await;
        assert!(fit.expect("changed"));
    }

    /// A copied tree has the properties of its original, name by name.
    #[tokio::test]
    async fn a_copied_tree_keeps_its_properties() {
        let hub = Fixture::create().await;
        let rows = [
            folder("d1", None, "from"),
            folder("d2", Some("d1"), "sub"),
            entry("f2", Some("d2"), "a"),
            folder("e1", None, "to"),
            folder("e2", Some("e1"), "sub"),
            entry("g2", Some("e2"), "a"),
            entry("g3", Some("e2"), "other"),
        ];
        hub.store(&rows).await;
        for hash in ["d1", "f2"] {
            let set = [(true, named(hash))];
            let changed = hub.change_properties(hub.alice, Some(&resource(hash)), &set).await;
            assert!(changed.expect("changed"));
        }
        hub.copy_properties(hub.alice, &resource("d1"), &resource("e1")).await.expect("copied");
        let copies = [resource("e1"), resource("e2"), resource("g2"), resource("g3")];
        let found = hub.properties(hub.alice, copies.iter().map(Some)).await.expect("read");
        assert_eq!(found.len(), 2);
        assert_eq!(found["e1"], [named("d1")]);
        assert_eq!(found["g2"], [named("f2")]);
    }
}
