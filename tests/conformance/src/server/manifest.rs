//! Pages of digests.
//!
//! Spec: FETCH-28, FETCH-30, FETCH-50 to FETCH-52, FILE-6, FILE-7, FILE-11.

use super::{BAD_FIELD, Odd};
use crate::actor::Actor;
use crate::case::{Case, Miss, Want, need};
use crate::content::{Content, joined};
use crate::entry::{Entry, name};
use crate::keys::random;
use crate::wire::{Reply, Value, list, map};
use crate::world::World;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![page(), order(), beyond(), unknown(), not_here()];
    cases.extend(bad().into_iter().map(Case::from));
    cases
}

/// The answer to some items.
pub(super) async fn ask(world: &World, items: Vec<Value>) -> Result<Value, Miss> {
    let reply =
        world.me().ask(&world.me().packet("manifest-request", [("items", list(items))])).await?;
    Want::Packet("manifest-page").check(&reply)?;
    let Reply::Packet { body, .. } = reply else { return Err("no packet".into()) };
    Ok(body)
}

fn pages(item: Value, first: u64, count: u64) -> Value {
    item.with("first", first).with("count", count)
}

/// The refused items: number and code.
pub(super) fn refused(body: &Value) -> Vec<(Option<u64>, Option<u64>)> {
    body.list("refused").iter().map(|item| (item.uint("item"), item.uint("code"))).collect()
}

fn page() -> Case {
    Case::server(
        "manifest.page",
        "FETCH-51 FILE-6 FILE-7 FILE-11 FILE-1",
        "The first page of a file of 34 chunks.",
        "one page: its 34 digests, those of the chunks, and an empty path",
        |world| async move {
            let book = &world.library().await?.many;
            let body = ask(&world, vec![pages(book.item(), 0, 1)]).await?;
            need(
                body.list("pages").len() == 1,
                format_args!("{} pages", body.list("pages").len()),
            )?;
            let page = &body.list("pages")[0];
            need((page.uint("item"), page.uint("page")) == (Some(0), Some(0)), "another page")?;
            need(page.bin("digests") == Some(&joined(&book.content.digests)), "other digests")?;
            need(page.bin("path") == Some(&[]), "a path where there is no other page")?;
            need(refused(&body).is_empty(), "it is refused as well")
        },
    )
}

fn order() -> Case {
    Case::server(
        "manifest.order",
        "FETCH-51 FETCH-52",
        "Pages of three files, one that nobody knows between them.",
        "the pages in the order of the request; the unknown one is in `refused`, with 40 unknown-resource",
        |world| async move {
            let library = world.library().await?;
            let unknown = library.two.item().with("root", random::<32>());
            let items = [library.many.item(), unknown, library.two.item(), library.several.item()];
            let body = ask(&world, items.map(|item| pages(item, 0, 1)).to_vec()).await?;
            let numbers: Vec<_> = body.list("pages").iter().map(|page| page.uint("item")).collect();
            need(numbers == [Some(0), Some(2), Some(3)], format_args!("the items {numbers:?}"))?;
            let wanted = [&library.many, &library.two, &library.several];
            for (page, book) in body.list("pages").iter().zip(wanted) {
                need(page.bin("digests") == Some(&joined(&book.content.digests)), "other digests")?;
            }
            need(refused(&body) == [(Some(1), Some(40))], format_args!("{:?}", refused(&body)))
        },
    )
}

fn beyond() -> Case {
    Case::server(
        "manifest.beyond",
        "FETCH-52",
        "Two pages of a file that has one, and page 7 of another.",
        "the one page; both items are in `refused` with 45 bad-range",
        |world| async move {
            let library = world.library().await?;
            let items = vec![pages(library.many.item(), 0, 2), pages(library.two.item(), 7, 1)];
            let body = ask(&world, items).await?;
            need(
                body.list("pages").len() == 1,
                format_args!("{} pages", body.list("pages").len()),
            )?;
            let wanted = [(Some(0), Some(45)), (Some(1), Some(45))];
            need(refused(&body) == wanted, format_args!("{:?}", refused(&body)))
        },
    )
}

fn unknown() -> Case {
    Case::server(
        "manifest.unknown",
        "FETCH-28 FETCH-52",
        "Pages of an unknown resource, of a root that the file does not have, and of a role that it does not have.",
        "no page; each is in `refused` with 40 unknown-resource",
        |world| async move {
            let book = &world.library().await?.many;
            let items = [
                book.item().with("resource", "no-such-resource"),
                book.item().with("root", random::<32>()),
                book.item().with("role", "photo-4"),
            ];
            let body = ask(&world, items.map(|item| pages(item, 0, 1)).to_vec()).await?;
            need(body.list("pages").is_empty(), "a page of what is not there")?;
            let wanted = [0, 1, 2].map(|n| (Some(n), Some(40)));
            need(refused(&body) == wanted, format_args!("{:?}", refused(&body)))
        },
    )
}

fn not_here() -> Case {
    Case::server(
        "manifest.not-here",
        "FETCH-30 FETCH-52",
        "Pages of a file that was announced and that nobody gives to the hub.",
        "no page; it is in `refused` with 43 not-here",
        |world| async move {
            let book = absent(&world, 40 << 20).await?;
            let body = ask(&world, vec![pages(book, 0, 1)]).await?;
            need(body.list("pages").is_empty(), "a page of what is not there")?;
            need(refused(&body) == [(Some(0), Some(43))], format_args!("{:?}", refused(&body)))
        },
    )
}

/// The name of a content that the hub knows of, and cannot have: nobody serves it.
pub(super) async fn absent(world: &World, size: u64) -> Result<Value, Miss> {
    let mut entry = Entry::file(world.me(), &name("absent"), &Content::noise(1));
    let root = random::<32>();
    entry.row.set("filesize", size);
    entry.data[0].set("size", size).set("root", root);
    let reports = world.sync(world.me(), vec![entry.operation("put")]).await?;
    need(reports[0].text("status") == Some("stored"), "the announcement is not stored")?;
    Ok(map([("resource", entry.hash().into()), ("role", "file".into()), ("root", root.into())]))
}

fn bad() -> Vec<Odd> {
    fn of(me: &Actor, items: Vec<Value>) -> Value {
        me.packet("manifest-request", [("items", list(items))])
    }
    fn item(first: u64, count: u64) -> Value {
        let item =
            map([("resource", "r".into()), ("role", "file".into()), ("root", [0; 32].into())]);
        pages(item, first, count)
    }
    let odd = |id, requirements, sentence, make| Odd {
        id,
        requirements,
        sentence,
        want: BAD_FIELD,
        make,
    };
    vec![
        odd("manifest.no-item", "FETCH-50", "A `manifest-request` without items.", |me| {
            of(me, Vec::new())
        }),
        odd("manifest.no-page", "FETCH-50", "A `manifest-request` for no page.", |me| {
            of(me, vec![item(0, 0)])
        }),
        odd("manifest.257-pages", "FETCH-50", "A `manifest-request` for 257 pages.", |me| {
            of(me, vec![item(0, 257)])
        }),
        odd("manifest.257-items", "FETCH-50 PKT-4", "A `manifest-request` of 257 items.", |me| {
            of(me, vec![item(0, 1); 257])
        }),
    ]
}
