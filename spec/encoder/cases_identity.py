"""Cases for identity.md: ids.json, locations.json."""

from . import keys, wire
from .keys import odd_number, read, spki_pem
from .refusals import NUMBERS
from .wire import ALICE, KEYS, NOW, OTHER, SITES, plain, state

CAPTURED_GUID = "cj4WjSdVq2agT4xZX5a4O2DFdY1f-9PVrSUd9dhnjIoQXOv_v4i8aSlqbzLOCRNPkOW4JEYemD0aWWWcObumww"
CAPTURED_CHANNEL = "W_0bVhfagYVaHYys39KZw4bJihB9EwGObsGpgM32pidp1UGFnZBvGIwB-EpFtU_UNPkaQqEIKDjkLTxwrjwQpw"
CAPTURED_SITE = "tsAOOblj-aJ70ObeKG5pRw6RnKxaI5qvZe6v9xt2FM7-picy15RJrd6e6ic9GL5IhxS8nT2Exl-1n86Lhc96uw"
REPLICA = bytes(range(1, 9))


def refused(code):
    return {"code": code, "number": NUMBERS[code]}


def ids():
    return {
        "portable_ids": portable_ids(),
        "site_ids": site_ids(),
        "urls": [
            {"name": typed, "requirement": "ID-4", "typed": typed, "normal": normal}
            for typed, normal in URLS_GOOD
        ],
        "urls_bad": [{"name": repr(typed), "requirement": "ID-4", "typed": typed} for typed in URLS_BAD],
        "keys": keys_good(),
        "keys_bad": keys_bad(),
    }


URLS_GOOD = [
    ("https://hub.example", "https://hub.example"),
    ("HTTPS://Hub.Example/", "https://hub.example"),
    ("https://hub.example:443/", "https://hub.example"),
    ("http://127.0.0.1:80", "http://127.0.0.1"),
    ("http://localhost:8080/", "http://localhost:8080"),
    ("https://hub.example:8443", "https://hub.example:8443"),
    ("https://[2001:DB8:0:0:0:0:0:1]:8443", "https://[2001:db8::1]:8443"),
    ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
]
URLS_BAD = [
    "", "hub.example", "ftp://hub.example", "https://", "https://hub.example/path", "https://hub.example/?q",
    "https://hub.example/#f", "https://user@hub.example", "https://user:pw@hub.example", "https://hub.example.",
    "https://hub.example:99999", "https://" + "h" * 250 + ".example",
]


def portable_ids():
    captured = {"guid": CAPTURED_GUID, "pem": read("captured-channel"), "id": CAPTURED_CHANNEL}
    assert keys.portable_id(captured["guid"], captured["pem"]) == CAPTURED_CHANNEL
    test = {"guid": wire.GUID, "pem": KEYS["channel"].pem, "id": ALICE}
    empty = {"guid": "", "pem": KEYS["site-a"].pem, "id": keys.portable_id("", KEYS["site-a"].pem)}
    names = ["as Hubzilla made it", "the test channel", "an empty guid"]
    return [{"name": n, "requirement": "ID-1", **c} for n, c in zip(names, [captured, test, empty])]


def site_ids():
    captured = {"url": "https://hub-a.test", "pem": read("captured-site"), "id": CAPTURED_SITE}
    assert keys.site_id(captured["url"], captured["pem"]) == CAPTURED_SITE
    out = [{"name": "as Hubzilla made it", "requirement": "ID-3", **captured}]
    for site, url in wire.URLS.items():
        out.append({"name": site, "requirement": "ID-3", "url": url, "pem": KEYS[site].pem, "id": SITES[site]})
    return out


def keys_good():
    out = []
    for bits, e in [(2048, 65537), (2049, 65537), (3072, 65539), (4096, 2**32 + 1), (8192, 65537), (2048, 2**33 - 1)]:
        name = f"{bits} bits, exponent {e}"
        out.append({"name": name, "requirement": "ID-5", "pem": spki_pem(odd_number(bits), e), "bits": bits})
    return out


def keys_bad():
    good = KEYS["channel"].pem
    body = "".join(good.split("\n")[1:-2])
    wide = [body[i : i + 76] for i in range(0, len(body), 76)]
    cases = [
        (f"{bits} bits", spki_pem(odd_number(bits), 65537), "ID-5") for bits in (512, 1024, 2047, 8193)
    ]
    cases += [
        (f"exponent {e}", spki_pem(odd_number(2048), e), "ID-5") for e in (3, 17, 65535, 65538, 2**33 + 1)
    ]
    cases += [
        ("no line feed at the end", good[:-1], "ID-2"),
        ("two line feeds at the end", good + "\n", "ID-2"),
        ("carriage returns", good.replace("\n", "\r\n"), "ID-2"),
        ("text before it", "key\n" + good, "ID-2"),
        ("lines of 76", "\n".join(["-----BEGIN PUBLIC KEY-----", *wide, "-----END PUBLIC KEY-----", ""]), "ID-2"),
        ("a PKCS#1 label", good.replace("PUBLIC KEY", "RSA PUBLIC KEY"), "ID-2"),
        ("bytes that are no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "ID-5"),
        ("an Ed25519 key", ED25519, "ID-5"),
        ("nothing", "", "ID-5"),
    ]
    return [{"name": n, "requirement": r, "pem": p, **refused("bad-key")} for n, p, r in cases]


ED25519 = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
    "-----END PUBLIC KEY-----\n"
)


def locations():
    return {"good": good(), "bad": bad(), "order": order(), "introductions": introductions()}


def good():
    cases = [
        ("a primary location", wire.record("site-a", REPLICA, primary=True)),
        ("a location that the channel left", wire.record("site-b", REPLICA, deleted=True, serial=2**53 + 1)),
        ("a field of a later version", wire.record("site-c", REPLICA, later={"x": [1, None]})),
    ]
    return [
        {
            "name": name, "requirement": "ID-8", "location": plain(record),
            "signed": plain(state(record, site_of(record))), "channel": ALICE,
            "channel_key": KEYS["channel"].pem, "site_id": SITES[site_of(record)],
        }
        for name, record in cases
    ]


def site_of(record):
    return next(name for name, url in wire.URLS.items() if url == record["url"])


def changed(signed, field):
    """With one bit of a field turned."""
    value = bytearray(signed[field])
    value[-1] ^= 1
    return {**signed, field: bytes(value)}


def bad():
    record = wire.record("site-a", REPLICA)
    right = state(record, "site-a")
    crlf = wire.record("site-a", REPLICA, site_key=KEYS["site-a"].pem.replace("\n", "\r\n"))
    weak = wire.record("site-a", REPLICA, site_key=spki_pem(odd_number(1024), 65537))
    slash = wire.record("site-a", REPLICA, url="https://a.example/")
    upper = wire.record("site-a", REPLICA, url="https://A.example")
    no_serial = {k: v for k, v in record.items() if k != "serial"}
    both = {"channel_sig": right["site_sig"], "site_sig": right["channel_sig"]}
    cases = [
        ("the channel's signature altered", changed(right, "channel_sig"), "ID-8", "bad-location"),
        ("the site's signature altered", changed(right, "site_sig"), "ID-9", "bad-location"),
        ("the record altered", {**right, "record": wire.pack({**record, "primary": True})}, "ID-8", "bad-location"),
        ("the signatures exchanged", {**right, **both}, "ID-8", "bad-location"),
        ("signed by another channel", state(record, "site-a", "other-channel"), "ID-8", "bad-location"),
        ("signed by another hub", state(record, "site-b"), "ID-9", "bad-location"),
        ("signed without its context", state(record, "site-a", context=b""), "ID-8", "bad-location"),
        ("signed as a packet", state(record, "site-a", context=b"zot-file-packet\n"), "ID-8", "bad-location"),
        ("a record of another channel", state({**record, "channel": OTHER}, "site-a"), "ID-8", "bad-location"),
        ("a site key with carriage returns", state(crlf, "site-a"), "ID-2", "bad-key"),
        ("a site key of 1024 bits", state(weak, "site-a"), "ID-5", "bad-key"),
        ("a URL with a trailing slash", state(slash, "site-a"), "ID-19", "bad-field"),
        ("a URL in upper case", state(upper, "site-a"), "ID-19", "bad-field"),
        ("no serial", state(no_serial, "site-a"), "PKT-7", "bad-field"),
        ("a replica of 7 bytes", state({**record, "replica": REPLICA[:7]}, "site-a"), "PKT-22", "bad-field"),
        ("a byte after the record", state(wire.pack(record) + b"\0", "site-a"), "PKT-2", "malformed"),
    ]
    return [
        {
            "name": name, "requirement": requirement, "signed": plain(signed), "channel": ALICE,
            "channel_key": KEYS["channel"].pem, **refused(code),
        }
        for name, signed, requirement, code in cases
    ]


def order():
    """Which of two records of one location replaces the other."""
    low, high = b"\0" * 8, b"\xff" * 8
    cases = [
        ("a higher serial", (NOW, high), (NOW + 1, low), True),
        ("a lower serial", (NOW + 1, low), (NOW, high), False),
        ("the same serial, a larger replica", (NOW, low), (NOW, high), True),
        ("the same serial, a smaller replica", (NOW, high), (NOW, low), False),
        ("the same record", (NOW, low), (NOW, low), False),
    ]
    out = []
    for name, known, new, replaces in cases:
        records = [wire.record("site-a", replica, serial=serial) for serial, replica in (known, new)]
        out.append({
            "name": name, "requirement": "ID-10", "known": plain(state(records[0], "site-a")),
            "new": plain(state(records[1], "site-a")), "channel": ALICE, "channel_key": KEYS["channel"].pem,
            "replaces": replaces,
        })
    return out


def introductions():
    """A hub that is not known sends `locations` with its record in the envelope."""
    record = wire.record("site-c", REPLICA)
    right = state(record, "site-c")
    forged = state(record, "site-c", "other-channel")
    elsewhere = state(wire.record("site-b", REPLICA), "site-b")
    cases = [
        ("a record that holds", right, "ID-21", None),
        ("no record", None, "SIGN-3", "unknown-location"),
        ("a record of another hub", elsewhere, "ID-21", "unknown-location"),
        ("a record that the channel did not sign", forged, "ID-8", "bad-location"),
    ]
    out = []
    for n, (name, signed, requirement, code) in enumerate(cases, 900):
        body = wire.header("locations", "site-c", "site-a", n) | {"records": [right]}
        raw = wire.seal("site-c", body, wire.pack(signed) if signed else None)
        case = {"name": name, "requirement": requirement, "envelope": raw.hex(), "receiver": SITES["site-a"]}
        case |= {"channel": ALICE, "channel_key": KEYS["channel"].pem, "now": NOW}
        out.append(case | (refused(code) if code else {"code": None}))
    return out
