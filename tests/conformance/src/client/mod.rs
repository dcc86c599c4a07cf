//! Cases in which the hub under test is the receiver: we announce, and it fetches from an origin that is slow,
//! wrong, partial, or claims too much.
//!
//! Owns: the list of these cases. Not here: the honest origin (`desk`), which answers whatever a case leaves to it.
//!
//! # How a case is added
//!
//! A file of this folder for each group, with a function that gives its cases; [`cases`] joins them. A case is
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use zotferry_conformance::{case::Case, content::Content, desk, entry::{Entry, name}};
//! # let _ =
//! Case::client(
//!     "resume.cut-answer",                       // the id: group, dot, what happens; for ever
//!     "FETCH-6 FETCH-10",                        // the requirements, the one that it is about first
//!     "Each answer breaks off after 300,000 bytes.",           // what is done
//!     "the content arrives whole, and is reported as present", // what must come of it, exactly
//!     |world| async move {
//!         let origin = world.second().await?;    // a listed hub of ours, gone when the case is over
//!         let content = Arc::new(Content::noise(2_000_000));
//!         let entry = Entry::file(&origin, &name("cut"), &content);
//!         origin.hook(|origin, incoming| {       // sees all that comes; `None` leaves it to the honest desk
//!             let packet = incoming.packet.as_ref().filter(|p| p.kind == "chunk-request")?;
//!             Some(desk::answer(origin, incoming).cut_after(300_000))
//!         });
//!         world.give(&origin, &entry, &content).await   // announces, serves, waits for `present`
//!     },
//! )
//! # ;
//! ```
//!
//! `origin.came(..)` waits for something that the hub sends, `origin.inbox()` holds all that came, with the packet in
//! it and whether its signature holds; [`http::Step`](crate::http::Step) pauses, cuts and falls silent;
//! [`desk`](crate::desk) has the honest answers, frame by frame, to be changed. What a hub does on its own is waited
//! for as long as `world.me().patience()`.

mod claims;
mod clocks;
mod comparing;
mod fetching;
mod frames;
mod pages;
mod refused;
mod resume;
mod secrets;
mod streams;
mod telling;
mod tools;
mod wrong;

use crate::case::Case;

/// All of them.
pub fn cases() -> Vec<Case> {
    let groups = [
        fetching::cases,
        wrong::cases,
        frames::cases,
        pages::cases,
        resume::cases,
        streams::cases,
        refused::cases,
        clocks::cases,
        claims::cases,
        telling::cases,
        comparing::cases,
        // The last one: it looks at all that came in this run.
        secrets::cases,
    ];
    groups.iter().flat_map(|cases| cases()).collect()
}
