//! Digests of a content that is so large that its pages need a path.
//!
//! Its bytes are 4 GiB, which nobody has: what is looked at is when the hub begins to ask for them.
//! Spec: FILE-6, FILE-11, FILE-12, FETCH-50, FETCH-53.

use std::sync::{Arc, Mutex, PoisonError};

use super::tools::{chunks, is_stream, of_kind};
use crate::actor::{Actor, Packet};
use crate::case::{Case, Miss, Outcome, need};
use crate::content::{TwoPages, joined};
use crate::entry::{Entry, name};
use crate::http::Response;
use crate::wire::{Value, list, map};
use crate::world::World;

/// How many times a page is given that does not prove itself.
const LIES: usize = 3;

/// Spoils the first page: its digests and its path; there is a second one to take from.
type Lie = fn(&TwoPages, &mut Vec<u8>, &mut Vec<u8>);

pub(super) fn cases() -> Vec<Case> {
    let all: [(&str, &str, Lie); 4] = [
        ("pages.path-of-another", "with the path of the other page", |content, _, path| {
            *path = joined(&content.path(1));
        }),
        ("pages.no-path", "without a path", |_, _, path| path.clear()),
        ("pages.longer-path", "with a digest more in its path", |_, _, path| path.extend([7; 32])),
        ("pages.digest-turned", "with one digest turned", |_, digests, _| digests[100] ^= 4),
    ];
    let lies = all.into_iter().map(|(id, how, lie)| {
        case(
            id,
            format!("The first page of a content of 4097 chunks is given {how}, three times; then as it is."),
            "it is asked for until it proves itself; only then the hub asks for its chunks",
            Some(lie),
        )
    });
    let honest = case(
        "pages.with-path",
        "The first page of a content of 4097 chunks is given with the path that proves it.".into(),
        "the hub asks for the page, and then for its chunks",
        None,
    );
    [honest].into_iter().chain(lies).collect()
}

/// What was asked so far.
#[derive(Debug, Default)]
struct Seen {
    /// How often the first page was given.
    given: usize,
    /// How often chunks of it were asked for before it was right.
    early: usize,
    /// Whether chunks of it were asked for.
    asked: bool,
}

fn case(id: &'static str, sentence: String, expectation: &'static str, lie: Option<Lie>) -> Case {
    Case::client(id, "FILE-11 FILE-12 FETCH-50", sentence, expectation, move |world| async move {
        let origin = world.second().await?;
        let content = TwoPages::noise();
        let entry = Entry::of_two_pages(&origin, &name("two pages"), &content);
        let seen = Arc::new(Mutex::new(Seen::default()));
        serve(&origin, content, &seen, lie);
        let reports = world.sync(&origin, vec![entry.operation("put")]).await?;
        if [32, 33].contains(&reports[0].uint("code").unwrap_or(0)) {
            return Err(Miss::Skipped("the hub has no room for 4 GiB".into()));
        }
        let outcome = asked_for(&world, &seen, lie.map_or(1, |_| LIES + 1)).await;
        // The room that was promised for its bytes is free again.
        world.sync(&origin, vec![entry.gone(&origin).operation("remove")]).await?;
        outcome
    })
}

/// Waits until chunks of the first page are asked for.
async fn asked_for(world: &World, seen: &Mutex<Seen>, times: usize) -> Outcome {
    let mut patience = world.patience("the hub asks for chunks of the first page");
    loop {
        {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            need(seen.early == 0, "a chunk was asked for before its digest was known")?;
            if seen.asked {
                let given = seen.given;
                return need(given >= times, format_args!("the page was asked for {given} times"));
            }
        }
        patience.next().await?;
    }
}

/// Gives pages, and no byte.
fn serve(origin: &Actor, content: TwoPages, seen: &Arc<Mutex<Seen>>, lie: Option<Lie>) {
    let seen = Arc::clone(seen);
    origin.hook(move |origin, incoming| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if is_stream(incoming) {
            return Some(Response::new(404, "text/html", "<h1>not here</h1>"));
        }
        if let Some(packet) = chunks(incoming) {
            let items = packet.body.list("items").iter();
            let mut ranges = items.flat_map(|item| item.list("ranges"));
            if ranges.any(|range| range.uint("first").is_some_and(|first| first < 4096)) {
                let right = seen.given > lie.map_or(0, |_| LIES);
                seen.early += usize::from(!right);
                seen.asked = true;
            }
            return Some(Response::new(503, "text/html", "<h1>not now</h1>"));
        }
        let packet = of_kind(incoming, "manifest-request")?;
        Some(seen.pages(origin, packet, &content, lie))
    });
}

impl Seen {
    /// The pages that are asked for.
    fn pages(
        &mut self,
        origin: &Actor,
        packet: &Packet,
        content: &TwoPages,
        lie: Option<Lie>,
    ) -> Response {
        let mut pages = Vec::new();
        for (item, number) in packet.body.list("items").iter().zip(0u64..) {
            let first = item.uint("first").unwrap_or(0);
            let all = first..(first + item.uint("count").unwrap_or(0)).min(2);
            pages.extend(all.map(|page| self.page(content, number, page, lie)));
        }
        let refused = list(Vec::<Value>::new());
        origin.reply(packet, "manifest-page", [("pages", list(pages)), ("refused", refused)])
    }

    fn page(&mut self, content: &TwoPages, item: u64, page: u64, lie: Option<Lie>) -> Value {
        let (number, which) = (u32::from(page == 1), usize::from(page == 1));
        let mut digests = joined(content.page(which));
        let mut path = joined(&content.path(number));
        if page == 0 {
            self.given += 1;
            if let Some(lie) = lie.filter(|_| self.given <= LIES) {
                lie(content, &mut digests, &mut path);
            }
        }
        map([
            ("item", item.into()),
            ("page", page.into()),
            ("digests", digests.into()),
            ("path", path.into()),
        ])
    }
}
