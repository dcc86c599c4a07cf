//! photos.json.

use zotferry_protocol::codec;
use zotferry_protocol::ids::{Millis, OpId, ReplicaId, ResourceId, Role};
use zotferry_protocol::merkle;
use zotferry_protocol::packets::{AttachEntry, AttachRow, Data, Op, Operation, PhotoRow};
use zotferry_protocol::photo::{Choice, Target, fit, target};
use zotferry_protocol::refusal::Code;
use zotferry_protocol::version::Version;

use super::support::{Case, File};

pub(crate) const FILES: &[File] = &[(
    "photos",
    &[
        ("rows", row),
        ("rows_local", row_local),
        ("rows_bad", row_bad),
        ("lists", list),
        ("sizes", size),
        ("current", current),
    ],
)];

/// PHOTO-3: what was read is written again byte by byte, unknown fields too.
fn row(case: Case<'_>) {
    let row = PhotoRow::decode(&case.bytes("row")).expect("a good row");
    let fields = case.child("fields");
    assert_eq!(row.resource_id.as_str(), fields.text("resource_id"));
    assert_eq!(u64::from(row.imgscale), fields.u64("imgscale"));
    assert_eq!(u64::from(row.width), fields.u64("width"));
    assert_eq!(u64::from(row.photo_usage), fields.u64("photo_usage"));
    assert_eq!(row.chosen, fields.get("chosen").map(|_| fields.u64("chosen")));
    let crop = fields.get("crop").map(|_| fields.numbers("crop"));
    assert_eq!(row.crop.map(|c| [c.x, c.y, c.width, c.height].map(u64::from).to_vec()), crop);
    assert_eq!(hex::encode(row.encode()), case.text("row"));
}

fn row_local(case: Case<'_>) {
    let row = PhotoRow::decode(&case.bytes("row")).expect("a good row");
    assert_eq!(hex::encode(row.encode()), case.text("kept"));
}

fn row_bad(case: Case<'_>) {
    PhotoRow::decode(&case.bytes("row")).expect_err("a bad row");
}

/// PHOTO-2: judged with the operation that carries them.
fn list(case: Case<'_>) {
    let folder = case.flag("folder");
    let row = |row: Case<'_>| hex::decode(row.0.as_str().expect("a text")).expect("hexadecimal");
    let photo = case.list("rows").map(|case| row(case).into()).collect();
    let version = Version::edit(None, ReplicaId([1; 8]), Millis(1)).expect("a first edit");
    let entry = AttachEntry {
        row: entry(folder),
        place: version.clone(),
        meta: version.clone(),
        content: (!folder).then_some(version),
        removed: None,
        was: None,
    };
    let file = Data::new(Role::File, 3, merkle::leaf(b"abc"), None, "image/jpeg");
    let operation = Operation {
        id: OpId([2; 16]),
        op: Op::Put.as_str().to_owned(),
        attach: vec![entry],
        data: if folder { Vec::new() } else { vec![file] },
        photo,
        item: Vec::new(),
    };
    let outcome = operation.check().map_err(|refusal| refusal.code);
    assert_eq!(outcome, if case.flag("good") { Ok(()) } else { Err(Code::BadField) });
}

fn entry(folder: bool) -> AttachRow {
    let text = || codec::encode(&"");
    let mut fields: Vec<(&str, Vec<u8>)> = [
        "creator",
        "folder",
        "created",
        "edited",
        "allow_cid",
        "allow_gid",
        "deny_cid",
        "deny_gid",
    ]
    .map(|name| (name, text()))
    .into();
    fields.extend([
        ("hash", codec::encode(&"f1")),
        ("filename", codec::encode(&"a.jpg")),
        ("filetype", codec::encode(&"image/jpeg")),
        ("filesize", codec::encode(&if folder { 0 } else { 3 })),
        ("is_dir", codec::encode(&u8::from(folder))),
    ]);
    fields.extend(["revision", "flags", "is_photo"].map(|name| (name, codec::encode(&0))));
    let mut row = vec![0xde, 0, u8::try_from(fields.len()).expect("few")];
    for (name, value) in fields {
        row.extend(codec::encode(&name));
        row.extend(value);
    }
    AttachRow::decode(&row).expect("a row")
}

fn size(case: Case<'_>) {
    let (width, height) = (case.u32("width"), case.u32("height"));
    for scale in case.list("scales") {
        let Some(Target::Fit(side)) = target(scale.u32("scale") as u8) else {
            panic!("made of the original");
        };
        let (width, height) = fit(width, height, side);
        assert_eq!(scale.numbers("size"), [u64::from(width), u64::from(height)]);
    }
}

fn current(case: Case<'_>) {
    let choices = case.list("entries").map(|entry| {
        let (hash, chosen) = (&entry.0[0], &entry.0[1]);
        let entry = ResourceId::new(hash.as_str().expect("a text")).expect("an id");
        Choice { chosen: chosen.as_u64().unwrap_or(0), entry }
    });
    assert_eq!(choices.max().expect("some").entry.as_str(), case.text("current"));
}
