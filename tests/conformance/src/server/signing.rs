//! Signatures, and the order in which a packet is checked.
//!
//! Spec: SIGN-1 to SIGN-5, SIGN-13, SIGN-14, SIGN-17, PKT-6, PKT-20, PKT-26.

use zotferry_protocol::refusal::Code;

use super::envelope::nested;
use super::{HINT, Odd, Spoilt, challenge};
use crate::actor::Actor;
use crate::case::{Case, Want, need};
use crate::keys::random;
use crate::wire::{Reply, Value, list, message, seal};

const BAD: Want = Want::Hint(Code::BadSignature);
const MALFORMED: Want = Want::Hint(Code::Malformed);
const NOT_FOR_ME: Want = Want::Hint(Code::NotForMe);
const UNKNOWN_TYPE: Want = Want::Signed(Code::UnknownType);

pub(super) fn cases() -> Vec<Case> {
    let spoilt = signatures().into_iter().chain(texts()).chain(bodies()).map(Case::from);
    let odd = headers().into_iter().chain(types()).map(Case::from);
    let mut cases: Vec<Case> = spoilt.chain(odd).collect();
    cases.extend([unknown_key(), another_hubs_key(), answer()]);
    cases
}

fn signatures() -> Vec<Spoilt> {
    let bad = |id, sentence, make| Spoilt {
        id,
        requirements: "SIGN-4 SIGN-14 REF-3",
        sentence,
        want: BAD,
        make,
    };
    vec![
        bad("signing.bad-signature", "A signature with one bit changed.", |me, body| {
            changed(&me.seal(body), |sig| sig[100] ^= 1)
        }),
        bad("signing.empty-signature", "An empty signature.", |me, body| {
            changed(&me.seal(body), Vec::clear)
        }),
        bad("signing.longer-signature", "A signature with a zero before it.", |me, body| {
            changed(&me.seal(body), |sig| sig.insert(0, 0))
        }),
        bad(
            "signing.altered-body",
            "A body in which one byte was changed after it was signed.",
            |me, body| {
                let other = body.clone().with("at", body.uint("at").unwrap_or(0) + 1);
                me.seal(body).with("body", other.bytes()).bytes()
            },
        ),
        bad(
            "signing.same-body-other-bytes",
            "The same body written with a longer integer, under the signature of the shorter.",
            |me, body| {
                let at = body.uint("at").unwrap_or(0);
                let long = [&[0xd3][..], &at.to_be_bytes()].concat();
                me.seal(body)
                    .with("body", body.clone().with("at", Value::Raw(long)).bytes())
                    .bytes()
            },
        ),
        bad(
            "signing.body-not-parsed",
            "A body that is no MessagePack, under a signature that does not hold.",
            |me, body| me.seal(body).with("body", vec![0xc1; 40]).bytes(),
        ),
    ]
}

fn texts() -> Vec<Spoilt> {
    let bad = |id, sentence, make| Spoilt {
        id,
        requirements: "SIGN-1 SIGN-4",
        sentence,
        want: BAD,
        make,
    };
    vec![
        bad(
            "signing.body-alone",
            "The body signed alone, without the text before it.",
            |me, body| signed(me, body, &body.bytes()),
        ),
        bad(
            "signing.other-context",
            "The body signed in the context of a location record.",
            |me, body| {
                signed(me, body, &[b"zot-file-location\n", body.bytes().as_slice()].concat())
            },
        ),
        bad(
            "signing.no-algorithm",
            "The text that is signed without the algorithm.",
            |me, body| {
                let head = format!("zot-file-packet\n1\n{}\n", me.site());
                signed(me, body, &[head.as_bytes(), &body.bytes()].concat())
            },
        ),
        bad("signing.spaces", "The text that is signed with spaces for line feeds.", |me, body| {
            let head = format!("zot-file-packet 1 rsa-sha256 {} ", me.site());
            signed(me, body, &[head.as_bytes(), &body.bytes()].concat())
        }),
    ]
}

fn bodies() -> Vec<Spoilt> {
    let spoilt =
        |id, requirements, sentence, want, make| Spoilt { id, requirements, sentence, want, make };
    let malformed = |id, sentence, make| spoilt(id, "PKT-2 SIGN-14", sentence, MALFORMED, make);
    vec![
        malformed(
            "signing.body-trailing-byte",
            "A signed body with one byte after it.",
            |me, body| seal(me.key(), me.site(), &[body.bytes(), vec![0xc0]].concat()).bytes(),
        ),
        malformed("signing.body-array", "A signed body that is an array.", |me, _| {
            seal(me.key(), me.site(), &list([1u64]).bytes()).bytes()
        }),
        malformed("signing.body-empty", "A signed body of no bytes.", |me, _| {
            seal(me.key(), me.site(), &[]).bytes()
        }),
        spoilt(
            "signing.body-too-deep",
            "PKT-3 SIGN-14",
            "A signed body in which arrays nest 17 deep.",
            Want::Hint(Code::TooLarge),
            |me, body| me.seal(&body.clone().with("more", nested(16))).bytes(),
        ),
        spoilt(
            "signing.version-before-signature",
            "SIGN-14 PKT-5",
            "An envelope of version 2 whose signature does not hold either.",
            Want::Hint(Code::UnsupportedVersion),
            |me, body| {
                let envelope = me.seal(body).with("v", 2u64);
                changed(&envelope, |sig| sig[0] ^= 1)
            },
        ),
        spoilt(
            "signing.signature-before-addressee",
            "SIGN-14 SIGN-4",
            "A packet to another hub whose signature does not hold.",
            BAD,
            |me, body| {
                changed(&me.seal(&body.clone().with("to.hub", me.site())), |sig| sig[0] ^= 1)
            },
        ),
    ]
}

fn headers() -> Vec<Odd> {
    let odd =
        |id, requirements, sentence, want, make| Odd { id, requirements, sentence, want, make };
    let field = |id, sentence, make| odd(id, "PKT-7 SIGN-14", sentence, HINT, make);
    vec![
        odd(
            "signing.from-another-hub",
            "SIGN-13 SIGN-14",
            "`from.hub` is not the signer.",
            BAD,
            |me| {
                let hub = me.shared().hub.site.clone();
                challenge(me).with("from.hub", hub)
            },
        ),
        odd(
            "signing.to-another-hub",
            "SIGN-5 SIGN-14",
            "`to.hub` is a hub that does not exist.",
            NOT_FOR_ME,
            |me| challenge(me).with("to.hub", "A".repeat(86)),
        ),
        odd("signing.back-to-sender", "SIGN-5", "`to.hub` is the sender.", NOT_FOR_ME, |me| {
            challenge(me).with("to.hub", me.site())
        }),
        odd(
            "signing.addressee-before-dates",
            "SIGN-14 SIGN-5",
            "A packet to another hub that is stale as well.",
            NOT_FOR_ME,
            |me| challenge(me).with("to.hub", me.site()).with("at", 1u64).with("expires", 2u64),
        ),
        field("signing.no-id", "A body without `id`.", |me| challenge(me).without("id")),
        odd("signing.id-of-15", "PKT-20 PKT-7", "An id of 15 bytes.", HINT, |me| {
            challenge(me).with("id", random::<15>())
        }),
        field("signing.no-expiry", "A body without `expires`.", |me| {
            challenge(me).without("expires")
        }),
        odd("signing.negative-date", "PKT-26 PKT-7", "A date before 1970.", HINT, |me| {
            challenge(me).with("at", Value::Neg(-1))
        }),
        odd(
            "signing.date-as-float",
            "PKT-26 PKT-7",
            "A date as a floating-point number.",
            HINT,
            |me| {
                let at = challenge(me).uint("at").unwrap_or(0);
                challenge(me).with("at", Value::Float(at as f64))
            },
        ),
        field("signing.no-channel", "A sender without a channel.", |me| {
            challenge(me).without("from.channel")
        }),
        odd("signing.type-of-65", "PKT-4 SIGN-14", "A type of 65 bytes.", HINT, |me| {
            challenge(me).with("type", "t".repeat(65))
        }),
        field("signing.no-type", "A body without `type`.", |me| challenge(me).without("type")),
        field("signing.id-twice", "A body that has `id` twice.", |me| {
            let mut body = challenge(me);
            body.add("id", random::<16>()).clone()
        }),
    ]
}

fn types() -> Vec<Odd> {
    let odd =
        |id, requirements, sentence, want, make| Odd { id, requirements, sentence, want, make };
    let unknown = |id, sentence, make| odd(id, "PKT-6 REF-2", sentence, UNKNOWN_TYPE, make);
    vec![
        unknown("signing.unknown-type", "A packet of the type `shred-request`.", |me| {
            me.body("shred-request")
        }),
        unknown("signing.empty-type", "A packet of an empty type.", |me| me.body("")),
        unknown("signing.answer-manifest-page", "A `manifest-page` that nobody asked for.", |me| {
            me.packet("manifest-page", [("pages", list(Vec::<Value>::new()))])
        }),
        unknown("signing.answer-audit-page", "An `audit-page` that nobody asked for.", |me| {
            me.packet("audit-page", [("ranges", list(Vec::<Value>::new()))])
        }),
        unknown("signing.answer-refusal", "A `refusal` that nobody asked for.", |me| {
            me.packet(
                "refusal",
                [("code", 60u64.into()), ("text", "".into()), ("clock", 1u64.into())],
            )
        }),
        odd(
            "signing.dates-before-type",
            "SIGN-14 SIGN-6",
            "A stale packet of an unknown type.",
            Want::Signed(Code::Stale),
            |me| me.body("shred-request").with("at", 1u64).with("expires", 2u64),
        ),
        odd(
            "signing.unknown-fields",
            "PKT-8",
            "A body with fields that nobody knows, one of them twice.",
            Want::Packet("challenge"),
            |me| {
                let mut body = challenge(me);
                body.add("more", Value::Nil).add("more", 1u64).add("from.more", "x").clone()
            },
        ),
        odd(
            "signing.nil-for-optional",
            "PKT-7",
            "nil in the place of the optional `answers`.",
            Want::Packet("challenge"),
            |me| challenge(me).with("answers", Value::Nil),
        ),
    ]
}

fn changed(envelope: &Value, change: fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut sig = envelope.bin("sig").unwrap_or_default().to_vec();
    change(&mut sig);
    envelope.clone().with("sig", sig).bytes()
}

/// The envelope with a signature over something else.
fn signed(me: &Actor, body: &Value, text: &[u8]) -> Vec<u8> {
    me.seal(body).with("sig", me.key().sign(text)).bytes()
}

fn unknown_key() -> Case {
    let want = Want::Hint(Code::UnknownLocation);
    Case::server(
        "signing.unknown-key",
        "SIGN-3 SIGN-14",
        "A packet of a hub that has never introduced itself.",
        want.sentence(),
        move |world| async move {
            let stranger = world.stranger().await?;
            want.check(&stranger.ask(&challenge(&stranger)).await?)
        },
    )
}

fn another_hubs_key() -> Case {
    Case::server(
        "signing.another-key",
        "SIGN-4 SIGN-1",
        "A packet under our site id that another key has signed.",
        BAD.sentence(),
        |world| async move {
            let me = world.me();
            let body = challenge(me);
            let sig = world.other_key().sign(&message(me.site(), &body.bytes()));
            BAD.check(&me.send(&body, &me.seal(&body).with("sig", sig)).await?)
        },
    )
}

fn answer() -> Case {
    Case::server(
        "signing.answer",
        "SIGN-17 SIGN-2 SIGN-11 PKT-1 PKT-11 PKT-20",
        "A challenge, answered.",
        "a packet that the hub signed, addressed back, whose `answers` is the id of the request, status 200",
        |world| async move {
            let body = challenge(world.me());
            let reply = world.me().ask(&body).await?;
            Want::Packet("challenge").check(&reply)?;
            let Reply::Packet { body: said, .. } = reply else { return Err("no packet".into()) };
            need(
                said.bin("id") != body.bin("id"),
                "the answer has the id of the request as its own",
            )
        },
    )
}
