"""Cases for signing.md and the limits of packets.md: envelopes.json. One failure each."""

from . import cases_audit, tree
from .cases_identity import REPLICA, refused
from .cases_packets import ABC, V1, data, entry, file_put, put
from .cases_sync import nested, row
from .wire import KEYS, LIFE, NOW, SITES, URLS, envelope, header, pack, record, seal, signed_bytes, state, uuid7

A, B, C = (SITES[name] for name in ("site-a", "site-b", "site-c"))
NAME = {"resource": "f1", "role": "file", "root": ABC}
MAX = 1 << 20


def body(kind="stream-request", fields=None, n=700, **changes):
    """A good body, some of whose fields are other than they should be; None takes a field away."""
    out = header(kind, "site-a", "site-b", n) | (NAME if fields is None else fields)
    out.update(changes)
    return {k: v for k, v in out.items() if v is not None}


def good(**changes):
    return seal("site-a", body(**changes))


def parts(**changes):
    """The good envelope as a map, some of whose fields are other than they should be."""
    raw = pack(body())
    out = envelope(A, raw, KEYS["site-a"].sign(signed_bytes(A, raw)))
    out.update(changes)
    return {k: v for k, v in out.items() if v is not None}


def cases():
    return {"hubs": hubs(), "refused": refusals(), "accepted": accepted(), "answers": answers()}


def case(name, requirement, raw, now=NOW, **more):
    head = raw.rstrip(b"\0")
    bytes_ = {"envelope": raw.hex()}
    if len(raw) - len(head) > 1024:
        bytes_ = {"envelope": head.hex(), "then_zeros": len(raw) - len(head)}
    return {"name": name, "requirement": requirement, **bytes_, "receiver": B, "now": now, **more}


def hubs():
    """The hubs that the receiver knows."""
    return [
        {"name": name, "requirement": "ID-3", "url": URLS[name], "site_id": SITES[name], "pem": KEYS[name].pem}
        for name in ("site-a", "site-b")
    ]


def refusals():
    """Those of the second list are refused after the sender is certain, so with a signature."""
    unsigned = [*shape(), *signatures()]
    signed = [*dates(), *fields(), *long_lists()]
    return [case(*c[:2], c[2], *c[4:], **refused(c[3]), signed=False) for c in unsigned] + [
        case(*c[:2], c[2], *c[4:], **refused(c[3]), signed=True) for c in signed
    ]


def shape():
    ext = parts()
    ext = b"\x86" + pack(ext)[1:] + pack("x") + b"\xd4\0\0"
    deep_body = pack(body(later=nested(16)))
    unordered = [1, "rsa-sha256", A, parts()["body"], parts()["sig"]]
    return [
        ("nothing", "PKT-2", b"", "malformed"),
        ("cut in the middle", "PKT-2", good()[:-1], "malformed"),
        ("a byte after the envelope", "PKT-2", good() + b"\xc0", "malformed"),
        ("a reserved byte", "PKT-2", b"\xc1", "malformed"),
        ("an extension type", "PKT-2", ext, "malformed"),
        ("an array of the fields", "PKT-2", pack(unordered), "malformed"),
        ("a text", "PKT-2", pack("zot"), "malformed"),
        ("a list that claims 4,294,967,295 elements", "PKT-2", pack(parts(x=[]))[:-1] + b"\xdd\xff\xff\xff\xff", "malformed"),
        ("a bin that claims 4 GiB", "PKT-2", pack(parts(x=[]))[:-1] + b"\xc6\xff\xff\xff\xff", "malformed"),
        ("a byte more than 1 MiB", "PKT-3", padded(MAX + 1), "too-large"),
        ("an envelope nested too deeply", "PKT-3", pack(parts(x=nested(16))), "too-large"),
        ("a body nested too deeply", "PKT-3", seal("site-a", deep_body), "too-large"),
        ("version 2", "PKT-5", pack(parts(v=2)), "unsupported-version"),
        ("version 0", "PKT-5", pack(parts(v=0)), "unsupported-version"),
        ("version 300", "PKT-5", pack(parts(v=300)), "unsupported-version"),
        ("another algorithm", "PKT-5", pack(parts(alg="rsa-sha512")), "unsupported-version"),
        ("no algorithm", "PKT-5", pack(parts(alg="none")), "unsupported-version"),
        ("a version as text", "PKT-7", pack(parts(v="1")), "bad-field"),
        ("a signature as text", "PKT-7", pack(parts(sig="s" * 256)), "bad-field"),
        ("no sig", "PKT-7", pack(parts(sig=None)), "bad-field"),
        ("no body", "PKT-7", pack(parts(body=None)), "bad-field"),
        ("no key", "PKT-7", pack(parts(key=None)), "bad-field"),
        ("a body that is a map", "PKT-7", pack(parts(body=body())), "bad-field"),
        ("a site id of 85 characters", "PKT-24", pack(parts(key=A[:-1])), "bad-field"),
        ("a site id of another alphabet", "PKT-24", pack(parts(key="+" + A[1:])), "bad-field"),
        ("v twice", "PKT-7", b"\x86" + pack(parts())[1:] + pack("v") + b"\1", "bad-field"),
    ]


def padded(size):
    """The good envelope with a field that nobody knows, in so many bytes."""
    raw = pack(parts())
    raw = b"\x86" + raw[1:] + pack("x") + b"\xc6"
    return raw + (size - len(raw) - 4).to_bytes(4, "big") + b"\0" * (size - len(raw) - 4)


def signatures():
    raw = pack(body())
    sign = KEYS["site-a"].sign
    altered = raw.replace(b"f1", b"f2")
    flipped = bytearray(parts()["sig"])
    flipped[100] ^= 4
    listed = pack([*body().values()])
    other = {"hub": C, "channel": header("", "site-a", "site-b", 0)["to"]["channel"]}

    def with_sig(message, **changes):
        return pack(parts(sig=sign(message), **changes))

    return [
        ("a hub that is not known", "SIGN-3", seal("site-c", body()), "unknown-location"),
        ("a bit of the signature", "SIGN-4", pack(parts(sig=bytes(flipped))), "bad-signature"),
        ("an empty signature", "SIGN-4", pack(parts(sig=b"")), "bad-signature"),
        ("a signature with a zero before it", "SIGN-4", pack(parts(sig=b"\0" + parts()["sig"])), "bad-signature"),
        ("the body altered", "SIGN-4", pack(parts(body=altered)), "bad-signature"),
        ("the body written in other widths", "SIGN-4", pack(parts(body=wider(raw))), "bad-signature"),
        ("signed by another hub", "SIGN-4", pack(parts(sig=KEYS["site-b"].sign(signed_bytes(A, raw)))), "bad-signature"),
        ("under another hub's name", "SIGN-4", pack(parts(key=B)), "bad-signature"),
        ("the body signed alone", "SIGN-1", with_sig(raw), "bad-signature"),
        ("signed as a location", "SIGN-1", with_sig(b"zot-file-location\n" + raw), "bad-signature"),
        ("signed without the algorithm", "SIGN-1", with_sig(b"zot-file-packet\n1\n" + A.encode() + b"\n" + raw), "bad-signature"),
        ("signed with spaces for line feeds", "SIGN-1", with_sig(signed_bytes(A, b"").replace(b"\n", b" ") + raw), "bad-signature"),
        ("a body that is not parsed before its signature holds", "SIGN-4", pack(parts(body=b"\xc1")), "bad-signature"),
        ("a body with a byte after it", "PKT-2", seal("site-a", raw + b"\xc0"), "malformed"),
        ("a body that is an array", "PKT-2", seal("site-a", listed), "malformed"),
        ("an empty body", "PKT-2", seal("site-a", b""), "malformed"),
        ("from another hub", "SIGN-13", good(**{"from": other}), "bad-signature"),
        ("to another hub", "SIGN-5", good(to=other), "not-for-me"),
        ("back to its sender", "SIGN-5", good(to={**other, "hub": A}), "not-for-me"),
        ("no id", "PKT-7", good(id=None), "bad-field"),
        ("an id of 15 bytes", "PKT-20", good(id=uuid7(1)[:-1]), "bad-field"),
        ("no expiry", "PKT-7", good(expires=None), "bad-field"),
        ("a negative date", "PKT-26", good(at=-1), "bad-field"),
        ("a date as a float", "PKT-26", good(at=float(NOW)), "bad-field"),
        ("no channel", "PKT-7", good(to={"hub": B}), "bad-field"),
        ("a type of 65 bytes", "PKT-4", good(type="x" * 65), "bad-field"),
        ("no type", "PKT-7", good(type=None), "bad-field"),
        ("an id twice", "PKT-7", seal("site-a", doubled("id", uuid7(700))), "bad-field"),
    ]


def doubled(name, value):
    fields = body()
    return bytes([0x80 | len(fields) + 1]) + pack(fields)[1:] + pack(name) + pack(value)


def wider(raw):
    """The same body with the length of its last bin in two bytes."""
    assert raw[-34:-32] == b"\xc4\x20"
    return raw[:-34] + b"\xc5\0\x20" + raw[-32:]


def dates():
    day = 86_400_000

    def dated(at, expires):
        return good(at=at, expires=expires)

    return [
        ("too far ahead", "SIGN-6", dated(NOW + 300_001, NOW + 300_002), "stale"),
        ("expired", "SIGN-6", dated(NOW - LIFE, NOW - 1), "stale"),
        ("a life of more than 10 minutes", "SIGN-6", dated(NOW, NOW + LIFE + 1), "stale"),
        ("a life of a day", "SIGN-6", dated(NOW - 1000, NOW + day), "stale"),
        ("expires before it was signed", "SIGN-6", dated(NOW + 1000, NOW + 999), "stale"),
        ("dated as late as a number can be", "SIGN-6", dated(2**64 - 1, 2**64 - 1), "stale"),
        ("presented again a ms after it expired", "SIGN-6", good(), "stale", NOW + LIFE + 1),
        ("stale and of an unknown type", "SIGN-14", good(type="later", at=1, expires=2), "stale"),
    ]


def fields():
    chunk = lambda ranges, **c: good(kind="chunk-request", fields={"items": [{**NAME, **c, "ranges": ranges}]})
    one = {"first": 0, "count": 1}
    manifest = lambda **c: good(kind="manifest-request", fields={"items": [{**NAME, "first": 0, "count": 1, **c}]})
    sync = lambda *ops: good(kind="clone-sync", fields={"operations": list(ops)})
    bad_version = {**V1, "hlc": 2**63}
    bad_row = {**entry(row(), V1), "row": pack(row(filesize="3"))}
    return [
        ("a type of a later version", "PKT-6", good(type="later-request"), "unknown-type"),
        ("an empty type", "PKT-6", good(type=""), "unknown-type"),
        ("a field is missing", "PKT-7", good(root=None), "bad-field"),
        ("a digest of 31 bytes", "PKT-23", good(root=ABC[:-1]), "bad-field"),
        ("an unknown role", "PKT-27", good(role="photo-5"), "bad-field"),
        ("an empty resource id", "PKT-25", good(resource=""), "bad-field"),
        ("a resource id of 65 characters", "PKT-25", good(resource="x" * 65), "bad-field"),
        ("a resource id with a slash", "PKT-25", good(resource="a/b"), "bad-field"),
        ("a resource id as bin", "PKT-9", good(resource=b"\xff1"), "bad-field"),
        ("a digest as a list of numbers", "PKT-7", good(root=list(ABC)), "bad-field"),
        ("a digest as text", "PKT-7", good(root="a" * 32), "bad-field"),
        ("a role as bin", "PKT-7", good(role=b"file"), "bad-field"),
        ("a role as a map", "PKT-7", good(role={"file": None}), "bad-field"),
        ("a range as a list of its values", "PKT-7", chunk([[0, 1]]), "bad-field"),
        ("a MIME type as bin", "PKT-7", sync(put(1, [entry(row(), V1)], [data(mime=b"text/plain")])), "bad-field"),
        ("no chunk", "FETCH-8", good(kind="chunk-request", fields={"items": []}), "bad-range"),
        ("no range", "FETCH-8", chunk([]), "bad-range"),
        ("a range of none", "FETCH-8", chunk([one, {"first": 1, "count": 0}]), "bad-range"),
        ("1025 chunks", "FETCH-8", chunk([{"first": 0, "count": 1024}, one]), "bad-range"),
        ("4,294,967,295 chunks twice", "FETCH-8", chunk(2 * [{"first": 0, "count": 2**32 - 1}]), "bad-range"),
        ("a chunk number of 33 bits", "PKT-7", chunk([{"first": 2**32, "count": 1}]), "bad-field"),
        ("no page", "FETCH-50", manifest(count=0), "bad-field"),
        ("257 pages", "FETCH-50", manifest(count=257), "bad-field"),
        ("no item", "FETCH-50", good(kind="manifest-request", fields={"items": []}), "bad-field"),
        ("a nonce of 31 bytes", "PKT-23", good(kind="challenge", fields={"nonce": ABC[:-1]}), "bad-field"),
        ("no operation", "SYNC-3", sync(), "bad-field"),
        ("an operation without an id", "PKT-7", sync({k: v for k, v in file_put().items() if k != "id"}), "bad-field"),
        ("an unknown source", "PKT-7", sync(put(1, [entry(row(), V1)], [data(source="web")])), "bad-field"),
        ("a MIME type of 256 bytes", "PKT-4", sync(put(1, [entry(row(), V1)], [data(mime="x" * 256)])), "bad-field"),
        ("four contents", "PKT-4", sync(put(1, [entry(row(), V1)], 4 * [data()])), "bad-field"),
        ("a version beyond its limits", "SYNC-21", sync(put(1, [{**entry(row(), V1), "meta": bad_version}], [data()])), "bad-field"),
        ("a row of the wrong form", "SYNC-18", sync(put(1, [bad_row], [data()])), "bad-field"),
        ("a status that is not known", "PKT-7", good(kind="sync-report", fields={"operations": [{"id": uuid7(1), "status": "eaten"}]}), "bad-field"),
        ("digests of 33 bytes", "PKT-23", good(kind="manifest-page", fields={"pages": [{"item": 0, "page": 0, "digests": ABC + b"\0", "path": b""}]}), "bad-field"),
        ("a path of 33 nodes", "PKT-4", good(kind="manifest-page", fields={"pages": [{"item": 0, "page": 0, "digests": ABC, "path": 33 * ABC}]}), "bad-field"),
        ("a code of 17 bits", "PKT-7", good(kind="refusal", fields={"code": 65536, "text": "", "clock": 1}), "bad-field"),
        *((name, requirement, good(kind=kind, fields=f), "bad-field") for name, requirement, kind, f in cases_audit.bad_fields()),
    ]


def long_lists():
    item = {**NAME, "ranges": [{"first": 0, "count": 1}]}
    row128 = 129 * [entry(row(), V1)]
    empty = {"record": b"", "channel_sig": b"", "site_sig": b""}
    turned = {"record": b"", "old_sig": b"", "new_sig": b"", "site_sig": b""}
    lists = [
        ("257 items", "chunk-request", {"items": 257 * [item]}),
        ("257 items of pages", "manifest-request", {"items": 257 * [{**NAME, "first": 0, "count": 1}]}),
        ("1025 ranges", "chunk-request", {"items": [{**NAME, "ranges": 1025 * [{"first": 0, "count": 1}]}]}),
        ("257 operations", "clone-sync", {"operations": 257 * [put(1, [], [])]}),
        ("129 rows", "clone-sync", {"operations": [put(1, row128, [data()])]}),
        ("65 records", "locations", {"records": 65 * [empty]}),
        ("33 rotations", "locations", {"records": [], "rotations": 33 * [turned]}),
        ("65 notices", "locations", {"records": [], "notices": 65 * [empty]}),
        ("4097 contents", "sync-report", {"present": 4097 * [NAME]}),
        ("257 reports", "sync-report", {"operations": 257 * [{"id": uuid7(1), "status": "stored"}]}),
        ("a text of 1025 bytes", "refusal", {"code": 1, "text": "x" * 1025, "clock": 1}),
    ]
    return [(name, "PKT-4", good(kind=kind, fields=f), "bad-field") for name, kind, f in lists]


def accepted():
    location = pack(state(record("site-a", REPLICA), "site-a"))
    fields = dict(reversed(body().items()))
    cases = [
        ("as it should be", "SIGN-1", good()),
        ("unknown fields in the envelope", "PKT-8", pack(parts(later={"x": [None, 1.5, -1]}, sig2=b"\0"))),
        ("unknown fields in the body", "PKT-8", good(later=[{}], **{"zot-next": "x"})),
        ("unknown fields in a map of the body", "PKT-8", good(**{"from": body()["from"] | {"nick": "alice"}})),
        ("fields in another order", "PKT-1", seal("site-a", fields)),
        ("lengths in other widths, signed so", "PKT-9", seal("site-a", wider(pack(body())))),
        ("a location that nobody asked for", "ID-12", seal("site-a", body(), location)),
        ("nested 16 deep", "PKT-3", good(later=nested(15))),
        ("exactly 1 MiB", "PKT-3", padded(MAX)),
        ("as far ahead as allowed", "SIGN-6", good(at=NOW + 300_000, expires=NOW + 900_000)),
        ("in its last ms", "SIGN-6", good(at=NOW - LIFE, expires=NOW)),
        ("of no life at all", "SIGN-6", good(at=NOW, expires=NOW)),
        ("1024 chunks in 256 items", "FETCH-8", good(kind="chunk-request", fields={
            "items": 256 * [{**NAME, "ranges": [{"first": 2**32 - 1, "count": 4}]}]})),
        ("nil for an optional field", "PKT-7", seal("site-a", {**body(), "answers": None})),
    ]
    return [case(name, requirement, raw) for name, requirement, raw in cases]


def answers():
    """Answers of the known hubs to B, which asked A."""
    request = uuid7(800)
    old = {"at": 1, "expires": 2}
    cases = [
        ("the answer", good(answers=request), "believed"),
        ("the answer of a hub with another clock", good(answers=request, **old), "believed"),
        ("an answer to another request", good(answers=uuid7(801)), "not-an-answer"),
        ("no answer", good(), "not-an-answer"),
        ("by another hub", seal("site-b", {**body(answers=request), "from": body()["to"]}), "not-an-answer"),
        ("to another hub", good(answers=request, to={**body()["to"], "hub": C}), "not-an-answer"),
        ("unsigned", pack(parts(sig=b"")), "not-an-answer"),
    ]
    return [
        case(name, "SIGN-11", raw, asked=A, request=request.hex(), verdict=verdict) for name, raw, verdict in cases
    ]
