//! Comparing catalogs: keys, digests, ranges, entries.
//!
//! Spec: AUDIT-1 to AUDIT-10, AUDIT-15.

use zotferry_protocol::refusal::Code;

use super::clone_sync::{entries, entries_for};
use super::operations::item;
use crate::case::{Case, Miss, Want, need};
use crate::content::Content;
use crate::entry::{Entry, name};
use crate::keys::random;
use crate::leaves::{
    at_hub, canonical, compared, digest_of, digest_of_item, key_of, listed, range, sum,
};
use crate::wire::{Value, list, read};
use crate::world::World;

pub(super) fn cases() -> Vec<Case> {
    vec![
        leaf(),
        tombstone(),
        folder_leaf(),
        item_leaf(),
        sums(),
        equal(),
        short_list(),
        after(),
        divided(),
        order(),
        entries_in_order(),
        unknown(),
    ]
}

async fn has_leaf(world: &World, entry: &Entry) -> Result<(), Miss> {
    let found = at_hub(world.me(), &key_of("attach", entry.hash())).await?;
    let found = found.ok_or("AUDIT-1: no leaf at the entry's key")?;
    need(found == digest_of(entry), "AUDIT-2: another digest")
}

fn leaf() -> Case {
    Case::server(
        "audit.file",
        "AUDIT-1 AUDIT-2 AUDIT-8",
        "A file is announced, then removed, and its leaf looked at each time.",
        "the leaf stands at the key, with the digest, that the rules give for the file and for its tombstone",
        |world| async move {
            let me = world.me();
            let entry = Entry::file(me, &name("leaf"), &Content::of(Vec::new()));
            world.sync(me, vec![entry.operation("put")]).await?;
            has_leaf(&world, &entry).await?;
            let mut gone = entry.gone(me);
            world.sync(me, vec![gone.operation("remove")]).await?;
            gone.data = Vec::new();
            let found = at_hub(me, &key_of("attach", entry.hash())).await?;
            let found = found.ok_or("AUDIT-1: a tombstone is a leaf too")?;
            gone.data = entry.data.clone();
            let with = digest_of(&gone);
            gone.data = Vec::new();
            need(
                found == digest_of(&gone) || found == with,
                "AUDIT-2: another digest of the tombstone",
            )
        },
    )
}

fn tombstone() -> Case {
    Case::server(
        "audit.tombstone",
        "AUDIT-15 AUDIT-10",
        "A file is announced and removed; then the hub starts again, and a clone that was not there comes and asks.",
        "the tombstone is a leaf, and its operation comes with `removed`",
        |world| async move {
            let me = world.me();
            let entry = Entry::file(me, &name("removed"), &Content::of(Vec::new()));
            world.sync(me, vec![entry.operation("put")]).await?;
            let gone = entry.gone(me);
            world.sync(me, vec![gone.operation("remove")]).await?;
            if let Err(Miss::Failed(why)) = world.restart().await {
                return Err(Miss::Failed(why));
            }
            let late = world.second().await?;
            let key = key_of("attach", entry.hash());
            let told = entries_for(&late, vec![key.clone()]).await?;
            let operation = told.first().ok_or("no operation")?;
            let attach = operation.list("attach").last().ok_or("SYNC-5: no row")?;
            let removed = attach.at("removed").map(canonical);
            need(removed == gone.removed.as_ref().map(canonical), "`removed` is another")?;
            need(at_hub(&late, &key).await?.is_some(), "it is no leaf")
        },
    )
}

fn folder_leaf() -> Case {
    Case::server(
        "audit.folder",
        "AUDIT-1 AUDIT-2",
        "A folder in a folder is announced, with versions of several replicas.",
        "both leaves stand at their keys with the digests that the rules give",
        |world| async move {
            let me = world.me();
            let outer = Entry::folder(me, &name("outer"));
            let mut inner = Entry::folder(me, &name("inner")).inside(&outer);
            let replicas = [([9; 8], 3), ([1; 8], 300), (me.replica(), 1)];
            inner.meta = crate::entry::vector_of(&replicas, 1 << 40, [9; 8]);
            world.sync(me, vec![inner.operation("put")]).await?;
            has_leaf(&world, &outer).await?;
            has_leaf(&world, &inner).await
        },
    )
}

fn item_leaf() -> Case {
    Case::server(
        "audit.item",
        "AUDIT-1 AUDIT-3",
        "A folder with a post on it is announced.",
        "the item's leaf stands at its own key with the digest that the rule gives",
        |world| async move {
            let mut entry = Entry::folder(world.me(), &name("post"));
            let item = item(world.me());
            entry.more.push(("item", list([item.clone()])));
            let reports = world.sync(world.me(), vec![entry.operation("put")]).await?;
            need(
                reports[0].text("status") == Some("stored"),
                format_args!("{:?}", reports[0].text("status")),
            )?;
            let key = key_of("item", item.text("mid").unwrap_or_default());
            let found =
                at_hub(world.me(), &key).await?.ok_or("AUDIT-1: no leaf at the item's key")?;
            need(found == digest_of_item(&item), "AUDIT-3: another digest")
        },
    )
}

fn sums() -> Case {
    Case::server(
        "audit.sums",
        "AUDIT-4 AUDIT-6 AUDIT-8",
        "All leaves are listed, and added up.",
        "the digest of the whole is the exclusive or of the leaves' digests, its count their number; keys rise",
        |world| async move {
            world
                .sync(world.me(), vec![Entry::folder(world.me(), &name("sum")).operation("put")])
                .await?;
            let all = listed(world.me(), &[]).await?;
            need(
                all.windows(2).all(|pair| pair[0].0 < pair[1].0),
                "AUDIT-8: the keys do not rise",
            )?;
            let whole = &compared(world.me(), vec![range(&[], random(), true)]).await?[0];
            need(
                whole.bin("digest") == Some(&sum(all.iter().map(|(_, digest)| digest))),
                "AUDIT-4: another digest",
            )?;
            need(
                whole.uint("count") == Some(all.len() as u64),
                format_args!("{:?} leaves", whole.uint("count")),
            )
        },
    )
}

fn said(value: &Value) -> [u8; 32] {
    value.bin("digest").and_then(|digest| digest.try_into().ok()).unwrap_or_default()
}

fn equal() -> Case {
    Case::server(
        "audit.equal",
        "AUDIT-7 AUDIT-6",
        "A range with the digest that the hub has itself.",
        "its digest and count, and nothing more",
        |world| async move {
            let own = said(&compared(world.me(), vec![range(&[], random(), false)]).await?[0]);
            let found = &compared(world.me(), vec![range(&[], own, true)]).await?[0];
            need(said(found) == own, "another digest")?;
            need(found.at("leaves").is_none() && found.at("digests").is_none(), "more was said")
        },
    )
}

fn short_list() -> Case {
    Case::server(
        "audit.listed",
        "AUDIT-8",
        "A range of a prefix of 4 bytes that holds one entry, without asking for a list.",
        "a list of it",
        |world| async move {
            let entry = Entry::folder(world.me(), &name("listed"));
            world.sync(world.me(), vec![entry.operation("put")]).await?;
            let key = key_of("attach", entry.hash());
            let found = &compared(world.me(), vec![range(&key[..4], [0; 32], false)]).await?[0];
            let leaves = found.bin("leaves").unwrap_or_default();
            need(
                leaves.len() == 64 && leaves[..32] == key,
                format_args!("{} bytes of leaves", leaves.len()),
            )?;
            need(
                found.uint("count") == Some(1) && found.at("digests").is_none(),
                "it is divided as well",
            )
        },
    )
}

fn after() -> Case {
    Case::server(
        "audit.after",
        "AUDIT-7 AUDIT-8",
        "The list of a range from behind its first leaf on, with the digest that the hub has.",
        "the list without the first leaf, although the digests are equal",
        |world| async move {
            let all = listed(world.me(), &[]).await?;
            let own = said(&compared(world.me(), vec![range(&[], random(), false)]).await?[0]);
            let asked = range(&[], own, true).with("after", all[0].0.clone());
            let found = &compared(world.me(), vec![asked]).await?[0];
            let leaves = found.bin("leaves").ok_or("no list")?;
            let first = all.get(1).map(|(key, digest)| [key.as_slice(), digest].concat());
            need(first.is_none_or(|first| leaves.starts_with(&first)), "it begins elsewhere")
        },
    )
}

fn divided() -> Case {
    Case::server(
        "audit.divided",
        "AUDIT-8 AUDIT-4",
        "140 folders are announced; then the whole is asked for without a list.",
        "256 digests and counts: those of the leaves below, which add up to the whole",
        |world| async move {
            let folder = || Entry::folder(world.me(), &name("divided")).operation("put");
            world.sync(world.me(), (0..140).map(|_| folder()).collect()).await?;
            let all = listed(world.me(), &[]).await?;
            let found = &compared(world.me(), vec![range(&[], random(), false)]).await?[0];
            let digests = found.bin("digests").ok_or("AUDIT-8: it is not divided")?;
            need(digests.len() == 8192 && found.list("counts").len() == 256, "not 256 of them")?;
            need(found.at("leaves").is_none(), "it is listed as well")?;
            for (n, digest) in digests.chunks(32).enumerate() {
                let below: Vec<_> =
                    all.iter().filter(|(key, _)| usize::from(key[0]) == n).collect();
                let added = sum(below.iter().map(|(_, digest)| digest));
                need(digest == added, format_args!("AUDIT-4: another digest below {n}"))?;
                let count = Some(&Value::Uint(below.len() as u64));
                need(
                    found.list("counts").get(n) == count,
                    format_args!("another count below {n}"),
                )?;
            }
            Ok(())
        },
    )
}

fn order() -> Case {
    Case::server(
        "audit.order",
        "AUDIT-6",
        "Four ranges in one request, in no order of their prefixes.",
        "their answers in the order of the request, numbered from 0",
        |world| async move {
            let ranges =
                [&[200][..], &[], &[7, 7], &[0]].map(|prefix| range(prefix, random(), false));
            let found = compared(world.me(), ranges.to_vec()).await?;
            let numbers: Vec<_> = found.iter().map(|range| range.uint("range")).collect();
            need(numbers == [0, 1, 2, 3].map(Some), format_args!("{numbers:?}"))
        },
    )
}

fn entries_in_order() -> Case {
    Case::server(
        "audit.entries",
        "AUDIT-10",
        "Three entries are asked for by key, an unknown key among them.",
        "a `clone-sync` of the three operations in the order of the keys, as the entries are now",
        |world| async move {
            let of = || Entry::folder(world.me(), &name("asked"));
            let made = [of(), of(), of()];
            world
                .sync(world.me(), made.iter().map(|entry| entry.operation("put")).collect())
                .await?;
            let key = |n: usize| key_of("attach", made[n].hash());
            let keys = vec![key(2), random::<32>().to_vec(), key(0), key(1)];
            let found = entries(&world, keys).await?;
            let hash = |operation: &Value| {
                let row = read(operation.list("attach").last()?.bin("row")?).ok()?;
                Some(row.text("hash")?.to_owned())
            };
            let hashes: Vec<String> = found.iter().filter_map(hash).collect();
            let wanted = [2, 0, 1].map(|n: usize| made[n].hash().to_owned());
            need(hashes == wanted, format_args!("{hashes:?} instead of {wanted:?}"))
        },
    )
}

fn unknown() -> Case {
    let want = Want::Signed(Code::UnknownResource);
    Case::server(
        "audit.unknown-entry",
        "AUDIT-10",
        "An entry is asked for by a key that nobody knows.",
        want.sentence(),
        move |world| async move {
            let body = world.me().packet("entry-request", [("keys", list([random::<32>()]))]);
            want.check(&world.me().ask(&body).await?)
        },
    )
}
