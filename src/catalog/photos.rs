//! Photo rows of entries, and which entries were made the profile photo or the cover.
//!
//! Owns: rows out of `attach.photos` and into it, the table `photo_use`. Not here: pixels, scales.
//! Invariant: `photo_use` follows the rows in the same transaction; what it says is drawn from them alone.
//! Spec: PHOTO-3, PHOTO-9.

use serde_bytes::ByteBuf;
use sqlx::SqliteConnection;
use zotferry_protocol::codec;
use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::packets::PhotoRow;
use zotferry_protocol::photo::{Choice, Shape, Target, fit, target};

use super::attach::{Attach, attach};
use super::columns::{integer, list};
use super::error::CatalogError;
use super::{Catalog, ChannelNo};
use crate::photo::{Picture, made_mime};

impl Attach {
    /// Its photo rows, as its meta register has them.
    pub fn photo_rows(&self) -> Result<Vec<PhotoRow>, CatalogError> {
        if self.photos.is_empty() {
            return Ok(Vec::new());
        }
        let damage = |e: &dyn std::fmt::Display| CatalogError::Corrupt(format!("photo rows: {e}"));
        let rows: Vec<ByteBuf> = codec::decode_owned(&self.photos).map_err(|e| damage(&e))?;
        rows.iter().map(|row| PhotoRow::decode(row).map_err(|e| damage(&e))).collect()
    }

    /// PHOTO-9: as what the entry was chosen by its own rows, and when.
    pub fn choice(&self, shape: Shape) -> Option<Choice> {
        let rows = self.photo_rows().ok()?;
        let of_shape = rows.iter().filter(|row| row.photo_usage == shape.usage());
        let chosen = of_shape.map(|row| row.chosen.unwrap_or(0)).max()?;
        Some(Choice { chosen, entry: self.hash.clone() })
    }
}

/// The rows of scales 0 to 3 of a file with this header.
pub fn plain_rows(entry: &ResourceId, picture: &Picture, filesize: u64) -> Vec<PhotoRow> {
    let row = |imgscale: u8, (width, height), mimetype: &str, filesize| PhotoRow {
        resource_id: entry.clone(),
        imgscale,
        width,
        height,
        mimetype: mimetype.to_owned(),
        filesize,
        photo_usage: 0,
        profile: 0,
        title: String::new(),
        description: String::new(),
        album: String::new(),
        crop: None,
        chosen: None,
        extra: Vec::new(),
    };
    let smaller = [1, 2, 3].into_iter().filter_map(|scale| match target(scale) {
        Some(Target::Fit(side)) => {
            let size = fit(picture.width, picture.height, side);
            Some(row(scale, size, made_mime(picture), 0))
        }
        _ => None,
    });
    std::iter::once(row(0, picture.size(), picture.kind.mime(), filesize)).chain(smaller).collect()
}

/// Rows as `attach.photos` keeps them.
pub(super) fn kept(rows: &[PhotoRow]) -> Vec<u8> {
    if rows.is_empty() { Vec::new() } else { codec::encode(&rows) }
}

/// Draws `photo_use` again from rows that were written.
pub(super) async fn note_uses<'a>(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    rows: impl IntoIterator<Item = &'a Attach>,
) -> Result<(), CatalogError> {
    let photos: Vec<&Attach> = rows
        .into_iter()
        .filter(|row| !row.is_dir && (row.is_photo || !row.photos.is_empty()))
        .collect();
    if photos.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM photo_use WHERE channel = ?1 AND hash IN (SELECT value FROM json_each(?2))",
    )
    .bind(channel)
    .bind(list(photos.iter().map(|row| &row.hash)))
    .execute(&mut *tx)
    .await?;
    let mut uses = Vec::new();
    for (row, shape) in photos.iter().flat_map(|row| SHAPES.map(|shape| (row, shape))) {
        if let Some(choice) = row.choice(shape) {
            uses.push((choice.entry, shape.usage(), integer(choice.chosen)?));
        }
    }
    if uses.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO photo_use (channel, hash, usage, chosen)
         SELECT ?1, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2)",
    )
    .bind(channel)
    .bind(list(uses))
    .execute(tx)
    .await?;
    Ok(())
}

const SHAPES: [Shape; 2] = [Shape::Profile, Shape::Cover];

impl Catalog {
    /// PHOTO-9: the entries that say they are the profile photo or the cover, the current one first. Those
    /// after it count as if they did not say so.
    pub async fn chosen_photos(
        &self,
        channel: ChannelNo,
        shape: Shape,
    ) -> Result<Vec<Attach>, CatalogError> {
        let rows = sqlx::query(
            "SELECT a.* FROM photo_use u INDEXED BY photo_use_chosen
             CROSS JOIN attach a ON a.channel = u.channel AND a.hash = u.hash
             WHERE u.channel = ?1 AND u.usage = ?2 AND a.alive = 1
             ORDER BY u.chosen DESC, u.hash DESC",
        )
        .bind(channel)
        .bind(shape.usage())
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let rows = rows.iter().map(attach).collect::<Result<Vec<_>, _>>()?;
        Ok(rows.into_iter().filter(|row| row.choice(shape).is_some()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{Fixture, entry};

    fn photo(hash: &str, usage: u16, chosen: Option<u64>) -> Attach {
        let mut photo = entry(hash, None, &format!("{hash}.jpg"));
        let picture = Picture::plain(crate::photo::Kind::Jpeg, 3000, 2000);
        let mut rows = plain_rows(&photo.hash, &picture, 7);
        rows.push(PhotoRow { imgscale: 4, photo_usage: usage, chosen, ..rows[0].clone() });
        photo.is_photo = true;
        photo.photos = kept(&rows);
        photo
    }

    async fn current(hub: &Fixture) -> Vec<String> {
        let chosen = hub.chosen_photos(hub.alice, Shape::Profile).await.expect("read");
        chosen.iter().map(|entry| entry.hash.to_string()).collect()
    }

    /// PHOTO-9: the one chosen last is the current one, of equals the larger id; a removed one is none.
    #[tokio::test]
    async fn the_photo_chosen_last_is_the_current_one() {
        let hub = Fixture::create().await;
        let rows = [
            photo("a", 1, Some(5)),
            photo("b", 1, Some(9)),
            photo("c", 1, Some(9)),
            photo("d", 1, None),
            photo("e", 16, Some(11)),
            photo("f", 0, Some(12)),
        ];
        hub.store(&rows).await;
        assert_eq!(current(&hub).await, ["c", "b", "a", "d"]);
        let gone = Attach { alive: false, ..rows[2].clone() };
        hub.store(&[gone, photo("b", 0, None), photo("d", 1, Some(10))]).await;
        assert_eq!(current(&hub).await, ["d", "a"]);
        let cover = hub.chosen_photos(hub.alice, Shape::Cover).await.expect("read");
        assert_eq!(cover, [rows[4].clone()]);
        assert_eq!(hub.chosen_photos(hub.bob, Shape::Profile).await.expect("read"), []);
    }

    /// PHOTO-4: the rows of an original say the sizes that its scales will have.
    #[test]
    fn an_original_has_rows_of_its_scales() {
        let rows = photo("a", 0, None).photo_rows().expect("rows");
        let sizes: Vec<_> =
            rows[..4].iter().map(|row| (row.imgscale, row.width, row.height)).collect();
        assert_eq!(sizes, [(0, 3000, 2000), (1, 1024, 682), (2, 640, 426), (3, 320, 213)]);
        assert_eq!(rows[0].filesize, 7);
    }
}
