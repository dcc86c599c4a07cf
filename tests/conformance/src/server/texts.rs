//! What refusals say for people: nothing that who asks does not know already.
//!
//! Owns: what a text may not name, and who asks for what. Not here: which code is right (the other groups).
//! Spec: REF-7, ID-22.

use std::collections::BTreeSet;

use zotferry_protocol::refusal::Code;

use super::manifest::absent;
use crate::actor::Actor;
use crate::case::{Case, Miss, Outcome, need};
use crate::desk::to_base64;
use crate::entry::{Entry, name};
use crate::keys::random;
use crate::leaves::key_of;
use crate::wire::{Answer, Reply, Value, hint, list, map, open};
use crate::world::World;

pub(super) fn cases() -> Vec<Case> {
    vec![names_nothing(), to_the_introduced(), to_the_unknown()]
}

/// A request that must be refused.
struct Ask {
    what: &'static str,
    /// What was said, for it may be said back.
    sent: Vec<u8>,
    answer: Answer,
}

/// Status, code and text of a refusal of a whole request.
fn refusal(answer: &Answer) -> Result<(u16, u64, String), Miss> {
    if answer.content_type() == "application/x-zot+msgpack" {
        let (_, body, _) = open(&answer.body)?;
        let (code, text) = (body.uint("code"), body.text("text"));
        let (code, text) =
            code.zip(text).ok_or_else(|| format!("no refusal: {}", answer.shown()))?;
        return Ok((answer.status, code, text.to_owned()));
    }
    need(answer.status >= 400, format_args!("no refusal: {}", answer.shown()))?;
    // A page of whatever stands before the hub is no text of this protocol.
    let Reply::Hint { line: Some((code, _)), .. } = hint(answer) else {
        return Ok((answer.status, 0, String::new()));
    };
    let text = String::from_utf8_lossy(&answer.body);
    Ok((answer.status, code, text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// REF-7: whether a text names something that was not in the request and is not known to everybody.
fn names_nothing_in(text: &str, known: &[u8]) -> Outcome {
    let holds = |part: &str| known.windows(part.len()).any(|window| window == part.as_bytes());
    let shown = text.escape_debug();
    need(!text.chars().any(char::is_control), format_args!("a control character in \"{shown}\""))?;
    for word in text.split(|c: char| c.is_whitespace() || "\"'`(),;<>[]{}".contains(c)) {
        let word = word.trim_end_matches(['.', ':']);
        let path = word.starts_with('/') && word[1..].contains('/')
            || word.contains("\\\\")
            || word.get(1..3) == Some(":\\");
        let url = word.contains("://");
        need(!(path || url) || holds(word), format_args!("\"{word}\" in \"{shown}\""))?;
    }
    let id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    for part in text.split(|c: char| !id(c)) {
        // Guids, digests and ids of channels, hubs and resources are longer than words.
        let long = part.len() >= 32 && part.bytes().any(|c| c.is_ascii_digit());
        need(!long || holds(part), format_args!("\"{part}\" in \"{shown}\""))?;
    }
    Ok(())
}

/// What everybody may know who asks: the hub's own document, his own hub, and the standard sentences.
fn public(world: &World, actor: &Actor) -> Vec<u8> {
    let sentences = Code::ALL.iter().map(|code| code.sentence()).collect::<Vec<_>>().join("\n");
    let document = world.shared().hub.document.to_string();
    let own = [world.shared().channel.as_str(), actor.url(), actor.site()].join("\n");
    [document, sentences, own].join("\n").into_bytes()
}

/// The texts of a test channel that nobody may be told who does not know them.
fn secrets(world: &World, others: &[&Actor], entries: &[&str]) -> Vec<String> {
    let hubs = others.iter().flat_map(|hub| [hub.url().to_owned(), hub.site().to_owned()]);
    let entries = entries.iter().map(|text| (*text).to_owned());
    hubs.chain(entries).chain([world.shared().target.guid.clone()]).collect()
}

async fn post(actor: &Actor, what: &'static str, body: Value) -> Result<Ask, Miss> {
    let answer = actor.post(actor.seal(&body).bytes(), &[]).await?;
    Ok(Ask { what, sent: said_in(&body), answer })
}

async fn stream(actor: &Actor, what: &'static str, item: Value) -> Result<Ask, Miss> {
    let mut body = actor.body("stream-request");
    for field in ["resource", "role", "root"] {
        body.set(field, item.at(field).cloned().unwrap_or(Value::Nil));
    }
    let root = hex::encode(item.bin("root").unwrap_or_default());
    let resource = item.text("resource").unwrap_or_default();
    let path = format!("/zot/file/{resource}/file/{root}");
    let shown = format!("Zot {}", to_base64(&actor.seal(&body).bytes()));
    let answer = actor.exchange("GET", &path, &[("authorization", &shown)], Vec::new()).await?;
    Ok(Ask { what, sent: [said_in(&body), path.into_bytes()].concat(), answer })
}

/// The bytes of a body, and its byte strings in hexadecimal.
fn said_in(body: &Value) -> Vec<u8> {
    fn digits(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Bin(bytes) => out.extend([b"\n", hex::encode(bytes).as_bytes()].concat()),
            Value::List(values) => values.iter().for_each(|value| digits(value, out)),
            Value::Map(fields) => fields.iter().for_each(|(_, value)| digits(value, out)),
            _ => {}
        }
    }
    let mut out = body.bytes();
    digits(body, &mut out);
    out
}

/// Each way to ask for a content or an entry.
async fn about(actor: &Actor, item: &Value, key: Vec<u8>) -> Result<Vec<Ask>, Miss> {
    let span = map([("first", 0u64.into()), ("count", 1u64.into())]);
    let chunk = item.clone().with("ranges", list([span]));
    let page = item.clone().with("first", 0u64).with("count", 1u64);
    let range = crate::leaves::range(&key[..4], [0; 32], true);
    Ok(vec![
        post(actor, "a chunk-request", actor.packet("chunk-request", [("items", list([chunk]))]))
            .await?,
        post(
            actor,
            "a manifest-request",
            actor.packet("manifest-request", [("items", list([page]))]),
        )
        .await?,
        post(actor, "an entry-request", actor.packet("entry-request", [("keys", list([key]))]))
            .await?,
        post(actor, "an audit-request", actor.packet("audit-request", [("ranges", list([range]))]))
            .await?,
        stream(actor, "a stream-request", item.clone()).await?,
    ])
}

/// A file that the channel has, and one that nobody has.
async fn there_and_not(world: &World, actor: &Actor) -> Result<[Vec<Ask>; 2], Miss> {
    let book = &world.library().await?.byte;
    let there = about(actor, &book.item(), key_of("attach", book.entry.hash())).await?;
    let none = crate::entry::resource();
    let item = book.item().with("resource", none.as_str()).with("root", random::<32>());
    let not = about(actor, &item, key_of("attach", &none)).await?;
    for ask in there.iter().chain(&not) {
        let (_, _, text) = refusal(&ask.answer)?;
        names_nothing_in(&text, &[public(world, actor), ask.sent.clone()].concat())
            .map_err(|miss| told(ask.what, miss))?;
    }
    Ok([there, not])
}

fn told(what: &str, miss: Miss) -> Miss {
    match miss {
        Miss::Failed(why) => Miss::Failed(format!("to {what}: {why}")),
        skipped @ Miss::Skipped(_) => skipped,
    }
}

fn the_same([there, not]: &[Vec<Ask>; 2]) -> Outcome {
    for (there, not) in there.iter().zip(not) {
        let (one, other) = (refusal(&there.answer)?, refusal(&not.answer)?);
        let what = there.what;
        need(
            one == other,
            format_args!(
                "{what} for what is there is refused with {one:?}, for what is not with {other:?}"
            ),
        )?;
    }
    Ok(())
}

fn to_the_introduced() -> Case {
    Case::server(
        "refusals.introduced",
        "REF-7 ID-22",
        "A hub that has only introduced itself asks, in every way, for a file that the channel has and for one that nobody has.",
        "each is refused, for both with the same status, code and text, which name nothing that was not asked",
        |world| async move {
            let stranger = world.stranger().await?;
            stranger.hook(|_, _| Some(crate::http::Response::new(503, "text/plain", "not now\n")));
            let place = stranger.state(&stranger.place());
            let body = stranger.packet("locations", [("records", list([place.clone()]))]);
            crate::case::Want::Packet("locations")
                .check(&stranger.introduce(&body, &place).await?)?;
            let mut patience =
                world.patience("the hub makes up its mind whether a challenge has failed");
            loop {
                let both = there_and_not(&world, &stranger).await?;
                let Err(why) = the_same(&both) else { return Ok(()) };
                let codes = both.iter().flatten().map(|ask| Ok(refusal(&ask.answer)?.1));
                let codes = codes.collect::<Result<BTreeSet<u64>, Miss>>()?;
                // Its challenge may fail between two requests, and then another code says so (ID-14).
                if codes != BTreeSet::from([25, 30]) {
                    return Err(why);
                }
                patience.next().await?;
            }
        },
    )
}

fn to_the_unknown() -> Case {
    Case::server(
        "refusals.unknown",
        "REF-7 SIGN-3",
        "A hub that nobody has introduced asks, in every way, for a file that the channel has and for one that nobody has.",
        "each is refused, for both with the same status, code and text, which name nothing that was not asked",
        |world| async move {
            let stranger = world.stranger().await?;
            the_same(&there_and_not(&world, &stranger).await?)
        },
    )
}

/// Requests of a listed clone, each refused for another reason.
async fn refused(world: &World, me: &Actor) -> Result<Vec<Ask>, Miss> {
    let nobody = "C".repeat(86);
    let book = world.library().await?.two.clone();
    let item = |item: Value| {
        list([item.with("ranges", list([map([("first", 7u64.into()), ("count", 1u64.into())])]))])
    };
    let of_nobody = |kind: &str| {
        me.body(kind).with("from.channel", nobody.clone()).with("to.channel", nobody.clone())
    };
    let key = list([random::<32>()]);
    let mut asks = vec![
        post(
            me,
            "a packet of a channel that is not here",
            of_nobody("locations").with("records", list(Vec::<Value>::new())),
        )
        .await?,
        post(
            me,
            "content of a channel that is not here",
            of_nobody("chunk-request").with("items", item(book.item())),
        )
        .await?,
        post(
            me,
            "a packet of another channel",
            me.body("entry-request").with("from.channel", nobody.clone()).with("keys", key.clone()),
        )
        .await?,
        post(me, "an unknown entry", me.body("entry-request").with("keys", key)).await?,
        post(
            me,
            "a range beyond the end",
            me.body("chunk-request").with("items", item(book.item())),
        )
        .await?,
        post(me, "an unknown type", me.body("conformance")).await?,
        post(me, "a missing field", me.body("challenge")).await?,
        post(
            me,
            "a packet to another hub",
            me.body("challenge").with("to.hub", "A".repeat(86)).with("nonce", random::<32>()),
        )
        .await?,
        stream(me, "an unknown stream", book.item().with("root", random::<32>())).await?,
        stream(me, "a stream of what has not arrived", absent(world, 5_000).await?).await?,
    ];
    for (what, path) in [
        ("a stream without a packet", "/zot/file/conformance/file/00"),
        ("a restore without a statement", "/zot/restore/00"),
    ] {
        let answer = me.exchange("GET", path, &[], Vec::new()).await?;
        asks.push(Ask { what, sent: path.as_bytes().to_vec(), answer });
    }
    let answer = me.post(b"no packet".to_vec(), &[]).await?;
    asks.push(Ask { what: "no packet", sent: Vec::new(), answer });
    Ok(asks)
}

fn names_nothing() -> Case {
    Case::server(
        "refusals.texts",
        "REF-7",
        "Requests that are refused for many reasons, while another clone is listed and has announced a folder.",
        "no text names a path on the hub's disk, another hub, another channel, an entry or an id that was not in the request, \
         and none has control characters",
        |world| async move {
            let (me, other) = (world.me(), world.second().await?);
            let folder = Entry::folder(&other, &name("of another clone"));
            world.sync(&other, vec![folder.operation("put")]).await?;
            let secrets = secrets(&world, &[&other], &[folder.hash(), folder.filename()]);
            let mut signed = 0;
            for ask in refused(&world, me).await? {
                let (_, _, text) = refusal(&ask.answer)?;
                signed += u32::from(ask.answer.content_type() == "application/x-zot+msgpack");
                let known = [public(&world, me), ask.sent].concat();
                names_nothing_in(&text, &known).map_err(|miss| told(ask.what, miss))?;
                for secret in &secrets {
                    let named = format!("to {}: {secret:?} in {text:?}", ask.what);
                    need(!text.contains(secret.as_str()), named)?;
                }
            }
            need(signed >= 5, format_args!("{signed} signed refusals"))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REF-7: what names something is found; sentences, and what was asked, are not.
    #[test]
    fn names_are_found_in_texts() {
        let good = |text: &str| names_nothing_in(text, b"asked for /cloud/alice/x").is_ok();
        for code in Code::ALL {
            assert!(good(code.sentence()), "{code}");
        }
        assert!(good("14 bad-field: no such thing as /cloud/alice/x, and/or application/x-zot"));
        for bad in [
            "cannot open /var/lib/zotferry/catalog.sqlite: it is locked",
            "(\"/home/hub\"/x/y)",
            "C:\\hub\\catalog",
            "asked of https://hub.example already",
            "it is 0b7e4d61-93c1-7f58-a1cc-6a0b9be72e11 that is meant",
            "a line\nand another",
        ] {
            assert!(!good(bad), "{bad:?}");
        }
    }
}
