//! Lines of the database as the rows that travel.
//!
//! Owns: nulls, and the order in which photos were chosen. Not here: which columns a row has (the protocol),
//! whose values are refused by the same rules as a peer's.
//! Spec: SYNC-6, SYNC-7, SYNC-18, SYNC-19, PHOTO-1, PHOTO-3, PHOTO-8.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use zotferry_protocol::codec;
use zotferry_protocol::ids::Millis;
use zotferry_protocol::packets::{AttachRow, PhotoRow};
use zotferry_protocol::version::Hlc;

use super::table::Fields;

/// Texts that a row always has, and a database may not.
const ATTACH_TEXTS: [&str; 10] = [
    "creator",
    "filename",
    "filetype",
    "folder",
    "created",
    "edited",
    "allow_cid",
    "allow_gid",
    "deny_cid",
    "deny_gid",
];
const PHOTO_TEXTS: [&str; 4] = ["mimetype", "title", "description", "album"];
const ITEM_TEXTS: [&str; 1] = ["body"];
/// Columns of a tag that mean something on one hub only.
const TERM_LOCAL: [&str; 4] = ["tid", "aid", "uid", "oid"];

/// An entry's row, or why it is none.
pub(super) fn attach_row(mut fields: Fields) -> Result<AttachRow, String> {
    no_nulls(&mut fields, &ATTACH_TEXTS);
    no_nuls(&fields, &ATTACH_TEXTS)?;
    let row = AttachRow::decode(&codec::encode(&fields)).map_err(|e| e.to_string())?;
    row.check().map_err(|e| e.to_string())?;
    Ok(row)
}

/// The same row with its tags, which travel with it.
pub(super) fn with_terms(mut row: AttachRow, terms: Vec<Fields>) -> Result<AttachRow, String> {
    if terms.is_empty() {
        return Ok(row);
    }
    let terms: Vec<Fields> = terms.into_iter().map(term).collect();
    row.extra.push(("term".to_owned(), codec::encode(&terms)));
    AttachRow::decode(&row.encode()).map_err(|e| e.to_string())
}

/// A tag without what is local.
pub(super) fn term(mut fields: Fields) -> Fields {
    fields.retain(|name, _| !TERM_LOCAL.contains(&name.as_str()));
    fields
}

/// A photo's row, or why it is none. PHOTO-8: of several that are in use, the one that was edited last was
/// chosen last.
pub(super) fn photo_row(mut fields: Fields) -> Result<PhotoRow, String> {
    no_nulls(&mut fields, &PHOTO_TEXTS);
    no_nuls(&fields, &PHOTO_TEXTS)?;
    let edited = fields.get("edited").and_then(Value::as_str).and_then(millis);
    let row = PhotoRow::decode(&codec::encode(&fields)).map_err(|e| e.to_string())?;
    let chosen = edited.filter(|_| row.photo_usage != 0).map(|at| Hlc::after(Hlc(0), at).0);
    Ok(PhotoRow { chosen, ..row })
}

/// An item as hub software hands it over.
pub(super) fn item(mut fields: Fields, terms: Vec<Fields>) -> Value {
    no_nulls(&mut fields, &ITEM_TEXTS);
    if !terms.is_empty() {
        let terms = terms.into_iter().map(|fields| Value::Object(term(fields))).collect();
        fields.insert("term".to_owned(), Value::Array(terms));
    }
    Value::Object(fields)
}

fn no_nulls(fields: &mut Fields, texts: &[&str]) {
    for name in texts {
        if let Some(value) = fields.get_mut(*name).filter(|value| value.is_null()) {
            *value = Value::String(String::new());
        }
    }
}

/// NUL would end a text half way in the catalog, which refuses it with all that comes at the same time.
fn no_nuls(fields: &Fields, texts: &[&str]) -> Result<(), String> {
    let has = |name: &&&str| {
        fields.get(**name).and_then(Value::as_str).is_some_and(|text| text.contains('\0'))
    };
    match texts.iter().find(has) {
        Some(name) => Err(format!("{name} contains a NUL")),
        None => Ok(()),
    }
}

/// `YYYY-MM-DD HH:MM:SS`, UTC.
fn millis(date: &str) -> Option<Millis> {
    let date: DateTime = date.parse().ok()?;
    let ms = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u64::try_from(ms).ok().map(Millis)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        let Value::Object(fields) = value else { panic!("a map") };
        fields
    }

    fn attach() -> Value {
        json!({
            "id": 3, "aid": 1, "uid": 2, "hash": "f1", "creator": null, "filename": "photo.jpg",
            "filetype": "image/jpeg", "filesize": 4_294_967_295_u64, "revision": 2, "folder": "", "flags": 0,
            "is_dir": 0, "is_photo": 1, "os_storage": 1, "os_path": "f1", "display_path": "photo.jpg",
            "created": "2026-11-22 16:21:03", "edited": "2026-11-22 16:21:04", "allow_cid": "<a>",
            "allow_gid": null, "deny_cid": "", "deny_gid": "", "later": 7
        })
    }

    /// SYNC-7, SYNC-19: columns that nobody knows are kept, local ones are not, tags come along.
    #[test]
    fn a_row_keeps_what_it_has() {
        let row = attach_row(fields(attach())).expect("a row");
        assert_eq!((row.creator.as_str(), row.allow_cid.as_str()), ("", "<a>"));
        assert_eq!((row.filesize, row.revision, row.mtime), (4_294_967_295, 2, None));
        assert_eq!(row.extra, [("later".to_owned(), vec![7])]);
        let tag = json!({"tid": 1, "uid": 2, "oid": 3, "otype": 8, "ttype": 3, "term": "birds", "url": null});
        let row = with_terms(row, vec![fields(tag)]).expect("a row");
        let (name, raw) = row.extra.last().expect("tags");
        let tags: Value = codec::decode_owned(raw).expect("a list");
        assert_eq!(name, "term");
        assert_eq!(tags, json!([{"otype": 8, "term": "birds", "ttype": 3, "url": null}]));
    }

    /// SYNC-6, SYNC-18: what a peer could not send is not taken from a database either.
    #[test]
    fn rows_that_cannot_be_are_refused() {
        for (name, value) in [
            ("filename", json!("../../etc/passwd")),
            ("filename", json!("..")),
            ("filename", json!("nul\0")),
            ("filename", json!(null)),
            ("creator", json!("nul\0")),
            ("edited", json!("nul\0")),
            ("hash", json!("")),
            ("hash", json!("a/b")),
            ("folder", json!("x".repeat(300))),
            ("filesize", json!(-1)),
            ("is_dir", json!("yes")),
            ("allow_cid", json!("<".repeat(70_000))),
        ] {
            let mut row = fields(attach());
            row.insert(name.to_owned(), value.clone());
            assert!(attach_row(row).is_err(), "{name}: {value}");
        }
        let tag = fields(json!({"term": "x".repeat(70_000)}));
        let row = attach_row(fields(attach())).expect("a row");
        assert!(with_terms(row, vec![tag]).is_err());
    }

    /// PHOTO-8, PHOTO-9: a photo in use was chosen when it was edited; no other was chosen.
    #[test]
    fn a_photo_in_use_was_chosen() {
        let photo = |usage: u16, edited: &str| {
            photo_row(fields(json!({
                "id": 9, "aid": 1, "uid": 2, "xchan": "", "resource_id": "f1", "created": edited, "edited": edited,
                "title": "", "description": null, "album": "Profile Photos", "filename": "a.jpg",
                "mimetype": "image/jpeg", "height": 300, "width": 300, "filesize": 4643, "imgscale": 4,
                "photo_usage": usage, "profile": 0, "is_nsfw": 0, "os_storage": 1, "photo_flags": 0
            })))
            .expect("a row")
        };
        let earlier = photo(1, "2026-11-22 16:25:04");
        let later = photo(1, "2026-11-22 16:25:05");
        assert!(earlier.chosen.is_some() && earlier.chosen < later.chosen);
        assert_eq!(photo(0, "2026-11-22 16:25:04").chosen, None);
        assert_eq!(photo(1, "0000-00-00 00:00:00").chosen, None);
        let extra: Vec<&str> = later.extra.iter().map(|(name, _)| name.as_str()).collect();
        assert!(extra.contains(&"is_nsfw") && !extra.contains(&"os_storage"), "{extra:?}");
    }
}
