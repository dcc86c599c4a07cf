//! Photos: chosen on one hub, shown by all.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageEncoder, ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use zotferry::catalog::{Access, Attach};
use zotferry::files::{self, MetaChange, set_photo};
use zotferry::hub::Hub;
use zotferry::photo::BadPicture;
use zotferry::photos::{self, PhotoError, open_scale};
use zotferry::sweep::sweep;
use zotferry_protocol::codec;
use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::photo::{Crop, Shape};
use zotferry_protocol::version::{Hlc, Version};

use crate::harness::{Setup, TestHub, pair, until};

/// A JPEG with something to see in it, shown 1500 x 1000; stored on its side if it is turned.
fn photo(seed: u8, turned: bool) -> Vec<u8> {
    let (width, height) = if turned { (1000, 1500) } else { (1500, 1000) };
    let image = RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x / 6) as u8 ^ seed, (y / 6) as u8, ((x + y) / 12) as u8])
    });
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.write_image(&image, width, height, image::ExtendedColorType::Rgb8).unwrap();
    if turned {
        let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let len = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        bytes.splice(2..2, [&[0xff, 0xe1], &len[..], exif].concat());
    }
    bytes
}

async fn entry(hub: &Arc<Hub>, name: &str) -> Attach {
    let channel = hub.catalog.channel_by_nick("alice").await.unwrap().unwrap();
    hub.catalog.by_path(channel.id, &[name]).await.unwrap().unwrap()
}

/// The bytes of a scale, as a web server would send them.
async fn scale(hub: &Arc<Hub>, name: &str, scale: u8) -> Result<Vec<u8>, PhotoError> {
    let channel = hub.catalog.channel_by_nick("alice").await.unwrap().unwrap();
    let opened = open_scale(hub, &channel, &entry(hub, name).await, scale).await?;
    let mut bytes = vec![0; usize::try_from(opened.content.size()).unwrap()];
    zotferry::storage::read_exact_at(&*opened.content, 0, &mut bytes).unwrap();
    Ok(bytes)
}

fn size(bytes: &[u8]) -> (u32, u32) {
    let image = image::load_from_memory(bytes).unwrap();
    (image.width(), image.height())
}

async fn set(hub: &Arc<Hub>, name: &str, shape: Shape, crop: Option<Crop>) {
    let channel = hub.catalog.channel_by_nick("alice").await.unwrap().unwrap();
    set_photo(hub, &channel, &[name.to_owned()], shape, crop).await.unwrap();
}

/// The name of the current profile photo.
async fn profile(hub: &Arc<Hub>) -> Option<String> {
    let channel = hub.catalog.channel_by_nick("alice").await.unwrap().unwrap();
    let current = photos::current(hub, &channel).await.unwrap();
    current.profile.map(|entry| entry.filename)
}

/// How many entries say, by their own rows, that they are the profile photo.
async fn claims(hub: &Arc<Hub>) -> usize {
    let channel = hub.catalog.channel_by_nick("alice").await.unwrap().unwrap();
    hub.catalog.chosen_photos(channel.id, Shape::Profile).await.unwrap().len()
}

async fn is_profile(hub: &TestHub, name: &str) {
    until(&format!("{name} is the profile photo"), async || {
        profile(hub.hub()).await.as_deref() == Some(name) && claims(hub.hub()).await == 1
    })
    .await;
}

/// PHOTO-4, PHOTO-5, PHOTO-7: what was cropped arrives byte by byte; everything else is made of it on each clone, and equal.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_photo_is_the_same_on_every_clone() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let bytes = photo(1, true);
    origin.put_bytes("alice", "me.jpg", &bytes).await;
    let crop = Crop { x: 700, y: 100, width: 600, height: 600 };
    set(origin.hub(), "me.jpg", Shape::Profile, Some(crop)).await;
    set(origin.hub(), "me.jpg", Shape::Cover, None).await;
    is_profile(&clone, "me.jpg").await;
    clone.has("alice", 3).await;
    let sizes = [
        (1, (1024, 682)),
        (2, (640, 426)),
        (3, (320, 213)),
        (4, (300, 300)),
        (5, (80, 80)),
        (6, (48, 48)),
        (7, (1200, 435)),
        (8, (850, 310)),
        (9, (425, 160)),
    ];
    for (n, expected) in sizes {
        let here = scale(origin.hub(), "me.jpg", n).await.unwrap();
        assert_eq!(size(&here), expected, "scale {n}");
        assert_eq!(scale(clone.hub(), "me.jpg", n).await.unwrap(), here, "scale {n}");
    }
    assert_eq!(scale(clone.hub(), "me.jpg", 0).await.unwrap(), bytes);
    assert!(matches!(scale(clone.hub(), "me.jpg", 10).await, Err(PhotoError::NoSuchScale(10))));
    let channel = clone.channel("alice").await;
    let entry = entry(clone.hub(), "me.jpg").await;
    let rows = photos::rows(clone.hub(), &channel, &entry).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.imgscale, (row.width, row.height))).collect();
    assert_eq!(told, [vec![(0, (1500, 1000))], sizes.to_vec()].concat());
    let usages: Vec<_> = rows.iter().map(|row| row.photo_usage).collect();
    assert_eq!(usages, [0, 0, 0, 0, 1, 1, 1, 16, 16, 16]);
    assert_eq!(rows[4].crop, Some(crop));
    // The image is for the channel alone; what the profile shows of it is for everybody.
    for (n, status) in (0..10).map(|n| (n, if n < 4 { 404 } else { 200 })) {
        let url = format!("{}/photo/{}-{n}", clone.hub().config.url, entry.hash);
        assert_eq!(reqwest::get(url).await.unwrap().status(), status, "scale {n}");
    }
}

/// PHOTO-8, PHOTO-9, PHOTO-10: a new profile photo, set on another clone, unsets the one before everywhere, and back again.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_profile_photo_unsets_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    origin.put_bytes("alice", "a.jpg", &photo(1, false)).await;
    origin.put_bytes("alice", "b.jpg", &photo(2, false)).await;
    set(origin.hub(), "a.jpg", Shape::Profile, None).await;
    is_profile(&clone, "a.jpg").await;
    clone.has("alice", 3).await;
    set(clone.hub(), "b.jpg", Shape::Profile, None).await;
    is_profile(&clone, "b.jpg").await;
    is_profile(&origin, "b.jpg").await;
    // What was cropped before is there still: links lead to it.
    for hub in [&origin, &clone] {
        assert_eq!(size(&scale(hub.hub(), "a.jpg", 4).await.unwrap()), (300, 300));
    }
    set(origin.hub(), "a.jpg", Shape::Profile, None).await;
    is_profile(&origin, "a.jpg").await;
    is_profile(&clone, "a.jpg").await;
}

/// Opens a stopped hub's folder, and sets a photo that nobody hears of yet.
async fn set_alone(dir: &Path, name: &str) {
    let hub = Arc::new(Hub::open(dir).await.unwrap());
    set(&hub, name, Shape::Profile, None).await;
    hub.close().await.unwrap();
}

/// PHOTO-9: two clones that chose without knowing of each other end with the same photo, the one chosen last; the
/// other is shown as unset.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_choices_end_equal() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    origin.put_bytes("alice", "a.jpg", &photo(1, false)).await;
    origin.put_bytes("alice", "b.jpg", &photo(2, false)).await;
    clone.has("alice", 2).await;
    let (origin, clone) = (origin.stop().await, clone.stop().await);
    set_alone(&clone.dir, "b.jpg").await;
    set_alone(&origin.dir, "a.jpg").await;
    let (origin, clone) = (origin.start().await, clone.start().await);
    for hub in [&origin, &clone] {
        until("both choices are known, and the later one counts", async || {
            claims(hub.hub()).await == 2 && profile(hub.hub()).await.as_deref() == Some("a.jpg")
        })
        .await;
        let channel = hub.channel("alice").await;
        let lost = entry(hub.hub(), "b.jpg").await;
        let rows = photos::rows(hub.hub(), &channel, &lost).await.unwrap();
        assert!(rows.iter().all(|row| row.photo_usage == 0), "shown as unset");
    }
    // The next choice ends both.
    set(clone.hub(), "b.jpg", Shape::Profile, None).await;
    is_profile(&clone, "b.jpg").await;
    is_profile(&origin, "b.jpg").await;
}

/// PHOTO-6: a damaged image is a file like any other, on every clone, and is not decoded again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_image_is_kept_without_scales() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let mut cut = photo(1, false);
    cut.truncate(cut.len() / 2);
    let mut bomb = Cursor::new(Vec::new());
    RgbImage::new(4, 4).write_to(&mut bomb, ImageFormat::Png).unwrap();
    let mut bomb = bomb.into_inner();
    bomb[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    for (name, bytes) in [("cut.jpg", &cut), ("bomb.png", &bomb), ("text.gif", &b"GIF".to_vec())] {
        origin.put_bytes("alice", name, bytes).await;
        clone.shows("alice", name, bytes).await;
        for hub in [origin.hub(), clone.hub()] {
            let first = scale(hub, name, 1).await.expect_err(name);
            assert!(matches!(&first, PhotoError::Bad(bad) if bad.lasts()), "{name}: {first}");
            let again = scale(hub, name, 3).await.expect_err(name);
            assert!(matches!(again, PhotoError::Bad(BadPicture::Known(_))), "{name}: {again}");
            assert_eq!(&scale(hub, name, 0).await.unwrap(), bytes);
        }
        let channel = origin.channel("alice").await;
        let refused =
            set_photo(origin.hub(), &channel, &[name.to_owned()], Shape::Profile, None).await;
        assert!(refused.is_err(), "{name}");
    }
    assert_eq!(profile(origin.hub()).await, None);
}

/// PHOTO-2, PHOTO-4: while the bytes are away, the rows that came with the entry say its sizes.
#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_known_before_the_bytes_are_here() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let channel = clone.channel("alice").await;
    clone.hub().catalog.set_paused(channel.id, true).await.unwrap();
    origin.put_bytes("alice", "me.jpg", &photo(1, true)).await;
    until("the entry is known", async || !clone.names("alice").await.is_empty()).await;
    for n in [0, 1] {
        assert!(matches!(scale(clone.hub(), "me.jpg", n).await, Err(PhotoError::NotHere)));
    }
    let known = entry(clone.hub(), "me.jpg").await;
    let rows = photos::rows(clone.hub(), &channel, &known).await.unwrap();
    let sizes: Vec<_> = rows.iter().map(|row| (row.width, row.height)).collect();
    assert_eq!(sizes, [(1500, 1000), (1024, 682), (640, 426), (320, 213)]);
}

/// Scales are made again when they are lost, and go with the content that they were made of.
#[tokio::test(flavor = "multi_thread")]
async fn lost_scales_are_made_again_and_swept() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, _clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    origin.put_bytes("alice", "me.jpg", &photo(1, false)).await;
    let made = scale(origin.hub(), "me.jpg", 2).await.unwrap();
    let kept = origin.hub().folder.scales();
    let files = || {
        let folders = std::fs::read_dir(&kept).unwrap();
        folders.flat_map(|f| std::fs::read_dir(f.unwrap().path()).unwrap()).count()
    };
    assert_eq!(files(), 3, "all three were made in one go");
    std::fs::remove_dir_all(&kept).unwrap();
    assert_eq!(scale(origin.hub(), "me.jpg", 2).await.unwrap(), made);
    let channel = origin.channel("alice").await;
    files::remove(origin.hub(), &channel, &["me.jpg".to_owned()]).await.unwrap();
    until("the clone has heard", async || {
        origin.hub().catalog.lagging(origin.hub().site).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(sweep(origin.hub(), 0).await.unwrap(), 1);
    assert_eq!(files(), 0);
}

/// PHOTO-8, by the vectors: an edit that chooses an image gives its rows the clock of that edit, and later ones keep it.
#[tokio::test(flavor = "multi_thread")]
async fn choices_are_told_as_specified() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    let vectors: Value =
        serde_json::from_str(include_str!("../../spec/vectors/images.json")).unwrap();
    for (number, case) in vectors["choices"].as_array().unwrap().iter().enumerate() {
        let nick = format!("alice{number}");
        hub.create_channel(&nick).await;
        let mut images = BTreeMap::new();
        for image in ["a", "b"] {
            hub.put_bytes(&nick, image, &photo(number as u8, true)).await;
            let channel = hub.channel(&nick).await.id;
            let entry = hub.hub().catalog.by_path(channel, &[image]).await.unwrap().unwrap();
            images.insert(image, entry.hash);
        }
        let mut clocks = Vec::new();
        for edit in case["edits"].as_array().unwrap() {
            let hash = &images[edit["image"].as_str().unwrap()];
            let entry = edited(&hub, &nick, hash, edit).await;
            let meta: Version = codec::decode_owned(&entry.meta_version.0).unwrap();
            clocks.push(meta.hlc().0);
            let rows = entry.photo_rows().unwrap();
            let used = rows.iter().filter(|row| row.photo_usage != 0);
            let uses = used.map(|row| {
                let chosen = clocks.iter().position(|clock| Some(*clock) == row.chosen);
                (row.imgscale.to_string(), json!([row.photo_usage, chosen.map(|n| n + 1)]))
            });
            let uses: serde_json::Map<_, _> = uses.collect();
            assert_eq!(Value::Object(uses), edit["uses"], "{}: {edit}", case["name"]);
        }
    }
}

/// One edit of a vector, and the entry after it.
async fn edited(hub: &TestHub, nick: &str, hash: &ResourceId, edit: &Value) -> Attach {
    let channel = hub.channel(nick).await;
    let catalog = &hub.hub().catalog;
    let path = catalog.path_of(channel.id, hash).await.unwrap().unwrap();
    let change = match edit["do"].as_str().unwrap() {
        "choose" => {
            let usage = u16::try_from(edit["photo_usage"].as_u64().unwrap()).unwrap();
            let shape = Shape::of_usage(usage).unwrap();
            set_photo(hub.hub(), &channel, &path, shape, None).await.unwrap();
            None
        }
        "title" => Some(MetaChange { title: Some("a title".to_owned()), ..MetaChange::default() }),
        "access" => {
            let access = Access { allow_cid: "<somebody>".to_owned(), ..Access::default() };
            Some(MetaChange { access: Some(access), ..MetaChange::default() })
        }
        "move" => {
            let to = vec!["elsewhere".to_owned()];
            files::rename(hub.hub(), &channel, &path, &to, false).await.unwrap();
            None
        }
        other => panic!("nobody does {other}"),
    };
    if let Some(change) = change {
        files::set_meta(hub.hub(), &channel, &path, change).await.unwrap();
    }
    catalog.entry(channel.id, hash).await.unwrap().unwrap()
}

/// PHOTO-8: a choice is later than the one it ends, also where that was made under a clock that is ahead; one that claims the
/// end of all time is ended all the same (PHOTO-10), and edits go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_choice_follows_one_that_lies_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    let channel = hub.create_channel("alice").await;
    for name in ["a.jpg", "b.jpg"] {
        hub.put_bytes("alice", name, &photo(1, false)).await;
    }
    let hour = hub.hub().clock.now().plus(3_600_000).0 << 16;
    for (ahead, follows) in [(hour, true), (Hlc::MAX.0, false)] {
        set(hub.hub(), "a.jpg", Shape::Profile, None).await;
        let mut rows = entry(hub.hub(), "a.jpg").await.photo_rows().unwrap();
        let used = rows.iter_mut().filter(|row| row.photo_usage != 0);
        used.for_each(|row| row.chosen = Some(ahead));
        let photos = Some(rows.iter().map(zotferry_protocol::packets::PhotoRow::encode).collect());
        let change = MetaChange { photos, ..MetaChange::default() };
        let path = ["a.jpg".to_owned()];
        files::set_meta(hub.hub(), &channel, &path, change).await.unwrap();
        set(hub.hub(), "b.jpg", Shape::Profile, None).await;
        let chosen = entry(hub.hub(), "b.jpg").await.choice(Shape::Profile).unwrap().chosen;
        assert_eq!(chosen > ahead, follows, "{chosen} after {ahead}");
        assert_eq!(profile(hub.hub()).await.as_deref(), Some("b.jpg"));
        assert_eq!(claims(hub.hub()).await, 1);
    }
}
