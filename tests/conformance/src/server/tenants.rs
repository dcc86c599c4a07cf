//! Two channels on one hub: what one of them has is nothing to the other.
//!
//! Spec: FETCH-28, FETCH-30, FETCH-58.

use zotferry_protocol::refusal::Code;

use super::rotation::spare;
use super::{manifest, streaming};
use crate::case::{Case, Outcome, Want, need};
use crate::entry::{Entry, name};
use crate::world::{Book, World};

pub(super) fn cases() -> Vec<Case> {
    vec![root_of_another()]
}

fn root_of_another() -> Case {
    let (here, unknown) = (Want::Signed(Code::NotHere), Want::Signed(Code::UnknownResource));
    Case::server(
        "tenants.root-of-another",
        "FETCH-58 FETCH-28 FETCH-30",
        "A file of the test channel whose bytes the hub has; the second channel announces one of the same root and size, and gives \
         nothing. As a clone of the second channel we ask for the digests and a stream of either.",
        format!(
            "of the one that was announced there: no page, 43 not-here, and {}; of the first channel's: no page, 40 \
             unknown-resource, and {}",
            here.sentence(),
            unknown.sentence()
        ),
        |world| async move {
            let book = world.library().await?.several.clone();
            let other = spare(&world).await?;
            let outcome = claimed(&other, &book).await;
            other.close().await.ok();
            outcome
        },
    )
}

/// Claims a content of another channel in this one.
async fn claimed(world: &World, book: &Book) -> Outcome {
    let me = world.me();
    let entry = Entry::file(me, &name("of another channel"), &book.content);
    let reports = world.sync(me, vec![entry.operation("put")]).await?;
    let status = reports[0].text("status").unwrap_or_default();
    need(status == "stored", format_args!("its announcement is {status}"))?;
    let own = Book { entry, content: book.content.clone() };
    for (book, code) in [(&own, Code::NotHere), (book, Code::UnknownResource)] {
        let item = book.item().with("first", 0u64).with("count", 1u64);
        let body = manifest::ask(world, vec![item]).await?;
        let (pages, refused) = (body.list("pages").len(), manifest::refused(&body));
        let wanted = [(Some(0), Some(u64::from(code.number())))];
        need(pages == 0 && refused == wanted, format_args!("{pages} pages, refused {refused:?}"))?;
        let ask = streaming::right(world, &book.item());
        let answer = streaming::get(world, &book.path(), &ask, &[]).await?;
        Want::Signed(code).check(&me.judge(&answer, &ask)?)?;
    }
    Ok(())
}
