//! Envelopes: shape and size, checked before anybody's signature.
//!
//! Spec: PKT-1 to PKT-5, PKT-7 to PKT-10.

use zotferry_protocol::refusal::Code;

use super::{HINT, Spoilt, challenge};
use crate::case::{Case, Want, need};
use crate::wire::{Value, list};

const MALFORMED: Want = Want::Hint(Code::Malformed);
const TOO_LARGE: Want = Want::Hint(Code::TooLarge);
const VERSION: Want = Want::Hint(Code::UnsupportedVersion);
const ANSWERED: Want = Want::Packet("challenge");

/// The largest packet (PKT-3).
const MAX: usize = 1 << 20;

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = malformed().into_iter().chain(fields()).map(Case::from).collect();
    cases.extend(taken().into_iter().map(Case::from));
    cases.push(content_type());
    cases
}

fn malformed() -> Vec<Spoilt> {
    let spoilt = |id, sentence, make| Spoilt {
        id,
        requirements: "PKT-2 REF-3",
        sentence,
        want: MALFORMED,
        make,
    };
    vec![
        spoilt("envelope.nothing", "A POST without a body.", |_, _| Vec::new()),
        spoilt("envelope.no-packet", "The text `hello` as a packet.", |_, _| b"hello".to_vec()),
        spoilt("envelope.cut", "The first half of a packet.", |me, body| {
            let bytes = me.seal(body).bytes();
            bytes[..bytes.len() / 2].to_vec()
        }),
        spoilt("envelope.trailing-byte", "A packet with one byte after it.", |me, body| {
            [me.seal(body).bytes(), vec![0xc0]].concat()
        }),
        spoilt(
            "envelope.reserved-byte",
            "The byte 0xc1 in a field that nobody knows.",
            |me, body| me.seal(body).with("more", Value::Raw(vec![0xc1])).bytes(),
        ),
        spoilt(
            "envelope.extension-type",
            "An extension type in a field that nobody knows.",
            |me, body| me.seal(body).with("more", Value::Raw(vec![0xd4, 1, 0])).bytes(),
        ),
        spoilt("envelope.array", "An array of the envelope's fields.", |me, body| {
            let envelope = me.seal(body);
            let fields = ["v", "alg", "key", "body", "sig"].map(|name| envelope.at(name).cloned());
            list(fields.into_iter().flatten()).bytes()
        }),
        spoilt("envelope.text", "A MessagePack text in the place of the map.", |_, _| {
            Value::from("packet").bytes()
        }),
        spoilt(
            "envelope.claimed-list",
            "A list that claims 4,294,967,295 elements and has none.",
            |_, _| vec![0xdd, 0xff, 0xff, 0xff, 0xff],
        ),
        spoilt(
            "envelope.claimed-bytes",
            "A byte string that claims 4 GiB and has none.",
            |_, _| [&[0x81, 0xa4][..], b"body", &[0xc6, 0xff, 0xff, 0xff, 0xff]].concat(),
        ),
        Spoilt {
            id: "envelope.too-large",
            requirements: "PKT-3 REF-3",
            sentence: "A packet of 1,048,577 bytes.",
            want: TOO_LARGE,
            make: |me, body| padded(me.seal(body), MAX + 1),
        },
        Spoilt {
            id: "envelope.too-deep",
            requirements: "PKT-3 REF-3",
            sentence: "An envelope in which arrays nest 17 deep.",
            want: TOO_LARGE,
            make: |me, body| me.seal(body).with("more", nested(16)).bytes(),
        },
    ]
}

fn fields() -> Vec<Spoilt> {
    let spoilt =
        |id, requirements, sentence, want, make| Spoilt { id, requirements, sentence, want, make };
    let field = |id, sentence, make| spoilt(id, "PKT-7 REF-3", sentence, HINT, make);
    let version = |id, sentence, make| spoilt(id, "PKT-5 PKT-13", sentence, VERSION, make);
    vec![
        version("envelope.version-2", "A good packet in an envelope of version 2.", |me, body| {
            me.seal(body).with("v", 2u64).bytes()
        }),
        version("envelope.version-0", "A good packet in an envelope of version 0.", |me, body| {
            me.seal(body).with("v", 0u64).bytes()
        }),
        version(
            "envelope.version-300",
            "A good packet in an envelope of version 300.",
            |me, body| me.seal(body).with("v", 300u64).bytes(),
        ),
        version(
            "envelope.algorithm",
            "A good packet under the algorithm `rsa-sha512`.",
            |me, body| me.seal(body).with("alg", "rsa-sha512").bytes(),
        ),
        version("envelope.no-algorithm", "A good packet under an empty algorithm.", |me, body| {
            me.seal(body).with("alg", "").bytes()
        }),
        field("envelope.version-as-text", "The version as text.", |me, body| {
            me.seal(body).with("v", "1").bytes()
        }),
        field("envelope.no-sig", "An envelope without `sig`.", |me, body| {
            me.seal(body).without("sig").bytes()
        }),
        field("envelope.no-body", "An envelope without `body`.", |me, body| {
            me.seal(body).without("body").bytes()
        }),
        field("envelope.no-key", "An envelope without `key`.", |me, body| {
            me.seal(body).without("key").bytes()
        }),
        field("envelope.body-as-map", "A body that is a map and no byte string.", |me, body| {
            me.seal(body).with("body", body.clone()).bytes()
        }),
        spoilt(
            "envelope.key-of-85",
            "PKT-24 PKT-7",
            "A site id of 85 characters.",
            HINT,
            |me, body| me.seal(body).with("key", &me.site()[..85]).bytes(),
        ),
        spoilt(
            "envelope.key-alphabet",
            "PKT-24 PKT-7",
            "A site id with a `+`.",
            HINT,
            |me, body| me.seal(body).with("key", format!("+{}", &me.site()[1..])).bytes(),
        ),
        field("envelope.body-as-text", "A body of ASCII characters, as text.", |me, body| {
            me.seal(body).with("body", "a body").bytes()
        }),
        field("envelope.algorithm-as-bytes", "The algorithm as a byte string.", |me, body| {
            me.seal(body).with("alg", b"rsa-sha256".to_vec()).bytes()
        }),
        field("envelope.field-twice", "An envelope that has `v` twice.", |me, body| {
            let mut envelope = me.seal(body);
            envelope.add("v", 1u64).bytes()
        }),
    ]
}

fn taken() -> Vec<Spoilt> {
    let spoilt = |id, requirements, sentence, make| Spoilt {
        id,
        requirements,
        sentence,
        want: ANSWERED,
        make,
    };
    vec![
        spoilt(
            "envelope.exactly-1-mib",
            "PKT-3 PKT-8",
            "A packet of 1,048,576 bytes.",
            |me, body| padded(me.seal(body), MAX),
        ),
        spoilt(
            "envelope.16-deep",
            "PKT-3 PKT-8",
            "An envelope in which arrays nest 16 deep.",
            |me, body| me.seal(body).with("more", nested(15)).bytes(),
        ),
        spoilt(
            "envelope.unknown-fields",
            "PKT-8",
            "An envelope with fields that nobody knows, one of them twice.",
            |me, body| {
                let mut envelope = me.seal(body);
                envelope.add("more", 1u64).add("more", Value::Nil).add("sign", "yes").bytes()
            },
        ),
        spoilt(
            "envelope.other-order",
            "PKT-1",
            "The envelope's fields from the last to the first.",
            |me, body| match me.seal(body) {
                Value::Map(fields) => Value::Map(fields.into_iter().rev().collect()).bytes(),
                other => other.bytes(),
            },
        ),
        spoilt(
            "envelope.other-widths",
            "PKT-9",
            "The version as an integer of 64 bits, a length in 32 bits.",
            |me, body| {
                let alg = [&[0xdb, 0, 0, 0, 10][..], b"rsa-sha256"].concat();
                let version = vec![0xcf, 0, 0, 0, 0, 0, 0, 0, 1];
                me.seal(body).with("v", Value::Raw(version)).with("alg", Value::Raw(alg)).bytes()
            },
        ),
    ]
}

/// An array in an array, so many in all.
pub(super) fn nested(depth: usize) -> Value {
    (1..depth).fold(list(Vec::<Value>::new()), |inner, _| Value::List(vec![inner]))
}

/// An envelope of exactly so many bytes.
fn padded(envelope: Value, len: usize) -> Vec<u8> {
    let short = envelope.clone().with("more", vec![0; 70_000]).bytes().len();
    envelope.with("more", vec![0; 70_000 + len - short]).bytes()
}

fn content_type() -> Case {
    Case::server(
        "envelope.content-type",
        "PKT-10 PKT-2",
        "A good packet with the content type `application/octet-stream`.",
        MALFORMED.sentence(),
        |world| async move {
            let body = challenge(world.me());
            let headers = [("content-type", "application/octet-stream")];
            let bytes = world.me().seal(&body).bytes();
            let answer = world.me().exchange("POST", "/zot", &headers, bytes).await?;
            need(answer.content_type() != "application/x-zot+msgpack", "a signed answer")?;
            MALFORMED.check(&world.me().judge(&answer, &body)?)
        },
    )
}
