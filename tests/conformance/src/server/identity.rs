//! Who the hub says that it is, and how a hub that it does not know comes in.
//!
//! Spec: ID-2 to ID-5, ID-8, ID-9, ID-12 to ID-14, ID-19, ID-21 to ID-23, PKT-14.

use rsa::pkcs8::EncodePublicKey;
use rsa::pkcs8::spki::der::pem::LineEnding;
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPrivateKey, RsaPublicKey};
use zotferry_protocol::identity::{BaseUrl, site_id};
use zotferry_protocol::refusal::Code;

use super::challenge;
use crate::actor::{Actor, Incoming};
use crate::case::{Case, Miss, Want, need};
use crate::keys::{Key, random};
use crate::wire::{Reply, Value, list};
use crate::world::World;

const UNKNOWN: Want = Want::Hint(Code::UnknownLocation);
const BAD_LOCATION: Want = Want::Hint(Code::BadLocation);
const BAD_KEY: Want = Want::Hint(Code::BadKey);
const HINT: Want = Want::Hint(Code::BadField);
const NOT_A_CLONE: Want = Want::Signed(Code::NotAClone);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![document(), site()];
    cases.extend(records().into_iter().map(Case::from));
    cases.extend(keys());
    cases.extend([
        other_channel(),
        introduced_only(),
        challenged_while_introduced(),
        fresh_nonces(),
    ]);
    cases.extend([challenge_introduces(), known_hub_with_record()]);
    cases.extend(failed_challenges());
    cases
}

fn document() -> Case {
    Case::server(
        "identity.document",
        "PKT-14",
        "GET `/.well-known/zot-file`, unsigned.",
        "a JSON object with `zot-file`, version 1, `rsa-sha256`, `/zot`, 1048576, the four operations, and `streams`",
        |world| async move {
            let document = &world.shared().hub.document;
            let is = |name: &str, wanted: serde_json::Value| {
                need(document.get(name) == Some(&wanted), format_args!("`{name}` is not {wanted}"))
            };
            is("protocol", "zot-file".into())?;
            is("packets", "/zot".into())?;
            is("max_packet", 1_048_576.into())?;
            let has = |name: &str, wanted: serde_json::Value| {
                let found = document.get(name).and_then(|list| list.as_array());
                need(found.is_some_and(|list| list.contains(&wanted)), format_args!("`{name}` is without {wanted}"))
            };
            has("versions", 1.into())?;
            has("algorithms", "rsa-sha256".into())?;
            for op in ["put", "place", "meta", "remove"] {
                has("operations", op.into())?;
            }
            need(document.get("streams").is_some(), "no `streams`")
        },
    )
    .should()
}

fn site() -> Case {
    Case::server(
        "identity.site-id",
        "ID-3 ID-2 ID-4",
        "The site id, URL and key of the capability document.",
        "the site id is made of the URL, in its normal form, and the key, in OpenSSL's",
        |world| async move {
            let hub = &world.shared().hub;
            let url = BaseUrl::parse(&hub.url).map_err(|e| e.to_string())?;
            need(url.as_str() == hub.url, format_args!("{} is not the normal form", hub.url))?;
            need(site_id(&url, &hub.key).as_str() == hub.site, "the site id is another")
        },
    )
}

/// A way to introduce oneself that must not be taken.
struct Record {
    id: &'static str,
    requirements: &'static str,
    sentence: &'static str,
    want: Want,
    /// The introduction of a hub, and the packet that it comes with.
    make: fn(&World, &Actor) -> (Value, Value),
}

impl From<Record> for Case {
    fn from(record: Record) -> Self {
        let Record { id, requirements, sentence, want, make } = record;
        Self::server(id, requirements, sentence, want.sentence(), move |world| async move {
            let stranger = world.stranger().await?;
            let (place, body) = make(&world, &stranger);
            want.check(&stranger.introduce(&body, &place).await?)?;
            // It stays unknown, whatever was said.
            UNKNOWN.check(&stranger.ask(&challenge(&stranger)).await?)
        })
    }
}

fn records() -> Vec<Record> {
    let record =
        |id, requirements, sentence, want, make| Record { id, requirements, sentence, want, make };
    vec![
        record(
            "identity.channel-signature",
            "ID-8 SIGN-3 ID-21",
            "A record that another key signed for the channel.",
            BAD_LOCATION,
            |world, actor| {
                (actor.state_by(&actor.place(), world.other_key(), actor.key()), challenge(actor))
            },
        ),
        record(
            "identity.site-signature",
            "ID-9 SIGN-3 ID-21",
            "A record that another key signed for the hub.",
            BAD_LOCATION,
            |world, actor| {
                (
                    actor.state_by(&actor.place(), world.channel_key(), world.channel_key()),
                    challenge(actor),
                )
            },
        ),
        record(
            "identity.other-context",
            "ID-8",
            "A record that the channel signed without `zot-file-location`.",
            BAD_LOCATION,
            |world, actor| {
                let place = actor.state(&actor.place());
                let sig = world.channel_key().sign(place.bin("record").unwrap_or_default());
                (place.with("channel_sig", sig), challenge(actor))
            },
        ),
        record(
            "identity.another-hubs-record",
            "ID-21 SIGN-3",
            "The good record of another hub.",
            UNKNOWN,
            |world, actor| (world.me().state(&world.me().place()), challenge(actor)),
        ),
        record(
            "identity.url-with-slash",
            "ID-19 ID-4",
            "A record whose URL ends with a slash.",
            HINT,
            |_, actor| {
                let url = format!("{}/", actor.url());
                (actor.state(&actor.place().with("url", url)), challenge(actor))
            },
        ),
        record(
            "identity.url-in-capitals",
            "ID-19 ID-4",
            "A record whose URL begins with `HTTP`.",
            HINT,
            |_, actor| {
                let url = actor.url().replace("http", "HTTP");
                (actor.state(&actor.place().with("url", url)), challenge(actor))
            },
        ),
        record(
            "identity.url-with-path",
            "ID-19 ID-4",
            "A record whose URL has a path.",
            HINT,
            |_, actor| {
                let url = format!("{}/zot", actor.url());
                (actor.state(&actor.place().with("url", url)), challenge(actor))
            },
        ),
        record(
            "identity.other-sender",
            "ID-21 SIGN-3",
            "A good introduction with a packet of another channel.",
            UNKNOWN,
            |_, actor| {
                let body = challenge(actor).with("from.channel", "B".repeat(86));
                (actor.state(&actor.place()), body)
            },
        ),
        record(
            "identity.record-without-serial",
            "ID-7 PKT-7",
            "A record without `serial`.",
            HINT,
            |_, actor| (actor.state(&actor.place().without("serial")), challenge(actor)),
        ),
    ]
}

/// Keys that must not be taken, as PEM.
fn keys() -> Vec<Case> {
    type Make = fn(&Key) -> Result<String, String>;
    let all: [(&str, &str, Make); 5] = [
        ("identity.key-of-1024", "A record with a site key of 1024 bits.", |_| {
            let key = RsaPrivateKey::new(&mut OsRng, 1024).map_err(|e| e.to_string())?;
            key.to_public_key().to_public_key_pem(LineEnding::LF).map_err(|e| e.to_string())
        }),
        ("identity.exponent-3", "A record with a site key whose exponent is 3.", |key| {
            let key = modulus(key)?;
            let key = RsaPublicKey::new_unchecked(key, BigUint::from(3u32));
            key.to_public_key_pem(LineEnding::LF).map_err(|e| e.to_string())
        }),
        ("identity.key-with-crlf", "A record with a site key whose lines end with CR LF.", |key| {
            Ok(key.public().pem().replace('\n', "\r\n"))
        }),
        (
            "identity.key-without-last-line-feed",
            "A record with a site key without its last line feed.",
            |key| Ok(key.public().pem().trim_end().to_owned()),
        ),
        ("identity.no-key", "A record whose site key is no key.", |_| Ok("no key".to_owned())),
    ];
    let case = |(id, sentence, make): (&'static str, &'static str, Make)| {
        let requirements = "ID-5 ID-2 SIGN-3";
        Case::server(id, requirements, sentence, BAD_KEY.sentence(), move |world| async move {
            let stranger = world.stranger().await?;
            let key = make(world.other_key())?;
            let place = stranger.state(&stranger.place().with("site_key", key));
            BAD_KEY.check(&stranger.introduce(&challenge(&stranger), &place).await?)
        })
    };
    all.into_iter().map(case).collect()
}

/// The modulus of a key.
fn modulus(key: &Key) -> Result<BigUint, String> {
    use rsa::pkcs8::DecodePublicKey;
    let key = RsaPublicKey::from_public_key_pem(key.public().pem()).map_err(|e| e.to_string())?;
    Ok(key.n().clone())
}

fn other_channel() -> Case {
    Case::server(
        "identity.channel-elsewhere",
        "ID-21 SIGN-3",
        "A hub introduces itself by a record of a channel that does not live on the hub, signed by that one's key.",
        UNKNOWN.sentence(),
        |world| async move {
            let stranger = world.stranger().await?;
            let channel = world.other_key().channel("a guid of nobody");
            let place = stranger.place().with("channel", channel.clone());
            let place = stranger.state_by(&place, world.other_key(), stranger.key());
            let body = challenge(&stranger)
                .with("from.channel", channel.clone())
                .with("to.channel", channel);
            UNKNOWN.check(&stranger.introduce(&body, &place).await?)
        },
    )
}

/// A hub that never answers what it is sent.
pub(super) async fn mute(world: &World) -> Result<Actor, String> {
    let stranger = world.stranger().await?;
    stranger.hook(|_, _| Some(crate::http::Response::new(503, "text/plain", "not now\n")));
    Ok(stranger)
}

fn introduced_only() -> Case {
    Case::server(
        "identity.introduced-only",
        "ID-22 ID-14 REF-2",
        "A hub that introduced itself, and has not answered its challenge, sends each kind of packet.",
        "`locations` and `challenge` are answered; every other packet is refused, signed, with 30 not-a-clone or, once a \
         challenge has failed, 25 challenge-failed (status 403)",
        |world| async move {
            let stranger = mute(&world).await?;
            let place = stranger.state(&stranger.place());
            let body = stranger.packet("locations", [("records", list([place.clone()]))]);
            Want::Packet("locations").check(&stranger.introduce(&body, &place).await?)?;
            Want::Packet("challenge").check(&stranger.ask(&challenge(&stranger)).await?)?;
            let book = &world.library().await?.byte;
            let none = || list(Vec::<Value>::new());
            let page = book.item().with("first", 0u64).with("count", 1u64);
            let entry = crate::entry::Entry::folder(&stranger, "conformance nobody's");
            let range = crate::wire::map([
                ("prefix", Vec::new().into()),
                ("digest", [0; 32].into()),
                ("list", true.into()),
            ]);
            for body in [
                stranger.packet("clone-sync", [("operations", list([entry.operation("put")]))]),
                stranger.packet("sync-report", [("operations", none()), ("present", none())]),
                stranger.packet("chunk-request", [("items", list([book.chunks(0, 1)]))]),
                stranger.packet("manifest-request", [("items", list([page]))]),
                stranger.packet("audit-request", [("ranges", list([range]))]),
                stranger.packet("entry-request", [("keys", list([random::<32>()]))]),
            ] {
                let reply = stranger.ask(&body).await?;
                if Want::Signed(Code::ChallengeFailed).check(&reply).is_err() {
                    NOT_A_CLONE.check(&reply)?;
                }
            }
            Ok(())
        },
    )
}

fn challenged_while_introduced() -> Case {
    Case::server(
        "identity.challenge-of-the-introduced",
        "ID-23 ID-21",
        "A hub that is not known challenges the hub, and introduces itself with the same packet.",
        "a `challenge` with the same nonce, status 200",
        |world| async move {
            let stranger = mute(&world).await?;
            let body = challenge(&stranger);
            let place = stranger.state(&stranger.place());
            same_nonce(&body, &stranger.introduce(&body, &place).await?)
        },
    )
}

fn same_nonce(asked: &Value, reply: &Reply) -> Result<(), Miss> {
    Want::Packet("challenge").check(reply)?;
    let Reply::Packet { body, .. } = reply else { return Err("no packet".into()) };
    need(body.at("nonce") == asked.at("nonce"), "another nonce came back")
}

/// The nonce of a challenge.
fn nonce(incoming: &Incoming) -> Option<Vec<u8>> {
    let packet = incoming.packet.as_ref().filter(|packet| packet.kind == "challenge")?;
    Some(packet.body.bin("nonce")?.to_vec())
}

fn fresh_nonces() -> Case {
    Case::server(
        "identity.fresh-nonces",
        "ID-13 PKT-10 SIGN-1",
        "Two hubs introduce themselves.",
        "each is sent a signed `challenge` by POST to `/zot`, with 32 bytes that differ",
        |world| async move {
            let mut nonces = Vec::new();
            for _ in 0..2 {
                let stranger = world.second().await?;
                let found = stranger.came("a challenge", |incoming| {
                    let good = incoming.packet.as_ref()?.holds;
                    let path = incoming.request.path == "/zot" && incoming.request.method == "POST";
                    let kind =
                        incoming.request.header("content-type") == "application/x-zot+msgpack";
                    nonce(incoming).filter(|_| good && path && kind)
                });
                nonces.push(found.await?);
            }
            need(nonces.iter().all(|nonce| nonce.len() == 32), "a nonce of another length")?;
            need(nonces[0] != nonces[1], "the same nonce twice")
        },
    )
}

fn challenge_introduces() -> Case {
    Case::server(
        "identity.challenge-introduces",
        "ID-12 ID-13 ID-7",
        "A hub introduces itself, and is challenged.",
        "the challenge carries the hub's own location record, which both signed",
        |world| async move {
            let stranger = world.second().await?;
            let place = stranger.came("a challenge", |incoming| {
                nonce(incoming)?;
                Some(incoming.packet.as_ref()?.envelope.bin("location")?.to_vec())
            });
            let place = crate::wire::read(&place.await?)?;
            super::locations::holds(&world, &place).map(drop).map_err(Miss::Failed)
        },
    )
    .should()
}

fn known_hub_with_record() -> Case {
    Case::server(
        "identity.record-not-needed",
        "ID-12 PKT-8",
        "A listed clone sends a packet with its record, though it need not.",
        "the packet is answered",
        |world| async move {
            let me = world.me();
            let body = challenge(me);
            same_nonce(&body, &me.introduce(&body, &me.state(&me.place())).await?)
        },
    )
}

/// Answers to a challenge that prove nothing.
fn failed_challenges() -> Vec<Case> {
    type Answer = fn(&Actor, &crate::actor::Packet) -> crate::http::Response;
    let all: [(&str, &str, Answer); 4] = [
        (
            "identity.wrong-nonce",
            "A hub answers its challenge with another nonce.",
            |actor, packet| actor.reply(packet, "challenge", [("nonce", random::<32>().into())]),
        ),
        (
            "identity.unsigned-nonce",
            "A hub answers its challenge with the nonce, signed by another key.",
            |actor, packet| {
                let nonce = packet.body.at("nonce").cloned().unwrap_or(Value::Nil);
                let mut response = actor.reply(packet, "challenge", [("nonce", nonce)]);
                let sealed = crate::wire::read(&response.body()).unwrap_or(Value::Nil);
                let text =
                    crate::wire::message(actor.site(), sealed.bin("body").unwrap_or_default());
                let sig = actor.shared().target.key.sign(&text);
                response.steps = vec![crate::http::Step::Bytes(sealed.with("sig", sig).bytes())];
                response
            },
        ),
        (
            "identity.answer-to-another",
            "A hub answers its challenge with `answers` of another request.",
            |actor, packet| {
                let nonce = packet.body.at("nonce").cloned().unwrap_or(Value::Nil);
                let mut body = actor.packet("challenge", [("nonce", nonce)]);
                body.set("answers", random::<16>());
                let kind = "application/x-zot+msgpack";
                crate::http::Response::new(200, kind, actor.seal(&body).bytes())
            },
        ),
        (
            "identity.redirected-challenge",
            "A hub answers its challenge with a redirect to a place that would answer.",
            |actor, _| {
                let there = format!("{}/zot?there", actor.url());
                crate::http::Response::new(307, "text/plain", "there\n").with("location", there)
            },
        ),
    ];
    let case = |(id, sentence, answer): (&'static str, &'static str, Answer)| {
        let expectation = "it is not listed: its `sync-report` is refused with 25 challenge-failed (status 403), signed";
        Case::server(
            id,
            "ID-14 ID-13 SIGN-11 ID-16",
            sentence,
            expectation,
            move |world| async move {
                let stranger = world.stranger().await?;
                stranger.hook(move |actor, incoming| {
                    nonce(incoming)?;
                    let packet =
                        incoming.packet.as_ref().filter(|_| incoming.request.path == "/zot")?;
                    Some(answer(actor, packet))
                });
                let place = stranger.state(&stranger.place());
                let body = stranger.packet("locations", [("records", list([place.clone()]))]);
                Want::Packet("locations").check(&stranger.introduce(&body, &place).await?)?;
                stranger.came("a challenge", nonce).await?;
                let mut patience = world.patience("the hub says that the challenge has failed");
                loop {
                    let none = || list(Vec::<Value>::new());
                    let body = stranger
                        .packet("sync-report", [("operations", none()), ("present", none())]);
                    let reply = stranger.ask(&body).await?;
                    if Want::Signed(Code::ChallengeFailed).check(&reply).is_ok() {
                        return Ok(());
                    }
                    NOT_A_CLONE.check(&reply)?;
                    patience.next().await?;
                }
            },
        )
    };
    all.into_iter().map(case).collect()
}
