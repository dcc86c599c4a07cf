//! Posts on entries, and photo rows: what is kept as it came, what is translated, and what wins.
//!
//! Spec: ITEM-4, ITEM-6, ITEM-7, ITEM-9, ITEM-10, ITEM-11, ITEM-13, TRANS-2, TRANS-3, PHOTO-3, PHOTO-7, AUDIT-10.

use super::clone_sync::entries;
use super::operations::{item, photo};
use crate::actor::Actor;
use crate::case::{Case, Miss, need};
use crate::content::Content;
use crate::desk::from_base64;
use crate::entry::{Entry, edit, name, vector_of};
use crate::leaves::key_of;
use crate::wire::{Value, list, read};
use crate::world::World;

pub(super) fn cases() -> Vec<Case> {
    vec![
        of_others(),
        of_the_channel(),
        translated_alike(),
        removed(),
        older(),
        photo_fields(),
        photos_with_meta(),
    ]
}

/// Announces a folder with an item on it.
async fn put(world: &World, entry: &Entry, item: &Value) -> Result<(), Miss> {
    let mut entry = entry.clone();
    entry.more = vec![("item", list([item.clone()]))];
    let reports = world.sync(world.me(), vec![entry.operation("put")]).await?;
    let status = reports[0].text("status").unwrap_or_default();
    need(status != "refused", format_args!("refused with {:?}", reports[0].uint("code")))
}

/// The item as the hub tells of it, asked for by its own key and its entry's.
async fn kept(world: &World, entry: &Entry, item: &Value) -> Result<Value, Miss> {
    let mid = item.text("mid").unwrap_or_default();
    let keys = vec![key_of("attach", entry.hash()), key_of("item", mid)];
    let found = entries(world, keys).await?;
    let mut items = found.iter().flat_map(|operation| operation.list("item"));
    let item = items.find(|item| item.text("mid") == Some(mid)).cloned();
    item.ok_or_else(|| "AUDIT-10: the item does not come with its entry".into())
}

/// An item with further fields in its row.
fn with_row(item: Value, fields: &[(&str, Value)]) -> Value {
    let mut row = item.bin("row").and_then(|row| read(row).ok()).unwrap_or(Value::Nil);
    for (name, value) in fields {
        row.set(name, value.clone());
    }
    item.with("row", row.bytes())
}

fn of_others() -> Case {
    Case::server(
        "items.of-others",
        "ITEM-13 ITEM-7",
        "A post of another author that links to the channel at our hub, with a field that nobody knows.",
        "the row comes back byte by byte",
        |world| async move {
            let entry = Entry::folder(world.me(), &name("post"));
            let body = format!("see {}/channel/conformance", world.me().url());
            let fields = [
                ("author_xchan", "F".repeat(86).into()),
                ("body", body.into()),
                ("x-of-tomorrow", list([1u64, 2])),
            ];
            let item = with_row(item(world.me()), &fields);
            put(&world, &entry, &item).await?;
            let found = kept(&world, &entry, &item).await?;
            need(found.bin("row") == item.bin("row"), "the row is another one")
        },
    )
}

fn of_the_channel() -> Case {
    Case::server(
        "items.of-the-channel",
        "ITEM-9 ITEM-10 TRANS-2 TRANS-3",
        "A post of the channel that links to the channel, and to somebody else, at our hub.",
        "`url` is the hub's; the first link leads to the hub, the second is as it was; the channel's key signed the new body",
        |world| async move {
            let entry = Entry::folder(world.me(), &name("post"));
            let (me, hub) = (world.me().url(), world.shared().hub.url.as_str());
            let body =
                format!("[url={me}/channel/conformance?f=1#x]me[/url], {me}/channel/somebody");
            let author = world.shared().channel.as_str().into();
            let fields =
                [("author_xchan", author), ("body", body.into()), ("signature", "sha256.x".into())];
            let item = with_row(item(world.me()), &fields);
            put(&world, &entry, &item).await?;
            let found = kept(&world, &entry, &item).await?;
            need(found.text("url") == Some(hub), format_args!("`url` is {:?}", found.text("url")))?;
            let row = read(found.bin("row").ok_or("no row")?)?;
            let (body, nick) =
                (row.text("body").unwrap_or_default(), found.text("nick").unwrap_or_default());
            let wanted = format!("[url={hub}/channel/{nick}?f=1#x]me[/url], {me}/channel/somebody");
            need(body == wanted, format_args!("{body:?} instead of {wanted:?}"))?;
            let signature = row.text("signature").unwrap_or_default();
            let signature =
                signature.strip_prefix("sha256.").and_then(from_base64).unwrap_or_default();
            let good = world.channel_key().public().verifies(body.as_bytes(), &signature);
            need(good, "ITEM-10: the channel's key has not signed the new body")
        },
    )
}

fn translated_alike() -> Case {
    Case::server(
        "items.translated-alike",
        "ITEM-11 ITEM-9",
        "A post of the channel that links to the channel at our hub is asked for three times, and then sent again.",
        "it comes translated, byte by byte the same each time, under the version that it was sent with; sent again it is \
         `duplicate`, and no clone is told of it",
        |world| async move {
            let other = world.second().await?;
            let entry = Entry::folder(world.me(), &name("post"));
            let author = world.shared().channel.as_str().into();
            let body = format!("{}/channel/conformance", world.me().url());
            let fields =
                [("author_xchan", author), ("body", body.into()), ("signature", "sha256.x".into())];
            let item = with_row(item(world.me()), &fields);
            put(&world, &entry, &item).await?;
            let first = kept(&world, &entry, &item).await?;
            let versions = [first.at("version"), item.at("version")].map(|v| v.map(Value::bytes));
            need(versions[0] == versions[1], "it comes under another version")?;
            need(first.bin("row") != item.bin("row"), "it is not translated")?;
            for _ in 0..2 {
                let again = kept(&world, &entry, &item).await?;
                need(again.bytes() == first.bytes(), "it comes in another form")?;
            }
            let mut said = entry.clone();
            said.more = vec![("item", list([item.clone()]))];
            let reports = world.sync(world.me(), vec![said.operation("put")]).await?;
            let status = reports[0].text("status").unwrap_or_default();
            need(status == "duplicate", format_args!("sent again it is {status}"))?;
            // The hub has told both of us of this file when it has told us all that came before.
            let content = std::sync::Arc::new(Content::noise(1000));
            let file = Entry::file(&other, &name("after the post"), &content);
            world.give(&other, &file, &content).await?;
            world.present(world.me(), &file, &content).await?;
            let told = [world.me(), &other].iter().any(|clone| tells_of(clone, entry.hash()));
            need(!told, "a clone is told of the translated post")
        },
    )
}

/// Whether a clone was told of an entry.
fn tells_of(clone: &Actor, hash: &str) -> bool {
    clone.inbox().iter().filter_map(|incoming| incoming.packet.as_ref()).any(|packet| {
        packet.body.list("operations").iter().any(|operation| {
            let row = operation.list("attach").last().and_then(|entry| entry.bin("row"));
            row.and_then(|row| read(row).ok()).is_some_and(|row| row.text("hash") == Some(hash))
        })
    })
}

fn removed() -> Case {
    Case::server(
        "items.removed",
        "ITEM-4 ITEM-6",
        "A post, and then its removal: the same without `row`, under a later version.",
        "the item comes back without `row`, under the later version",
        |world| async move {
            let entry = Entry::folder(world.me(), &name("post"));
            let item = item(world.me());
            put(&world, &entry, &item).await?;
            let later = edit(item.at("version").unwrap_or(&Value::Nil), world.me());
            let gone = item.clone().without("row").with("version", later.clone());
            put(&world, &entry, &gone).await?;
            let found = kept(&world, &entry, &item).await?;
            need(found.at("row").is_none(), "it has a row still")?;
            need(found.uint("version.hlc") == later.uint("hlc"), "it has another version")
        },
    )
}

fn older() -> Case {
    Case::server(
        "items.older",
        "ITEM-6",
        "A post under its second version, and then under its first.",
        "the row of the second version comes back",
        |world| async move {
            let entry = Entry::folder(world.me(), &name("post"));
            let first = item(world.me());
            let later = edit(first.at("version").unwrap_or(&Value::Nil), world.me());
            let second =
                with_row(first.clone(), &[("body", "edited".into())]).with("version", later);
            put(&world, &entry, &second).await?;
            put(&world, &entry, &first).await?;
            let found = kept(&world, &entry, &first).await?;
            let row = read(found.bin("row").ok_or("no row")?)?;
            need(
                row.text("body") == Some("edited"),
                format_args!("the body {:?}", row.text("body")),
            )
        },
    )
}

/// The photo rows of an entry as the hub tells of it.
async fn photos(world: &World, entry: &Entry) -> Result<Vec<Value>, Miss> {
    let found = entries(world, vec![key_of("attach", entry.hash())]).await?;
    let operation = found.first().ok_or("the entry is not known")?;
    let row = |row: &Value| match row {
        Value::Bin(bytes) => Ok(read(bytes)?),
        _ => Err(Miss::from("a photo row that is no bin")),
    };
    operation.list("photo").iter().map(row).collect()
}

fn photo_fields() -> Case {
    Case::server(
        "items.photo-fields",
        "PHOTO-3 SYNC-36",
        "An image with a photo row that has a field which nobody knows, and `aid`, which means something on one hub only.",
        "the unknown field comes back, `aid` does not",
        |world| async move {
            let mut entry = Entry::file(world.me(), &name("photo"), &Content::noise(100));
            let row = photo(&entry, 2).with("x-of-tomorrow", list([7u64])).with("aid", 3u64);
            entry.more = vec![("photo", list([row.bytes()]))];
            let reports = world.sync(world.me(), vec![entry.operation("put")]).await?;
            need(reports[0].text("status") == Some("stored"), "it is not stored")?;
            let rows = photos(&world, &entry).await?;
            let found = rows.iter().find(|row| row.uint("imgscale") == Some(2)).ok_or("no row")?;
            need(found.at("x-of-tomorrow") == Some(&list([7u64])), "the unknown field is another")?;
            need(found.at("aid").is_none(), "`aid` came back")
        },
    )
}

fn photos_with_meta() -> Case {
    Case::server(
        "items.photo-rows-go-with-meta",
        "PHOTO-7 SYNC-25",
        "Two descriptions of an image that have not seen each other: the earlier has a row of scale 2, the later one of \
         scale 3.",
        "the later one's row alone, whichever came first",
        |world| async move {
            for later_first in [true, false] {
                let me = world.me();
                let base = Entry::file(me, &name("photo"), &Content::noise(100));
                let clock = base.meta.uint("hlc").unwrap_or(0);
                let other = [0x5b; 8];
                let described = |scale: u64, meta: Value| {
                    let mut entry = base.clone();
                    entry.meta = meta;
                    entry.more = vec![("photo", list([photo(&base, scale).bytes()]))];
                    entry.operation("meta")
                };
                let early = described(2, vector_of(&[(other, 1)], clock - 100, other));
                let late = described(3, vector_of(&[(me.replica(), 1)], clock, me.replica()));
                let operations = if later_first { vec![late, early] } else { vec![early, late] };
                world.sync(me, operations).await?;
                let scales: Vec<_> =
                    photos(&world, &base).await?.iter().map(|row| row.uint("imgscale")).collect();
                need(scales == [Some(3)], format_args!("the scales {scales:?}"))?;
            }
            Ok(())
        },
    )
}
