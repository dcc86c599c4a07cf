//! What the hub must never have said, to whomever in the whole run: these cases look back and come last.
//!
//! Not here: how it is recognised (`watch`).
//! Spec: ID-32.

use crate::case::{Case, Outcome, Want, need};
use crate::content::Content;
use crate::entry::{Entry, name};
use crate::keys::random;
use crate::watch::Way;
use crate::wire::{Value, list, map};
use crate::world::World;

const NOTHING: &str = "no body holds a prime or an exponent of it as bytes, in hexadecimal or in base64, nor the PEM of a \
                       private key";

pub(crate) fn cases() -> Vec<Case> {
    vec![answers(), packets()]
}

fn answers() -> Case {
    Case::server(
        "secrets.answers",
        "ID-32",
        "Each kind of packet is answered once more, and all answers of this run are searched for the channel's private key.",
        NOTHING,
        |world| async move {
            let me = world.me();
            let entry = Entry::folder(me, &name("no secret"));
            world.sync(me, vec![entry.operation("put")]).await?;
            let none = || list(Vec::<Value>::new());
            let range = map([
                ("prefix", Vec::new().into()),
                ("digest", random::<32>().into()),
                ("list", true.into()),
            ]);
            let key = crate::leaves::key_of("attach", entry.hash());
            let begun = world.watch().looked(Way::Answered);
            for (body, answer) in [
                (me.packet("locations", [("records", none())]), "locations"),
                (me.packet("challenge", [("nonce", random::<32>().into())]), "challenge"),
                (me.packet("audit-request", [("ranges", list([range]))]), "audit-page"),
                (me.packet("entry-request", [("keys", list([key]))]), "clone-sync"),
                (
                    me.packet("sync-report", [("operations", none()), ("present", none())]),
                    "sync-report",
                ),
                (me.packet("key-request", []), "refusal"),
            ] {
                let reply = me.ask(&body).await?;
                let wanted = match answer {
                    "refusal" => Want::Signed(zotferry_protocol::refusal::Code::UnknownType),
                    kind => Want::Packet(kind),
                };
                wanted.check(&reply)?;
            }
            let looked = world.watch().looked(Way::Answered) - begun;
            need(looked >= 6, format_args!("{looked} answers were looked at"))?;
            nothing_found(&world, Way::Answered)
        },
    )
}

fn packets() -> Case {
    Case::client(
        "secrets.packets",
        "ID-32",
        "A clone comes in, and gives a file to the hub; all that the hub has sent in this run is searched for the channel's \
         private key.",
        NOTHING,
        |world| async move {
            let origin = world.second().await?;
            let content = std::sync::Arc::new(Content::noise(3_000));
            world
                .give(&origin, &Entry::file(&origin, &name("no secret"), &content), &content)
                .await?;
            let (came, looked) = (origin.inbox().len(), world.watch().looked(Way::Sent));
            need(
                came >= 2 && looked >= came,
                format_args!("of {came} requests {looked} were looked at"),
            )?;
            nothing_found(&world, Way::Sent)
        },
    )
}

fn nothing_found(world: &World, way: Way) -> Outcome {
    let found: Vec<String> = world.watch().found(way).into_iter().collect();
    need(found.is_empty(), format_args!("of the channel's private key: {}", found.join(", ")))
}
