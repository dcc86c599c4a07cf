//! Tombstones: what was removed is known until every clone knows it.
//!
//! Spec: AUDIT-15, AUDIT-10, SYNC-33.

use super::clone_sync::entries_for;
use crate::actor::Actor;
use crate::case::{Case, Miss, Outcome, need};
use crate::entry::{Entry, at_clock, name, vector_of};
use crate::http::Response;
use crate::keys::now;
use crate::leaves::{at_hub, key_of};
use crate::wire::Value;

/// 60 days, in ms: twice as long as a tombstone is kept at least.
const LONG: u64 = 60 * 24 * 3_600_000;

pub(super) fn cases() -> Vec<Case> {
    vec![stays()]
}

fn stays() -> Case {
    Case::server(
        "audit.tombstone-stays",
        "AUDIT-15 AUDIT-10 SYNC-33",
        "Two folders are removed, one of them 60 days ago by its version, while one of the clones cannot be compared with; the \
         hub is restarted, where the suite was told how. Then a new clone compares.",
        "both tombstones are leaves of the catalog still, and come with the versions of the removals and without `data`",
        |world| async move {
            let away = world.stranger().await?;
            away.hook(|_, incoming| {
                let packet = incoming.packet.as_ref().filter(|p| p.kind == "audit-request");
                packet.map(|_| Response::new(503, "text/html", "<h1>not now</h1>"))
            });
            world.list(&away).await?;
            let me = world.me();
            let mut old = Entry::folder(me, &name("removed long ago"));
            let made = at_clock(me, (now() - LONG) << 16);
            (old.place, old.meta) = (made.clone(), made);
            let clock = ((now() - LONG) << 16) + 1;
            let removed = Some(vector_of(&[(me.replica(), 2)], clock, me.replica()));
            let (fresh, old) = (Entry::folder(me, &name("removed")), Entry { removed, ..old });
            let fresh = fresh.gone(me);
            for gone in [&old, &fresh] {
                let living = Entry { removed: None, ..gone.clone() };
                world.sync(me, vec![living.operation("put"), gone.operation("remove")]).await?;
            }
            match world.restart().await {
                // Without it, it is looked at all the same.
                Ok(()) | Err(Miss::Skipped(_)) => {}
                failed @ Err(Miss::Failed(_)) => return failed,
            }
            let later = world.second().await?;
            is_told(&later, &old).await?;
            is_told(&later, &fresh).await
        },
    )
}

/// A clone finds a removal by comparing, and is told of it.
async fn is_told(actor: &Actor, gone: &Entry) -> Outcome {
    let (key, called) = (key_of("attach", gone.hash()), gone.filename());
    let leaf = at_hub(actor, &key).await?;
    need(leaf.is_some(), format_args!("the tombstone of {called:?} is no leaf any more"))?;
    let found = entries_for(actor, vec![key]).await?;
    let told = found.first().ok_or_else(|| format!("nothing is told of {called:?}"))?;
    need(told.list("data").is_empty(), "a removed entry comes with `data`")?;
    let removed = told.list("attach").last().and_then(|attach| attach.at("removed"));
    let hlc = |version: Option<&Value>| version.and_then(|version| version.uint("hlc"));
    let same = hlc(removed) == hlc(gone.removed.as_ref());
    need(same, format_args!("{called:?} was removed under another version"))
}
